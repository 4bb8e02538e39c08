"""What the chapter leaves open, what it is here, and why: each is a field of a settings class."""

from __future__ import annotations

from minilib.papers.object_centric_diffusion.baselines import REDUCED
from minilib.papers.object_centric_diffusion.control import OBJECT_CENTRIC_CONTROL
from minilib.papers.object_centric_diffusion.method import OBJECT_CENTRIC


def choices() -> list[tuple[str, str, str]]:
    """(what is open, ours, the reason)."""
    merging, sampling = OBJECT_CENTRIC.merging, OBJECT_CENTRIC.sampling
    return [
        ("part of the keys that is kept", f"{merging.keep:g}", "gives the storage of 5.05 GB; the text says 1/16"),
        ("cells from which a destination is drawn", f"{merging.cell}", "half of what is kept stays unmerged, for eta"),
        ("window s_t", f"{merging.window} frames", "the smallest that merges over time and divides 8 frames"),
        ("likeliest counted over", "a window", "so that the caps of tokens a frame hold everywhere"),
        ("similarity of", "what keys are made of, after the norm", "tomesd takes the tokens before it"),
        ("what pairing keeps", "destinations, unmerged and targets, by layer, time and region", "maps then fit keys"),
        ("eta", f"{merging.eta:g}", "the middle of the printed 0.1, 0.5, 0.9; none is tuned on test clips"),
        ("gamma", f"{sampling.gamma:g}", "as printed"),
        ("phi, with an inversion", f"{sampling.phi}", 'the background is skipped, as "for localized editing tasks"'),
        ("phi, without", f"{OBJECT_CENTRIC_CONTROL.sampling.phi}", "a divisor of the 15 steps before both meet"),
        ("crop", "one size a clip, a place a frame", "frames stay a batch; what moves needs no larger crop"),
        ("margin", f"{OBJECT_CENTRIC.margin} cell, 4 in Stable Diffusion", "convolutions see a little of the ground"),
        (
            "normalise",
            "left out; where it is asked for by channel, over the clip, at T_b",
            "of no edit's error 0.44 were left without it on nine validation clips, 0.76 with it; on five large, by an "
            "earlier model, 0.51 without, 0.54 shifted by the crop's own ground, 0.70 by one mean for all channels",
        ),
        (
            "blending",
            "of colours: all self-attention, and cross-attention in a fifth of the steps, are the source's",
            "outlines stay: 0.32 (large) and 0.44 (small) of no edit's error on validation clips, not 0.65 and 0.61",
        ),
        (
            "guidance of edits",
            f"{OBJECT_CENTRIC.guidance:g}; at paper scale 7.5, by a ControlNet 12.5",
            "optimised, 0.35 and 0.49 (a large and a small validation clip) of no edit's error; 0.59 and 0.67 at 7.5",
        ),
        ("inverse of DPM++", "DDIM's", "no other is named, and both then use the same times"),
        ("DPM++'s past at T_b", "begins anew", "its past outputs have another size"),
        ("inversion of the crop", "whole frames up to T_b, then the crop", "Table 6.6's inversion falls with it, too"),
        ("frames after optimisation", "all look at all", "the storage of 5.05 GB has all 8"),
        ("reduced rate of the ControlNet", f"every {REDUCED.every}nd step", "the least reduction"),
        ("CLIP of the two scores", "the second small CLIP", "as the one that conditions; so errors stand beside it"),
        ("latency", "inversion and generation, without the autoencoder", "and the UNet by itself beside it"),
    ]

"""What the chapter leaves open, what it is here, and why. What can be chosen is a field of a settings class."""

from __future__ import annotations

from minilib.papers.object_centric_diffusion.baselines import REDUCED
from minilib.papers.object_centric_diffusion.control import OBJECT_CENTRIC_CONTROL
from minilib.papers.object_centric_diffusion.method import OBJECT_CENTRIC


def choices() -> list[tuple[str, str, str]]:
    """(what is open, ours, the reason)."""
    merging, sampling = OBJECT_CENTRIC.merging, OBJECT_CENTRIC.sampling
    return [
        ("part of the keys that is kept", f"{merging.keep:g}", "gives the storage of 5.05 GB; the text says 1/16"),
        (
            "tokens a frame that are left at least",
            ", ".join(f"{least} at 1/{factor} of the latents' side" for factor, least in merging.caps),
            "the thesis' 16 and 4 at 16 x 16 and 8 x 8; the small UNet has 1/1 and 1/2 alone, where no cap acts: at "
            "8 x 8 2 of 64 tokens are left, each a destination, and eta has nothing to spare there",
        ),
        ("mask on the latents' cells", "a cell with any pixel of the object", "nothing of the object is left out"),
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
            "on validation clips it gave objects the tint of their ground; for test clips see the verdicts",
        ),
        (
            "blending",
            "of colours: all self-attention, and cross-attention in a fifth of the steps, are the source's",
            "outlines stay; chosen on validation clips, alike for every pipeline with an inversion but frame by frame",
        ),
        (
            "guidance of edits",
            f"{OBJECT_CENTRIC.guidance:g}; at paper scale 7.5, by a ControlNet 12.5",
            "chosen on validation clips, where 7.5 left more of the error, alike for every pipeline",
        ),
        ("inverse of DPM++", "DDIM's", "no other is named, and both then use the same times"),
        ("DPM++'s past at T_b", "begins anew", "its past outputs have another size"),
        ("inversion of the crop", "whole frames up to T_b, then the crop", "Table 6.6's inversion falls with it, too"),
        ("frames after optimisation", "all look at all", "the storage of 5.05 GB has all 8"),
        ("reduced rate of the ControlNet", f"every {REDUCED.every}nd step", "the least reduction"),
        ("CLIP of the two scores", "the second small CLIP", "as the one that conditions; so errors stand beside it"),
        (
            "latency",
            "inversion and generation, without the autoencoder",
            "beside it the UNet with what maps add; the thesis' UNet is without",
        ),
        ("precision", "the UNet in bfloat16 where quality is measured, in float32 where time is", "half the time"),
        ("ControlVideo's words", "the prompt alone", "its suffix of praise and its negative prompt mean nothing here"),
    ]

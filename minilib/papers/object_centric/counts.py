"""Every number of OCA's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {measure: value}: 10^6 tunable parameters, the classifier left out, and 10^9 operations of three
views. No single convention meets all printed operations, so two are counted:

- `gflops`: the reading that meets most of them. Trained parts at two operations a multiply-add; of the image model one
  a multiply-add, its attention modules not counted at all (as a counter does that knows linear layers and no
  `nn.MultiheadAttention`), and the joint projection applied to all tokens.
- `macs` (Table 1): the suite's own (`minilib.cost`), one a multiply-add, attention and LayerNorms included, for both.

Nothing is computed on data.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import nn

from minilib.cost import multiply_adds, tunable_parameters
from minilib.models.clip import TINY, VIT_B16, VIT_L14, Architecture, FrameFeatures, build
from minilib.models.slots import LearnedQueries, ProjectedSlotAttention
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.dist import counts as dist_counts
from minilib.papers.object_centric import method as oc
from minilib.papers.zeroi2v import counts as zeroi2v_counts

VIEWS = 3
ARCHITECTURES = {"b16": VIT_B16, "l14": VIT_L14}


class _Uncounted(nn.Module):
    """Stands where an attention module stood, and costs nothing."""

    def forward(self, x, *args, **kwargs):
        return x, None


@cache
def tower(architecture: Architecture) -> nn.Module:
    """The real image tower without weights."""
    with torch.device("meta"):
        return build(architecture, tokenize=lambda texts: None).visual


@cache
def backbone_frame(architecture: Architecture, attention: bool) -> int:
    """Multiply-adds of one frame; without `attention`, as the paper's totals suggest, but with all tokens projected."""
    vit = copy.deepcopy(tower(architecture))
    size = architecture.vision["image_size"]
    pixels = torch.empty(1, 3, size, size, device="meta")
    if attention:
        vit.proj = None  # as in the counts of the other papers
        return multiply_adds(vit, pixels)
    for block in vit.transformer.resblocks:
        block.attn = _Uncounted()
    patches = (size // architecture.vision["patch_size"]) ** 2
    return multiply_adds(vit, pixels) + patches * architecture.vision["width"] * architecture.embed_dim


def paper_slots(width: int, slots: int = 8) -> ProjectedSlotAttention:
    """Slot attention in the order in which the paper writes, and counts, it."""
    return ProjectedSlotAttention(width, LearnedQueries(slots, width))


@dataclass(frozen=True)
class Design:
    """What the tables vary: clips, image model and the parts of `oc.oca`."""

    frames: int = 8
    architecture: Architecture = VIT_B16
    tokens: oc.Make = paper_slots
    interact: oc.Make = oc.Interaction
    change: oc.Make = oc.StateChanges


def model(design: Design) -> oc.ObjectCentric:
    """The trained part on the meta device."""
    parts = dict(tokens=design.tokens, interact=design.interact, change=design.change)
    with torch.device("meta"):
        return oc.oca(tower(design.architecture), design.frames, 1, **parts)


def every(*deltas: int) -> oc.Make:
    """State changes over these intervals."""
    return partial(oc.StateChanges, deltas=deltas)


def features(design: Design) -> FrameFeatures:
    """One clip's features of the last block, shapes only."""
    vision = design.architecture.vision
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    lead = (1, 1, design.frames)
    with torch.device("meta"):
        return FrameFeatures(torch.empty(*lead, vision["width"]), torch.empty(*lead, patches, vision["width"]))


def projecting(design: Design) -> int:
    """Multiply-adds of one clip's projection into the joint space: the image model's, and counted there."""
    vision, frames = design.architecture.vision, design.frames
    return frames * (features(design).patches.shape[3] + 1) * vision["width"] * design.architecture.embed_dim


def counted(design: Design, total: bool = False) -> dict[str, float]:
    """tunable (10^6) and gflops (10^9, all views) of the trained part, or with the image model in `total`."""
    trained = model(design)
    macs = multiply_adds(trained, features(design), layer_norm_cost=0) - projecting(design)
    gflops = VIEWS * 2 * macs / 1e9
    if total:
        gflops += VIEWS * design.frames * backbone_frame(design.architecture, attention=False) / 1e9
    return {"tunable": tunable_parameters(trained, ["head"]) / 1e6, "gflops": gflops}


def macs(design: Design) -> float:
    """10^9 multiply-adds of three views of the whole model in the suite's own convention."""
    trained = multiply_adds(model(design), features(design)) - projecting(design)
    return VIEWS * (trained + design.frames * backbone_frame(design.architecture, attention=True)) / 1e9


# --- one function a table --------------------------------------------------------------------------------------------


def table_1() -> dict[str, float]:
    """Tables 1 and 2: the whole model, delta = T / 4."""
    out = {}
    for name, architecture, frames in (
        ("b16.8", VIT_B16, 8),
        ("b16.16", VIT_B16, 16),
        ("b16.32", VIT_B16, 32),
        ("l14.32", VIT_L14, 32),
    ):
        design = Design(frames, architecture)
        found = counted(design, total=True) | {"macs": macs(design)}
        out |= {f"t1.{name}.{kind}": value for kind, value in found.items()}
    return out


def table_6() -> dict[str, float]:
    """Frames and interval, without the image model."""
    rows = {(t, d): Design(t, change=every(d)) for t, d in ((4, 1), (8, 2), (8, 4), (16, 2), (16, 4))}
    return {f"t6.{t}.{d}.{kind}": v for (t, d), design in rows.items() for kind, v in counted(design).items()}


def table_7() -> dict[str, float]:
    """Number of object tokens; one is the frame's mean (and needs no interaction), none are the patches."""
    rows = {
        "1": Design(tokens=oc.MeanToken, interact=nn.Identity),
        "4": Design(tokens=partial(paper_slots, slots=4)),
        "8": Design(),
        "16": Design(tokens=partial(paper_slots, slots=16)),
        "none": Design(tokens=oc.PatchTokens),
    }
    out = {f"t7.{n}.{kind}": v for n, design in rows.items() for kind, v in counted(design, total=True).items()}
    patches = features(rows["none"]).patches.shape[3]
    return out | {f"t7.{n}.tokens": 8 * (patches if n == "none" else int(n)) for n in rows}


def table_8() -> dict[str, float]:
    """Interval delta at eight frames, and all intervals."""
    rows = {str(delta): (delta,) for delta in range(1, 8)} | {"all": tuple(range(1, 8))}
    out = {}
    for name, deltas in rows.items():
        design = Design(change=every(*deltas))
        out |= {f"t8.{name}.{kind}": value for kind, value in counted(design, total=True).items()}
        out[f"t8.{name}.changes"] = float(len(model(design).change.first))
    return out


def table_12() -> dict[str, float]:
    """Which interactions there are; 16 frames, delta 4, without the image model."""
    none, oi, ti, ta = nn.Identity, oc.Interaction, oc.StateChanges, oc.TemporalAttention
    rows = {
        "none": (none, none),
        "oi": (oi, none),
        "ti": (none, ti),
        "ta": (none, ta),
        "oi_ti": (oi, ti),
        "oi_ta": (oi, ta),
    }
    return {
        f"t12.{name}.{kind}": value
        for name, (interact, change) in rows.items()
        for kind, value in counted(Design(16, interact=interact, change=change)).items()
    }


def rivals() -> dict[str, float]:
    """ST-Adapter, AIM, EVL and DiST in Tables 1 and 2, 32 frames: computation of three views, tunable parameters."""
    rows = {
        "st_adapter.b16.32.one": (VIT_B16, STAdapter),
        "st_adapter.b16.32": (VIT_B16, partial(STAdapter, places=("attention", "mlp"))),
        "aim.b16.32.three": (VIT_B16, AIM),
        "aim.b16.32.four": (VIT_B16, partial(AIM, temporal_adapters=2)),
        "evl.l14.32": (VIT_L14, EVL),
        "evl.l14.32.ssv2": (VIT_L14, partial(EVL, layers=12)),
    }
    out = {}
    for name, (architecture, method) in rows.items():
        with torch.device("meta"):
            whole = method(zeroi2v_counts.visual(architecture), 32, 1)
            whole.head = nn.Identity()
        out[f"peer.{name}.gflops"] = zeroi2v_counts.giga(whole, 32, clips=True)
        out[f"peer.{name}.tunable"] = tunable_parameters(whole) / 1e6
    for data, design in (("k400", dist_counts.K400), ("ssv2", dist_counts.SSV2)):
        for name, architecture in ARCHITECTURES.items():
            one = dist_counts.giga(replace(design, frames=32), architecture)
            out[f"peer.dist.{name}.32.{data}.gflops"] = VIEWS * one
    return out


def shares(found: dict[str, float]) -> dict[str, float]:
    """The savings that the text speaks of, in per cent, from what has been counted."""
    tunable = found["t1.b16.8.tunable"]
    return {
        "abstract.share_of_full": 100 * tunable / 121,
        "abstract.share_of_efficient": 100 * tunable / 13,
        "sec4.2.saving": 100 * (1 - found["t1.l14.32.macs"] / found["peer.dist.l14.32.k400.gflops"]),
    }


def frozen_gradients() -> dict[str, float]:
    """How many parameters of the image model receive a gradient in a training step; on a tiny one, really run."""
    clip = build(TINY, tokenize=lambda texts: None)
    whole = oc.OnFrames(clip, oc.oca(clip.visual, 2, 3, tokens=partial(oc.slot_tokens, slots=2)))
    whole(torch.zeros(1, 2, 16, 16, 3, dtype=torch.uint8)).sum().backward()
    return {"sec3.3.frozen_gradients": float(sum(p.numel() for p in clip.parameters() if p.grad is not None))}


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    found = table_1() | table_6() | table_7() | table_8() | table_12() | rivals()
    return found | shares(found) | frozen_gradients()


if __name__ == "__main__":
    for measure, value in count_all().items():
        print(f"{measure:40s} {value:.4f}")

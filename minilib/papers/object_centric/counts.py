"""Every number of OCA's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {metric: value}: 10^6 tunable parameters, the classifier left out, and 10^9 operations of three
views. No single convention meets all printed operations, so two are counted:

- `gflops`: the reading that meets most of them. Trained parts at two operations a multiply-add; of the image model one
  a multiply-add, its attention modules not counted at all (as a counter does that knows linear layers and no
  `nn.MultiheadAttention`), and the joint projection applied to all tokens.
- `macs` (Table 1): the suite's own (`minilib.cost`), one a multiply-add, attention and LayerNorms included, for both.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from minilib.claims import load
from minilib.cost import LAYER_NORM_COST, multiply_adds, tunable_parameters
from minilib.models.clip import TINY, VIT_B16, VIT_L14, Architecture, FrameFeatures, build, without_words
from minilib.models.slots import ProjectedSlotAttention, SlotAttention
from minilib.papers.baselines import counts as baselines
from minilib.papers.object_centric import method as oc
from minilib.papers.object_centric.variants import DESIGNS, ROWS, Design

VIEWS = 3


class _Uncounted(nn.Module):
    """Stands where an attention module stood, and costs nothing."""

    def forward(self, x, *args, **kwargs):
        return x, None


@cache
def tower(architecture: Architecture) -> nn.Module:
    """The real image tower without weights."""
    return without_words(architecture).visual


@cache
def frame_macs(architecture: Architecture, attention: bool) -> int:
    """Multiply-adds of one frame in the image model, without its projection; or as the paper's totals suggest: without
    attention, all tokens projected."""
    vit, vision = copy.deepcopy(tower(architecture)), architecture.vision
    size = vision["image_size"]
    pixels = torch.empty(1, 3, size, size, device="meta")
    if attention:
        vit.proj = None
        return multiply_adds(vit, pixels)
    for block in vit.transformer.resblocks:
        block.attn = _Uncounted()
    patches = (size // vision["patch_size"]) ** 2
    return multiply_adds(vit, pixels) + patches * vision["width"] * architecture.embed_dim


@dataclass(frozen=True)
class Counted:
    """A design at the real size, on the meta device, in clips of `frames`."""

    design: Design = oc.oca
    frames: int = 8
    architecture: Architecture = VIT_B16

    def model(self) -> oc.ObjectCentric:
        """The trained part. Its slot attention works in the order in which the paper writes, and counts, it."""
        with torch.device("meta"):
            trained = self.design(tower(self.architecture), self.frames, 1)
        if isinstance(trained.decompose, SlotAttention):
            trained.decompose.__class__ = ProjectedSlotAttention
        return trained

    def features(self) -> FrameFeatures:
        """One clip's features of the last block, shapes only."""
        vision, lead = self.architecture.vision, (1, 1, self.frames)
        patches = (vision["image_size"] // vision["patch_size"]) ** 2
        with torch.device("meta"):
            return FrameFeatures(torch.empty(*lead, vision["width"]), torch.empty(*lead, patches, vision["width"]))

    def trained_macs(self, layer_norm_cost: int) -> int:
        """Multiply-adds of one clip in the trained part; its projection to the joint space is the image model's."""
        features = self.features()
        projection = (features.cls.numel() + features.patches.numel()) * self.architecture.embed_dim
        return multiply_adds(self.model(), features, layer_norm_cost=layer_norm_cost) - projection


TABLES = {  # table: row of the claims file -> what is counted
    "t1": {f"b16.{t}": Counted(frames=t) for t in (8, 16, 32)} | {"l14.32": Counted(frames=32, architecture=VIT_L14)},
    "t6": {f"{t}.{d}": Counted(DESIGNS[f"delta{d}"], t) for t, d in ((4, 1), (8, 2), (8, 4), (16, 2), (16, 4))},
    **{
        f"t{number}": {row: Counted(DESIGNS[name], frames) for name, (_, row) in ROWS[number].items()}
        for number, frames in ((7, 8), (8, 8), (12, 16))
    },
}
WITH_IMAGE_MODEL = ("t1", "t7", "t8")


def counted(table: str, what: Counted) -> dict[str, float]:
    """tunable (10^6), gflops and macs (10^9, all views), in some tables with the image model; tokens of a clip, state
    changes of a slot."""
    trained, gflops = what.model(), VIEWS * 2 * what.trained_macs(layer_norm_cost=0) / 1e9
    if table in WITH_IMAGE_MODEL:
        gflops += VIEWS * what.frames * frame_macs(what.architecture, attention=False) / 1e9
    found = {"tunable": tunable_parameters(trained, ["head"]) / 1e6, "gflops": gflops}
    if table == "t1":
        image = what.frames * frame_macs(what.architecture, attention=True)
        return found | {"macs": VIEWS * (what.trained_macs(LAYER_NORM_COST) + image) / 1e9}
    parts = trained.parts(what.features())
    return found | {"tokens": float(parts.slots[0, ..., 0].numel()), "changes": float(parts.changes.shape[1])}


def savings(found: Mapping[str, float]) -> dict[str, float]:
    """The savings that the text speaks of, in per cent, of what has been counted and what is printed of others."""
    printed, tunable = load("object_centric").printed, found["t1.b16.8.tunable"]
    return {
        "abstract.share_of_full": 100 * tunable / printed["t1.timesformer.tunable"],
        "abstract.share_of_efficient": 100 * tunable / printed["t2.dualpath.tunable"],
        "sec4.2.saving": 100 * (1 - found["t1.l14.32.macs"] / printed["t2.dist.l14.gflops"]),
    }


def frozen_gradients() -> float:
    """How many parameters of the image model receive a gradient in a training step; on a tiny one, really run."""
    clip = build(TINY, tokenize=list)
    whole = oc.OnFrames(clip, oc.oca(clip.visual, 2, 3, tokens=partial(oc.slot_tokens, slots=2)))
    whole(torch.zeros(1, 2, 16, 16, 3, dtype=torch.uint8)).sum().backward()
    return float(sum(p.numel() for p in clip.parameters() if p.grad is not None))


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    cells = {f"{table}.{row}": counted(table, what) for table, rows in TABLES.items() for row, what in rows.items()}
    cells |= {f"baseline.{name}": baselines.counted(*each) for name, each in baselines.AT_32_FRAMES.items()}
    found = {f"{name}.{kind}": value for name, cell in cells.items() for kind, value in cell.items()}
    return found | savings(found) | {"sec3.3.frozen_gradients": frozen_gradients()}

"""Open-vocabulary localization as a diagram: from frames to tubes, from patches to names, and both joined."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from minilib import diagrams as draw
from minilib.papers.open_vocabulary.figures import coloured
from minilib.plots import COLOURS
from minilib.world.localization import localization_batch, patch_masks
from minilib.world.vocabulary import SHAPES

IDEA = (
    "Three frames of a clip, time to the right. Upper way: a frozen video encoder, then slot attention over all "
    "patches of all frames; out come the same frames, each object under the colours of its slots, the left object "
    "under two. Lower way: a frozen CLIP with a new last block gives each patch a vector of its own; the mean of the "
    "vectors of a slot is compared with words. Slots that touch and have one name become one: the frames again, with "
    "one named box around each object."
)
CLIP, SHOWN, GRID = 1, (0, 4, 7), 12  # the clip, its frames, patches a side
LOWER = 4  # the slot of the lower half of an object


def idea() -> Figure:
    """Above, where: tubes. Below, what: names. Right, joined."""
    axis = draw.canvas(20, 8.4)
    clips = localization_batch(0, "val", [CLIP])
    frames, ids = clips.frames[0, list(SHOWN)], clips.ids[0, list(SHOWN)]
    owners = patch_masks(ids[None], GRID, clips.names.shape[1])[0].int().argmax(1)  # (t, r, c)

    slots = split(owners)

    shown = draw.frames(axis, 1.0, 4.2, frames, 1.7, 0.2)
    encoder = draw.box(axis, 7.7, 6.5, "video encoder\n(learned to fill in\nhidden patches)", 3.0, 1.7, "frozen")
    grouping = draw.box(
        axis, 11.5, 6.5, "slot attention:\nslots compete for the\npatches of all frames", 3.4, 1.7, "trained"
    )
    tubes = draw.frames(axis, 14.9, 6.5, coloured(frames, slots, [0, 1, 2, LOWER]), 1.7, 0.2)
    _way(axis, (shown[-1].right[0], 4.8), encoder, grouping, tubes[0])

    clip = draw.box(axis, 7.2, 1.9, "CLIP without\nits last block", 2.3, 1.3, "frozen")
    block = draw.box(axis, 9.9, 1.9, "a new block:\neach patch gets\na meaning", 2.3, 1.5, "trained")
    mean = draw.box(axis, 12.5, 1.9, "mean in\neach slot,\nnearest word", 2.1, 1.5)
    joined = draw.frames(axis, 14.9, 1.9, frames, 1.7, 0.2)
    _way(axis, (shown[-1].right[0], 3.6), clip, block, mean, joined[0])
    draw.arrow(axis, (tubes[0].x, tubes[0].bottom[1]), mean.top, "", draw.FAINT, 0.1)
    for t, frame in zip(SHOWN, joined, strict=True):
        for k, name in enumerate(clips.names[0].tolist()):
            if bool(clips.there[0, t, k]):
                _box(axis, frame, clips.boxes[0, t, k], COLOURS[k], SHAPES[name])

    draw.label(axis, (2.9, 5.75), "a clip", 9)
    draw.label(axis, (16.9, 7.95), "1. Where: one slot, one thing, in all frames", 9)
    draw.label(axis, (9.6, 0.55), "2. What: learned from pictures, without a label", 9)
    draw.label(axis, (17.0, 0.55), "3. Slots of one name that touch become one", 9)
    draw.legend(axis, 0.4, 0.5, (draw.FROZEN, "frozen"), (draw.TRAINED, "trained without labels"))
    return axis.figure


def split(owners: Tensor) -> Tensor:
    """Objects as slots: owners (t, r, c), 0 the ground, to slots of the same shape, -1 the ground. The first object
    fell into an upper slot and a lower one, as happens."""
    slots = owners - 1
    rows = torch.arange(owners.shape[1])[None, :, None].expand_as(owners)
    for t, mine in enumerate(owners == 1):
        if mine.any():
            slots[t][mine & (rows[t] > rows[t][mine].float().mean())] = LOWER
    return slots


def _way(axis, start: draw.Point, *steps: draw.Box) -> None:
    """Arrows from one step to the next."""
    for step in steps:
        draw.arrow(axis, start, step.left)
        start = step.right


def _box(axis, frame: draw.Box, box: Tensor, colour: str, name: str) -> None:
    """A box of pixels (4,) with its name on a frame."""
    unit = frame.width / 96
    left, top, right, bottom = (unit * side for side in box.tolist())
    corner = (frame.left[0] + left, frame.top[1] - bottom)
    axis.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.6, zorder=5))
    axis.text(corner[0] + 0.04, corner[1] + bottom - top - 0.02, name, fontsize=6, color="white", va="top", zorder=7,
              bbox=dict(facecolor=colour, edgecolor="none", pad=0.6))  # fmt: skip

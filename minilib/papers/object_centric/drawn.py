"""OCA as pictures: patches, slots, and what changes in a slot; identities over a clip; which frames meet."""

from __future__ import annotations

import torch
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn.functional import avg_pool2d

from minilib import diagrams as draw
from minilib.claims.words import several
from minilib.papers.object_centric.method import StateChanges
from minilib.plots import COLOURS
from minilib.world.segmentation import LARGE, segmentation_batch

IDEA = (
    "Three frames under one another, their patches coloured by the object that covers them. Each frame goes through a "
    "frozen image model and through slot attention, and becomes a row of four discs, the slots. A frame around a row "
    "says that the slots of a frame read one another. An arrow leads from each slot to the same slot one frame later; "
    "the mean of these changes names the action."
)
ROWS, PATCHES, SLOTS = (5.4, 3.3, 1.2), 8, 4  # the frames' heights; patches a side
COLOURED = ListedColormap(COLOURS)  # the colours of identities


def idea() -> Figure:
    """Time runs down. Left: frames with the true masks. Middle: their slots. Right: what the classifier sees."""
    axis = draw.canvas(15, 7.2)
    pixels, truth = segmentation_batch(0, "val", [1], len(ROWS), scale=LARGE)
    model = draw.box(axis, 3.3, 3.3, "image\nmodel", 1.2, 5.6, "frozen")
    attention = draw.box(axis, 5.4, 3.3, "slots\ncompete\nfor\npatches", 1.5, 5.6, "trained")
    before = None
    for t, y in enumerate(ROWS):
        (frame,) = draw.frames(axis, 1.1, y, pixels[0, t : t + 1], 1.5, first=t + 1)
        for number in (1, 2, 3):
            draw.tokens(axis, frame, PATCHES, PATCHES, _covered(truth[0, t], number), draw.SLOTS[number])
        row = draw.slots(axis, 7.5, y, SLOTS, 0.7)
        draw.arrow(axis, frame.right, (model.left[0], y))
        draw.arrow(axis, (model.right[0], y), (attention.left[0], y))
        draw.arrow(axis, (attention.right[0], y), row[0].left)
        corner = (row[0].left[0] - 0.15, y - 0.5)
        axis.add_patch(Rectangle(corner, 3.85, 1.0, fill=False, edgecolor=draw.INK, linestyle=":", zorder=4))
        for k, slot in enumerate(row):
            if before:
                draw.arrow(axis, before[k].bottom, slot.top, colour=draw.SLOTS[k])
        before = row
    mean = draw.box(axis, 12.2, 3.3, "mean of\nall changes", 1.8, 1.0, "trained")
    answer = draw.box(axis, 14.2, 3.3, "which\naction?", 1.3, 1.0, "plain")
    for y in (4.35, 2.25):
        draw.arrow(axis, (10.6, y), mean.left)
    draw.arrow(axis, mean.right, answer.left)
    draw.label(axis, (8.95, 6.5), "slots of one frame read one another", 9)
    draw.label(axis, (12.9, 4.8), "state changes: a slot,\nand the same slot later", 9)
    draw.legend(axis, 10.9, 0.6, (draw.FROZEN, "frozen"), (draw.TRAINED, "trained"))
    return axis.figure


def _covered(truth: Tensor, number: int) -> list[int]:
    """Patches of a frame (h, w) that are mostly this object's."""
    share = avg_pool2d((truth == number).float()[None], truth.shape[-1] // PATCHES)
    return (share.flatten() > 0.5).nonzero().flatten().tolist()


def coloured(clip: Tensor, ids: Tensor, strength: float = 0.6) -> Tensor:
    """The clip uint8 (t, h, w, 3) with each identity (t, h', w') but 0 in a colour of its own laid over; h and w are
    multiples of h' and w'."""
    times = clip.shape[1] // ids.shape[1]
    ids = ids.long().cpu().repeat_interleave(times, 1).repeat_interleave(times, 2)
    palette = torch.tensor([to_rgb(colour) for colour in COLOURS])
    over = 255 * palette[(ids - 1) % len(COLOURS)]
    mixed = ((1 - strength) * clip.cpu() + strength * over).round().to(torch.uint8)
    return torch.where((ids > 0)[..., None], mixed, clip.cpu())


def meetings(clip: Tensor, delta: int) -> Figure:
    """The frames of a clip uint8 (t, h, w, 3) in a row, and an arc for each two that are compared at an interval."""
    frames = len(clip)
    axis = draw.canvas(13.6, 3.4)
    row = draw.frames(axis, 0.9, 0.85, clip, 1.3, 0.35)
    change = StateChanges(1, frames, (delta,))
    for k, (first, last) in enumerate(zip(change.first.tolist(), change.last.tolist(), strict=True)):
        start, end = ((row[t].x, row[t].top[1] + 0.4) for t in (first, last))
        draw.arrow(axis, start, end, colour=draw.SLOTS[k % len(draw.SLOTS)], bend=-0.9 / (delta + 1))
    met = {*change.first.tolist(), *change.last.tolist()}
    left = f"{several(frames - len(met), 'frames')} never compared" if len(met) < frames else "every frame is compared"
    text = f"δ = {delta}: {several(len(change.first), 'pairs')}, {left}"
    draw.label(axis, (0.2, 3.1), text, 10, align="left")
    return axis.figure

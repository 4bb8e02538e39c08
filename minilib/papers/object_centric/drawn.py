"""OCA as a diagram: patches, slots, and what changes in a slot."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn.functional import avg_pool2d

from minilib import diagrams as draw
from minilib.world.segmentation import LARGE, segmentation_batch

IDEA = (
    "Three frames under one another, their patches coloured by the object that covers them. Each frame goes through a "
    "frozen image model and through slot attention, and becomes a row of four discs, the slots. A frame around a row "
    "says that the slots of a frame read one another. An arrow leads from each slot to the same slot one frame later; "
    "the mean of these changes names the action."
)
ROWS, PATCHES, SLOTS = (6.5, 4.0, 1.5), 8, 4  # the frames' heights; patches a side


def idea() -> Figure:
    """Time runs down. Left: frames with the true masks. Middle: their slots. Right: what the classifier sees."""
    axis = draw.canvas(20, 8.6)
    pixels, truth = segmentation_batch(0, "val", [1], len(ROWS), scale=LARGE)
    model = draw.box(axis, 4.4, 4.0, "image\nmodel", 1.5, 6.8, "frozen")
    attention = draw.box(axis, 6.9, 4.0, "slot\nattention:\nslots\ncompete\nfor\npatches", 1.7, 6.8, "trained")
    before = None
    for t, y in enumerate(ROWS):
        (frame,) = draw.frames(axis, 1.5, y, pixels[0, t : t + 1], 1.8, first=t + 1)
        for number in (1, 2, 3):
            draw.tokens(axis, frame, PATCHES, PATCHES, _covered(truth[0, t], number), draw.SLOTS[number])
        row = draw.slots(axis, 9.6, y, SLOTS, 0.8)
        draw.arrow(axis, frame.right, (model.left[0], y))
        draw.arrow(axis, (model.right[0], y), (attention.left[0], y))
        draw.arrow(axis, (attention.right[0], y), row[0].left)
        corner = (row[0].left[0] - 0.2, y - 0.6)
        axis.add_patch(Rectangle(corner, 4.45, 1.2, fill=False, edgecolor=draw.INK, linestyle=":", zorder=4))
        for k, slot in enumerate(row):
            if before:
                draw.arrow(axis, before[k].bottom, slot.top, colour=draw.SLOTS[k])
        before = row
    mean = draw.box(axis, 15.7, 4.0, "mean of\nall changes", 1.9, 1.1, "trained")
    answer = draw.box(axis, 18.6, 4.0, "which\naction?", 1.6, 1.1, "plain")
    for y in (5.25, 2.75):
        draw.arrow(axis, (13.4, y), mean.left)
    draw.arrow(axis, mean.right, answer.left)
    draw.label(axis, (11.3, 7.75), "interaction: slots of one frame read one another", 9)
    draw.label(axis, (15.6, 5.75), "state changes: a slot and\nthe same slot later", 9)
    draw.legend(axis, 13.6, 0.6, (draw.FROZEN, "frozen"), (draw.TRAINED, "trained"))
    return axis.figure


def _covered(truth: Tensor, number: int) -> list[int]:
    """Patches of a frame (h, w) that are mostly this object's."""
    share = avg_pool2d((truth == number).float()[None], truth.shape[-1] // PATCHES)
    return (share.flatten() > 0.5).nonzero().flatten().tolist()

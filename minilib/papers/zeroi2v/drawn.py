"""ZeroI2V as diagrams: the whole idea, and which frame a head reads."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from minilib import diagrams as draw
from minilib.papers.zeroi2v.stdha import from_frame
from minilib.world import clip_batch

IDEA = (
    "Left: four frames of a rising object, and under each a column of six attention heads; in frame 3 the first head "
    "reads frame 2 and the second reads frame 4. Right: an adapter, down by D and up by U beside the identity, before "
    "a frozen weight W; below it the one merged weight."
)


def idea() -> Figure:
    """Left: heads that read another frame. Right: an adapter that folds into the weight beside it."""
    axis = draw.canvas(18, 6.6)
    rising, _ = clip_batch("motion", 0, "val", [3], 4)
    shown = draw.frames(axis, 1.2, 5.1, rising[0], 1.6, 0.7)
    for t, frame in enumerate(shown):
        column = draw.heads(axis, frame.x, 3.3, [-1 if t else 0, 1 if t < 3 else 0, 0, 0, 0, 0])
        if t == 2:
            draw.arrow(axis, shown[1].bottom, column[0].left, colour=draw.BACK)
            draw.arrow(axis, shown[3].bottom, column[1].right, colour=draw.AHEAD)
    draw.legend(axis, 0.5, 0.5, (draw.BACK, "reads a frame back"), (draw.AHEAD, "a frame ahead"), (draw.OWN, "its own"))
    draw.label(axis, (4.6, 6.45), "1. Some attention heads read another frame", 10)

    draw.label(axis, (14.2, 6.45), "2. What was trained folds away", 10)
    x, down = draw.box(axis, 11.3, 4.9, "x", 0.7), draw.box(axis, 13.2, 5.5, "D", 0.9, 0.7, "trained")
    up, plus = draw.box(axis, 14.8, 5.5, "s U", 0.9, 0.7, "trained"), draw.box(axis, 16, 4.9, "+", 0.6, 0.6)
    weight = draw.box(axis, 17.2, 4.9, "W", 0.9, 0.9, "frozen")
    way = ((x, down), (down, up), (x, plus), (plus, weight))
    for start, end in way:
        draw.arrow(axis, start.right, end.left)
    draw.arrow(axis, up.right, plus.top)
    draw.label(axis, (14.2, 3.6), "= after training: one matrix of the old size", 9, draw.FAINT)
    again, merged = draw.box(axis, 11.3, 2.4, "x", 0.7), draw.box(axis, 15, 2.4, "W (I + s U D)", 3.2, 0.9, "frozen")
    draw.arrow(axis, again.right, merged.left)
    draw.legend(axis, 11.2, 0.5, (draw.FROZEN, "frozen"), (draw.TRAINED, "trained"))
    return axis.figure


def reads(offset: int, frames: int = 6) -> Figure:
    """Which frame a head with this offset reads, for every frame of a clip."""
    axis = draw.canvas(2 * frames + 0.4, 3.4)
    rising, _ = clip_batch("motion", 0, "val", [3], frames)
    shown = draw.frames(axis, 1.1, 2.2, rising[0], 1.4, 0.6)
    for t, source in enumerate(from_frame(torch.arange(frames)[None], offset)[0].tolist()):
        (head,) = draw.heads(axis, shown[t].x, 0.5, [source - t])
        colour = draw.AHEAD if source > t else draw.BACK if source < t else draw.FAINT
        draw.arrow(axis, shown[source].bottom, head.top, colour=colour)
    return axis.figure

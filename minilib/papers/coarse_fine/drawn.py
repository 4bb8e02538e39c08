"""Coarse-Fine as pictures: the whole idea, where a grid puts its points, how wide a Gaussian looks, and films with a
line of time under them.

Axes: t frames, h and w pixels, n points, k rows of the line of time.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from minilib import diagrams as draw
from minilib.clips import enlarged
from minilib.papers.coarse_fine.fusion import gaussians
from minilib.papers.coarse_fine.grid import leading_zero_grid
from minilib.papers.coarse_fine.variants import inverse_grid
from minilib.plots import COLOURS
from minilib.world import LongClips

IDEA = (
    "Above: nine frames of a long clip, a bar over the four in which something happens, and an X3D that reads them "
    "all, the Fine stream. Below: six frames that Grid Pool chose, the four among them, and a second X3D, the Coarse "
    "stream. An arrow from the first to the second is Multi-stage Fusion; Grid Unpool leads to a score for every frame."
)
RULES = {"released": leading_zero_grid, "our inverse": inverse_grid}
ROW, SCALE = 5, 2  # pixels of a row of the line of time, and of a pixel of the clip


def idea() -> Figure:
    """Two streams, what the second one chooses, and what it hears from the first."""
    axis = draw.canvas(19, 7.4)
    source = LongClips("val", 16).rendered
    frames, happens = source.frames[10, 16:34:2], source.informative[10, 16:34:2]
    fine = draw.frames(axis, 1.0, 5.7, frames, 1.1, 0.2)
    for place, busy in zip(fine, happens.tolist(), strict=True):
        if busy:
            bar = (place.left[0] - 0.1, place.top[1] + 0.42)
            axis.add_patch(Rectangle(bar, place.width + 0.2, 0.16, facecolor=draw.SLOTS[2], zorder=4))
    draw.label(axis, (6.2, 7.15), "1. The Fine stream reads every frame, and keeps details", 10)
    chosen = [0, *happens.nonzero().flatten().tolist(), len(fine) - 1]
    places = torch.linspace(1.0, fine[-1].x, len(chosen)).tolist()
    for x, t in zip(places, chosen, strict=True):
        (kept,) = draw.frames(axis, x, 1.9, frames[t : t + 1], 1.1, first=t + 1)
        draw.arrow(axis, fine[t].bottom, (kept.x, kept.top[1] + 0.4), colour=draw.AHEAD)
    draw.label(axis, (6.2, 0.8), "2. Grid Pool: the Coarse stream reads few frames, where something happens", 10)
    streams = [
        draw.box(axis, 14.1, y, name, 1.9, 1.0, "plain") for y, name in ((5.7, "X3D\nFine"), (1.9, "X3D\nCoarse"))
    ]
    for row, stream in zip((fine[-1], draw.Box(fine[-1].x, 1.9, 1.1, 1.1)), streams, strict=True):
        draw.arrow(axis, row.right, stream.left)
    draw.arrow(axis, streams[0].bottom, streams[1].top, colour=draw.BACK)
    draw.label(axis, (14.3, 3.8), "3. Multi-stage Fusion:\na scale and a shift", 9, draw.BACK, "left")
    scores = draw.box(axis, 17.6, 1.9, "a score for\nevery frame", 2.1, 1.0)
    draw.arrow(axis, streams[1].right, scores.left)
    draw.label(axis, (16.2, 0.8), "4. Grid Unpool", 9)
    return axis.figure


def huddled(confidence: Tensor, frames: int, sure: Sequence[int]) -> Figure:
    """Where both rules put their points for confidences (n,), of which the intervals `sure` are shaded."""
    step = frames // len(confidence)
    figure, axis = plt.subplots(figsize=(7.4, 1.5))
    for i in sure:
        axis.axvspan(step * i - 0.5, step * (i + 1) - 0.5, color=COLOURS[4], alpha=0.35, linewidth=0)
    for height, (name, rule), colour in zip((0.7, 0.2), RULES.items(), (0, 2), strict=True):
        points, _ = rule(confidence[None], frames)
        axis.plot(points[0], [height] * points.shape[1], "|", color=COLOURS[colour], markersize=13)
        axis.text(-1.5, height, name, color=COLOURS[colour], ha="right", va="center", fontsize=8)
    axis.set(ylim=(0, 1), xlim=(-1, frames), yticks=[], xlabel="time, frames; shaded: where the head is sure")
    axis.spines["left"].set_visible(False)
    return figure


def looks(centres: Tensor, frames: int, width: float) -> Figure:
    """The Gaussians of one sigma around centres (n,), a row each; and what evenly spaced ones gather of an action of
    eight frames and of one single frame."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.1))
    everything = torch.ones(1, frames, dtype=torch.bool)
    axes[0].imshow(gaussians(centres[None], everything, width)[0], aspect="auto", vmin=0, vmax=1)
    axes[0].set(xlabel="fine frame t", ylabel="coarse frame j", title="$G_j(t)$, dark 0, bright 1")
    x = torch.zeros(frames)
    x[10:18] = x[48] = 1
    even = torch.linspace(0, frames - 1, len(centres))[None]
    weights = gaussians(even, everything, width)[0]
    axes[1].bar(range(frames), x, color=COLOURS[5], width=1.0, label="fine frames")
    axes[1].plot(even[0], weights @ x / weights.sum(1), "o-", color=COLOURS[1], label="gathered")
    axes[1].set(ylim=(0, 1.05), xlabel="time, frames", title="an action of eight frames, one of a single frame")
    axes[1].legend(loc="upper right")
    return figure


# --- films -----------------------------------------------------------------------------------------------------------


def held(clip: Tensor, places: Tensor) -> Tensor:
    """What a stream knows that reads a clip (t, h, w, 3) at places (n,) alone: at every time the last frame read."""
    at = torch.arange(len(clip), dtype=places.dtype)
    last = (torch.searchsorted(places.contiguous(), at, right=True) - 1).clamp(min=0)
    return clip[places.round().long().clamp(0, len(clip) - 1)[last]]


def timed(clip: Tensor, rows: Tensor) -> Tensor:
    """The clip uint8 (t, h, w, 3), enlarged, over a line of time: rows (k, t) in [0, 1] from white to blue, and a mark
    that moves along."""
    film = enlarged(clip, SCALE)
    t, _, width, _ = film.shape
    blue = torch.tensor([0.0, 114.0, 178.0])
    column = torch.arange(width) * t // width
    shades = 255 - rows[:, column, None].clamp(0, 1) * (255 - blue)
    line = shades.repeat_interleave(ROW, 0)
    line[ROW - 1 :: ROW] = 255
    under = line.byte().expand(t, -1, -1, -1).clone()
    for k in range(t):
        now = (column == k).nonzero().flatten()
        under[k, :, now] = torch.tensor([213, 94, 0], dtype=torch.uint8)
    return torch.cat([film, torch.full_like(film[:, :2], 255), under], 1)


def ticks(places: Tensor, frames: int) -> Tensor:
    """Points (n,) as a row of the line of time, (frames,)."""
    row = torch.zeros(frames)
    row[places.round().long().clamp(0, frames - 1)] = 1
    return row

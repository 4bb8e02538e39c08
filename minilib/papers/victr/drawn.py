"""VicTR as pictures: the whole idea, how loud a name is under a weight w, and affinities as films that play."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from minilib import diagrams as draw
from minilib.papers.victr.classifier import affinity
from minilib.plots import COLOURS
from minilib.world import clip_batch

IDEA = (
    "Left: four frames of an object that moves right; above each a column of tokens, one for the frame and one for "
    "each of three names, darker where name and frame agree. An outline around a column is cross-modal attention, one "
    "around a row temporal attention. Right: boost, attend, pool and weigh again, MLP, in a loop of L layers; then the "
    "cosine of the video and each name."
)
LOUDNESS = np.array([[0.75, 0.5, 0.3, 0.75], [0.6, 0.6, 0.5, 0.45], [0.15, 0.3, 0.5, 0.6]])  # only of the drawing


def idea() -> Figure:
    """Left: a token for each frame and name, and who reads whom. Right: what a layer does with them."""
    axis = draw.canvas(20, 7.6)
    film, _ = clip_batch("motion", 0, "val", [3], 4, motions=(0,))
    shown = draw.frames(axis, 4.7, 1.2, film[0], 1.5, 0.5)
    draw.box(axis, 7.7, 2.65, "image model", 7.6, 0.45, "frozen")
    draw.box(axis, 3.1, 5.35, "text\nmodel", 0.95, 2.5, "frozen")
    for row, name in enumerate(("moving right", "moving left", "growing")):
        y = 6.25 - 0.9 * row
        draw.label(axis, (2.5, y), f"“{name}”", 9, align="right")
        for frame, strength in zip(shown, LOUDNESS[row], strict=True):
            _token(axis, frame.x, y, draw.AHEAD, strength)
    for frame in shown:
        _token(axis, frame.x, 3.5, COLOURS[2], 0.8)
    draw.label(axis, (3.95, 3.5), "video", 9, align="right")
    column, row = shown[1], 6.25
    _outline(axis, column.x - 0.62, 3.05, 1.24, 3.68, draw.BACK)
    _outline(axis, shown[0].x - 0.8, row - 0.42, 7.6, 0.84, draw.INK)
    draw.label(axis, (5.7, 7.2), "1. A name gets a token for every frame", 10)
    draw.legend(axis, 11.9, 2.2, (draw.BACK, "cross-modal attention: the tokens of a frame"), step=0.55)
    draw.legend(axis, 11.9, 1.65, (draw.INK, "temporal attention: a token in all frames"), step=0.55)
    draw.legend(axis, 11.9, 1.1, (draw.AHEAD, "a name: the darker, the nearer to the frame"), step=0.55)
    draw.legend(axis, 11.9, 0.55, (COLOURS[2], "a frame's video token"), step=0.55)

    draw.label(axis, (15.8, 7.2), "2. Names and frames are updated together", 10)
    steps = (("boost", 12.5), ("attend\ntwice", 14.5), ("pool,\nweigh again", 16.7), ("MLP", 18.8))
    boxes = [draw.box(axis, x, 5.9, text, 1.5 if "again" not in text else 1.9, 0.95, "trained") for text, x in steps]
    for start, end in pairwise(boxes):
        draw.arrow(axis, start.right, end.left)
    draw.arrow(axis, boxes[3].bottom, boxes[1].bottom, bend=-0.35, colour=draw.FAINT)
    draw.label(axis, (16.7, 4.85), "L layers", 8, draw.FAINT)
    ends = [draw.box(axis, 13.3, y, text, 2.6, 0.6, "plain") for text, y in (("video", 3.95), ("each name", 3.15))]
    logit = draw.box(axis, 17.2, 3.55, "cosine = logit", 2.8, 0.7, "trained")
    for end in ends:
        draw.arrow(axis, end.right, logit.left)
    return axis.figure


def loudness(w: float, frames: int = 9) -> Figure:
    """How loud two names at right angles are while a frame turns from the first over the second to its opposite."""
    turn = torch.linspace(0, torch.pi, frames)
    weight = torch.sigmoid(w * affinity(torch.stack([turn.cos(), turn.sin()], 1), torch.eye(2)))
    figure, axis = plt.subplots(figsize=(5, 2))
    for k, marks in enumerate(("o-", "s--")):
        axis.plot(turn.rad2deg(), weight[:, k], marks, label=f"name {k + 1}")
    axis.set(xlabel="angle of the frame to name 1, degrees", ylabel="weight", ylim=(0, 1.05), xticks=range(0, 181, 45))
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves(values: Tensor, names: Sequence[str], label: str, side: int = 192) -> Tensor:
    """A film uint8 (t, side, side, 3): lines of values (t, n), up to the frame that plays."""
    return _film(values, side, lambda axis, t: _curves(axis, values, names, label, t))


def bars(values: Tensor, names: Sequence[str], right: int, side: int = 192) -> Tensor:
    """A film uint8 (t, side, side, 3): values (t, n) of each frame as bars, the right name's in colour."""
    return _film(values, side, lambda axis, t: _bars(axis, values, names, right, t))


def _curves(axis, values: Tensor, names: Sequence[str], label: str, t: int) -> None:
    for k, name in enumerate(names):
        axis.plot(range(1, t + 2), values[: t + 1, k], "o-", color=COLOURS[k], label=name, markersize=4)
    spare = 0.1 * float(values.max() - values.min()) or 0.1
    axis.set(xlim=(0.5, len(values) + 0.5), ylim=(float(values.min()) - spare, float(values.max()) + 4 * spare))
    axis.set_ylabel(label, fontsize=11)
    axis.set_xlabel("frame", fontsize=11)
    axis.tick_params(labelsize=10)
    axis.legend(
        loc="upper center", ncols=len(names), fontsize=10, handlelength=0.6, columnspacing=0.5, handletextpad=0.3
    )


def _bars(axis, values: Tensor, names: Sequence[str], right: int, t: int) -> None:
    colours = [COLOURS[1] if k == right else "0.6" for k in range(len(names))]
    axis.barh(range(len(names)), values[t], color=colours)
    limit = float(values.abs().max()) or 1.0
    axis.set(xlim=(-limit, limit), ylim=(len(names) - 0.4, -0.6), xticks=[0], xticklabels=[""])
    axis.set_yticks(range(len(names)), names, fontsize=10)
    axis.tick_params(length=0)


def _film(values: Tensor, side: int, paint) -> Tensor:
    """What `paint(axis, t)` draws for each frame t, as pixels."""
    pictures = []
    for t in range(len(values)):
        figure = Figure(figsize=(side / 72, side / 72), dpi=72, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        paint(figure.add_subplot(), t)
        canvas.draw()
        pictures.append(torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    return torch.stack(pictures)


def _token(axis, x: float, y: float, colour: str, strength: float) -> None:
    place = (x - 0.45, y - 0.27)
    axis.add_patch(Rectangle(place, 0.9, 0.54, facecolor=colour, alpha=strength, linewidth=0, zorder=3))
    axis.add_patch(Rectangle(place, 0.9, 0.54, fill=False, edgecolor=draw.INK, linewidth=0.8, zorder=4))


def _outline(axis, x: float, y: float, width: float, height: float, colour: str) -> None:
    axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.8, zorder=5))

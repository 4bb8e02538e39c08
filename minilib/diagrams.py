"""The suite's diagrams: frames, tokens, heads, slots, layers and what flows between them, all in one style.

    axis = canvas(9, 3)
    strip = frames(axis, 0, 2, clip)                      # a clip's own pictures, in a row
    layer = box(axis, 5, 2, "W", kind="frozen")
    arrow(axis, strip[0].right, layer.left, "reads")

One unit is half an inch, y points up, every shape is given by its centre and returned as a `Box` whose sides arrows can
start from. Colours mean the same on every page: `FROZEN` was trained on images and stays, `TRAINED` is new,
`BACK` and `AHEAD` read an earlier and a later frame, `OWN` its own frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import Tensor

from minilib.plots import COLOURS

INCHES = 0.5  # a unit
INK, FAINT = "#1a1a1a", "#8a8a8a"
FROZEN, TRAINED, PLAIN = "#dce6ee", "#fbd9c4", "#ffffff"
OWN, BACK, AHEAD = "#d9d9d9", COLOURS[1], COLOURS[0]
FILLS = {"frozen": FROZEN, "trained": TRAINED, "plain": PLAIN}
SLOTS = (COLOURS[2], COLOURS[3], COLOURS[4], COLOURS[5], COLOURS[1], COLOURS[0])

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Where a shape lies: its centre and its size, in units."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        return self.x, self.y

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y - self.height / 2


def canvas(width: float, height: float) -> Axes:
    """An empty drawing of so many units, without axes, the origin at the lower left."""
    axis = plt.figure(figsize=(width * INCHES, height * INCHES)).add_subplot()
    axis.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axis.axis("off")
    return axis


def label(axis: Axes, at: Point, text: str, size: float = 9, colour: str = INK, align: str = "center") -> None:
    """Text at a point; align is center, left or right."""
    axis.text(*at, text, fontsize=size, color=colour, ha=align, va="center", linespacing=1.25, zorder=6)


def box(
    axis: Axes, x: float, y: float, text: str = "", width: float = 1.6, height: float = 0.9, kind: str = "plain"
) -> Box:
    """A layer or a step: kind is frozen, trained or plain."""
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, "round,pad=0,rounding_size=0.12",
        facecolor=FILLS[kind], edgecolor=INK, linewidth=1, zorder=3,
    )  # fmt: skip
    axis.add_patch(shape)
    label(axis, (x, y), text)
    return Box(x, y, width, height)


def arrow(axis: Axes, start: Point, end: Point, text: str = "", colour: str = INK, bend: float = 0.0) -> None:
    """From a side of one shape to a side of another; bend curves it, text stands above its middle."""
    line = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=9, color=colour, linewidth=1.4, shrinkA=1.5, shrinkB=1.5,
        connectionstyle=f"arc3,rad={bend}", zorder=5,
    )  # fmt: skip
    axis.add_patch(line)
    if text:
        label(axis, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.28), text, 8, colour)


def frames(
    axis: Axes, x: float, y: float, clip: Tensor | int, size: float = 1.5, gap: float = 0.5, first: int = 1
) -> list[Box]:
    """A row of frames, numbered, the first one's centre at (x, y): the pictures of a clip uint8 (t, h, w, 3), or so
    many empty ones."""
    count, found = clip if isinstance(clip, int) else len(clip), []
    for t in range(count):
        at = Box(x + t * (size + gap), y, size, size)
        if not isinstance(clip, int):
            extent = (at.left[0], at.right[0], at.bottom[1], at.top[1])
            axis.imshow(np.asarray(clip[t].cpu()), extent=extent, zorder=2, interpolation="nearest")
        corner = (at.left[0], at.bottom[1])
        axis.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=INK, linewidth=1, zorder=4))
        label(axis, (at.x, at.top[1] + 0.22), f"frame {t + first}", 8, FAINT)
        found.append(at)
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim(), aspect="equal")
    return found


def tokens(axis: Axes, frame: Box, rows: int, columns: int, marked: Sequence[int] = (), colour: str = BACK) -> None:
    """The patches of a frame as a grid over it; those of `marked`, counted row by row, are filled."""
    width, height = frame.width / columns, frame.height / rows
    for k in range(rows * columns):
        corner = (frame.left[0] + k % columns * width, frame.top[1] - (k // columns + 1) * height)
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=0.5, zorder=4))
        if k in marked:
            axis.add_patch(Rectangle(corner, width, height, facecolor=colour, alpha=0.6, linewidth=0, zorder=4))


def heads(axis: Axes, x: float, y: float, offsets: Sequence[int], size: float = 0.42) -> list[Box]:
    """One frame's attention heads as a column from the top, (x, y) the first one's centre: coloured by the frame that
    each reads, so many frames ahead (0: its own)."""
    found = []
    for head, offset in enumerate(offsets):
        at = Box(x, y - head * size, 1.5, size)
        colour = OWN if offset == 0 else AHEAD if offset > 0 else BACK
        corner = (at.left[0], at.bottom[1])
        axis.add_patch(Rectangle(corner, at.width, size, facecolor=colour, edgecolor="white", linewidth=1.5, zorder=3))
        if offset:
            label(axis, at.centre, f"{offset:+d}".replace("-", "−"), 8, "white")
        found.append(at)
    return found


def slots(axis: Axes, x: float, y: float, count: int, size: float = 0.55, names: Sequence[str] = ()) -> list[Box]:
    """Slots as a row of discs in colours of their own, the first one's centre at (x, y)."""
    found = []
    for k in range(count):
        at = Box(x + 1.35 * k * size, y, size, size)
        axis.add_patch(Circle(at.centre, size / 2, facecolor=SLOTS[k % len(SLOTS)], edgecolor=INK, zorder=3))
        label(axis, at.centre, names[k] if names else str(k + 1), 8, "white")
        found.append(at)
    return found


def legend(axis: Axes, x: float, y: float, *entries: tuple[str, str], step: float = 0.0) -> None:
    """Colours and what they mean, (colour, words), in a row from (x, y), or in a column where `step` is given."""
    for colour, words in entries:
        axis.add_patch(Rectangle((x, y - 0.14), 0.4, 0.28, facecolor=colour, edgecolor=INK, linewidth=0.5, zorder=3))
        label(axis, (x + 0.55, y), words, 8, align="left")
        x, y = (x, y - step) if step else (x + 1.1 + 0.145 * len(words), y)

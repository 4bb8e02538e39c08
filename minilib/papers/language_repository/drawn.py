"""Language Repository as a diagram: captions become entries, entries become fewer, and a question reads them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minilib import diagrams as draw
from minilib.diagrams import Box
from minilib.plots import COLOURS

IDEA = (
    "Top row: sixteen captions, one a second, in two chunks; the colour says what each is about. Middle row: six "
    "entries, each with a bar over the seconds of its captions. Bottom row: one chunk of three entries. On the right a "
    "question and the bottom row go into a language model, which answers."
)
STAR, RING, STILL = COLOURS[1], COLOURS[0], COLOURS[2]
SAYS = (STAR, STAR, RING, STAR, STILL, RING, STAR, RING, RING, RING, STILL, RING, STAR, RING, STAR, STAR)
STEP, LEFT = 0.72, 0.9


def _mark(axis: Axes, second: int, y: float, colour: str, size: float = 0.5) -> Box:
    x = LEFT + STEP * second
    axis.add_patch(Rectangle((x - size / 2, y - size / 2), size, size, facecolor=colour, edgecolor="white", zorder=3))
    return Box(x, y, size, size)


def _entry(axis: Axes, seconds: Sequence[int], y: float, colour: str) -> None:
    """A bar from an entry's first to its last second, with a mark for each of its captions."""
    ends = [LEFT + STEP * (seconds[0] - 0.4), LEFT + STEP * (seconds[-1] + 0.4)]
    axis.plot(ends, [y, y], color=colour, linewidth=2, alpha=0.6, zorder=2)
    for second in seconds:
        _mark(axis, second, y, colour, 0.28)


def _rows(axis: Axes, chunk: range, top: float) -> None:
    """What a chunk's captions become: an entry for each thing that is said, one below the other."""
    said: dict[str, list[int]] = {}
    for second in chunk:
        said.setdefault(SAYS[second], []).append(second)
    for row, (colour, seconds) in enumerate(said.items()):
        _entry(axis, seconds, top - 0.42 * row, colour)


def idea() -> Figure:
    """Captions, one iteration of writing, a second one in one chunk, and a question that reads."""
    axis = draw.canvas(18, 7.4)
    half, last = len(SAYS) // 2, LEFT + STEP * (len(SAYS) - 1)
    for second, colour in enumerate(SAYS):
        _mark(axis, second, 6.4, colour)
    for y, low in ((6.4, 5.95), (4.1, 3.35)):
        middle = LEFT + STEP * (half - 0.5)
        axis.plot([middle, middle], [low, y + 0.45], color=draw.FAINT, linewidth=1, linestyle=":")
    draw.label(axis, (0.5, 7.1), "captions, one a second, in chunks", 9, align="left")
    draw.arrow(axis, (3.6, 5.9), (3.6, 5.1))
    draw.label(axis, (3.9, 5.5), "write: merge alike captions, say each group once", 9, align="left")
    draw.label(axis, (0.5, 4.75), "entries, with times and counts", 9, draw.FAINT, "left")
    for chunk in (range(half), range(half, len(SAYS))):
        _rows(axis, chunk, 4.3)
    draw.arrow(axis, (3.6, 3.1), (3.6, 2.3))
    draw.label(axis, (3.9, 2.7), "write again, in longer chunks", 9, align="left")
    draw.label(axis, (0.5, 1.95), "fewer entries, over longer times", 9, draw.FAINT, "left")
    _rows(axis, range(len(SAYS)), 1.5)
    question = draw.box(axis, 15.6, 4.6, "question", 2.6)
    model = draw.box(axis, 15.6, 2.9, "language model", 2.8, 1.0, "frozen")
    reply = draw.box(axis, 15.6, 1.1, "answer", 2.2)
    draw.arrow(axis, question.bottom, model.top)
    draw.arrow(axis, model.bottom, reply.top)
    draw.arrow(axis, (last + 0.5, 1.3), model.left)
    draw.label(axis, (13.1, 2.6), "read", 9)
    draw.label(axis, (15.6, 5.5), "read anew for every question", 9, draw.FAINT)
    draw.legend(axis, 0.5, 0.15, (STAR, "a star moves"), (RING, "a ring grows"), (STILL, "nothing moves"))
    return axis.figure

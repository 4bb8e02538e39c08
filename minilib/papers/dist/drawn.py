"""DiST as a diagram: three branches, of which one is frozen."""

from __future__ import annotations

from matplotlib.figure import Figure

from minilib import diagrams as draw
from minilib.world import clip_batch

IDEA = (
    "Three rows from left to right. Above, frames 1 and 3 go through the frozen blocks of the image model. Below, "
    "frames 1 to 4 go through a stem and a row of T-Blocks. Between them a row of I-Blocks takes FC(X) from above and "
    "Psi of Z from below, passes Y on to the right, sends Phi down to the next T-Block, and ends in a comparison with "
    "the names of the classes."
)
ABOVE, BETWEEN, BELOW = 7.0, 4.2, 1.4  # the rows' heights
COLUMNS = {"1": 8.7, "2": 11.9, "L": 15.9}


def idea() -> Figure:
    """The image model above, the temporal encoder below, the integration branch between them."""
    axis = draw.canvas(20.5, 8.6)
    film, _ = clip_batch("motion", 0, "val", [3], 4)
    dense = draw.frames(axis, 0.75, BELOW, film[0], 1.0, 0.2)
    sparse = [draw.frames(axis, dense[t].x, ABOVE, film[0, t : t + 1], 1.0, first=t + 1)[0] for t in (0, 2)]
    embed = draw.box(axis, 6.2, ABOVE, "patches", 1.5, 0.9, "frozen")
    stem = draw.box(axis, 6.2, BELOW, "3D stem", 1.5, 0.9, "trained")
    draw.arrow(axis, sparse[-1].right, embed.left)
    draw.arrow(axis, dense[-1].right, stem.left)
    image, middle, temporal = (
        [draw.box(axis, x, y, f"{what} {at}", 1.7, 0.9, kind) for at, x in COLUMNS.items()]
        for what, y, kind in (
            ("block", ABOVE, "frozen"), ("I-Block", BETWEEN, "trained"), ("T-Block", BELOW, "trained"),
        )
    )  # fmt: skip
    draw.arrow(axis, embed.right, image[0].left)
    draw.arrow(axis, stem.right, temporal[0].left)
    for row, name in ((image, "X"), (middle, "Y"), (temporal, "Z")):
        draw.arrow(axis, row[0].right, row[1].left, name)
        draw.arrow(axis, row[1].right, row[2].left, f"{name}   …")
    for k, block in enumerate(middle):
        draw.arrow(axis, image[k].bottom, block.top)
        draw.label(axis, (block.x + 0.75, (ABOVE + BETWEEN) / 2), "FC(X)", 8)
        draw.arrow(axis, temporal[k].top, block.bottom, colour=draw.AHEAD)
        draw.label(axis, (block.x + 0.6, (BELOW + BETWEEN) / 2 + 0.5), "Ψ(Z)", 8, draw.AHEAD)
        if k < 2:
            draw.arrow(axis, (block.x + 0.7, block.bottom[1]), temporal[k + 1].left, colour=draw.BACK, bend=0.15)
            draw.label(axis, (block.x + 1.9, (BELOW + BETWEEN) / 2 - 0.2), "Φ", 9, draw.BACK)
    answer = draw.box(axis, 18.9, BETWEEN, "which class\nname is near?", 2.5, 1.1, "plain")
    draw.arrow(axis, middle[-1].right, answer.left)
    for y, text in ((ABOVE, "image model"), (BETWEEN, "integration branch"), (BELOW, "temporal encoder")):
        draw.label(axis, (0.2, y + 1.15), text, 10, align="left")
    draw.legend(axis, 12.2, 8.3, (draw.FROZEN, "frozen: no gradient"), (draw.TRAINED, "trained"))
    return axis.figure

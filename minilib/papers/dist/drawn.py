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
ABOVE, BETWEEN, BELOW = 5.9, 3.5, 1.0  # the rows' heights
COLUMNS = {"1": 7.3, "L": 10.6}


def idea() -> Figure:
    """The image model above, the temporal encoder below, the integration branch between them."""
    axis = draw.canvas(15, 7.3)
    film, _ = clip_batch("motion", 0, "val", [3], 4)
    dense = draw.frames(axis, 0.6, BELOW, film[0], 0.8, 0.25)
    for t, at in enumerate(dense):
        if t % 2 == 0:
            sparse = draw.frames(axis, at.x, ABOVE, film[0, t : t + 1], 0.8, first=t + 1)[0]
    embed = draw.box(axis, 5.2, ABOVE, "patches", 1.4, 0.8, "frozen")
    stem = draw.box(axis, 5.2, BELOW, "3D stem", 1.4, 0.8, "trained")
    draw.arrow(axis, sparse.right, embed.left)
    draw.arrow(axis, dense[-1].right, stem.left)
    image, middle, temporal = (
        [draw.box(axis, x, y, f"{what} {at}", 1.7, 0.8, kind) for at, x in COLUMNS.items()]
        for what, y, kind in (
            ("block", ABOVE, "frozen"), ("I-Block", BETWEEN, "trained"), ("T-Block", BELOW, "trained"),
        )
    )  # fmt: skip
    draw.arrow(axis, embed.right, image[0].left)
    draw.arrow(axis, stem.right, temporal[0].left)
    for row, name in ((image, "X"), (middle, "Y"), (temporal, "Z")):
        draw.arrow(axis, row[0].right, row[1].left, f"{name}  …")
    for k, block in enumerate(middle):
        draw.arrow(axis, image[k].bottom, block.top)
        draw.label(axis, (block.x + 0.15, (ABOVE + BETWEEN) / 2), "FC(X)", 9, align="left")
        draw.arrow(axis, temporal[k].top, block.bottom, colour=draw.AHEAD)
        draw.label(axis, (block.x - 0.15, (BELOW + BETWEEN) / 2), "Ψ(Z)", 9, draw.AHEAD, "right")
    draw.arrow(axis, (middle[0].x + 0.6, middle[0].bottom[1]), temporal[1].left, colour=draw.BACK, bend=0.12)
    draw.label(axis, (middle[0].x + 1.9, (BELOW + BETWEEN) / 2), "Φ", 10, draw.BACK)
    answer = draw.box(axis, 13.6, BETWEEN, "which class\nname is near?", 2.5, 1.0, "plain")
    draw.arrow(axis, middle[-1].right, answer.left)
    for y, text in ((ABOVE, "image model: few frames"), (BELOW, "temporal encoder: more frames")):
        draw.label(axis, (0.2, y + 1.05), text, 10, align="left")
    draw.label(axis, (0.2, BETWEEN), "integration branch: joins them", 10, align="left")
    draw.legend(axis, 8.2, 7.0, (draw.FROZEN, "frozen: no gradient"), (draw.TRAINED, "trained"))
    return axis.figure

"""The compared methods as one diagram: where each puts what is new, and how far back gradients must go."""

from __future__ import annotations

from matplotlib.figure import Figure

from minilib import diagrams as draw
from minilib.world import clip_batch

IDEA = (
    "Three times the same: a frame below, a column of blocks of an image model above it. Left, new parts stand inside "
    "the blocks, and a gradient arrow runs down beside all of them: ST-Adapter, AIM, ZeroI2V, and full fine-tuning, "
    "which adds nothing. Middle, a new column reads the frozen blocks from the side: DiST, EVL. Right, one new part "
    "reads what the last block gives: the linear probe, X-CLIP's head, OCA, VicTR."
)
BLOCKS = (3.0, 4.4, 5.8)  # their heights
WAYS = (
    (3.4, "inside", "ST-Adapter, AIM, ZeroI2V;\nfull fine-tuning adds nothing"),
    (10.0, "beside", "DiST, EVL"),
    (16.6, "after", "linear probe, X-CLIP's head,\nOCA, VicTR"),
)


def idea() -> Figure:
    """Inside, beside and after: what is trained, and where gradients go."""
    axis = draw.canvas(20, 9.2)
    film, _ = clip_batch("motion", 0, "val", [3], 1)
    for x, where, names in WAYS:
        (frame,) = draw.frames(axis, x, 1.1, film[0], 1.3)
        below = frame
        for k, y in enumerate(BLOCKS):
            block = draw.box(axis, x, y, "" if where == "inside" else f"block {k + 1}", 2.2, 0.9, "frozen")
            start = (x, 2.0) if k == 0 else below.top
            draw.arrow(axis, start, block.bottom)
            if where == "inside":
                draw.box(axis, x, y, "new", 1.0, 0.55, "trained")
            below = block
        draw.label(axis, (x, 8.8), f"{where} the image model", 10)
        draw.label(axis, (x, 8.1), names, 9)
        _added(axis, x, where)
    draw.legend(axis, 5.6, 0.2, (draw.FROZEN, "image model"), (draw.TRAINED, "new, trained"), (draw.BACK, "gradients"))
    return axis.figure


def _added(axis, x: float, where: str) -> None:
    """What is new, and the way of its gradients."""
    top = draw.box(axis, x, 7.1, "scores", 1.6, 0.6)
    if where == "inside":
        draw.arrow(axis, (x, BLOCKS[-1] + 0.45), top.bottom)
        draw.arrow(axis, (x + 1.5, 7.1), (x + 1.5, BLOCKS[0] - 0.45), colour=draw.BACK)
        return
    if where == "beside":
        before = None
        for y in BLOCKS:
            new = draw.box(axis, x + 2.6, y, "new", 1.2, 0.9, "trained")
            draw.arrow(axis, (x + 1.1, y), new.left)
            if before:
                draw.arrow(axis, before.top, new.bottom)
            before = new
        draw.arrow(axis, before.top, top.right, bend=0.3)
        draw.arrow(axis, (x + 3.5, 7.1), (x + 3.5, BLOCKS[0] - 0.45), colour=draw.BACK)
        return
    new = draw.box(axis, x + 2.4, 7.1, "new", 1.2, 0.6, "trained")
    draw.arrow(axis, (x + 1.1, BLOCKS[-1] + 0.2), new.bottom, bend=0.2)
    draw.arrow(axis, new.left, top.right)

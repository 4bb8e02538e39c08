"""Long video by chunks as pictures: the whole idea, two metrics against each other, what is lost as a video grows."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from minilib import diagrams as draw
from minilib.papers.long_video.script import by_rule, rendered, written
from minilib.plots import COLOURS

Rows = Mapping[str, Mapping[int, float]]
META = "a red star on sand : moving right , moving down , moving left"
IDEA = (
    "A prompt is split into three steps. Each step has a chunk of two frames, above each frame the position that the "
    "script gives it. Frames of chunk 3 look at those of chunk 2 and of chunk 1."
)


def idea() -> Figure:
    """A prompt, its steps, their positions, and which chunk looks at which."""
    axis, script = draw.canvas(18, 7.4), written(*by_rule(META), frames=2)
    pixels, mask = rendered(script)
    draw.label(axis, (9, 7.1), f"“{META}”", 10)
    chunks = []
    for k, step in enumerate(by_rule(META)[1]):
        x = 2 + 6 * k
        text = draw.box(axis, x + 1, 6.2, f"“{step}”", 3.6, 0.7)
        draw.arrow(axis, (9, 6.9), text.top)
        maps = draw.frames(axis, x, 4.6, (mask[k, ..., None] * 255).expand(-1, -1, -1, 3).byte(), 1.5, 0.5, 2 * k + 1)
        made = draw.frames(axis, x, 2.3, pixels[k], 1.5, 0.5, 2 * k + 1)
        for above, below in zip(maps, made, strict=True):
            draw.arrow(axis, above.bottom, (below.x, below.top[1] + 0.35))
        chunks.append(made)
    for earlier, bend in ((0, 0.12), (1, 0.25)):
        draw.arrow(axis, chunks[2][0].bottom, chunks[earlier][1].bottom, colour=draw.BACK, bend=-bend)
    draw.arrow(axis, chunks[1][0].bottom, chunks[0][1].bottom, colour=draw.BACK, bend=-0.25)
    draw.label(axis, (0.1, 4.6), "script", 8, draw.FAINT, "left")
    draw.label(axis, (0.1, 2.3), "video", 8, draw.FAINT, "left")
    draw.legend(axis, 6.2, 0.25, (draw.BACK, "looks at the tokens of earlier chunks"))
    return axis.figure


def against(rows: Rows, labels: Mapping[str, str], across: str, up: str) -> Figure:
    """A point a variant, its means of two metrics."""
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    for at, (name, label) in enumerate(labels.items()):
        found = [rows.get(f"{name}/{metric}", {}).values() for metric in (across, up)]
        if all(found):
            x, y = (fmean(values) for values in found)
            axis.plot(x, y, "o", color=COLOURS[at % 7], markersize=7)
            axis.annotate(label, (x, y), (5, 4 if at % 2 else -9), textcoords="offset points", fontsize=7)
    axis.set(xlabel=f"{across}, %", ylabel=f"{up}, %")
    return figure


def growth(rows: Rows, labels: Mapping[str, str]) -> Figure:
    """The script's truth and the ground of single chunks, by the number of the chunk, means over videos."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
    for axis, metric in zip(axes, ("truth", "ground"), strict=True):
        for at, (name, label) in enumerate(labels.items()):
            found = {n: rows.get(f"{name}/{metric}{n}", {}).values() for n in (1, 2, 4, 8)}
            points = {n: fmean(values) for n, values in found.items() if values}
            axis.plot(list(points), list(points.values()), "o-", color=COLOURS[at % 7], label=label)
        axis.set(xlabel="chunk", ylabel=f"{metric}, %", xscale="log")
        axis.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axis.minorticks_off()
    axes[0].legend(fontsize=6)
    return figure

"""Long video by chunks as pictures: the whole idea, two metrics against each other, what is lost as a video grows."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from minilib import diagrams as draw
from minilib.papers.long_video.script import by_rule, rendered, written
from minilib.plots import COLOURS, names_beside

Rows = Mapping[str, Mapping[int, float]]
SPOKEN = {"temporal": "temporal consistency", "clip": "CLIP score"}
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
    """A point a variant, its means of two metrics: all of them on the left; those that the diffusion model made, which
    lie close together, enlarged on the right."""
    points = {}
    for name, label in labels.items():
        found = [rows.get(f"{name}/{metric}", {}).values() for metric in (across, up)]
        if all(found):
            points[name, label] = tuple(fmean(values) for values in found)
    near = {key: point for key, point in points.items() if key[0].startswith("videos/") and key[0] != "videos/static"}
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2))
    colours = {name: COLOURS[at % 7] for at, name in enumerate(labels)}
    for axis, shown in zip(axes, (points, near), strict=True):
        for (name, _), (x, y) in shown.items():
            axis.plot(x, y, "o", color=colours[name], markersize=7)
        axis.set(xlabel=f"{SPOKEN.get(across, across)}, %", ylabel=f"{SPOKEN.get(up, up)}, %")
        axis.margins(0.12)
    for (name, label), point in points.items():
        if (name, label) not in near:
            side, by = ("left", 8) if point[0] < 50 else ("right", -8)
            axes[0].annotate(label, point, (by, -1), textcoords="offset points", fontsize=8, ha=side, va="center")
    if near:
        low = min(near.values(), key=lambda point: point[0])
        text = "by the diffusion model,\nenlarged on the right"
        axes[0].annotate(text, low, (-10, 8), textcoords="offset points", fontsize=8, ha="right", va="center")
    names_beside(axes[1], {label: point for (_, label), point in near.items()}, 8)
    return figure


def growth(rows: Rows, labels: Mapping[str, str]) -> Figure:
    """The script's truth and the ground of single chunks, by the number of the chunk, means over videos."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for axis, metric in zip(axes, ("truth", "ground"), strict=True):
        for at, (name, label) in enumerate(labels.items()):
            found = {n: rows.get(f"{name}/{metric}{n}", {}).values() for n in (1, 2, 4, 8)}
            points = {n: fmean(values) for n, values in found.items() if values}
            axis.plot(list(points), list(points.values()), "o-", color=COLOURS[at % 7], label=label)
        axis.set(xlabel="chunk", ylabel=f"{metric}, %", xscale="log", xlim=(0.9, 8.9))
        axis.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axis.minorticks_off()
    if labels:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(labels), 5))
    return figure

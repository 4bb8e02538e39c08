"""The suite's pictures. Every notebook calls `style()` once, so that all of them look alike and stay small."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from minilib.claims.said import means
from minilib.files import write_whole

# Okabe and Ito's eight colours: told apart by every common kind of colour vision; yellow last, it is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
# the same colour for the same method on every page
METHODS = {
    "probe": "#8a8a8a",
    "adapters": COLOURS[5],
    "zeroi2v": COLOURS[0],
    "full": COLOURS[1],
    "dist": COLOURS[2],
    "oca": COLOURS[3],
    "victr": COLOURS[4],
    "st_adapter": COLOURS[6],
    "order_blind": "#8a8a8a",
    "integration_only": COLOURS[5],
    "frozen_names": COLOURS[5],
}
DPI = 100


def method_colour(name: str, other: str | None = None) -> str | None:
    """The colour of a method by its key or by its name on a page: "order_blind", "order-blind"; else `other`."""
    return METHODS.get(name.lower().replace("-", "_").replace(" ", "_"), other)


def style() -> None:
    """Sets matplotlib's defaults: colour-blind-safe lines, thin axes, 100 dots an inch."""
    mpl.rcParams.update(
        {
            "axes.prop_cycle": mpl.cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "font.size": 9,
            "lines.linewidth": 1.5,
            "lines.markersize": 4,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
            "figure.dpi": DPI,
            "figure.figsize": (6.4, 3.2),
            "figure.constrained_layout.use": True,
            "savefig.dpi": DPI,
            "savefig.bbox": "tight",
        }
    )
    _small_in_notebooks()


def small_png(figure: Figure, colours: int = 64, **options) -> bytes:
    """The figure as a png with a palette of at most `colours` colours: a third of the bytes, hardly a difference."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, **options)
    image = Image.open(buffer).convert("RGB")
    # rare colours matter in a picture: the one yellow star must not turn olive
    image = image.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return small.getvalue()


def save_small(figure: Figure, path: Path | str, colours: int = 64) -> Path:
    """Writes `small_png` whole or not at all."""
    return write_whole(path, small_png(figure, colours))


def _small_in_notebooks() -> None:
    """Notebooks store what `small_png` gives, so that they stay small; elsewhere this does nothing."""
    if "ipykernel" not in sys.modules:
        return
    from IPython import get_ipython

    if shell := get_ipython():
        import matplotlib_inline.backend_inline  # noqa: F401  (registers a formatter of its own, once)

        shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)


def dots(
    axis, values: dict[str, list[float]], chance: float | None = None, paper: dict[str, float] | None = None
) -> None:
    """One line a row of a table: every seed a dot, their mean a bar; the paper's value as a hollow diamond."""
    for place, (name, seeds) in enumerate(values.items()):
        if seeds:
            colour = method_colour(name, COLOURS[0])
            axis.plot(seeds, [place] * len(seeds), "o", color=colour, alpha=0.55, zorder=3, clip_on=False)
            fill = method_colour(name, COLOURS[5])
            axis.barh(place, sum(seeds) / len(seeds), height=0.62, color=fill, alpha=0.6, zorder=1)
        if paper and name in paper:
            axis.plot(paper[name], place, "D", color=COLOURS[1], fillstyle="none", zorder=4)
    axis.set_yticks(range(len(values)), values)
    axis.set_ylim(len(values) - 0.5, -0.5)  # from the top, rows that nobody measured included
    axis.set_xlim(0, 100)
    axis.set_xlabel("top-1 accuracy on test clips, %")
    if chance is not None:
        axis.axvline(chance, color=COLOURS[6], linewidth=0.8, linestyle=":")
        clear = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # it lies on the last row's bar
        axis.text(chance + 0.6, len(values) - 0.55, "chance", fontsize=8, va="bottom", bbox=clear)


def ablation(
    title: str,
    table: Mapping[str, tuple[str, float | None]],
    measured: Mapping[str, Mapping[int, float]],
    chance: float | None = None,
    unit: str = "top-1 accuracy on test clips, %",
) -> Figure:
    """One of a paper's tables: row -> (measure, the paper's value); `measured` holds each measure's value by seed. The
    paper's values, which are of other data, stand beside ours on an axis of their own: only their order compares."""
    values = {row: list(measured.get(measure, {}).values()) for row, (measure, _) in table.items()}
    paper = {row: value for row, (_, value) in table.items() if value is not None}
    figure, axes = plt.subplots(
        1, 2 if paper else 1, figsize=(7.6, 0.9 + 0.3 * len(table)), width_ratios=(2.4, 1)[: 2 if paper else 1],
        squeeze=False,
    )  # fmt: skip
    axis = axes[0, 0]
    dots(axis, values, chance)
    counted = sorted({len(seeds) for seeds in values.values() if seeds})
    axis.set_title(f"{title} ({' to '.join(map(str, counted[:: max(len(counted) - 1, 1)])) or 'no'} seeds)")
    axis.set_xlabel(unit)
    if paper:
        _printed(axes[0, 1], list(values), paper)
    return figure


def _printed(axis, rows: Sequence[str], paper: Mapping[str, float]) -> None:
    """A paper's values, each with its number, from the top as in `dots`."""
    low, high = min(paper.values()), max(paper.values())
    spare = 0.12 * (high - low) or 1.0
    for row, value in paper.items():
        place = rows.index(row)
        axis.hlines(place, low - spare, value, color=COLOURS[1], alpha=0.35, linewidth=1)
        axis.plot(value, place, "s", color=COLOURS[1])
        axis.annotate(f"{value:g}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set(xlim=(low - spare, high + 4 * spare), ylim=(len(rows) - 0.5, -0.5), yticks=[], title="the paper's")


def ranks(
    axis, title: str, table: Mapping[str, tuple[str, float | None]], measured: Mapping, unit: str = "%", best=max
) -> None:
    """A paper's order (left) beside ours (right), the best on top: a line that crosses others is a row that changed its
    place, so those that are level here stand in the paper's order, and the other way round. Values stand at the ends;
    what one side lacks is said on the other. Takes what `ablation` takes; best: `max`, or `min` where less is better.
    """
    sign = 1 if best is min else -1
    ours = {row: round(sign * mean, 1) for row, mean in means(table, measured).items()}
    paper = {row: sign * value for row, (_, value) in table.items() if value is not None}
    left = sorted(paper, key=lambda row: (paper[row], ours.get(row, np.inf)))
    right = sorted(ours, key=lambda row: (ours[row], paper.get(row, np.inf)))
    for k, row in enumerate(left):
        note = "" if row in ours else ", not measured"
        axis.text(-0.04, k, f"{row}{note}  {sign * paper[row]:g}", ha="right", va="center", fontsize=8)
        if row in ours:
            moved = [r for r in right if r in paper].index(row) - [r for r in left if r in ours].index(row)
            colour = COLOURS[0] if not moved else "0.55" if abs(moved) == 1 else COLOURS[1]
            axis.plot([0, 1], [k, right.index(row)], "o-", color=colour, markersize=4, linewidth=1.6)
    for k, row in enumerate(right):
        note = "" if row in paper else ", not in the paper"
        axis.text(1.04, k, f"{sign * ours[row]:.1f} {unit}  {row}{note}", ha="left", va="center", fontsize=8)
    axis.text(0, -0.9, "the paper", ha="center", fontsize=8, color="0.4")
    axis.text(1, -0.9, "here", ha="center", fontsize=8, color="0.4")
    axis.set(xlim=(-1.6, 2.6), ylim=(max(len(left), len(right), 1) - 0.4, -1.3))
    axis.set_title(title)
    axis.axis("off")


def names_beside(axis, points: Mapping[str, tuple[float, float]], size: float = 7) -> None:
    """The names of points in a column right of the axis, in the order of their heights and a line from each to its
    point: names of near points do not overlap. Call it once the axis has its limits; points that are nan are left out.
    """
    known = {name: point for name, point in points.items() if np.isfinite(point).all()}
    names = sorted(known, key=lambda name: known[name][1])
    axis.autoscale_view()
    places = axis.transData.transform([known[name] for name in names]) if names else np.empty((0, 2))
    frame = axis.get_window_extent()
    gap = 1.4 * size / 72 * axis.figure.dpi / frame.height * np.arange(len(names))
    heights = np.maximum.accumulate((places[:, 1] - frame.y0) / frame.height - gap) + gap
    for name, height in zip(names, np.minimum(heights, 1 - gap[::-1]), strict=True):
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.6", "shrinkA": 1, "shrinkB": 3}
        axis.annotate(name, known[name], (1.03, height), "data", "axes fraction", line, va="center", fontsize=size)


def losses(axis, curves: dict[str, list[float]], window: int = 15) -> None:
    """Training losses by step, averaged over a sliding window of steps."""
    for name, loss in curves.items():
        width = max(min(window, len(loss)), 1)
        smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
        axis.plot(np.arange(len(smooth)) + width, smooth, label=name, color=method_colour(name))
    axis.set_xlabel("step")
    axis.set_ylabel("cross-entropy, nats")
    axis.set_ylim(bottom=0)
    axis.legend()


def confusion(axis, score: Tensor, truth: Tensor, names: Sequence[str]) -> None:
    """Which class is taken for which, in percent of the true class."""
    count = torch.zeros(len(names), len(names))
    count.index_put_((truth, score.argmax(-1)), torch.ones(len(truth)), accumulate=True)
    share = 100 * count / count.sum(1, keepdim=True).clamp(min=1)
    image = axis.imshow(share, vmin=0, vmax=100)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.figure.colorbar(image, ax=axis, label="% of the true class", shrink=0.8)

"""Pictures of Language Repository: entries over the time of a chronicle, what a question reads, and how cost grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from statistics import fmean

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from minilib.papers.language_repository.method import Chunk
from minilib.papers.language_repository.rules import event_of, seconds_of
from minilib.plots import COLOURS
from minilib.world.vocabulary import COLOURS as NAMES

Rows = Mapping[str, Mapping[int, float]]  # metric -> replicate -> value
SHOWN = {"white": "silver", "yellow": "gold", "cyan": "darkturquoise", "purple": "mediumpurple"}  # seen on white paper


def colour_of(text: str) -> str:
    """Of the object that a caption or an entry is about; light grey where nothing moves."""
    event = event_of(text)
    if event is None or event.split()[0] not in NAMES:
        return "lightgrey"
    return SHOWN.get(event.split()[0], event.split()[0])


ROW = 0.115  # height of an entry, inches: a minute of captions fits a screen


def timeline(scales: Mapping[str, Sequence[Chunk]], last: float) -> Figure:
    """A panel a scale, the first on the left and the rest one below the other on the right: each entry is a row, in the
    order in which it was written, with a dot for each of its captions and its text beside it; lines part the chunks.
    `last`: the last second of the axis."""
    first, *others = [sum(map(len, chunks)) for chunks in scales.values()]
    figure = plt.figure(figsize=(9, ROW * max(first, sum(others) + 6 * len(others)) + 0.7))
    left, right = figure.subfigures(1, 2)
    axes = [left.subplots(), *right.subplots(len(others), 1, sharex=True, height_ratios=others, squeeze=False)[:, 0]]
    for axis, (title, chunks) in zip(axes, scales.items(), strict=True):
        row = 0
        for chunk in chunks:
            for entry in chunk:
                colour = colour_of(entry.text)
                axis.plot(entry.times, [row] * len(entry.times), ".-", color=colour, markersize=5, linewidth=1)
                count = f" x {len(entry.times)}" if len(entry.times) > 1 else ""
                axis.text(last + 1, row, f"{entry.text}{count}", va="center", fontsize=5.5)
                row += 1
            axis.axvline(max(entry.times[-1] for entry in chunk) + 0.5, color="lightgrey", linewidth=0.8, zorder=0)
        axis.set_ylim(row, -1)
        axis.set_xlim(-1, last)
        axis.set_yticks([])
        axis.set_title(f"{title}: {row} entries", loc="left", fontsize=8)
    for axis in (axes[0], axes[-1]):
        axis.set_xlabel("second")
    return figure


def what_is_read(texts: Mapping[str, str], span: tuple[int, int], seconds: int) -> Figure:
    """A row a context: the seconds that its text is about, and how many words it has; shaded, what shows the answer."""
    figure, axis = plt.subplots(figsize=(8.4, 0.32 * len(texts) + 0.6))
    for row, text in enumerate(texts.values()):
        for line in text.splitlines():
            covered = sorted(seconds_of(line))
            axis.plot(covered, [row] * len(covered), "|-", color=colour_of(line), markersize=7, linewidth=1.5)
        axis.text(seconds + 1, row, f"{len(text.split())} words", va="center", fontsize=7)
    axis.axvspan(span[0] - 0.5, span[1] + 0.5, color="black", alpha=0.12, linewidth=0)
    axis.set_yticks(range(len(texts)), texts)
    axis.set_ylim(len(texts) - 0.5, -0.5)
    axis.set_xlim(-1, seconds)
    axis.set_xlabel("second")
    return figure


def exponent(lengths: Sequence[float], costs: Sequence[float]) -> float:
    """b of cost = a length^b, by least squares of the logarithms."""
    x, y = [log(each) for each in lengths], [log(each) for each in costs]
    mx, my = fmean(x), fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def everywhere(rows: Rows, recipes: Mapping[int, str], name: str, metric: str = "") -> set[int]:
    """The replicates of a context's metric that were measured at all lengths (at least one)."""
    found = [set(each) for recipe in recipes.values() if (each := rows.get(f"{recipe}/{name}{metric}"))]
    return set.intersection(*found) if found else set()


def by_length(rows: Rows, recipes: Mapping[int, str], name: str, metric: str = "") -> dict[int, float]:
    """chunks -> the mean of a context's metric over the replicates `everywhere`."""
    found = {n: each for n, recipe in recipes.items() if (each := rows.get(f"{recipe}/{name}{metric}"))}
    shared = everywhere(rows, recipes, name, metric)
    means = {n: fmean(each[seed] for seed in shared) for n, each in found.items() if shared}
    return {n: mean for n, mean in means.items() if mean > 0}


def growth(rows: Rows, recipes: Mapping[int, str], names: Sequence[str]) -> Figure:
    """Accuracy, words read and words of writing as chronicles grow, of replicates that were measured at all
    lengths. recipes: chunks -> recipe."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.7))
    panels = {"right, %": "", "words that the answer is read from": "/words", "words of writing": "/words_written"}
    for axis, (title, metric) in zip(axes, panels.items(), strict=True):
        for name, colour in zip(names, COLOURS, strict=False):
            points = by_length(rows, recipes, name, metric)
            if len(points) < 2:
                continue
            label = name.replace("_", " ")
            if metric:
                label += f", exponent {exponent(list(points), list(points.values())):.2f}"
            axis.plot(list(points), list(points.values()), "o-", color=colour, label=label)
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(recipes), [str(n) for n in recipes])
        axis.set_xlabel("chunks of ten seconds")
        axis.set_title(title)
        if axis.lines:
            axis.legend(fontsize=7)
        if metric:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            axis.yaxis.set_minor_locator(NullLocator())
    axes[0].axhline(20, color="black", linewidth=0.8, linestyle=":")
    axes[0].set_ylim(0, 100)
    return figure


def against(rows: Rows, recipes: Mapping[int, str], taken: Mapping[str, Mapping[int, tuple[float, float]]]) -> Figure:
    """Right answers over words read and over seconds, a line a context, from the shortest chronicle (small) to the
    longest (large dot). taken: context -> chunks -> seconds of making it and of reading it once."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), sharey=True)
    for name, colour in zip(taken, COLOURS, strict=False):
        right, words = by_length(rows, recipes, name), by_length(rows, recipes, name, "/words")
        shared = sorted(set(right) & set(words) & set(taken[name]))
        if len(shared) < 2:
            continue
        y, sizes = [right[n] for n in shared], [12 + 8 * k for k in range(len(shared))]
        prices = {
            "words that are read": [words[n] for n in shared],
            "seconds of a further question": [taken[name][n][1] for n in shared],
            "seconds of the first question": [sum(taken[name][n]) for n in shared],
        }
        for axis, (title, x) in zip(axes, prices.items(), strict=True):
            axis.plot(x, y, color=colour, linewidth=1, label=name.replace("_", " "))
            axis.scatter(x, y, sizes, color=colour)
            axis.set_xlabel(title)
    for axis in axes:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.axhline(20, color="black", linewidth=0.8, linestyle=":")
    axes[0].set(ylabel="right, %", ylim=(0, 100))
    if axes[0].get_legend_handles_labels()[1]:
        axes[0].legend(fontsize=8)
    return figure

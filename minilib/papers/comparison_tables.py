"""What the comparison's rows say: one table, a picture of accuracy against cost, and which method to take when.

`measured` is {measure: {seed: value}}, as `Measurements.seeds_of` gives it. Nothing here knows a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minilib import plots
from minilib.claims import Table

Measured = Mapping[str, Mapping[int, float]]
TASKS = {
    "motion": "motion, same clips",
    "seconds": "motion, same seconds",
    "appearance": "appearance",
    "noun": "noun",
    "few": "motion, 16 clips a class",
}
COSTS = {  # what: (heading, format)
    "tunable": ("tunable parameters, thousands", "{:,.0f}"),
    "work": ("multiply-adds a clip, millions", "{:,.0f}"),
    "memory": ("memory of a training step, MiB", "{:,.0f}"),
    "step": ("time of a training step, relative", "{:.2f}"),
    "latency": ("time of a forward pass, relative", "{:.2f}"),
}
ELSEWHERE = {  # what: ((paper, measure, whose), ...): rows of the methods' own notebooks, with their own recipes
    "zero-shot, unseen objects": (("dist", "grid/zeroshot/dist", "dist"), ("dist", "grid/zeroshot/clip", "plain CLIP")),
    "zero-shot, unseen combinations": (
        ("victr", "zeroshot/victr", "victr"),
        ("victr", "zeroshot/xclip", "xclip"),
        ("victr", "zeroshot/clip_text", "plain texts"),
    ),
    "segmentation, J&F": (
        ("object_centric", "seg/oca", "oca"),
        ("object_centric", "seg/crf/oca", "oca and a random field"),
        ("object_centric", "seg/control/boxes", "a grid of boxes"),
    ),
}


def _values(measured: Measured, measure: str) -> list[float]:
    return list(measured.get(measure, {}).values())


def score(measured: Measured, task: str, method: str) -> str:
    """Mean and standard deviation over seeds, of one seed its value, or nothing."""
    values = _values(measured, f"grid/{task}/{method}")
    if not values:
        return ""
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def table(measured: Measured, methods: Sequence[str]) -> Table:
    """A row a method: top-1 of each task in percent, then what it costs."""
    rows = []
    for name in methods:
        costs = [_values(measured, f"cost/{what}.{name}") for what in COSTS]
        cells = [form.format(np.median(c)) if c else "" for c, (_, form) in zip(costs, COSTS.values(), strict=True)]
        rows.append((name, *(score(measured, task, name) for task in TASKS), *cells))
    return Table(("method", *TASKS.values(), *(heading for heading, _ in COSTS.values())), tuple(rows))


def elsewhere(measured: Mapping[str, Measured]) -> Table:
    """What only some methods can do, from their own notebooks' rows; `measured` by paper."""
    rows = []
    for what, entries in ELSEWHERE.items():
        for paper, measure, whose in entries:
            values = _values(measured[paper], measure)
            if values:
                rows.append((what, whose, f"{np.mean(values):.1f}", str(len(values))))
    return Table(("task", "method", "mean, %", "seeds"), tuple(rows))


def scatter(axis, measured: Measured, methods: Sequence[str], task: str, cost: str) -> None:
    """Accuracy of a task against a cost, a point a method with the standard deviation of its seeds."""
    axis.set_title(TASKS[task])
    if not any(_values(measured, f"grid/{task}/{name}") for name in methods):
        axis.text(0.5, 0.5, "not measured yet", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    for place, name in enumerate(methods):
        values, costs = _values(measured, f"grid/{task}/{name}"), _values(measured, f"cost/{cost}.{name}")
        if not values or not costs:
            continue
        x, y = np.median(costs), np.mean(values)
        spread = np.std(values, ddof=1) if len(values) > 1 else None
        marker = "osD^v"[place // len(plots.COLOURS)]
        axis.errorbar(x, y, yerr=spread, marker=marker, color=plots.COLOURS[place % len(plots.COLOURS)])
        axis.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
    axis.set_xlabel(COSTS[cost][0])
    axis.set_ylabel("top-1, %")


@dataclass(frozen=True)
class Need:
    """A reader's need: the task that counts, and the cost that must not pass `share` of the most costly method's."""

    words: str
    task: str
    cost: str = "memory"
    share: float = 1.0


NEEDS = (
    Need("Motion is what counts, and nothing is scarce", "motion"),
    Need("The same, but training memory is: at most half of the largest", "motion", "memory", 0.5),
    Need("The same, but latency is: at most half of the slowest", "motion", "latency", 0.5),
    Need("Time to train is short", "seconds"),
    Need("What is seen counts, not how it moves", "appearance"),
    Need("There are sixteen clips of each class", "few"),
)


def advice(measured: Measured, methods: Sequence[str], needs: Sequence[Need] = NEEDS) -> Table:
    """For each need the method with the best mean among those that fit it, and who comes within its seeds' spread."""
    rows = []
    for need in needs:
        costs = {name: np.median(_values(measured, f"cost/{need.cost}.{name}") or [np.nan]) for name in methods}
        limit = need.share * np.nanmax(list(costs.values())) if need.share < 1 else np.inf
        known = {name: _values(measured, f"grid/{need.task}/{name}") for name in methods}
        means = {n: np.mean(v) for n, v in known.items() if v and (need.share == 1 or costs[n] <= limit)}
        if not means:
            rows.append((need.words, "not measured yet", "", ""))
            continue
        best = max(means, key=means.get)
        spread = np.std(known[best], ddof=1) if len(known[best]) > 1 else 0.0
        near = [name for name in means if name != best and means[name] >= means[best] - 2 * spread]
        rows.append((need.words, best, score(measured, need.task, best), ", ".join(near) or "nobody"))
    return Table(("what you need", "take", "top-1, %", "as good within two deviations"), tuple(rows))

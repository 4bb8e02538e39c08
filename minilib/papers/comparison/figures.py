"""What the comparison's rows say: the sweep, one table, accuracy against cost, and which method to take when.

`measured` is {metric: {seed: value}}, as `Measurements.seeds_of` gives it. Nothing here knows a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minilib import plots
from minilib.claims import Table
from minilib.claims import means as means_of
from minilib.claims.intervals import EFFECT
from minilib.claims.said import paired
from minilib.claims.words import in_words, several
from minilib.papers.comparison.study import JUDGED, MERGED
from minilib.study import Tuned
from minilib.study.swept import at_edge, tried

Measured = Mapping[str, Mapping[int, float]]
TASKS = {
    "motion": "motion, same clips",
    "seconds": "motion, same seconds",
    "appearance": "appearance",
    "noun": "noun",
    "few": "motion, 192 clips",
    "timing": "motion and its timing",
    "hard_appearance": "hard appearance, 512 clips",
    "hard_noun": "hard nouns, 128 clips",
}
SHORT = ("motion", "seconds", "appearance", "noun", "few")  # what all methods learn by the short recipe
COSTS = {  # what: (heading, format); times and memory are ratios to ST-Adapter's
    "tunable": ("tunable parameters, thousands", "{:,.0f}"),
    "work": ("multiply-adds a clip, millions", "{:,.0f}"),
    "memory": ("memory of a training step, relative", "{:.2f}"),
    "step": ("time of a training step, relative", "{:.2f}"),
    "latency": ("latency of one clip, relative", "{:.2f}"),
    "throughput": ("clips a second, relative", "{:.2f}"),
}
OURS = ("zeroi2v", "dist", "oca", "victr")  # the four papers of notebooks 02 to 05
NAMES = {  # what a reader calls the methods
    "probe": "linear probe",
    "full_image": "full fine-tuning",
    "st_adapter": "ST-Adapter",
    "aim": "AIM",
    "evl": "EVL",
    "xclip": "X-CLIP's head",
    "zeroi2v": "ZeroI2V",
    "dist": "DiST",
    "oca": "OCA",
    "victr": "VicTR",
}
ELSEWHERE = {  # what: ((paper, metric, whose), ...): rows of the methods' own notebooks, with their own recipes
    "zero-shot, unseen objects": (
        ("dist", "grid/zeroshot/dist", "DiST"),
        ("dist", "grid/zeroshot/dist/clip", "plain CLIP"),
    ),
    "zero-shot, unseen combinations": (
        ("victr", "tuned/zeroshot/victr", "VicTR"),
        ("victr", "tuned/zeroshot/xclip", "X-CLIP's head"),
        ("victr", "tuned/zeroshot/clip_text", "plain texts"),
    ),
    "segmentation, J&F": (
        ("object_centric", "grid/hard_appearance/oca/jf", "OCA"),
        ("object_centric", "grid/hard_appearance/oca/jf_crf", "OCA and a random field"),
        ("object_centric", "grid/hard_appearance/oca/jf_boxes", "a grid of boxes"),
        ("object_centric", "grid/hard_appearance/oca/jf_kmeans", "k-means of the same features"),
        ("object_centric", "grid/hard_appearance/control/random_slots/jf", "untrained slots"),
        ("object_centric", "grid/hard_appearance/oca/jf_true", "the truth, rounded to patches"),
    ),
}


def named(name: str) -> str:
    """A method's name as a reader knows it: 'ZeroI2V', or 'ZeroI2V, merged'."""
    itself = name.removesuffix(MERGED)
    return NAMES.get(itself, itself) + (", merged" if name != itself else "")


def values(measured: Measured, metric: str) -> list[float]:
    """One a seed, or a round."""
    return list(measured.get(metric, {}).values())


def score(measured: Measured, task: str, method: str, recipe: str = "grid") -> str:
    """Mean and standard deviation over seeds, of one seed its value, or nothing."""
    found = values(measured, f"{recipe}/{task}/{method}")
    spread = f" ± {np.std(found, ddof=1):.1f}" if len(found) > 1 else ""
    return f"{np.mean(found):.1f}{spread}" if found else ""


def table(measured: Measured, methods: Sequence[str]) -> Table:
    """A row a method: top-1 of each task in percent, after the short recipe and after the tuned one, then what it
    costs; one more row where it can be merged."""
    columns = [(task, "grid") for task in SHORT] + [(task, "tuned") for task in JUDGED]
    headings = [TASKS[task] + (", tuned" if recipe == "tuned" else "") for task, recipe in columns]
    rows = []
    for name in methods:
        for label in (name, name + MERGED):
            costs = [values(measured, f"cost/{what}.{label}") for what in COSTS]
            cells = [form.format(np.median(c)) if c else "" for c, (_, form) in zip(costs, COSTS.values(), strict=True)]
            if label == name or any(cells):
                rows.append((named(label), *(score(measured, task, name, recipe) for task, recipe in columns), *cells))
    return Table(("method", *headings, *(heading for heading, _ in COSTS.values())), tuple(rows))


def sweep(measured: Measured, methods: Sequence[str], tuned: Tuned, task: str) -> Table:
    """A row a method: its score on validation clips at each rate and length that it tried; the choice stands in
    brackets, with a star where it lies at the edge of the rates."""
    rows = []
    for name in methods:
        known, best = tried(measured, tuned, f"{task}/{name}")
        cells = {suffix: f"{score:.1f}" for suffix, score in known.items()}
        if best:
            cells[best] = f"[{cells[best]}]" + "*" * at_edge(tuned, best)
        rows.append((named(name), *(cells.get(suffix, "") for suffix in tuned.tries())))
    headings = (f"{rate:.2g} x rate, {length:.2g} x steps" for rate, length in tuned.tries().values())
    return Table(("method", *headings), tuple(rows))


def elsewhere(measured: Mapping[str, Measured]) -> Table:
    """What only some methods can do, from their own notebooks' rows; `measured` by paper."""
    rows = []
    for what, entries in ELSEWHERE.items():
        for paper, metric, whose in entries:
            found = values(measured[paper], metric)
            rows.append((what, whose, f"{np.mean(found):.1f}" if found else MISSING, str(len(found))))
    return Table(("task", "method", "mean, %", "seeds"), tuple(rows))


MISSING = "not measured yet"
STUCK = 0.2  # a seed less than so much of the way from chance to a perfect score is said to lie near chance


def near_chance(scores: Sequence[float], chance: float) -> list[float]:
    """The scores that lie near chance, in percent, the lowest first."""
    return sorted(score for score in scores if score - chance < STUCK * (100 - chance))


def filled(table: Table) -> Table:
    """The table without rows that are not measured yet and without empty columns."""
    rows = [row for row in table.rows if MISSING not in row]
    kept = [k for k, name in enumerate(table.header) if any(row[k] for row in rows)]
    return Table(tuple(table.header[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))


def scatter(axis, measured: Measured, methods: Sequence[str], task: str, cost: str) -> None:
    """Accuracy of a task against a cost, a point a method: mean and standard deviation of its seeds, median and
    quartiles of the cost's rounds. The four papers' methods are dots, the others squares."""
    axis.set_title(TASKS[task])
    points = {}
    for name in methods:
        scores, costs = values(measured, f"grid/{task}/{name}"), values(measured, f"cost/{cost}.{name}")
        if not scores or not costs:
            continue
        low, x, high = np.percentile(costs, (25, 50, 75))
        spread = np.std(scores, ddof=1) if len(scores) > 1 else 0
        marker, colour = ("o", 5) if name in OURS else ("s", 1)
        axis.errorbar(x, np.mean(scores), spread, [[x - low], [high - x]], marker=marker, color=plots.COLOURS[colour])
        points[name] = x, np.mean(scores)
    if not points:
        axis.text(0.5, 0.5, MISSING, ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    plots.names_beside(axis, {named(name): point for name, point in points.items()})
    for marker, colour, label in (("o", 5, "the four papers"), ("s", 1, "their rivals")):
        axis.plot([], [], marker, color=plots.COLOURS[colour], label=label)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axis.set_xlabel(COSTS[cost][0])
    axis.set_ylabel("top-1, %")


@dataclass(frozen=True)
class Need:
    """A reader's need: the task that counts, and a cost that may be at most so many times the least costly method's.
    recipe: the tuned one, under which every method chose its rate and length alike."""

    words: str
    task: str
    cost: str = "memory"
    times: float = np.inf
    recipe: str = "tuned"


ALONE = "nothing else that fits is measured"
NEEDS = (
    Need("Motion is what counts, and nothing is scarce", "timing"),
    Need("Motion, and the image model's activations do not fit: at most twice the least memory", "timing", "memory", 2),
    Need("Motion, run a million times: at most 5 % more multiply-adds than the image model", "timing", "work", 1.05),
    Need("Motion, and time to train is short (rates set by hand)", "seconds", recipe="grid"),
    Need("What is seen counts, not how it moves", "hard_appearance"),
    Need("The same, and it is run a million times", "hard_appearance", "work", 1.05),
    Need("Motion, and only 192 clips have labels", "few"),
)


def advised(measured: Measured, need: Need, method: str, chance: Mapping[str, float]) -> str:
    """A method's name, and how many of its seeds end near the chance of the need's task, in percent: then it is no
    choice to rely on, whatever its mean."""
    scores = values(measured, f"{need.recipe}/{need.task}/{method}")
    low = near_chance(scores, chance[need.task]) if need.task in chance else []
    ends = "ends" if len(low) == 1 else "end"
    seeds = several(len(scores), "seeds")
    return f"{named(method)} (of {seeds} {in_words(len(low))} {ends} near chance)" if low else named(method)


def advice(
    measured: Measured, methods: Sequence[str], needs: Sequence[Need] = NEEDS, chance: Mapping[str, float] | None = None
) -> Table:
    """For each need the method with the best mean among those that fit it, over the seeds that these share, whom the
    98 % intervals of paired differences do not put behind it, and how many that fit were measured. What can be merged
    costs what it does then. chance: of the tasks for which it is said whose seeds end near it."""
    rows, chance = [], chance or {}
    for need in needs:
        found = {n: values(measured, f"cost/{need.cost}.{n}{MERGED}") for n in methods}
        found = {n: merged or values(measured, f"cost/{need.cost}.{n}") for n, merged in found.items()}
        costs = {name: np.median(each) if each else np.nan for name, each in found.items()}
        limit = need.times * np.nanmin(list(costs.values()))
        fits = [name for name in methods if np.isinf(need.times) or costs[name] <= limit]
        means = means_of({name: (f"{need.recipe}/{need.task}/{name}", None) for name in fits}, measured)
        measured_of = f"{len(means)} of {len(fits)}"
        if not means:
            rows.append((need.words, MISSING, "", "", measured_of))
            continue
        best = max(means, key=means.get)
        near = []
        for name in means:
            sample = paired(measured, *(f"{need.recipe}/{need.task}/{each}" for each in (best, name)))
            if name != best and (sample is None or sample.interval(EFFECT)[0] <= 0):
                near.append(advised(measured, need, name, chance))
        top1 = score(measured, need.task, best, need.recipe)
        others = ", ".join(near) or ("no other" if len(means) > 1 else ALONE)
        rows.append((need.words, advised(measured, need, best, chance), top1, others, measured_of))
    headings = (
        "what you need",
        "best mean",
        "top-1, %",
        "others that its seeds do not put behind it",
        "measured, of those that fit",
    )
    return Table(headings, tuple(rows))

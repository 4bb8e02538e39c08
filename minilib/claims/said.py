"""Sentences about rows, made from rows: who is ahead, whether in the paper's order, and how far noise alone reaches.

A table is what `Study.printed` gives: label -> (metric, the paper's number or None); rows are {metric: {seed: value}}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.model import Claims
from minilib.claims.table import Table
from minilib.claims.verdicts import Verdict
from minilib.claims.words import in_words, number, several

Printed = Mapping[str, tuple[str, float | None]]
Rows = Mapping[str, Mapping[int, float]]
Best = Callable[..., str]  # max or min
NEAR = 1.0  # lines of a table in percent that all lie within so many points are not put in an order


def shared(table: Printed, rows: Rows) -> set[int]:
    """The replicates that all measured lines of a table have: a mean over others would compare these, not the lines."""
    measured = [set(rows[metric]) for metric, _ in table.values() if rows.get(metric)]
    return set.intersection(*measured) if measured else set()


def means(table: Printed, rows: Rows) -> dict[str, float]:
    """The mean of each line of a table that is measured, over the replicates that all of them share; where there are
    none, each over its own."""
    common = shared(table, rows)
    return {
        label: fmean(value for seed, value in rows[metric].items() if seed in common or not common)
        for label, (metric, _) in table.items()
        if rows.get(metric)
    }


def ranking(table: Printed, rows: Rows, unit: str = "", best: Best = max) -> str:
    """Which lines are ahead and which behind, as far as the digits shown tell them apart, by how many seeds, and how
    many pairs stand in the paper's order. best: `max`, or `min` where less is better."""
    found = means(table, rows)
    if len(found) < 2:
        return unmeasured(table, found, unit)
    first, last = best(found, key=found.get), (min if best is max else max)(found, key=found.get)
    common = len(shared(table, rows))
    seeds = several(common, "seeds") if common else "each on seeds of its own"
    seeds_said = seeds if best is max else f"{seeds}; less is better"
    (ahead, are), (behind, _) = (_at(found, found[end], unit) for end in (first, last))
    text = f"Ahead {are} {ahead}, behind {behind} ({seeds_said})."
    if number(found[first]) == number(found[last]):
        text = f"All are level at {number(found[first])}{unit} ({seeds})."
    same, pairs = same_order(table, found, rows)
    apart = same_order(table, found)[1] - pairs
    if pairs and unit == " %" and abs(found[first] - found[last]) < NEAR:
        text += " All lie within one point: too near to compare with the paper's order."
    elif pairs:
        stand = f"{in_words(same)} stand" if same > 1 else f"{in_words(same) if same else 'none'} stands"
        text += f" Of {several(pairs, 'pairs')} that the paper orders, {stand} in its order here."
    if apart:
        whose = "more that it orders" if pairs else "that the paper orders"
        text += f" {several(apart, 'pairs').capitalize()} {whose} cannot be compared: "
        text += f"{'it was' if apart == 1 else 'they were'} not measured with common seeds on one machine."
    if absent := len(table) - len(found):
        text += f" {several(absent, 'rows').capitalize()} {'is' if absent == 1 else 'are'} not measured yet."
    return text


def _at(found: Mapping[str, float], value: float, unit: str) -> tuple[str, str]:
    """All lines that show this value, and the verb that goes with so many."""
    lines = [f"“{label}”" for label, each in found.items() if number(each) == number(value)]
    return f"{' and '.join(lines)} with {number(value)}{unit}", "is" if len(lines) == 1 else "are"


def unmeasured(table: Printed, found: Mapping[str, float], unit: str = "") -> str:
    """What stands in for a comparison without two measured lines: which one there is, and the paper's own order."""
    one = "".join(f"only “{label}” is ({number(value)}{unit})" for label, value in found.items())
    paper = {label: value for label, (_, value) in table.items() if value is not None}
    order = "; ".join(f"{label} ({paper[label]:g})" for label in sorted(paper, key=paper.get, reverse=True))
    text = f"Not measured here yet{f': {one}' if one else ''}."
    return f"{text} The paper's order: {order}." if order else text


def lacking(table: Printed, rows: Rows, paper: str) -> str:
    """Which lines of a table have no rows, and the command that lists what would measure them."""
    absent = {label: metric.partition("/")[2] for label, (metric, _) in table.items() if not rows.get(metric)}
    if not absent:
        return "All its rows are measured."
    listed = ", ".join(f"“{label}”" for label in absent)
    command = f"python -m minilib.study {paper} --variants {' '.join(absent.values())} --plan"
    return f"Not measured yet: {listed}. `{command}` says what it takes."


def same_order(table: Printed, found: Mapping[str, float], rows: Rows | None = None) -> tuple[int, int]:
    """Of the pairs of measured lines to which the paper gives different numbers: how many stand in its order, and how
    many there are; with `rows` only of those that one machine measured with common seeds."""
    paper = {label: value for label, (_, value) in table.items() if value is not None and label in found}
    pairs = [(a, b) for a, b in combinations(paper, 2) if paper[a] != paper[b]]
    if rows is not None:
        pairs = [(a, b) for a, b in pairs if pairs_of(rows[table[a][0]], rows[table[b][0]])]
    return sum((paper[a] - paper[b]) * (found[a] - found[b]) > 0 for a, b in pairs), len(pairs)


def paired(rows: Rows, metric: str, other: str, least: int = 2) -> Sample | None:
    """The differences of two metrics over the replicates that both have in one setup; None for fewer than `least`."""
    pairs = pairs_of(rows.get(metric, {}), rows.get(other, {}))
    return Sample.of([one - two for one, two in pairs.values()]) if len(pairs) >= least else None


def difference(table: Printed, rows: Rows, a: str, b: str, unit: str = " points") -> str:
    """By how much line a beats line b over the seeds that both have, with the 98 % interval of the paired differences;
    where that holds 0, that these seeds do not tell. A sentence that the rows do not bear out cannot come of it."""
    sample = paired(rows, table[a][0], table[b][0], least=1)
    if sample is None:
        return f"“{a}” and “{b}” are not measured on common seeds of one machine yet."
    if sample.mean == 0:
        return f"“{a}” and “{b}” are level ({several(sample.n, 'seeds')})."
    if sample.mean < 0:
        a, b, sample = b, a, Sample(-sample.mean, sample.std, sample.n)
    by = f"“{a}” is ahead of “{b}” by {number(sample.mean)}{unit}"
    if sample.n == 1:
        return f"{by} with one seed, which is a look, not a result."
    low, high = sample.interval(EFFECT)
    text = f"{by} (98 % interval {number(low, '+')} to {number(high, '+')}, {several(sample.n, 'seeds')})"
    return f"{text}." if low > 0 else f"{text}: the interval holds 0, so these seeds do not tell them apart."


# --- noise: derived metrics "noise/<variant>", what a start that is moved by a millionth changes ---------------------


@dataclass(frozen=True)
class Floor:
    """Of one variant: the root mean square of what changes, in points, and over how many seeds."""

    name: str
    rms: float
    seeds: int

    def over(self, n: int) -> str:
        """What noise leaves of it in a mean over n seeds."""
        return f"{self.name} {number(self.rms / math.sqrt(n))}"


def noise_floors(rows: Rows, names: Mapping[str, str] | None = None) -> dict[str, Floor]:
    """By variant, each under the name that a reader knows it by."""
    found = {name.removeprefix("noise/"): each for name, each in rows.items() if name.startswith("noise/") and each}
    return {
        variant: Floor(
            (names or {}).get(variant, variant), math.sqrt(fmean(v**2 for v in changes.values())), len(changes)
        )
        for variant, changes in found.items()
    }


def noise_line(rows: Rows, names: Mapping[str, str] | None = None) -> str:
    """What noise alone changes, in one sentence."""
    floors = noise_floors(rows, names).values()
    if not floors:
        return "The noise floor is not measured yet."
    listed = ", ".join(f"{floor.over(1)} ({several(floor.seeds, 'seeds')})" for floor in floors)
    return f"The same seed with its start moved by a millionth ends elsewhere, by so many points (rms): {listed}."


def beside_noise(
    claims: Claims, verdicts: Sequence[Verdict], rows: Rows, names: Mapping[str, str] | None = None
) -> Table:
    """Each headline claim's interval, and beside it the noise floors of the variants that it compares: of one seed, and
    of the mean of as many as it has."""
    judged, floors, lines = {verdict.id: verdict for verdict in verdicts}, noise_floors(rows, names), []
    for claim in (claim for claim in claims.claims if claim.headline):
        metrics = claims.base_metrics(claim)
        runs = [f"{metric.partition('/')[2]}/" for metric in metrics]
        own = [floor for variant, floor in floors.items() if any(run.startswith(f"{variant}/") for run in runs)]
        seeds = min((len(rows.get(metric, {})) for metric in metrics), default=0)
        one, mean = (", ".join(floor.over(n) for floor in own) if n else "" for n in (1, seeds))
        lines.append((claim.statement, judged[claim.id].why, one or "not measured", mean or "not measured"))
    few = sorted({floor.seeds for floor in floors.values()})
    rests = f" ({' or '.join(in_words(n) for n in few)} seeds)" if few else ""
    noise = (f"noise of what it compares{rests}: one seed", "their mean")
    return Table(("claim", "difference and interval", *noise), tuple(lines))

"""One sentence on how the lead of a method over another changes: with longer training, or from task to task."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.said import Rows
from minilib.claims.words import number, several


def leads(places: Mapping[str, tuple[str, str]], rows: Rows, ahead: str, behind: str) -> str:
    """By how many points one metric lies above another at each place (place -> two metrics), over the seeds that both
    have in one setup; and whether that lead is larger at the last measured place than at the first, clear of 0 at
    98 %."""
    pairs = {place: pairs_of(rows.get(one, {}), rows.get(other, {})) for place, (one, other) in places.items()}
    found = {place: {seed: a - b for seed, (a, b) in each.items()} for place, each in pairs.items() if each}
    if not found:
        return f"{ahead} and {behind} are not measured on common seeds of one machine yet."
    alone = {place for place, metrics in places.items() if all(rows.get(metric) for metric in metrics)}
    listed = ", ".join(
        f"{place} {number(fmean(found[place].values()), '+')} ({several(len(found[place]), 'seeds')})"
        if place in found
        else f"{place} not measured {'by one machine' if place in alone else 'yet'}"
        for place in places
    )
    text = f"{ahead} minus {behind}, in points: {listed}."
    first, last = (list(found)[end] for end in (0, -1))
    seeds = sorted(found[first].keys() & found[last].keys())
    if first == last or len(seeds) < 2:
        return f"{text} Whether the lead changes, these rows do not say."
    sample = Sample.of([found[last][seed] - found[first][seed] for seed in seeds])
    low, high = sample.interval(EFFECT)
    way = "rises" if low > 0 else "falls" if high < 0 else "changes by an amount that these seeds do not tell from none"
    reach = f"98 % interval {number(low, '+')} to {number(high, '+')}, {several(len(seeds), 'seeds')}"
    return f"{text} From “{first}” to “{last}” it {way} ({reach})."

"""Which of many rows count: the latest of each measurement, the newest settings, and what is derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minilib.claims.rows import Row

Setup = tuple[str, str, int]  # device, dtype, threads


def latest(rows: Iterable[Row], experiment: int) -> list[Row]:
    """The current experiment's rows, the last one of each measurement, in the order in which they were measured.

    A row that does not judge never takes the place of one that does: both stay. So do rows of other setups (device,
    dtype, threads), for those of a pair must share one.
    """
    found: dict[tuple, Row] = {}
    for row in rows:
        if row.experiment == experiment:
            key = (row.key, row.judges, row.setup)
            found.pop(key, None)  # so that what is measured again comes last
            found[key] = row
    return list(found.values())


def newest(rows: Iterable[Row]) -> list[Row]:
    """Of each metric at each scale only the rows with the settings of its newest one, of each cost only the newest
    device. Rows of other settings are a cache for runs that ask for them, and never shown beside or in the place of
    the newest."""
    rows = list(rows)
    settings = {(row.metric, row.scale): (row.settings, row.key[-1]) for row in rows}
    return [row for row in rows if (row.settings, row.key[-1]) == settings[row.metric, row.scale]]


def by_metric(rows: Iterable[Row], scale: str) -> dict[str, dict[int, Row]]:
    """{metric: {seed: row}} of one scale, newest settings only."""
    found: dict[str, dict[int, Row]] = {}
    for row in newest(row for row in rows if row.scale == scale):
        found.setdefault(row.metric, {})[row.seed] = row
    return found


def by_setup(rows: Iterable[Row], scale: str) -> dict[Setup, dict[str, dict[int, Row]]]:
    """The same for each setup by itself."""
    rows = newest(row for row in rows if row.scale == scale)
    setups = dict.fromkeys(row.setup for row in rows)
    return {setup: by_metric([row for row in rows if row.setup == setup], scale) for setup in setups}


class Seeds(dict[int, float]):
    """A metric's values by seed, the newest of each. setups: those of each device, dtype and number of threads by
    itself, since only such pairs compare methods and not machines; last: when the metric was last measured there."""

    def __init__(self, values: Mapping[int, float], setups: Mapping[Setup, Mapping[int, float]], last: Mapping):
        super().__init__(values)
        self.setups, self.last = setups, last


def pairs_of(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    """The values of two metrics by replicate, where both have it in one setup; of several the one measured last. Plain
    mappings know no setups, and count as one."""
    if not (isinstance(one, Seeds) and isinstance(other, Seeds)):
        return {seed: (one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())}
    pairs = {}
    for setup in sorted(one.setups.keys() & other.setups.keys(), key=lambda s: max(one.last[s], other.last[s])):
        pairs |= pairs_of(dict(one.setups[setup]), dict(other.setups[setup]))
    return dict(sorted(pairs.items()))


def last_measured(rows: Iterable[Row], scale: str) -> dict[tuple[str, Setup], int]:
    """When each metric was last measured in a setup: the place of that row among all."""
    rows = newest(row for row in rows if row.scale == scale)
    return {(row.metric, row.setup): place for place, row in enumerate(rows)}


def weighted(parts: Mapping[str, float], found: Mapping[str, Mapping[int, Row]]) -> dict[int, Row]:
    """The derived metric {metric: weight} by seed: a sum over the seeds that all parts share in one setup."""
    rows = [found.get(name, {}) for name in parts]
    shared = sorted(set.intersection(*(set(part) for part in rows)))
    derived = {}
    for seed in shared:
        summands = [part[seed] for part in rows]
        if len({row.setup for row in summands}) == 1:
            value = sum(weight * row.value for weight, row in zip(parts.values(), summands, strict=True))
            weakest = next((row for row in summands if not row.judges), summands[0])
            derived[seed] = weakest.model_copy(update={"value": value})
    return derived

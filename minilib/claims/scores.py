"""Rows of one scale as pairs see them: by metric and replicate, derived metrics summed, differences in points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from minilib.claims.chosen import Setup, by_metric, by_setup, last_measured, weighted
from minilib.claims.intervals import LOOKS
from minilib.claims.rows import Row
from minilib.claims.tasks import ENDS, Control, Task

Found = Mapping[str, Mapping[int, Row]]  # metric -> replicate -> row


@dataclass(frozen=True)
class Scores:
    """Rows of one scale, how metrics are derived from them, the same rows of each setup by itself, and when each metric
    was last measured in a setup."""

    found: Found
    derived: Mapping[str, Mapping[str, float]]
    setups: Mapping[Setup, Found] = field(default_factory=dict)
    last: Mapping[tuple[str, Setup], int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row], scale: str, derived: Mapping[str, Mapping[str, float]]) -> Scores:
        rows = list(rows)
        return cls(by_metric(rows, scale), derived, by_setup(rows, scale), last_measured(rows, scale))

    def parts(self, metric: str) -> tuple[str, ...]:
        """The measured metrics behind this one."""
        return tuple(self.derived.get(metric, (metric,)))

    def rows(self, metric: str, half: bool = False) -> Mapping[int, Row]:
        """The metric by replicate, or what it was with half the steps."""
        return self._rows(self.found, metric, half)

    def _rows(self, found: Found, metric: str, half: bool) -> Mapping[int, Row]:
        name = halved if half else str
        if metric in self.derived:
            return weighted({name(part): weight for part, weight in self.derived[metric].items()}, found)
        return found.get(name(metric), {})

    def mean(self, metric: str, n: int) -> float | None:
        """Over the replicates 0 to n - 1 that are there."""
        values = [row.value for seed, row in self.rows(metric).items() if seed < n]
        return fmean(values) if values else None

    def level(self, metric: str, pair: Control, n: int) -> float:
        """The mean over the replicates 0 to n - 1 of a pair that is there, each by the rows of the setup that the pair
        is of: elsewhere the metric may have been measured again."""
        setups = {seed: one.setup for seed, (one, _) in self.paired(pair, None).items() if seed < n}
        return fmean(self._rows(self.setups[setup], metric, False)[seed].value for seed, setup in setups.items())

    def ends(self, task: Task, n: int) -> tuple[float, float] | None:
        """Chance and oracle; where they are metrics their means over the first look's n replicates, or the task's."""
        n = LOOKS[task.replicates][0] if task.replicates else n
        chance, oracle = (self.mean(end, n) if isinstance(end, str) else end for end in (task.chance, task.oracle))
        return None if chance is None or oracle is None or chance == oracle else (chance, oracle)

    def paired(self, pair: Control, task: Task | None, half: bool = False) -> dict[int, tuple[Row, Row]]:
        """The rows of both sides by replicate, where they share device, dtype and threads; of several setups in which
        both were measured, the one in which a side was measured last: rows of other metrics change nothing."""
        metrics = {*self.parts(pair.better), *self.parts(pair.worse)}
        newest = {setup: max(self.last.get((each, setup), -1) for each in metrics) for setup in self.setups}
        pairs = {}
        for setup in sorted(newest, key=newest.get):
            pairs |= self._within(self.setups[setup], pair, task, half)
        return dict(sorted(pairs.items()))

    def _within(self, found: Found, pair: Control, task: Task | None, half: bool) -> dict[int, tuple[Row, Row]]:
        """The pairs of one setup."""
        better, worse = (self._side(found, name, task, half) for name in (pair.better, pair.worse))
        if isinstance(better, float):
            better = {seed: row.model_copy(update={"value": better}) for seed, row in worse.items()}
        if isinstance(worse, float):
            worse = {seed: row.model_copy(update={"value": worse}) for seed, row in better.items()}
        return {seed: (better[seed], worse[seed]) for seed in better.keys() & worse.keys()}

    def _side(self, found: Found, name: str, task: Task | None, half: bool) -> float | Mapping[int, Row]:
        if name not in ENDS:
            return self._rows(found, name, half)
        end = getattr(task, name)
        return self._rows(found, end, False) if isinstance(end, str) else float(end)

    def points(self, pair: Control, task: Task, n: int, half: bool = False) -> dict[int, float]:
        """Differences better - worse by replicate; a point is 1 % of the way from chance to oracle."""
        if (ends := self.ends(task, n)) is None:
            return {}
        point = (ends[1] - ends[0]) / 100
        found = self.paired(pair, task, half).items()
        return {seed: round((better.value - worse.value) / point, 9) for seed, (better, worse) in found}


def halved(metric: str) -> str:
    """The same metric measured after half the steps: tuned/hr_kv becomes tuned.half/hr_kv."""
    recipe, slash, rest = metric.partition("/")
    return f"{recipe}.half{slash}{rest}"

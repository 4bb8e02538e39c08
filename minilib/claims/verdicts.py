"""From rows to verdicts. Nothing here is typed by hand: every verdict and every `why` follows from the numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minilib.claims.model import Claim, Claims, Pair
from minilib.claims.rows import Row, latest, newest

VERDICTS = ("reproduced", "partly", "not reproduced", "not testable here", "different setting")
SEEDS = 3  # an interval from fewer is no interval
RESAMPLES = 10_000


@dataclass(frozen=True)
class Verdict:
    """One claim judged: the JSON contract of `python -m minilib.claims --json`."""

    id: str
    kind: str
    source: str
    paper_value: float
    measured: float | None
    verdict: str
    why: str

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class Comparison:
    """Paired differences of one pair of measures, better - worse, by seed."""

    pair: Pair
    differences: tuple[float, ...]
    mean: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        margin = self.pair.within
        return self.low > 0 if margin is None else -margin < self.low and self.high < margin

    def sentence(self, unit: str) -> str:
        """mean difference, interval, and how many seeds agree"""
        n, margin = len(self.differences), self.pair.within
        interval = f"95 % interval [{_number(self.low)}, {_number(self.high)}]"
        text = f"mean difference {_number(self.mean, '+')}{unit}, {interval}"
        if margin is None:
            return f"{text}, {sum(d > 0 for d in self.differences)} of {n} seeds"
        inside = sum(abs(d) < margin for d in self.differences)
        return f"{text} {'inside' if self.holds else 'not inside'} ±{_number(margin)}, {inside} of {n} seeds"


def judge(claims: Claims, rows: Iterable[Row]) -> list[Verdict]:
    """A verdict for each claim, from the current experiment's rows alone.

    Counts use rows of any scale, orderings those of the scales small and paper, magnitudes those of paper.
    """
    current = newest(latest(rows, claims.experiment))
    judges = {"count": _count, "ordering": _ordering, "magnitude": _magnitude}
    return [judges[claim.kind](claim, current, claims.paper) for claim in claims.claims]


def compare(claim: Claim, pair: Pair, rows: Iterable[Row]) -> Comparison | None:
    """The pair's differences over the seeds that both measures have; None with fewer than three."""
    better, worse = (_by_seed(rows, name) for name in (pair.better, pair.worse))
    sign = -1.0 if claim.lower_is_better else 1.0
    differences = [sign * (better[seed] - worse[seed]) for seed in sorted(better.keys() & worse.keys())]
    if len(differences) < SEEDS:
        return None
    low, high = _interval(differences)
    return Comparison(pair, tuple(differences), float(np.mean(differences)), low, high)


def _interval(differences: list[float]) -> tuple[float, float]:
    """Percentile bootstrap of the mean, 95 %; the same numbers give the same interval."""
    from scipy.stats import bootstrap  # half a second to import, which only orderings should cost

    result = bootstrap(
        (np.asarray(differences),), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _by_seed(rows: Iterable[Row], measure: str) -> dict[int, float]:
    return {row.seed: row.value for row in rows if row.measure == measure}


def exact(value: float) -> str:
    """A count as it would be printed: 86,195 or 0.3375."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.7g}"


def _number(value: float, sign: str = "") -> str:
    """As many digits as a reader needs: 12.3, 0.00421, 86,195."""
    size = abs(value)
    if size >= 1000:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.1f}" if size >= 1 or size == 0 else f"{value:{sign}.3g}"


def _in_words(unit: str, difference: bool = False) -> str:
    """The unit with its space; a difference of percentages is in points."""
    if difference and unit in ("%", "percent"):
        unit = "points"
    return f" {unit}" if unit else ""


def _verdict(claim: Claim, measured: float | None, verdict: str, why: str) -> Verdict:
    return Verdict(claim.id, claim.kind, claim.source, claim.paper_value, measured, verdict, why)


def _count(claim: Claim, rows: list[Row], paper: str) -> Verdict:
    (measure,) = claim.measures
    values = [row.value for row in rows if row.measure == measure]
    conflict = f"{claim.conflict.rstrip('. ')}: " if claim.conflict else ""
    if not values:
        return _verdict(
            claim, None, "not testable here", f"{conflict}not counted yet; `make reproduce ONLY={paper}` counts it"
        )
    measured = values[-1]
    off = abs(measured - claim.paper_value)
    same = off < claim.digit - 1e-9 * max(1.0, abs(claim.paper_value))
    unit = _in_words(claim.unit)
    side = "less than" if same else "not less than"
    why = (
        f"{conflict}counted {exact(measured)}{unit}, the paper has {exact(claim.paper_value)}{unit}: "
        f"off by {exact(off)}, {side} one unit of the last printed digit ({claim.digit:g})"
    )
    return _verdict(claim, measured, "reproduced" if same else "not reproduced", why)


def _ordering(claim: Claim, rows: list[Row], paper: str) -> Verdict:
    trained = [row for row in rows if row.scale != "smoke"]
    at_paper = [row for row in trained if row.scale == "paper"]
    small = [row for row in trained if row.scale == "small"]
    # one scale for the whole claim: the paper's where it has been run for every pair, else the small one
    found = [compare(claim, pair, at_paper) for pair in claim.pairs]
    if None in found:
        found = [compare(claim, pair, small) for pair in claim.pairs]
    if None in found:
        pair = claim.pairs[found.index(None)]
        seeds = len(_by_seed(small, pair.better).keys() & _by_seed(small, pair.worse).keys())
        why = (
            f"{pair.better} against {pair.worse} has {seeds} paired seeds of the {SEEDS} needed; "
            f"`make reproduce ONLY={paper} SEEDS=5 ARGS='--set grid=full'` measures them"
        )
        return _verdict(claim, None, "not testable here", why)
    held = sum(comparison.holds for comparison in found)
    verdict = "reproduced" if held == len(found) else "partly" if held else "not reproduced"
    unit = _in_words(claim.unit, difference=True)
    if len(found) == 1:
        why = found[0].sentence(unit)
    else:
        parts = [f"{c.pair.better} against {c.pair.worse}: {c.sentence(unit)}" for c in found]
        why = f"{held} of {len(found)} pairs hold; " + "; ".join(parts)
    if claim.setting:
        why += f" (here: {claim.setting.rstrip('. ')})"
    return _verdict(claim, found[0].mean, verdict, why)


def _magnitude(claim: Claim, rows: list[Row], paper: str) -> Verdict:
    (measure,) = claim.measures
    values = [row.value for row in rows if row.measure == measure and row.scale == "paper"]
    measured = float(np.mean(values)) if values else None
    if claim.different_setting:
        return _verdict(claim, measured, "different setting", claim.different_setting)
    if measured is None:
        why = "needs the paper's weights and data; the value is the paper's"
        return _verdict(claim, None, "not testable here", why)
    off, unit = measured - claim.paper_value, _in_words(claim.unit)
    same = abs(off) <= claim.within
    side = "within" if same else "more than"
    why = (
        f"measured {_number(measured)}{unit} over {len(values)} seeds, "
        f"the paper has {_number(claim.paper_value)}{unit}: off by {_number(off, '+')}, {side} {claim.within:g}"
    )
    return _verdict(claim, measured, "reproduced" if same else "not reproduced", why)

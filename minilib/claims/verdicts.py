"""From rows to verdicts. Nothing here is typed by hand: every verdict and every `why` follows from the numbers.

A verdict on an ordering speaks of the small world. Words: a pair's own (`intervals`), those of its gates (`pairs`), and
for several pairs together `mixed` (one above, one below) and `partly` (some hold, the rest show no difference). Counts
and results at the paper's scale are `reproduced` or `not reproduced`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from minilib.claims.chosen import latest, newest
from minilib.claims.intervals import HOLDS, NO_DIFFERENCE, OPPOSITE, UNDECIDED
from minilib.claims.model import Claim, Claims
from minilib.claims.pairs import CANNOT, NOT_TESTABLE, Outcome, judge_cost, judge_pair
from minilib.claims.reasons import UNMEASURED
from minilib.claims.rows import Row
from minilib.claims.scores import Scores
from minilib.claims.tasks import Pair
from minilib.claims.words import exact, number, sentence, several

REPRODUCED, NOT_REPRODUCED, PARTLY, MIXED = "reproduced", "not reproduced", "partly", "mixed"
VERDICTS = (
    REPRODUCED,
    NOT_REPRODUCED,
    HOLDS,
    PARTLY,
    MIXED,
    OPPOSITE,
    NO_DIFFERENCE,
    UNDECIDED,
    CANNOT,
    NOT_TESTABLE,
)
AT_PAPER_SCALE = {
    HOLDS: REPRODUCED,
    OPPOSITE: NOT_REPRODUCED,
    NO_DIFFERENCE: NOT_REPRODUCED,
    MIXED: NOT_REPRODUCED,
}
SCALES = ("paper", "small")
FALSE = 0.05  # how often a null effect is called an effect
PLACES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]


@dataclass(frozen=True)
class Verdict:
    """One claim judged: the JSON contract of `python -m minilib.claims --json`. reasons: of `REASONS`, why a count or
    an ordering is open, those of all its open pairs."""

    id: str
    kind: str
    source: str
    paper_value: float | None  # None where the paper says which is better and prints no number
    measured: float | None
    verdict: str
    why: str
    reasons: tuple[str, ...] = ()

    def json(self, ascii: bool = False) -> str:
        """One line; with `ascii` other letters are written as JSON's escapes."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=ascii, allow_nan=False)


def judge(claims: Claims, rows: Iterable[Row]) -> list[Verdict]:
    """A verdict for each claim, headline claims first, from the current experiment's rows alone.

    Counts use rows of any scale, orderings rows that judge of the scales small and paper, magnitudes those of paper.
    """
    current = latest(rows, claims.experiment)
    judging = [row for row in current if row.judges]
    scores = {scale: Scores.of(judging, scale, claims.derived) for scale in SCALES}
    shown = {scale: Scores.of(current, scale, claims.derived) for scale in SCALES}
    counted = {row.metric: row.value for row in newest(row for row in current if not row.barred)}
    found = []
    for claim in claims.claims:
        if claim.kind == "ordering":
            found.append(_ordering(claim, claims, scores, shown))
        elif claim.kind == "count":
            found.append(_count(claim, counted, claims.paper))
        else:
            found.append(_magnitude(claim, scores["paper"]))
    return found


def _of(claim: Claim, measured: float | None, verdict: str, why: str, *reasons: str) -> Verdict:
    """The verdict on a claim, its `why` as a sentence."""
    whose = claim.id, claim.kind, claim.source, claim.paper_value
    return Verdict(*whose, measured, verdict, sentence(why), tuple(dict.fromkeys(reasons)))


def false_calls(claims: Claims, verdicts: Sequence[Verdict]) -> tuple[int, float]:
    """How many distinct pairs were judged, and in how many of them a null effect would be called an effect."""
    judged = {v.id for v in verdicts if v.kind == "ordering" and v.verdict not in (CANNOT, NOT_TESTABLE)}
    pairs = {frozenset((pair.better, pair.worse)) for id in judged for pair in claims[id].pairs}
    return len(pairs), FALSE * len(pairs)


def same_count(claim: Claim, value: float) -> bool:
    """Whether the printed number is this one, rounded to its last digit, or cut off where the paper cut."""
    off, dust = value - claim.paper_value, 1e-9 * max(1.0, abs(value))
    if claim.cut:
        return -dust <= off < claim.digit - dust
    return abs(off) <= claim.digit / 2 + dust


def combined(words: Sequence[str]) -> str:
    """The word for several pairs together."""
    found = set(words)
    if found == {NOT_TESTABLE}:
        return NOT_TESTABLE
    if found & {CANNOT, NOT_TESTABLE}:
        return CANNOT
    if len(found) == 1:
        return words[0]
    if {HOLDS, OPPOSITE} <= found:
        return MIXED
    return PARTLY if found == {HOLDS, NO_DIFFERENCE} else UNDECIDED


def _count(claim: Claim, counted: dict[str, float], paper: str) -> Verdict:
    (metric,) = claim.metrics
    conflict = f"{claim.conflict.rstrip('. ')}: " if claim.conflict else ""
    if metric not in counted:
        why = f"{conflict}not counted yet; `make reproduce ONLY={paper}` counts it"
        return _of(claim, None, NOT_TESTABLE, why, UNMEASURED)
    value, unit = counted[metric], f" {claim.unit}" if claim.unit else ""
    if value == claim.paper_value:
        return _of(claim, value, REPRODUCED, f"counted {exact(value)}{unit}, as the paper prints")
    how = f"cut to {claim.digit:g}" if claim.cut else f"rounded to the nearest {claim.digit:g}"
    if same_count(claim, value):
        return _of(claim, value, REPRODUCED, f"counted {exact(value)}{unit}, which is {exact(claim.paper_value)} {how}")
    why = f"{conflict}counted {exact(value)}{unit}, which is not {exact(claim.paper_value)} {how}"
    return _of(claim, value, NOT_REPRODUCED, why)


def _ordering(claim: Claim, claims: Claims, scores: Mapping[str, Scores], shown: Mapping[str, Scores]) -> Verdict:
    """One scale for the whole claim: the paper's where it has been judged there, else the small one."""
    for scale in SCALES:
        outcomes = [_outcome(claim, pair, claims, scores[scale], shown[scale]) for pair in claim.pairs]
        word = combined([outcome.word for outcome in outcomes])
        if scale == "paper" and word not in (CANNOT, NOT_TESTABLE):
            word = AT_PAPER_SCALE.get(word, word)
            break
    whys = [outcome.why for outcome in outcomes]
    if len(set(whys)) == 1:
        why = whys[0]
    else:
        why = "; ".join(f"{_place(k)} pair, {outcome.word}: {outcome.why}" for k, outcome in enumerate(outcomes))
    if claim.setting:
        why += f" (here: {claim.setting.rstrip('. ')})"
    return _of(claim, outcomes[0].measured, word, why, *(each.reason for each in outcomes if each.reason))


def _outcome(claim: Claim, pair: Pair, claims: Claims, scores: Scores, shown: Scores) -> Outcome:
    if claim.cost:
        return judge_cost(claim, pair, scores, shown, claims.paper)
    return judge_pair(claim, pair, claims.tasks[claim.task], scores, shown, claims.paper)


def _place(k: int) -> str:
    return PLACES[k] if k < len(PLACES) else f"{k + 1}th"


def _magnitude(claim: Claim, scores: Scores) -> Verdict:
    (metric,) = claim.metrics
    rows = list(scores.rows(metric).values())
    values = [row.value for row in rows]
    measured = fmean(values) if values else None
    if claim.different_setting:
        return _of(claim, measured, NOT_TESTABLE, claim.different_setting)
    if measured is None:
        return _of(claim, None, NOT_TESTABLE, "needs the paper's weights and data; the value is the paper's")
    off, unit = measured - claim.paper_value, f" {claim.unit}" if claim.unit else ""
    same = abs(off) <= claim.within
    why = (
        f"measured {number(measured)}{unit} over {several(len(values), 'seeds')}, the paper has "
        f"{number(claim.paper_value)}{unit}: off by {number(off, '+')}, {'within' if same else 'more than'} "
        f"{claim.within:g}"
    )
    if rows[-1].data:
        why += f" ({rows[-1].data})"
    return _of(claim, measured, REPRODUCED if same else NOT_REPRODUCED, why)

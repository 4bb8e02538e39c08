"""One pair of metrics judged: the look that decides, the word that its gates leave, and the reason in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from minilib.claims.gates import gates_of, reach
from minilib.claims.intervals import (
    COSTS,
    EFFECT,
    HOLDS,
    LOOKS,
    NO_DIFFERENCE,
    NO_EFFECT,
    ROUNDS,
    UNDECIDED,
    Look,
    Sample,
    decide,
    first_look,
    needed,
)
from minilib.claims.model import COST, Claim
from minilib.claims.reasons import APART, FEW, MORE, OLD, UNMEASURED, UNVOUCHED
from minilib.claims.rows import Row
from minilib.claims.scores import Scores
from minilib.claims.tasks import Pair, Task
from minilib.claims.words import in_words, number, several

CANNOT, NOT_TESTABLE = "cannot show it here", "not testable here"
RECIPES = ("grid/", "short"), ("tuned/", "long")
SPOKEN = {"shared test clips": "tested on shared clips"}


@dataclass(frozen=True)
class Outcome:
    """What became of one pair; reason: of `REASONS`, why its word is none of those that decide."""

    word: str
    measured: float | None
    why: str
    reason: str = ""


def judge_pair(claim: Claim, pair: Pair, task: Task, judging: Scores, shown: Scores, paper: str) -> Outcome:
    """The pair's word: replicates, room, controls, length, and what the first look that decides says."""
    looks = LOOKS[claim.replicates]
    differences = judging.points(pair, task, looks[0])
    look = first_look(differences, looks, pair.test, claim.margin)
    if look is None:
        return _too_few(claim, pair, task, judging, shown, paper)
    measured = fmean(differences.values())
    said = _said(claim, pair, differences, look)
    gate = next((each for each in gates_of(judging, claim, pair, task, look) if each.failed), None)
    if gate is not None:
        return Outcome(CANNOT, measured, f"{gate.failed}; {said}", gate.reason)
    return Outcome(look.word, measured, said, MORE if look.word == UNDECIDED else "")


def _said(claim: Claim, pair: Pair, differences: Mapping[int, float], look: Look) -> str:
    """Mean, interval, number, and what the word rests on."""
    looks, every = LOOKS[claim.replicates], Sample.of(list(differences.values()))
    absent = look.word == NO_DIFFERENCE or (look.word == HOLDS and pair.test != "greater")
    coverage = NO_EFFECT if absent else EFFECT
    text = f"{_measured(every, coverage)}, {several(every.n, claim.replicates)}"
    if every.n > look.n and look.word != UNDECIDED:
        first = reach(*look.sample.interval(coverage))
        text += f"; the look at {in_words(look.n)} decides, interval {first}"
    if look.word == UNDECIDED:
        enough = needed(every, looks, pair.test, claim.margin)
        last = enough is None or enough > looks[-1]
        many = f"about {enough:,}" if enough else f"{10 * looks[-1]:,}"
        text += f"; {many} {claim.replicates} would {'' if enough else 'not '}decide"
        text += f", the last look is at {looks[-1]}" if last else ""
    if absent or pair.test != "greater":
        sign = "-" if pair.test == "not_worse" else "±"
        text += f"; the margin is {sign}{claim.margin:.3g} points"
    return text


def _measured(sample: Sample, coverage: float) -> str:
    interval = f"{100 * coverage:.0f} % interval {reach(*sample.interval(coverage))}"
    return f"mean difference {number(sample.mean, '+')} points, {interval}"


def _too_few(claim: Claim, pair: Pair, task: Task, judging: Scores, shown: Scores, paper: str) -> Outcome:
    """Why there is no first look: nothing measured, nothing that makes a pair, or fewer replicates than it needs."""
    first, what = LOOKS[claim.replicates][0], claim.replicates
    paired = judging.paired(pair, task)
    scores = judging if paired else shown
    if not paired and not (paired := shown.paired(pair, task)):
        return _no_pairs(pair, shown, paper)
    if scores.ends(task, first) is None:
        return Outcome(CANNOT, None, f"chance or oracle of the task ({claim.task}) is not measured", UNVOUCHED)
    if scores is shown:
        why = f"{several(len(paired), what)}, {_bars(paired.values())}"
    else:
        there = sum(seed < first for seed in paired)
        only = f"only {in_words(there)} {'has' if there == 1 else 'have'}" if there else "none has"
        why = f"of the {what} 0 to {first - 1} {only} rows that judge, the first look needs them all"
    differences = Sample.of(list(scores.points(pair, task, first).values()))
    if differences.n > 1:
        why += f": {_measured(differences, EFFECT)}"
    return Outcome(CANNOT, differences.mean, why, OLD if scores is shown else FEW)


def _no_pairs(pair: Pair, shown: Scores, paper: str) -> Outcome:
    costs = pair.better.startswith(COST)
    command = f"python -m minilib.study {paper}{' --costs' if costs else ''}"
    if all(shown.rows(part) for name in pair.metrics for part in shown.parts(name)):
        again = f"`{command}` measures both together" if costs else f"`{command} --here` measures here what lacks"
        why = "the two were not measured with the same seeds on the same device, dtype and number of threads"
        return Outcome(CANNOT, None, f"{why}; {again}", APART)
    why = "not measured yet"
    if other := _by_the_other(pair, shown):
        why = f"by the {other[0]} training that judges this claim: {why}; {other[1]} trainings stand in the tables"
    return Outcome(NOT_TESTABLE, None, f"{why}; `{command}` measures it", UNMEASURED)


def _by_the_other(pair: Pair, shown: Scores) -> tuple[str, str] | None:
    """Where what a pair lacks is there by the other recipe than the one that its claim is locked to: the words of
    both."""
    lacking = [part for name in pair.metrics for part in shown.parts(name) if not shown.rows(part)]
    for (recipe, word), (other, its_word) in (RECIPES, RECIPES[::-1]):
        if all(part.startswith(recipe) and shown.rows(other + part.removeprefix(recipe)) for part in lacking):
            return word, its_word
    return None


def _bars(paired: Iterable[tuple[Row, Row]]) -> str:
    """Why these rows do not judge, in words."""
    reasons = []
    for row in (row for rows in paired for row in rows if not row.judges):
        changed = "measured outside a checkout" if not row.commit else "measured with uncommitted changes"
        reasons.append(SPOKEN.get(row.barred, row.barred) or changed)
    return " and ".join(dict.fromkeys(reasons))


def judge_cost(claim: Claim, pair: Pair, judging: Scores, shown: Scores, paper: str) -> Outcome:
    """Ratios worse / better of interleaved rounds, by their logarithms; no gates."""
    for scores in (judging, shown):
        by_setup: dict[tuple, list[float]] = {}
        for better, worse in scores.paired(pair, None).values():
            if min(better.value, worse.value) > 0:
                by_setup.setdefault(better.setup, []).append(math.log(worse.value / better.value))
        logs = max(by_setup.values(), key=len, default=[])
        if len(logs) >= ROUNDS or (scores is shown and logs):
            break
    else:
        return _no_pairs(pair, shown, paper)
    sample = Sample.of(logs)
    why = f"ratio {math.exp(sample.mean):.3g}"
    if sample.n > 1:
        low, high = map(math.exp, sample.interval(COSTS))
        why += f", 95 % interval [{low:.3g}, {high:.3g}]"
    why += f", {several(sample.n, 'rounds')}"
    if scores is shown:
        bars = _bars(shown.paired(pair, None).values()) if sample.n >= ROUNDS else f"{in_words(ROUNDS)} are needed"
        return Outcome(CANNOT, math.exp(sample.mean), f"{why}, {bars}", OLD if sample.n >= ROUNDS else FEW)
    word = decide(sample, pair.test, math.log1p(claim.margin / 100), COSTS, COSTS)
    return Outcome(word, math.exp(sample.mean), why, MORE if word == UNDECIDED else "")

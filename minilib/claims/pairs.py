"""One pair of metrics judged: the look that decides, the gates before its word, and the reason in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from minilib.claims.intervals import (
    COSTS,
    EFFECT,
    HOLDS,
    LOOKS,
    NO_DIFFERENCE,
    NO_EFFECT,
    OPPOSITE,
    ROUNDS,
    UNDECIDED,
    Look,
    Sample,
    decide,
    first_look,
    needed,
)
from minilib.claims.model import COST, Claim
from minilib.claims.rows import Row
from minilib.claims.scores import Scores
from minilib.claims.tasks import ENDS, Pair, Task
from minilib.claims.words import in_words, number, several

CANNOT, NOT_TESTABLE = "cannot show it here", "not testable here"
ROOM = (10.0, 90.0)  # the better of a pair lies at least, the worse at most so many points above chance
NOTHING = 3.0  # points within which a negative control must lie
NO_HALF = "half the steps are not measured with these seeds"
FEW = "the first look needs them all"
UNVOUCHED = "is not measured"
APART = "not measured with the same seeds on the same device, dtype and number of threads"
SPOKEN = {"shared test clips": "tested on shared clips"}


@dataclass(frozen=True)
class Outcome:
    """What became of one pair."""

    word: str
    measured: float | None
    why: str


def judge_pair(claim: Claim, pair: Pair, task: Task, judging: Scores, shown: Scores, paper: str) -> Outcome:
    """The pair's word: replicates, room, controls, length, and what the first look that decides says."""
    looks = LOOKS[claim.replicates]
    differences = judging.points(pair, task, looks[0])
    look = first_look(differences, looks, pair.test, claim.margin)
    if look is None:
        return _too_few(claim, pair, task, judging, shown, paper)
    measured = fmean(differences.values())
    said = _said(claim, pair, differences, look)
    failed = (
        room(judging, pair, task, look.n, looks[0])
        or controls(judging, claim.task, task, looks)
        or length(judging, claim, pair, task, look)
    )
    return Outcome(CANNOT, measured, f"{failed}; {said}") if failed else Outcome(look.word, measured, said)


def room(scores: Scores, pair: Pair, task: Task, n: int, first: int) -> str | None:
    """Why the pair has no room to differ: all near chance or all near the oracle. An end itself needs none."""
    if set(ENDS) & {pair.better, pair.worse} or {task.chance, task.oracle} & {pair.better, pair.worse}:
        return None
    chance, oracle = scores.ends(task, first)
    derived = [scores.parts(name) for name in (pair.better, pair.worse) if name in scores.derived]
    for group in (scores.parts(pair.better) + scores.parts(pair.worse), *derived):
        levels = [100 * (scores.level(name, pair, n) - chance) / (oracle - chance) for name in group]
        if max(levels) < ROOM[0]:
            return f"room: the better one lies {max(levels):z.0f} % of the way from chance to oracle, less than 10 %"
        if min(levels) > ROOM[1]:
            return f"room: the worse one lies {min(levels):.0f} % of the way from chance to oracle, more than 90 %"
    return None


def controls(scores: Scores, name: str, task: Task, looks: tuple[int, ...]) -> str | None:
    """Why the task's controls do not vouch for it."""
    looks = LOOKS[task.replicates] if task.replicates else looks
    wanted = (("positive", task.positive, "greater"), ("negative", task.negative, "equal"))
    for kind, control, test in wanted:
        if control is None:
            return f"controls: the task ({name}) names no {kind} control"
        look = first_look(scores.points(control, task, looks[0]), looks, test, NOTHING)
        if look is None:
            return f"controls: the {kind} control of the task ({name}) {UNVOUCHED}"
        if look.word != HOLDS:
            low, high = look.sample.interval(EFFECT if kind == "positive" else NO_EFFECT)
            must = "must lie above 0" if kind == "positive" else f"must lie within {NOTHING:g} points of nothing"
            return f"controls: the interval of the {kind} control {must} and is {_interval(low, high)}"
    return None


def length(scores: Scores, claim: Claim, pair: Pair, task: Task, look: Look) -> str | None:
    """Why the word may be one of short training: what half the steps say. Asked only where there is a word to lose.

    An effect needs the same sign at half the steps, and now at least half of what it was then; the absence of one
    needs its interval inside the margin then as well.
    """
    if look.word == UNDECIDED or claim.replicates != "seeds":
        return None
    before = scores.points(pair, task, LOOKS[claim.replicates][0], half=True)
    if any(seed not in before for seed in range(look.n)):
        return f"length: {NO_HALF}"
    then = Sample.of([before[seed] for seed in range(look.n)])
    at_half = f"length: at half the steps the difference was {number(then.mean, '+')} points"
    if look.word == OPPOSITE or (look.word == HOLDS and pair.test == "greater"):
        if then.mean * look.sample.mean <= 0:
            return f"{at_half}, of the other sign"
        return f"{at_half}, more than twice as large" if abs(look.sample.mean) < abs(then.mean) / 2 else None
    low, high = then.interval(NO_EFFECT)
    inside = -claim.margin < low and (pair.test == "not_worse" or high < claim.margin)
    return None if inside else f"{at_half}, 96 % interval {_interval(low, high)}, not inside the margin"


def _said(claim: Claim, pair: Pair, differences: Mapping[int, float], look: Look) -> str:
    """Mean, interval, number, and what the word rests on."""
    looks, every = LOOKS[claim.replicates], Sample.of(list(differences.values()))
    absent = look.word == NO_DIFFERENCE or (look.word == HOLDS and pair.test != "greater")
    coverage = NO_EFFECT if absent else EFFECT
    text = f"{_measured(every, coverage)}, {several(every.n, claim.replicates)}"
    if every.n > look.n and look.word != UNDECIDED:
        first = _interval(*look.sample.interval(coverage))
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
    interval = f"{100 * coverage:.0f} % interval {_interval(*sample.interval(coverage))}"
    return f"mean difference {number(sample.mean, '+')} points, {interval}"


def _interval(low: float, high: float) -> str:
    return f"[{number(low)}, {number(high)}]"


def _too_few(claim: Claim, pair: Pair, task: Task, judging: Scores, shown: Scores, paper: str) -> Outcome:
    """Why there is no first look: nothing measured, nothing that makes a pair, or fewer replicates than it needs."""
    first, what = LOOKS[claim.replicates][0], claim.replicates
    paired = judging.paired(pair, task)
    scores = judging if paired else shown
    if not paired and not (paired := shown.paired(pair, task)):
        return _no_pairs(pair, shown, paper)
    if scores.ends(task, first) is None:
        return Outcome(CANNOT, None, f"chance or oracle of the task ({claim.task}) is not measured")
    if scores is shown:
        why = f"{several(len(paired), what)}, {_bars(paired.values())}"
    else:
        there = sum(seed < first for seed in paired)
        only = f"only {in_words(there)} {'has' if there == 1 else 'have'}" if there else "none has"
        why = f"of the {what} 0 to {first - 1} {only} rows that judge, {FEW}"
    differences = Sample.of(list(scores.points(pair, task, first).values()))
    if differences.n > 1:
        why += f": {_measured(differences, EFFECT)}"
    return Outcome(CANNOT, differences.mean, why)


def _no_pairs(pair: Pair, shown: Scores, paper: str) -> Outcome:
    costs = pair.better.startswith(COST)
    command = f"python -m minilib.study {paper}{' --costs' if costs else ''}"
    if all(shown.rows(part) for name in pair.metrics for part in shown.parts(name)):
        again = f"`{command}` measures both together" if costs else f"`{command} --here` measures here what lacks"
        return Outcome(CANNOT, None, f"the two were {APART}; {again}")
    return Outcome(NOT_TESTABLE, None, f"not measured yet; `{command}` measures it")


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
        return Outcome(CANNOT, math.exp(sample.mean), f"{why}, {bars}")
    word = decide(sample, pair.test, math.log1p(claim.margin / 100), COSTS, COSTS)
    return Outcome(word, math.exp(sample.mean), why)

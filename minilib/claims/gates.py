"""The gates before a pair's word, each with its number: room to differ, both controls of its task, half the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minilib.claims.intervals import EFFECT, HOLDS, LOOKS, NO_EFFECT, OPPOSITE, UNDECIDED, Look, Sample, first_look
from minilib.claims.model import Claim
from minilib.claims.reasons import CONTROL, HALF, NO_HALF, ROOM, UNVOUCHED
from minilib.claims.scores import Scores
from minilib.claims.tasks import ENDS, Pair, Task
from minilib.claims.words import number

NAMES = ("room", "positive control", "negative control", "half the steps")
WITHIN = (10.0, 90.0)  # the better of a pair lies at least, the worse at most so many points above chance
NOTHING = 3.0  # points within which a negative control must lie


@dataclass(frozen=True)
class Gate:
    """said: its number in words; failed: why the pair does not pass, None where it does; asked: whether it matters to
    this pair; reason: the phrase for `failed`, one of `REASONS`."""

    said: str
    failed: str | None = None
    asked: bool = True
    reason: str = ""

    def __str__(self) -> str:
        word = "fails" if self.failed else "holds" if self.asked else "not asked"
        return f"{word}: {self.said}" if self.said else word


def gates_of(scores: Scores, claim: Claim, pair: Pair, task: Task, look: Look) -> Iterator[Gate]:
    """All gates of a pair, in the order of `NAMES`, in which they are asked."""
    looks = LOOKS[claim.replicates]
    yield room(scores, pair, task, look.n, looks[0])
    yield control(scores, claim.task, task, looks, "positive")
    yield control(scores, claim.task, task, looks, "negative")
    yield length(scores, claim, pair, task, look)


def room(scores: Scores, pair: Pair, task: Task, n: int, first: int) -> Gate:
    """Whether the pair has room to differ: not all near chance or all near the oracle. An end itself needs none."""
    if set(ENDS) & {pair.better, pair.worse} or {task.chance, task.oracle} & {pair.better, pair.worse}:
        return Gate("against an end of the task", asked=False)
    chance, oracle = scores.ends(task, first)
    derived = [scores.parts(name) for name in (pair.better, pair.worse) if name in scores.derived]
    groups = [
        [100 * (scores.level(name, pair, n) - chance) / (oracle - chance) for name in group]
        for group in (scores.parts(pair.better) + scores.parts(pair.worse), *derived)
    ]
    said = f"{min(groups[0]):z.0f} and {max(groups[0]):z.0f} % of the way from chance to oracle"
    for levels in groups:
        if max(levels) < WITHIN[0]:
            why = f"the better one lies {max(levels):z.0f} % of the way from chance to oracle, less than 10 %"
            return Gate(said, f"room: {why}", reason=ROOM)
        if min(levels) > WITHIN[1]:
            why = f"the worse one lies {min(levels):.0f} % of the way from chance to oracle, more than 90 %"
            return Gate(said, f"room: {why}", reason=ROOM)
    return Gate(said)


def control(scores: Scores, name: str, task: Task, looks: tuple[int, ...], kind: str) -> Gate:
    """Whether the positive or the negative control of the task, which is called `name`, vouches for it."""
    looks = LOOKS[task.replicates] if task.replicates else looks
    pair, test = (task.positive, "greater") if kind == "positive" else (task.negative, "equal")
    if pair is None:
        return Gate("there is none", f"controls: the task ({name}) names no {kind} control", reason=UNVOUCHED)
    look = first_look(scores.points(pair, task, looks[0]), looks, test, NOTHING)
    if look is None:
        why = f"controls: the {kind} control of the task ({name}) is not measured"
        return Gate("not measured", why, reason=UNVOUCHED)
    interval = reach(*look.sample.interval(EFFECT if kind == "positive" else NO_EFFECT))
    said = f"{number(look.sample.mean, '+')} points {interval}"
    if look.word == HOLDS:
        return Gate(said)
    must = "must lie above 0" if kind == "positive" else f"must lie within {NOTHING:g} points of nothing"
    return Gate(said, f"controls: the interval of the {kind} control {must} and is {interval}", reason=CONTROL)


def length(scores: Scores, claim: Claim, pair: Pair, task: Task, look: Look) -> Gate:
    """Whether the word is one of short training: what half the steps say. Asked only where there is a word to lose.

    An effect needs the same sign at half the steps, and now at least half of what it was then; the absence of one
    needs its interval inside the margin then as well.
    """
    if claim.replicates != "seeds":
        return Gate(f"{claim.replicates} are compared, not trainings", asked=False)
    asked = look.word != UNDECIDED
    before = scores.points(pair, task, LOOKS[claim.replicates][0], half=True)
    if any(seed not in before for seed in range(look.n)):
        why = "length: half the steps are not measured with these seeds" if asked else None
        return Gate("not measured", why, asked, NO_HALF)
    then = Sample.of([before[seed] for seed in range(look.n)])
    said = f"{number(then.mean, '+')} points, then {number(look.sample.mean, '+')}"
    failed = _too_short(claim, pair, look, then) if asked else None
    return Gate(said, failed, asked, HALF)


def _too_short(claim: Claim, pair: Pair, look: Look, then: Sample) -> str | None:
    """Why the word does not stand beside the differences at half the steps."""
    at_half = f"length: at half the steps the difference was {number(then.mean, '+')} points"
    if look.word == OPPOSITE or (look.word == HOLDS and pair.test == "greater"):
        if then.mean * look.sample.mean <= 0:
            return f"{at_half}, of the other sign"
        return f"{at_half}, more than twice as large" if abs(look.sample.mean) < abs(then.mean) / 2 else None
    low, high = then.interval(NO_EFFECT)
    inside = -claim.margin < low and (pair.test == "not_worse" or high < claim.margin)
    return None if inside else f"{at_half}, 96 % interval {reach(low, high)}, not inside the margin"


def reach(low: float, high: float) -> str:
    """An interval by its ends."""
    return f"[{number(low)}, {number(high)}]"

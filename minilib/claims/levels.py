"""What lies behind a comparison: the levels of its lines, and whether the negative control of a task holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from minilib.claims.chosen import pairs_of
from minilib.claims.gates import NOTHING
from minilib.claims.intervals import HOLDS, LOOKS, NO_EFFECT, first_look
from minilib.claims.model import Claims
from minilib.claims.pairs import CANNOT
from minilib.claims.rows import Row
from minilib.claims.said import Printed, Rows, means, shared
from minilib.claims.scores import Scores, halved
from minilib.claims.table import Table
from minilib.claims.tasks import Task
from minilib.claims.words import in_words, number, several

CLIMBS = 3.0  # points that half of the steps may add without being said


def levels(table: Printed, rows: Rows, title: str = "", folded: str = "") -> Table:
    """The measured lines of a table in percent: the paper's number, our mean over the seeds that all lines share, whose
    number stands in the header (each over its own where there are none), what half the steps came to where that was
    measured, and every seed. Above it which lines still climb."""
    lines, common, halves = [], len(shared(table, rows)), halfway(table, rows)
    for label, mean in means(table, rows).items():
        metric, printed = table[label]
        seeds = ", ".join(f"{rows[metric][seed]:.1f}" for seed in sorted(rows[metric]))
        half = [_at_half(halves.get(label, []))] if halves else []
        lines.append((label, "" if printed is None else f"{printed:g}", number(mean), *half, seeds))
    which = several(common, "shared seeds") if common else "each over seeds of its own"
    half = ["at half the steps, % (the same seeds then and at the end)"] if halves else []
    header = (title, "the paper, %", f"here, % ({which})", *half, "each seed, %")
    return Table(header, tuple(lines), climbing(table, rows), folded)


def halfway(table: Printed, rows: Rows) -> dict[str, list[tuple[float, float]]]:
    """(after half the steps, after all of them) of the lines of which both were measured, by the seeds of one setup."""
    pairs = {
        label: list(pairs_of(rows.get(halved(metric), {}), rows.get(metric, {})).values())
        for label, (metric, _) in table.items()
    }
    return {label: each for label, each in pairs.items() if each}


def climbing(table: Printed, rows: Rows) -> str:
    """Which lines gain more than a few points from half the steps to all of them: more training would change them. ""
    where none does, or no half was measured."""
    gains = {label: fmean(b - a for a, b in pairs) for label, pairs in halfway(table, rows).items()}
    listed = [f"“{label}” {number(gain, '+')}" for label, gain in gains.items() if gain > CLIMBS]
    return f"Still climbing, in points from half the steps to all of them: {', '.join(listed)}." if listed else ""


def _at_half(pairs: Sequence[tuple[float, float]]) -> str:
    """'27.1 to 38.4, five seeds'"""
    if not pairs:
        return ""
    then, now = map(fmean, zip(*pairs, strict=True))
    return f"{number(then)} to {number(now)}, {several(len(pairs), 'seeds')}"


def control(what: str, claims: Claims, task: str, rows: Iterable[Row]) -> str:
    """The negative control of a task against its chance, by the look that the verdicts take, and whether it lies within
    what counts as nothing. what: the control and its metric, in percent."""
    on = claims.tasks[task]
    scores = Scores.of([row for row in rows if row.judges], "small", claims.derived)
    kind = on.replicates or "seeds"
    points = scores.points(on.negative, on, LOOKS[kind][0])
    look = first_look(points, LOOKS[kind], "equal", NOTHING)
    if look is None:
        return f"{what} is not measured with enough {kind} yet."
    low, high = (number(end, "+") for end in look.sample.interval(NO_EFFECT))
    (chance, oracle), off = scores.ends(on, look.n), look.sample.mean
    text = f"{what} is {number(chance + (oracle - chance) * off / 100)} %, chance {number(chance)} %: "
    text += f"{number(off, '+')} points of the way to a perfect score (96 % interval {low} to {high}, "
    text += f"{several(look.n, kind)}). "
    if look.word == HOLDS:
        return f"{text}All of the interval lies within {NOTHING:g} points, which counts as nothing: the control holds."
    return (
        f"{text}The interval reaches beyond the {NOTHING:g} points that count as nothing: the control does not hold. "
        f"{_resting(claims, task)}"
    )


def _resting(claims: Claims, task: str) -> str:
    """Which claims lose their word with the negative control of a task, at most three of them by name: those of every
    task whose control is the same measurement."""
    control, every = _control(claims.tasks[task]), [claim for claim in claims.claims if claim.kind == "ordering"]
    ids = [claim.id for claim in every if claim.task and _control(claims.tasks[claim.task]) == control]
    if not ids:
        return "No claim rests on it."
    *others, last = ids if len(ids) < 4 else [*ids[:3], f"{in_words(len(ids) - 3)} more"]
    names = f"{', '.join(others)} and {last}" if others else last
    rest, get = ("rests", "gets") if len(ids) == 1 else ("rest", "get")
    text = f"Of {several(len(every), 'orderings')}, {in_words(len(ids))} {rest} on it ({names}) and {get} “{CANNOT}”"
    return f"{text} once measured; the others do not." if len(ids) < len(every) else f"{text} once measured."


def _control(task: Task) -> tuple:
    """What makes the measurement of a task's negative control."""
    return task.negative, task.chance, task.oracle, task.replicates

"""What lies behind a comparison: the levels of its lines, and whether the negative control of a task holds."""

from __future__ import annotations

from collections.abc import Iterable

from minilib.claims.intervals import HOLDS, LOOKS, NO_EFFECT, first_look
from minilib.claims.model import Claims
from minilib.claims.pairs import CANNOT, NOTHING
from minilib.claims.rows import Row
from minilib.claims.said import Printed, Rows, means
from minilib.claims.scores import Scores
from minilib.claims.table import Table
from minilib.claims.words import number, several


def levels(table: Printed, rows: Rows, title: str = "", folded: str = "") -> Table:
    """The measured lines of a table in percent: the paper's number, our mean over the seeds that all lines share (each
    over its own where there are none), and every seed."""
    lines = []
    for label, mean in means(table, rows).items():
        metric, printed = table[label]
        seeds = ", ".join(f"{rows[metric][seed]:.1f}" for seed in sorted(rows[metric]))
        lines.append((label, "" if printed is None else f"{printed:g}", number(mean), seeds))
    return Table((title, "the paper, %", "here, %", "each seed, %"), tuple(lines), folded=folded)


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
        f"{text}The interval reaches beyond the {NOTHING:g} points that count as nothing: the control does not hold, "
        f"and claims that rest on it get “{CANNOT}”."
    )

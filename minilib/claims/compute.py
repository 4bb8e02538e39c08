"""Same steps or same compute: what becomes of a headline's lead if the side that is ahead trains half as long, and the
learning curves of both sides in two numbers each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from minilib.claims.scorecard import Card
from minilib.claims.scores import Scores, halved
from minilib.claims.table import Table
from minilib.claims.tasks import Control, Task
from minilib.claims.words import in_words, number, several

CURVE = ("curve/area", "curve/end")  # mean loss of all steps, and of the last tenth


DEARER = 1.5  # times the other's seconds: with half its steps a side then has about the other's compute, or more


@dataclass(frozen=True)
class Lead:
    """A pair of a headline claim, turned so that `ahead` is ahead by so many points: `at_half` with half its steps
    against the whole training of the other, None where that is not measured. ratio: how many times the other's seconds
    it takes. curves: both numbers of either side."""

    paper: str
    ahead: str
    behind: str
    points: float
    at_half: float | None
    ratio: float
    curves: tuple[str, str]

    @property
    def line(self) -> tuple[str, ...]:
        half = "not measured" if self.at_half is None else number(self.at_half, "+")
        names = f"{self.ahead} over {self.behind}"
        return self.paper, names, number(self.points, "+"), number(self.ratio), half, *self.curves


def leads(card: Card) -> Iterator[Lead]:
    """The pairs of a paper's headlines of which both sides are trained, and measured on one machine."""
    scores = Scores.of([row for row in card.rows if row.judges], "small", card.claims.derived)
    for verdict in card.headlines:
        claim = card.claims[verdict.id]
        for pair in claim.pairs if claim.task else ():
            curves = {name: _curve(scores, name) for name in pair.metrics}
            if len(curves) == 2 and all(curves.values()):
                yield from _lead(card.title, scores, pair, card.claims.tasks[claim.task], curves)


def _lead(title: str, scores: Scores, pair: Control, task: Task, curves: Mapping[str, str]) -> Iterator[Lead]:
    rows, ends = scores.paired(pair, task), scores.ends(task, len(scores.found))
    if not rows or ends is None:
        return
    point = (ends[1] - ends[0]) / 100
    points = fmean(one.value - other.value for one, other in rows.values()) / point
    turn = (pair.better, pair.worse) if points >= 0 else (pair.worse, pair.better)
    both = scores.paired(Control(better=turn[0], worse=turn[1]), task).values()
    shorter = scores.paired(Control(better=halved(turn[0]), worse=turn[1]), task).values()
    half = fmean(one.value - other.value for one, other in shorter) / point if shorter else None
    ratio = median(one.seconds / max(other.seconds, 1e-3) for one, other in both)
    names = [name.partition("/")[2] for name in turn]
    yield Lead(title, *names, abs(points), half, ratio, tuple(curves[name] for name in turn))


def _curve(scores: Scores, metric: str) -> str:
    """Both numbers of the curve of the training that left a metric, over its seeds; "" where it left none."""
    while "/" in metric and f"{metric}/{CURVE[0]}" not in scores.found:
        metric = metric.rpartition("/")[0]
    found = [scores.found.get(f"{metric}/{part}") for part in CURVE]
    return ", ".join(number(fmean(row.value for row in each.values())) for each in found) if all(found) else ""


def same_compute(cards: Sequence[Card]) -> tuple[str, Table]:
    """How many leads of a dearer side outlast half of its training, in a sentence, and every lead by itself."""
    every = [lead for card in cards for lead in leads(card)]
    dearer = [lead for lead in every if lead.ratio >= DEARER]
    halves = [lead for lead in dearer if lead.at_half is not None]
    stay = in_words(n) if (n := sum(lead.at_half > 0 for lead in halves)) else "none"
    text = (
        f"Of {several(len(every), 'trained pairs')} behind headline claims, in {in_words(len(dearer))} the side that "
        f"is ahead takes at least {DEARER:g} times as long for its steps. In {in_words(len(halves))} of these its half "
        f"is measured: with half its steps it is still ahead in {stay}."
    )
    header = ("paper", "ahead", "points, same steps", "its seconds / the other's", "points, half its steps")
    curves = tuple(f"loss of the {who}: mean, last tenth" for who in ("one ahead", "other"))
    return text, Table((*header, *curves), tuple(lead.line for lead in every), folded="Each pair, and its curves")

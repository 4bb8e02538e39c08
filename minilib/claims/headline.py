"""The headline claims of all papers: how many are decided, by which gates they pass, and what the open ones lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minilib.claims.chosen import latest
from minilib.claims.gates import NAMES, gates_of
from minilib.claims.intervals import LOOKS, first_look
from minilib.claims.model import Claims
from minilib.claims.reasons import MORE
from minilib.claims.rows import Row
from minilib.claims.scorecard import OPEN, Card, reason
from minilib.claims.scores import Scores
from minilib.claims.table import Table

AIM = 60  # percent of the headline orderings that should be decided


def decided(found: Sequence[Card], whose: str) -> str:
    """How many of the headlines that are orderings and no costs are decided, beside what was aimed at."""
    words = [v.verdict for card in found for v in card.headlines if v.kind == "ordering" and not card.claims[v.id].cost]
    n = sum(word not in OPEN for word in words)
    share = f" ({100 * n / len(words):.0f} %)" if words else ""
    return f"Orderings among them, costs aside, {whose}: {n} of {len(words)} are decided{share}; the aim was {AIM} %."


def open_headlines(found: Sequence[Card], seconds: Mapping[str, Mapping[str, float]]) -> Table:
    """What each open headline claim still lacks. seconds: of a processor, by paper and by claim."""
    rows = []
    for card in found:
        for verdict in (each for each in card.headlines if each.verdict in OPEN):
            claim, lacks = card.claims[verdict.id], seconds.get(card.claims.paper, {}).get(verdict.id, 0.0)
            why = reason(claim, verdict)
            rows.append((card.title, claim.statement, verdict.verdict, why, _minutes(lacks, why, claim.cost)))
    return Table(("paper", "claim", "verdict", "why", "minutes of a processor that it still lacks"), tuple(rows))


def _minutes(seconds: float, why: str, cost: bool) -> str:
    if seconds:
        return f"{max(1, round(seconds / 60)):,}"
    return "a cost: not reckoned" if cost else "none: not by the last look" if why == MORE else "none would decide it"


def gates(claims: Claims, rows: Iterable[Row]) -> Table:
    """Every gate of every headline ordering in the small world, pair by pair, with its number and whether it holds; of
    a pair without a first look nothing but that."""
    judging = [row for row in latest(rows, claims.experiment) if row.judges]
    scores, lines = Scores.of(judging, "small", claims.derived), []
    for claim in (each for each in claims.claims if each.headline and each.task):
        task, looks = claims.tasks[claim.task], LOOKS[claim.replicates]
        for k, pair in enumerate(claim.pairs, 1):
            which = f"{claim.statement} (pair {k})" if len(claim.pairs) > 1 else claim.statement
            look = first_look(scores.points(pair, task, looks[0]), looks, pair.test, claim.margin)
            found = map(str, gates_of(scores, claim, pair, task, look)) if look else [""] * len(NAMES)
            lines.append((which, look.word if look else "no first look yet", *found))
    return Table(("claim", "by its interval alone", *NAMES), tuple(lines))

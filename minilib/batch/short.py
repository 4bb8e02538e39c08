"""Every paper in one line and one bar: what its claims came to. The report and the site begin with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from minilib.claims.scorecard import Card
from minilib.claims.table import BADGES, measured, occurring, printed
from minilib.claims.words import sentence
from minilib.files import NOTEBOOKS


def in_order(found: Sequence[Card], notebooks: Path = NOTEBOOKS) -> list[Card]:
    """The papers in the order of the notebooks that teach them."""
    return sorted(found, key=lambda card: (taught_in(card.claims.paper, notebooks) or "~", card.claims.paper))


def taught_in(paper: str, notebooks: Path = NOTEBOOKS) -> str:
    """The first notebook whose name, without its number, begins with the paper's."""
    names = sorted(path.stem for path in notebooks.glob("[0-9]*.ipynb"))
    return next((name for name in names if name.split("_", 1)[-1].startswith(paper)), "")


def in_one_line(card: Card) -> str:
    """'87 of 100 counts to the digit; of 37 orderings 2 hold here, 21 cannot be shown here, 14 are not measured.'"""
    words = Counter((verdict.kind, verdict.verdict) for verdict in card.verdicts)
    counts, orderings = (sum(n for (of, _), n in words.items() if of == kind) for kind in ("count", "ordering"))
    parts = [f"{words['count', 'reproduced']} of {counts} counts to the digit"] if counts else []
    said = [
        f"{words['ordering', word]} {one if words['ordering', word] == 1 else many}"
        for word, one, many in SAID
        if words["ordering", word]
    ]
    parts += [f"of {orderings} orderings {', '.join(said)}"] if said else []
    return sentence("; ".join(parts)) if parts else "Nothing is claimed that can be tested here."


SAID = (
    ("holds here", "holds here", "hold here"),
    ("partly", "holds in part", "hold in part"),
    ("mixed", "is mixed", "are mixed"),
    ("opposite here", "comes out the other way", "come out the other way"),
    ("no difference here", "shows no difference", "show no difference"),
    ("undecided", "is undecided", "are undecided"),
    ("cannot show it here", "cannot be shown here", "cannot be shown here"),
    ("not testable here", "is not measured", "are not measured"),
)


def templates(judged: Sequence[Card]) -> Environment:
    """The templates, and what they need to show these cards."""
    loader = PackageLoader("minilib")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    words = occurring(verdict for card in judged for verdict in card.verdicts)
    found.globals.update(measured=measured, printed=printed, in_one_line=in_one_line, badges=BADGES, words=words)
    found.globals.update(anchor=anchor)
    return found


def anchor(card: Card) -> str:
    """Where the report shows a paper's claims."""
    return f"#claims-{card.claims.paper}"

"""Every paper in one line and one bar: what its claims came to. The report and the site begin with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from minilib.claims.pairs import NOT_TESTABLE
from minilib.claims.scorecard import Card
from minilib.claims.table import BADGES, measured, occurring, printed
from minilib.claims.words import in_words, sentence
from minilib.files import NOTEBOOKS


def in_order(found: Sequence[Card], notebooks: Path = NOTEBOOKS) -> list[Card]:
    """The papers in the order of the notebooks that teach them."""
    return sorted(found, key=lambda card: (taught_in(card.claims.paper, notebooks) or "~", card.claims.paper))


def taught_in(paper: str, notebooks: Path = NOTEBOOKS) -> str:
    """The first notebook whose name, without its number, begins with the paper's."""
    names = sorted(path.stem for path in notebooks.glob("[0-9]*.ipynb"))
    return next((name for name in names if name.split("_", 1)[-1].startswith(paper)), "")


def in_one_line(card: Card) -> str:
    """'87 of 100 counts agree to the last printed digit; of 37 orderings, 2 hold here, 21 cannot be shown here, 14 are
    not measured yet; 21 numbers need the paper's own data.'"""
    words = Counter((verdict.kind, verdict.verdict) for verdict in card.verdicts)
    counts, orderings = (sum(n for (of, _), n in words.items() if of == kind) for kind in ("count", "ordering"))
    parts = [f"{words['count', 'reproduced']} of {counts} counts agree to the last printed digit"] if counts else []
    said = [
        f"{words['ordering', word]} {one if words['ordering', word] == 1 else many}"
        for word, one, many in SAID
        if words["ordering", word]
    ]
    if words["ordering", NOT_TESTABLE] == orderings > 1:
        parts += [f"none of {orderings} orderings is measured yet"]
    elif said:
        parts += [f"of {orderings} ordering{'' if orderings == 1 else 's'}, {', '.join(said)}"]
    if waiting := words["magnitude", NOT_TESTABLE]:
        parts += [f"{waiting} number{' needs' if waiting == 1 else 's need'} the paper's own data"]
    return sentence("; ".join(parts)) if parts else "Nothing is claimed that can be tested here."


SAID = (
    ("holds here", "holds here", "hold here"),
    ("partly", "holds in part", "hold in part"),
    ("mixed", "is mixed", "are mixed"),
    ("opposite here", "comes out the other way", "come out the other way"),
    ("no difference here", "shows no difference", "show no difference"),
    ("undecided", "is undecided", "are undecided"),
    ("cannot show it here", "cannot be shown here", "cannot be shown here"),
    (NOT_TESTABLE, "is not measured yet", "are not measured yet"),
)


NO_PAPER = {  # what has claims of its own and is no paper
    "image_to_video_compared": "a comparison of four of them with one another and with their rivals",
    "long_video": "a plan from a thesis, prototyped",
}


def judged_here(judged: Sequence[Card]) -> str:
    """Of what the claims are: so many papers, the comparison and the plan."""
    beside = [NO_PAPER[card.claims.paper] for card in judged if card.claims.paper in NO_PAPER]
    count = len(judged) - len(beside)
    papers = f"{in_words(count)} paper{'' if count == 1 else 's'} on efficient video understanding and editing"
    return "; ".join([papers, *beside])


def introduction(judged: Sequence[Card]) -> str:
    """What the lines are."""
    return (
        f"{sentence(judged_here(judged))} Each has a notebook that teaches it, counts what can be counted, trains it "
        "on a small drawn world, and judges its claims. A line says what became of them, and leads to the notebook. A "
        "*count* is a number such as parameters or operations, which is the same at any size; an *ordering* says that "
        "one method beats another."
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

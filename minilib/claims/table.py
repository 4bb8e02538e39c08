"""Claims and verdicts as a table that reads well in a notebook, a terminal and a report."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from minilib.claims.model import Claim, Claims
from minilib.claims.rows import Row
from minilib.claims.verdicts import VERDICTS, Verdict, judge
from minilib.claims.words import exact, in_words, number

# a sign beside the word, so that nothing rests on colour alone; Okabe and Ito's colours, darkened to be read on white
YES, HALF, NO, OPEN, NONE = "#00664a", "#7a5200", "#9c3f00", "#00517f", "#555555"
BADGES = {
    "reproduced": ("✓", YES),
    "not reproduced": ("✗", NO),
    "holds here": ("✓", YES),
    "partly": ("◐", HALF),
    "mixed": ("±", HALF),
    "opposite here": ("✗", NO),
    "no difference here": ("=", OPEN),
    "undecided": ("?", OPEN),
    "cannot show it here": ("○", NONE),
    "not testable here": ("–", NONE),
}
POINT = "A point is 1 % of the way from the chance of a claim's task to its oracle."
# once a table, not once a cell, which would be a tenth of a page's bytes; twice the class beats JupyterLab's own rule
RULE = "<style>.of-claims.of-claims :is(td,th,caption){text-align:left;vertical-align:top}</style>"


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of text under a header, and a line above them; `_repr_html_` for notebooks, `str()` for a terminal. In a
    notebook a table with a text in `folded` is shut, under that text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: str = ""

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.header)
        body = "".join(f"<tr>{''.join(self._cell(text) for text in row)}</tr>" for row in self.rows)
        above = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        table = f'{RULE}<table class="of-claims">{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f"<details><summary>{escape(self.folded)}</summary>{table}</details>" if self.folded else table

    @staticmethod
    def _cell(text: str) -> str:
        if text not in BADGES:
            return f"<td>{escape(text)}</td>"
        sign, colour = BADGES[text]
        return f'<td style="white-space:nowrap;color:{colour};font-weight:600">{sign} {escape(text)}</td>'

    def __repr__(self) -> str:
        return f"Table of {len(self.rows)} rows; print it to read it here"  # notebooks store this beside the HTML

    def __str__(self) -> str:
        limits = [60 if name in ("claim", "why") else 24 for name in self.header]
        wrapped = [
            [textwrap.wrap(text, limit) or [""] for text, limit in zip(row, limits, strict=True)]
            for row in (self.header, *self.rows)
        ]
        widths = [max(len(line) for row in wrapped for line in row[i]) for i in range(len(self.header))]
        lines = [self.caption, ""] if self.caption else []
        for k, row in enumerate(wrapped):
            for at in range(max(map(len, row))):
                cells = [cell[at] if at < len(cell) else "" for cell in row]
                lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
            if k == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines)


def table(claims: Claims, verdicts: Sequence[Verdict] | None = None) -> Table:
    """The claims alone, or each with what was measured, its verdict and why; headline claims first."""
    if verdicts is None:
        rows = [(c.source, c.statement, c.kind, printed(c)) for c in claims.claims]
        return Table(("source", "claim", "kind", "paper"), tuple(rows))
    rows = []
    for claim, verdict in _both(claims, verdicts):
        found = measured(claim, verdict)
        rows.append((claim.source, claim.statement, printed(claim), found, verdict.verdict, verdict.why))
    caption = f"{POINT} The paper's numbers are in its own unit." if any(" points" in row[-1] for row in rows) else ""
    return Table(("source", "claim", "paper", "measured", "verdict", "why"), tuple(rows), caption)


def headlines(claims: Claims, verdicts: Sequence[Verdict] | None = None) -> Table:
    """The at most five claims that the paper's abstract makes, in words; with verdicts what became of them."""
    if verdicts is None:
        return Table(("source", "claim"), tuple((c.source, c.statement) for c in claims.claims if c.headline))
    found = [(c.statement, v.verdict, v.why) for c, v in _both(claims, verdicts) if c.headline]
    caption = POINT if any(" points" in why for _, _, why in found) else ""
    return Table(("claim", "verdict", "why"), tuple(found), caption)


def orderings(claims: Claims) -> Table:
    """What the paper says of A against B, before anything is measured."""
    kept = [claim for claim in claims.claims if claim.kind == "ordering"]
    rows = [(c.source, c.statement, printed(c)) for c in kept]
    return Table(("source", "claim", "paper"), tuple(rows))


def counts(claims: Claims, rows: Iterable[Row], *starts: str) -> Table:
    """The counts whose id begins with one of `starts`: the paper's number beside ours, and why where they differ."""
    lines, found = [], _counts(claims, rows, starts)
    for claim, verdict in found:
        ours = "" if verdict.measured is None else f"{verdict.measured:.5g}"
        note = "same" if verdict.verdict == "reproduced" else claim.conflict or verdict.why
        lines.append((claim.source, claim.statement, f"{claim.paper_value:g} {claim.unit}", ours, note))
    return Table(("source", "count", "paper", "ours", "why they differ"), tuple(lines), _line(found))


def count_line(claims: Claims, rows: Iterable[Row], *starts: str) -> str:
    """The counts in one line: '63 of 71 to the digit; eight with a reason'."""
    return _line(_counts(claims, rows, starts))


def tally(verdicts: Sequence[Verdict]) -> Table:
    """How many claims of each kind came to which verdict; only verdicts that occur."""
    found = Counter((verdict.kind, verdict.verdict) for verdict in verdicts)
    words = occurring(verdicts)
    kinds = [kind for kind in ("count", "ordering", "magnitude") if any(k == kind for k, _ in found)]
    rows = [(kind, *(str(found[kind, verdict] or "") for verdict in words)) for kind in kinds]
    return Table(("claims", *words), tuple(rows))


def occurring(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """The words among these verdicts, in their own order."""
    found = {verdict.verdict for verdict in verdicts}
    return tuple(word for word in VERDICTS if word in found)


def printed(claim: Claim) -> str:
    """The paper's value with its unit, a derived one to three digits; nothing where it prints none."""
    if claim.paper_value is None:
        return ""
    return _with_unit(f"{claim.paper_value:.3g}" if isinstance(claim.paper, tuple) else exact(claim.paper_value), claim)


def measured(claim: Claim, verdict: Verdict) -> str:
    """What was measured, with its unit: a difference in points, a ratio in times, else the claim's own."""
    if verdict.measured is None:
        return ""
    if claim.kind == "count":
        return _with_unit(exact(verdict.measured), claim)
    if claim.kind == "ordering":
        return f"{verdict.measured:.3g} times" if claim.cost else f"{number(verdict.measured, '+')} points"
    return _with_unit(f"{verdict.measured:,.4g}", claim)


def _with_unit(value: str, claim: Claim) -> str:
    return f"{value} {claim.unit}" if claim.unit else value


def _both(claims: Claims, verdicts: Sequence[Verdict]) -> list[tuple[Claim, Verdict]]:
    judged = {verdict.id: verdict for verdict in verdicts}
    return [(claim, judged[claim.id]) for claim in claims.claims if claim.id in judged]


def _counts(claims: Claims, rows: Iterable[Row], starts: tuple[str, ...]) -> list[tuple[Claim, Verdict]]:
    found = _both(claims, judge(claims, rows))
    return [(c, v) for c, v in found if c.kind == "count" and c.id.startswith(starts or ("",))]


def _line(found: Sequence[tuple[Claim, Verdict]]) -> str:
    words = Counter(verdict.verdict for _, verdict in found)
    reasons = sum(bool(c.conflict) for c, v in found if v.verdict == "not reproduced")
    without, open_ = words["not reproduced"] - reasons, words["not testable here"]
    parts = [f"{words['reproduced']} of {len(found)} to the digit"]
    parts += [f"{in_words(n)} {what}" for n, what in ((reasons, "with a reason"), (without, "off")) if n]
    return "; ".join(parts + ([f"{in_words(open_)} not counted yet"] if open_ else []))

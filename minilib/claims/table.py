"""Claims and verdicts as a table that reads well in a notebook, a terminal and a report."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from minilib.claims.model import Claims
from minilib.claims.rows import Row
from minilib.claims.verdicts import VERDICTS, Verdict, exact, judge

# a sign beside the word, so that nothing rests on colour alone; Okabe and Ito's colours, darkened to be read on white
BADGES = {
    "reproduced": ("✓", "#00664a"),
    "partly": ("◐", "#7a5200"),
    "not reproduced": ("✗", "#9c3f00"),
    "not testable here": ("–", "#555555"),
    "different setting": ("≠", "#00517f"),
}
CELL = "text-align:left;vertical-align:top"


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of text under a header; `_repr_html_` for notebooks, `str()` for a terminal."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in self.header)
        body = "".join(f"<tr>{''.join(self._cell(text) for text in row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    @staticmethod
    def _cell(text: str) -> str:
        if text not in BADGES:
            return f'<td style="{CELL}">{escape(text)}</td>'
        sign, colour = BADGES[text]
        return f'<td style="{CELL};white-space:nowrap;color:{colour};font-weight:600">{sign} {escape(text)}</td>'

    def __repr__(self) -> str:
        return f"Table of {len(self.rows)} rows; print it to read it here"  # notebooks store this beside the HTML

    def __str__(self) -> str:
        limits = [60 if name in ("claim", "why") else 24 for name in self.header]
        wrapped = [
            [textwrap.wrap(text, limit) or [""] for text, limit in zip(row, limits, strict=True)]
            for row in (self.header, *self.rows)
        ]
        widths = [max(len(line) for row in wrapped for line in row[i]) for i in range(len(self.header))]
        lines = []
        for k, row in enumerate(wrapped):
            for at in range(max(map(len, row))):
                cells = [cell[at] if at < len(cell) else "" for cell in row]
                lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
            if k == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines)


def table(claims: Claims, verdicts: Sequence[Verdict] | None = None) -> Table:
    """The claims alone, or each with what was measured, its verdict and why."""
    unit = lambda claim: f" {claim.unit}" if claim.unit else ""  # noqa: E731
    if verdicts is None:
        rows = [(c.source, c.statement, c.kind, f"{exact(c.paper_value)}{unit(c)}") for c in claims.claims]
        return Table(("source", "claim", "kind", "paper"), tuple(rows))
    judged = {verdict.id: verdict for verdict in verdicts}
    rows = []
    for claim in claims.claims:
        if (verdict := judged.get(claim.id)) is None:
            continue
        measured = "" if verdict.measured is None else f"{verdict.measured:,.4g}{unit(claim)}"
        if claim.kind == "count" and verdict.measured is not None:
            measured = f"{exact(verdict.measured)}{unit(claim)}"
        paper = f"{exact(claim.paper_value)}{unit(claim)}"
        rows.append((claim.source, claim.statement, paper, measured, verdict.verdict, verdict.why))
    return Table(("source", "claim", "paper", "measured", "verdict", "why"), tuple(rows))


def orderings(claims: Claims) -> Table:
    """What the paper says of A against B, before anything is measured."""
    rows = [(c.source, c.statement, f"{c.paper_value:+g} {c.unit}") for c in claims.claims if c.kind == "ordering"]
    return Table(("source", "claim", "paper"), tuple(rows))


def counts(claims: Claims, rows: Iterable[Row], *starts: str) -> Table:
    """The counts whose id begins with one of `starts`: the paper's number beside ours, and why where they differ."""
    lines = []
    for claim, verdict in zip(claims.claims, judge(claims, rows), strict=True):
        if claim.kind == "count" and claim.id.startswith(starts):
            ours = "" if verdict.measured is None else f"{verdict.measured:.5g}"
            note = "same" if verdict.verdict == "reproduced" else claim.conflict or verdict.why
            lines.append((claim.source, claim.statement, f"{claim.paper_value:g} {claim.unit}", ours, note))
    return Table(("source", "count", "paper", "ours", "why they differ"), tuple(lines))


def tally(verdicts: Sequence[Verdict]) -> Table:
    """How many claims of each kind came to which verdict."""
    found = Counter((verdict.kind, verdict.verdict) for verdict in verdicts)
    kinds = [kind for kind in ("count", "ordering", "magnitude") if any(k == kind for k, _ in found)]
    rows = [(kind, *(str(found[kind, verdict] or "") for verdict in VERDICTS)) for kind in kinds]
    return Table(("claims", *VERDICTS), tuple(rows))

"""Parts of a page: what is folded away until asked for, a number to turn, a guess before the result.

Everything is HTML without scripts: it works in JupyterLab, on the site and offline. Where a viewer strips styles, a
`Steps` shows all its pictures under one another.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from minilib.plots import small_png


@dataclass(frozen=True, repr=False)
class Folded:
    """Things under one line that opens on a click."""

    summary: str
    body: str  # HTML

    def _repr_html_(self) -> str:
        return f"<details><summary>{escape(self.summary)}</summary>{self.body}</details>"

    def __repr__(self) -> str:
        return f"folded: {self.summary}"  # notebooks store this beside the HTML


def folded(summary: str, *things: object, alt: str = "") -> Folded:
    """Figures, tables, sources, clips and sentences, in this order, under one line; `alt` is of the figures."""
    return Folded(summary, "".join(_html(thing, alt or summary) for thing in things))


@dataclass(frozen=True, repr=False)
class Steps:
    """One picture for each value of a number; the reader turns from one to the next (arrow keys work)."""

    name: str
    pictures: Mapping[str, str]  # value -> HTML
    first: str

    def _repr_html_(self) -> str:
        key = "s" + hashlib.sha256("".join(self.pictures.values()).encode()).hexdigest()[:8]
        rules = [f".{key}>div{{display:none}}"]
        turns, shown = [], []
        for k, (value, html) in enumerate(self.pictures.items(), 1):
            rules.append(f".{key}>input:nth-of-type({k}):checked~div:nth-of-type({k}){{display:block}}")
            checked = " checked" if value == self.first else ""
            turns.append(f'<input type="radio" name="{key}" id="{key}-{k}"{checked}>')
            turns.append(f'<label for="{key}-{k}" style="margin:0 12px 0 3px">{escape(value)}</label>')
            shown.append(f"<div>{html}</div>")
        style = f"<style>{''.join(rules)}</style>"
        return f'<div class="{key}">{style}<b>{escape(self.name)}:</b> {"".join(turns)}{"".join(shown)}</div>'

    def __repr__(self) -> str:
        return f"{self.name}: {', '.join(self.pictures)}"  # notebooks store this beside the HTML


def steps(name: str, pictures: Mapping[str, object], alt: str, first: str = "") -> Steps:
    """A number to turn: value -> figure, clip or table. `alt` is of the figures, with the value added."""
    return Steps(
        name, {k: _html(thing, f"{alt}, {name} {k}") for k, thing in pictures.items()}, first or next(iter(pictures))
    )


def show(figure: Figure, alt: str) -> None:
    """The figure in the page, with a text that says what is seen for those who cannot see it."""
    from IPython.display import display

    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


def say(*sentences: str) -> None:
    """Sentences as a paragraph of the page."""
    from IPython.display import Markdown, display

    display(Markdown(" ".join(sentences)))


def _html(thing: object, alt: str) -> str:
    if isinstance(thing, Figure):
        plt.close(thing)
        png = base64.b64encode(small_png(thing, 32)).decode()
        return f'<img alt="{escape(alt)}" src="data:image/png;base64,{png}" style="max-width:100%">'
    return thing._repr_html_() if hasattr(thing, "_repr_html_") else f"<p>{escape(str(thing))}</p>"

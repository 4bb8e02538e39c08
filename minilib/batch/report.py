"""`report.html`: one page that needs nothing else, neither network nor folder. A line a paper first, then the details
folded, status and versions last.

All of it is taken from executed notebooks and rows; nothing is written by hand. Texts are escaped by the template, and
tables from notebooks pass through an allow-list of tags and styles first.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import bleach
from bleach.css_sanitizer import CSSSanitizer
from markupsafe import Markup
from nbformat import NotebookNode
from PIL import Image

from minilib.batch.executed import read_notebook
from minilib.batch.running import read_status
from minilib.batch.short import in_order, templates
from minilib.claims.scorecard import Card, cards
from minilib.environment import environment
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS, RESULTS, write_whole

LIMIT = 3_000_000  # bytes of the whole page
TAGS = {
    "table",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "th",
    "td",
    "caption",
    "colgroup",
    "col",
    "b",
    "strong",
    "i",
    "em",
    "code",
}
TAGS |= {"sub", "sup", "br", "p", "span", "div", "pre"}
ATTRIBUTES = {"*": ["style", "title"], "td": ["colspan", "rowspan"], "th": ["colspan", "rowspan", "scope"]}
STYLES = CSSSanitizer(
    allowed_css_properties=["text-align", "vertical-align", "color", "background-color", "font-weight", "white-space"]
)


@dataclass(frozen=True)
class Item:
    """A table or a picture under its heading; a picture that did not fit has neither."""

    heading: str
    html: Markup | None = None
    png: bytes | None = None

    @property
    def source(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """One notebook on the page."""

    name: str
    title: str
    items: list[Item]
    state: str
    seconds: float | None
    reason: str
    committed: bool  # taken from the checkout, not from this run


def items(notebook: NotebookNode) -> list[Item]:
    """The notebook's tables and pictures, each under the last heading above it."""
    found, heading = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^#+\s+(.+?)\s*#*$", cell.source, re.MULTILINE)
            heading = plain(titles[-1]) if titles else heading
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                found.append(Item(heading, png=base64.b64decode(data["image/png"])))
            elif "<table" in (text := "".join(data.get("text/html", ""))):
                found.append(Item(heading, html=clean(text)))
    return found


def title(notebook: NotebookNode, fallback: str) -> str:
    """The first heading of the notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE)):
            return plain(found[1])
    return fallback


def plain(markdown: str) -> str:
    """A heading without markup; formulas keep their letters, so that nothing needs a formula renderer."""
    return re.sub(r"\[(.*?)\]\(.*?\)", r"\1", re.sub(r"[`*$]", "", markdown)).strip()


def clean(html: str) -> Markup:
    """Only harmless tags and styles; scripts and style sheets go with all they contain."""
    body = re.sub(r"(?is)<(style|script)\b.*?</\1\s*>", "", html)
    kept = bleach.clean(body, tags=TAGS, attributes=ATTRIBUTES, css_sanitizer=STYLES, strip=True, strip_comments=True)
    return Markup(kept)


def shrink(png: bytes, width: int = 1400) -> bytes:
    """The picture with a palette and at most `width` pixels across, where that is smaller."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    small = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return min(small.getvalue(), png, key=len)


def fit(sections: list[Section], budget: int) -> list[Section]:
    """The pictures shrunk where they are too many bytes together, and then the largest left out until they fit."""
    size = lambda png: len(png) * 4 // 3 + 100  # noqa: E731
    kept = {(s, i): item.png for s, section in enumerate(sections) for i, item in enumerate(section.items) if item.png}
    if sum(map(size, kept.values())) > budget:
        kept = {key: shrink(png) for key, png in kept.items()}
    while sum(map(size, kept.values())) > budget:
        del kept[max(kept, key=lambda key: len(kept[key]))]
    return [
        dataclasses.replace(
            section, items=[dataclasses.replace(item, png=kept.get((s, i))) for i, item in enumerate(section.items)]
        )
        for s, section in enumerate(sections)
    ]


def sections(out: Path, notebooks: Path) -> list[Section]:
    """Every notebook: this run's outputs, else the committed ones."""
    states = {row.name: row for row in read_status(out)}
    found = []
    for path in sorted(notebooks.glob("*.ipynb")):
        row = states.get(path.stem)
        ran = next((p for p in (out / path.name, out / f"{path.stem}.failed.ipynb") if p.is_file()), None)
        if row is not None and not row.good:
            ran = out / f"{path.stem}.failed.ipynb"
            ran = ran if ran.is_file() else None
        try:
            notebook = read_notebook(ran or path)
        except BadInput as error:
            found.append(Section(path.stem, path.stem, [], "failed", None, str(error), False))
            continue
        state, seconds, reason = (row.state, row.seconds, row.reason) if row else ("not run", None, "")
        state = "ok" if state == "skipped" else state
        heading = title(notebook, path.stem)
        found.append(Section(path.stem, heading, items(notebook), state, seconds, reason, ran is None))
    return found


def measured_with(out: Path) -> list[tuple[str, str]]:
    """Versions and hardware: of this run's completion records where there are any, else of this process."""
    records = [record for path in sorted(out.glob("*.done.json")) if (record := _whole_record(path))]
    where = max(records, key=lambda r: r["finished"])["environment"] if records else environment()
    lines = [("device", where["device"]), ("threads", where["threads"]), ("commit", where["commit"] or "unknown")]
    if records:
        lines.insert(0, ("scale", ", ".join(sorted({r["parameters"]["scale"] for r in records}))))
    return [(name, str(value)) for name, value in (*lines, *where["versions"].items())]


def _whole_record(path: Path) -> dict | None:
    """A completion record; None for one that is torn."""
    try:
        record = json.loads(path.read_bytes())
        return record if {"environment", "finished", "parameters"} <= record.keys() else None
    except (ValueError, AttributeError):
        return None


def render(found: list[Section], judged: list[Card], facts: list[tuple[str, str]], made: str) -> str:
    """The page; pictures are fitted into what the rest of it leaves of the limit."""
    page = templates(judged).get_template("report.html.j2")
    values = dict(cards=judged, facts=facts, made=made)
    bare = [dataclasses.replace(s, items=[dataclasses.replace(i, png=None) for i in s.items]) for s in found]
    rest = LIMIT - len(page.render(sections=bare, **values).encode())
    return page.render(sections=fit(found, rest), **values)


def write_report(
    out: Path | str, notebooks: Path | str = NOTEBOOKS, results: Path | str = RESULTS, path: Path | str | None = None
) -> Path:
    """Writes `<out>/report.html`, whole or not at all."""
    out = Path(out)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    judged = in_order(cards(results, out), Path(notebooks))
    page = render(sections(out, Path(notebooks)), judged, measured_with(out), made)
    return write_whole(path or out / "report.html", page)

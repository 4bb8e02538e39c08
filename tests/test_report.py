"""The report: one safe, self-contained page under its limit."""

import base64
import io
import json
import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from minilib.batch.report import LIMIT, clean, items, render, sections, write_report
from minilib.batch.short import NO_PAPER, in_one_line, introduction, taught_in
from minilib.claims import Row, judge, papers
from minilib.claims.model import Claims
from minilib.claims.scorecard import Card


def picture(width=300, height=200, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def notebook(*pictures, html="<table><tr><td>cell &amp; text</td></tr></table>"):
    outputs = [new_output("display_data", data={"image/png": base64.b64encode(p).decode()}) for p in pictures]
    outputs.append(new_output("display_data", data={"text/html": html}))
    outputs.append(new_output("display_data", data={"text/html": "<div>no table</div>"}))
    return new_notebook(
        cells=[
            new_markdown_cell("# The `title` of $x_1$ <script>\n\ntext\n\n## A **part**"),
            new_code_cell("1", outputs=outputs),
        ]
    )


@pytest.fixture
def run(tmp_path):
    for name in ("notebooks", "out"):
        (tmp_path / name).mkdir()
    nbformat.write(notebook(picture()), tmp_path / "out" / "01_a.ipynb")
    for name in ("01_a", "02_b"):
        nbformat.write(notebook(), tmp_path / "notebooks" / f"{name}.ipynb")
    rows = [
        {"name": "01_a", "state": "ok", "seconds": 12.3, "reason": ""},
        {"name": "02_b", "state": "failed", "seconds": 1, "reason": "<b>bold</b>"},
    ]
    (tmp_path / "out" / "status.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_tables_and_pictures_under_their_headings():
    found = items(notebook(picture()))
    assert [(item.heading, item.png is not None) for item in found] == [("A part", True), ("A part", False)]


def test_the_page_stands_alone_and_escapes(run):
    page = write_report(run / "out", run / "notebooks", run / "results").read_text()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold" not in page and "<script" not in page
    assert "The title of x_1 &lt;script&gt;" in page
    assert (
        not re.search(r"""(src|href)=["'](?!data:|#)""", page)
        and "url(" not in page
        and "http" not in page.replace("http-equiv", "")
    )
    assert page.count("data:image/png") == 1 and "cell &amp; text" in page
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page)) and {"scorecard", "status", "01_a"} <= targets
    assert "02_b.ipynb, outputs as committed, failed" in page


def test_html_of_notebooks_is_made_harmless():
    dirty = (
        "<style>p {color: red}</style><script>alert(1)</script><table onclick='x()' style='color:red;position:fixed'>"
        "<tr><td colspan='2'><img src='http://x/y.png'><a href='javascript:x'>kept</a></td></tr></table>"
    )
    safe = clean(dirty)
    assert safe == '<table style="color:red;"><tbody><tr><td colspan="2">kept</td></tr></tbody></table>'


def test_too_many_pictures_are_shrunk_then_left_out(run):
    nbformat.write(notebook(*(picture(700, 500, seed) for seed in range(8))), run / "out" / "01_a.ipynb")
    path = write_report(run / "out", run / "notebooks", run / "results")
    page = path.read_text()
    assert path.stat().st_size <= LIMIT and 1 <= page.count("data:image/png") < 8
    assert "left out here" in page


def test_scorecard_counts_verdicts():
    count = {"id": "a", "source": "T1", "statement": "x < y", "kind": "count", "paper_value": 1, "digit": 1}
    pairs = [{"better": "cost/a", "worse": "cost/b", "test": "greater"}]
    cheaper = {"id": "b", "source": "T2", "statement": "A is cheap.", "kind": "ordering", "cost": True, "pairs": pairs}
    cheaper |= {"headline": True, "paper_value": 2.5, "unit": "times"}
    claims = Claims.model_validate({"paper": "p", "experiment": 1, "claims": [count, cheaper]})
    page = render([], [Card(claims, judge(claims, []))], [("python", "3")], "now")
    assert "not testable here" in page and "x &lt; y" in page and "–" in page and "undecided" not in page
    assert page.index("<b>A is cheap.</b>") < page.index("x &lt; y") and "2.5 times" in page
    assert "Distinct pairs judged: 0; were there no effect at all, 0.0" in page
    rows = [
        Row(metric=f"cost/{name}", value=value * (1 + k / 100), seed=k, commit="abc")
        for name, value in (("a", 1), ("b", 2))
        for k in range(10)
    ]
    page = render([], [Card(claims, judge(claims, rows))], [("python", "3")], "now")
    assert (
        "holds here" in page
        and "2 times" in page
        and "Distinct pairs judged: 1; were there no effect at all, 0.1" in page
    )


def test_nine_of_the_cards_are_papers():
    assert set(NO_PAPER) < set(papers()) and len(papers()) - len(NO_PAPER) == 9, "as page 00 says"


def test_a_paper_is_one_line_and_one_bar():
    count = {"source": "T1", "statement": "x", "kind": "count", "paper_value": 1, "digit": 1}
    pair = {"source": "T2", "statement": "A.", "kind": "ordering", "cost": True}
    given = [count | {"id": "a"}, count | {"id": "b"}]
    given += [
        pair | {"id": k, "pairs": [{"better": k, "worse": "cost/b", "test": "greater"}]} for k in ("cost/c", "cost/a")
    ]
    claims = Claims.model_validate({"paper": "p", "experiment": 1, "claims": given})
    rows = [Row(metric="a", value=1, commit="abc")]
    rows += [
        Row(metric=f"cost/{name}", value=value * (1 + k / 100), seed=k, commit="abc")
        for name, value in (("a", 1), ("b", 2))
        for k in range(10)
    ]
    card = Card(claims, judge(claims, rows))
    assert in_one_line(card) == (
        "1 of 2 counts agree to the last printed digit; of 2 orderings, 1 holds here, 1 is not measured yet."
    )
    unmeasured = in_one_line(Card(claims, judge(claims, [])))
    assert unmeasured == "0 of 2 counts agree to the last printed digit; none of 2 orderings is measured yet."
    assert introduction([card]).startswith("One paper on efficient video") and "comparison" not in introduction([card])
    page = render([], [card], [("python", "3")], "now")
    bar = page.split('class="bar"')[1].split("</div>")[0]
    assert bar.count("flex-grow: 1") == 2 and "flex-grow: 2" in bar, "as wide as the claims are many"
    assert page.index('class="bar"') < page.index("<details>") < page.index("<table")


def test_cards_know_the_notebook_that_teaches_them(tmp_path):
    for name in ("04_object_centric_adaptation", "10_object_centric_diffusion"):
        (tmp_path / f"{name}.ipynb").write_text("{}")
    assert taught_in("object_centric", tmp_path) == "04_object_centric_adaptation"
    assert taught_in("object_centric_diffusion", tmp_path) == "10_object_centric_diffusion"
    assert taught_in("victr", tmp_path) == ""


def test_a_broken_notebook_is_a_row_of_the_status(run):
    (run / "notebooks" / "03_c.ipynb").write_text("{")
    broken = sections(run / "out", run / "notebooks")[-1]
    assert broken.state == "failed" and "not a notebook" in broken.reason

"""The site opens from its folder and loads nothing from elsewhere; the suite's other files are as they should be."""

import json
import re

import nbformat
import pytest
import yaml

from minilib.batch.site import build, prepared
from minilib.claims import judge, load
from minilib.claims.scorecard import Card
from minilib.files import PACKAGE, ROOT

ELSEWHERE = re.compile(r"""<(?:script|link|img|source|iframe)[^>]+(?:src|href)=["'](?:https?:)?//""")


def page(name: str) -> nbformat.NotebookNode:
    new = nbformat.v4
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
    picture = new.new_output("display_data", {"image/png": png}, metadata={"image/png": {"alt": "one dot"}})
    html = new.new_output(
        "display_data",
        {"text/html": '<a href="02_b.ipynb">on</a> <pre>`a`</pre><table><td>`make site` makes it</td></table>'},
    )
    return new.new_notebook(
        cells=[
            new.new_markdown_cell(f"# {name}\n\nA formula $x_1^2$, [next](02_b.ipynb), and\n\n$$\\frac{{a}}{{b}}$$"),
            new.new_code_cell("plumbing = 1", outputs=[picture], metadata={"jupyter": {"source_hidden": True}}),
            new.new_code_cell("scale: str = 'small'", outputs=[html], metadata={"tags": ["parameters"]}),
        ]
    )


def test_a_notebook_is_prepared_for_the_site():
    cells = prepared(page("A")).cells
    assert "[next](02_b.html)" in cells[0].source and "02_b.html" in cells[2].outputs[0]["data"]["text/html"]
    html = cells[2].outputs[0]["data"]["text/html"]
    told = nbformat.v4.new_output("display_data", {"text/markdown": "[on](02_b.ipynb)"})
    whole = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[told])])
    assert prepared(whole).cells[0].outputs[0]["data"]["text/markdown"] == "[on](02_b.html)"
    assert "<td><code>make site</code> makes it</td>" in html and "<pre>`a`</pre>" in html
    assert cells[1].metadata["mystnb"] == {"image": {"alt": "one dot"}}
    assert [cell.metadata["tags"] for cell in cells[1:]] == [["hide-input"], ["parameters", "hide-input"]]


def test_the_site_stands_alone(tmp_path):
    pytest.importorskip("sphinx_book_theme")
    (tmp_path / "notebooks").mkdir()
    for name in ("01_a", "02_coarse_fine"):
        nbformat.write(page(name), tmp_path / "notebooks" / f"{name}.ipynb")
    claims = load("coarse_fine")
    (tmp_path / "site_source").mkdir()
    (tmp_path / "site_source" / "mine.txt").write_text("no folder of the site")
    first = build(tmp_path / "site", tmp_path / "notebooks", [Card(claims, judge(claims, []))])
    assert [path.name for path in (tmp_path / "site_source").iterdir()] == ["mine.txt"]
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "01_a.html", "02_coarse_fine.html", "claims_coarse_fine.html", "search.html"} <= pages.keys()
    assert not [name for name, text in pages.items() if ELSEWHERE.search(text)], "nothing from the network"
    assert 'href="02_coarse_fine.html"><b>' in first.read_text() and 'class="bar"' in first.read_text()
    notebook = pages["01_a.html"]
    assert "<msubsup>" in notebook and "<mfrac>" in notebook and "MathJax" not in notebook
    assert 'alt="one dot"' in notebook and notebook.count("hide-input") >= 2
    assert "formula" in (tmp_path / "site" / "searchindex.js").read_text()


# --- the files beside the code ---------------------------------------------------------------------------------------


def test_forms_for_issues_ask_for_the_check():
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    assert forms.keys() == {"config", "wrong", "claim", "paper"}
    required = [part["id"] for part in forms["wrong"]["body"] if part.get("validations", {}).get("required")]
    assert required[0] == "check" and "python -m minilib.check" in str(forms["wrong"])


def test_continuous_integration_runs_the_systems_and_the_torch_that_we_promise():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    systems = jobs["systems"]["strategy"]["matrix"]["include"]
    assert {each["system"].split("-")[0] for each in systems} == {"macos", "windows", "ubuntu"}
    oldest = re.search(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert any(f"torch=={oldest}.*" in str(step) for step in jobs["systems"]["steps"]), "the oldest that is promised"
    assert "schedule" in (ROOT / ".github/workflows/nightly.yml").read_text()
    for path in (".pre-commit-config.yaml", "CITATION.cff"):
        assert yaml.safe_load((ROOT / path).read_text())
    json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())


def test_every_shipped_checkpoint_has_a_card():
    cards = {path.stem: path.read_text() for path in (PACKAGE / "weights").glob("*.md")}
    for path in (PACKAGE / "weights").glob("*.safetensors"):
        own = [name for name, text in cards.items() if path.stem.startswith(name) or path.stem in text]
        assert own, path.name

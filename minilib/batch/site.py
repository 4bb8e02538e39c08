"""`python -m minilib.batch.site`: the executed notebooks as a site that opens from its folder, without a server.

The first page is the report in short: a line and a bar a paper. Each paper's claims have a page, so have the glossary,
the model cards and the changelog. Sphinx with myst-nb writes the pages and the search.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat import NotebookNode

from minilib.batch.executed import read_notebook
from minilib.batch.short import in_order, introduction, taught_in, templates
from minilib.claims.scorecard import Card, cards
from minilib.commands import answer
from minilib.course import GLOSSARY, chapters
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS, PACKAGE, RESULTS, RUNS, writable_folder, write_whole

LINK = re.compile(r"(?<=[\w-])\.ipynb(?=[\"')#])")
CELL = re.compile(r"<td[^>]*>[^<]*`[^<]*</td>")
COMMAND = re.compile(r"`([^`]+)`")
NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "latex2mathml")


def prepared(notebook: NotebookNode) -> NotebookNode:
    """The notebook as the site shows it: folded cells fold, pictures have their texts, links lead to pages."""
    for cell in notebook.cells:
        cell.source = LINK.sub(".html", cell.source) if cell.cell_type == "markdown" else cell.source
        tags = cell.metadata.get("tags", [])
        folds = cell.metadata.get("jupyter", {}).get("source_hidden") or "parameters" in tags
        if folds and "hide-input" not in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
            if html := "".join(output.get("data", {}).get("text/html", "")):
                output["data"]["text/html"] = with_code(LINK.sub(".html", html))
            if text := "".join(output.get("data", {}).get("text/markdown", "")):
                output["data"]["text/markdown"] = LINK.sub(".html", text)
    return notebook


def with_code(html: str) -> str:
    """Tables of sentences, where `commands` get the font of code."""
    return CELL.sub(lambda cell: COMMAND.sub(r"<code>\1</code>", cell[0]), html)


def stage(source: Path, judged: Sequence[Card], notebooks: Path = NOTEBOOKS) -> None:
    """Writes everything that Sphinx reads into `source`."""
    names = list(chapters(notebooks))
    for name in names:
        write_whole(source / f"{name}.ipynb", nbformat.writes(prepared(read_notebook(notebooks / f"{name}.ipynb"))))
    if (notebooks / GLOSSARY.name).is_file():
        shutil.copy(notebooks / GLOSSARY.name, source)
    cards_ = sorted((PACKAGE / "weights").glob("*.md"))
    for path in cards_:
        shutil.copy(path, source / f"model_{path.name}")
    shared = files("minilib") / "templates"
    write_whole(source / "conf.py", (shared / "site_conf.py").read_text())
    (source / "static").mkdir(exist_ok=True)
    write_whole(
        source / "static" / "site.css", (shared / "scorecard.css").read_text() + (shared / "site.css").read_text()
    )
    judged = in_order(judged, notebooks)
    macros = templates(judged).get_template("scorecard.html.j2").module
    for card in judged:
        write_whole(source / f"claims_{card.claims.paper}.md", _page(f"Claims: {card.title}", macros.claims(card)))
    trees = [
        _tree("Notebooks", names),
        _tree("Claims, one by one", [f"claims_{card.claims.paper}" for card in judged]),
        _tree("Glossary and models", ["glossary", *(f"model_{path.stem}" for path in cards_)]),
    ]
    pages = {card.claims.paper: taught_in(card.claims.paper, notebooks) for card in judged}
    short = macros.scorecard(judged, lambda card: f"{pages[card.claims.paper] or 'claims_' + card.claims.paper}.html")
    write_whole(source / "index.md", _page("Efficient video models", short, introduction(judged)) + "\n".join(trees))


def _page(title: str, html: str, text: str = "") -> str:
    return f"# {title}\n\n{text}\n\n```{{raw}} html\n{with_code(html)}\n```\n\n"


def _tree(caption: str, pages: Sequence[str]) -> str:
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"


def build(out: Path, notebooks: Path = NOTEBOOKS, judged: Sequence[Card] | None = None) -> Path:
    """Writes the site to `out` and returns its first page. Raises BadInput where a tool is missing or Sphinx fails.

    judged: the papers' verdicts; None: those of the committed rows and of runs/small."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise BadInput(f"the site needs {', '.join(missing)}: pip install -e '.[docs]'")
    from sphinx.cmd.build import main as sphinx

    out = writable_folder(out, "--out")
    with TemporaryDirectory(prefix="site_") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        stage(source, cards(RUNS / "small", RESULTS) if judged is None else judged, notebooks)
        code = sphinx(["-q", "-E", "-b", "html", "-d", str(Path(folder) / "doctrees"), str(source), str(out)])
    if code or not (out / "index.html").is_file():
        raise BadInput(f"site: Sphinx ended with {code}; its messages are above")
    return out / "index.html"


def main(given: Sequence[str] | None = None) -> int:
    """0, or 2 and one line where it cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m minilib.batch.site", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=RUNS / "site", help="the folder of the site (default: runs/site)")
    args = parser.parse_args(given)
    return answer(lambda: print(f"open {build(args.out)}") or 0)


if __name__ == "__main__":
    sys.exit(main())

"""What makes a course of the notebooks: neighbours, prerequisites, measured time, words, references, a way into Colab.

head("02_zeroi2v", needs=("01_small_world",), words=("probe",))   # at the top of a notebook
foot("02_zeroi2v", papers={"Li, Zhu, Wang: ZeroI2V": "https://arxiv.org/abs/2310.01324"})   # at its end

`python -m minilib.course` puts a badge and an installing cell for Colab into every notebook, made from `repository` of
[tool.minilib] in pyproject.toml; while that is empty it takes them out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minilib.claims.words import several
from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS, ROOT, write_whole

GLOSSARY = NOTEBOOKS / "glossary.md"
TOOK = re.compile(r'<span class="took">.*?</span>')
EMPHASIS = re.compile(r"(\*{1,3}|`)(?=\S)(.+?)(?<=\S)\1")  # *so*, **so**, or `so`
COLAB = "colab"  # the tag of the two cells


@dataclass(frozen=True, repr=False)
class Furniture:
    """A piece of HTML; `text` is what a terminal sees."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


# --- a page's head and foot ------------------------------------------------------------------------------------------


def chapters(folder: Path = NOTEBOOKS) -> dict[str, str]:
    """name -> title of every notebook, without emphasis, in their order; empty where there are none (a wheel)."""
    return {path.stem: _title(path) for path in sorted(folder.glob("[0-9]*.ipynb")) if "-Copy" not in path.stem}


def head(name: str, needs: Sequence[str] = (), words: Sequence[str] = (), folder: Path = NOTEBOOKS) -> Furniture:
    """Previous and next, what to have read before, how long the page took, and the words that a reader meets here.

    Raises BadInput for a notebook that is not there, and for a word that the glossary lacks."""
    titles = chapters(folder)
    before = ", ".join(_link(need, titles.get(need, need)) for need in _known(needs, titles)) or "nothing"
    lines = [_neighbours(name, titles), f"<b>Read before:</b> {before}. <b>Time:</b> {took(*_seconds(folder, name))}."]
    known = glossary(folder / GLOSSARY.name)
    if missing := [word for word in words if word not in known]:
        raise BadInput(f"{name}: {missing[0]!r} is not in {GLOSSARY.name}")
    html = "".join(f"<p>{line}</p>" for line in lines)
    if words:
        listed = "".join(f"<dt><b>{escape(word)}</b></dt><dd>{escape(known[word])}</dd>" for word in words)
        html += f"<details><summary>Words that this page uses</summary><dl>{listed}</dl></details>"
    return Furniture(html, f"{name}: after {', '.join(needs) or 'nothing'}")


def foot(name: str, papers: Mapping[str, str], folder: Path = NOTEBOOKS) -> Furniture:
    """References, name -> address, and previous and next once more."""
    listed = "".join(f'<li><a href="{escape(url)}">{escape(text)}</a></li>' for text, url in papers.items())
    return Furniture(f"<ul>{listed}</ul><p>{_neighbours(name, chapters(folder))}</p>", ", ".join(papers))


def took(seconds: float | None, threads: int = 0) -> str:
    """The measured time as a page says it; the runner puts the new one in place of the old (`timed`)."""
    minutes = max(1, round(seconds / 60)) if seconds else 0
    text = (
        f"{several(minutes, 'minutes')} with {several(threads, 'threads')}, measured" if minutes else "not measured yet"
    )
    return f'<span class="took">{text}</span>'


def timed(notebook: NotebookNode, seconds: float, threads: int) -> NotebookNode:
    """The notebook with the time that it took, in its metadata and in its head."""
    notebook.metadata.setdefault("minilib", {}).update(seconds=round(seconds), threads=threads)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if html := "".join(output.get("data", {}).get("text/html", "")):
                output["data"]["text/html"] = TOOK.sub(took(seconds, threads), html)
    return notebook


def glossary(path: Path = GLOSSARY) -> dict[str, str]:
    """word -> what it means: the level-two headings of the glossary and the paragraphs under them."""
    if not path.is_file():
        return {}
    parts = re.split(r"^## +(.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {word.strip(): " ".join(text.split()) for word, text in zip(parts[::2], parts[1::2], strict=True)}


def _neighbours(name: str, titles: Mapping[str, str]) -> str:
    names = list(titles)
    at = names.index(name) if name in names else -1
    sides = []
    if at > 0:
        sides.append(f"← {_link(names[at - 1], titles[names[at - 1]])}")
    if 0 <= at < len(names) - 1:
        sides.append(f"{_link(names[at + 1], titles[names[at + 1]])} →")
    return " &nbsp;|&nbsp; ".join(sides)


def _known(needs: Sequence[str], titles: Mapping[str, str]) -> Sequence[str]:
    if titles and (missing := [need for need in needs if need not in titles]):
        raise BadInput(f"no notebook {missing[0]!r}; there are {', '.join(titles)}")
    return needs


def _link(name: str, title: str) -> str:
    return f'<a href="{name}.ipynb">{escape(title)}</a>'


def _title(path: Path) -> str:
    cells = json.loads(path.read_bytes())["cells"]
    found = re.search(r"^# +(.+)$", "".join(cells[0]["source"]) if cells else "", re.MULTILINE)
    return EMPHASIS.sub(r"\2", found[1].strip()) if found else path.stem


def _seconds(folder: Path, name: str) -> tuple[float | None, int]:
    path = folder / f"{name}.ipynb"
    known = json.loads(path.read_bytes())["metadata"].get("minilib", {}) if path.is_file() else {}
    return known.get("seconds"), known.get("threads", 1)


# --- Colab -----------------------------------------------------------------------------------------------------------


def repository(project: Path = ROOT / "pyproject.toml") -> str:
    """The public address of this suite, https://github.com/<owner>/<name>, or nothing. Raises BadInput for
    another one."""
    settings = tomllib.loads(project.read_text(encoding="utf-8")) if project.is_file() else {}
    address = settings.get("tool", {}).get("minilib", {}).get("repository", "").rstrip("/")
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise BadInput(f"pyproject.toml: repository={address!r} must be https://github.com/<owner>/<name>, or empty")
    return address


def furnish(notebook: NotebookNode, name: str, address: str) -> NotebookNode:
    """The notebook with a badge and an installing cell under its title; without an address, without both."""
    cells = [cell for cell in notebook.cells if COLAB not in cell.metadata.get("tags", [])]
    if address:
        opens = f"{address.replace('https://github.com', 'https://colab.research.google.com/github')}/blob/main"
        badge = nbformat.v4.new_markdown_cell(f"[Open in Colab]({opens}/notebooks/{name}.ipynb)")
        install = nbformat.v4.new_code_cell(INSTALL.replace("ADDRESS", address))
        for cell in (badge, install):
            cell.metadata["tags"] = [COLAB, "hide-input"]
        cells[1:1] = [badge, install]
    notebook.cells = cells
    return notebook


INSTALL = """import os

if "COLAB_RELEASE_TAG" in os.environ and not os.path.isdir("/content/suite"):  # elsewhere this does nothing
    !git clone --quiet --depth 1 ADDRESS /content/suite
    %pip install --quiet -r /content/suite/requirements.lock
    %pip install --quiet --no-deps -e /content/suite"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Furnishes every notebook in place."""
    about = "A badge and an installing cell for Colab into every notebook, or out of it."
    argparse.ArgumentParser(prog="python -m minilib.course", description=about).parse_args(arguments)
    return answer(_furnish_all)


def _furnish_all() -> int:
    address = repository()
    for name in chapters():
        path = NOTEBOOKS / f"{name}.ipynb"
        before = path.read_text(encoding="utf-8")
        text = nbformat.writes(furnish(nbformat.reads(before, as_version=4), name, address)).rstrip("\n") + "\n"
        if json.loads(text) != json.loads(before):
            write_whole(path, text)
            print(f"{path.name}: {'for Colab' if address else 'without Colab'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

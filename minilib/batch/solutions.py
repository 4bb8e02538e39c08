"""`python -m minilib.batch.solutions`: a notebook of solved exercises for each page, made from the page itself.

An exercise is a code cell that holds `my_...`, a function or an answer, and `check(` or `answered(`; the cell after it
folds the solution as a ```python block. The solved cell is the same one with the solution in place of the stub.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minilib.batch.executed import read_notebook
from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS, RUNS, write_whole

SOLUTION = re.compile(r"<summary>Solution</summary>(?:(?!</details>).)*?```python\n(.*?)```", re.DOTALL)
FUNCTION = re.compile(r"^def (my_\w+)\(.*?(?=\n\n\n|\n(?=\S)|\Z)", re.MULTILINE | re.DOTALL)
ANSWER = re.compile(r"^(my_\w+) = .*$", re.MULTILINE)
IMPORTS = re.compile(r"^(?:from .* import \([^)]*\)(?:  #.*)?|from .* import .*|import .*)$", re.MULTILINE)
SETUP = "setup"  # the tag of cells that exercises need


@dataclass(frozen=True)
class Exercise:
    """What the page asks, its cell, the stub within it, and what belongs there."""

    name: str
    text: str
    cell: str
    stub: str
    solution: str

    @property
    def solved(self) -> str:
        return self.cell.replace(self.stub, self.solution)


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Every self-checking exercise of a page, in order. One without a folded solution is `BadInput`."""
    cells, found = notebook.cells, []
    for k, cell in enumerate(cells):
        if cell.cell_type != "code" or not re.search(r"^(check|answered)\(", cell.source, re.MULTILINE):
            continue
        stub = FUNCTION.search(cell.source) or ANSWER.search(cell.source)
        if stub is None:
            continue
        after = cells[k + 1].source if k + 1 < len(cells) else ""
        solution = SOLUTION.search(after)
        if solution is None:
            raise BadInput(f"exercise {stub[1]}: the cell after it folds no solution")
        text = cells[k - 1].source.split("</details>")[-1].strip() if cells[k - 1].cell_type == "markdown" else ""
        found.append(Exercise(stub[1], text, cell.source, stub[0], solution[1].strip()))
    return found


def setup(notebook: NotebookNode) -> str:
    """What the exercises need before them: the page's imports, and its cells with the tag `setup`."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    imports = IMPORTS.findall("\n".join(cell.source for cell in code))
    return "\n".join([*imports, *(cell.source for cell in code if SETUP in cell.metadata.get("tags", []))])


def solutions(notebook: NotebookNode, name: str) -> NotebookNode:
    """The page's exercises, solved, in a notebook that runs alone."""
    new = nbformat.v4
    cells = [new.new_markdown_cell(f"# Solutions of {name}"), new.new_code_cell(setup(notebook))]
    for each in exercises(notebook):
        cells += [new.new_markdown_cell(each.text), new.new_code_cell(each.solved)]
    return new.new_notebook(cells=cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes them to `runs/solutions`."""
    about = "The solved exercises of every notebook, into runs/solutions."
    argparse.ArgumentParser(prog="python -m minilib.batch.solutions", description=about).parse_args(arguments)
    return answer(_write_all)


def _write_all(folder: Path = RUNS / "solutions") -> int:
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        page = read_notebook(path)
        if found := exercises(page):
            write_whole(folder / path.name, nbformat.writes(solutions(page, path.stem)))
            print(f"{folder / path.name}: {len(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

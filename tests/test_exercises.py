"""Exercises: the check says one clear line, and every printed solution passes its own check."""

from __future__ import annotations

import re

import pytest
import torch

from minilib.batch.executed import read_notebook
from minilib.exercises import check
from minilib.files import NOTEBOOKS

SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)```", re.DOTALL)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("mine", "said", "solved"),
    [
        (lambda x: x + x, "solved, 3 cases", True),
        (lambda x: None, "not solved yet", False),
        (lambda x: x + 1, "case 0 gives", False),
        (lambda x: x / 0 if torch.is_tensor(x) else 2 * x + undefined, "stops on case 0 with NameError", False),  # noqa: F821
        (lambda x: "two", "case 0 gives two, right is 4", False),
        (lambda x: torch.zeros(7), "case 0 gives", False),
    ],
)
def test_the_check_says_one_line(mine, said, solved, capsys):
    mine.__name__ = "mine"
    assert check(mine, double, [(2,), (torch.arange(3),), (0.5,)]) is solved
    out = capsys.readouterr().out
    assert out.startswith("mine: ") and said in out and out.count("\n") == 1


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_solution_passes_its_check(path, capsys):
    cells = read_notebook(path).cells
    exercises = [
        k
        for k, cell in enumerate(cells)
        if cell.cell_type == "code" and re.search(r"^def my_.*^check\(", cell.source, re.M | re.DOTALL)
    ]
    if not exercises:
        pytest.skip("no exercises")
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    imports = "\n".join(
        re.findall(r"^(?:from .* import \([^)]*\)|from .* import .*|import .*)$", "\n".join(code), re.M)
    )
    space: dict = {}
    exec(imports + "\nfrom minilib.world import sample_times\ntimes = sample_times(4)", space)
    for k in exercises:
        (solution,) = SOLUTION.findall(cells[k + 1].source)
        stub = re.search(r"^def (my_\w+)\(.*?(?=\n\n\n|\n(?=\S))", cells[k].source, re.M | re.DOTALL)
        exec(cells[k].source.replace(stub.group(), solution.strip()), space)
        assert f"{stub.group(1)}: solved" in capsys.readouterr().out
        exec(cells[k].source, space)
        assert f"{stub.group(1)}: not solved yet" in capsys.readouterr().out

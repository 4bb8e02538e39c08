"""Exercises: the check says one clear line, and every printed solution passes its own check."""

from __future__ import annotations

import ast
import builtins
import re

import nbformat
import pytest
import torch

from minilib.batch.executed import read_notebook
from minilib.batch.solutions import exercises, setup, solutions
from minilib.errors import BadInput
from minilib.exercises import answered, check, guessed
from minilib.files import NOTEBOOKS


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("mine", "said", "solved"),
    [
        (lambda x: x + x, "solved, 3 cases", True),
        (lambda x: None, "not solved yet", False),
        (lambda x: x + 1, "not yet, case 0 gives 3; its inputs are 2", False),
        (lambda x: x / 0 if torch.is_tensor(x) else 2 * x + undefined, "stops on case 0 with NameError", False),  # noqa: F821
        (lambda x: "two", "case 0 gives two; ", False),
        (lambda x: torch.zeros(7), "case 0 has shape (7,), not ()", False),
        (lambda x: (x, x), "case 0 has shape (2,), not ()", False),
    ],
)
def test_the_check_says_one_line(mine, said, solved, capsys):
    mine.__name__ = "mine"
    assert check(mine, double, [(2,), (torch.arange(3),), (0.5,)]) is solved
    out = capsys.readouterr().out
    assert out.startswith("mine: ") and said in out and out.count("\n") == 1


def test_a_check_hands_out_copies_and_does_not_show_the_answer(capsys):
    def in_place(x):
        return x.mul_(2)

    x = torch.ones(3)
    assert check(in_place, double, [(x,)]) and torch.equal(x, torch.ones(3))

    def wrong(x):
        return x - x

    assert not check(wrong, double, [(torch.tensor(21.0),)]) and "42" not in capsys.readouterr().out


def test_answers_of_several_parts_are_compared_part_by_part(capsys):
    def both(x):
        return x, [x, x]

    assert check(lambda_named("swapped", lambda x: (x, [x, x])), both, [(1,)])
    assert not check(lambda_named("one", lambda x: x), both, [(1,)])
    assert not check(lambda_named("late", lambda x: (x, [x, 0])), both, [(1,)])
    assert "not 2 things" in capsys.readouterr().out


def test_none_may_be_the_right_answer(capsys):
    def settled(words):
        return None if not words else len(words)

    assert check(settled, lambda words: len(words) or None, [("ab",), ("",)])
    assert not check(lambda_named("nothing", lambda words: None), settled, [("ab",), ("",)])
    assert "not solved yet" in capsys.readouterr().out


def lambda_named(name, function):
    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("mine", "said"),
    [(None, "not answered yet"), ((7, None), "not answered yet"), ((7, 0), "right"), ((7, 1), "not yet: think")],
)
def test_a_question_is_answered_or_gets_its_hint(mine, said, capsys):
    assert answered(mine, (7, 0), "think") is (said == "right")
    assert capsys.readouterr().out == f"{said}\n"


def test_a_guess_stands_beside_what_was_found():
    assert guessed(50, 82.81, " %") == "You guessed 50 %; it is 82.8 %, 32.8 above."
    assert guessed(None, 82.81, " %").startswith("It is 82.8 %.")


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_every_solution_passes_its_check_and_every_stub_asks_for_one(path, capsys):
    notebook = read_notebook(path)
    found = exercises(notebook)
    if not found:
        pytest.skip("no exercises")
    space: dict = {}
    exec(setup(notebook) + "\nfrom minilib.world import sample_times\ntimes = sample_times(4)", space)
    capsys.readouterr()
    for each in found:
        exec(each.solved, space)
        said = capsys.readouterr().out
        assert f"{each.name}: solved" in said or said.endswith("right\n"), said
        exec(each.cell, space)
        assert re.search(r"not (solved|answered) yet", capsys.readouterr().out)


def shown(cell: str) -> bool:
    """Whether an exercise's cell itself holds the right answer: a literal, or a function that asks nothing outside."""
    tree = ast.parse(cell)
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("check", "answered")
    )
    right = call.args[1]
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    right = functions.get(ast.unparse(right), right)
    own = {node.id for node in ast.walk(right) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in ast.walk(right) if isinstance(node, ast.arg)}
    read = {node.id for node in ast.walk(right) if isinstance(node, ast.Name)} - own
    return not read - set(dir(builtins)) - {"torch", "np", "F", "math"}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_no_exercise_shows_its_answer(path):
    assert [each.name for each in exercises(read_notebook(path)) if shown(each.cell)] == []


@pytest.mark.parametrize(
    ("right", "is_shown"),
    [
        ("3", True),
        ("(1, 'two')", True),
        ("lambda x: torch.flip(x, 0)", True),
        ("lambda x, y: (F.cross_entropy(x, y) + F.cross_entropy(x.T, y)) / 2", True),
        ("twice", True),
        ("library.twice", False),
        ("lambda x: library.twice(x)", False),
        ("asks", False),
    ],
)
def test_a_shown_answer_is_seen(right, is_shown):
    cell = "def twice(x):\n    y = x\n    return x + y\n\n\ndef asks(x):\n    return folded(x)\n\n\n"
    assert shown(f"{cell}check(my_double, {right}, [(1,)])") == is_shown


def test_a_solutions_notebook_runs_alone(tmp_path):
    page = nbformat.v4.new_notebook()
    new = nbformat.v4
    stub = "def my_double(x):\n    return None\n\n\ncheck(my_double, twice, [(2,)])"
    page.cells = [
        new.new_code_cell("from minilib.exercises import answered, check"),
        new.new_code_cell("def twice(x):\n    return 2 * x", metadata={"tags": ["setup"]}),
        new.new_markdown_cell("<details>old</details>\n\n**1. Double it.**"),
        new.new_code_cell(stub),
        new.new_markdown_cell(
            "<details><summary>Solution</summary>\n\n```python\ndef my_double(x):\n    return x + x\n```\n\n</details>"
        ),
        new.new_code_cell("my_number = None  # yours\nanswered(my_number, twice(2), 'think')"),
        new.new_markdown_cell("<details><summary>Solution</summary>\n\n```python\nmy_number = 4\n```\n\n</details>"),
    ]
    solved = solutions(page, "01_a")
    assert solved.cells[2].source == "**1. Double it.**" and "return None" not in solved.cells[3].source
    space: dict = {}
    for cell in solved.cells:
        if cell.cell_type == "code":
            exec(cell.source, space)
    assert space["my_number"] == 4
    page.cells[-1].source = "nothing folded"
    with pytest.raises(BadInput, match="exercise my_number: the cell after it folds no solution"):
        exercises(page)


WRONG = {  # page -> exercise -> answers that come to mind and are wrong
    "01_small_world": {
        "my_share": ["my_share = 80", "my_share = 50", "my_share = 'none'"],
        "my_pose": [
            "def my_pose(t, start, end, base, delta):\n    return base + t * delta",
            "def my_pose(t, start, end, base, delta):\n    return base + (t - start) / (end - start) * delta",
            "def my_pose(t, start, end, base, delta):\n    return base + delta * (t > start)",
        ],
        "my_box": [
            "def my_box(mask):\n    y, x = mask.nonzero().T.tolist()\n    return [min(x), min(y), max(x), max(y)]",
            "def my_box(mask):\n    y, x = mask.nonzero().T\n    return [min(y), min(x), max(y) + 1, max(x) + 1]",
            "def my_box(mask):\n    return mask",
        ],
        "my_loss": [
            "def my_loss(x, y, tau):\n    return -(tau * x @ y.T).log_softmax(1).diag().mean()",
            "def my_loss(x, y, tau):\n    e = (tau * x @ y.T).exp()\n"
            "    return -((e.diag() / e.sum(1)).log() + (e.diag() / e.sum(0)).log()).mean() / 2",
            "def my_loss(x, y, tau):\n    return tau * x @ y.T",
        ],
        "my_direction": [
            "def my_direction(ids):\n    return 0",
            "def my_direction(ids):\n    return int((ids[-1] == 1).sum() < (ids[0] == 1).sum())",
            "def my_direction(ids):\n    return (ids == 1).float().mean()",
        ],
    },
    "02_zeroi2v": {
        "my_frames": ["my_frames = [3, 4, 5, 5, 5]", "my_frames = [2, 3, 4, 3, 4]", "my_frames = 'two ahead'"],
        "my_read": [
            "def my_read(x, offset):\n    return x.roll(-offset, 1)",
            "def my_read(x, offset):\n    return x.roll(offset, 1)",
            "def my_read(x, offset):\n    x[:, offset:] = x[:, :-offset]\n    return x",
            "def my_read(x, offset):\n    return x",
        ],
        "my_blocks": ["my_blocks = 7, 4", "my_blocks = 8, 0", "my_blocks = (7,)"],
        "my_merge": [
            "def my_merge(weight, bias, adapter):\n    A, a = adapter.affine()\n    return A @ weight, A @ bias + a",
            "def my_merge(weight, bias, adapter):\n    A, a = adapter.affine()\n    return weight @ A, bias + a",
            "def my_merge(weight, bias, adapter):\n    A, a = adapter.affine()\n    return weight @ A, bias",
            "def my_merge(weight, bias, adapter):\n    return weight @ adapter.affine()[0]",
        ],
        "my_shift": [
            "def my_shift(qkv):\n    return qkv",
            "def my_shift(qkv):\n    return operators.ChannelShift((1, -1), divisor=4)(qkv)",
            "def my_shift(qkv):\n    return operators.ChannelShift(divisor=4, queries=True)(qkv)",
            "def my_shift(qkv):\n    return zeroi2v.STDHA((-1, 1))(qkv)",
        ],
    },
    "09_open_vocabulary_localization": {
        "my_round": [
            "def my_round(slots, patches):\n    a = (slots @ patches.T / 2).softmax(1)\n    return a @ patches",
            "def my_round(slots, patches):\n    a = (slots @ patches.T / 2).softmax(0)\n    return a @ patches",
            "def my_round(slots, patches):\n    return (slots @ patches.T).softmax(0) @ patches / len(patches)",
            "def my_round(slots, patches):\n    return (slots @ patches.T / 2).softmax(0)",
        ],
        "my_visible": [
            "def my_visible(steps, patches, ratio):\n    return steps * patches - int(steps * patches * ratio)",
            "def my_visible(steps, patches, ratio):\n    return steps * int(patches * ratio)",
            "def my_visible(steps, patches, ratio):\n    return steps * patches * (1 - ratio)",
        ],
        "my_pool": [
            "def my_pool(patches, cls):\n    return patches.mean(0)",
            "def my_pool(patches, cls):\n    return (patches @ cls) @ patches",
            "def my_pool(patches, cls):\n    return (patches @ cls).softmax(0) * patches",
        ],
        "my_groups": [
            "def my_groups(names, kept, near):\n    return int(kept.sum())",
            "def my_groups(names, kept, near):\n    return len(set(names[kept].tolist()))",
            "def my_groups(names, kept, near):\n    return kept",
        ],
        "my_box": [
            "def my_box(mask):\n    y, x = mask.nonzero().T.tolist()\n    return [min(x), min(y), max(x), max(y)]",
            "def my_box(mask):\n    y, x = mask.nonzero().T\n    return [min(y), min(x), max(y) + 1, max(x) + 1]",
            "def my_box(mask):\n    y, x = mask.nonzero().T\n    return [min(x), min(y), max(x) + 1, max(y) + 1]",
        ],
    },
    "12_long_video_by_chunks": {
        "my_places": [
            "def my_places(directions, start, step, frames):\n"
            "    return torch.tensor(start).expand(len(directions), frames, 2)",
            "def my_places(directions, start, step, frames):\n    return places(directions, start, 2 * step, frames)",
            "def my_places(directions, start, step, frames):\n    return places(directions, start, step, 1)",
            "def my_places(directions, start, step, frames):\n    return [start] * len(directions)",
        ],
        "my_memory": [
            "def my_memory(chunk, frames):\n    return [(earlier, 0) for earlier in range(chunk + 1)]",
            "def my_memory(chunk, frames):\n    return [(0, t) for t in range(frames)]",
            "def my_memory(chunk, frames):\n    return sharing.sparse_memory(chunk, frames)",
        ],
        "my_consistency": ["my_consistency = 1", "my_consistency = 'high'", "my_consistency = 0"],
        "my_motion": [
            "def my_motion(found, wanted):\n    return (found - wanted).norm(dim=-1)",
            "def my_motion(found, wanted):\n    a, b = (x[:, -1] - x[:, 0] for x in (found, wanted))\n"
            "    return 1 - (a - b).norm(dim=-1) / b.norm(dim=-1)",
            "def my_motion(found, wanted):\n    return 1 - (found - wanted).norm(dim=-1).mean(1)",
        ],
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_caught_kindly(name, capsys):
    page = read_notebook(NOTEBOOKS / f"{name}.ipynb")
    found = {each.name: each for each in exercises(page)}
    assert found.keys() == WRONG[name].keys() and len(found) >= 4
    space: dict = {}
    exec(setup(page), space)
    for exercise, answers in WRONG[name].items():
        for wrong in answers:
            capsys.readouterr()
            exec(found[exercise].cell.replace(found[exercise].stub, wrong), space)
            said = capsys.readouterr().out
            assert said.count("\n") == 1 and ("not yet" in said or "stops on case" in said), (wrong, said)

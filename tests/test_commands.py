"""Command lines in the hands of shells: pipes that close, ASCII terminals, names with blanks, copied notebooks."""

import os
import shlex
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from minilib.batch.jobs import Status, defaults
from minilib.batch.report import measured_with, sections
from minilib.batch.reproduce import main as reproduce
from minilib.batch.reproduce import select
from minilib.batch.running import read_status
from minilib.batch.solutions import main as solutions
from minilib.claims.__main__ import main as claims
from minilib.commands import answer, setting
from minilib.course import main as course
from minilib.errors import BadInput
from minilib.files import ROOT
from minilib.manifests import main as manifests
from minilib.models.checkpoints import unwrapped
from minilib.predict import main as predict
from minilib.study.__main__ import main as study

TALK = "from minilib.commands import answer; answer(lambda: [print('γ = 1', flush=True) for _ in range(20000)] and 0)"


def python(code, **environment):
    return subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, env=os.environ | environment, cwd=ROOT,
    )  # fmt: skip


def test_a_reader_may_stop_reading_and_a_terminal_may_take_ascii_alone():
    done = python(TALK, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0 and not done.stderr and done.stdout == "γ = 1\n"
    done = python(TALK, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and not done.stderr and done.stdout == "\\u03b3 = 1\n"


def test_bad_input_is_one_line_and_two(capsys):
    def body():
        raise BadInput("the one line")

    assert answer(body) == 2 and capsys.readouterr().err == "the one line\n"
    assert answer(lambda: 1) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=/data/my #1", "/data/my #1"),
        ("a=3", 3),
        ("a=[1, 2]", [1, 2]),
        ("a=true", True),
        ("a='3'", "3"),
        ("a=", ""),
        ("a=two words", "two words"),
        ("a=half: [open", "half: [open"),
        ("a=b: c", {"b": "c"}),
        ("a=2024-02-40", "2024-02-40"),
        ("a=" + "9" * 5000, "9" * 5000),
    ],
)
def test_values_are_taken_as_they_are_meant(text, value):
    assert setting(text) == ("a", value)


LONG = "x" * 5000
HUGE = "1" + "0" * 30


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (claims, [LONG]),
        (claims, ["--rows", LONG]),
        (study, [LONG]),
        (reproduce, ["--only", LONG]),
        (reproduce, ["--only", "00", "--out", LONG]),
        (reproduce, ["--only", "00", "--seeds", HUGE]),
        (reproduce, ["--only", "00", "--set", f"seed={HUGE}"]),
        (reproduce, ["--only", "00", "--set", "seed=" + "9" * 5000]),
        (manifests, ["--data-root", LONG]),
        (manifests, ["fetch", LONG, "--data-root", "."]),
        (predict, ["model.json", LONG]),
        (predict, [LONG, "README.md"]),
    ],
)
def test_long_names_and_numbers_are_one_line_that_can_be_read(command, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()
    assert command(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and len(line) < 700


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (claims, ["--js", "zeroi2v"]),
        (study, ["zeroi2v", "--seed", "1", "--list"]),
        (study, ["zeroi2v", "--seeds", HUGE, "--plan"]),
        (reproduce, ["--seed", "3"]),
        (manifests, ["--data", "."]),
        (predict, ["--dev", "cpu", "model.json", "a.mp4"]),
    ],
)
def test_no_option_is_taken_for_another(command, words, capsys):
    """`--seed 3` is not `--seeds 3`, and nobody gets a list of 10^30 seeds."""
    with pytest.raises(SystemExit) as end:
        command(words)
    assert end.value.code == 2 and "error: " in capsys.readouterr().err


def test_torn_records_are_left_out(tmp_path):
    good = Status("00_tour", "ok", 3.0).json()
    (tmp_path / "status.jsonl").write_bytes(good.encode() + b'\n{"name": "01_sm\xff')
    (tmp_path / "00_tour.done.json").write_bytes(b'{"name": "00_')
    (tmp_path / "01_small_world.done.json").write_bytes(b"[1]")
    assert [row.name for row in read_status(tmp_path)] == ["00_tour"]
    assert len(sections(tmp_path, ROOT / "notebooks")) > 1
    assert dict(measured_with(tmp_path))["device"]


def test_make_passes_words_with_blanks_on():
    for word in ("ONLY=02, 03", "OUT=/tmp/my runs"):
        done = subprocess.run(["make", "-n", "-C", str(ROOT), "reproduce", word], capture_output=True, text=True)
        line = [line for line in done.stdout.splitlines() if "minilib.batch.reproduce" in line][-1]
        assert word.split("=")[1] in shlex.split(line)


def test_copies_of_notebooks_are_left_out_by_name(tmp_path, capsys):
    for name in ("10_quick", "10_quick-Copy1", "10_quick-Copy"):
        nbformat.write(new_notebook(), tmp_path / f"{name}.ipynb")
    assert [path.stem for path in select(tmp_path, "10")] == ["10_quick"]
    assert "left out: 10_quick-Copy1.ipynb" in capsys.readouterr().err


def test_parameters_are_read_without_a_kernelspec(tmp_path):
    source = 'scale: str = "small"  # help\nseed = 3\nrate: float = 1 / 3\n'
    cells = [new_code_cell(source, metadata={"tags": ["parameters"]}), new_code_cell("other = 1")]
    nbformat.write(new_notebook(cells=cells, metadata={}), tmp_path / "10_quick.ipynb")
    assert defaults(tmp_path / "10_quick.ipynb") == {"scale": "small", "seed": 3, "rate": None}


@pytest.mark.parametrize(
    "name", ["head.weight", "module.head.weight", "_orig_mod.head.weight", "module._orig_mod.head.weight",
             "_orig_mod.module.head.weight", "head._orig_mod.weight", "_fsdp_wrapped_module.head.weight"],
)  # fmt: skip
def test_wrapped_names_are_seen_through(name):
    assert unwrapped(name) == "head.weight"
    assert unwrapped("head.my_orig_mod.weight") == "head.my_orig_mod.weight"


@pytest.mark.parametrize("command", [course, solutions])
def test_help_is_said_and_nothing_is_run(command, monkeypatch, capsys):
    monkeypatch.setattr(f"{command.__module__}.answer", lambda body: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as ended:
        command(["--help"])
    assert ended.value.code == 0 and command.__module__ in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        command(["more"])
    assert ended.value.code == 2

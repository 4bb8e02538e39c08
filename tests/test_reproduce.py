"""The batch runner on tiny notebooks: every way to die, and going on after it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from minilib import code
from minilib.batch import executed
from minilib.batch.executed import code_version, is_current, read_notebook, strip
from minilib.batch.jobs import Job, finished, job_key, run_job
from minilib.batch.reproduce import main, plan, read_status, select, update
from minilib.code import modules
from minilib.errors import BadInput
from minilib.files import ROOT

PARAMETERS = """scale: str = "small"  # smoke | small | paper
seed: int = 0  # random seed
lr: float = 0.1  # learning rate
fresh: bool = False
out_dir: str = ""  # where results go"""
START = """import time
from minilib.notebook import check_parameters, finish
started = time.time()
params = check_parameters(scale, seed, device="cpu", out_dir=out_dir)"""


def write_notebook(folder, name, *cells, end=True):
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"], "nbmake": {"mock": {"scale": "smoke"}}})
    sources = [START, *cells, *([f"record = finish(params, {name!r}, started)"] if end else [])]
    book = new_notebook(cells=[new_markdown_cell(f"# {name}"), parameters, *map(new_code_cell, sources)])
    book.metadata["kernelspec"] = {"name": "somebody-elses", "display_name": "x", "language": "python"}
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(book, path)
    return path


def job(tmp_path, path, **options):
    parameters = {"scale": "smoke", "out_dir": str(tmp_path / "out"), **options.pop("parameters", {})}
    return Job(path, tmp_path / "out", parameters, **options)


def leftovers(tmp_path):
    return [name for name in os.listdir(tmp_path / "out") if ".part" in name]


def test_done_once_and_again_only_when_something_changed(tmp_path):
    path = write_notebook(tmp_path, "01_a", "print('seed', seed)\nimport os\nprint(os.environ['OMP_NUM_THREADS'])")
    first = run_job(job(tmp_path, path, threads=3))
    assert first.state == "ok", first
    executed = read_notebook(tmp_path / "out" / "01_a.ipynb")
    assert "seed 0\n3" in executed.cells[4].outputs[0].text and is_current(executed) and not is_current(path)
    assert run_job(job(tmp_path, path)).state == "skipped"
    assert run_job(job(tmp_path, path, parameters={"seed": 1})).state == "ok"
    same = job(tmp_path, path, parameters={"seed": 1})
    assert finished(same, job_key(same, read_notebook(path)))
    write_notebook(tmp_path, "01_a", "print('another')")
    assert code_version(read_notebook(path)) != executed.metadata.minilib.code
    assert not finished(same, job_key(same, read_notebook(path))) and not leftovers(tmp_path)


def test_a_finished_run_on_other_files_does_not_count(tmp_path):
    path = write_notebook(tmp_path, "01_a")
    clip, other, weights = (tmp_path / name for name in ("data/mine/train/a/1.mp4", "data/yours/1.mp4", "clip.pt"))
    for file in (clip, other, weights):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    asked = {"data_root": str(tmp_path / "data"), "dataset": "mine", "weights": str(weights)}
    keys = []

    def key(**change):
        keys.append(job_key(job(tmp_path, path, parameters=asked | change), read_notebook(path)))
        return len(set(keys))

    assert key() == key() == 1
    os.utime(clip, ns=(5, 5))
    assert key() == 2
    clip.rename(clip.with_name("2.mp4"))
    assert key() == 3
    weights.write_bytes(b"xy")
    assert key() == 4
    other.write_bytes(b"another data set")
    assert key() == 4 and key(dataset="folder") == 5
    other.unlink()
    assert key(dataset="folder") == 6 and key(weights="random") == 7
    assert job_key(job(tmp_path, path), read_notebook(path)) not in keys


def test_resume_after_a_failing_cell(tmp_path):
    path = write_notebook(
        tmp_path, "01_a", "import pathlib\nassert pathlib.Path(out_dir, 'flag').exists(), 'no flag\\nyet'"
    )
    status = run_job(job(tmp_path, path))
    assert status.state == "failed" and status.reason == "cell 4: AssertionError: no flag"
    assert os.listdir(tmp_path / "out") == ["01_a.failed.ipynb"]
    (tmp_path / "out" / "flag").touch()
    assert run_job(job(tmp_path, path)).state == "ok"
    assert sorted(os.listdir(tmp_path / "out")) == ["01_a.done.json", "01_a.ipynb", "flag"]


def test_timeout_dead_kernel_and_an_early_exit(tmp_path):
    slow = write_notebook(tmp_path, "01_slow", "time.sleep(60)")
    dead = write_notebook(tmp_path, "02_dead", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    left = write_notebook(tmp_path, "03_left", "import sys\nsys.exit(0)")
    assert run_job(job(tmp_path, slow, timeout=2)).state == "timeout"
    assert run_job(job(tmp_path, dead)).state == "dead kernel"
    status = run_job(job(tmp_path, left))
    assert status.state == "failed" and status.reason
    names = {"01_slow.failed.ipynb", "02_dead.failed.ipynb", "03_left.failed.ipynb"}
    assert set(os.listdir(tmp_path / "out")) == names
    for name, cells in (("01_slow", ""), ("02_dead", "")):
        write_notebook(tmp_path, name, cells)
    assert run_job(job(tmp_path, slow, timeout=30)).state == "ok"
    assert run_job(job(tmp_path, dead)).state == "ok"


def test_batch_status_report_and_exit_code(tmp_path, capsys):
    write_notebook(tmp_path, "01_good", "1 + 1")
    write_notebook(tmp_path, "02_bad", "1 / 0")
    common = [
        "--notebooks",
        str(tmp_path / "notebooks"),
        "--out",
        str(tmp_path / "out"),
        "--scale",
        "smoke",
        "--jobs",
        "2",
    ]
    assert main(common) == 1
    said = capsys.readouterr().out
    assert "02_bad failed" in said and "ZeroDivisionError: division by zero" in said
    assert [(row.name, row.state) for row in read_status(tmp_path / "out")] == [("01_good", "ok"), ("02_bad", "failed")]
    assert (tmp_path / "out" / "report.html").is_file()
    write_notebook(tmp_path, "02_bad", "1 / 1")
    assert main(common[:-2]) == 0
    assert [row.state for row in read_status(tmp_path / "out")] == ["skipped", "ok"]


def test_a_killed_runner_takes_its_kernel_along_and_the_next_one_goes_on(tmp_path):
    write_notebook(tmp_path, "01_first")
    wait = (
        "import pathlib, os\nmark = pathlib.Path(out_dir, 'mark')\n"
        "if not mark.exists():\n    mark.write_text(str(os.getpid()))\n    time.sleep(120)"
    )
    write_notebook(tmp_path, "02_second", wait)
    command = [
        sys.executable,
        "-m",
        "minilib.batch.reproduce",
        "--notebooks",
        tmp_path / "notebooks",
        "--out",
        tmp_path / "out",
    ]
    command = [str(part) for part in (*command, "--scale", "smoke")]
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    kernel = _kernel(tmp_path / "out" / "mark")
    runner.kill()
    runner.wait()
    _gone(kernel)
    (tmp_path / "out" / "mark").unlink()
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in the background would not be interrupted
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    kernel = _kernel(tmp_path / "out" / "mark")
    runner.send_signal(signal.SIGINT)
    assert runner.wait(300) == 130 and "goes on from here" in runner.stderr.read()
    _gone(kernel)
    assert sorted(os.listdir(tmp_path / "out")) == ["01_first.done.json", "01_first.ipynb", "mark", "status.jsonl"]
    assert main(command[3:]) == 0
    assert [row.state for row in read_status(tmp_path / "out")] == ["skipped", "ok"]
    assert not leftovers(tmp_path)


def _kernel(mark):
    deadline = time.monotonic() + 40
    while not (mark.is_file() and mark.read_text()):
        assert time.monotonic() < deadline, "the notebook never got to its cell"
        time.sleep(0.1)
    return int(mark.read_text())


def _gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.1)
    pytest.fail("the kernel outlived its runner")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "lrate=0.1"], "--set lrate: no such parameter; there are scale, seed, lr"),
        (["--set", "lr=[1, 2]"], "01_a: lr=[1, 2] is list, the notebook expects float"),
        (["--set", "lr"], "--set lr: write it as name=value"),
        (["--set", "seed=-1"], "seed=-1: must be a whole number"),
        (["--scale", "huge"], "--scale huge: must be one of smoke, small, paper"),
        (["--only", "07"], "--only 07: no such notebook; there are 01_a"),
        (["--jobs", "0"], "--jobs 0: must be 1 or more"),
        (["--update"], "--update publishes what --scale small gives"),
        (["--scale", "small", "--set", "lr=0.1", "--update"], "--update publishes what --scale small gives"),
        (["--out", "/dev/null/x"], "--out='/dev/null/x': cannot write there"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(tmp_path, capsys, arguments, said):
    write_notebook(tmp_path, "01_a")
    common = ["--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out"), "--scale", "smoke"]
    assert main([*common, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == 1


def test_selection_and_plan(tmp_path):
    for name in ("01_world", "02_zeroi2v", "03_dist"):
        write_notebook(tmp_path, name)
    chosen = select(tmp_path / "notebooks", "dist, 01")
    assert [path.stem for path in chosen] == ["01_world", "03_dist"]
    assert [path.stem for path in select(tmp_path / "notebooks", "zero")] == ["02_zeroi2v"]  # part of a name
    jobs = plan(chosen, tmp_path / "out", "smoke", settings={"lr": 1}, jobs=1000)
    assert jobs[0].threads == 1 and jobs[0].parameters["lr"] == 1 and "seeds" not in jobs[0].parameters
    (tmp_path / "notebooks" / "02_zeroi2v.ipynb").write_text('{"cells": [')
    with pytest.raises(BadInput, match=r"02_zeroi2v.ipynb: not a notebook"):
        plan(select(tmp_path / "notebooks", None), tmp_path / "out")


def test_update_takes_a_clean_notebook_and_new_rows(tmp_path):
    from minilib.claims import Row, append_rows, read_rows

    path = write_notebook(tmp_path, "01_a", "import minilib\nprint(minilib.__path__[0], out_dir)\nseed")
    work = job(tmp_path, path, parameters={"scale": "small"})
    assert run_job(work).state == "ok"
    rows = [Row(metric="m", value=1, scale=scale) for scale in ("smoke", "small")]
    append_rows(tmp_path / "out" / "rows" / "sums.jsonl", rows)
    assert update([work], tmp_path / "out", tmp_path / "results") == ["01_a.ipynb", "rows/sums.jsonl: 1 rows"]
    assert update([work], tmp_path / "out", tmp_path / "results") == ["01_a.ipynb"]
    assert read_rows(tmp_path / "results" / "rows" / "sums.jsonl") == rows[1:]
    text, book = path.read_text(), read_notebook(path)
    assert book.metadata["minilib"].keys() == {"code", "seconds", "threads"}, "the page knows how long it took"
    assert is_current(book) and str(ROOT) not in text and str(tmp_path) not in text and "papermill" not in text
    assert [c.id for c in book.cells] == [str(k) for k in range(len(book.cells))]
    assert [c.execution_count for c in book.cells if c.cell_type == "code"] == [1, 2, 3, 4]
    assert book.cells[1].metadata["tags"] == ["parameters"] and book.cells[1].metadata["nbmake"]
    assert book.cells[3].outputs[0].text.startswith("minilib ")
    assert run_job(work).state == "skipped"  # stripping changes no code
    assert strip(book) == strip(strip(book))


def test_code_version_sees_what_is_imported_and_nothing_else(monkeypatch, tmp_path):
    package = tmp_path / "minilib"
    (package / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "a.py": "from minilib.deep import b",
        "other.py": "",
        "deep/__init__.py": "",
        "deep/b.py": "x = 1",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(executed, "PACKAGE", package)
    book = new_notebook(cells=[new_code_cell("%matplotlib inline\nimport minilib.a")])
    before = code_version(book)
    (package / "other.py").write_text("y = 2")
    book.cells.append(new_markdown_cell("prose"))
    assert code_version(book) == before
    (package / "deep" / "b.py").write_text("x = 2")
    assert code_version(book) != before


def test_code_version_sees_what_is_loaded_by_its_name_and_every_claim_that_the_scorecard_judges(monkeypatch, tmp_path):
    own = modules(["from minilib.study import saved"])
    assert {"published.py", "full_size.py"} <= {path.name for path in own}, "methods that saved.PLACES names"
    shutil.copytree(executed.CLAIMS, tmp_path / "claims")
    monkeypatch.setattr(executed, "CLAIMS", tmp_path / "claims")
    book = new_notebook(cells=[new_code_cell("from minilib.claims import scorecard")])
    before = code_version(book)
    for name in ("zeroi2v.yaml", "contradictions.yaml"):
        with (tmp_path / "claims" / name).open("a") as file:
            file.write("\n# another word\n")
        before, old = code_version(book), before
        assert before != old, name


def test_status_file_survives_garbage(tmp_path):
    (tmp_path / "status.jsonl").write_text('{"name": "a", "state": "ok", "seconds": 1, "reason": ""}\n{"na')
    assert [row.name for row in read_status(tmp_path)] == ["a"]
    assert json.loads(read_status(tmp_path)[0].json())["state"] == "ok"

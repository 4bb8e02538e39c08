"""The wheel, installed elsewhere: it needs no checkout, and has manifests, rows and commands."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from minilib.files import ROOT

LEFT_OUT = ("runs", ".venv", ".git", "build", "*.egg-info", "notebooks", "tests", "__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the checkout."""
    source = tmp_path_factory.mktemp("source") / "suite"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """call(code or words): Python with the installed wheel alone, from another folder."""
    target, place = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("place")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)

    def call(*words):
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(target)}
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=place, env=environment)

    call.target, call.place = target, place
    return call


def test_its_name_is_ours_and_it_is_imported_as_minilib(wheel):
    assert wheel.name.startswith("efficient_video_suite-")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "minilib").rglob("*.py")}
    assert here <= names
    carried = {f"minilib/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "data_manifests").glob("*.yaml")}
    carried |= {f"minilib/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "results" / "rows").glob("*.jsonl")}
    assert carried <= names and any(name.endswith(".jsonl") for name in carried)
    data = {
        path.relative_to(ROOT).as_posix()
        for end in ("yaml", "safetensors", "j2", "md")
        for path in (ROOT / "minilib").rglob(f"*.{end}")
    }
    assert data <= names


def test_its_commands_are_declared_and_lead_somewhere(elsewhere):
    (folder,) = elsewhere.target.glob("efficient_video_suite-*.dist-info")
    points = distribution_points(folder)
    assert set(points) == {
        f"minilib-{name}"
        for name in ("check", "claims", "localize", "manifests", "predict", "reproduce", "study", "train")
    }
    done = elsewhere("-c", "from importlib import import_module as i\n" + "\n".join(
        f"assert callable(getattr(i({place.split(':')[0]!r}), {place.split(':')[1]!r}))" for place in points.values()
    ))  # fmt: skip
    assert done.returncode == 0, done.stderr


def distribution_points(folder: Path) -> dict[str, str]:
    lines = (folder / "entry_points.txt").read_text().splitlines()
    return dict(line.split(" = ") for line in lines if " = " in line)


def test_claims_manifests_and_predict_work_from_anywhere(elsewhere):
    done = elsewhere("-m", "minilib.claims", "--json", "zeroi2v")
    assert done.returncode == 0 and '"verdict": "reproduced"' in done.stdout, done.stderr  # so there are rows
    done = elsewhere("-m", "minilib.manifests")
    assert done.returncode == 0 and "small_clip: " in done.stdout and str(elsewhere.target) in done.stdout
    done = elsewhere("-m", "minilib.predict", "none.json", "none.mp4")
    assert done.returncode == 2 and done.stderr == "none.mp4: no such file or folder\n"
    done = elsewhere("-m", "minilib.batch.reproduce", "--scale", "smoke")
    assert done.returncode == 2 and "no notebooks there" in done.stderr and done.stderr.count("\n") == 1


def test_it_writes_where_it_is_called_and_names_no_foreign_commit(elsewhere):
    subprocess.run(["git", "init", "-q", str(elsewhere.place)], check=True)
    code = "from minilib.files import RUNS; from minilib.environment import commit; print(RUNS, commit())"
    done = elsewhere("-c", code)
    assert done.stdout.split() == [str(elsewhere.place / "runs"), "None"], done.stderr


def test_the_checkout_is_installed_under_some_name():
    for name in ("efficient-video-suite", "minilib"):
        try:
            assert distribution(name)
            return
        except ModuleNotFoundError:
            continue
    pytest.fail("neither name is installed: `make setup`")

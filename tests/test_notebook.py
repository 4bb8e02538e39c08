"""What notebooks share: parameters, sources, progress, the completion record."""

import json
import os
import sys
import time
from functools import partial

import pytest

from minilib import notebook
from minilib import progress as bars
from minilib.errors import BadInput
from minilib.files import ROOT, write_whole
from minilib.models import clip
from minilib.notebook import check_parameters, finish, show_source
from minilib.progress import progress, watched


def test_good_parameters(tmp_path):
    params = check_parameters("smoke", 3, 2, device="cpu", out_dir=str(tmp_path / "new" / "folder"))
    assert params.seed_list == [3, 4] and params.device == "cpu" and params.out_dir.is_dir()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scale": "big"}, "scale='big': must be one of smoke, small, paper"),
        ({"scale": 1}, "scale=1"),
        ({"seed": -1}, "seed=-1: must be a whole number, 0 or more"),
        ({"seed": "0"}, "seed='0'"),
        ({"seeds": 0}, "seeds=0: must be a whole number, 1 or more"),
        ({"seeds": [0, 1]}, "seeds=[0, 1]"),
        ({"seeds": True}, "seeds=True"),
        ({"grid": ["core"]}, "grid=['core']"),
        ({"fresh": 1}, "fresh=1: must be True or False"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"weights": 3}, "weights=3"),
        ({"data_root": "/no/such/folder"}, "data_root='/no/such/folder': no such folder"),
        ({"scale": "paper"}, "scale='paper' needs data_root"),
    ],
)
def test_bad_parameters_name_themselves(given, said, tmp_path):
    with pytest.raises(BadInput) as error:
        check_parameters(**{"device": "cpu", "out_dir": str(tmp_path / "out"), **given})
    assert str(error.value).startswith(said) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_addresses_stay_as_they_are_and_a_page_may_need_no_data(tmp_path):
    given = dict(device="cpu", out_dir=str(tmp_path))
    assert check_parameters(weights="http://localhost:8000/v1", **given).weights == "http://localhost:8000/v1"
    assert check_parameters(weights="~/model", **given).weights == os.path.expanduser("~/model")
    assert check_parameters("paper", needs_data=False, **given).data_root == ""


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"out_dir=.*file/below.*cannot write there"):
        check_parameters(device="cpu", out_dir=str(tmp_path / "file" / "below"))


@pytest.mark.parametrize("thing", [clip.ImageText, clip.ImageText.normalise, clip.build, partial(clip.build), clip])
def test_source_is_shown_without_machine_paths(thing):
    shown = show_source(thing)
    html = shown._repr_html_()
    assert "minilib/models/clip.py" in html and str(ROOT) not in html and "<pre" in html
    assert str(shown).startswith("# minilib/models/clip.py\n") and "<table" not in html
    assert len(html) < 3 * len(str(shown)) + 1000


def test_source_of_something_without_source():
    with pytest.raises(BadInput, match=r"no Python source"):
        show_source(len)


def test_progress_is_quiet_when_nobody_watches(capsys, monkeypatch):
    assert not watched()  # this is a test run
    assert list(progress(range(3), "steps")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("PYTEST_VERSION")
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    for name in bars.WATCHED:
        monkeypatch.delenv(name, raising=False)
    assert not watched()
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    assert watched()
    monkeypatch.setenv(bars.QUIET, "1")
    assert not watched()


def test_completion_record(tmp_path, monkeypatch):
    monkeypatch.setenv(notebook.JOB, "abc")
    params = check_parameters("smoke", device="cpu", out_dir=str(tmp_path))
    path = finish(params, "02_x", time.time() - 5, verdicts={"reproduced": 3})
    record = json.loads(path.read_text())
    assert path.name == "02_x.done.json" and record["job"] == "abc" and 5 <= record["seconds"] < 60
    assert record["parameters"]["scale"] == "smoke" and record["notes"]["verdicts"] == {"reproduced": 3}
    with pytest.raises(BadInput, match=r"not plain data"):
        finish(params, "02_x", time.time(), bad=object())
    assert os.listdir(tmp_path) == ["02_x.done.json"]


def test_a_file_is_whole_or_absent(tmp_path):
    write_whole(tmp_path / "a.txt", "one")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=r"folder: cannot be written"):
        write_whole(tmp_path / "folder", "two")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "folder"]


def test_pictures_are_small_and_colours_distinct(tmp_path):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from minilib import plots

    with mpl.rc_context():
        plots.style()
        figure = Figure()
        figure.subplots().plot([0, 1], [0, 1])
        path = plots.save_small(figure, tmp_path / "line.png")
    assert path.stat().st_size < 20_000 and len(set(plots.COLOURS)) == 8

"""Real trainings by a file of parameters: every parameter arrives, rows come of it, and changed data is another run."""

import json
import os
import warnings
from dataclasses import fields

import numpy as np
import pytest

from minilib import train as command
from minilib.batch.jobs import defaults
from minilib.claims import judge, load
from minilib.claims.rows import Row, read_rows
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS
from minilib.study import real, real_detection, real_localization, real_training
from minilib.study.real import Run
from minilib.train import METHODS, main, read_parameters, train_by
from minilib.video import write_video
from tests import two_processes

FILES = sorted(path for path in (NOTEBOOKS / "parameters").glob("*.yaml") if not path.stem.startswith("own_videos"))
ASKED = {"seed", "seeds", "precision", "batch", "workers", "flip", "compile", "max_steps", "max_clips"}
PLACES = {"zeroi2v": "02", "dist": "03", "object_centric": "04", "victr": "05", "coarse_fine": "07"}
PLACES |= {"detection_pretraining": "08"}


@pytest.fixture
def videos(tmp_path):
    """Two greys, three clips each to train on and one to test on."""
    for split, count in (("train", 3), ("val", 1)):
        for k, name in enumerate(("dark", "light")):
            for n in range(count):
                path = tmp_path / "videos" / split / name / f"{n}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, np.full((4, 64, 64, 3), 60 + 90 * k + 5 * n, dtype=np.uint8))
    return tmp_path / "videos"


@pytest.fixture
def asked(videos, monkeypatch):
    """A quick method in a paper's place, and how often it is trained."""
    calls, plain = [], real_training.train
    monkeypatch.setattr(real_training, "train", lambda *given, **more: calls.append(given) or plain(*given, **more))
    monkeypatch.setitem(METHODS, "zeroi2v", ("minilib.study.real", "tests.two_processes:method"))
    values = {"method": "zeroi2v", "dataset": "folder", "data_root": str(videos), "backbone": "small", "frames": 2}
    values |= {"device": "cpu", "out_dir": str(videos.parent / "out")}
    return values, calls


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_asks_for_everything_and_says_first_what_is_missing(path, tmp_path):
    values = read_parameters(path)
    study = {"coarse_fine": real_detection, "open_vocabulary": real_localization}.get(values["method"], real)
    assert ASKED <= values.keys() <= {field.name for field in fields(study.Run)} | {"scale", "method", "seeds"}
    with pytest.raises(BadInput, match=f"{values['dataset']}: .* is missing"):
        train_by({**values, "data_root": str(tmp_path), "out_dir": str(tmp_path / "out")})
    with pytest.raises(BadInput, match="needs data_root"):
        train_by(values)


@pytest.mark.parametrize(("method", "number"), PLACES.items())
def test_notebooks_have_the_same_parameters_and_hand_them_on(method, number):
    (notebook,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    has = defaults(notebook)
    for path in (path for path in FILES if path.stem.startswith(method)):
        values = read_parameters(path)
        assert values.keys() - {"method", "frames"} <= has.keys()
        assert {name: values[name] for name in ASKED} == {name: has[name] for name in ASKED}
    cells = ["".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"]]
    (cell,) = [cell for cell in cells if 'params.scale == "paper"' in cell and "Run(" in cell]
    for name in ("batch, precision, workers", "flip=flip", "compile=compile", "fresh=params.fresh", "params.seed_list"):
        assert name in cell


def test_a_run_makes_rows_and_is_not_made_twice(asked, capsys, tmp_path):
    values, calls = asked
    (tmp_path / "mine.yaml").write_text(json.dumps(values))
    command_line = [str(tmp_path / "mine.yaml"), "--set", "seeds=2", "--set", "precision=bf16", "--set", "max_steps=2"]
    assert main(command_line) == 0 and len(calls) == 2
    first = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["seed"] for each in first] == [0, 1] and all(each["steps"] == 2 for each in first)
    plan = calls[0][2]
    assert (plan.precision, plan.steps, plan.seed, calls[1][2].seed) == ("bf16", 2, 0, 1)
    assert main(command_line) == 0 and len(calls) == 2
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert again == [each | {"seconds": round(each["seconds"], 3)} for each in first]
    rows = read_rows(tmp_path / "out" / "rows" / "zeroi2v.jsonl")
    assert {row.metric for row in rows} == {f"real/folder/small/2/{m}" for m in ("top1", "top5", "unreadable")}
    assert {(row.scale, row.dtype, row.barred) for row in rows} == {("paper", "bfloat16", "cut short by max_steps=2")}
    assert rows[0].data.startswith("folder: 6 of 6 train, 2 of 2 val; 0 unreadable; from the method's usual weights; ")
    assert (tmp_path / "out" / rows[0].data.split("; ")[-1]).is_file()


def test_changed_data_is_another_run_and_fresh_starts_anew(asked, videos):
    values, calls = asked
    values |= {"max_steps": 1}
    train_by(values)
    train_by(values)
    assert len(calls) == 1
    (videos / "train" / "dark").rename(videos / "train" / "night")
    (videos / "val" / "dark").rename(videos / "val" / "night")
    train_by(values)  # yesterday's file under today's name of the class
    assert len(calls) == 2
    clip = videos / "train" / "light" / "0.mp4"
    os.utime(clip, ns=(1, 1))
    train_by(values)
    write_video(clip, np.zeros((3, 64, 64, 3), dtype=np.uint8))
    train_by(values)
    assert len(calls) == 4 and len({given[5] for given in calls}) == 4
    train_by(values)
    assert len(calls) == 4
    train_by(values | {"fresh": True})
    assert len(calls) == 5
    for change in ({"batch": 2}, {"flip": 0.5}, {"seed": 3}, {"precision": "bf16"}, {"max_clips": 4}):
        train_by(values | change)
    assert len(calls) == 10
    train_by(values | {"workers": 1, "max_bad_share": 0.3})  # neither makes another result
    assert len(calls) == 10


def test_fresh_does_not_go_on_from_the_old_checkpoint(asked):
    values, _ = asked
    first = train_by(values | {"max_steps": 2})[0]
    assert train_by(values | {"max_steps": 2})[0]["seconds"] == round(first["seconds"], 3)
    weights = []

    def method(run, classes):
        prepared = two_processes.method(run, classes)
        prepared.model.head.weight.data.zero_()
        weights.append(prepared.model.head.weight)
        return prepared

    job = Run("folder", values["data_root"], "small", 2, max_steps=2, fresh=True)
    real.run(job, values["out_dir"], method)
    fresh = weights[-1].detach().clone()
    real.run(Run("folder", values["data_root"], "small", 2, max_steps=2), values["out_dir"], method)
    assert (weights[-1] == fresh).all() and fresh.abs().max() < 0.05  # not the first run's, whose start was random


@pytest.mark.parametrize("parts", [{}, {"compile": True}])
def test_every_parameter_arrives(asked, monkeypatch, parts):
    values, _ = asked
    seen = {}
    monkeypatch.setattr(
        real_training,
        "train",
        lambda model, batches, plan, *rest, **more: (
            seen.update(b=batches, p=plan, **more) or two_processes.History([], 0)
        ),
    )
    own = {"batch": 3, "workers": 2, "flip": 0.25, "max_bad_share": 0.3, "seed": 4, "weights": "random"} | parts
    train_by(values | own)
    assert (seen["b"].batch, seen["b"].workers, seen["b"].max_bad_share) == (3, 2, 0.3)
    assert (seen["b"].dataset.flip, seen["b"].dataset.seed, seen["p"].seed) == (0.25, 4, 4)
    assert seen["compiled"] is bool(parts)

    def stop(model, batches, *rest, **more):
        seen["b"] = batches
        raise KeyboardInterrupt

    monkeypatch.setattr(real_training, "train", stop)
    for device, count in (("cpu", 0), ("cuda", 1)):  # beside a GPU no batch is decoded in this process
        with pytest.raises(KeyboardInterrupt):
            real.run(Run("folder", values["data_root"], "small", 2, device=device), "", two_processes.method)
        assert seen["b"].workers == count


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "oca"}, "method='oca': must be one of zeroi2v"),
        ({"scale": "small"}, "scale='small': real videos are of scale paper"),
        ({"works": 3}, "has no parameter 'works'; it has backbone, batch"),
        ({"batch": "many"}, "batch='many': Input should be a valid integer"),
        ({"batch": -1}, "batch=-1: must be 0 or more"),
        ({"precision": "fp8"}, "precision='fp8': must be one of fp32, bf16, fp16"),
        ({"flip": 2.0}, "flip=2.0: a share of the clips"),
        ({"weights": "/no/file.pt"}, "/no/file.pt: no such file"),
        ({"seeds": 0}, "seeds=0: must be a whole number, 1 or more"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_work(asked, wrong, said):
    values, calls = asked
    with pytest.raises(BadInput, match=said) as error:
        train_by(values | wrong)
    assert "\n" not in str(error.value) and not calls


def test_files_that_are_no_parameters_are_one_line(tmp_path, capsys):
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "torn.yaml").write_text("a: [\n")
    for name, said in (("list", "must be lines of name: value"), ("torn", "not YAML"), ("none", "cannot be read")):
        assert main([str(tmp_path / f"{name}.yaml")]) == 2
        out, err = capsys.readouterr()
        assert said in err and len(err.splitlines()) == 1 and not out
    assert command.__doc__.startswith("`python -m minilib.train FILE`")


def test_whole_runs_decide_magnitudes_and_others_do_not():
    fixed = dict(
        metric="real/kinetics400/vit_b16/8/top1", scale="paper", commit="0" * 12, data="kinetics400: 9 of 9 val"
    )
    rows = [Row(value=83.4, seed=0, **fixed), Row(value=40.0, seed=1, barred="cut short by max_steps=5", **fixed)]
    (found,) = [v for v in judge(load("zeroi2v"), rows) if v.id == "top1.t4.k400.b16.8"]
    assert (found.verdict, found.measured) == ("reproduced", 83.4)
    assert "over one seed" in found.why and "kinetics400: 9 of 9 val" in found.why
    (found,) = [v for v in judge(load("zeroi2v"), rows[1:]) if v.id == "top1.t4.k400.b16.8"]
    assert found.verdict == "not testable here"


def test_what_a_run_lacks_to_speak_of_its_data_set():
    videos = real_training.Videos({"train": [0] * 96, "val": [0] * 96}, {"train": 100, "val": 100}, "")
    recipe = {"batch": 8, "flip": 0.5}
    why = lambda **asked: real_training.shortcoming(Run("d", "", **asked), recipe, videos)  # noqa: E731
    assert why() == why(batch=8) == why(flip=0.5) == why(precision="bf16") == ""
    assert why(max_clips=3) == "cut short by max_clips=3" and why(batch=4) == "batch=4, the recipe has 8"
    assert why(weights="random") == "random weights" and why(flip=0.0) == "flip=0.0, the recipe has 0.5"
    few = real_training.Videos({"train": [0] * 96, "val": [0] * 94}, videos.listed, "")
    assert real_training.shortcoming(Run("d", ""), recipe, few) == (
        "fewer than 95% of its videos: 96 of 100 train, 94 of 100 val"
    )
    assert real_detection.Run("charades", "").random_start and not Run("d", "").random_start


def test_every_magnitude_of_a_real_run_is_one_that_can_be_run():
    for paper in METHODS:
        study = {"coarse_fine": real_detection, "open_vocabulary": real_localization}.get(paper, real)
        for claim in load(paper).claims:
            if claim.metric and claim.metric.startswith("real/"):
                _, dataset, backbone, which, metric = claim.metric.split("/")
                own = {"network": which} if paper == "coarse_fine" else {"frames": int(which)}
                run = study.Run(dataset, "", backbone, **own)
                assert f"{run.metric}/{metric}" == claim.metric and backbone in study.SIZE
                assert str(which) in claim.statement or study is not real
                assert metric.removeprefix("slots_").removesuffix("_released") in claim.id
                assert metric.startswith("slots_") == (".apart." in claim.id)  # before joint optimisation


warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

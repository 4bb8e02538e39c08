"""Own videos: what is trained, what is kept of it, and what a kept model says of other videos."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch

from minilib import predict
from minilib.datasets.kinetics import kinetics_folder
from minilib.errors import BadInput
from minilib.files import ROOT
from minilib.models import small_clip as shipped
from minilib.models.clip import TINY, build
from minilib.papers.baselines import change_drawn
from minilib.papers.baselines.change_probe import ChangeProbe, moments
from minilib.study import own, own_said, saved
from minilib.study.own import OWN, Validation, own_recipe, train_own
from minilib.study.real import Run
from minilib.study.saved import PLACES, Card, VideoModel, load_model, method_of, paths_of, save_model
from minilib.video import write_video
from minilib.world.export_folder import export_folder

CLASSES = ("left", "right")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return export_folder(tmp_path_factory.mktemp("own videos ü"), {"train": 2, "val": 2}, seed=3, frames=8)


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    run = Run("folder", str(videos), "small", frames=4, max_steps=2)
    return train_own("change_probe", run, tmp_path_factory.mktemp("out"))


def card(method="change_probe", frames=4, classes=CLASSES):
    return Card(
        method=method, classes=classes, backbone="small", clip_frames=frames, frames=frames,
        sampling={"sampling": "uniform"}, views={"clips": 1, "crops": 1},
    )  # fmt: skip


# --- the probe on change ---------------------------------------------------------------------------------------------


def test_moments_are_those_of_a_loop():
    torch.manual_seed(0)
    patches = torch.randn(2, 4, 6, 5)  # a grid of 2 x 3
    places = [(down, across) for down in (-1, 1) for across in (-1, 0, 1)]
    got = moments(patches, (2, 3))
    for b in range(2):
        sizes = [(patches[b, t + 1] - patches[b, t]).norm(dim=-1) for t in range(3)]
        for t, size in enumerate(sizes):
            share = size / size.sum()
            across = sum(s * place[1] for s, place in zip(share, places, strict=True))
            down = sum(s * place[0] for s, place in zip(share, places, strict=True))
            spread = sum(s * ((p[1] - across) ** 2 + (p[0] - down) ** 2) for s, p in zip(share, places, strict=True))
            much = size.sum() / torch.stack([each.sum() for each in sizes]).mean() - 1
            want = torch.stack([across, down, spread.sqrt(), much])
            torch.testing.assert_close(got[b, t], want, atol=1e-4, rtol=1e-4)


def test_a_clip_backwards_is_its_moments_backwards_and_one_that_stands_still_is_finite():
    patches = torch.randn(1, 5, 4, 3)
    torch.testing.assert_close(moments(patches.flip(1), (2, 2)), moments(patches, (2, 2)).flip(1))
    assert moments(torch.ones(1, 3, 4, 2), (2, 2)).isfinite().all()


def test_the_picture_shows_the_changes_that_the_probe_reads():
    maps, track = change_drawn.changes(change_drawn.leftward(5))
    assert maps.shape == (1, 4, 8, 8) and torch.allclose(maps.sum((-1, -2)), torch.ones(1, 4))
    places = torch.linspace(-1, 1, 8)
    torch.testing.assert_close((maps * places).sum((-1, -2)), track[..., 0], atol=1e-4, rtol=1e-3)
    assert (track[0, :, 0].diff() < 0).all(), "it moves left"


def test_the_probe_trains_its_linear_layer_alone():
    probe = ChangeProbe(build(TINY, tokenize=list).visual, 3, 2)
    frames = torch.randint(256, (2, 3, 16, 16, 3), dtype=torch.uint8)
    probe(frames).sum().backward()
    assert {name for name, p in probe.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert probe.head.weight.grad.abs().sum() > 0 and probe.head.in_features == 24 + 8 + 4
    with pytest.raises(BadInput, match="needs two"):
        ChangeProbe(build(TINY, tokenize=list).visual, 1, 2)


# --- training --------------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_model_and_says_what_it_was(trained, videos):
    assert trained.path.is_file() and paths_of(trained.path)[0].is_file()
    said = json.loads(trained.path.read_text())
    assert said["classes"] == ["left", "right"] and said["method"] == "change_probe" and said["frames"] == 4
    assert said["measured"]["top1"] == trained.outcome["top1"] and "4 videos" in said["trained_on"]
    assert len(trained.validation.truth) == 4 and trained.validation.score.shape == (4, 2)
    assert trained.outcome["steps"] == 2 and trained.outcome["clips"] == 4


def test_sentences_follow_from_the_answers():
    assert own_said.chance_error(2, 100) == 5.0
    assert "not clear of" in own_said.against_chance(60, 2, 24) and "not" not in own_said.against_chance(95, 2, 24)
    assert own_said.control(54, 2, 24).endswith("as it must be.") and "do not trust" in own_said.control(95, 2, 24)
    assert own_said.weakest([("up", 3, 100.0, 50.0), ("down", 4, 25.0, None), ("gone", 0, None, None)]) == (
        "Recognised least: “down”, 25 % of its four videos."
    )
    assert own_said.weakest([("up", 3, 100.0, 50.0)]).startswith("All videos")
    truth = torch.tensor([0, 0, 1, 1])
    said = own_said.order({"as they are": truth, "backwards": 1 - truth, "mirrored": truth}, truth)
    assert "backwards 0 %, mirrored 100 %" in said and said.endswith("rests on it.")
    assert own_said.order({"as they are": truth, "backwards": truth}, truth).endswith(
        "does not use the order of the frames."
    )
    assert own_said.order({"as they are": 1 - truth}, truth).startswith("No answer is right")


def test_one_recipe_for_all_and_never_a_mirror(monkeypatch, videos, tmp_path):
    published = {"lr": 1e-4, "stride": {8: 16}, "sampling": "dense", "flip": 0.5, "mixup": 0.8, "epochs": 40}
    recipe = own_recipe(published, "small", 100, 3)
    assert recipe["lr"] == pytest.approx(1e-3) and recipe["epochs"] == 34 and recipe["sampling"] == "uniform"
    assert recipe["flip"] == recipe["mixup"] == 0.0 and recipe["warmup_epochs"] * 3 == pytest.approx(10)
    assert own_recipe(published, "vit_b16", 100, 3)["lr"] == 1e-4
    asked, score = {}, torch.rand(1, 2)

    def run(settings, out_dir, method, said):
        asked.update(run=settings, recipe=method(settings, CLASSES).recipe)
        said(score, kinetics_folder(videos)["val"].clips[:1])
        return {}

    monkeypatch.setattr(own.real, "run", run)
    trained = train_own("change_probe", Run("folder", str(videos), "small", frames=4), tmp_path)
    assert trained.validation.score is score and len(trained.validation.truth) == 1
    assert asked["run"].max_steps == own.STEPS and asked["run"].flip is None
    assert OWN.items() <= asked["recipe"].items()
    all_of_them = len(kinetics_folder(videos)["train"])
    few = Run("folder", str(videos), "small", frames=4, max_clips=2, batch=1)
    trained = train_own("change_probe", few, tmp_path)
    assert asked["recipe"]["epochs"] * 2 >= asked["run"].max_steps > 0, "as many steps as are asked for, of two clips"
    assert trained.model.card.trained_on.startswith("2 videos") and all_of_them > 2


def test_only_a_folder_and_known_methods(videos, tmp_path):
    with pytest.raises(BadInput, match="own videos lie in a folder"):
        train_own("aim", Run("kinetics400", str(videos), "small"), tmp_path)
    with pytest.raises(BadInput, match=r"method 'aims': choose of zeroi2v"):
        train_own("aims", Run("folder", str(videos), "small"), tmp_path)


def test_numbers_for_each_class_and_the_worst():
    score = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    found = Validation(list("abcd"), score, torch.tensor([0, 0, 1, 0]), ("x", "y"))
    assert found.per_class() == [("x", 3, pytest.approx(100 / 3), 100.0), ("y", 1, 100.0, pytest.approx(100 / 3))]
    assert found.worst(2) == [3, 1]
    assert Validation(["a"], score[:1], torch.tensor([0]), ("x", "y")).per_class()[1] == ("y", 0, None, None)


# --- kept models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", PLACES)
def test_every_method_comes_back_as_it_was(method, tmp_path):
    torch.manual_seed(1)
    made = method_of(method)(Run("folder", "", "small", frames=8), CLASSES)
    with torch.no_grad():
        for parameter in saved.trained_tensors(made.model).values():
            if parameter.is_floating_point():
                parameter.add_(0.01 * torch.randn_like(parameter))
    model = VideoModel(made.model.eval(), card(method, 8).model_copy(update={"frames": made.frames}))
    frames = torch.randint(256, (1, made.frames, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = made.model(frames)
        again = load_model(save_model(tmp_path / "kept", model)).model(frames)
    torch.testing.assert_close(again, before, atol=0, rtol=0)


@pytest.fixture
def kept(tmp_path):
    model = ChangeProbe(shipped.small_clip().visual, 4, 2)
    return save_model(tmp_path / "kept", VideoModel(model, card()))


def test_a_model_is_found_by_either_name_or_none(kept):
    tensors, said = paths_of(kept)
    for name in (tensors, said, kept.with_suffix("")):
        assert load_model(name).card.classes == CLASSES


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda tensors, card: tensors.unlink(), "there is no file"),
        (lambda tensors, card: card.unlink(), "there is no file"),
        (lambda tensors, card: card.write_text("{"), "the whole"),
        (lambda tensors, card: tensors.write_bytes(tensors.read_bytes()[:-1] + b"x"), "not the file that"),
        (lambda tensors, card: card.write_text(card.read_text().replace("change_probe", "os.system")), "choose of"),
        (
            lambda tensors, card: card.write_text(card.read_text().replace('"right"', '"right", "up"')),
            r"head\.\w+ is \(",
        ),
        (lambda tensors, card: card.write_text(card.read_text().replace("change_probe", "aim")), "not part|missing"),
    ],
)
def test_what_is_no_model_is_one_line(kept, harm, said):
    harm(*paths_of(kept))
    with pytest.raises(BadInput, match=said) as caught:
        load_model(kept)
    assert "\n" not in str(caught.value)


def test_another_image_model_is_noticed(kept, monkeypatch):
    other = shipped.small_clip()
    with torch.no_grad():
        other.visual.proj.add_(1e-3)
    monkeypatch.setattr("minilib.study.real.small_clip", lambda: other)
    with pytest.raises(BadInput, match="another image-text model"):
        load_model(kept)


def test_a_model_half_written_is_no_model(kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, "save_file", full)
    with pytest.raises(BadInput, match="No space left"):
        save_model(kept, VideoModel(ChangeProbe(shipped.small_clip().visual, 4, 2), card()))
    with pytest.raises(BadInput, match="there is no file"):
        load_model(kept)


# --- predictions -----------------------------------------------------------------------------------------------------


def test_the_command_and_the_call_say_the_same(trained, videos, tmp_path, capsys):
    broken = tmp_path / 'not, a "video".mp4'
    broken.write_bytes(b"nothing")
    paths = [clip.path for clip in trained.validation.clips]
    assert predict.main([str(trained.path), *map(str, paths), str(broken)]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["video", "label", "probability", "left", "right", "error"]
    calls = list(load_model(trained.path).predict(paths))
    for row, call, score in zip(rows, calls, trained.validation.score, strict=False):
        assert row["video"] == call.video and row["label"] == call.label and not row["error"]
        assert float(row["probability"]) == pytest.approx(call.probability, abs=1e-4)
        np.testing.assert_allclose(call.probabilities, score, atol=1e-5)
    assert rows[-1]["video"] == str(broken) and rows[-1]["label"] == "" and "cannot be read" in rows[-1]["error"]


def test_a_folder_stands_for_its_videos(trained, videos, capsys):
    assert predict.main([str(trained.path), str(videos / "val")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize(("names", "said"), [(["no such.mp4"], "no such file"), (["{empty}"], "has no video")])
def test_names_that_are_nothing_are_said_at_once(trained, tmp_path, names, said, capsys):
    names = [name.replace("{empty}", str(tmp_path)) for name in names]
    assert predict.main([str(trained.path), *names]) == 2
    out, err = capsys.readouterr()
    assert said in err and not out and err.count("\n") == 1


def test_a_wrong_device_is_said_before_the_model_is_read(tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    assert predict.main(["no such model.json", str(tmp_path / "a.mp4"), "--device", "tpu"]) == 2
    assert capsys.readouterr() == ("", "--device tpu: must be cpu or cuda\n")


def test_pipes_that_close_and_terminals_that_take_ascii(trained, videos):
    words = [sys.executable, "-m", "minilib.predict", str(trained.path), str(videos)]
    command = f"{shlex.join(words)} | head -2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert done.stdout.splitlines()[1].isascii() and "own videos" in done.stdout


def test_left_is_told_from_right(tmp_path):
    """Shapes of one colour, enough to notice a probe that cannot learn; the notebook has the real measurement."""
    for split, count in (("train", 2), ("val", 2)):
        for k in range(count):
            for label in CLASSES:
                clip = np.full((8, 64, 64, 3), 30, dtype=np.uint8)
                for t in range(8):
                    x = 6 * t if label == "right" else 42 - 6 * t
                    clip[t, 10 + 20 * k : 24 + 20 * k, x : x + 14] = 220
                path = tmp_path / "v" / split / label / f"{k}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, clip)
    run = Run("folder", str(tmp_path / "v"), "small", frames=4, max_steps=15)
    assert train_own("change_probe", run, tmp_path).outcome["top1"] == 100.0

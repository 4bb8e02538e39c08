"""Temporal detection on files in the real layouts: what is read, what is trained, what is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from minilib.datasets.charades import charades, frame_labels
from minilib.errors import BadInput
from minilib.models.x3d import SMALLER, X3D
from minilib.models.x3d_weights import load_body
from minilib.papers.coarse_fine.method import detection
from minilib.papers.coarse_fine.real import RECIPE, prepared
from minilib.study import real_detection, real_training
from minilib.study.real_training import shortcoming
from minilib.training import TrainSettings, train
from minilib.video import VideoError, read_frames
from minilib.world.export_charades import export_charades
from minilib.world.export_multithumos import export_multithumos

ONE = TrainSettings(steps=1, batch=1, warmup=0)
STEPS = {"backbone": "small", "frames": 16, "stride": 2, "max_steps": 2, "batch": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    export_charades(folder / "charades", {"train": 3, "test": 2}, frames=48, size=32)
    export_multithumos(folder / "multithumos", {"train": 4, "test": 4}, frames=40, size=32)
    return folder


@pytest.mark.parametrize(("dataset", "network"), [("charades", "coarse_fine"), ("multithumos", "x3d")])
def test_a_run_trains_scores_and_is_not_made_twice(root, tmp_path, dataset, network):
    job = real_detection.Run(dataset, str(root), network=network, **STEPS)
    outcome = real_detection.run(job, tmp_path, prepared)
    assert outcome["steps"] == 2 and outcome["unreadable"] == 0
    assert 0 < outcome["map"] < 100 and 0 < outcome["localize_v1"] < 100
    again = real_detection.run(job, tmp_path, prepared)  # the finished checkpoint is there, with the norms' statistics
    assert {**again, "seconds": 0} == {**outcome, "seconds": 0}


def test_a_window_has_the_labels_of_its_moments(root):
    video = charades(root / "charades", "train").clips[0]
    classes = len(charades(root / "charades", "train").classes)
    windows = real_detection.Windows((video,), classes, frames=12, stride=3, size=32, seed=4)
    frames, labels = windows[0]
    assert frames.shape == (12, 32, 32, 3) and np.shape(labels) == (12, classes)
    every = torch.from_numpy(read_frames(video.path, np.arange)).int()
    near = [int((every - frame.int()).abs().sum((1, 2, 3)).argmin()) for frame in frames]
    assert near == list(range(near[0], near[0] + 36, 3))  # every third frame, in order
    due = frame_labels(video, np.array(near) / len(every) * video.length, classes)
    assert torch.equal(torch.tensor(labels).bool(), due) and due.any()
    assert any(not torch.equal(windows.at_epoch(e)[0][0], frames) for e in (1, 2, 3))


def test_a_whole_video_is_scored_in_windows_and_filling_does_not_count(root):
    video = charades(root / "charades", "test").clips[0]
    job = real_detection.Run("charades", str(root), network="x3d", **{**STEPS, "frames": 20})
    seen = []

    class Numbers(torch.nn.Module):
        def forward(self, clip):
            seen.append(clip.shape[1])
            return clip.float().mean((2, 3, 4))[..., None].expand(-1, -1, 3) / 255

    whole, labels = real_detection.Whole((video,), 200, 2, 32)[0]
    found = real_detection.scores(Numbers(), whole, job)
    assert seen == [20, 20] and found.shape == (24, 3) and len(labels) == 24  # 48 frames, every second
    every = torch.from_numpy(read_frames(video.path, lambda n: np.arange(0, n, 2))).float().mean((1, 2, 3)) / 255
    torch.testing.assert_close(found[:, 0], every.sigmoid())


def test_weights_of_other_classes_start_all_streams(root, tmp_path):
    torch.manual_seed(3)
    given = X3D(SMALLER, 7)
    save_file(given.state_dict(), tmp_path / "x3d.safetensors")
    job = real_detection.Run("charades", str(root), weights=str(tmp_path / "x3d.safetensors"), **STEPS)
    model = prepared(job, 5).model
    for net in (model.fine, model.coarse.backbone):
        assert net.classes == 5 and torch.equal(net.stem.conv1_s.weight, given.stem.conv1_s.weight)
    train(
        given,
        lambda step: (torch.zeros(1, 4, 32, 32, 3).byte(), torch.zeros(1, 4, 7)),
        ONE,
        7,
        "cpu",
        tmp_path / "run.pt",
        objective=detection,
    )  # what the training loop leaves is such a file, too
    load_body(model.fine, tmp_path / "run.pt")
    assert torch.equal(model.fine.stem.bn1.running_mean, given.stem.bn1.running_mean)
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="no X3D"):
        load_body(X3D(SMALLER, 5), tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dataset": "thumos"}, "choose of charades, multithumos"),
        ({"network": "x4d"}, "network 'x4d'"),
        ({"backbone": "huge"}, "backbone 'huge'"),
        ({"data_root": "/nowhere"}, "is missing"),
    ],
)
def test_what_is_wrong_is_said_before_work_starts(root, tmp_path, wrong, said):
    job = replace(real_detection.Run("charades", str(root), **STEPS), **wrong)
    with pytest.raises(BadInput, match=said):
        real_detection.run(job, tmp_path, prepared)


def test_a_broken_video_is_left_out(root):
    video = replace(charades(root / "charades", "test").clips[0], path=root / "missing.mp4")
    assert isinstance(real_detection.Windows((video,), 3, 4, 1, 32)[0], VideoError)


def test_the_recipe_is_the_papers_where_nothing_else_is_asked_for(root, tmp_path, monkeypatch):
    asked = []

    def stub(model, batches, plan, classes, device, file, every, objective, compiled):
        asked.append((plan, batches.batch, every, objective))
        assert batches.dataset.flip == RECIPE["flip"] and not compiled
        raise KeyboardInterrupt

    monkeypatch.setattr(real_training, "train", stub)
    for change in ({}, {"batch": 2, "max_steps": 1}):
        job = real_detection.Run("charades", str(root), "small", 16, network="x3d", stride=2, **change)
        with pytest.raises(KeyboardInterrupt):
            real_detection.run(job, tmp_path, prepared)
    (plan, batch, every, objective), (other, small, _, _) = asked
    assert (plan.lr, plan.weight_decay, plan.batch) == tuple(RECIPE[name] for name in ("lr", "weight_decay", "batch"))
    assert plan.steps == RECIPE["epochs"] * every and plan.warmup == RECIPE["warmup_epochs"] * every
    assert batch == 3 and objective is detection, "no more videos than there are"
    assert (other.batch, other.steps, other.warmup, small) == (2, 1, 0, 2)


def test_other_frames_than_the_recipes_are_no_measurement_of_the_paper(root, tmp_path):
    weights = tmp_path / "x3d.safetensors"
    save_file({"a": torch.zeros(2)}, weights)
    job = real_detection.Run("charades", str(root), weights=str(weights))
    recipe, videos = {"batch": job.batch, "flip": job.flip}, real_detection.data(job)
    for change, said in (
        ({"frames": 16}, "frames=16, the recipe has 64"),
        ({"stride": 2}, "stride=2, the recipe has 10"),
    ):
        assert shortcoming(replace(job, **change), recipe, videos) == said
    assert not shortcoming(job, recipe, videos)

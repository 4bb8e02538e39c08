"""Any method on videos of a disk: what of a recipe reaches the run, in which order clips come, and what is counted."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from minilib.datasets.annotations import Annotated, Clip
from minilib.datasets.folder import VideoDataset, read_views, video_loader
from minilib.errors import BadInput
from minilib.models.clip import VIT_B16, VIT_L14
from minilib.resume import History
from minilib.study import real
from minilib.study.real import EpochBatches, Prepared, Run
from minilib.training import CrossEntropy, TrainSettings
from minilib.video import dense_indices, uniform_indices, write_video

NAMES = [f"grey {k}" for k in range(6)]
RECIPE = {
    "lr": 0.02,
    "weight_decay": 0.1,
    "betas": [0.8, 0.9],
    "batch": 4,
    "epochs": 6,
    "warmup_epochs": 2,
    "sampling": "uniform",
    "stride": {2: 3},
    "views": {"clips": 1, "crops": 3},
    "rand_augment": [2, 5],
    "flip": 0.5,
    "erasing": 0.25,
    "smoothing": 0.1,
}


class Nearest(nn.Module):
    """Frames (b, t, h, w, 3) -> scores (b, 6): how near their grey is to each class's, or how far."""

    def __init__(self, sign=-1.0):
        super().__init__()
        self.sign = nn.Parameter(torch.tensor(sign))

    def forward(self, frames):
        grey = frames.float().mean((1, 2, 3, 4))
        return self.sign * (grey[:, None] / 40 - torch.arange(len(NAMES))).abs()


def method(settings, classes, sign=-1.0, frames=2, objective=None, **changes):
    return Prepared("toy", Nearest(sign), frames, RECIPE | changes, objective)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Six greys, two videos each to train on and one to test on, and a broken one in both."""
    root = tmp_path_factory.mktemp("videos")
    for k, name in enumerate(NAMES):
        for split, count in (("train", 2), ("val", 1)):
            for n in range(count):
                path = root / split / name / f"{n}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, np.full((8, 64, 64, 3), 40 * k, dtype=np.uint8))
    for split in ("train", "val"):
        (root / split / NAMES[0] / "9.mp4").write_bytes(b"not a video")
    return root


@pytest.fixture
def asked(monkeypatch):
    """What `run` asks of `train`, which is left out."""
    found = {}

    def train(model, batches, plan, classes, device, checkpoint, **rest):
        found.update(batches=batches, plan=plan, classes=classes, device=device, checkpoint=checkpoint, **rest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["first"] = batches(0)
            for step in range(1, batches.length):
                batches(step)
        return History([], 1.5)

    monkeypatch.setattr(real, "train", train)
    return found


def test_the_recipe_reaches_the_run(videos, asked, tmp_path):
    settings = Run("folder", str(videos), "small", seed=3, precision="bf16", max_bad_share=0.5)
    outcome = real.run(settings, tmp_path, method)
    assert asked["plan"] == TrainSettings(
        steps=24, batch=4, lr=0.02, weight_decay=0.1, betas=(0.8, 0.9), warmup=8, rand_augment=(2, 5), erasing=0.25,
        precision="bf16", seed=3,
    )  # fmt: skip
    assert asked["classes"] == 6 and asked["device"] == "cpu" and asked["every"] == asked["batches"].length == 4
    assert asked["checkpoint"] == tmp_path / "toy_folder_small_8.pt"
    assert asked["objective"] == CrossEntropy(0.1)
    assert outcome == {"top1": 100.0, "top5": 100.0, "steps": 24, "seconds": 1.5, "clips": 13, "unreadable": 2}
    dataset = asked["batches"].dataset
    assert (dataset.frames, dataset.size, dataset.train, dataset.seed) == (2, 64, True, 3)
    assert dataset.sampling is uniform_indices and dataset.flip == 0.0  # left may be a label of one's own
    assert asked["batches"].max_bad_share == 0.5 and asked["first"][0].shape[1:] == (2, 64, 64, 3)


def test_a_run_is_cut_short_as_asked(videos, asked, tmp_path):
    settings = Run("folder", str(videos), "small", max_steps=5, batch=2, max_clips=7, flip=0.25, max_bad_share=0.2)
    outcome = real.run(settings, tmp_path, partial(method, sign=1.0))
    assert asked["plan"].steps == outcome["steps"] == 5 and asked["plan"].warmup == 2 and asked["plan"].batch == 2
    assert outcome["clips"] == 7 and asked["batches"].length == 4 and asked["batches"].dataset.flip == 0.25
    assert {clip.label for clip in asked["batches"].dataset.clips} == set(range(6))
    assert outcome["top1"] == outcome["top5"] == 0.0  # of six the own class comes last
    whole = real.run(replace(settings, max_steps=0, batch=99, max_clips=0), tmp_path, method)
    assert whole["steps"] == 6 and asked["batches"].batch == 13 and asked["plan"].batch == 99


def test_mixed_labels_carry_the_smoothing_and_an_own_loss_is_kept(videos, asked, tmp_path):
    settings = Run("folder", str(videos), "small", max_clips=6)
    for knob in ("mixup", "cutmix"):
        real.run(settings, tmp_path, partial(method, **{knob: 0.3}))
        assert asked["plan"].smoothing == 0.1 and getattr(asked["plan"], knob) == 0.3 and asked["objective"] is None
    real.run(settings, tmp_path, partial(method, objective=CrossEntropy(0.7)))
    assert asked["objective"] == CrossEntropy(0.7) and asked["plan"].smoothing == 0.0


def test_dense_sampling_takes_the_stride_of_so_many_frames(videos, asked, tmp_path, monkeypatch):
    settings, seen = Run("folder", str(videos), "small", max_clips=6), []
    plain = real.read_views
    monkeypatch.setattr(real, "read_views", lambda *given: seen.append(given) or plain(*given))
    real.run(settings, tmp_path, partial(method, sampling="dense"))
    sampling = asked["batches"].dataset.sampling
    assert sampling.func is dense_indices and sampling.keywords == {"stride": 3}
    assert seen and all(given[1:] == (2, 64, sampling, 1, 3) for given in seen)
    with pytest.raises(BadInput, match="4 frames a clip: the recipe has a stride for 2"):
        real.run(settings, tmp_path, partial(method, sampling="dense", frames=4))


def test_a_published_recipe_mirrors_but_never_a_directed_label(tmp_path, asked, monkeypatch, videos):
    classes = ("pushing left to right", "pushing right to left")
    clips = [Clip(videos / "train" / NAMES[k] / "0.mp4", k) for k in range(2)]
    splits = {split: Annotated(clips, classes) for split in ("train", "val")}
    monkeypatch.setattr(real, "data", lambda settings: splits)
    real.run(Run("something_something_v2", "", "small"), tmp_path, method)
    dataset = asked["batches"].dataset
    assert dataset.flip == 0.5 and list(dataset.mirrored) == [1, 0]


def test_nothing_is_trained_where_no_test_video_can_be_read(videos, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(real, "first_of_each", lambda clips, count: [c for c in clips if c.path.name == "9.mp4"])
    with pytest.raises(BadInput, match="none of the 1 validation videos can be read; the first: .*9.mp4"):
        real.run(Run("folder", str(videos), "small"), tmp_path, method)
    assert not asked


def test_views_of_a_video_are_one_batch_each_and_broken_ones_are_left_out(videos):
    clips = [Clip(videos / "val" / NAMES[0] / "9.mp4", 0), Clip(videos / "val" / NAMES[3] / "0.mp4", 3)]
    settings = Run("folder", str(videos), "small")
    ((views, label),) = real.test_views(clips, settings, 2, uniform_indices, {"clips": 2, "crops": 3})
    expected = read_views(clips[1].path, 2, 64, uniform_indices, 2, 3)
    assert len(views) == 6 and label.tolist() == [3] and views[0].shape == (1, 2, 64, 64, 3)
    assert all(np.array_equal(view[0].numpy(), each) for view, each in zip(views, expected, strict=True))


def test_epochs_differ_and_go_on_at_any_step(videos):
    clips = [Clip(videos / "train" / name / "0.mp4", k) for k, name in enumerate(NAMES)] + [
        Clip(videos / "train" / NAMES[0] / "9.mp4", 0)
    ]
    dataset = VideoDataset(clips, 2, 64, train=True)

    def labels(batches, steps):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [batches(step)[1].tolist() for step in steps]

    through = EpochBatches(dataset, 3, max_bad_share=0.2)
    seen = labels(through, range(9))
    assert through.length == 3 and len(through.skipped) == 1 and "9.mp4" in through.skipped[0]
    for epoch in range(3):
        found = [label for batch in seen[3 * epoch : 3 * epoch + 3] for label in batch]
        assert set(found) == set(range(6))
    assert seen[:3] != seen[3:6]
    for start in (2, 3, 4):
        assert labels(EpochBatches(dataset, 3, max_bad_share=0.2), range(start, 5)) == seen[start:5]
    opened = []
    counted = EpochBatches(dataset, 3, max_bad_share=0.2)
    plain = counted._from
    counted._from = lambda epoch: opened.append(epoch) or plain(epoch)
    labels(counted, range(3))
    assert opened[0] == 0 and len(opened) <= 2  # a step does not read its epoch's videos anew
    with pytest.raises(BadInput, match="max_bad_share = 0.05"):
        labels(EpochBatches(dataset, 3), range(3))


def test_videos_are_read_by_as_many_workers_as_asked(videos, monkeypatch):
    seen = []
    monkeypatch.setattr(real, "video_loader", lambda dataset, batch, workers: seen.append((batch, workers)) or plain)
    plain = video_loader(VideoDataset([Clip(videos / "val" / NAMES[3] / "0.mp4", 3)], 2, 64), 1)
    assert EpochBatches(plain.dataset, 5, workers=3)(0)[1].tolist() == [3] and seen == [(5, 3)]


def test_datasets_are_found_where_the_manifest_says(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(real, "resolve", lambda name, root: tmp_path / name)
    monkeypatch.setattr(real, "kinetics", lambda *given: calls.append(given) or given[1])
    monkeypatch.setattr(real, "something", lambda *given: calls.append(given) or given[1])
    assert real.listed(Run("kinetics400", "x")) == {"train": "train", "val": "val"}
    assert calls == [(tmp_path / "kinetics400", "train"), (tmp_path / "kinetics400", "val")]
    calls.clear()
    root = tmp_path / "something_something_v2"
    assert real.listed(Run("something_something_v2", "x")) == {"train": "train", "val": "validation"}
    assert calls == [(root, "train", ".webm"), (root, "validation", ".webm")]
    (root / "videos").mkdir(parents=True)
    (root / "videos" / "1.mp4").touch()
    real.listed(Run("something_something_v2", "x"))
    assert calls[2:] == [(root, "train", ".mp4"), (root, "validation", ".mp4")]
    with pytest.raises(BadInput, match="dataset 'ucf': choose of kinetics400, something_something_v2, folder"):
        real.listed(Run("ucf", "x"))


def test_weights_come_from_a_file_the_manifest_or_chance(monkeypatch):
    monkeypatch.setattr(real, "resolve", lambda name, root: f"{root}/{name}")
    monkeypatch.setattr(real, "openai_clip", lambda architecture, path: (architecture, path))
    monkeypatch.setattr(real, "build", lambda architecture: architecture)
    monkeypatch.setattr(real, "small_clip", lambda: "small")
    run = Run("folder", "root")
    assert real.image_text(run) == (VIT_B16, "root/openai_clip_vit_b16")
    assert real.image_text(replace(run, backbone="vit_l14", weights="mine")) == (VIT_L14, "mine")
    assert real.image_text(replace(run, backbone="vit_l14", weights="random")) is VIT_L14
    assert real.image_text(replace(run, backbone="small")) == "small"
    with pytest.raises(BadInput, match="backbone 'r50': choose of small, vit_b16, vit_l14"):
        real.image_text(replace(run, backbone="r50"))


def test_missing_clips_are_told_by_split(videos, recwarn, monkeypatch):
    gone = {name: Annotated([Clip(videos / "gone.mp4", 0), *split.clips], split.classes)
            for name, split in real.listed(Run("folder", str(videos))).items()}  # fmt: skip
    monkeypatch.setattr(real, "listed", lambda settings: gone)
    found = real.data(Run("folder", str(videos)))
    assert [len(found[split]) for split in ("train", "val")] == [13, 7]
    assert {"folder, train", "folder, val"} <= {str(w.message).partition(":")[0] for w in recwarn}

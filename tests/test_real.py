"""Any method on videos of a disk: what of a recipe reaches the run, in which order clips come, and what is counted."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from minilib.datasets import folder
from minilib.datasets.annotations import Annotated, Clip
from minilib.datasets.folder import EpochBatches, VideoDataset, ViewDataset, read_views
from minilib.errors import BadInput
from minilib.models.clip import VIT_B16, VIT_L14
from minilib.resume import History
from minilib.study import real, real_training
from minilib.study.real import Prepared, Run
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

    monkeypatch.setattr(real_training, "train", train)
    return found


def test_the_recipe_reaches_the_run(videos, asked, tmp_path):
    settings = Run("folder", str(videos), "small", seed=3, precision="bf16", max_bad_share=0.5)
    outcome = real.run(settings, tmp_path, method)
    assert asked["plan"] == TrainSettings(
        steps=24, batch=4, lr=0.02, weight_decay=0.1, betas=(0.8, 0.9), warmup=8, precision="bf16", seed=3,
    )  # fmt: skip
    assert asked["classes"] == 6 and asked["device"] == "cpu" and asked["every"] == asked["batches"].length == 4
    assert asked["checkpoint"].parent == tmp_path and asked["checkpoint"].name.startswith("toy_folder_small_8.")
    assert not asked["compiled"] and asked["objective"] == CrossEntropy(0.1)
    assert outcome == {"top1": 100.0, "top5": 100.0, "steps": 24, "seconds": 1.5, "clips": 13, "unreadable": 2}
    dataset = asked["batches"].dataset
    assert (dataset.frames, dataset.size, dataset.train, dataset.seed) == (2, 64, True, 3)
    change = dataset.change.args[0]
    assert (change.rand_augment, change.erasing, change.flip) == ((2, 5), 0.25, 0.0)
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
    plain = folder.read_views
    monkeypatch.setattr(folder, "read_views", lambda *given: seen.append(given) or plain(*given))
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
    monkeypatch.setattr(real, "listed", lambda settings: splits)
    real.run(Run("something_something_v2", "", "small"), tmp_path, method)
    dataset = asked["batches"].dataset
    assert dataset.flip == 0.5 and list(dataset.mirrored) == [1, 0]


def test_nothing_is_trained_where_no_test_video_can_be_read(videos, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(real, "first_of_each", lambda clips, count: [c for c in clips if c.path.name == "9.mp4"])
    with pytest.raises(BadInput, match="none of the 1 validation videos can be read; the first: .*9.mp4"):
        real.run(Run("folder", str(videos), "small"), tmp_path, method)
    assert not asked


@pytest.mark.parametrize("workers", [0, 2])
def test_views_are_averaged_in_batches_and_broken_videos_are_named(videos, monkeypatch, workers):
    clips = [Clip(videos / "val" / NAMES[0] / "9.mp4", 0), *(Clip(videos / "val" / n / "0.mp4", 0) for n in NAMES)]
    views, seen = ViewDataset(clips, 2, 64, uniform_indices, 2, 3), []

    class Seen(Nearest):
        def forward(self, frames):
            seen.append(frames.shape)
            return super().forward(frames)

    monkeypatch.setattr(real, "TESTED", 4)
    score, places, failures = real.predictions(Seen(), views, workers=workers)
    assert places == [1, 2, 3, 4, 5, 6] and len(failures) == 1 and "9.mp4" in failures[0]
    assert score.argmax(1).tolist() == [0, 1, 2, 3, 4, 5]
    torch.testing.assert_close(score.sum(1), torch.ones(6))
    assert seen == [(3, 2, 64, 64, 3)] * 6 + [(3, 2, 64, 64, 3)] * 6  # two batches, six views each
    expected = read_views(clips[4].path, 2, 64, uniform_indices, 2, 3)
    assert np.array_equal(views[4][0].numpy(), expected) and views[4][1] == 4
    with pytest.raises(BadInput, match="none of the 1 test videos can be read; the first: .*9.mp4"):
        real.predictions(Nearest(), ViewDataset(clips[:1], 2, 64))


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
    counted._from = lambda epoch, place: opened.append((epoch, place)) or plain(epoch, place)
    labels(counted, range(3))
    assert opened[0] == (0, 0) and len(opened) <= 2  # a step does not read its epoch's videos anew
    with pytest.raises(BadInput, match="max_bad_share = 0.05"):
        labels(EpochBatches(dataset, 3), range(3))


def test_a_run_that_goes_on_does_not_decode_what_it_has_seen(videos, monkeypatch):
    read = []
    plain = folder.read_frames
    monkeypatch.setattr(folder, "read_frames", lambda path, pick: read.append(path) or plain(path, pick))
    EpochBatches(VideoDataset([Clip(videos / "val" / n / "0.mp4", 0) for n in NAMES], 2, 64, train=True), 2)(2)
    assert len(read) == 2


def test_what_is_done_to_a_clip_does_not_depend_on_its_neighbours(videos):
    clips = [Clip(videos / "train" / name / "0.mp4", k) for k, name in enumerate(NAMES)]
    change = real_training.change_of(RECIPE)
    data = VideoDataset(clips, 2, 64, train=True, change=change)
    state = torch.get_rng_state()
    alone = data[3][0]
    assert all(torch.equal(data[i][0], data[i][0]) for i in (3, 1)) and torch.equal(data[3][0], alone)
    assert torch.equal(torch.get_rng_state(), state)
    assert len({data.at_epoch(epoch)[3][0].numpy().tobytes() for epoch in range(6)}) > 1
    assert real_training.change_of(RECIPE | {"rand_augment": [], "erasing": 0.0}) is None
    assert torch.equal(VideoDataset(clips, 2, 64, change=change)[3][0], VideoDataset(clips, 2, 64)[3][0])


def test_videos_are_read_by_as_many_workers_as_asked(videos, monkeypatch):
    seen = []
    plain = folder.batched
    monkeypatch.setattr(folder, "batched", lambda data, places, n: seen.append((places, n)) or plain(data, places, 0))
    batches = EpochBatches(VideoDataset([Clip(videos / "val" / NAMES[3] / "0.mp4", 3)], 2, 64), 5, workers=3)
    assert batches(0)[1].tolist() == [3] and seen == [([[0]], 3)]


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


def test_weights_come_from_a_file_the_manifest_or_chance(tmp_path, monkeypatch):
    mine = tmp_path / "mine.pt"
    mine.touch()
    monkeypatch.setattr(real, "resolve", lambda name, root: f"{root}/{name}")
    monkeypatch.setattr(real, "openai_clip", lambda architecture, path: (architecture, path))
    monkeypatch.setattr(real, "build", lambda architecture: architecture)
    monkeypatch.setattr(real, "small_clip", lambda: "small")
    run = Run("folder", "root")
    assert real.image_text(run) == (VIT_B16, "root/openai_clip_vit_b16")
    assert real.image_text(replace(run, backbone="vit_l14", weights=str(mine))) == (VIT_L14, str(mine))
    assert real.image_text(replace(run, backbone="vit_l14", weights="random")) is VIT_L14
    assert real.image_text(replace(run, backbone="small")) == "small"
    with pytest.raises(BadInput, match="backbone 'r50': choose of small, vit_b16, vit_l14"):
        real.image_text(replace(run, backbone="r50"))


def test_missing_clips_are_told_by_split(videos, recwarn, monkeypatch):
    gone = {name: Annotated([Clip(videos / "gone.mp4", 0), *split.clips], split.classes)
            for name, split in real.listed(Run("folder", str(videos))).items()}  # fmt: skip
    monkeypatch.setattr(real, "listed", lambda settings: gone)
    found = real.data(Run("folder", str(videos)))
    assert found.listed == {"train": 14, "val": 8} and str(found) == "13 of 14 train, 7 of 8 val"
    assert [len(found.splits[split]) for split in ("train", "val")] == [13, 7]
    assert {"folder, train", "folder, val"} <= {str(w.message).partition(":")[0] for w in recwarn}

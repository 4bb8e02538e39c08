"""Localization on files in the real layouts: what is read at which size, what is trained, what is scored."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from minilib.claims import Measurements
from minilib.claims.rows import read_rows
from minilib.datasets.annotations import Annotated
from minilib.datasets.tracks import Tracks
from minilib.errors import BadInput
from minilib.models.slots import GaussianSlots
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary import real
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder, ChunkedDecoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.study import real_localization as study
from minilib.study.real_localization import Answer, Draws, Run, Scored, every_group, released_groups
from minilib.study.real_run import Videos
from minilib.study.real_training import described, shortcoming
from minilib.train import train_by
from minilib.video import VideoError
from minilib.world import SHAPES
from minilib.world.export_imagenet_vid import export_imagenet_vid
from minilib.world.export_youtube_vis import export_youtube_vis
from minilib.world.localization import localization_batch
from tests.test_open_vocabulary_localize import WORDS, localizer, video

QUICK = {"backbone": "small", "max_steps": 2, "draws": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    export_imagenet_vid(folder / "imagenet_vid", {"train": 3, "val": 2}, frames=17)
    export_youtube_vis(folder / "youtube_vis", 5, frames=17)
    return folder


@pytest.mark.parametrize("dataset", ["imagenet_vid", "youtube_vis"])
def test_a_run_trains_scores_and_is_not_made_twice(root, tmp_path, dataset):
    run, rows = Run(dataset, str(root), **QUICK), Measurements("object_centric", tmp_path, "paper")
    outcome = study.run(run, tmp_path, real.prepared, rows)
    assert outcome["steps"] == 2 and outcome["unreadable"] == 0
    for prefix in ("", "slots_"):
        assert sum(outcome[f"{prefix}{kind}"] for kind in ("so", "po", "go", "bg")) == pytest.approx(100)
        assert 0 <= outcome[f"{prefix}dec_rate"] <= outcome[f"{prefix}cor_loc"] <= 100
    again = study.run(run, tmp_path, real.prepared, rows)
    assert again["map50_released"] == pytest.approx(outcome["map50_released"], abs=1e-3)
    assert again["seconds"] == pytest.approx(outcome["seconds"], abs=1e-3)
    made = [row for path in tmp_path.rglob("*.jsonl") for row in read_rows(path)]
    names = {row.metric for row in made}
    assert {
        f"real/{dataset}/small/8/{name}" for name in ("cor_loc", "dec_rate", "map50_released", "map50_coco")
    } <= names
    assert all("max_steps=2" in row.barred for row in made)


def test_the_full_size_trains_at_224_pixels(tmp_path):
    """ViT-B/16, slots, patch-CLIP and text at their real sizes, random weights, two steps; two frames, to be quick."""
    export_imagenet_vid(tmp_path / "imagenet_vid", {"train": 1, "val": 1}, frames=3, size=224)
    values = {"method": "open_vocabulary", "dataset": "imagenet_vid", "data_root": str(tmp_path), "weights": "random"}
    values |= {"max_steps": 2, "draws": 1, "frames": 2, "device": "cpu", "out_dir": str(tmp_path / "out")}
    (outcome,) = train_by(values).values()
    assert outcome["steps"] == 2 and 0 <= outcome["map50_released"] <= 100


def test_the_slots_of_a_whole_window_train_at_full_size():
    torch.manual_seed(0)
    slots, features = real.new_slots(), torch.randn(1, 8, 14, 14, 768)
    tubes = slots(features)
    assert tubes.masks.shape == (1, 15, 8, 14, 14)
    (tubes.features - features).square().mean().backward()
    assert [name for name, p in slots.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_only_slots_train_and_the_loss_is_the_papers(root):
    made = real.prepared(Run("imagenet_vid", str(root), **QUICK), SHAPES)
    model = made.model.train()
    assert not model.encoder.training and not model.reader.training and model.slots.training
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"slots"}
    frames = localization_batch(0, "train", [0, 1]).frames[None]  # one video, two clips
    pixels = model.normalise(frames)
    torch.manual_seed(1)
    loss = made.objective(model, pixels, torch.zeros(1))
    loss.backward()
    assert [name for name, p in model.slots.named_parameters() if p.grad is None or not p.grad.any()] == []
    torch.manual_seed(1)
    features = model.encoder(pixels[0])
    torch.testing.assert_close(loss, (model.slots(features).features - features).square().mean())


def test_boxes_of_a_window_are_those_of_its_slots(root):
    model = real.prepared(Run("imagenet_vid", str(root), **QUICK), SHAPES).model.eval()
    frames = localization_batch(0, "val", [0]).frames[0, :, :, :80]
    answer = model.locate(frames)
    assert answer.slots.shape == answer.boxes.shape == (8, 8, 4) and answer.scores.shape == (8, len(SHAPES))
    torch.testing.assert_close(answer.scores.sum(-1), torch.ones(8))
    assert int(answer.slots[..., 2].max()) <= 80 and int(answer.slots[..., 3].max()) <= 96
    tokens = model.slots(model.features(model.normalise(frames[None])), torch.Generator().manual_seed(287)).assigned[0]
    for slot in range(8):
        there = (tokens == slot).flatten(1).any(1)
        assert torch.equal((answer.slots[:, slot, 2:] > answer.slots[:, slot, :2]).all(-1), there)
    kept = answer.boxes.any(-1).any(0)
    assert 1 <= kept.sum() < 8  # what is no thing of interest, or joined another, has no box


def test_a_step_of_two_frames_has_one_box_for_both():
    answer = real.OnVideos(localizer(tubelet=2), WORDS).locate(video(8))
    columns = [[x, 0, x + 8, 32] for x in (0, 8, 16, 24)]
    assert all(sorted(frame.tolist()) == columns for frame in answer.slots) and answer.slots.shape == (8, 4, 4)
    kept = [box for box in answer.boxes[5].tolist() if any(box)]
    assert sorted(kept) == [[0, 0, 16, 32], [24, 0, 32, 32]]  # red's two slots are one


def test_draws_are_of_one_video_at_its_own_size(root):
    videos = study.data(Run("imagenet_vid", str(root), **QUICK)).splits["train"].clips
    draws = Draws(videos, 3, 8, 32, 8, seed=4)
    clips, _ = draws[1]
    assert clips.shape == (3, 8, 32, 32, 3) and clips.dtype == torch.uint8
    assert torch.equal(clips, draws[1][0]) and not torch.equal(clips, draws.at_epoch(1)[1][0])
    whole = study.read_fitted(videos[1], range(17), 32, 8).int()
    steps = set()
    for clip in clips:
        at = [int((whole - frame.int()).abs().flatten(1).sum(1).argmin()) for frame in clip]
        inner = [b - a for a, b in pairwise(at) if b < 16]
        assert len(set(inner)) <= 1 and at == sorted(at)
        steps |= set(inner)
    assert steps <= {1, 2, 4, 8}
    mirrored, _ = replace(draws, flip=1.0)[1]
    assert torch.equal(mirrored, clips.flip(3))

    class Wide:
        frames, name = (), "wide"

        def __len__(self):
            return 9

        def read(self, at):
            return np.zeros((len(at), 60, 100, 3), np.uint8)

    assert Draws((Wide(),), 2, 8, 48, 16)[0][0].shape == (2, 8, 48, 80, 3)
    assert Draws((Wide(),), 2, 8, 48, 16).blank()[0].shape == (2, 8, 48, 48, 3)


def test_a_picture_that_is_gone_leaves_its_video_out(root, tmp_path):
    copy = export_imagenet_vid(tmp_path / "imagenet_vid", {"train": 1, "val": 2}, frames=9)
    run = Run("imagenet_vid", str(tmp_path), **QUICK)
    videos = study.data(run).splits
    (copy / "Data/VID/val/ILSVRC2015_val_00000001/000004.JPEG").write_bytes(b"no picture")
    video = videos["val"].clips[1]
    with pytest.raises(VideoError, match=r"000004\.JPEG: cannot be read"):
        study.read_fitted(video, range(8), 96, 8)
    assert isinstance(Draws((video,), 4, 8, 96, 8)[0], VideoError)
    videos["train"].clips[0].frames[0].unlink()
    with pytest.raises(BadInput, match=r"000000\.JPEG is missing"):
        study.data(run)


def test_groups_of_frames_as_released_and_all():
    assert list(released_groups(24, 8)) == [0, 8] and list(every_group(24, 8)) == [0, 8, 16]
    assert list(released_groups(25, 8)) == [0, 8, 16] and list(every_group(23, 8)) == [0, 8]
    assert list(released_groups(8, 8)) == [] and list(every_group(8, 8)) == [0] and list(every_group(7, 8)) == []


def test_an_answer_is_scored_at_the_size_that_the_model_sees(root):
    """A model that says the truth scores all; one that says it in the file's pixels does not."""
    run = Run("imagenet_vid", str(root), backbone="vit_b16")
    video = study.data(run).splits["val"].clips[0]
    tracks = video.tracks()
    objects = len(tracks.labels)

    def told(scale):
        starts = iter((0, 8))

        def locate(frames):
            assert frames.shape == (8, 224, 224, 3)
            at = next(starts)
            boxes = tracks.boxes[at : at + 8] * scale
            return Answer(boxes, boxes, torch.nn.functional.one_hot(tracks.labels, len(SHAPES)).float())

        return study.scores(list(study.windows(SimpleNamespace(locate=locate), video, run)))

    right = told(224 / 96)
    assert right["cor_loc"] == right["dec_rate"] == right["map50_released"] == right["so"] == 100 and objects
    assert told(1.0)["cor_loc"] < 50


def test_videos_with_more_and_fewer_objects_are_scored_together():
    def window(boxes, labels, found):
        boxes, found = (torch.tensor(each, dtype=torch.float)[None] for each in (boxes, found))
        names = torch.tensor(labels)[None]
        return Scored(Answer(found, found, torch.eye(2)[:1]), boxes, torch.ones_like(names, dtype=torch.bool), names)

    one = window([[0, 0, 10, 10]], [0], [[0, 0, 10, 10]])
    two = window([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 1], [[50, 50, 60, 60]])
    found = study.scores([one, two])
    assert found["cor_loc"] == 50 and found["dec_rate"] == pytest.approx(100 / 3)
    assert found["dec_rate_released"] == 50 and found["so"] == found["bg"] == 50
    with pytest.raises(BadInput, match="no image has an object"):
        study.scores([replace(one, there=torch.zeros(1, 1, dtype=torch.bool))])


def test_short_videos_are_left_out_and_counted():
    class Short:
        def __init__(self, name, count):
            self.name, self.count = name, count

        def __len__(self):
            return self.count

    videos = Annotated((Short("a", 8), Short("b", 7), Short("c", 3)), ("x",))
    with pytest.warns(UserWarning, match="2 of 3 videos have fewer than 8 frames, the first is b with 7"):
        assert [video.name for video in study.long_enough(videos, 8, "here").clips] == ["a"]
    with pytest.raises(BadInput, match="here: 3 of 3 videos have fewer than 9 frames"):
        study.long_enough(videos, 9, "here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(study.long_enough(videos, 3, "here")) == 3


def test_tracks_are_cut_and_resized():
    tracks = Tracks(
        (10, 20), torch.tensor([[[2.0, 1, 10, 5]], [[0, 0, 20, 10]]]), torch.ones(2, 1).bool(), torch.zeros(1)
    )
    assert tracks.at([1]).resized((5, 40)).boxes.tolist() == [[[0, 0, 40, 5]]]
    assert tracks.resized((20, 20)).boxes[0, 0].tolist() == [2, 2, 10, 10]


@pytest.mark.parametrize("with_slots", [True, False])
def test_files_of_encoders_start_a_training(tmp_path, with_slots):
    torch.manual_seed(0)
    encoder = VideoEncoder(192, 1, 3, 16)
    slots = VideoSlots(GaussianSlots(15, 12), BroadcastDecoder(192, 12, 8, (3, 3), 16), 192)
    state = {f"model.{k}": v for k, v in encoder.state_dict().items()}
    if with_slots:
        from tests.test_open_vocabulary_released import their_state

        for part in (encoder, slots):
            for parameter in part.parameters():
                nn.init.normal_(parameter)
        state = their_state(encoder, slots)
    torch.save(state, tmp_path / "file.pth")
    read, found = real.from_file(tmp_path / "file.pth")
    torch.testing.assert_close(read.state_dict(), encoder.state_dict())
    assert isinstance(found.decoder, ChunkedDecoder) and found.attention.initial.slots == 15
    assert with_slots == torch.equal(found.attention.gru.weight_hh[:1, :1], slots.attention.gru.weight_hh[:1, :1])
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="no layout of VideoMAE"):
        real.from_file(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dataset": "kinetics"}, "choose of imagenet_vid, youtube_vis"),
        ({"backbone": "huge"}, "choose of vit_b16, small"),
        ({"batch": 4}, "set draws instead"),
        ({"draws": 0}, "draws=0"),
        ({"data_root": "/nowhere"}, "is missing"),
        ({"backbone": "vit_b16"}, "the paper's are not published"),
        ({"backbone": "vit_b16", "weights": "random", "prompt": "a"}, "choose of photo, photo_of_a, synonyms"),
        ({"frames": 18}, "fewer than 18 frames"),
    ],
)
def test_what_is_wrong_is_said_before_work_starts(root, tmp_path, wrong, said):
    with pytest.raises(BadInput, match=said) as caught:
        study.run(Run(**{"dataset": "imagenet_vid", "data_root": str(root), **QUICK, **wrong}), tmp_path, real.prepared)
    assert "\n" not in str(caught.value)


def test_a_run_is_known_by_the_content_of_both_of_its_files(root, tmp_path):
    files = {"weights": tmp_path / "encoder.pth", "patch_clip": tmp_path / "block.pth"}
    for path in files.values():
        path.write_bytes(b"one")
    run = Run("imagenet_vid", str(root), "vit_b16", **{name: str(path) for name, path in files.items()})
    prepared, videos = SimpleNamespace(name="x", frames=8, recipe=real.RECIPE), SimpleNamespace(key="")

    def known() -> str:
        return str(described(run, prepared, videos))

    before = known()
    assert known() == before and "encoder.pth (sha256" in run.started_from and "block.pth (sha256" in run.started_from
    for path in files.values():
        path.write_bytes(b"another")
        assert known() != before, f"a new {path.name} under the old name is another run"
        before = known()
    with pytest.raises(BadInput, match="patch_clip /nowhere: no such file"):
        replace(run, patch_clip="/nowhere")
    videos = Videos({"train": [0], "val": [0]}, {"train": 1, "val": 1}, "")
    assert not shortcoming(run, real.RECIPE, videos)
    assert shortcoming(replace(run, patch_clip="random"), real.RECIPE, videos) == "random weights"
    assert shortcoming(replace(run, draws=1), real.RECIPE, videos) == "draws=1, the recipe has 10"
    assert shortcoming(replace(run, prompt="synonyms"), real.RECIPE, videos) == "prompt=synonyms, the recipe has photo"


def test_weights_without_patch_clip_are_refused(root, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "encoder.pth")
    run = Run("imagenet_vid", str(root), "vit_b16", weights=str(tmp_path / "encoder.pth"))
    with pytest.raises(BadInput, match="patch_clip: the paper's is not published"):
        real.prepared(run, SHAPES)
    with pytest.raises(BadInput, match="openai_clip_vit_b16"):
        real.prepared(replace(run, patch_clip="random"), SHAPES)

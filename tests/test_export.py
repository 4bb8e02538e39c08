"""The small world, written out and read back by the readers of real datasets: same labels, same frames."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minilib.datasets import UNLABELLED, EpochBatches, VideoDataset, kinetics, kinetics_folder, something
from minilib.errors import BadInput
from minilib.video import read_frames, video_length
from minilib.world import MOTIONS, clip_scenes, export, labels, render
from minilib.world.export import export_kinetics, export_something
from minilib.world.labels import APPEARANCES

COUNTS = {"train": 10, "val": 5}
FRAMES = 6


def error(path, scenes, size):
    truth = render(scenes, np.linspace(0, 1, FRAMES), size=size)[0].numpy()
    seen = read_frames(path, range(FRAMES))
    assert seen.shape == truth.shape
    return np.abs(seen.astype(int) - truth).mean()


@pytest.mark.parametrize("size", [64, 96])
def test_kinetics_comes_back(tmp_path, size):
    root = export_kinetics(tmp_path / "k", COUNTS, seed=3, frames=FRAMES, size=size)
    for split, count in COUNTS.items():
        read, scenes = kinetics(root, split), clip_scenes(3, split, np.arange(count))
        assert read.classes == APPEARANCES
        assert [clip.label for clip in read.clips] == labels(scenes, [0.0]).appearance.tolist()
        assert [clip.path.parent.name for clip in read.clips] == [APPEARANCES[clip.label] for clip in read.clips]
        assert max(error(clip.path, scenes[i], size) for i, clip in enumerate(read.clips)) < 6
        assert all(video_length(clip.path) == FRAMES for clip in read.clips)


@pytest.mark.parametrize("size", [64, 96])
def test_something_comes_back(tmp_path, size):
    counts = {"train": 40, "validation": 3, "test": 2} if size == 64 else {"validation": 2}
    root = export_something(tmp_path / "s", counts, seed=1, frames=FRAMES, size=size)
    for split, count in counts.items():
        read = something(root, split, suffix=".mp4")
        scenes = clip_scenes(1, "val" if split == "validation" else split, np.arange(count))
        motion = labels(scenes, [0.0]).motion.tolist()
        assert [clip.label for clip in read.clips] == ([UNLABELLED] * count if split == "test" else motion)
        assert [name.split(" ", 1)[1] for name in read.classes[:10]] == list(MOTIONS[:10])
        assert max(error(clip.path, scenes[i], size) for i, clip in enumerate(read.clips)) < 6
        if split != "test":
            assert all(clip.text.endswith(MOTIONS[clip.label]) for clip in read.clips)


def test_placeholders_fill_the_gaps(tmp_path):
    root = export_something(tmp_path, {"train": 40}, frames=1)
    for record in json.loads((root / "labels" / "train.json").read_text()):
        sentence = record["template"]
        for thing in record["placeholders"]:
            sentence = (
                sentence.replace("[Something]", thing, 1)
                if "[S" in sentence
                else sentence.replace("[something]", thing)
            )
        assert sentence == record["label"]


def test_an_interrupted_export_goes_on(tmp_path, monkeypatch):
    written = []

    def failing(path, *rest):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path)
        return whole(path, *rest)

    whole = export.write_video
    monkeypatch.setattr(export, "write_video", failing)
    with pytest.raises(KeyboardInterrupt):
        export_kinetics(tmp_path, COUNTS, frames=FRAMES)
    monkeypatch.setattr(export, "write_video", lambda path, *rest: (written.append(path), whole(path, *rest)))
    export_kinetics(tmp_path, COUNTS, frames=FRAMES)
    assert len(written) == len(set(written)) == sum(COUNTS.values())
    export_kinetics(tmp_path, {"train": 12}, frames=FRAMES)
    assert len(written) == sum(COUNTS.values()) + 2 and len(kinetics(tmp_path, "train")) == 12


def test_two_worlds_do_not_mix(tmp_path):
    export_kinetics(tmp_path, {"train": 1}, frames=1)
    for call in (
        lambda: export_kinetics(tmp_path, {"train": 1}, seed=1, frames=1),
        lambda: export_something(tmp_path, {"train": 1}, frames=1),
    ):
        with pytest.raises(BadInput, match="choose another folder"):
            call()


@pytest.mark.parametrize(("counts", "frames"), [({"train": 0}, 4), ({"valid": 1}, 4), ({"train": 1}, 0)])
def test_nonsense_is_refused(tmp_path, counts, frames):
    with pytest.raises(BadInput, match="export"):
        export_kinetics(tmp_path / "new", counts, frames=frames)
    assert not (tmp_path / "new").exists()


def test_an_export_is_also_a_plain_folder_and_trains(tmp_path):
    root = export_kinetics(tmp_path, {"train": 40, "val": 1}, frames=FRAMES)
    own = kinetics_folder(tmp_path)
    assert set(own["train"].classes) == {APPEARANCES[clip.label] for clip in kinetics(root, "train").clips}
    batches = EpochBatches(VideoDataset(own["train"].clips, frames=4, size=64, train=True), 16)
    shapes = [tuple(tuple(each.shape) for each in batches(step)) for step in range(3)]
    assert shapes == [((16, 4, 64, 64, 3), (16,))] * 2 + [((8, 4, 64, 64, 3), (8,))]
    assert batches.skipped == []

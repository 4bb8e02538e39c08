"""The world's long clips in the layouts of Charades, MultiTHUMOS and NExT-QA: written, read back, broken, taken up."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from minilib.datasets import charades, multithumos, next_qa, present
from minilib.datasets.charades import clip_labels, frame_labels, localisation_times
from minilib.datasets.multithumos import frame_labels as thumos_labels
from minilib.errors import BadInput
from minilib.metrics.detection import localize_v1
from minilib.video import VideoError, read_frames, uniform_indices, video_length
from minilib.world import (
    LONG_ACTIONS,
    LONG_MOTIONS,
    export_long,
    export_multithumos,
    export_next_qa,
    long_labels,
    long_scenes,
    question_clips,
    render,
)
from minilib.world.export import FPS
from minilib.world.export_charades import export_charades

FRAMES, SEED = 48, 3
LENGTH = FRAMES / FPS  # seconds
TIMES = np.arange(FRAMES) / FRAMES
COUNTS = {"train": 4, "test": 2}
WRITE = {
    "charades": export_charades,
    "multithumos": export_multithumos.export_multithumos,
    "next_qa": export_next_qa.export_next_qa,
}
READ = {"charades": charades, "multithumos": multithumos, "next_qa": next_qa}


def videos(read) -> list:
    return list(getattr(read, "clips", read))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """A folder for each layout; tests that break one take a copy."""
    root = tmp_path_factory.mktemp("worlds")
    return {name: write(root / name, COUNTS, seed=SEED, frames=FRAMES) for name, write in WRITE.items()}


def contents(root) -> dict:
    """Every file's bytes, of a video only that it is there: its encoder need not give the same bytes twice."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root): path.suffix == ".mp4" or path.read_bytes() for path in files}


def away_from_boundaries(scenes, frames=FRAMES) -> torch.Tensor:
    """Frames (b, t) at which no action starts or ends within the millisecond to which times are written."""
    event = scenes.motion >= 0
    edges = np.concatenate([np.where(event, times, np.inf) for times in (scenes.start, scenes.end)], -1)
    distance = np.abs(edges.reshape(len(scenes), -1, 1) * frames - np.arange(frames)) / FPS  # seconds
    return torch.from_numpy((distance > 1e-3).all(1))


def looks_like(path, scenes) -> bool:
    """The frames of the file are those of `scenes`, and not of half a frame earlier or later."""
    seen = read_frames(path, range(FRAMES)).astype(int)
    moved = [render(scenes, TIMES + shift / FRAMES)[0].numpy() for shift in (-0.5, 0, 0.5)]
    error = [np.abs(seen - truth).mean() for truth in moved]
    return video_length(path) == FRAMES and error[1] < 5 and error[1] == min(error)


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", COUNTS)
def test_charades_comes_back(worlds, split):
    read, scenes = charades(worlds["charades"], split), long_scenes(SEED, split, np.arange(COUNTS[split]))
    assert read.classes == LONG_ACTIONS and len(read) == COUNTS[split]
    truth, clear = long_labels(scenes, TIMES, "action"), away_from_boundaries(scenes)
    assert clear.float().mean() > 0.97 and truth.frames.any(-1).float().mean() > 0.3
    for row, video in enumerate(read.clips):
        assert video.length == LENGTH and looks_like(video.path, scenes[row])
        found = frame_labels(video, np.arange(FRAMES) / FPS, len(LONG_ACTIONS))
        assert torch.equal(found[clear[row]], truth.frames[row][clear[row]])
        assert torch.equal(clip_labels(video, len(LONG_ACTIONS)), truth.clip[row])
        assert len(video.actions) == (scenes.motion[row] >= 0).sum()
        told = [sentence.split(" ", 3)[2:] for sentence in video.text.removesuffix(".").split(". ")]
        done = {f"{shape} {motion}" for shape, motions in told for motion in motions.split(", ")}
        assert done == {LONG_ACTIONS[action.label] for action in video.actions}
        chosen = frame_labels(video, localisation_times(video), len(LONG_ACTIONS)).float()
        assert localize_v1([chosen], [chosen]).mean == 100


@pytest.mark.parametrize("split", COUNTS)
def test_multithumos_comes_back(worlds, split):
    read, scenes = multithumos(worlds["multithumos"], split), long_scenes(SEED, split, np.arange(COUNTS[split]))
    assert [name.lower() for name in read.classes] == [name.replace(" ", "") for name in LONG_MOTIONS]
    assert len(read) == COUNTS[split]
    truth, clear = long_labels(scenes, TIMES, "motion"), away_from_boundaries(scenes)
    for row, video in enumerate(read.clips):
        assert looks_like(video.path, scenes[row])
        found = thumos_labels(video, FRAMES, LENGTH, len(LONG_MOTIONS)).bool()
        assert torch.equal(found[clear[row]], truth.frames[row][clear[row]])
        done = torch.zeros(len(LONG_MOTIONS), dtype=torch.bool)
        done[[action.label for action in video.actions]] = True
        assert torch.equal(done, truth.clip[row]) and len(video.actions) == (scenes.motion[row] >= 0).sum()


@pytest.mark.parametrize("split", COUNTS)
def test_next_qa_comes_back(worlds, split):
    read = next_qa(worlds["next_qa"], split)
    scenes, questions = question_clips(SEED, split, np.arange(COUNTS[split]))
    for row, (found, asked) in enumerate(zip(read, questions, strict=True)):
        assert (found.text, found.answers, found.right) == (asked.text, asked.answers, asked.right)
        assert found.kind == "DO" and looks_like(found.path, scenes[row])
    assert len({found.path for found in read}) == COUNTS[split]
    assert [Path(each.path).is_file() for each in read] == [True] * COUNTS[split]


def test_the_map_of_videos_leads_into_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(export_next_qa, "A_FOLDER", 2)
    read = next_qa(WRITE["next_qa"](tmp_path, {"val": 3}, frames=1), "val")
    assert [video.path.parent.name for video in read] == ["0000", "0000", "0001"]
    assert all(video_length(video.path) == 1 for video in read)


@pytest.mark.parametrize("name", WRITE)
def test_splits_may_be_written_one_after_the_other(worlds, name, tmp_path):
    for counts in ({"train": COUNTS["train"]}, {"test": COUNTS["test"]}):
        WRITE[name](tmp_path, counts, seed=SEED, frames=FRAMES)
    assert contents(tmp_path) == contents(worlds[name])


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("frames", [1, 3])
def test_videos_of_a_few_frames(name, frames, tmp_path):
    """They give their own frames several times, and the labels of these few moments."""
    root = WRITE[name](tmp_path, {"train": 6}, seed=SEED, frames=frames, size=96)
    scenes = question_clips(SEED, "train", range(6))[0] if name == "next_qa" else long_scenes(SEED, "train", range(6))
    truth = render(scenes, np.arange(frames) / frames, 96).numpy()[:, uniform_indices(frames, 8)]
    read = videos(READ[name](root, "train"))
    for video, expected in zip(read, truth, strict=True):
        seen = read_frames(video.path, lambda length: uniform_indices(length, 8))
        assert np.abs(seen.astype(int) - expected).mean() < 6
    if name == "next_qa":
        return
    task, classes = ("action", len(LONG_ACTIONS)) if name == "charades" else ("motion", len(LONG_MOTIONS))
    expected, clear = long_labels(scenes, np.arange(frames) / frames, task).frames, away_from_boundaries(scenes, frames)
    assert clear.float().mean() > 0.8 and (frames == 1 or expected.any())
    for row, video in enumerate(read):
        if name == "charades":
            found = frame_labels(video, np.arange(frames) / FPS, classes)
            assert frame_labels(video, localisation_times(video), classes).shape == (25, classes)
        else:
            found = thumos_labels(video, frames, frames / FPS, classes).bool()
        assert torch.equal(found[clear[row]], expected[row][clear[row]])


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITE)
def test_an_interrupted_export_goes_on(worlds, name, tmp_path, monkeypatch):
    written, whole = [], export_long.write_video

    def record(path, *rest, limit=None):
        if len(written) == limit:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, *rest)

    monkeypatch.setattr(export_long, "write_video", partial(record, limit=3))
    export = partial(WRITE[name], tmp_path, COUNTS, seed=SEED, frames=FRAMES)
    with pytest.raises(KeyboardInterrupt):
        export()
    with pytest.raises(BadInput, match="no such file"):
        READ[name](tmp_path, "train")
    monkeypatch.setattr(export_long, "write_video", record)
    export()
    assert len(written) == len(set(written)) == sum(COUNTS.values())
    assert contents(tmp_path) == contents(worlds[name])
    export()
    assert len(written) == sum(COUNTS.values()), "nothing is written twice"


def test_lists_of_two_exports_are_never_mixed(worlds, tmp_path, monkeypatch):
    root = shutil.copytree(worlds["multithumos"], tmp_path / "copy")
    written, whole = [], export_multithumos.write_whole

    def failing(path, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(whole(path, content))

    monkeypatch.setattr(export_multithumos, "write_whole", failing)
    with pytest.raises(KeyboardInterrupt):
        WRITE["multithumos"](root, {"train": 5}, seed=SEED, frames=FRAMES)
    with pytest.raises(BadInput, match=r"class_list.txt: no such file"):
        multithumos(root, "train")
    monkeypatch.undo()
    WRITE["multithumos"](root, {"train": 5}, seed=SEED, frames=FRAMES)
    assert len(multithumos(root, "train")) == 5 and len(multithumos(root, "test")) == COUNTS["test"]


# --- what is wrong is named ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITE)
def test_nonsense_is_refused_before_anything_is_made(name, tmp_path):
    for asked, reason in (
        (dict(counts={"dev": 1}), "1 clips of split 'dev'; splits are train, "),
        (dict(counts={"train": 0}), "0 clips of split 'train'"),
        (dict(counts={"train": 1}, frames=0), "0 frames a clip"),
        (dict(counts={"train": 1}, size=63), "63 x 63 pixels; H.264 needs an even number"),
        (dict(counts={"train": 1}, size=0), "0 x 0 pixels"),
    ):
        with pytest.raises(BadInput, match=reason) as caught:
            WRITE[name](tmp_path / "new", **asked)
        assert not (tmp_path / "new").exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", WRITE)
def test_other_peoples_folders_are_left_alone(worlds, name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file': cannot write there"):
        WRITE[name](tmp_path / "file", COUNTS)
    with pytest.raises(BadInput, match="the folder is not empty and holds no world; choose another"):
        WRITE[name](tmp_path, COUNTS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for other in (dict(seed=SEED + 1, frames=FRAMES), dict(seed=SEED, frames=FRAMES + 1)):
        with pytest.raises(BadInput, match="holds a world made with .*; choose another folder"):
            WRITE[name](worlds[name], COUNTS, **other)
    for another in set(WRITE) - {name}:
        with pytest.raises(BadInput, match="holds a world made with"):
            WRITE[another](worlds[name], COUNTS, seed=SEED, frames=FRAMES)


def test_multithumos_needs_every_class_once(tmp_path):
    with pytest.raises(BadInput, match="happens in none of the 1 videos; ask for more of them"):
        WRITE["multithumos"](tmp_path, {"train": 1}, seed=SEED)
    assert not list(tmp_path.rglob("*.mp4")) and not list(tmp_path.rglob("*.txt"))


@pytest.mark.parametrize("name", WRITE)
def test_a_missing_video_is_named(worlds, name, tmp_path):
    """MultiTHUMOS' reader looks for its files; the others leave it to who reads frames, or to `present`."""
    root, before = shutil.copytree(worlds[name], tmp_path / "copy"), READ[name](worlds[name], "train")
    gone = sorted(root.rglob("*.mp4"))[-1] if name == "multithumos" else videos(READ[name](root, "train"))[1].path
    gone.unlink()
    if name == "multithumos":
        with pytest.raises(BadInput, match="is missing; get it, or read with only_present=True") as caught:
            multithumos(root, "train")
        assert len(multithumos(root, "train", only_present=True)) == len(before) - 1
    else:
        read = READ[name](root, "train")
        with pytest.raises(VideoError, match="no such file") as caught:
            [read_frames(video.path, [0]) for video in videos(read)]
        assert [Path(each.path).is_file() for each in videos(read)].count(True) == len(before) - 1
    assert str(gone) in str(caught.value) and "\n" not in str(caught.value)
    if name == "charades":
        assert present(read).clips == (read.clips[0], *read.clips[2:])


def at_line(path, number, change) -> None:
    lines = path.read_text().split("\n")
    lines[number - 1] = change(lines[number - 1])
    path.write_text("\n".join(lines))


def answer(text):
    def change(line):
        cells = line.strip().split(",")
        cells[5] = text
        return ",".join(cells)

    return change


def actions(text):
    """The last but one of the columns."""
    return lambda line: ",".join([*line.strip().split(",")[:-2], text, line.strip().split(",")[-1]])


CHARADES, TIMES_OF, QUESTIONS = "Charades/Charades_v1_train.csv", "annotations/MovingRight.txt", "nextqa/train.csv"
SECOND = r"line 3 \(id TR001\): "
SPOILT = {
    "no actions": ("charades", CHARADES, actions(""), SECOND + "no actions"),
    "only separators": ("charades", CHARADES, actions(" ; ;"), SECOND + "no actions"),
    "half a row": ("charades", CHARADES, lambda line: line[:20], "line 3 .*not the 11 columns"),
    "no times": ("multithumos", TIMES_OF, lambda line: line.split()[0], "MovingRight.txt, line 3: .* should be"),
    "nothing answered": ("next_qa", QUESTIONS, answer(""), "line 3: answer must be a whole number"),
    "a sixth answer": ("next_qa", QUESTIONS, answer("5"), "line 3: the right answer is 5, but there are 0 to 4"),
    "an answer in words": ("next_qa", QUESTIONS, answer("growing"), "line 3: answer must be a whole number"),
    "an answer lost": ("next_qa", QUESTIONS, lambda line: line.rsplit(",", 1)[0], "line 3: 12 columns, .* has 13"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_line_is_named(worlds, case, tmp_path):
    name, file, change, reason = SPOILT[case]
    root = shutil.copytree(worlds[name], tmp_path / "copy")
    READ[name](root, "train")
    at_line(root / file, 3, change)
    with pytest.raises(BadInput, match=reason) as caught:
        READ[name](root, "train")
    assert str(root / file) in str(caught.value) and "\n" not in str(caught.value)


def test_empty_files_and_maps_are_named(worlds, tmp_path):
    thumos = shutil.copytree(worlds["multithumos"], tmp_path / "thumos")
    (thumos / "annotations" / "Growing.txt").write_text(" \n\n")
    with pytest.raises(BadInput, match=r"Growing.txt: the file is empty"):
        multithumos(thumos, "train")
    asked = shutil.copytree(worlds["next_qa"], tmp_path / "asked")
    known = asked / "nextqa" / "map_vid_vidorID.json"
    known.write_text(json.dumps(dict(list(json.loads(known.read_text()).items())[1:])))
    with pytest.raises(BadInput, match=r"line 2: the map of videos does not have '1000000000'"):
        next_qa(asked, "train")


def test_actions_after_the_end_of_a_shorter_video_are_named(worlds):
    video = multithumos(worlds["multithumos"], "train").clips[0]
    with pytest.raises(BadInput, match=r"an action from .* begins after its 1.0 s") as caught:
        thumos_labels(video, 8, 1.0, len(LONG_MOTIONS))
    assert str(video.path) in str(caught.value)

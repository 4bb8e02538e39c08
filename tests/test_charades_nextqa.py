"""Charades, NExT-QA and the few-shot draw: what official files say is read as they say it, and bad lines are named."""

from __future__ import annotations

import csv
import io
import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.datasets import ActionVideo, charades, few_shot, next_qa, present
from minilib.datasets.charades import clip_labels, frame_labels, localisation_times
from minilib.datasets.multithumos import Action
from minilib.errors import BadInput
from minilib.metrics.detection import equally_spaced, localize_v1
from minilib.world import sample_times
from minilib.world.long import LONG_ACTIONS, by_action, long_labels, long_scenes

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
CLASSES = "c000 Holding some clothes\r\nc001 Putting clothes somewhere\n\nc002 Taking a nap\n"
ROW = {
    "id": "46GP8", "subject": "HR43", "scene": "Kitchen", "quality": "6", "relevance": "7", "verified": "Yes",
    "script": 'A person cooks, and says "hello".\nThen eats.', "objects": "food;stove", "descriptions": "One; two, 3",
    "actions": "c000 11.90 21.20;c002 0.00 12.60;c000 2.00 3.00", "length": "24.83",
}  # fmt: skip
QUESTION = {
    "video": "4010069381", "frame_count": "369", "width": "640", "height": "480", "question": "how do the two men play",
    "answer": "2", "qid": "6", "type": "CH", "a0": "roll the handle", "a1": "tap, their feet", "a2": "strum the string",
    "a3": "hit with sticks", "a4": "pat with hand",
}  # fmt: skip


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(rows) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def charades_root(root, text=None, classes=CLASSES, **changes):
    write(root / "Charades" / "Charades_v1_classes.txt", classes)
    write(root / "Charades" / "Charades_v1_train.csv", table([ROW | changes]) if text is None else text)
    return partial(charades, root, "train")


def question_root(root, text=None, folders=None, **changes):
    write(root / "nextqa" / "train.csv", table([QUESTION | changes]) if text is None else text)
    if folders is not None:
        write(root / "nextqa" / "map_vid_vidorID.json", json.dumps(folders))
    return partial(next_qa, root, "train")


# --- Charades --------------------------------------------------------------------------------------------------------


def test_charades(tmp_path):
    read = charades_root(tmp_path)()
    assert read.classes == ("Holding some clothes", "Putting clothes somewhere", "Taking a nap") and len(read) == 1
    video = read.clips[0]
    assert video.path == tmp_path / "Charades_v1_480" / "46GP8.mp4" and video.length == 24.83
    assert video.actions == (Action(0, 11.9, 21.2), Action(2, 0.0, 12.6), Action(0, 2.0, 3.0))
    assert video.text == 'A person cooks, and says "hello".\nThen eats.'
    assert clip_labels(video, 3).tolist() == [True, False, True]
    assert not present(read).clips
    write(video.path, b"")
    assert present(read) == read


def test_charades_labels_are_the_loop():
    actions = (Action(0, 1.0, 4.0), Action(2, 3.5, 9.0), Action(0, 6.0, 7.0))
    video, times = ActionVideo("x.mp4", 10.0, actions), [0.0, 1.0, 1.1, 3.6, 4.0, 6.5, 9.0, 9.5]
    got = frame_labels(video, times, 4)
    for row, time in enumerate(times):
        for label in range(4):
            expected = any(a.label == label and a.start <= time <= a.end for a in actions)
            assert got[row, label] == expected, (time, label)
    empty = ActionVideo("x.mp4", 10.0, ())
    assert not clip_labels(empty, 4).any() and frame_labels(empty, times, 4).shape == (8, 4)


def test_localisation_times_are_the_metrics_frames():
    video = ActionVideo("x.mp4", 20.0, (Action(0, 2.0, 9.0), Action(1, 7.0, 19.5)))
    every = frame_labels(video, np.arange(500) * (20.0 / 500), 2)
    chosen = frame_labels(video, localisation_times(video), 2)
    assert torch.equal(every[equally_spaced(500)], chosen)
    assert localize_v1([chosen.float()], [chosen.float()]).mean == 100


@pytest.mark.parametrize(
    ("actions", "kept", "told"),
    [
        ("c000 20.00 25.60;c002 1 40", (Action(0, 20.0, 24.83), Action(2, 1.0, 24.83)), "2 end after their video"),
        ("c000 1 2;c002 5 4", (Action(0, 1.0, 2.0),), "1 end before they start"),
        ("c000 1 2;c002 24.9 26", (Action(0, 1.0, 2.0),), "1 start after their video"),
    ],
)
def test_what_official_rows_hold_is_taken_as_upstream_takes_it_and_counted(tmp_path, actions, kept, told):
    with pytest.warns(UserWarning, match=told):
        read = charades_root(tmp_path, actions=actions)()
    assert read.clips[0].actions == kept
    assert sum(read.mended.values()) == int(told[0])


def test_official_rows_without_fault_say_nothing(tmp_path, recwarn):
    assert charades_root(tmp_path)().mended == {} and not recwarn.list


def test_videos_without_actions_are_kept_only_when_asked_for(tmp_path):
    charades_root(tmp_path, actions="")
    with pytest.raises(BadInput, match=r"id 46GP8\): no actions; give unlabelled=True"):
        charades(tmp_path, "train")
    assert charades(tmp_path, "train", unlabelled=True).clips[0].actions == ()


def test_the_world_in_charades_layout_reads_back(tmp_path):
    scenes, length = long_scenes(0, "train", np.arange(6)), 32.0
    index = by_action(scenes)
    names = [f"c{i:03d} {name}" for i, name in enumerate(LONG_ACTIONS)]
    rows = []
    for b in range(len(scenes)):
        events = [(index[b, o, e], scenes.start[b, o, e], scenes.end[b, o, e]) for o, e in np.argwhere(index[b] >= 0)]
        actions = ";".join(f"c{c:03d} {length * start:.6f} {length * end:.6f}" for c, start, end in events)
        rows.append(ROW | {"id": f"W{b:04d}", "actions": actions, "length": f"{length}"})
    read = charades_root(tmp_path, table(rows), "\n".join(names))()
    times = sample_times(48)
    truth = long_labels(scenes, times, "action")
    for b, video in enumerate(read.clips):
        assert torch.equal(frame_labels(video, times * length, len(LONG_ACTIONS)), truth.frames[b])
        assert torch.equal(clip_labels(video, len(LONG_ACTIONS)), truth.clip[b])


# --- NExT-QA ---------------------------------------------------------------------------------------------------------


def test_next_qa(tmp_path):
    (question,) = question_root(tmp_path, folders={"4010069381": "1164/4010069381"})()
    assert question.path == tmp_path / "NExTVideo" / "1164" / "4010069381.mp4"
    assert (question.text, question.kind, question.id) == ("how do the two men play", "CH", "6")
    assert question.answers[question.right] == "strum the string" and question.answers[1] == "tap, their feet"
    (flat,) = question_root(tmp_path / "flat")()
    assert flat.path == tmp_path / "flat" / "NExTVideo" / "4010069381.mp4"


# --- what is wrong is named -----------------------------------------------------------------------------------------

BAD = {
    "no column": (charades_root, dict(text="id,length\nx,3\n"), "line 1: the header has no column script"),
    "no rows": (charades_root, dict(text=HEADER), "lists no videos"),
    "short row": (charades_root, dict(text=f"{HEADER}\na,b\n"), "line 2 .*not the 11 columns"),
    "open quote": (charades_root, dict(text=f'{HEADER}\n"a,b\n'), "not a line of a csv file"),
    "bytes": (charades_root, dict(text=b"id\xff"), "not UTF-8"),
    "unknown class": (charades_root, dict(actions="c003 1 2"), "'c003' is none of the 3 classes"),
    "word as class": (charades_root, dict(actions="nap 1 2"), "'nap' is none of the 3 classes"),
    "two words": (charades_root, dict(actions="c001 1"), "action 'c001 1' should be"),
    "time": (charades_root, dict(actions="c001 1 later"), "'later' is not a time"),
    "not a number": (charades_root, dict(actions="c001 nan 2"), "'nan' is not a time"),
    "negative": (charades_root, dict(actions="c001 -1 2"), "'-1' is not a time"),
    "length": (charades_root, dict(length="long"), "length: 'long' is not a time"),
    "path": (charades_root, dict(id="../x"), "the id is not the name of a file"),
    "class gap": (charades_root, dict(classes="c000 a\nc002 b\n"), "classes.txt, line 2: should be 'c001 <name>'"),
    "class name": (charades_root, dict(classes="c000\n"), "classes.txt, line 1"),
    "answer 5": (question_root, dict(answer="5"), "line 2: the right answer is 5, but there are 0 to 4"),
    "no answer": (question_root, dict(answer=""), "line 2: answer must be a whole number"),
    "answer below": (question_root, dict(answer="-1"), "answer must be a whole number"),
    "empty answer": (question_root, dict(a3=" "), "line 2: a3 is empty"),
    "empty question": (question_root, dict(question=""), "question is empty"),
    "open-ended file": (question_root, dict(text="video,question,answer\na,b,c\n"), "must have the columns"),
    "unknown video": (question_root, dict(folders={"1": "1/1"}), "map of videos does not have '4010069381'"),
    "leaving": (question_root, dict(folders={"4010069381": "../../x"}), "leaves the data folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_named(name, tmp_path):
    build, content, reason = BAD[name]
    with pytest.raises(BadInput, match=reason) as caught:
        build(tmp_path, **content)()
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [charades, next_qa])
def test_missing_files_and_splits_are_named(read, tmp_path):
    with pytest.raises(BadInput, match=str(tmp_path)):
        read(tmp_path, "train")
    with pytest.raises(BadInput, match="split 'dev' is none of"):
        read(tmp_path, "dev")


@settings(max_examples=60)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_any_text_of_actions_is_read_or_refused_in_one_line(tmp_path_factory, text):
    root = tmp_path_factory.mktemp("any")
    read = charades_root(root, actions=text)
    try:
        found = read().clips[0].actions
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert found and all(0 <= a.label < 3 and 0 <= a.start < a.end <= 24.83 for a in found)


# --- few shots -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 6), st.integers(0, 2**30))
def test_few_shot_takes_k_of_each(labels, k, seed):
    counts = np.bincount(labels)
    if counts[counts > 0].min() < k:
        with pytest.raises(BadInput, match=f"fewer than k = {k}"):
            few_shot(labels, k, seed)
        return
    chosen = few_shot(labels, k, seed)
    assert len(set(chosen.tolist())) == len(chosen) and (np.diff(chosen) > 0).all()
    assert (np.bincount(np.asarray(labels)[chosen], minlength=len(counts)) == k * (counts > 0)).all()
    assert np.array_equal(chosen, few_shot(labels, k, seed))
    if k > 1:
        assert set(few_shot(labels, k - 1, seed)) < set(chosen)


def test_few_shot_names_the_class_and_refuses_nothing():
    with pytest.raises(BadInput, match=r"class 'nap' has 1 clips, fewer than k = 2; take a smaller k"):
        few_shot([0, 0, 1], 2, 0, names=["run", "nap"])
    for labels, k in (([], 1), ([0], 0)):
        with pytest.raises(BadInput, match="at least one of each"):
            few_shot(labels, k, 0)

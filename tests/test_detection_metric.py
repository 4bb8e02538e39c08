"""Detection mAP against a naive ranking and scikit-learn, both protocols, wild inputs; MultiTHUMOS' files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from minilib.datasets.multithumos import Action, Untrimmed, frame_labels, multithumos
from minilib.errors import BadInput
from minilib.metrics.detection import (
    actions_per_frame,
    detection_score,
    equally_spaced,
    every_frame,
    localize_v1,
    near_boundary,
)


def naive(scores, labels):
    """Average precision of one class: the mean, over the positives, of the precision at their score."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    found, precisions = 0, []
    for rank, i in enumerate(order, 1):
        if labels[i]:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / len(precisions)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 30), classes=st.integers(1, 6))
def test_scores_equal_a_naive_ranking(seed, frames, classes):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(frames, classes)), rng.random((frames, classes)) < 0.4
    labels[0, 0] = True
    out = detection_score(scores, labels)
    each = {k: 100 * naive(scores[:, k], labels[:, k]) for k in range(classes) if labels[:, k].any()}
    assert {k: pytest.approx(v) for k, v in each.items()} == {
        k: v for k, v in enumerate(out.per_class) if not np.isnan(v)
    }
    assert out.mean == pytest.approx(np.mean(list(each.values())))


def test_ties_are_scikit_learns():
    scores, labels = np.array([[0.5], [0.5], [0.1], [0.1]]), np.array([[1], [0], [1], [0]])
    assert detection_score(scores, labels).mean == pytest.approx(100 * average_precision_score(labels, scores))


def test_protocols_take_the_frames_they_should():
    rng = np.random.default_rng(0)
    videos = [rng.random((t, 3)) for t in (50, 7, 130)]
    truth = [torch.tensor(rng.random(v.shape) < 0.3) for v in videos]
    whole = every_frame([torch.tensor(v) for v in videos], truth)
    joined = detection_score(np.concatenate(videos), np.concatenate([t.numpy() for t in truth]))
    assert whole.mean == pytest.approx(joined.mean, abs=1e-4) and len(whole.per_class) == 3
    picked = [[round(np.floor(j * len(v) / 25)) for j in range(25)] for v in videos]
    by_hand = detection_score(
        np.concatenate([v[p] for v, p in zip(videos, picked, strict=True)]),
        np.concatenate([t.numpy()[p] for t, p in zip(truth, picked, strict=True)]),
    )
    assert localize_v1(videos, truth).mean == pytest.approx(by_hand.mean)
    assert list(equally_spaced(50)) == list(range(0, 50, 2)) and set(equally_spaced(1)) == {0}


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), "must have one shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "are empty"),
        (np.zeros((3, 0)), np.zeros((3, 0)), "are empty"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "none of the 3 frames has a label"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "not finite"),
        (np.zeros((3, 2)), np.full((3, 2), 0.5), "must be 0 or 1"),
    ],
)
def test_wrong_scores_and_labels_are_named(scores, labels, message):
    with pytest.raises(BadInput, match=message):
        detection_score(scores, labels)


def test_wrong_videos_are_named():
    good = np.ones((3, 2))
    for scores, labels, message in (
        ([good], [], "1 videos have scores and 0"),
        ([], [], "0 videos"),
        ([good, np.zeros((0, 2))], [good, np.zeros((0, 2))], "video 1: its labels"),
        ([good, np.ones((3, 3))], [good, np.ones((3, 3))], "number of classes"),
    ):
        with pytest.raises(BadInput, match=message):
            every_frame(scores, labels)


def test_frames_by_what_happens_in_them():
    labels = torch.tensor([[0, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 1]])
    assert actions_per_frame(labels).tolist() == [0, 1, 2, 2, 2, 2]
    assert near_boundary(labels).tolist() == [True, True, True, False, False, False]
    assert near_boundary(labels, within=2).tolist() == [True, True, True, True, False, False]
    assert not near_boundary(labels[3:]).any()


# --- MultiTHUMOS ---


def folder(
    root, dive="video_validation_0000001 1.5 3.0\nvideo_test_0000002 0 1\n", classes="1 Dive\n2 Run\n", videos=True
):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "videos").mkdir(exist_ok=True)
    (root / "class_list.txt").write_text(classes)
    (root / "annotations" / "Dive.txt").write_text(dive)
    (root / "annotations" / "Run.txt").write_text("video_validation_0000001 0.25 2\n")
    for name in ("video_validation_0000001", "video_test_0000002") if videos else ():
        (root / "videos" / f"{name}.mp4").touch()
    return root


def test_multithumos_reads_both_splits(tmp_path):
    read = multithumos(folder(tmp_path), "train")
    assert read.classes == ("Dive", "Run") and len(read) == 1
    assert read.clips[0].actions == (Action(1, 0.25, 2.0), Action(0, 1.5, 3.0))
    assert [video.path.name for video in multithumos(tmp_path, "test").clips] == ["video_test_0000002.mp4"]


def test_labels_of_frames_reach_from_start_to_end(tmp_path):
    video = multithumos(folder(tmp_path), "train").clips[0]
    labels = frame_labels(video, 16, 4.0, 2)  # frames at 0, 0.25, ...
    assert labels[:, 0].nonzero().flatten().tolist() == list(range(6, 13))
    assert labels[:, 1].nonzero().flatten().tolist() == list(range(1, 9))
    assert frame_labels(video, 1, 4.0, 2).sum() == 0


@pytest.mark.parametrize(
    ("actions", "classes", "duration", "message"),
    [
        ((Action(0, 5.0, 6.0),), 1, 4.0, "begins after its 4.0 s"),
        ((Action(1, 1.0, 2.0),), 1, 4.0, "label 1 is not within"),
        ((), 1, 0.0, "the video is empty"),
    ],
)
def test_labels_outside_the_video_are_named(tmp_path, actions, classes, duration, message):
    with pytest.raises(BadInput, match=message):
        frame_labels(Untrimmed(tmp_path, actions), 8, duration, classes)


def test_an_action_that_ends_late_is_cut(tmp_path):
    for end in (4.5, 9.0):
        labels = frame_labels(Untrimmed(tmp_path, (Action(0, 3.1, end),)), 8, 4.0, 1)
        assert labels[:, 0].tolist() == [0] * 7 + [1]


def test_reversed_actions_are_left_out_and_counted(tmp_path):
    folder(tmp_path, dive="video_validation_0000001 3 1.5\n")
    with pytest.warns(UserWarning, match="1 actions end before they start"):
        read = multithumos(tmp_path, "train")
    assert read.clips[0].actions == (Action(1, 0.25, 2.0),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(dive="video_validation_0000001 3\n"), "should be '<video> <start> <end>'"),
        (dict(dive="video_validation_0000001 nan 4\n"), "'nan' is not a time"),
        (dict(dive="../x 1 2\n"), "leaves the data folder"),
        (dict(dive=""), "is empty"),
        (dict(classes="1 Dive\n3 Run\n"), "should be '2 <class>'"),
        (dict(videos=False), "is missing; get it, or read with only_present"),
    ],
)
def test_wrong_annotations_are_named(tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        multithumos(folder(tmp_path, **change), "train")


def test_missing_videos_can_be_left_out(tmp_path):
    folder(tmp_path, dive="video_validation_0000009 1 2\n")
    assert len(multithumos(tmp_path, "train", only_present=True)) == 1
    with pytest.raises(BadInput, match="no video of the split 'test'"):
        multithumos(tmp_path, "test")
    with pytest.raises(BadInput, match="split 'val'"):
        multithumos(tmp_path, "val")

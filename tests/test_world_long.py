"""Long clips of many overlapping actions, and questions about them: functions of (seed, index), labels that hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.errors import BadInput
from minilib.world import COLOURS, MOTIONS, SHAPES, Scenes, clip_scenes, image_scenes, mirror, render, sample_times
from minilib.world.draws import SPLITS
from minilib.world.long import (
    BUSY,
    HIGH,
    LARGE,
    LONG_ACTIONS,
    LONG_MOTIONS,
    LONG_TASKS,
    LOW,
    SMALL,
    SPARSE,
    Rhythm,
    long_labels,
    long_scenes,
)
from minilib.world.questions import ANSWERS, SPINS, Question, question_clips
from minilib.world.scenes import LOG_RADIUS, OPACITY
from minilib.world.vocabulary import SPINNABLE, held_out_colour

some = settings(max_examples=20)
RHYTHMS = [BUSY, SPARSE, Rhythm(actions=(0.02, 0.05), rests=(0.02, 0.1), objects=(1, 4))]


def same(a: Scenes, b: Scenes) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Scenes))


# --- scenes ----------------------------------------------------------------------------------------------------------


@some
@given(
    seed=st.integers(0, 2**40),
    split=st.sampled_from(SPLITS),
    indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=5),
    rhythm=st.sampled_from(RHYTHMS),
)
def test_a_long_clip_depends_on_seed_and_index_alone(seed, split, indices, rhythm):
    together = long_scenes(seed, split, np.array(indices), rhythm=rhythm)
    for row, index in enumerate(indices):
        assert same(together[row], long_scenes(seed, split, [index], rhythm=rhythm))
    one = long_scenes(seed, split, [indices[-1]], rhythm=rhythm)
    assert torch.equal(render(together, [0.3, 0.6], size=32)[-1:], render(one, [0.3, 0.6], size=32))


def test_splits_seeds_and_kinds_never_overlap():
    made = [long_scenes(seed, split, np.arange(200)) for seed in (0, 1) for split in SPLITS]
    assert len({scenes.offset[i].tobytes() for scenes in made for i in range(200)}) == 6 * 200
    for make in (clip_scenes, image_scenes):
        assert not np.isin(make(0, "train", np.arange(50)).offset, made[0].offset).any()


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_objects_act_rest_and_stay_in_sight(rhythm):
    scenes = long_scenes(0, "train", np.arange(400), rhythm=rhythm)
    scenes.drift[:] = 0
    count = scenes.present.sum(1)
    assert set(count) == set(range(rhythm.objects[0], rhythm.objects[1] + 1))
    event = scenes.motion >= 0
    assert (event.any(2) == scenes.present).all(), "every object acts, and nobody else"
    assert (scenes.delta[~event] == 0).all()
    lasted = (scenes.end - scenes.start)[event]
    assert lasted.min() >= rhythm.actions[0] - 1e-9 and lasted.max() <= rhythm.actions[1] + 1e-9
    assert scenes.start[event].min() > 0 and scenes.end[event].max() < 1
    for b, o in np.argwhere(scenes.present):
        own = event[b, o]
        start, end = np.sort(scenes.start[b, o][own]), np.sort(scenes.end[b, o][own])
        assert (start[1:] - end[:-1] >= rhythm.rests[0] - 1e-9).all(), "an object does one thing at a time, and rests"
    pose = scenes.pose(np.linspace(0, 1, 41))[scenes.present]
    assert pose[..., :2].min() > LOW - 1e-9 and pose[..., :2].max() < HIGH + 1e-9
    assert pose[..., LOG_RADIUS].min() > SMALL - 1e-9 and pose[..., LOG_RADIUS].max() < LARGE + 1e-9
    assert pose[..., OPACITY].min() > -1e-9 and pose[..., OPACITY].max() < 1 + 1e-9
    assert all(len(set(shape[here])) == here.sum() for shape, here in zip(scenes.shape, scenes.present, strict=True))
    assert (scenes.colour != held_out_colour(scenes.shape))[scenes.present].all()


def test_every_change_is_what_its_motion_says():
    scenes = long_scenes(1, "val", np.arange(300))
    axis = {0: 0, 2: 1, 4: LOG_RADIUS, 6: 3, 8: OPACITY}
    seen = set()
    for b, o, e in np.argwhere(scenes.motion >= 0):
        motion, delta = scenes.motion[b, o, e], scenes.delta[b, o, e]
        assert np.flatnonzero(delta).tolist() == [axis[motion & ~1]]
        assert np.sign(delta.sum()) == (-1 if motion & 1 else 1)
        assert motion not in SPINS or scenes.shape[b, o] in SPINNABLE
        seen.add(int(motion))
    assert seen == set(range(len(LONG_MOTIONS))) and MOTIONS[: len(LONG_MOTIONS)] == LONG_MOTIONS


def test_held_out_pairs_can_be_asked_for():
    scenes = long_scenes(0, "test", np.arange(100), combinations="held_out")
    assert (scenes.colour == held_out_colour(scenes.shape))[scenes.present].all()


def test_mirrored_actions_are_equally_frequent_and_look_alike_as_bags():
    scenes = long_scenes(0, "train", np.arange(4000))
    done = scenes.motion[scenes.motion >= 0]
    counts = np.bincount(done, minlength=10)
    for first in range(0, 10, 2):
        assert abs(counts[first] - counts[mirror(first)]) < 5 * np.sqrt(counts[first] + counts[mirror(first)])
    assert counts.min() > 0.05 * counts.sum()
    times = sample_times(8)
    for first in (0, 2, 4):  # the mean pose of an object that does one of a pair, and of one that does the other
        bag = scenes.pose(times).mean(2)
        one, other = (bag[(scenes.motion == motion).any(2)] for motion in (first, first + 1))
        gap = np.abs(one.mean(0) - other.mean(0)) / (one.std(0) / np.sqrt(len(one)) * np.sqrt(2))
        assert gap[[0, 1, 2, 4]].max() < 4.5


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", LONG_TASKS)
def test_labels_are_the_loop(task):
    scenes, times = long_scenes(2, "train", np.arange(12)), np.linspace(0, 1, 23)
    found = long_labels(scenes, times, task)
    names = LONG_TASKS[task][0]
    assert found.frames.shape == (12, 23, len(names)) and found.frames.dtype == torch.bool
    frames, clip = torch.zeros_like(found.frames), torch.zeros_like(found.clip)
    for b, o, e in np.argwhere(scenes.motion >= 0):
        motion = MOTIONS[scenes.motion[b, o, e]]
        label = names.index(motion if task == "motion" else f"{SHAPES[scenes.shape[b, o]]} {motion}")
        clip[b, label] = True
        for t, time in enumerate(times):
            if scenes.start[b, o, e] < time < scenes.end[b, o, e]:
                frames[b, t, label] = True
    assert torch.equal(found.frames, frames) and torch.equal(found.clip, clip)
    assert torch.equal(found.informative, frames.any(-1))


def test_labels_are_the_same_alone_and_in_a_batch():
    scenes = long_scenes(2, "train", np.arange(9))
    whole = long_labels(scenes, sample_times(128), "action")
    for row in range(9):
        one = long_labels(scenes[row], sample_times(128), "action")
        assert torch.equal(one.frames[0], whole.frames[row]) and torch.equal(one.clip[0], whole.clip[row])


def test_long_clips_overlap_and_sparse_ones_mostly_rest():
    times = sample_times(128)
    busy, sparse = (long_labels(long_scenes(0, "train", np.arange(500), rhythm=r), times) for r in (BUSY, SPARSE))
    assert (busy.frames.sum(-1) > 1).float().mean() > 0.2, "several actions at once"
    assert busy.clip.sum(-1).float().mean() > 4
    assert 0.1 < sparse.informative.float().mean() < 0.35
    assert len(LONG_ACTIONS) == len(set(LONG_ACTIONS)) == 80


def test_frames_of_still_objects_do_not_change():
    scenes = long_scenes(0, "test", np.arange(20), rhythm=SPARSE)
    scenes.drift[:] = 0
    times = np.linspace(0, 1, 65)
    informative = long_labels(scenes, times).informative
    frames = render(scenes, times, size=32)
    changed = (frames[:, 1:] != frames[:, :-1]).flatten(2).any(-1)
    still = ~(informative[:, 1:] | informative[:, :-1])
    assert (scenes.end - scenes.start)[scenes.motion >= 0].min() > times[1], "no action between two quiet frames"
    assert not changed[still].any() and changed[~still].float().mean() > 0.9


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(actions=(0.0, 0.1)), "actions from 0 to 0.1 of the clip"),
        (dict(actions=(0.3, 0.1)), "actions from 0.3 to 0.1"),
        (dict(rests=(0.1, 0.9)), "no action may fit the clip"),
        (dict(objects=(0, 2)), "there can be 1 to 4"),
        (dict(objects=(2, 5)), "there can be 1 to 4"),
    ],
)
def test_wrong_rhythms_are_named(change, says):
    with pytest.raises(BadInput, match=says):
        Rhythm(**change)
    with pytest.raises(BadInput, match="long clips have motion, action"):
        long_labels(long_scenes(0, "train", [0]), [0.5], "verb")


# --- questions -------------------------------------------------------------------------------------------------------


@some
@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.sampled_from(SPLITS))
def test_a_question_depends_on_seed_and_index_alone(seed, indices, split):
    scenes, questions = question_clips(seed, split, np.array(indices))
    for row, index in enumerate(indices):
        one, (question,) = question_clips(seed, split, [index])
        assert same(scenes[row], one) and questions[row] == question


def test_one_object_is_meant_and_one_answer_is_right():
    scenes, questions = question_clips(0, "train", np.arange(500))
    for row, question in enumerate(questions):
        *_, colour, shape, _ = question.text.removesuffix("?").split()
        named = [
            o
            for o in np.flatnonzero(scenes.present[row])
            if (COLOURS[scenes.colour[row, o]], SHAPES[scenes.shape[row, o]]) == (colour, shape)
        ]
        assert named == [question.target] and question.text == f"what does the {colour} {shape} do?"
        done = {MOTIONS[motion] for motion in scenes.motion[row, question.target] if motion >= 0}
        assert [answer in done for answer in question.answers] == [i == question.right for i in range(ANSWERS)]
        assert question.statements[question.right] == f"a {colour} {shape} {question.answers[question.right]}"


def test_other_objects_actions_are_among_the_wrong_answers():
    scenes, questions = question_clips(0, "val", np.arange(300))
    for row, question in enumerate(questions):
        done = [{MOTIONS[m] for m in motions if m >= 0} for motions in scenes.motion[row]]
        others = set().union(*(d for o, d in enumerate(done) if o != question.target)) - done[question.target]
        if scenes.shape[row, question.target] not in SPINNABLE:
            others -= {MOTIONS[motion] for motion in SPINS}
        assert others <= set(question.answers)


def test_answers_alone_give_little_away():
    """A reader who never sees a clip, but has counted which answers were right, stays near the chance of 20 %."""
    questions = question_clips(0, "train", np.arange(6000))[1]
    assert min(Counter(question.right for question in questions).values()) > 1050  # 1200 each, six standard errors

    def seen(question, i):
        answer = question.answers[i]
        return answer, MOTIONS[mirror(MOTIONS.index(answer))] in question.answers, question.subject.split()[1]

    offered, right = Counter(), Counter()
    for question in questions[:4500]:
        offered.update(seen(question, i) for i in range(ANSWERS))
        right[seen(question, question.right)] += 1

    def guess(question):
        return max(range(ANSWERS), key=lambda i: right[seen(question, i)] / (offered[seen(question, i)] or 1))

    assert np.mean([guess(question) == question.right for question in questions[4500:]]) < 0.27


def test_wrong_questions_are_refused():
    with pytest.raises(BadInput, match="right answer 5, there are 0 to 4"):
        Question("what?", tuple("abcde"), 5, 0, "red star")
    with pytest.raises(BadInput, match="two of its answers are the same"):
        Question("what?", tuple("abcda"), 0, 0, "red star")
    with pytest.raises(BadInput, match="make them longer"):
        question_clips(0, "train", [0], rhythm=BUSY)

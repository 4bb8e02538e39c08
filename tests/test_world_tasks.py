"""The small world's other tasks: timing, actions, hard names, large objects; what guessing and patches reach."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minilib.errors import BadInput
from minilib.metrics.pairs import pair_accuracy
from minilib.metrics.segmentation import score_sequence, summarise
from minilib.world import (
    FEW,
    MOTIONS,
    SHAPES,
    TASKS,
    TIMINGS,
    WorldClips,
    chance,
    clip_batch,
    labels,
    mirror,
    patch_oracle,
    render,
    sample_times,
    segmentation_batch,
    task_scenes,
    timing_scenes,
    train_batches,
)
from minilib.world.draws import SPLITS
from minilib.world.labels import ACTIONS
from minilib.world.scenes import LOG_RADIUS, MAX_OBJECTS, X, Y
from minilib.world.segmentation import LARGE, VOID
from minilib.world.vocabulary import held_out_colour

PATCH = np.array([1 / 8, 1 / 8, 0.25, 0.4])  # a change of x, y, log radius and angle that is seen as one of a patch
some = settings(max_examples=20)


def of_class(name: str, count: int = 200):
    return timing_scenes(0, "test", np.arange(count), motions=(TIMINGS.index(name),))


def percent(found: np.ndarray, truth: np.ndarray) -> float:
    return 100 * float((found == truth).mean())


# --- every task ------------------------------------------------------------------------------------------------------


@some
@given(
    task=st.sampled_from(list(TASKS)),
    seed=st.integers(0, 2**40),
    split=st.sampled_from(SPLITS),
    indices=st.lists(st.integers(0, 2**40), min_size=2, max_size=5),
)
def test_a_clip_depends_on_seed_and_index_alone(task, seed, split, indices):
    frames, truth = clip_batch(task, seed, split, indices, 2, size=32)
    for row, index in enumerate(indices):
        alone, label = clip_batch(task, seed, split, [index], 2, size=32)
        assert torch.equal(alone[0], frames[row]) and label[0] == truth[row]


@pytest.mark.parametrize("task", TASKS)
def test_all_ways_to_a_task_give_the_same_clips(task):
    frames, truth = clip_batch(task, 4, "train", np.arange(6), 3, size=32)
    trained, taught = train_batches(task, 4, 6, 3, size=32)(0)
    assert torch.equal(trained, frames) and torch.equal(taught, truth)
    clips = WorldClips(task, 4, "train", 6, 3, size=32)
    assert torch.equal(clips.frames(range(6)), frames) and torch.equal(clips.labels(range(6)), truth)
    tests = {seed: clip_batch(task, seed, "test", np.arange(6), 3, size=32)[0] for seed in (4, 5)}
    assert not torch.equal(tests[4], frames) and not torch.equal(tests[4], tests[5])  # a seed has clips of its own
    assert truth.dtype == torch.int64 and truth.max() < len(TASKS[task])


def test_a_key_says_which_clips_and_not_which_labels():
    clips = {task: WorldClips(task, 0, "val", 4, 2).key() for task in TASKS}
    assert clips["motion"] == clips["action"] == clips["noun"] == clips["appearance"]
    assert clips["hard noun"] == clips["hard appearance"]
    assert len(set(clips.values())) == 3
    assert replace(WorldClips("motion", 0, "val", 4, 2), task="timing").key() == clips["timing"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"task": "verbs"}, "the small world has motion"),
        ({"split": "validation"}, "the small world has train"),
        ({"combinations": "unseen"}, "the small world has seen"),
        ({"motions": (16,)}, "0 to 15"),
        ({"task": "hard noun", "motions": (12,)}, "0 to 11"),
        ({"motions": ()}, "at least one"),
    ],
)
def test_unknown_names_are_refused(settings, reason):
    named = {"task": "timing", "seed": 0, "split": "train", "combinations": "seen", "motions": None} | settings
    with pytest.raises(BadInput, match=reason):
        clip_batch(indices=[0], frames=2, **named)
    with pytest.raises(BadInput, match=reason):
        WorldClips(count=1, steps=2, **named)


@pytest.mark.parametrize("motions", [None, (0, 1, 6)])
@pytest.mark.parametrize("task", TASKS)
def test_chance_is_the_share_of_the_most_common_class(task, motions):
    scenes = task_scenes(task, 0, "train", np.arange(12000), motions=motions)
    label = {"timing": "motion"}.get(task, task.removeprefix("hard "))
    share = 100 * np.bincount(getattr(labels(scenes, [0.0]), label)) / len(scenes)
    assert share.max() == pytest.approx(chance(task, motions), rel=0.2)
    assert chance(task, motions) >= 100 / len(TASKS[task])


def test_chance_counted_by_hand():
    assert chance("timing") == pytest.approx(6.25) and chance("motion") == pytest.approx(100 / 12)
    assert chance("noun") == pytest.approx(100 * (10 / 12 / 8 + 2 / 12 / 5)) == pytest.approx(4 * chance("appearance"))
    assert chance("action") == pytest.approx(100 / 12 / 5)
    with pytest.raises(BadInput, match="verbs"):
        chance("verbs")


def test_an_action_is_a_motion_and_a_shape():
    both = {task: clip_batch(task, 1, "val", range(60), 1, size=16)[1] for task in ("motion", "noun", "action")}
    for motion, noun, action in zip(*both.values(), strict=True):
        assert ACTIONS[action] == f"{SHAPES[noun]} {MOTIONS[motion]}" == TASKS["action"][action]


# --- timing ----------------------------------------------------------------------------------------------------------


def test_half_of_the_clips_move_steadily():
    assert TIMINGS[:8] == MOTIONS[:8] and len(TIMINGS) == 16
    scenes = timing_scenes(0, "train", np.arange(3000))
    steady = scenes.motion[:, 0, 0] < 8
    assert 0.47 < steady.mean() < 0.53
    rate = np.diff(scenes.progress(np.linspace(0.2, 0.8, 13))[steady, 0, 0], axis=-1)
    assert np.allclose(rate, rate[:, :1]) and (rate > 0).all()


@some
@given(
    kind=st.integers(0, len(TIMINGS) // 2 - 1),
    seed=st.integers(0, 2**30),
    index=st.integers(0, 2**30),
    frames=st.integers(1, 9),
)
def test_a_class_is_its_mirror_image_played_backwards(kind, seed, index, frames):
    """So both classes hold the same frames, and neither one of them nor their bag says which class it is."""
    times = sample_times(frames)
    one, other = (timing_scenes(seed, "train", [index], motions=(motion,)) for motion in (2 * kind, 2 * kind + 1))
    for field in fields(one):
        assert np.allclose(getattr(one.reversed(), field.name), getattr(other, field.name), atol=1e-12), field.name
    a, b = (labels(each, times).motion[0] for each in (one, other))
    x, y = (render(each, times) for each in (one, other))
    assert (a, b) == (2 * kind, 2 * kind + 1) and mirror(a) == b
    assert ((x.flip(1).int() - y.int()).abs().amax(-1) > 1).float().mean() < 1e-3  # rounding may move an edge
    assert np.allclose(one.pose(times)[0, 0].mean(0), other.pose(times)[0, 0].mean(0), atol=1e-12)


@pytest.mark.parametrize("name", TIMINGS[::2])
def test_frames_in_order_differ_from_their_mirror_image(name):
    """By half a patch in some frame: the classes of a pair can be distinguished. Eight frames may come just when a bob
    passes its middle, sixteen do not."""
    for frames, share in ((8, 0.8 if name.startswith("bobbing") else 0.97), (16, 0.97)):
        pose = of_class(name).pose(sample_times(frames))[:, 0, :, :4]
        gap = (np.abs(pose - pose[:, ::-1]) / PATCH).max((1, 2))
        assert (gap > 0.5).mean() > share, frames


@pytest.mark.parametrize(
    ("name", "longest", "distance"),
    [("darting right", 0.25, 0.5), ("bobbing up and down", 0.25, 0), ("sinking fast and rising slowly", 0.5, 0)],
)
def test_what_is_short_happens_at_any_moment(name, longest, distance):
    scenes = of_class(name)
    used = scenes.motion[:, 0] >= 0
    start = np.where(used, scenes.start[:, 0], 1).min(1)
    end = np.where(used, scenes.end[:, 0], 0).max(1)
    assert (end - start <= longest + 1e-9).all() and (start >= 0).all() and (end <= 1).all()
    assert start.std() > 0.12 and start.min() < 0.1 and end.max() > 0.9
    total = np.abs(scenes.delta[:, 0].sum(1)).max(1)
    assert (total >= distance).all() and (total <= distance + 0.12).all()
    parts = [np.abs(scenes.delta[:, 0, part]).max() for part in range(3)]
    assert max(parts) > 0.5 or distance == 0


def test_a_bob_rests_in_the_middle_and_goes_as_far_to_either_side():
    scenes = of_class("bobbing up and down")
    up, down, rest = (scenes.base[:, 0, Y, None] + scenes.delta[:, 0, :, Y].cumsum(1)).T
    assert (rest > 0.3).all() and (rest < 0.7).all()
    assert np.allclose(rest - up, down - rest) and (rest - up > 0.2).all()


def test_a_pause_begins_and_ends_as_steady_motion_does():
    paused, steady = of_class("pausing on the way right"), of_class("moving right")
    assert np.allclose(paused.pose(np.array([0.0, 1.0])), steady.pose(np.array([0.0, 1.0])))
    still = (np.diff(paused.pose(np.linspace(0, 1, 101))[:, 0, :, X], axis=1) < 0.0015).mean(1)
    assert (still > 0.3).all()  # the camera may drift by 0.0006 a step
    assert not labels(paused, [0.5]).informative.all() and labels(steady, [0.5]).informative.all()


def changes(scenes, frames: int, interval: int) -> np.ndarray:
    """How often the actor's pose changes by how many patches (rounded, so under half a patch is not seen) from one
    frame to the one `interval` later: what a model knows that compares such frames and then averages over time."""
    pose = scenes.pose(sample_times(frames))[:, 0, :, :4]
    level = np.clip(np.round((pose[:, interval:] - pose[:, :-interval]) / PATCH), -5, 5)
    return np.concatenate([(level == step).mean(1) for step in range(-5, 6)], 1)


def test_the_interval_between_compared_frames_matters():
    """A linear readout of true poses, 16 frames: neighbours miss what is slow, frames far apart miss what is short."""
    train, test = (timing_scenes(0, split, np.arange(1600)) for split in ("train", "test"))
    truth = test.motion[:, 0, 0]
    bobs, steady = np.isin(truth, (12, 13)), truth < 4
    accuracy, within, found = {}, {}, {}
    for interval in (1, 2, 8, 15):
        readout = LogisticRegression(C=10, max_iter=500).fit(changes(train, 16, interval), train.motion[:, 0, 0])
        scores = readout.decision_function(changes(test, 16, interval))
        found[interval] = scores.argmax(1)
        accuracy[interval] = percent(found[interval], truth)
        within[interval] = pair_accuracy(torch.from_numpy(scores[bobs]), torch.from_numpy(truth[bobs]))
    assert accuracy[2] > 93 and accuracy[1] < 60 and accuracy[15] < 70, accuracy
    assert within[2] > 95 and within[8] < 75 and within[15] < 65, within
    assert percent(found[1][steady], truth[steady]) < 30 < 90 < percent(found[8][steady], truth[steady])


# --- hard names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("combinations", ["seen", "held_out", "all"])
def test_distractors_share_the_colour_and_no_shape(combinations):
    scenes = task_scenes("hard noun", 0, "train", np.arange(1500), combinations)
    plain = scenes.shape[:, 0]
    assert scenes.present[:, 2:].all() and (scenes.colour[:, 2:] == scenes.colour[:, :1]).all()
    assert (scenes.shape[:, 2:] != plain[:, None]).all() and (scenes.shape[:, 2] != scenes.shape[:, 3]).all()
    assert (scenes.colour[:, 2:] != held_out_colour(scenes.shape[:, 2:])).all()
    held = scenes.colour[:, 0] == held_out_colour(plain)
    assert held.mean() == pytest.approx({"seen": 0, "held_out": 1, "all": 1 / 8}[combinations], abs=0.03)
    counts = np.bincount(scenes.shape[:, 2], minlength=len(SHAPES))
    assert counts.min() > 0.7 * counts.mean()


def test_the_actor_is_the_largest_and_smaller_than_elsewhere():
    hard, plain = (task_scenes(task, 0, "train", np.arange(400)) for task in ("hard noun", "noun"))
    size = [np.exp(scenes.pose(np.array([0.5]))[:, :, 0, LOG_RADIUS]) for scenes in (hard, plain)]
    alone = np.isin(hard.motion[:, 0, 0], (0, 1, 2, 3, 6, 7))  # neither growing nor one of two
    assert (size[0][alone, 0] > size[0][alone][:, 2:].max(1)).all()
    assert np.median(size[0][:, 0]) < 0.8 * np.median(size[1][:, 0])


def test_a_linear_probe_is_far_from_the_ceiling():
    from minilib.models.small_clip import small_clip
    from minilib.world.proofs import clip_features

    clip, found = small_clip(), {}
    for task in ("noun", "hard noun"):
        known = {}
        for split, count in (("train", FEW * len(SHAPES)), ("test", 256)):
            scenes = task_scenes(task, 0, split, np.arange(count))
            known[split] = clip_features(clip, scenes, 2)[0].mean(1), labels(scenes, [0.0]).noun.numpy()
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=500)).fit(*known["train"])
        found[task] = 100 * probe.score(*known["test"])
    assert chance("hard noun") + 15 < found["hard noun"] < 65 and found["noun"] > found["hard noun"] + 15, found


# --- large objects ---------------------------------------------------------------------------------------------------


def test_what_patches_reach_is_more_with_large_objects():
    found, area = {}, {}
    for name, scale in (("usual", 1.0), ("large", LARGE)):
        truth = segmentation_batch(0, "test", np.arange(96), 4, scale=scale)[1]
        scores = [score_sequence(t, o) for t, o in zip(truth, patch_oracle(truth), strict=True)]
        found[name] = 100 * summarise(scores).j_and_f
        sizes = torch.stack([(truth == o).sum((-2, -1)) for o in range(1, MAX_OBJECTS + 1)])
        area[name] = sizes[sizes > 0].float().median().item() / 64
    assert found == pytest.approx({"usual": 47, "large": 67}, abs=2)
    assert area == pytest.approx({"usual": 2.2, "large": 5}, abs=0.4)


def test_an_oracle_of_single_pixels_is_right_and_void_is_ground():
    truth = segmentation_batch(0, "test", np.arange(3), 2, size=16)[1]
    assert torch.equal(patch_oracle(truth, 16), truth.where(truth != VOID, 0))
    assert not patch_oracle(torch.full((1, 1, 8, 8), VOID, dtype=torch.uint8), 2).any()
    with pytest.raises(BadInput, match="scale"):
        segmentation_batch(0, "test", [0], 1, scale=0)


# --- within a pair ---------------------------------------------------------------------------------------------------


@some
@given(st.integers(0, 2**30), st.integers(1, 9), st.sampled_from([(12, 1), (16, 1), (96, 8)]))
def test_pair_accuracy_is_what_a_loop_counts(seed, count, layout):
    classes, stride = layout
    random = np.random.default_rng(seed)
    scores, truth = random.integers(0, 3, (count, classes)).astype(float), random.integers(0, classes, count)
    points = 0.0
    for row, label in zip(scores, truth, strict=True):
        motion, rest = divmod(int(label), stride)
        true, other = row[label], row[mirror(motion) * stride + rest]
        points += 1.0 if true > other else 0.5 if true == other else 0.0
    assert pair_accuracy(torch.tensor(scores), torch.tensor(truth), stride) == pytest.approx(100 * points / count)


def test_who_does_not_see_order_is_right_half_of_the_time():
    truth = torch.arange(16).repeat(5)
    axis = torch.nn.functional.one_hot(truth // 2).repeat_interleave(2, 1)[:, :16].float()  # knows the pair alone
    assert pair_accuracy(axis, truth) == 50
    right = torch.nn.functional.one_hot(truth).float()
    assert pair_accuracy(right, truth) == 100 and pair_accuracy(right, truth ^ 1) == 0


@pytest.mark.parametrize(
    ("scores", "truth", "stride", "reason"),
    [
        (torch.zeros(2, 3, 4), torch.zeros(2), 1, "must be"),
        (torch.zeros(2, 4), torch.zeros(3), 1, "must be"),
        (torch.zeros(0, 4), torch.zeros(0), 1, "one clip"),
        (torch.zeros(2, 5), torch.zeros(2), 1, "no pairs"),
        (torch.zeros(2, 12), torch.zeros(2), 8, "no pairs"),
        (torch.zeros(2, 4), torch.tensor([0, 4]), 1, "labels 0 to 4"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(scores, truth, stride, reason):
    with pytest.raises(BadInput, match=reason):
        pair_accuracy(scores, truth.long(), stride)

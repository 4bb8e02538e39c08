"""The small world: a function of (seed, index), with labels that agree with what is drawn."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.errors import BadInput
from minilib.world import (
    COLOURS,
    GROUNDS,
    MOTIONS,
    PLACES,
    SHAPES,
    SIZES,
    Scenes,
    clip_batch,
    clip_scenes,
    image_captions,
    image_scenes,
    labels,
    mirror,
    render,
    sample_times,
    shuffled,
    train_batches,
)
from minilib.world.draws import SPLITS
from minilib.world.labels import APPEARANCES, boxes, masks
from minilib.world.scenes import LOG_RADIUS, X, Y
from minilib.world.vocabulary import SPINNABLE, held_out_colour

TIMES = sample_times(4)
some = settings(max_examples=20)


def same(a: Scenes, b: Scenes) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Scenes))


def pairs_of(scenes: Scenes):
    """(shape, colour) of every object that is there."""
    return scenes.shape[scenes.present], scenes.colour[scenes.present]


# --- what a scene is ------------------------------------------------------------------------------------------------


@some
@given(
    seed=st.integers(0, 2**40),
    split=st.sampled_from(SPLITS),
    indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    make=st.sampled_from([clip_scenes, image_scenes]),
)
def test_a_scene_depends_on_seed_and_index_alone(seed, split, indices, make):
    together = make(seed, split, np.array(indices))
    for row, index in enumerate(indices):
        assert same(together[row], make(seed, split, [index]))
    frames = render(together, TIMES)
    assert torch.equal(frames[-1:], render(make(seed, split, [indices[-1]]), TIMES))


@pytest.mark.parametrize("make", [clip_scenes, image_scenes])
def test_splits_and_seeds_never_overlap(make):
    scenes = {(seed, split): make(seed, split, np.arange(300)) for seed in (0, 1) for split in SPLITS}
    described = [s.base[i].tobytes() + s.offset[i].tobytes() for s in scenes.values() for i in range(300)]
    assert len(set(described)) == 6 * 300
    drawn = [frame.numpy().tobytes() for s in scenes.values() for frame in render(s, [0.5])]
    assert len(set(drawn)) == 6 * 300


def test_images_and_clips_of_one_seed_are_different_streams():
    assert not np.array_equal(clip_scenes(0, "train", range(8)).offset, image_scenes(0, "train", range(8)).offset)


@pytest.mark.parametrize(("split", "combinations"), [("validation", "seen"), ("train", "unseen")])
def test_unknown_words_are_refused(split, combinations):
    for make in (clip_scenes, image_scenes):
        with pytest.raises(ValueError, match="is none of"):
            make(0, split, [0], combinations=combinations)
    with pytest.raises(BadInput, match="the small world has motion"):
        clip_batch("verbs", 0, "train", [0], 2)


def test_everything_the_world_promises_is_there():
    assert min(len(SHAPES), len(COLOURS)) >= 8 and len(MOTIONS) >= 12
    scenes = clip_scenes(0, "train", np.arange(2000))
    assert set(scenes.present.sum(1)) == {1, 2, 3, 4}
    assert set(scenes.motion[:, 0, 0]) == set(range(len(MOTIONS)))
    assert (scenes.shape[np.isin(scenes.motion[:, 0, 0], (6, 7)), 0][:, None] == SPINNABLE).any(1).all()
    assert np.abs(scenes.drift).max() > 0


@pytest.mark.parametrize("pair", [(0, 1), (10, 11)])
def test_motions_can_be_chosen(pair):
    assert set(clip_scenes(3, "val", range(40), motions=pair).motion[:, 0, 0]) == set(pair)


def test_seen_and_held_out_pairs_never_meet():
    for make in (clip_scenes, image_scenes):
        shape, colour = pairs_of(make(0, "train", np.arange(1500)))
        assert (colour != held_out_colour(shape)).all()
        assert len(set(zip(shape.tolist(), colour.tolist(), strict=True))) == len(SHAPES) * (len(COLOURS) - 1)
        shape, colour = pairs_of(make(0, "test", np.arange(300), combinations="held_out"))
        assert (colour == held_out_colour(shape)).all()
        shape, colour = pairs_of(make(0, "test", np.arange(1500), combinations="all"))
        assert len(set(zip(shape.tolist(), colour.tolist(), strict=True))) == len(SHAPES) * len(COLOURS)


@some
@given(st.integers(0, 2**30), st.integers(2, 7))
def test_look_alikes_differ_in_one_shape_only(seed, alike):
    scenes = image_scenes(seed, "train", np.arange(3 * alike), alike=alike)
    assert (scenes.colour != held_out_colour(scenes.shape)).all()
    for group in range(3):
        rows = scenes[group * alike : (group + 1) * alike]
        assert len(set(rows.shape[:, 0])) == alike
        for name in ("colour", "texture", "present", "base", "ground", "offset"):
            assert (getattr(rows, name) == getattr(rows, name)[:1]).all()
        assert (rows.shape[:, 1:] == rows.shape[:1, 1:]).all()


# --- time, forwards and backwards -----------------------------------------------------------------------------------


@some
@given(st.integers(0, 2**30))
def test_reversing_twice_changes_nothing(seed):
    scenes = clip_scenes(seed, "train", np.arange(20))
    twice = scenes.reversed().reversed()
    for f in fields(Scenes):
        assert np.allclose(getattr(twice, f.name), getattr(scenes, f.name), atol=1e-12)
    assert (scenes.reversed().motion[:, 0, 0] == [mirror(m) for m in scenes.motion[:, 0, 0]]).all()


def test_a_reversed_scene_is_the_clip_played_backwards():
    scenes, times = clip_scenes(0, "test", np.arange(48)), np.array([0.0, 0.13, 0.5, 0.61, 1.0])
    assert np.allclose(scenes.reversed().pose(times), scenes.pose(1 - times), atol=1e-12)
    forward, backward = render(scenes, 1 - times), render(scenes.reversed(), times)
    different = (forward.int() - backward.int()).abs().amax(-1) > 1
    assert different.float().mean() < 1e-3  # the last bit of a pose may move an edge


def test_mirrored_classes_hold_the_same_frames():
    """By construction: a class is its mirror image played backwards, so poses agree as bags, moment by moment."""
    for first in range(0, len(MOTIONS), 2):
        scenes = clip_scenes(0, "train", np.arange(3000), motions=(first, mirror(first)))
        second = scenes.motion[:, 0, 0] == mirror(first)
        assert 0.45 < second.mean() < 0.55
        backwards = scenes[second].reversed()  # drawn as the first of the pair: same ranges as those left as drawn
        one, other = scenes[~second].pose(TIMES)[:, 0], backwards.pose(TIMES)[:, 0]
        spread = np.concatenate([one, other]).std(0) + 1e-9
        gap = np.abs(one.mean(0) - other.mean(0)) / (spread * np.sqrt(1 / len(one) + 1 / len(other)))
        assert gap[spread > 1e-6].max() < 4.5
        bags = one.mean(1), scenes[second].pose(TIMES)[:, 0].mean(1)  # as a bag classifier sees them, unreversed
        assert (np.abs(bags[0].mean(0) - bags[1].mean(0)) <= 4.5 * bags[0].std(0) / np.sqrt(len(one) / 2) + 1e-9).all()


def test_motion_between_sampled_frames_is_large_enough():
    scenes = clip_scenes(0, "train", np.arange(400), motions=(0, 1, 2, 3))
    step = np.abs(np.diff(scenes.pose(TIMES)[:, 0, :, [X, Y]], axis=2)).max(1)  # (b, t - 1), in frame widths
    assert np.median(step) > 1 / 8  # a patch of the small CLIP


def test_informative_frames():
    scenes = clip_scenes(0, "train", np.arange(200))
    times = np.linspace(0, 1, 101)
    informative = labels(scenes, times).informative.numpy()
    still = clip_scenes(0, "train", np.arange(200))
    still.drift[:] = 0  # the camera is left out
    moved = np.abs(np.diff(still.pose(times), axis=2)).max((1, 3)) > 1e-9
    for row in range(len(scenes)):
        inside = (times > scenes.start[row, 0, 0]) & (times < scenes.end[row, 0, 0])
        assert (informative[row] == inside).all()
        assert (informative[row, 1:-1] <= moved[row, 1:] | moved[row, :-1]).all()
        assert not (moved[row] & ~informative[row, 1:] & ~informative[row, :-1]).any()


def test_nothing_moves_in_images():
    scenes = image_scenes(0, "train", range(8))
    assert not labels(scenes, TIMES).informative.any()
    frames = render(scenes, [0.0, 1.0])
    assert torch.equal(frames[:, 0], frames[:, 1])


# --- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 96])
def test_batches_of_one_and_of_many_are_equal_bit_for_bit(size):
    scenes = clip_scenes(5, "train", np.arange(40))
    frames, ids = render(scenes, TIMES, size=size, ids=True)
    assert frames.shape == (40, 4, size, size, 3) and frames.dtype == torch.uint8 and ids.shape == frames.shape[:-1]
    for row in (0, 17, 39):
        one, one_ids = render(scenes[row], TIMES, size=size, ids=True)
        assert torch.equal(one[0], frames[row]) and torch.equal(one_ids[0], ids[row])
        single = render(scenes[row], TIMES[2:3], size=size)
        assert torch.equal(single[0, 0], frames[row, 2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_draws_what_the_cpu_draws():
    scenes = clip_scenes(5, "train", np.arange(64))
    cpu, gpu = render(scenes, TIMES), render(scenes, TIMES, device="cuda").cpu()
    assert ((cpu.int() - gpu.int()).abs().amax(-1) > 2).float().mean() < 1e-3


def test_colours_are_the_named_ones():
    from minilib.world.render import COLOUR_RGB

    scenes = image_scenes(0, "test", np.arange(64), objects=1)
    scenes.texture[:] = 0
    frames, ids = render(scenes, [0.5], ids=True)
    for row in range(len(scenes)):
        inside = frames[row, 0][ids[row, 0] == 1].float()
        assert torch.equal(inside.median(0).values, torch.tensor(COLOUR_RGB[scenes.colour[row, 0]]).float())


def test_object_0_lies_on_top_and_covers_the_others():
    scenes = image_scenes(0, "train", np.arange(40), objects=2)
    scenes.base[:, 1, :2] = scenes.base[:, 0, :2] + 0.08  # half covered
    alone = image_scenes(0, "train", np.arange(40), objects=2)
    alone.base[:, 1, :2] = scenes.base[:, 1, :2]
    alone.present[:, 0] = False
    seen, whole = (masks(render(s, [0.5], ids=True)[1], 4).sum((-2, -1))[:, 0] for s in (scenes, alone))
    free = masks(render(image_scenes(0, "train", np.arange(40), objects=1), [0.5], ids=True)[1], 4).sum((-2, -1))[:, 0]
    assert (seen[:, 0] == free[:, 0]).all()
    assert (seen[:, 1] < whole[:, 1]).all()


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels_agree_with_the_scene():
    scenes = clip_scenes(2, "val", np.arange(100))
    found = labels(scenes, TIMES)
    for row in range(100):
        assert SHAPES[found.noun[row]] == SHAPES[scenes.shape[row, 0]]
        assert APPEARANCES[found.appearance[row]] == f"{SHAPES[scenes.shape[row, 0]]} on {GROUNDS[scenes.ground[row]]}"
    assert torch.equal(found.verb, found.motion) and found.motion.tolist() == scenes.motion[:, 0, 0].tolist()
    assert len(APPEARANCES) == len(SHAPES) * len(GROUNDS) == len(set(APPEARANCES))


def test_masks_and_boxes_against_a_loop():
    scenes = clip_scenes(1, "test", np.arange(30))
    ids = render(scenes, TIMES, ids=True)[1]
    found = masks(ids, 4)
    box = boxes(found)
    assert (found.sum(2) <= 1).all()
    for b in range(30):
        for t in range(len(TIMES)):
            for o in range(4):
                expected = ids[b, t].numpy() == o + 1
                assert (found[b, t, o].numpy() == expected).all()
                if not expected.any():
                    assert box[b, t, o].tolist() == [0, 0, 0, 0]
                    continue
                y, x = np.nonzero(expected)
                assert box[b, t, o].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert not found[:, :, :][~torch.as_tensor(scenes.present)[:, None].expand(-1, len(TIMES), -1)].any()


@some
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**30))
def test_boxes_are_tight_for_any_mask(height, width, seed):
    mask = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) < 0.1
    for one, (x0, y0, x1, y1) in zip(mask, boxes(mask).tolist(), strict=True):
        assert one.sum() == one[y0:y1, x0:x1].sum()
        if one.any():
            inside = one[y0:y1, x0:x1]
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        else:
            assert (x0, y0, x1, y1) == (0, 0, 0, 0)


def test_captions_say_what_is_there():
    scenes = image_scenes(0, "train", np.arange(200))
    for row, text in enumerate(image_captions(scenes)):
        parts, ground = text.rsplit(" on ", 1)
        parts = parts.split(" and ")
        assert ground == GROUNDS[scenes.ground[row]] and len(parts) == scenes.present[row].sum()
        for o, part in enumerate(parts):
            article, size, colour, shape, *place = part.split()
            assert (article, colour, shape) == ("a", COLOURS[scenes.colour[row, o]], SHAPES[scenes.shape[row, o]])
            assert size == SIZES[int(np.exp(scenes.base[row, o, LOG_RADIUS]) > 0.16)]
            x, y = scenes.base[row, o, :2]
            assert " ".join(place) == PLACES[int(y * 3) * 3 + int(x * 3)]


# --- batches ---------------------------------------------------------------------------------------------------------


def test_batches_are_functions_of_the_step():
    at = train_batches("motion", 4, 8, 2)
    frames, truth = at(3)
    again, _ = clip_batch("motion", 4, "train", np.arange(24, 32), 2)
    assert torch.equal(frames, again) and truth.shape == (8,) and frames.shape == (8, 2, 64, 64, 3)


def test_a_limit_gives_every_clip_once_an_epoch():
    at = train_batches("appearance", 4, 6, 1, limit=12, size=32)
    epochs = [[f.numpy().tobytes() for step in steps for f in at(step)[0]] for steps in ((0, 1), (2, 3))]
    assert len(set(epochs[0])) == 12 and set(epochs[0]) == set(epochs[1]) and epochs[0] != epochs[1]


def test_shuffled_clips_keep_their_frames():
    frames, _ = clip_batch("motion", 0, "test", np.arange(4), 3, size=32)
    damaged = shuffled(frames)
    assert not torch.equal(frames, damaged)
    assert torch.equal(frames.int().sum(1), damaged.int().sum(1))  # the same bag of frames


# --- the two proofs --------------------------------------------------------------------------------------------------


def test_what_the_views_of_a_clip_keep():
    from minilib.world.proofs import bag, compared, in_order

    features = np.random.default_rng(0).standard_normal((5, 4, 3))
    naive = [
        [sum(x[t, i] * x[t + 1, j] - x[t, j] * x[t + 1, i] for t in range(3)) for i, j in ((0, 1), (0, 2), (1, 2))]
        for x in features
    ]
    assert np.allclose(compared(features), naive)
    assert np.allclose(compared(features[:, ::-1]), -compared(features))
    assert np.allclose(bag(features[:, ::-1]), bag(features), atol=1e-15)
    assert np.array_equal(in_order(features)[:, 3:6], features[:, 1])


def test_the_proofs_refuse_nonsense():
    from minilib.models.clip import TINY, build
    from minilib.world.proofs import one_frame_is_enough, order_is_needed

    clip = build(TINY, tokenize=lambda texts: None)
    for proof, arguments in (
        (order_is_needed, {"frames": 1}),
        (order_is_needed, {"train": 1}),
        (one_frame_is_enough, {"test": 0}),
    ):
        with pytest.raises(BadInput, match=proof.__name__):
            proof(clip, **arguments)


def test_motion_needs_order():
    """1100 clips a pair: a standard error of 1.5 points, so five points are more than three of them."""
    from minilib.models.small_clip import small_clip
    from minilib.world.proofs import order_is_needed

    proof = order_is_needed(small_clip(), test=1100)
    assert proof.error < 1.55
    for pair in proof.pairs:
        assert 45 <= pair.bag <= 55, pair
        assert pair.bag_keeps == 100 and pair.bag_reversed == pytest.approx(100 - pair.bag), pair
        assert max(min(pair.ordered, pair.ordered_reversed), min(pair.compared, pair.compared_reversed)) > 65, pair
    assert sum(pair.ordered > 90 and pair.ordered_reversed > 90 for pair in proof.pairs) >= 5


def test_appearance_needs_one_frame():
    from minilib.models.small_clip import small_clip
    from minilib.world.proofs import one_frame_is_enough

    proof = one_frame_is_enough(small_clip())
    assert proof.share >= 90 and proof.all > 100 / len(APPEARANCES) * 10

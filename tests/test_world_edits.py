"""Edits of the small world: only what is edited differs, and the true result is there."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilib.errors import BadInput
from minilib.models.small_clip import tokenize
from minilib.world import edit_batch, edit_scenes
from minilib.world.draws import SPLITS
from minilib.world.edits import KINDS, LOCAL, RADII
from minilib.world.scenes import LOG_RADIUS
from minilib.world.vocabulary import COLOURS, GROUNDS, MOTIONS, SHAPES, SPINNABLE, TEXTURES, held_out_colour

CLIPS = np.arange(40)


@pytest.mark.parametrize("size", RADII)
@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_edited_changes(kind, size):
    source, target = edit_scenes(kind, size, 0, "train", CLIPS)
    for field in fields(source):
        before, after = getattr(source, field.name), getattr(target, field.name)
        if field.name == kind:
            first = (before, after) if kind == "ground" else (before[:, 0], after[:, 0])
            assert (first[0] != first[1]).all()
            assert kind == "ground" or (before[:, 1:] == after[:, 1:]).all()
        else:
            assert np.array_equal(before, after), field.name
    assert (source.present == [True, False, False, False]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_seen_ones_and_every_target_occurs(kind):
    scenes = edit_scenes(kind, "small", 1, "test", np.arange(600))
    for each in scenes:
        assert (each.colour[:, 0] != held_out_colour(each.shape[:, 0])).all()
        spins = each.motion[:, 0, 0] >= MOTIONS.index("spinning clockwise")
        assert spins.any() and np.isin(each.shape[spins, 0], SPINNABLE).all()
    words = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES, "ground": GROUNDS}[kind]
    after = getattr(scenes[1], kind)
    assert set(after if kind == "ground" else after[:, 0]) == set(range(len(words)))


@settings(max_examples=15)
@given(
    kind=st.sampled_from(KINDS),
    size=st.sampled_from(list(RADII)),
    seed=st.integers(0, 2**40),
    split=st.sampled_from(SPLITS),
    indices=st.lists(st.integers(0, 2**40), min_size=2, max_size=4),
)
def test_an_edit_depends_on_seed_and_index_alone(kind, size, seed, split, indices):
    together = edit_batch(kind, size, seed, split, indices, 2, size=32)
    alone = edit_batch(kind, size, seed, split, indices[-1:], 2, size=32)
    for one, all_ in ((alone.source, together.source), (alone.target, together.target)):
        assert one.prompts == all_.prompts[-1:]
        for name in ("pixels", "mask", "touched"):
            assert torch.equal(getattr(one, name)[0], getattr(all_, name)[-1]), name


def test_every_kind_edits_the_same_source():
    pixels = [edit_batch(kind, "medium", 2, "val", CLIPS[:4], 3).source.pixels for kind in KINDS]
    assert all(torch.equal(pixels[0], each) for each in pixels)


@pytest.mark.parametrize("size", RADII)
@pytest.mark.parametrize("kind", LOCAL)
def test_outside_the_foreground_a_local_edit_changes_nothing(kind, size):
    edits = edit_batch(kind, size, 3, "test", CLIPS, 4)
    changed = (edits.source.pixels != edits.target.pixels).any(-1)
    assert not (changed & ~edits.foreground).any()
    assert changed.flatten(2).any(2).all()  # it is seen in every frame
    assert not (edits.source.mask & ~edits.source.touched).any()
    assert edits.foreground.float().mean() < 1.6 * (edits.source.mask | edits.target.mask).float().mean()


def test_a_new_ground_leaves_the_object_as_it_is():
    edits = edit_batch("ground", "large", 0, "test", CLIPS, 3)
    assert torch.equal(edits.source.mask, edits.target.mask)
    same = (edits.source.pixels == edits.target.pixels).all(-1)
    assert same[edits.source.mask].float().mean() > 0.9  # edges are blended with the ground
    assert same[~edits.source.mask].float().mean() < 0.05


def test_sizes_are_apart():
    area = [
        edit_batch("colour", size, 0, "train", CLIPS, 3).source.mask.float().mean((1, 2, 3)).median() for size in RADII
    ]
    for size, (low, high) in RADII.items():
        scenes = edit_scenes("shape", size, 0, "train", CLIPS)[0]
        middle = np.exp((scenes.pose(np.array([0.0, 1.0]))[:, 0, :, LOG_RADIUS]).mean(1))
        assert (middle >= low - 1e-9).all() and (middle <= high + 1e-9).all()
    assert 0.01 < area[0] < area[1] / 1.8 and area[1] < area[2] / 1.8 and area[2] < 0.25


def test_prompts_say_what_changes():
    for kind in ("shape", "colour", "ground"):
        edits = edit_batch(kind, "small", 0, "train", CLIPS, 1, size=16)
        tokenize(edits.source.prompts + edits.target.prompts)  # words of the shipped model
        scenes = edit_scenes(kind, "small", 0, "train", CLIPS)
        for video, each in zip((edits.source, edits.target), scenes, strict=True):
            for row, text in enumerate(video.prompts):
                _, colour, shape, _, ground = text.split()
                assert colour == COLOURS[each.colour[row, 0]] and shape == SHAPES[each.shape[row, 0]]
                assert ground == GROUNDS[each.ground[row]]
        differ = [
            sum(x != y for x, y in zip(a.split(), b.split(), strict=True))
            for a, b in zip(edits.source.prompts, edits.target.prompts, strict=True)
        ]
        assert differ == [1] * len(CLIPS)


def test_texture_is_said_only_where_it_is_asked_for():
    edits = edit_batch("texture", "small", 0, "train", CLIPS, 1, size=16)
    source, target = edit_scenes("texture", "small", 0, "train", CLIPS)
    for video, scenes in ((edits.source, source), (edits.target, target)):
        for row, text in enumerate(video.prompts):
            shape, texture = SHAPES[scenes.shape[row, 0]], TEXTURES[scenes.texture[row, 0]]
            assert text.split()[2:4] == [texture, shape]
    quiet = edit_batch("texture", "small", 0, "train", CLIPS, 1, size=16, say_texture=False)
    assert quiet.source.prompts == quiet.target.prompts
    assert (
        len(edit_batch("shape", "small", 0, "train", [0], 1, size=16, say_texture=True).source.prompts[0].split()) == 6
    )


@pytest.mark.parametrize(
    ("kind", "size", "split", "reason"),
    [
        ("motion", "small", "train", "shape, colour, texture, ground"),
        ("shape", "tiny", "train", "small, medium, large"),
        ("shape", "small", "tests", "the small world has train"),
    ],
)
def test_unknown_edits_are_refused(kind, size, split, reason):
    with pytest.raises(BadInput, match=reason):
        edit_batch(kind, size, 0, split, [0], 1)

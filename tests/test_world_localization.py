"""The localization task's clips: what is there, and that there is something to win on a grid of patches."""

import numpy as np
import pytest
import torch

from minilib.errors import BadInput
from minilib.metrics.localization import best
from minilib.papers.open_vocabulary.joint import mask_boxes
from minilib.world.localization import AT_MOST, SIZE, localization_batch, localization_scenes, patch_masks
from minilib.world.vocabulary import held_out_colour


def test_clips_depend_on_seed_split_and_index_alone():
    one, many = (localization_batch(3, "val", np.arange(a, 4), 2, 32) for a in (3, 0))
    assert torch.equal(one.frames[0], many.frames[3]) and torch.equal(one.boxes[0], many.boxes[3])
    assert not torch.equal(localization_batch(3, "test", [3], 2, 32).frames[0], one.frames[0])
    with pytest.raises(BadInput, match="split"):
        localization_scenes(0, "tset", [0])


def test_one_to_three_objects_that_all_move_and_pairs_that_are_held_out():
    scenes = localization_scenes(0, "train", np.arange(200))
    assert np.unique(scenes.present.sum(1)).tolist() == list(range(1, AT_MOST + 1))
    moved = np.linalg.norm(scenes.delta[:, :, 0, :2], axis=-1)[scenes.present]
    assert moved.min() > 0.19
    pairs = scenes.colour == held_out_colour(scenes.shape)
    assert not pairs[scenes.present].any()
    held = localization_scenes(0, "test", np.arange(50), combinations="held_out")
    assert (held.colour == held_out_colour(held.shape))[held.present].all()


def test_the_oracle_leaves_something_to_win():
    clips = localization_batch(0, "val", np.arange(24), 4)
    objects = clips.names.shape[1]
    assert clips.there.any(2).float().mean() > 0.97
    inside = (clips.boxes >= 0).all() and (clips.boxes <= SIZE).all()
    assert inside and (clips.boxes[..., 2:] > clips.boxes[..., :2])[clips.there].all()
    found = {}
    for grid in (8, 12):
        masks = patch_masks(clips.ids, grid, objects)
        assert (masks.sum(2) == 1).all()
        boxes = mask_boxes(masks[:, :, 1:], SIZE // grid)
        found[grid] = float((best(boxes, clips.boxes) > 0.5)[clips.there].float().mean())
    assert found[12] > 0.9 > found[8]
    with pytest.raises(BadInput, match="7 x 7 patches"):
        patch_masks(clips.ids, 7, objects)

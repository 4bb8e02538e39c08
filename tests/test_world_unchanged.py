"""The clips of the first tasks stay as they are, bit for bit: what was measured on them stays valid.

The hashes were taken before any other task was added. Another processor or library may round a pixel in some thousands
differently: if hashes of frames alone fail there, compare with an older commit on the same machine.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from minilib.world import WorldClips, clip_batch, image_scenes, long_scenes, render, segmentation_batch, train_batches

BATCHES = {
    "motion": (lambda: clip_batch("motion", 3, "train", np.arange(40, 48), 4), "673987896f87b114", "f9c1c8aeb2344160"),
    "appearance": (
        lambda: clip_batch("appearance", 0, "test", [0, 9, 2**20], 2, combinations="held_out"),
        "cf93409013f2c078",
        "fb89ded6b1aa2e91",
    ),
    "noun": (
        lambda: clip_batch("noun", 7, "val", np.arange(6), 3, size=32, motions=(6, 7)),
        "ccd43c90a557e07f",
        "764abc1acbd36b12",
    ),
    "epochs": (lambda: train_batches("motion", 1, 8, 2, limit=12)(4), "663d2684cfb39efd", "139e59f7c287c327"),
    "segmentation": (lambda: segmentation_batch(2, "test", np.arange(5), 3), "345eaede707dc1c0", "1f3e774bdbc8f7d7"),
    "images": (
        lambda: render(image_scenes(0, "train", range(8), alike=4), [0.5], ids=True),
        "28534c22ba409a16",
        "8f74e40230b54ff0",
    ),
    "long": (
        lambda: render(long_scenes(0, "val", range(3)), [0.2, 0.6], ids=True),
        "216591bc57743a86",
        "0b95220744b7d1d3",
    ),
}
CLIPS = WorldClips("noun", 5, "test", 20, 4, 2, shuffle=1)
KEY = (
    "seed=5 split=test count=20 steps=4 every=2 shuffle=1 combinations=seen "
    "motions=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) size=64"
)


def digest(x: torch.Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_what_they_were(name):
    make, frames, truth = BATCHES[name]
    found = make()
    assert (digest(found[1]), digest(found[0])) == (truth, frames), name


def test_clips_and_their_key_are_what_they_were():
    assert CLIPS.key() == KEY
    assert (digest(CLIPS.labels([3, 19])), digest(CLIPS.frames([3, 19]))) == ("60aade2bc7d803d2", "241a37c0543162c0")

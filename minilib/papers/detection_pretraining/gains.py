"""Where detection pretraining gains (Tables 4.4e and 4.5), as differences of two scores in points.

`gain/<pretext>/<what>`: over classification pretraining on some of the frames, or of a slower or coarser stream over
the same pretext's X3D, or of Coarse-Fine with wider Gaussians over sigma = T / 32.

Axes: n clips, t frames, k classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minilib.metrics.detection import actions_per_frame, detection_score, near_boundary
from minilib.papers.detection_pretraining.arms import AUGMENTED, Member, coarse, coarse_fine, slow
from minilib.papers.detection_pretraining.runs import Recipe, probabilities

FRAMES: dict[str, Callable[[Tensor], Tensor]] = {  # labels (n, t, k) -> which frames (n, t)
    "single": lambda labels: actions_per_frame(labels) == 1,
    "several": lambda labels: actions_per_frame(labels) > 1,
    "boundary": lambda labels: torch.stack([near_boundary(each) for each in labels]),
    "inside": lambda labels: ~torch.stack([near_boundary(each) for each in labels]),
}
STREAMS = {"coarse": coarse, "slow": slow}
SIGMAS = {"sigma_16": 1 / 16, "sigma_8": 1 / 8}
NAMES = (
    *(f"gain/{pretext}/{what}" for pretext in AUGMENTED for what in FRAMES),
    *(f"gain/{pretext}/{what}" for pretext in ("cls", *AUGMENTED) for what in STREAMS),
    *(f"gain/{pretext}/{what}" for pretext in ("cls", "vc") for what in SIGMAS),
)


def score(
    members: tuple[Member, ...],
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    frames: Callable[[Tensor], Tensor] | None = None,
    split: str = "test",
) -> float:
    """mAP in percent over every frame of the evaluation clips, or over those that `frames` picks by their labels."""
    found, labels = probabilities(members, recipe, seed, device, split), recipe.clips(split, seed).rendered.labels
    if frames is None:
        return detection_score(found.flatten(0, 1), labels.flatten(0, 1)).mean
    chosen = frames(labels)
    return detection_score(found[chosen], labels[chosen]).mean


def gain(name: str, recipe: Recipe, seed: int, device: str = "cpu", split: str = "test") -> float:
    """One of NAMES."""
    _, pretext, what = name.split("/")
    frames = FRAMES.get(what)
    if frames is not None:
        more, less = Member(pretext), Member("cls")
    elif what in STREAMS:
        more, less = STREAMS[what](pretext), Member(pretext)
    else:
        more, less = (coarse_fine(pretext, pretext, width) for width in (SIGMAS[what], 1 / 32))
    with_, without = (score((member,), recipe, seed, device, frames, split) for member in (more, less))
    return with_ - without

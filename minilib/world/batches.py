"""Batches of the small world for training and evaluation: functions of a step, so that a run can stop and go on.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.labels import APPEARANCES, labels
from minilib.world.render import render
from minilib.world.scenes import clip_scenes
from minilib.world.vocabulary import MOTIONS, SHAPES

TASKS = {"motion": MOTIONS, "appearance": APPEARANCES, "noun": SHAPES}


def sample_times(frames: int) -> np.ndarray:
    """The middles of `frames` equal segments of a clip, as TSN samples at test time: (t,) in [0, 1]."""
    return (np.arange(frames) + 0.5) / frames


def clip_batch(task: str, seed: int, split: str, indices, frames: int, **how) -> tuple[Tensor, Tensor]:
    """Frames uint8 (b, t, h, w, 3) and labels int64 (b,) of the clips `indices`.

    how: size, device (for rendering), combinations, motions (for the scenes).
    """
    if task not in TASKS:
        raise BadInput(f"task {task!r}: the small world has {', '.join(TASKS)}")
    pixels = {key: how.pop(key) for key in ("size", "device") if key in how}
    scenes = clip_scenes(seed, split, indices, **how)
    times = sample_times(frames)
    return render(scenes, times, **pixels), getattr(labels(scenes, times), task)


def epoch_indices(seed: int, step: int, batch: int, limit: int | None = None) -> np.ndarray:
    """Clips of a training step: (b,). They never repeat, or with `limit` are below it, in a new order every epoch."""
    indices = np.arange(step * batch, (step + 1) * batch)
    if limit is None:
        return indices
    epoch, place = np.divmod(indices, limit)
    orders = {e: np.random.default_rng((seed, e)).permutation(limit) for e in np.unique(epoch)}
    return np.array([orders[e][p] for e, p in zip(epoch, place, strict=True)])


def train_batches(
    task: str, seed: int, batch: int, frames: int, limit: int | None = None, **how
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """step -> batch, of the clips of `epoch_indices`."""

    def at(step: int) -> tuple[Tensor, Tensor]:
        return clip_batch(task, seed, "train", epoch_indices(seed, step, batch, limit), frames, **how)

    return at


def held_batches(
    task: str,
    seed: int,
    count: int,
    frames: int,
    split: str = "test",
    batch: int = 64,
    change: Callable[[Tensor], Tensor] = lambda frames: frames,
    **how,
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Batches of ([one view], labels); `change` may damage the frames, as negative controls do."""
    for start in range(0, count, batch):
        frames_, label = clip_batch(task, seed, split, np.arange(start, min(start + batch, count)), frames, **how)
        yield [change(frames_)], label


def shuffled(frames: Tensor, seed: int = 0) -> Tensor:
    """The frames of each clip in a random order of its own: a negative control for anything that needs time."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(frames.shape[:2], generator=generator).argsort(1).to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], order]

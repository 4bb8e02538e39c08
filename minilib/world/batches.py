"""Batches of the small world for training and evaluation: functions of a step, so that a run can stop and go on.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from minilib.world.labels import labels
from minilib.world.render import render
from minilib.world.tasks import CLIP_TASKS, task_scenes


def sample_times(frames: int) -> np.ndarray:
    """The middles of `frames` equal segments of a clip, as TSN samples at test time: (t,) in [0, 1]."""
    return (np.arange(frames) + 0.5) / frames


def clip_batch(
    task: str,
    seed: int,
    split: str,
    indices,
    frames: int,
    *,
    size: int = 64,
    device: torch.device | str = "cpu",
    combinations: str = "seen",
    motions: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """Frames uint8 (b, t, h, w, 3) of square `size`, on `device`, and labels int64 (b,) into TASKS[task].

    motions: those that the clips are drawn from, indices into the motions of the task (TIMINGS for "timing", else
    MOTIONS); None for all.
    """
    scenes = task_scenes(task, seed, split, indices, combinations, motions)
    times = sample_times(frames)
    return render(scenes, times, size, device), getattr(labels(scenes, times), CLIP_TASKS[task].label)


def epoch_indices(seed: int, step: int, batch: int, limit: int | None = None) -> np.ndarray:
    """Clips of a training step: (b,). They never repeat, or with `limit` are below it, in a new order every epoch."""
    indices = np.arange(step * batch, (step + 1) * batch)
    if limit is None:
        return indices
    epoch, place = np.divmod(indices, limit)
    orders = {e: np.random.default_rng((seed, e)).permutation(limit) for e in np.unique(epoch)}
    return np.array([orders[e][p] for e, p in zip(epoch, place, strict=True)])


def train_batches(
    task: str,
    seed: int,
    batch: int,
    frames: int,
    limit: int | None = None,
    *,
    size: int = 64,
    device: torch.device | str = "cpu",
    combinations: str = "seen",
    motions: tuple[int, ...] | None = None,
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """step -> batch, of the clips of `epoch_indices`."""
    settings = dict(size=size, device=device, combinations=combinations, motions=motions)

    def at(step: int) -> tuple[Tensor, Tensor]:
        return clip_batch(task, seed, "train", epoch_indices(seed, step, batch, limit), frames, **settings)

    return at


def shuffled(frames: Tensor, seed: int = 0) -> Tensor:
    """The frames of each clip in a random order of its own: a negative control for anything that needs time."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(frames.shape[:2], generator=generator).argsort(1).to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], order]

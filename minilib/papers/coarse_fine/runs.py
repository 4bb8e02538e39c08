"""The small world's detection task: long clips in which little happens, training on them, and mAP over all frames.

Clips are rendered once and kept in memory. What a model is fed is a function of clip indices: the frames, or frames
with the levels of a frozen fine stream, which run once and are kept too, as the released Coarse-Fine code does.

    train(model, batches(clips, 8, seed), recipe, clips.classes, objective=detection)
    detection_map(model, LongClips("test", 256))

Axes: b clips of a batch, n all clips, t frames, h and w pixels, c channels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from minilib.metrics.detection import every_frame
from minilib.models.x3d import X3D
from minilib.training import Batches
from minilib.world import (
    LONG_TASKS,
    SPARSE,
    Rhythm,
    epoch_indices,
    long_labels,
    long_scenes,
    render,
    sample_times,
    shuffled,
)

Inputs = Callable[[np.ndarray], object]  # indices (b,) -> what the model is called with, anything with `to(device)`


class Rendered(NamedTuple):
    """frames uint8 (n, t, h, w, 3), labels float (n, t, k), informative bool (n, t): whether anything happens."""

    frames: Tensor
    labels: Tensor
    informative: Tensor


@dataclass(frozen=True)
class LongClips:
    """`count` clips of a split: a function of its fields alone, rendered when first asked for.

    shuffle: the frames of each clip, and their labels with them, in a random order.
    """

    split: str
    count: int
    seed: int = 0
    frames: int = 64
    size: int = 32
    rhythm: Rhythm = SPARSE
    task: str = "motion"
    shuffle: bool = False

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> tuple[str, ...]:
        return LONG_TASKS[self.task][0]

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def rendered(self) -> Rendered:
        return _rendered(self)

    def __call__(self, indices: np.ndarray) -> Tensor:
        """Frames uint8 (b, t, h, w, 3)."""
        return self.rendered.frames[indices]

    def labels(self, indices: np.ndarray) -> Tensor:
        """(b, t, k), 1 where an action goes on."""
        return self.rendered.labels[indices]


@lru_cache(maxsize=6)
def _rendered(clips: LongClips) -> Rendered:
    if clips.shuffle:
        return Rendered(*(shuffled(each) for each in _rendered(replace(clips, shuffle=False))))
    times = sample_times(clips.frames)
    scenes = long_scenes(clips.seed, clips.split, np.arange(clips.count), rhythm=clips.rhythm)
    labels = long_labels(scenes, times, clips.task)
    return Rendered(render(scenes, times, clips.size).contiguous(), labels.frames.float(), labels.informative)


# --- stored fine features --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WithLevels:
    """Frames (b, t, h, w, 3) and the fine stream's five levels of them, (b, c, t, h', w') each."""

    frames: Tensor
    levels: list[Tensor]

    def to(self, device, non_blocking: bool = False) -> WithLevels:
        to = lambda x: x.to(device, non_blocking=non_blocking)  # noqa: E731
        return WithLevels(to(self.frames), [to(level).float() for level in self.levels])


class StoredLevels:
    """Feeds clips with the levels of a fine stream that stays as it is; all of them are made here, in half precision.

    As `coarse_fine.stored_levels`, but each level keeps its own size: frames are so small that conv5 has one place.
    """

    @torch.no_grad()
    def __init__(self, fine: X3D, clips: LongClips, device: str = "cpu", batch: int = 32):
        fine.to(device).eval()
        self.clips = clips
        parts = [
            [level.half().cpu() for level in fine.features(clips(indices).to(device))]
            for indices in _in_order(len(clips), batch)
        ]
        self.levels = [torch.cat(level) for level in zip(*parts, strict=True)]

    def __call__(self, indices: np.ndarray) -> WithLevels:
        return WithLevels(self.clips(indices), [level[indices] for level in self.levels])


class OnLevels(nn.Module):
    """A coarse stream with a fusion, called with `WithLevels`; so the fine stream costs nothing in training."""

    def __init__(self, coarse: nn.Module):
        super().__init__()
        self.coarse = coarse

    def forward(self, given: WithLevels) -> Tensor:
        return self.coarse(given.frames, given.levels)


# --- training and evaluation -----------------------------------------------------------------------------------------


def _in_order(count: int, batch: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + batch, count)) for start in range(0, count, batch)]


def batches(clips: LongClips, size: int, seed: int, inputs: Inputs | None = None) -> Batches:
    """step -> (input, labels) for `minilib.training.train`, in a new order every epoch; `inputs`: by default frames."""
    inputs = inputs or clips

    def at(step: int):
        indices = epoch_indices(seed, step, size, len(clips))
        return inputs(indices), clips.labels(indices)

    return at


@torch.no_grad()
def predictions(
    model: nn.Module, clips: LongClips, device: str = "cpu", inputs: Inputs | None = None, batch: int = 32
) -> Tensor:
    """Probabilities (n, t, k) of all clips in order."""
    inputs, model = inputs or clips, model.to(device).eval()
    parts = [model(inputs(indices).to(device)).sigmoid().float().cpu() for indices in _in_order(len(clips), batch)]
    return torch.cat(parts)


def detection_map(model: nn.Module, clips: LongClips, device: str = "cpu", inputs: Inputs | None = None) -> float:
    """mAP over every frame of all clips, in percent: the protocol of the thesis' ablations."""
    return every_frame(list(predictions(model, clips, device, inputs)), list(clips.rendered.labels)).mean

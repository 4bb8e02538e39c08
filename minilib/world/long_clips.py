"""Fixed sets of long clips with the labels of every frame: what temporal detection trains and tests on.

Axes: b clips, n all clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch import Tensor

from minilib.world.batches import sample_times, shuffled
from minilib.world.long import LONG_TASKS, SPARSE, Rhythm, long_labels, long_scenes
from minilib.world.render import render


class Rendered(NamedTuple):
    """frames uint8 (n, t, h, w, 3), labels float (n, t, k), informative bool (n, t): whether anything happens."""

    frames: Tensor
    labels: Tensor
    informative: Tensor


@dataclass(frozen=True)
class LongClips:
    """The first `count` clips of a split, `steps` frames of `size` pixels a side each: a function of its fields alone,
    rendered when first asked for and kept in memory.

    shuffle: the frames of each clip, and their labels with them, in a random order: a negative control.
    """

    split: str
    count: int
    seed: int = 0
    steps: int = 64
    size: int = 32
    rhythm: Rhythm = SPARSE
    task: str = "motion"
    shuffle: bool = False

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> tuple[str, ...]:
        """The k classes."""
        return LONG_TASKS[self.task][0]

    @property
    def rendered(self) -> Rendered:
        """All clips."""
        return _rendered(self)

    def frames(self, indices) -> Tensor:
        """uint8 (b, t, h, w, 3)."""
        return self.rendered.frames[indices]

    def labels(self, indices) -> Tensor:
        """(b, t, k), 1 where an action goes on."""
        return self.rendered.labels[indices]


@lru_cache(maxsize=16)  # of some 100 MB each: train and test of the seeds that a process meets
def _rendered(clips: LongClips) -> Rendered:
    if clips.shuffle:
        return Rendered(*(shuffled(each) for each in _rendered(replace(clips, shuffle=False))))
    times = sample_times(clips.steps)
    scenes = long_scenes(clips.seed, clips.split, np.arange(clips.count), rhythm=clips.rhythm)
    labels = long_labels(scenes, times, clips.task)
    return Rendered(render(scenes, times, clips.size).contiguous(), labels.frames.float(), labels.informative)

"""A fixed set of the small world's clips: what a cache of features can be made of.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.batches import TASKS, sample_times
from minilib.world.labels import labels
from minilib.world.render import render
from minilib.world.scenes import COMBINATIONS, SPLITS, clip_scenes
from minilib.world.vocabulary import MOTIONS


@dataclass(frozen=True)
class WorldClips:
    """The first `count` clips of a split with `steps` frames each: every `every`-th of `steps * every`.

    The `steps * every` are the middles of equal segments, as `clip_batch` samples them, and the first is kept (DiST's
    sparse frames, every = gamma). `shuffle`, a seed, puts them in a random order of each clip's own before, so that
    dense and sparse frames of a clip are damaged alike: a negative control for anything that needs time.
    """

    task: str
    seed: int
    split: str
    count: int
    steps: int
    every: int = 1
    shuffle: int | None = None
    combinations: str = "seen"
    motions: tuple[int, ...] = tuple(range(len(MOTIONS)))
    size: int = 64

    def __post_init__(self):
        for name, value, allowed in (
            ("task", self.task, TASKS),
            ("split", self.split, SPLITS),
            ("combinations", self.combinations, COMBINATIONS),
        ):
            if value not in allowed:
                raise BadInput(f"{name} {value!r}: the small world has {', '.join(allowed)}")
        if min(self.count, self.steps, self.every) < 1:
            raise BadInput(f"{self.count} clips, {self.steps} frames, every {self.every}: each must be 1 or more")

    def __len__(self) -> int:
        return self.count

    def key(self) -> str:
        """All that makes the frames, in words. The task is left out: it only says which labels are read."""
        return " ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "task")

    def frames(self, indices) -> Tensor:
        """uint8 (b, t, h, w, 3)."""
        times = sample_times(self.steps * self.every)
        if self.shuffle is None:
            return render(self._scenes(indices), times[:: self.every], self.size)
        orders = [np.random.default_rng((self.shuffle, i)).permutation(len(times)) for i in self._checked(indices)]
        kept = torch.as_tensor(np.stack(orders)[:, :: self.every])
        return render(self._scenes(indices), times, self.size)[torch.arange(len(kept))[:, None], kept]

    def labels(self, indices) -> Tensor:
        """int64 (b,)."""
        return getattr(labels(self._scenes(indices), sample_times(self.steps)), self.task)

    def _scenes(self, indices):
        return clip_scenes(
            self.seed, self.split, self._checked(indices), combinations=self.combinations, motions=self.motions
        )

    def _checked(self, indices) -> np.ndarray:
        indices = np.atleast_1d(indices)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.count:
            raise BadInput(f"clips {indices.min()} to {indices.max()}: there are clips 0 to {self.count - 1}")
        return indices

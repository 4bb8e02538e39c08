"""A fixed set of the small world's clips: what a cache of features can be made of.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.batches import sample_times
from minilib.world.labels import labels
from minilib.world.render import render
from minilib.world.scenes import Scenes
from minilib.world.tasks import CLIP_TASKS, check_names, checked_motions, task_scenes


@dataclass(frozen=True)
class WorldClips:
    """The first `count` clips of a split with `steps` frames each: every `every`-th of `steps * every`.

    The `steps * every` are the middles of equal segments, as `clip_batch` samples them, and the first is kept (DiST's
    sparse frames, every = gamma). `motions`, as for `clip_batch`, are those that the clips are drawn from. `shuffle`, a
    seed, puts the frames in a random order of each clip's own before, so that dense and sparse frames of a clip are
    damaged alike: a negative control for anything that needs time.
    """

    task: str
    seed: int
    split: str
    count: int
    steps: int
    every: int = 1
    shuffle: int | None = None
    combinations: str = "seen"
    motions: tuple[int, ...] | None = None
    size: int = 64

    def __post_init__(self):
        checked_motions(self.task, self.motions)
        check_names(self.split, self.combinations)
        if min(self.count, self.steps, self.every) < 1:
            raise BadInput(f"{self.count} clips, {self.steps} frames, every {self.every}: each must be 1 or more")

    def __len__(self) -> int:
        return self.count

    def key(self) -> str:
        """All that makes the frames, in words. Of the task only its kind of clips, where they are not the plain ones:
        the rest says which labels are read."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "task"}
        named["motions"] = checked_motions(self.task, self.motions)
        if CLIP_TASKS[self.task].clips != "plain":
            named["clips"] = CLIP_TASKS[self.task].clips
        return " ".join(f"{name}={value}" for name, value in named.items())

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
        return getattr(labels(self._scenes(indices), sample_times(self.steps)), CLIP_TASKS[self.task].label)

    def _scenes(self, indices) -> Scenes:
        return task_scenes(self.task, self.seed, self.split, self._checked(indices), self.combinations, self.motions)

    def _checked(self, indices) -> np.ndarray:
        indices = np.atleast_1d(indices)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.count:
            raise BadInput(f"clips {indices.min()} to {indices.max()}: there are clips 0 to {self.count - 1}")
        return indices

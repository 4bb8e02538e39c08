"""Fixed sets of the small world's long clips, as `WorldClips` is of its short ones, and of those with questions.

Axes: b clips, t frames, h and w pixels, k motions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from minilib.world.batches import sample_times
from minilib.world.long import BUSY, Rhythm, long_labels, long_scenes
from minilib.world.questions import ONCE, Question, question_clips
from minilib.world.render import render
from minilib.world.scenes import Scenes


@dataclass(frozen=True)
class BusyClips:
    """The first `count` clips of a split with several actions and `steps` frames each."""

    seed: int
    split: str
    count: int
    steps: int
    rhythm: Rhythm = BUSY

    def __len__(self) -> int:
        return self.count

    def key(self) -> str:
        """All that makes the frames, in words."""
        return " ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))

    def scenes(self, indices) -> Scenes:
        return long_scenes(self.seed, self.split, indices, rhythm=self.rhythm)

    def frames(self, indices) -> Tensor:
        """uint8 (b, t, h, w, 3)."""
        return render(self.scenes(indices), sample_times(self.steps))

    def labels(self, indices) -> Tensor:
        """bool (b, k): which motions happen at all."""
        return long_labels(self.scenes(indices), sample_times(self.steps)).clip


@dataclass(frozen=True)
class QuestionClips(BusyClips):
    """The first `count` clips of a split with a question about each and `steps` frames."""

    rhythm: Rhythm = ONCE

    def _asked(self, indices) -> tuple[Scenes, list[Question]]:
        return question_clips(self.seed, self.split, indices, rhythm=self.rhythm)

    def scenes(self, indices) -> Scenes:
        return self._asked(indices)[0]

    @cached_property
    def questions(self) -> list[Question]:
        return self._asked(np.arange(self.count))[1]

    def labels(self, indices) -> Tensor:
        """int64 (b,): the right answer."""
        return torch.tensor([self.questions[i].right for i in np.atleast_1d(indices)])

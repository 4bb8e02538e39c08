"""What VicTR's experiments are trained and tested on: the small world's clips as embeddings of their frames.

The image model is frozen and gives one embedding a frame, so a clip is t x d numbers: they are made once a seed, kept
on disk, and every head costs only itself.

Axes: n clips, b clips of a batch, t frames, d width of the joint space, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from minilib.cache import ClipSource, cached
from minilib.files import ROOT
from minilib.grids import random_labels
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.small_clip import small_clip
from minilib.papers.victr.vocabularies import embed_frames
from minilib.training import Batches
from minilib.world import (
    Question,
    Rhythm,
    Scenes,
    WorldClips,
    epoch_indices,
    long_labels,
    long_scenes,
    question_clips,
    render,
    sample_times,
    shuffled,
)

FOLDER = ROOT / "runs" / "features" / "embeddings"
RHYTHM = Rhythm(actions=(0.3, 0.4), rests=(0.05, 0.15), objects=(1, 2))  # six frames see each action twice
FRAMES, LONG_FRAMES, ASKED_FRAMES = 4, 6, 12
ASKED = 1024  # clips that a question is asked about; every seed has the same


class FrameEmbeddings(ImageText):
    """The image model with each frame's embedding in the joint space, not normalised, in the place of its tokens."""

    def frame_features(self, frames: Tensor, layers: Sequence[int]) -> FrameFeatures:
        out = embed_frames(self, frames)[None]
        return FrameFeatures(out, out.new_empty(*out.shape[:3], 0, out.shape[3]))  # no patches


@cache
def image_model() -> FrameEmbeddings:
    clip = small_clip()
    return FrameEmbeddings(clip.model, clip.tokenize).eval().requires_grad_(False)


# --- clips that the library's `WorldClips` does not have -------------------------------------------------------------


@dataclass(frozen=True)
class LongClips:
    """Clips of several actions. labels bool (b, k): which of LONG_MOTIONS happen at all."""

    seed: int
    split: str
    count: int
    steps: int = LONG_FRAMES
    rhythm: Rhythm = RHYTHM

    def __len__(self) -> int:
        return self.count

    def key(self) -> str:
        return " ".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))

    def scenes(self, indices) -> Scenes:
        return long_scenes(self.seed, self.split, indices, rhythm=self.rhythm)

    def frames(self, indices) -> Tensor:
        return render(self.scenes(indices), sample_times(self.steps))

    def labels(self, indices) -> Tensor:
        return long_labels(self.scenes(indices), sample_times(self.steps)).clip


@dataclass(frozen=True)
class QuestionClips(LongClips):
    """Clips with a question about each. labels (b,): the right answer."""

    steps: int = ASKED_FRAMES

    def scenes(self, indices) -> Scenes:
        return question_clips(self.seed, self.split, indices)[0]

    @cached_property
    def questions(self) -> list[Question]:
        return question_clips(self.seed, self.split, np.arange(self.count))[1]

    def labels(self, indices) -> Tensor:
        return torch.tensor([self.questions[i].right for i in np.atleast_1d(indices)])


# --- as embeddings ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Embedded:
    """frames float (n, t, d); labels int64 (n,) or bool (n, k)."""

    frames: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, which) -> Embedded:
        return Embedded(self.frames[which], self.labels[which])

    def damaged(self, control: str | None, classes: int, seed: int) -> Embedded:
        """The same with the frames of each clip in a random order, or with random labels: negative controls."""
        if control == "frames":
            return replace(self, frames=shuffled(self.frames, seed))
        return replace(self, labels=random_labels(self.labels, classes, seed)) if control == "labels" else self

    def batches(self, seed: int, size: int) -> Batches:
        """step -> (frames, labels), in a new order every epoch."""

        def at(step: int) -> tuple[Tensor, Tensor]:
            part = self[torch.as_tensor(epoch_indices(seed, step, size, len(self)))]
            return part.frames, part.labels

        return at


@cache
def embedded(source: ClipSource, device: str = "cpu") -> Embedded:
    """All clips of a source, from disk where they have been made before."""
    features = cached(image_model(), source, [-1], FOLDER, device=device)
    return Embedded(features.cls[:, 0].float(), source.labels(np.arange(len(source))))


def short(seed: int, split: str, count: int, device: str = "cpu") -> Embedded:
    """Clips of one motion each; labels are places in MOTIONS."""
    return embedded(WorldClips("motion", seed, split, count, FRAMES), device)


def long(seed: int, split: str, count: int, device: str = "cpu") -> Embedded:
    """Clips of several motions."""
    return embedded(LongClips(seed, split, count), device)

"""Clips as embeddings of their frames, for whatever stands behind a frozen image model, and two tasks of such clips.

The image model gives one embedding a frame, so a clip is t x d numbers: they are made once a seed, kept on disk, and
every head costs only itself.

Axes: n clips, b clips of a batch, t frames, d width of the joint space, k classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from minilib.cache import ClipSource, cached
from minilib.files import RUNS
from minilib.metrics.detection import blind_precision, detection_score
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.small_clip import small_clip
from minilib.study.feeds import WorldTask, random_labels
from minilib.study.study import Outcome, Trial, Variant
from minilib.training import Batches, TrainSettings
from minilib.world import LONG_MOTIONS, Rhythm, epoch_indices, shuffled
from minilib.world.busy_clips import BusyClips

FOLDER = RUNS / "features" / "embeddings"
RHYTHM = Rhythm(actions=(0.3, 0.4), rests=(0.05, 0.15), objects=(1, 2))  # six frames see each action twice


class FrameEmbeddings(ImageText):
    """The image model with each frame's embedding in the joint space, not normalised, in the place of its tokens."""

    def frame_features(self, frames: Tensor, layers: Sequence[int]) -> FrameFeatures:
        out = self.frame_embeddings(frames)[None]
        return FrameFeatures(out, out.new_empty(*out.shape[:3], 0, out.shape[3]))  # no patches


@dataclass(frozen=True)
class Embedded:
    """A feed. frames float (n, t, d); labels int64 (n,) or bool (n, k)."""

    frames: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, which) -> Embedded:
        return Embedded(self.frames[which], self.labels[which])

    def damaged(self, control: str | None, classes: int, seed: int) -> Embedded:
        """A negative control: with "frames" those of each clip are in a random order; with "labels" they say nothing
        about their clips, and where there are several they are those of another clip. None: unchanged."""
        if control == "frames":
            return replace(self, frames=shuffled(self.frames, seed))
        if control == "labels" and self.labels.ndim == 1:
            return replace(self, labels=random_labels(self.labels, classes, seed))
        if control == "labels":
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
            return replace(self, labels=self.labels[order])
        return self

    def batches(self, seed: int, size: int) -> Batches:
        """step -> (frames, labels), in a new order every epoch."""

        def at(step: int) -> tuple[Tensor, Tensor]:
            part = self[torch.as_tensor(epoch_indices(seed, step, size, len(self)))]
            return part.frames, part.labels

        return at

    def test(self, size: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
        """(frames, labels) of all clips in order."""
        yield from zip(self.frames.split(size), self.labels.split(size), strict=True)

    @torch.no_grad()
    def logits(self, model: nn.Module, device: str = "cpu") -> Tensor:
        """What a model says of all clips, (n, k)."""
        model.to(device).eval()
        return torch.cat([model(frames.to(device)).cpu() for frames, _ in self.test()])


@cache
def embedded(source: ClipSource, device: str = "cpu") -> Embedded:
    """All clips of a source, from disk where they have been made before."""
    clip = small_clip()
    model = FrameEmbeddings(clip.model, clip.tokenize).eval().requires_grad_(False)
    features = cached(model, source, [-1], FOLDER, device=device)
    return Embedded(features.cls[:, 0].float(), source.labels(np.arange(len(source))))


# --- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Motions(WorldTask):
    """Which motion a short clip shows, from embeddings of its frames."""

    train: int = 4096
    test: int = 1024

    def feed(self, split: str, seed: int, device: str = "cpu") -> Embedded:
        control = None if self.control == "labels" and split != "train" else self.control
        return embedded(self.source(split, seed), device).damaged(control, len(self.classes), seed)


@dataclass(frozen=True)
class LongMotions(Motions):
    """Which motions a long clip shows, in mean average precision."""

    frames: int = 6
    train: int = 2048
    test: int = 512
    rhythm: Rhythm = RHYTHM

    @property
    def classes(self) -> tuple[str, ...]:
        return LONG_MOTIONS

    @property
    def chance(self) -> float:
        return blind_precision(0.2675, 512)  # a motion happens in so many clips in the mean; a test has 512

    def source(self, split: str, seed: int) -> BusyClips:
        return BusyClips(seed, split, self.train if split == "train" else self.test, self.frames, self.rhythm)

    def score(self, model: nn.Module, feed: Embedded, device: str = "cpu") -> float:
        return detection_score(feed.logits(model, device), feed.labels).mean


@dataclass(frozen=True)
class Longer(Variant):
    """Several labels are learned later than one: more steps, in smaller batches."""

    times: int = 2
    batch: int = 12

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        recipe = replace(recipe, steps=self.times * recipe.steps, batch=self.batch)
        return super().run(recipe, trial)

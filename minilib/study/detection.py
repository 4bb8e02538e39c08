"""Temporal detection in the small world: long clips of which every frame has labels, scored by mAP over all frames.

A model takes frames, or frames with the levels of a frozen *fine* stream, which runs once over all clips and is kept in
memory, as the released Coarse-Fine code does with files.

Axes: b clips of a batch, n all clips, t frames, h and w pixels or places, c channels, k classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from minilib.metrics.detection import every_frame
from minilib.models.x3d import X3D
from minilib.resume import History
from minilib.study.feeds import Clips, Feed
from minilib.study.recipes import Recipe
from minilib.study.stages import Stage, State
from minilib.study.study import Outcome, Trial, Variant
from minilib.training import Batches
from minilib.world import LONG_MOTIONS, SPARSE, LongClips, Rhythm, WorldClips

ONE_OBJECT = tuple(range(len(LONG_MOTIONS)))  # the motions of short clips that long ones have, too


@dataclass(frozen=True)
class StartedClips(Clips):
    """Clips with the weights that a model starts from; None: it has none to start from."""

    start: State | None = None


@dataclass(frozen=True)
class OtherLabels:
    """A feed that trains on the labels of the next clip in the batch; test labels are the true ones. A control."""

    feed: Feed

    def __getattr__(self, name: str) -> object:
        return getattr(self.feed, name)

    def batches(self, seed: int, size: int) -> Batches:
        whole = self.feed.batches(seed, size)

        def at(step: int) -> tuple[object, Tensor]:
            inputs, labels = whole(step)
            return inputs, labels.roll(1, 0)

        return at

    def test(self, size: int = 64) -> Iterator[tuple[object, Tensor]]:
        return self.feed.test(size)


@dataclass(frozen=True)
class Detection:
    """Ten motions in long clips of `frames` frames. train, test: how many clips. control: None, "frames" (shuffled,
    with their labels) or "labels" (of other clips). start: what a model's weights come from. fine: the X3D after this
    stage stays frozen, and its levels go with the frames."""

    train: int = 512
    test: int = 256
    frames: int = 64
    rhythm: Rhythm = SPARSE
    control: str | None = None
    start: Stage | None = None
    fine: Stage | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return LONG_MOTIONS

    @property
    def chance(self) -> float:
        """The share of frames that have a class, in percent, mean of classes."""
        return 100 * float(self.clips("test", 0).rendered.labels.mean())

    def clips(self, split: str, seed: int) -> LongClips:
        """The clips of a split."""
        count = self.train if split == "train" else self.test
        return LongClips(split, count, seed, self.frames, rhythm=self.rhythm, shuffle=self.control == "frames")

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        """Clips of a seed's own, with the fine levels and the weights of the stages."""
        clips = self.clips(split, seed)
        inputs = stored_levels(self.fine, clips, seed, device) if self.fine else None
        start = self.start.state(seed, device) if self.start and split == "train" else None
        feed = StartedClips(clips, inputs, len(clips), start=start)
        return OtherLabels(feed) if self.control == "labels" else feed

    def score(self, model: nn.Module, feed: Feed, device: str = "cpu") -> float:
        """mAP over every frame of all test clips, in percent: the protocol of the thesis' ablations."""
        return every_frame(list(probabilities(model, feed, device)), list(feed.source.rendered.labels)).mean

    def smoke(self) -> Detection:
        stages = {name: getattr(self, name) and getattr(self, name).smoke() for name in ("start", "fine")}
        return replace(self, train=min(self.train, 16), test=16, **stages)


@dataclass(frozen=True)
class ShortClips:
    """Short clips of one of the same ten motions each, with one label: what networks are pretrained on.

    skip: training begins after so many steps' clips, which an earlier stage has seen.
    """

    frames: int
    skip: int = 0
    control: str | None = None
    start: Stage | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return LONG_MOTIONS

    @property
    def chance(self) -> float:
        return 100 / len(self.classes)

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        """Clips that never repeat."""
        source = WorldClips("motion", seed, split, 1 << 30, self.frames, motions=ONE_OBJECT, size=32)
        feed = SkippingClips(source, start=self.start.state(seed, device) if self.start else None, skip=self.skip)
        return OtherLabels(feed) if self.control == "labels" else feed

    def smoke(self) -> ShortClips:
        return replace(self, start=self.start and self.start.smoke())


@dataclass(frozen=True)
class SkippingClips(StartedClips):
    """Clips from the batch number `skip` on."""

    skip: int = 0

    def batches(self, seed: int, size: int) -> Batches:
        whole = super().batches(seed, size)
        return lambda step: whole(self.skip + step)


# --- frames with the levels of a fine stream -------------------------------------------------------------------------


@dataclass(frozen=True)
class WithLevels:
    """Frames (b, t, h, w, 3) and the fine stream's five levels of them, (b, c, t, h', w') each."""

    frames: Tensor
    levels: list[Tensor]

    def to(self, device, non_blocking: bool = False) -> WithLevels:
        levels = [level.to(device, non_blocking=non_blocking) for level in self.levels]
        return WithLevels(self.frames.to(device, non_blocking=non_blocking), levels)


class StoredLevels:
    """Indices (b,) -> clips with the levels of a fine stream that stays as it is. All of them are made here, each of a
    whole clip, which is its own video, and stay on `device`. Each level keeps its own size: frames are so small that
    conv5 has one place."""

    @torch.no_grad()
    def __init__(self, fine: X3D, clips: LongClips, device: str = "cpu", batch: int = 32):
        fine.to(device).eval()
        self.clips = clips
        parts = [
            fine.features(clips.frames(indices).to(device))
            for indices in np.split(np.arange(len(clips)), range(batch, len(clips), batch))
        ]
        self.levels = [torch.cat(level) for level in zip(*parts, strict=True)]

    def __call__(self, indices: np.ndarray) -> WithLevels:
        return WithLevels(self.clips.frames(indices), [level[indices] for level in self.levels])


@lru_cache(maxsize=2)
def stored_levels(fine: Stage, clips: LongClips, seed: int, device: str) -> StoredLevels:
    """The levels of an X3D after the stage `fine`, of all clips; a function of its arguments, kept for the next run."""
    return StoredLevels(fine.model(StartedClips(clips), seed, device), clips, device)


class OnLevels(nn.Module):
    """A coarse stream with a fusion, called with `WithLevels`; so the fine stream costs nothing in training."""

    def __init__(self, coarse: nn.Module):
        super().__init__()
        self.coarse = coarse

    def forward(self, inputs: WithLevels) -> Tensor:
        return self.coarse(inputs.frames, inputs.levels)


@torch.no_grad()
def probabilities(model: nn.Module, feed: Feed, device: str = "cpu") -> Tensor:
    """What a model says of all test clips in order, (n, t, k)."""
    model.to(device).eval()
    return torch.cat([model(inputs.to(device)).sigmoid().float().cpu() for inputs, _ in feed.test(32)])


@dataclass(frozen=True)
class Ensemble:
    """Several networks whose probabilities are averaged, each trained alone. Their weights are kept as stages, so that
    ensembles share members."""

    members: tuple[Variant, ...]

    def run(self, recipe: Recipe, trial: Trial) -> Outcome:
        """As `Variant.run`; the members' own losses are not kept."""
        models, found = [], []
        for member in self.members:
            feed = member.task.feed(trial.split, trial.seed, trial.device)
            models.append(Stage(member, recipe, trial.label).model(feed, trial.seed, trial.device))
            found.append(probabilities(models[-1], feed, trial.device))
        score = every_frame(list(torch.stack(found).mean(0)), list(feed.source.rendered.labels)).mean
        return Outcome(nn.ModuleList(models), History([], 0.0), {"": score})

    def smoke(self) -> Ensemble:
        return Ensemble(tuple(member.smoke() for member in self.members))

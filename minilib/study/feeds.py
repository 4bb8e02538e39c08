"""What a run reads: clips of a source in training batches and in test order, whole or damaged, and the usual task.

A feed is made before the seed of a run is set, so nothing that it caches or draws can change the start of a model.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from minilib.metrics.pairs import pair_accuracy
from minilib.settings import declared
from minilib.training import Batches, accuracy, evaluate
from minilib.world import TASKS, WorldClips, epoch_indices, shuffled

ENDLESS = 1 << 30  # as many clips of the small world as any run could ask for


class Feed(Protocol):
    """Inputs are whatever the model takes, a tensor or anything with `to(device)`; labels int64 (b,) or float."""

    def batches(self, seed: int, size: int) -> Batches:
        """step -> (inputs, labels), a function of the step alone."""

    def test(self, size: int = 64) -> Iterator[tuple[object, Tensor]]:
        """(inputs, labels) of all clips in order."""


class Source(Protocol):
    """Clips by number: `WorldClips`, or anything like it."""

    def __len__(self) -> int: ...

    def frames(self, indices) -> Tensor: ...

    def labels(self, indices) -> Tensor: ...


class Kept:
    """A function of indices (b,) -> (b, ...), asked once for each of `count` indices; what it said is kept in memory.
    For clips that an epoch comes back to: rendering them would take longer than a training step on a GPU."""

    def __init__(self, function: Callable[[np.ndarray], Tensor], count: int):
        self.function, self.known, self.values = function, np.zeros(count, bool), None

    def __call__(self, indices: np.ndarray) -> Tensor:
        indices = np.atleast_1d(indices)
        new = np.unique(indices[~self.known[indices]])
        if len(new):
            values = self.function(new)
            if self.values is None:
                self.values = values.new_empty(len(self.known), *values.shape[1:])
            self.values[torch.as_tensor(new)] = values
            self.known[new] = True
        return self.values[torch.as_tensor(indices)]


@dataclass(frozen=True)
class Clips:
    """A source's clips as a feed. inputs: indices (b,) -> what the model takes, by default the frames; cached features
    say `inputs=features.batch`. Trains on the first `limit` clips in a new order every epoch; None: no clip twice.
    labels: indices (b,) -> labels, by default the source's."""

    source: Source
    inputs: Callable[[np.ndarray], object] | None = None
    limit: int | None = None
    labels: Callable[[np.ndarray], Tensor] | None = None

    def at(self, indices: np.ndarray) -> tuple[object, Tensor]:
        """Inputs and labels of the clips `indices`."""
        return (self.inputs or self.source.frames)(indices), (self.labels or self.source.labels)(indices)

    def batches(self, seed: int, size: int) -> Batches:
        def at(step: int) -> tuple[object, Tensor]:
            return self.at(epoch_indices(seed, step, size, self.limit))

        return at

    def test(self, size: int = 64) -> Iterator[tuple[object, Tensor]]:
        for start in range(0, len(self.source), size):
            yield self.at(np.arange(start, min(start + size, len(self.source))))


# --- negative controls -----------------------------------------------------------------------------------------------


def random_labels(label: Tensor, classes: int, seed: int) -> Tensor:
    """Labels that say nothing about their clips, as many as `label` (b,)."""
    return torch.randint(classes, label.shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class ShuffledFrames:
    """A feed whose clips have their frames in a random order, in training (another one each step) and in test.
    shuffle(inputs, seed) -> inputs."""

    feed: Feed
    shuffle: Callable[[object, int], object] = shuffled

    def batches(self, seed: int, size: int) -> Batches:
        whole = self.feed.batches(seed, size)

        def at(step: int) -> tuple[object, Tensor]:
            inputs, label = whole(step)
            return self.shuffle(inputs, step), label

        return at

    def test(self, size: int = 64) -> Iterator[tuple[object, Tensor]]:
        for inputs, label in self.feed.test(size):
            yield self.shuffle(inputs, 0), label


@dataclass(frozen=True)
class RandomLabels:
    """A feed that trains on labels drawn anew each step; test labels are the true ones. `offset` is added to the step
    for the seed of the draw."""

    feed: Feed
    classes: int
    offset: int = 0

    def batches(self, seed: int, size: int) -> Batches:
        whole = self.feed.batches(seed, size)

        def at(step: int) -> tuple[object, Tensor]:
            inputs, label = whole(step)
            return inputs, random_labels(label, self.classes, self.offset + step)

        return at

    def test(self, size: int = 64) -> Iterator[tuple[object, Tensor]]:
        return self.feed.test(size)


# --- tasks -----------------------------------------------------------------------------------------------------------


class Task(Protocol):
    """What is learned from what. A frozen dataclass, so that it can stand in the settings of a row."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def chance(self) -> float:
        """The score of somebody who guesses."""

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        """The clips of "train", "val" or "test". A seed trains and tests on clips of its own."""

    def score(self, model: nn.Module, feed: Feed, device: str = "cpu") -> float:
        """What a row says of a trained model, in percent."""

    def smoke(self) -> Task:
        """The same with a handful of clips."""


def top1(model: nn.Module, feed: Feed, device: str = "cpu") -> float:
    """Top-1 accuracy over the feed's test clips, in percent."""
    return accuracy(*evaluate(model, (([inputs], label) for inputs, label in feed.test()), device))


@declared("within_pairs")
def pair_metric(model: nn.Module, feed: Feed, device: str = "cpu") -> dict[str, float]:
    """`pairs`: of a task whose classes are mirrored pairs, accuracy within the pair; who sees no order is at 50."""
    return {"pairs": pair_accuracy(*evaluate(model, (([inputs], label) for inputs, label in feed.test()), device))}


@dataclass(frozen=True)
class WorldTask:
    """Classification of the small world's clips, `frames` a clip. train: learn from the first so many clips (None: no
    clip twice); test: so many clips; control: None, "frames" (shuffled) or "labels" (random)."""

    labels: str = "motion"
    frames: int = 4
    train: int | None = None
    test: int = 512
    control: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(TASKS[self.labels])

    @property
    def chance(self) -> float:
        return 100 / len(self.classes)

    def source(self, split: str, seed: int) -> WorldClips:
        """The clips of a split."""
        count = (self.train or ENDLESS) if split == "train" else self.test
        return WorldClips(self.labels, seed, split, count, self.frames)

    def whole(self, split: str, seed: int, device: str = "cpu") -> Feed:
        """The undamaged feed."""
        source = self.source(split, seed)
        if split != "train" or self.train is None:
            return Clips(source)
        return Clips(source, Kept(source.frames, self.train), self.train, Kept(source.labels, self.train))

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        return damaged(self.whole(split, seed, device), self.control, len(self.classes))

    def score(self, model: nn.Module, feed: Feed, device: str = "cpu") -> float:
        return top1(model, feed, device)

    def smoke(self) -> WorldTask:
        return replace(self, train=self.train and min(self.train, 64), test=16)


def damaged(feed: Feed, control: str | None, classes: int) -> Feed:
    """The feed under a negative control: "frames", "labels", or None for none."""
    if control is None:
        return feed
    return {"frames": ShuffledFrames(feed), "labels": RandomLabels(feed, classes)}[control]

"""Training DiST's arms on the small world: clips with cached features, models, one run.

The seed sets the clips that an arm is trained on, the start of everything new and the order of the batches, and is
shared by all arms; evaluation clips are always the same. The frozen image model's features of the common
sparse frames are cached, so that most arms cost only what they train; others' features are made as they are needed.

Axes: b clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from minilib.models.clip import ImageText
from minilib.cost import counting
from minilib.cache import CachedFeatures, cached
from minilib.files import ROOT
from minilib.grids import in_words, random_labels
from minilib.papers.dist.arms import SMALL, Arm, Inputs
from minilib.models.small_clip import small_clip
from minilib.training import History, TrainSettings, accuracy, evaluate, train
from minilib.world import TASKS, WorldClips, epoch_indices

CLIPS = {"train": 4096, "val": 512, "test": 512}
CACHE = ROOT / "runs" / "features"
LABELS = 1 << 20  # with a step added, the seed of that step's random labels

Relabel = Callable[[int, Tensor], Tensor]  # step, labels (b,) -> labels


@dataclass(frozen=True)
class Clips:
    """Clips of one split as `Inputs` and labels: dense frames rendered when asked for, cached features where `folder`
    says where."""

    source: WorldClips  # of the dense frames
    gamma: int
    folder: Path | None = None

    @cached_property
    def features(self) -> CachedFeatures | None:
        if self.folder is None:
            return None
        own = {field.name: getattr(self.source, field.name) for field in fields(WorldClips)}  # not a subclass' labels
        own |= {"task": "motion", "steps": self.source.steps // self.gamma, "every": self.gamma}
        return _cached(WorldClips(**own), self.folder)

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Tensor]:
        features = None if self.features is None else self.features.batch(indices)
        return Inputs(self.source.frames(indices), self.gamma, features), self.source.labels(indices)

    def training(self, seed: int, size: int, relabel: Relabel = lambda step, label: label):
        """step -> batch, in a new order every epoch."""

        def at(step: int) -> tuple[Inputs, Tensor]:
            inputs, label = self.batch(epoch_indices(seed, step, size, len(self.source)))
            return inputs, relabel(step, label)

        return at

    def held(self, size: int = 64) -> Iterator[tuple[list[Inputs], Tensor]]:
        """([one view], labels) of all clips in order."""
        for start in range(0, len(self.source), size):
            inputs, label = self.batch(np.arange(start, min(start + size, len(self.source))))
            yield [inputs], label


_CACHES: dict[tuple[WorldClips, Path], CachedFeatures] = {}  # hashing what made a file takes longer than mapping it


def _cached(source: WorldClips, folder: Path) -> CachedFeatures:
    if (source, folder) not in _CACHES:
        clip = small_clip()
        _CACHES[source, folder] = cached(clip, source, range(clip.visual.transformer.layers), folder)
    return _CACHES[source, folder]


def clips(arm: Arm, seed: int, split: str, count: int = 0) -> Clips:
    """An arm's clips, `count` or as many as CLIPS says; with cached features where several arms see the same frames."""
    design = arm.design
    shuffle = (1 if split == "train" else 2) if arm.control == "frames" else None
    source = WorldClips(arm.task, seed, split, count or CLIPS[split], design.gamma * design.frames, shuffle=shuffle)
    common = design.frames == SMALL.frames and design.gamma in (1, SMALL.gamma) and shuffle is None
    return Clips(source, design.gamma, CACHE if common else None)


def described(arm: Arm, recipe: TrainSettings) -> str:
    """All that makes a row but the seed, in words: what its settings hash is taken of."""
    return in_words(arm, replace(recipe, seed=0), f"{CLIPS['train']} clips, {CLIPS['test']} test clips")


def build(arm: Arm, seed: int, clip: ImageText | None = None) -> nn.Module:
    """An arm's model around the small CLIP, with what trains unfrozen."""
    clip = clip or small_clip()
    torch.manual_seed(seed)
    return arm.model(clip, arm.design, arm.task)


def cost_of(arm: Arm) -> float:
    """Million multiply-adds of one clip, the image model's included."""
    model, design = build(arm, 0).eval(), arm.design
    frames = torch.zeros(1, design.gamma * design.frames, 64, 64, 3, dtype=torch.uint8)
    with counting() as count, torch.no_grad():
        model(Inputs(frames, design.gamma))
    return count() / 1e6


def fit(
    arm: Arm, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "training", count: int = 0
) -> tuple[nn.Module, History]:
    """A trained model of an arm, and its history."""
    model = build(arm, seed)
    random = lambda step, label: random_labels(label, len(TASKS[arm.task]), LABELS + step)  # noqa: E731
    relabel = {"relabel": random} if arm.control == "labels" else {}
    batches = clips(arm, seed, "train", count).training(seed, recipe.batch, **relabel)
    recipe = replace(recipe, lr=recipe.lr * arm.lr, seed=seed)
    return model, train(model, batches, recipe, len(TASKS[arm.task]), device, label=label)


def run(
    arm: Arm, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "training", count: int = 0
) -> tuple[nn.Module, History, float]:
    """Trains one arm; returns the model, its history and its top-1 accuracy on the test clips, in percent."""
    model, history = fit(arm, recipe, seed, device, label, count)
    return model, history, accuracy(*evaluate(model, clips(arm, 0, "test", count).held(), device))

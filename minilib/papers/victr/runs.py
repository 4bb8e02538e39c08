"""Training VicTR's arms on the small world: two tasks, one run.

The seed sets the clips that an arm is trained on, the start of everything new and the order of the batches, and is
shared by all arms; evaluation clips are always the same.

Axes: b clips, t frames, n names, d width, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.grids import in_words
from minilib.metrics.detection import detection_score
from minilib.papers.victr.arms import COMPONENTS, LAYERS, POSITION, SCALE, Arm, Reader, names_of, started
from minilib.papers.victr.classifier import multi_label, victr_loss
from minilib.papers.victr.clips import FRAMES, LONG_FRAMES, RHYTHM, Embedded, long, short
from minilib.training import History, TrainSettings, accuracy, train
from minilib.world import LONG_MOTIONS, MOTIONS

AUXILIARY = 0.1  # weight of the loss on attributes, chosen on validation clips
LOG_ODDS = -1.2  # about one motion in four happens in a long clip

COMMON = f"{LAYERS} layers, scale {SCALE}, position {POSITION}, {COMPONENTS} components, auxiliary {AUXILIARY}"


@dataclass(frozen=True)
class Sizes:
    """How many clips there are to train on and to test on."""

    train: int
    test: int


@dataclass(frozen=True)
class Task:
    """Classes, clips of (seed, split, count, device), the loss's entropy and the score, in percent. bias: where the
    classifier's starts, None for none."""

    classes: tuple[str, ...]
    frames: int
    clips: Callable[[int, str, int, str], Embedded]
    entropy: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    sizes: Sizes
    bias: float | None = None


def mean_average_precision(logits: Tensor, labels: Tensor) -> float:
    """mAP over classes, in percent."""
    return detection_score(logits, labels).mean


GRID_TASK = Task(MOTIONS, FRAMES, short, F.cross_entropy, accuracy, Sizes(4096, 1024))
LONG_TASK = Task(LONG_MOTIONS, LONG_FRAMES, long, multi_label, mean_average_precision, Sizes(2048, 512), LOG_ODDS)


def described(arm: Arm, task: Task, recipe: TrainSettings) -> str:
    """All that makes a row but the seed, in words: what its settings hash is taken of."""
    return in_words(arm, task, replace(recipe, seed=0), RHYTHM, COMMON)


def loss(model: Reader, frames: Tensor, labels: Tensor, entropy: Callable = F.cross_entropy) -> Tensor:
    """Of classes and attributes."""
    return victr_loss(model.scores(frames), labels, entropy, AUXILIARY)


def build(arm: Arm, task: Task, clips: Embedded, seed: int) -> Reader:
    """An arm at its start; `clips` only say how to standardise frames."""
    torch.manual_seed(seed)
    how = {"scale": SCALE} | ({} if task.bias is None else {"bias": task.bias})
    head = started(arm.build(task.frames, len(task.classes), **how))
    return Reader(head, names_of(task.classes), clips.frames, arm.auxiliary)


@torch.no_grad()
def logits(model: nn.Module, frames: Tensor, device: str = "cpu", size: int = 128) -> Tensor:
    """(n, k) of all clips (n, t, d)."""
    model.to(device).eval()
    return torch.cat([model(part.to(device)).cpu() for part in frames.split(size)])


def run(
    arm: Arm,
    task: Task,
    recipe: TrainSettings,
    seed: int,
    device: str = "cpu",
    label: str = "training",
    sizes: Sizes | None = None,
    split: str = "test",
) -> tuple[Reader, History, float]:
    """Trains one arm; returns the model, its history and its score on the test clips, in percent."""
    sizes, classes = sizes or task.sizes, len(task.classes)
    clips = task.clips(seed, "train", sizes.train, device).damaged(arm.control, classes, seed)
    model = build(arm, task, clips, seed)
    objective = partial(loss, entropy=task.entropy)
    given = clips.batches(seed, recipe.batch)
    history = train(model, given, replace(recipe, seed=seed), classes, device, label=label, objective=objective)
    held = task.clips(0, split, sizes.test, device)
    held = held.damaged(arm.control, classes, 0) if arm.control == "frames" else held
    return model, history, task.score(logits(model, held.frames, device), held.labels)

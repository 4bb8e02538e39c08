"""Running ZeroI2V's arms on the small world, with paired seeds.

The seed sets the clips that an arm is trained on, the start of everything new and the order of the batches, and is
shared by all arms; evaluation clips are always the same.

    python -m minilib.papers.zeroi2v.experiments --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from minilib.claims import Measurements
from minilib.grids import command_line, in_words, measure_all, random_labels
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.small_clip import small_clip
from minilib.papers.zeroi2v.arms import ARMS, Arm
from minilib.training import TrainSettings, accuracy, evaluate, train
from minilib.world import TASKS, held_batches, shuffled, train_batches

GRID = TrainSettings(steps=200, batch=16, lr=3e-3, warmup=20)  # the short recipe of the wide grids
CORE = replace(GRID, steps=1000, warmup=100)  # the live comparison
TEST_CLIPS = 512


def described(arm: Arm, recipe: TrainSettings) -> str:
    """All that makes a row but the seed, in words: what its settings hash is taken of."""
    return in_words(arm, replace(recipe, seed=0), TEST_CLIPS, "test clips")


def build(arm: Arm, seed: int) -> VideoClassifier:
    """The small CLIP under an arm's strategy, with what trains unfrozen."""
    torch.manual_seed(seed)
    visual = small_clip().visual
    new = arm.strategy(visual, arm.frames, arm.mixing)
    model = VideoClassifier(visual, len(TASKS[arm.task]), dropout=0.0)
    return train_only(model, [*new, *model.head.parameters()])


def run(arm: Arm, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "training"):
    """Trains one arm; returns the model, its history and its top-1 accuracy on the test clips, in percent."""
    model = build(arm, seed)
    batches = train_batches(arm.task, seed, recipe.batch, arm.frames, limit=arm.limit)
    if arm.control:
        batches = _damaged(batches, arm.control, len(TASKS[arm.task]))
    recipe = replace(recipe, lr=recipe.lr * arm.lr, seed=seed)
    history = train(model, batches, recipe, len(TASKS[arm.task]), device, label=label)
    change = shuffled if arm.control == "frames" else (lambda frames: frames)
    score, truth = evaluate(model, held_batches(arm.task, 0, TEST_CLIPS, arm.frames, change=change), device)
    return model, history, accuracy(score, truth)


def _damaged(batches, control: str, classes: int):
    def at(step: int):
        frames, label = batches(step)
        if control == "frames":
            return shuffled(frames, seed=step), label
        return frames, random_labels(label, classes, step)

    return at


def measure(
    name: str, seed: int, measurements: Measurements, recipe: TrainSettings = GRID, prefix: str = "grid"
) -> float:
    """The accuracy of one arm of the grid with one seed: a row that is there, or the run that makes it."""
    arm = ARMS[name]
    known = name if name.startswith("few/") else f"{prefix}/{name}"
    return measurements.measured_or_run(
        known, lambda: run(arm, recipe, seed, measurements.device, name)[2], seed, described(arm, recipe)
    )


def recipe(scale: str) -> TrainSettings:
    """The live comparison's recipe, or for smoke a few steps that only show that everything runs."""
    return CORE if scale == "small" else replace(GRID, steps=4, warmup=1, batch=8)


def gains(measurements: Measurements, seeds: list[int]) -> None:
    """What temporal heads add on each task, as rows of their own: the contrast of Table 9."""
    for seed in seeds:
        for task, prefix in (("motion", ""), ("appearance", "appearance/")):
            with_, without = (measure(prefix + arm, seed, measurements) for arm in ("zeroi2v", "adapters"))
            measurements.measured_or_run(f"contrast/{task}", lambda a=with_, b=without: a - b, seed)


measure_grid = partial(measure_all, measure, names=tuple(ARMS), after=gains)

if __name__ == "__main__":
    command_line("zeroi2v", tuple(ARMS), measure, after=gains)

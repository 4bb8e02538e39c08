"""Running Coarse-Fine's arms on the small world's detection task, with paired seeds.

Three stages, as in the thesis. Short clips of one motion stand for Kinetics, and long ones in which much happens teach
what they leave open. Then one X3D a seed learns the task itself. Every arm starts from it and trains for the same
number of steps: as the plain X3D, as the coarse stream, and beside it as the fine stream, which stays frozen with its
levels stored, as released.

    python -m minilib.papers.coarse_fine.experiments --seeds 3 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import nn

from minilib.claims import Measurements
from minilib.cost import multiply_adds
from minilib.grids import command_line, in_words, measure_all
from minilib.models.x3d import X3D, ClipHead, Size
from minilib.papers.coarse_fine.arms import ARMS, Arm
from minilib.papers.coarse_fine.losses import detection
from minilib.papers.coarse_fine.maps import look
from minilib.papers.coarse_fine.method import CoarseFine
from minilib.papers.coarse_fine.runs import Inputs, LongClips, OnLevels, StoredLevels, batches, detection_map
from minilib.training import History, TrainSettings, train
from minilib.world import Rhythm, train_batches


@dataclass(frozen=True)
class Recipe:
    """short, busy: the pretraining. fine: the X3D on the task. arms: the last stage. How many long clips there are to
    train on, and to test on."""

    short: TrainSettings
    busy: TrainSettings
    fine: TrainSettings
    arms: TrainSettings
    train: int = 512
    test: int = 256


GRID = Recipe(
    TrainSettings(steps=300, batch=32, lr=1e-2, warmup=10),
    TrainSettings(steps=120, batch=8, lr=1e-2, warmup=10),
    TrainSettings(steps=50, batch=8, lr=5e-3, warmup=5),
    TrainSettings(steps=50, batch=8, lr=5e-3, warmup=5),
)
CORE = replace(GRID, arms=replace(GRID.arms, steps=120))  # the live comparison
SHORT = 8  # frames of a short clip: things are then about as fast, in pixels a frame, as in 64 frames of a long one
CROWDED = Rhythm(rests=(0.02, 0.03), objects=(1, 2))  # hardly a frame without an action


def clips(arm: Arm, recipe: Recipe, seed: int, split: str) -> LongClips:
    """An arm's clips; those to evaluate on are the same for every seed."""
    count, seed = (recipe.train, seed) if split == "train" else (recipe.test, 0)
    return LongClips(split, count, seed, 128 if arm.dense else 64, shuffle=arm.control == "frames")


@lru_cache(maxsize=2)
def pretrained(size: Size, recipe: Recipe, seed: int, device: str) -> X3D:
    """An X3D that names the motion of short clips, and then of every frame of crowded ones."""
    torch.manual_seed(seed)
    crowded = LongClips("train", 2 * recipe.train, seed, rhythm=CROWDED)
    motions = tuple(range(crowded.classes))
    first = X3D(size, crowded.classes, ClipHead, dropout=0.0)
    settings = replace(recipe.short, seed=seed)
    feed = train_batches("motion", seed, settings.batch, SHORT, size=crowded.size, motions=motions)
    train(first, feed, settings, crowded.classes, device, label="X3D, short clips")
    model = X3D(size, crowded.classes, dropout=0.0)
    model.load_state_dict(first.state_dict())
    settings = replace(recipe.busy, seed=seed)
    feed = batches(crowded, settings.batch, seed)
    train(model, feed, settings, crowded.classes, device, label="X3D, crowded clips", objective=detection)
    return model


@lru_cache(maxsize=4)
def start(size: Size, given: LongClips, recipe: Recipe, seed: int, device: str) -> X3D:
    """The pretrained X3D after training on every frame of an arm's clips. It stays as it is."""
    model = deepcopy(pretrained(size, recipe, seed, device))
    settings = replace(recipe.fine, seed=seed)
    feed = batches(given, settings.batch, seed)
    train(model, feed, settings, given.classes, device, label="X3D, long clips", objective=detection)
    return model.eval().requires_grad_(False)


@lru_cache(maxsize=2)
def stored(fine: X3D, given: LongClips, device: str = "cpu") -> StoredLevels:
    """A fine stream's levels of all clips."""
    return StoredLevels(fine, given, device)


def prepared(arm: Arm, recipe: Recipe, seed: int, device: str = "cpu") -> tuple[nn.Module, X3D]:
    """An arm's network before the last stage, every X3D in it as `start` left it; and that X3D."""
    given = clips(replace(arm, dense=False), recipe, seed, "train")
    first = start(arm.size, given, recipe, seed, device)
    model = arm.build(given.classes, seed)
    for module in model.modules():
        if isinstance(module, X3D):
            module.load_state_dict(first.state_dict())
    return model, first


Prepared = tuple[nn.Module, Inputs | None, Inputs | None]  # what trains, its input in training and in evaluation


def frozen(model: CoarseFine, fine: X3D, given: LongClips, held: LongClips, device: str) -> Prepared:
    """As released: the coarse stream alone trains, on levels that the fine one left."""
    return OnLevels(model.coarse), stored(fine, given, device), stored(fine, held, device)


def together(model: CoarseFine, fine: X3D, given: LongClips, held: LongClips, device: str) -> Prepared:
    """As in the text: both streams train end to end."""
    return model, None, None


def run(
    arm: Arm,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    label: str = "training",
    split: str = "test",
    streams: Callable[..., Prepared] = frozen,
) -> tuple[nn.Module, History, float]:
    """The last stage of one arm; returns the model, its history and its mAP over every frame of the split's clips."""
    model, fine = prepared(arm, recipe, seed, device)
    given, held = clips(arm, recipe, seed, "train"), clips(arm, recipe, seed, split)
    fed = seen = None
    if isinstance(model, CoarseFine):
        model, fed, seen = streams(model, fine, given, held, device)
    settings = replace(recipe.arms, seed=seed)
    feed = batches(given, settings.batch, seed, fed)
    history = train(model, feed, settings, given.classes, device, label=label, objective=arm.objective)
    return model, history, detection_map(model, held, device, seen)


def described(arm: Arm, recipe: Recipe) -> str:
    """All that makes a row but the seed, in words: what its settings hash is taken of."""
    return in_words(arm, recipe, SHORT, CROWDED, clips(arm, recipe, 0, "test"))


def measure(name: str, seed: int, measurements: Measurements, recipe: Recipe = GRID) -> float:
    """The mAP of one arm with one seed, a row that is there or the run that makes it; and beside it as
    samples/<arm> how its grid's sampling goes with the informative frames."""
    arm = ARMS[name]
    settings = described(arm, recipe)

    def one() -> float:
        model, _, score = run(arm, recipe, seed, measurements.device, name)
        agreement = look(model, clips(arm, recipe, seed, "test"), measurements.device)
        if agreement is not None:
            measurements.record(f"samples/{name}", agreement, seed, settings)
        return score

    return measurements.measured_or_run(f"grid/{name}", one, seed, settings)


def cost_of(arm: Arm) -> float:
    """10^6 multiply-adds of one clip, all products counted, the fine stream's included."""
    given = clips(arm, GRID, 0, "test")
    frames = torch.zeros(1, given.frames, given.size, given.size, 3, dtype=torch.uint8)
    return multiply_adds(arm.build(given.classes, 0).eval(), frames) / 1e6


def recipe(scale: str) -> Recipe:
    """The live comparison's recipe, or for smoke a few steps that only show that everything runs."""
    if scale == "small":
        return CORE
    few = {name: replace(getattr(GRID, name), steps=2, warmup=1, batch=4) for name in ("short", "busy", "fine", "arms")}
    return Recipe(**few, train=8, test=16)


measure_grid = partial(measure_all, measure, names=tuple(ARMS))

if __name__ == "__main__":
    command_line("coarse_fine", tuple(ARMS), measure)

"""DiST's rows on the small world, with paired seeds: every arm, zero-shot, and what trained models look at.

python -m minilib.papers.dist.experiments --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from minilib.claims import Measurements
from minilib.grids import command_line, measure_all
from minilib.papers.dist import maps as dist_maps
from minilib.papers.dist import zero_shot as dist_zero_shot
from minilib.papers.dist.arms import ARMS
from minilib.papers.dist.runs import CLIPS, Clips, clips, described, run
from minilib.training import TrainSettings
from minilib.world import MOTIONS

GRID = TrainSettings(steps=300, batch=16, lr=1.5e-3, warmup=30)  # the short recipe of the wide grids
CORE = replace(GRID, steps=1200, lr=2e-3, warmup=100)  # the live comparison

NAMES = (*ARMS, *dist_zero_shot.ZERO_SHOT)

Look = Callable[[nn.Module, Clips], dict[str, float]]
LOOKS: dict[str, Look] = {"dist": dist_maps.of_dist, "evl": dist_maps.of_evl}  # rows beside the accuracy of an arm


def measure(
    name: str, seed: int, measurements: Measurements, recipe: TrainSettings = GRID, prefix: str = "grid"
) -> float:
    """The accuracy of one arm of the grid, or of zero-shot, with one seed: a row that is there, or the run that makes
    it, and with it the rows of `LOOKS`."""
    device = measurements.device
    if name in dist_zero_shot.ZERO_SHOT:
        task = dist_zero_shot.ZERO_SHOT[name]
        settings = f"{dist_zero_shot.described(name)} {replace(recipe, seed=0)} {CLIPS}"
        scores = measurements.measured_or_run(
            f"{prefix}/{name}", lambda: dist_zero_shot.run(task, recipe, seed, device, name), seed, settings
        )
        return scores["dist"]
    arm = ARMS[name]
    settings = described(arm, recipe)

    def one() -> float:
        model, _, score = run(arm, recipe, seed, device, name)
        if name in LOOKS:
            for look, value in LOOKS[name](model.cpu(), clips(arm, 0, "test")).items():
                measurements.record(look, value, seed, settings)
        return score

    return measurements.measured_or_run(f"{prefix}/{name}", one, seed, settings)


def recipe(scale: str) -> TrainSettings:
    """The live comparison's recipe, or for smoke a few steps that only show that everything runs."""
    return CORE if scale == "small" else replace(GRID, steps=4, warmup=1, batch=8)


GAINS = {"": ("dist", "integration_only"), "evl/": ("dist", "evl"), "gamma/": ("dist", "gamma1")}


def gains(measurements: Measurements, seeds: list[int]) -> None:
    """What the encoder, DiST against EVL, and dense frames gain on each task, as rows `contrast/...`; and chance."""
    for seed in seeds:
        for what, arms in GAINS.items():
            for task, prefix in (("motion", ""), ("appearance", "appearance/")):
                with_, without = (measure(prefix + arm, seed, measurements) for arm in arms)
                measurements.measured_or_run(f"contrast/{what}{task}", lambda a=with_, b=without: a - b, seed)
        for name, task in dist_zero_shot.ZERO_SHOT.items():
            measurements.measured_or_run(f"grid/{name}/chance", lambda task=task: task.chance, seed)
        measurements.measured_or_run("grid/chance", lambda: 100 / len(MOTIONS), seed)


measure_grid = partial(measure_all, measure, names=NAMES, after=gains)

if __name__ == "__main__":
    command_line("dist", NAMES, measure, after=gains)

"""Rows of the comparison: every method on every task after the same clips, on motion also after the same seconds, and
what each costs on this machine.

    python -m minilib.papers.comparison.experiments --seeds 5 --jobs 2     measures what results/rows lacks

The methods that OCA is compared with are trained here as they are there; a run whose row is there already is not made
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn

from minilib.claims import Measurements
from minilib.cost import multiply_adds, peak_training_memory, tunable_parameters
from minilib.grids import command_line, in_words, measure_all
from minilib.papers.comparison.method import CLIPS, FRAMES, MERGED, METHODS, TASKS, TEST_CLIPS, Method, Task, build, run
from minilib.papers.object_centric import experiments as object_centric_experiments
from minilib.papers.object_centric.arms import ARMS as OBJECT_CENTRIC
from minilib.papers.object_centric.arms import PEERS
from minilib.papers.zeroi2v.speed import relative, rounds_of
from minilib.training import TrainSettings
from minilib.world import clip_batch

GRID = object_centric_experiments.GRID
SECONDS = "seconds/"  # before a method's name: as long as REFERENCE takes for the recipe, on motion
REFERENCE = "st_adapter"
ROUNDS = 15
NAMES = (*(f"{task}/{name}" for task in TASKS for name in METHODS), *(SECONDS + name for name in METHODS))


def measure(
    name: str,
    seed: int,
    measurements: Measurements,
    recipe: TrainSettings = GRID,
    methods: Mapping[str, Method] = METHODS,
) -> float:
    """The accuracy of "<task>/<method>" or "seconds/<method>" with one seed: a row that is there, or the run that makes
    it. `methods` may hold a reader's own."""
    where, method = name.split("/")
    task, known = TASKS.get(where, TASKS["motion"]), f"grid/{name}"
    if name.startswith(SECONDS):
        steps = paid(method, measurements, recipe, methods)
        recipe = replace(recipe, steps=steps, warmup=min(recipe.warmup, steps // 2))
    settings = in_words(name, methods[method], task, replace(recipe, seed=0), FRAMES, CLIPS, TEST_CLIPS, "test clips")

    def one() -> float:
        same = twin(name, seed, measurements) if recipe == GRID else None
        if same is not None:
            return same
        return run(methods[method], task, recipe, seed, measurements.device, name)[2]

    return measurements.measured_or_run(known, one, seed, settings)


def twin(name: str, seed: int, measurements: Measurements) -> float | None:
    """The same run in OCA's own grid, where it has been made: the same model, clips, start and recipe."""
    task, method = name.split("/")
    arm = method if task == "motion" else f"{task}/{method}"
    if method not in PEERS or arm not in OBJECT_CENTRIC:
        return None
    rows = Measurements("object_centric", measurements.path.parents[1], measurements.scale, measurements.fresh)
    return rows.find(f"grid/{arm}", seed, object_centric_experiments.described(OBJECT_CENTRIC[arm], GRID))


# --- cost -------------------------------------------------------------------------------------------------------------


def paid(method: str, measurements: Measurements, recipe: TrainSettings, methods: Mapping[str, Method]) -> int:
    """How many steps a method makes in the time that REFERENCE needs for the recipe's, by the measured ratio."""
    rows = measurements.seeds_of(measurements.scale)
    known = f"cost/step.{method}"
    if known not in rows:
        measure_costs(measurements, {name: methods[name] for name in (REFERENCE, method)})
        rows = measurements.seeds_of(measurements.scale)
    return max(round(recipe.steps / median(rows[known].values())), 1)


def costs(
    methods: Mapping[str, Method], task: Task, device: str, batch: int = 8, rounds: int = ROUNDS
) -> dict[str, list[dict[str, float]]]:
    """{what: [{method: value}, one a round, or one in all]}. As ratios to REFERENCE, the methods taking turns: time of
    a step, latency of one clip, clips a second in a batch. Then peak memory of a step in MiB; million multiply-adds of
    a clip; thousand tunable parameters. What can be merged is measured once more under its name and MERGED."""
    timed: dict[str, dict] = {"step": {}, "single": {}, "many": {}}
    memory, work, tunable = {}, {}, {}
    for name, method in methods.items():
        model = build(method, task, 0).to(device)
        clips = clip_batch(task.labels, 0, "train", range(batch), FRAMES * method.gamma)
        frames, labels = (x.to(device) for x in clips)
        timed["step"][name] = partial(training_step, model, method, frames, labels)
        memory[name] = peak_training_memory(timed["step"][name], device).peak / 2**20
        tunable[name] = tunable_parameters(model) / 1e3
        served = {name: model}
        if method.merge:
            served[name + MERGED] = method.merge(build(method, task, 0)).to(device)
        for label, each in served.items():
            work[label] = multiply_adds(each.eval(), frames[:1]) / 1e6
            timed["single"][label] = partial(forward, each, frames[:1])
            timed["many"][label] = partial(forward, each, frames)
    seconds = {what: relative(rounds_of(calls, rounds), REFERENCE) for what, calls in timed.items()}
    return {
        "step": seconds["step"],
        "latency": seconds["single"],
        "throughput": [{name: 1 / ratio for name, ratio in each.items()} for each in seconds["many"]],
        "memory": [memory],
        "work": [work],
        "tunable": [tunable],
    }


@torch.inference_mode()
def forward(model: nn.Module, frames: torch.Tensor) -> None:
    model.eval()(frames)


def training_step(model: nn.Module, method: Method, frames: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward and backward; without the optimiser's step and without the making of clips, of which DiST takes twice as
    many frames."""
    loss = method.objective or (lambda model, frames, labels: F.cross_entropy(model(frames), labels))
    loss(model.train(), frames, labels).backward()
    model.zero_grad(set_to_none=True)


def measure_costs(measurements: Measurements, methods: Mapping[str, Method] = METHODS, rounds: int = ROUNDS) -> None:
    """Records the rows cost/<what>.<method>; a round is recorded under its number as seed, so that rounds pair up."""
    for what, numbers in costs(methods, TASKS["motion"], measurements.device, rounds=rounds).items():
        for number, each in enumerate(numbers):
            for name, value in each.items():
                measurements.record(f"cost/{what}.{name}", value, number)


measure_grid = partial(measure_all, measure, names=NAMES)

if __name__ == "__main__":
    command_line("image_to_video_compared", NAMES, measure)

"""VicTR's rows on the small world, with paired seeds: short clips, long clips, few-shot, zero-shot, questions.

python -m minilib.papers.victr.experiments --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import mean, pstdev

from minilib.claims import Measurements
from minilib.grids import command_line, measure_all
from minilib.papers.victr import zero_shot as unseen
from minilib.papers.victr.arms import CORE_ARMS, GRID_ARMS, LONG_ARMS, ZERO_SHOT_ARMS, Arm
from minilib.papers.victr.runs import GRID_TASK, LONG_TASK, Sizes, Task, described, run
from minilib.training import TrainSettings
from minilib.world import MOTIONS
from minilib.world.questions import ANSWERS

GRID = TrainSettings(steps=200, batch=16, lr=1.5e-3, warmup=20)  # the short recipe of the wide grids
LONG = replace(GRID, steps=400, batch=12)  # several labels are learned later than one
CORE = replace(GRID, steps=600, warmup=60)  # the live comparison
TUNING = TrainSettings(steps=100, batch=16, lr=1e-3, warmup=10)  # few-shot
PROBE_TUNING = replace(TUNING, lr=1e-2)  # it starts from nothing
TASKS: dict[str, tuple[Task, TrainSettings, dict[str, Arm]]] = {
    "grid": (GRID_TASK, GRID, GRID_ARMS),
    "long": (LONG_TASK, LONG, LONG_ARMS),
    "core": (GRID_TASK, CORE, CORE_ARMS),
}
TUNED = ("victr", "xclip")  # of the pretrained, those that few-shot and questions take
RICH = ("victr", "clip_text")

NAMES = (
    *(f"{task}/{arm}" for task, (_, _, arms) in TASKS.items() for arm in arms),
    *(f"zeroshot/{arm}" for arm in ZERO_SHOT_ARMS),
    *(f"zeroshot/rich/{arm}" for arm in RICH),
    "few/probe",
)


def measure(known: str, seed: int, measurements: Measurements) -> float:
    """One row with one seed: it is there, or the run that makes it, and what else the trained model is asked."""
    kind, arm = known.split("/", 1)
    if kind in TASKS:
        task, recipe, arms = TASKS[kind]
        one = lambda: run(arms[arm], task, recipe, seed, measurements.device, known)[2]  # noqa: E731
        return measurements.measured_or_run(known, one, seed, described(arms[arm], task, recipe))
    if kind == "few":
        return few_probe(seed, measurements)
    return zero_shot(known, seed, measurements)


def zero_shot(known: str, seed: int, measurements: Measurements) -> float:
    """Trains on the seen classes. Rows: mean and standard deviation over the splits; few-shot and questions."""
    name, style = known.rsplit("/", 1)[1], "rich" if "/rich/" in known else "names"
    arm, text, device = ZERO_SHOT_ARMS[name], unseen.TEXTS[style], measurements.device
    settings = unseen.described(arm, style, GRID, TUNING)

    def one() -> float:
        model = unseen.pretrained(arm, text, GRID, seed, device, known)
        accuracies = unseen.zero_shot(model, text, device)
        if style == "names":
            measurements.record(f"zeroshot/std/{name}", pstdev(accuracies), seed, settings)
            if name in TUNED:
                few = unseen.few_shots(model, TUNING, seed, device)
                measurements.record("few", {f"{k}/{name}": value for k, value in few.items()}, seed, settings)
                measurements.record(f"vqa/{name}", unseen.answers(model, device), seed, settings)
        return mean(accuracies)

    return measurements.measured_or_run(known, one, seed, settings)


def few_probe(seed: int, measurements: Measurements) -> float:
    """The linear classifier on k clips, which no text and no pretraining helps; the row of the largest k."""
    settings, last = unseen.described(GRID_ARMS["probe"], "names", PROBE_TUNING, PROBE_TUNING), unseen.SHOTS[-1]
    value = measurements.find(f"few/{last}/probe", seed, settings)
    if value is not None:
        return value
    few = unseen.few_shots(unseen.unread(seed, measurements.device), PROBE_TUNING, seed, measurements.device)
    measurements.record("few", {f"{k}/probe": value for k, value in few.items()}, seed, settings)
    return few[last]


def gains(measurements: Measurements, seeds: list[int]) -> None:
    """What video-conditioned text gains over CLIP's with names and with descriptions (Table 5.7), and chance."""
    for seed in seeds:
        for style, where in (("names", "zeroshot"), ("rich", "zeroshot/rich")):
            ours, theirs = (measure(f"{where}/{arm}", seed, measurements) for arm in RICH)
            measurements.measured_or_run(f"zeroshot/gain/{style}", lambda a=ours, b=theirs: a - b, seed)
        measurements.measured_or_run("zeroshot/chance", lambda: 100 / len(unseen.HELD[0]), seed)
        measurements.measured_or_run("vqa/chance", lambda: 100 / ANSWERS, seed)
        measurements.measured_or_run("grid/chance", lambda: 100 / len(MOTIONS), seed)


def recipe(scale: str) -> tuple[TrainSettings, Sizes]:
    """The live comparison's recipe, or for smoke a few steps that only show that everything runs."""
    return (CORE, GRID_TASK.sizes) if scale == "small" else (replace(GRID, steps=4, warmup=1, batch=8), Sizes(64, 64))


measure_grid = partial(measure_all, measure, names=NAMES, after=gains)

if __name__ == "__main__":
    command_line("victr", NAMES, measure, after=gains)

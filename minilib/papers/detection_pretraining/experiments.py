"""Detection pretraining's rows on the small world, with paired seeds: every arm, and the gains taken from them.

The seed sets clips, random weights and the order of batches, and is shared by all arms; evaluation clips are always the
same.

    python -m minilib.papers.detection_pretraining.experiments --seeds 3 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from minilib.claims import Measurements
from minilib.grids import command_line, in_words, measure_all
from minilib.papers.detection_pretraining import gains
from minilib.papers.detection_pretraining.arms import ARMS, CHECKPOINT, PRETEXTS
from minilib.papers.detection_pretraining.runs import BACKGROUND, MEETING, Recipe

GRID = Recipe()
NAMES = (*ARMS, *gains.NAMES)


def measure(name: str, seed: int, measurements: Measurements, recipe: Recipe = GRID) -> float:
    """mAP over every frame of an arm, or a gain in points: a row that is there, or the runs that it lacks."""
    device = measurements.device
    if name in ARMS:
        members = ARMS[name]
        made = [PRETEXTS[each] for m in members for each in (CHECKPOINT, m.pretext, m.fine) if each is not None]
        settings = in_words(members, made, recipe, MEETING, BACKGROUND)
        run = partial(gains.score, members, recipe, seed, device)
        return measurements.measured_or_run(f"grid/{name}", run, seed, settings)
    settings = in_words(name, list(PRETEXTS.items()), recipe, MEETING, BACKGROUND)
    return measurements.measured_or_run(name, partial(gains.gain, name, recipe, seed, device), seed, settings)


def recipe(scale: str) -> Recipe:
    """The grid's recipe, or for smoke a few steps that only show that everything runs."""
    if scale == "small":
        return GRID
    short = lambda settings: replace(settings, steps=3, warmup=1, batch=4)  # noqa: E731
    return replace(
        GRID, pretrain=short(GRID.pretrain), tune=short(GRID.tune), join=short(GRID.join), longer=2, train=16, test=16
    )


measure_grid = partial(measure_all, measure, names=NAMES)

if __name__ == "__main__":
    command_line("detection_pretraining", NAMES, measure)

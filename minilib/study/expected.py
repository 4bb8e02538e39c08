"""How many seconds a run of a study will take, as far as earlier runs tell."""

from __future__ import annotations

from statistics import median

from minilib.claims import Measurements
from minilib.study.recipes import Recipe, Tuned, parts_of
from minilib.study.study import Study

UNKNOWN = 0.12  # seconds of a step where nothing was timed
STEPS = 1000  # what a run without steps counts for


def seconds_of(rows: Measurements) -> dict[str, float]:
    """Median seconds of the runs that have been timed, by metric, on the device of the newest; of GPUs only for a GPU
    and of CPUs only for a CPU, for what takes long on the one need not on the other."""
    taken: dict[str, dict[str, list[float]]] = {}
    for row in rows.rows():
        if row.seconds and row.on_gpu == on_gpu(rows):
            devices = taken.setdefault(row.metric, {})
            devices[row.device] = [*devices.pop(row.device, []), row.seconds]
    return {metric: median(list(devices.values())[-1]) for metric, devices in taken.items()}


def on_gpu(rows: Measurements) -> bool:
    """Whether what is missing would be measured on a GPU."""
    return rows.device.startswith("cuda")


def expected(metric: str, study: Study, timed: dict[str, float], gpu: bool = False) -> float:
    """Seconds of one run: as it was timed; else in proportion to its work, from its variant's other runs, tries of its
    rates among them, from what the variant says a step takes (`step_seconds`, on one core), from the other runs of the
    study that are trained as it is or not trained as it is not, or from a guess."""
    if metric in timed:
        return timed[metric]
    which, work = parts_of(metric)[2], work_of(study, metric, gpu)
    own = [each for each in timed if each.partition("/")[2] == which and parts_of(each)[0] in study.recipes]
    if own := [each for each in own if trains(study, each) == trains(study, metric)]:
        return median(timed[each] / work_of(study, each, gpu) for each in own) * work
    if said := getattr(study.variants[which], "step_seconds", None):
        return said * steps_of(study, metric)
    alike = [each for each in study.metrics() if each in timed and trains(study, each) == trains(study, metric)]
    rates = [timed[each] / work_of(study, each, gpu) for each in alike]
    return median(rates) * work if rates else UNKNOWN * steps_of(study, metric)


def trains(study: Study, metric: str) -> bool:
    """Whether the metric's recipe has steps."""
    return hasattr(recipe_of(study, metric), "steps")


def work_of(study: Study, metric: str, gpu: bool) -> float:
    """What the seconds of a metric's run grow with: its steps, on a CPU times the samples of a step; on a GPU, which
    these models do not fill, a larger step takes no longer."""
    return steps_of(study, metric) * (1 if gpu else getattr(recipe_of(study, metric), "batch", 1))


def steps_of(study: Study, metric: str) -> float:
    """Training steps of a metric's run, as far as its recipe tells."""
    return getattr(recipe_of(study, metric), "steps", STEPS) * (0.5 if parts_of(metric)[1] == "half" else 1.0)


def recipe_of(study: Study, metric: str) -> Recipe:
    """What a metric's run is trained by: of a tuned recipe the try that its name says, else its whole length."""
    name, suffix, _ = parts_of(metric)
    recipe = study.recipes[name]
    if isinstance(recipe, Tuned):
        return recipe.trying(suffix) if suffix in recipe.tries() else recipe.recipe
    return recipe

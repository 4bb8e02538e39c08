"""What of a study is missing, in which order it is wanted, and what it costs.

A claim is decided by all of its rows together, so rows are wanted claim by claim: headline claims first, of those what
more rows would decide, and of these the cheapest. The tries of a sweep stand before the rows that wait for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from minilib.claims import Claims, Measurements
from minilib.claims.intervals import UNDECIDED
from minilib.claims.pairs import CANNOT, NO_HALF, NOT_TESTABLE
from minilib.claims.scores import halved
from minilib.claims.verdicts import Verdict, judge
from minilib.study.recipes import Recipe, Tuned, parts_of
from minilib.study.study import Study

UNKNOWN = 0.12  # seconds of a step where nothing was timed
STEPS = 1000  # what a run without steps counts for
OPEN = (UNDECIDED, CANNOT, NOT_TESTABLE)
Rank = tuple[bool, bool, float]  # no headline, decided, seconds that the claim still lacks: the least comes first
LAST: Rank = (True, True, float("inf"))


@dataclass(frozen=True)
class Wanted:
    """A missing row: seconds as far as earlier rows tell, the tries that it waits for, and why it is wanted."""

    paper: str
    metric: str
    seed: int
    seconds: float
    tries: tuple[str, ...] = ()
    why: str = ""
    rank: Rank = LAST


def wanted(
    study: Study, claims: Claims, rows: Measurements, seeds: Sequence[int], metrics: Sequence[str] = ()
) -> list[Wanted]:
    """Missing rows of `metrics` (all of them by default) and of their sweeps, most wanted first."""
    timed, gpu = seconds_of(rows), on_gpu(rows)
    verdicts = [verdict for verdict in judge(claims, rows.rows()) if verdict.kind == "ordering"]
    runs = {verdict.id: runs_of(study, claims, verdict) for verdict in verdicts}
    names = dict.fromkeys([*(name for each in runs.values() for name in each), *study.metrics()])
    missing = {name: missing_of(study, name, rows, seeds, timed, gpu) for name in names}
    found: dict[tuple[str, int], Wanted] = {}
    for rank, why, wants in ranked(claims, verdicts, runs, missing):
        for name in wants:
            if not metrics or name in metrics or name.partition("/")[2] in metrics:
                for each in missing[name]:
                    found.setdefault((each.metric, each.seed), replace(each, rank=rank, why=why))
    return list(found.values())


def runs_of(study: Study, claims: Claims, verdict: Verdict) -> list[str]:
    """The runs behind an ordering and behind its gates: those of its task, and half the steps of a training if it is a
    headline or lacks nothing else to be decided."""
    claim, known, runs = claims[verdict.id], set(study.metrics()), []
    halves = claim.replicates == "seeds" and (claim.headline or NO_HALF in verdict.why)
    for metric in claims.base_metrics(claim):
        runs += [metric, halved(metric)] if halves else [metric]
    found = (run_of(metric, known) for metric in (*runs, *claims.gate_metrics(claim)))
    return list(dict.fromkeys(run for run in found if run))


def missing_of(
    study: Study, metric: str, rows: Measurements, seeds: Sequence[int], timed: dict[str, float], gpu: bool = False
) -> list[Wanted]:
    """The rows that a metric lacks, its sweep's first."""
    untried = tuple(study.untried(metric, rows))
    settings = None if untried else study.settings(metric, rows)
    lacking = [seed for seed in seeds if untried or rows.row(metric, seed, settings) is None]
    tries = [Wanted(study.paper, each, study.seed_of(each), expected(each, study, timed, gpu)) for each in untried]
    seconds = expected(metric, study, timed, gpu)
    return [*tries, *(Wanted(study.paper, metric, seed, seconds, untried) for seed in lacking)]


def ranked(
    claims: Claims, verdicts: Sequence[Verdict], runs: Mapping[str, list[str]], missing: Mapping[str, list[Wanted]]
) -> list[tuple[Rank, str, Iterable[str]]]:
    """(rank, why, runs) of each claim, the most wanted first; at the end all runs, of which some stand in no claim."""
    found = []
    for verdict in verdicts:
        headline, open_ = claims[verdict.id].headline, verdict.verdict in OPEN
        lacking = {(each.metric, each.seed): each.seconds for name in runs[verdict.id] for each in missing[name]}
        why = f"{'headline' if headline else 'ordering'} {verdict.id}, {verdict.verdict}"
        found.append(((not headline, not open_, sum(lacking.values())), why, runs[verdict.id]))
    return [*sorted(found, key=lambda each: each[0]), (LAST, "no claim waits for it", missing)]


def run_of(metric: str, known: set[str]) -> str | None:
    """The run that gives a metric: itself, or for a further metric of a trained model ("grid/oca/jf") its variant's."""
    recipe, _, rest = metric.partition("/")
    base = recipe.partition(".")[0]
    while rest:
        if f"{base}/{rest}" in known:
            return f"{recipe}/{rest}"
        rest = rest.rpartition("/")[0]
    return None


def seconds_of(rows: Measurements) -> dict[str, float]:
    """Median seconds of the runs that have been timed, by metric, on the device of the newest; of GPUs only for a GPU
    and of CPUs only for a CPU, for what takes long on the one need not on the other."""
    taken: dict[str, dict[str, list[float]]] = {}
    for row in rows.rows():
        if row.seconds and is_gpu(row.device) == on_gpu(rows):
            devices = taken.setdefault(row.metric, {})
            devices[row.device] = [*devices.pop(row.device, []), row.seconds]
    return {metric: median(list(devices.values())[-1]) for metric, devices in taken.items()}


def is_gpu(device: str) -> bool:
    """Whether a device's name, as rows have it, is a GPU's; a CPU's ends in its number of cores."""
    return not device.endswith(" cores")


def on_gpu(rows: Measurements) -> bool:
    """Whether what is missing would be measured on a GPU."""
    return rows.device.startswith("cuda")


def expected(metric: str, study: Study, timed: dict[str, float], gpu: bool = False) -> float:
    """Seconds of one run: as it was timed; else in proportion to its work, from its variant under another recipe, from
    what the variant says a step takes (`step_seconds`, on one core), from the other runs of the study that are trained
    as it is or not trained as it is not, or from a guess."""
    if metric in timed:
        return timed[metric]
    which, work = parts_of(metric)[2], work_of(study, metric, gpu)
    for other in study.recipes:
        if f"{other}/{which}" in timed:
            return timed[f"{other}/{which}"] * work / work_of(study, other, gpu)
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

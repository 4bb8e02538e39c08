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
from minilib.study.recipes import Tuned, parts_of
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
    timed = seconds_of(rows)
    verdicts = [verdict for verdict in judge(claims, rows.rows()) if verdict.kind == "ordering"]
    runs = {verdict.id: runs_of(study, claims, verdict) for verdict in verdicts}
    names = dict.fromkeys([*(name for each in runs.values() for name in each), *study.metrics()])
    missing = {name: missing_of(study, name, rows, seeds, timed) for name in names}
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
    study: Study, metric: str, rows: Measurements, seeds: Sequence[int], timed: dict[str, float]
) -> list[Wanted]:
    """The rows that a metric lacks, its sweep's first."""
    untried = tuple(study.untried(metric, rows))
    settings = None if untried else study.settings(metric, rows)
    lacking = [seed for seed in seeds if untried or rows.row(metric, seed, settings) is None]
    tries = [Wanted(study.paper, each, study.seed_of(each), expected(each, study, timed)) for each in untried]
    seconds = expected(metric, study, timed)
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
        if row.seconds and is_gpu(row.device) == rows.device.startswith("cuda"):
            devices = taken.setdefault(row.metric, {})
            devices[row.device] = [*devices.pop(row.device, []), row.seconds]
    return {metric: median(list(devices.values())[-1]) for metric, devices in taken.items()}


def is_gpu(device: str) -> bool:
    """Whether a device's name, as rows have it, is a GPU's; a CPU's ends in its number of cores."""
    return not device.endswith(" cores")


def expected(metric: str, study: Study, timed: dict[str, float]) -> float:
    """Seconds of one run: as it was timed; else by its steps, from its variant under another recipe, from what the
    variant says a step takes (`step_seconds`, on one core), from the other runs of the study that are trained as it is
    or not trained as it is not, or from a guess."""
    if metric in timed:
        return timed[metric]
    which, steps = parts_of(metric)[2], steps_of(study, metric)
    for other in study.recipes:
        if f"{other}/{which}" in timed:
            return timed[f"{other}/{which}"] * steps / steps_of(study, other)
    if said := getattr(study.variants[which], "step_seconds", None):
        return said * steps
    alike = [each for each in study.metrics() if each in timed and trains(study, each) == trains(study, metric)]
    rates = [timed[each] / steps_of(study, each) for each in alike]
    return (median(rates) if rates else UNKNOWN) * steps


def trains(study: Study, metric: str) -> bool:
    """Whether the metric's recipe has steps."""
    recipe = study.recipes[parts_of(metric)[0]]
    return hasattr(recipe.recipe if isinstance(recipe, Tuned) else recipe, "steps")


def steps_of(study: Study, metric: str) -> float:
    """Training steps of a metric's run, as far as its recipe tells."""
    name, suffix, _ = parts_of(metric)
    recipe = study.recipes[name]
    if isinstance(recipe, Tuned):
        recipe = recipe.trying(suffix) if suffix in recipe.tries() else recipe.recipe
    return getattr(recipe, "steps", STEPS) * (0.5 if suffix == "half" else 1.0)

"""What of a study is missing, in which order it is wanted, and measuring it: in this process or in several.

The unit of work is one metric with one seed, a run of a few minutes. Processes that share a results folder share the
work: each run holds a lock of the operating system, which goes with the process that dies.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from minilib import cluster
from minilib.claims import Claims, Measurements
from minilib.claims.scores import halved
from minilib.claims.verdicts import judge
from minilib.environment import commit, cores, is_clean
from minilib.errors import BadInput
from minilib.processes import die_with
from minilib.study.study import Study, Tuned, load_study

try:
    import fcntl
except ImportError:  # Windows: runs are not shared out there, each process measures what it is told
    fcntl = None

UNKNOWN = 120.0  # seconds of a run that nothing like it was timed


@dataclass(frozen=True)
class Job:
    """One metric with one seed, and where its row goes."""

    paper: str
    metric: str
    seed: int
    out: str
    scale: str = "small"
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Wanted:
    """A missing row: seconds as far as earlier rows tell, and why it is wanted."""

    metric: str
    seed: int
    seconds: float
    why: str


# --- what is missing -------------------------------------------------------------------------------------------------


def wanted(
    study: Study, claims: Claims, rows: Measurements, seeds: Sequence[int], metrics: Sequence[str] = ()
) -> list[Wanted]:
    """Missing rows of `metrics` (all of them by default), most wanted first: headline claims and what gates them, then
    claims that more seeds would decide, then the rest."""
    order = priorities(study, claims, rows)
    names = dict.fromkeys([*order, *study.metrics()])
    chosen = [name for name in names if not metrics or name in metrics or name.partition("/")[2] in metrics]
    timed = seconds_of(rows)
    found = []
    for name in chosen:
        why = order.get(name, "no claim waits for it")
        for seed in seeds:
            if not present(study, name, seed, rows):
                found.append(Wanted(name, seed, expected(name, study, timed), why))
    return sorted(found, key=lambda each: list(order).index(each.metric) if each.metric in order else len(order))


def priorities(study: Study, claims: Claims, rows: Measurements) -> dict[str, str]:
    """Metrics that claims wait for, the most wanted first, and why."""
    known = set(study.metrics())
    verdicts = {verdict.id: verdict for verdict in judge(claims, rows.rows())}
    order: dict[str, str] = {}
    ranked = sorted(
        (claim for claim in claims.claims if claim.kind == "ordering" and not claim.cost),
        key=lambda claim: (not claim.headline, verdicts[claim.id].verdict != "undecided"),
    )
    for claim in ranked:
        why = f"{'headline' if claim.headline else 'ordering'} {claim.id}, {verdicts[claim.id].verdict}"
        own, gates = claims.base_metrics(claim), claims.gate_metrics(claim)
        for metric in (*own, *gates):
            for name in (metric, halved(metric)) if claim.headline and metric in own else (metric,):
                run = run_of(name, known)
                if run is not None:
                    order.setdefault(run, why)
    return order


def run_of(metric: str, known: set[str]) -> str | None:
    """The run that gives a metric: itself, or for a further metric of a trained model ("grid/oca/jf") its variant's."""
    recipe, _, rest = metric.partition("/")
    base = recipe.partition(".")[0]
    while rest:
        if f"{base}/{rest}" in known:
            return f"{recipe}/{rest}"
        rest = rest.rpartition("/")[0]
    return None


def present(study: Study, metric: str, seed: int, rows: Measurements) -> bool:
    """Whether the row is there. A tuned metric whose sweep is not there is not, either."""
    recipe, _, variant = metric.partition("/")
    tuned = study.recipes.get(recipe.partition(".")[0])
    if isinstance(tuned, Tuned) and ".rate" not in recipe and len(tuned.rates) > 1:
        base = recipe.partition(".")[0]
        sweep = [f"{base}.rate{rate:.2g}/{variant}" for rate in tuned.rates]
        if any(rows.row(each, tuned.seed, study.settings(each, rows)) is None for each in sweep):
            return False
    return rows.row(metric, seed, study.settings(metric, rows)) is not None


def seconds_of(rows: Measurements) -> dict[str, float]:
    """Median seconds of the runs that have been timed, by metric."""
    taken: dict[str, list[float]] = {}
    for row in rows.rows():
        if row.seconds:
            taken.setdefault(row.metric, []).append(row.seconds)
    return {metric: median(values) for metric, values in taken.items()}


def expected(metric: str, study: Study, timed: dict[str, float]) -> float:
    """Seconds of one run: as it was timed; else its variant's under another recipe, by their steps; else a guess."""
    if metric in timed:
        return timed[metric]
    recipe, _, variant = metric.partition("/")
    for other in study.recipes:
        if f"{other}/{variant}" in timed:
            return timed[f"{other}/{variant}"] * steps_of(study, recipe) / steps_of(study, other)
    return UNKNOWN


def steps_of(study: Study, recipe: str) -> float:
    """Training steps of a recipe, those of a tuned one's sweep left out."""
    base, _, suffix = recipe.partition(".")
    settings = study.recipes[base]
    settings = settings.recipe if isinstance(settings, Tuned) else settings
    return getattr(settings, "steps", 1) * (0.5 if suffix == "half" else 1.0)


# --- measuring it ----------------------------------------------------------------------------------------------------


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether this process is the only one at work on `path`; the lock goes with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def rows_of(paper: str, out: str, scale: str, device: str) -> Measurements:
    """The paper's rows. In a clean checkout those that do not judge count as missing, for there they can be mended."""
    judging = scale != "smoke" and is_clean(commit())
    return Measurements(paper, out, scale, device=device, judging=judging)


def do(job: Job) -> tuple[Job, float | None, float]:
    """Measures one row, unless another process is at it: (job, value or None, seconds)."""
    torch.set_num_threads(job.threads)
    began = time.perf_counter()
    lock = Path(job.out) / "locks" / f"{job.paper}.{job.metric.replace('/', '.')}.{job.seed}"
    with alone(lock) as mine:
        if not mine:
            return job, None, 0.0
        rows = rows_of(job.paper, job.out, job.scale, job.device)
        value = load_study(job.paper).at(job.scale).measure(job.metric, job.seed, rows)
    return job, value, time.perf_counter() - began


def measure_all(
    jobs: Sequence[Job], processes: int, minutes: float | None = None
) -> Iterator[tuple[Job, float | None, float]]:
    """Every job in `processes` of its own, as they finish. After `minutes` no further job begins."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    with multiprocessing.get_context("spawn").Pool(processes, die_with, (os.getpid(),)) as pool:
        waiting, running = list(jobs), []
        while waiting or running:
            while waiting and len(running) < processes and time.monotonic() < end:
                running.append(pool.apply_async(do, (waiting.pop(0),)))
            if not running:
                return
            done = [each for each in running if each.ready()]
            running = [each for each in running if not each.ready()]
            for each in done:
                yield each.get()
            time.sleep(0.05)


def measure_on(there: cluster.submitit.AutoExecutor, jobs: Sequence[Job]) -> Iterator[tuple[Job, float | None, float]]:
    """Every job on a cluster, as they finish. BadInput names the first that fails; the rest is cancelled."""
    for job, found in cluster.each_done(there, do, jobs):
        if isinstance(found, cluster.Failed):
            raise BadInput(f"{job.metric} seed {job.seed}: {found}")
        yield found


def threads_of(processes: int) -> int:
    """The cores' share of each of so many processes."""
    return max(cores() // processes, 1)

"""Measuring what a study lacks, in this process or in several.

The unit of work is one metric with one seed, a run of a few minutes. Processes that share a results folder share the
work: each run holds a lock of the operating system, which goes with the process that dies. A tuned row waits for the
tries of its sweep, and other work goes before it meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from minilib import cluster
from minilib.claims import Measurements
from minilib.environment import commit, cores, is_clean
from minilib.errors import BadInput
from minilib.processes import die_with
from minilib.study.study import load_study

try:
    import fcntl
except ImportError:  # Windows: runs are not shared out there, each process measures what it is told
    fcntl = None

AGAIN = 2.0  # seconds until a try that another process is at is looked at again


@dataclass(frozen=True)
class Job:
    """One metric with one seed, where its row goes, and the metrics of its paper that must be there before. here: rows
    of other devices or numbers of threads do not count."""

    paper: str
    metric: str
    seed: int
    out: str
    scale: str = "small"
    device: str = "cpu"
    threads: int = 1
    tries: tuple[str, ...] = ()
    here: bool = False


class Done(NamedTuple):
    """What became of a job; value is None where another process is at it, or where it failed: then `error` says why."""

    job: Job
    value: float | None
    seconds: float = 0.0
    error: str = ""


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


def rows_of(paper: str, out: str, scale: str, device: str, threads: int | None = None) -> Measurements:
    """The paper's rows. In a clean checkout those that do not judge count as missing, for there they can be mended;
    with `threads`, those of other devices or numbers of threads as well."""
    judging = scale != "smoke" and is_clean(commit())
    return Measurements(paper, out, scale, device=device, judging=judging, threads=threads)


def do(job: Job) -> Done:
    """Measures one row, unless another process is at it. A run that fails is said and stops no other."""
    torch.set_num_threads(job.threads)
    began = time.perf_counter()
    lock = Path(job.out) / "locks" / f"{job.paper}.{job.metric.replace('/', '.')}.{job.seed}"
    with alone(lock) as mine:
        if not mine:
            return Done(job, None)
        try:
            rows = rows_of(job.paper, job.out, job.scale, job.device, job.threads if job.here else None)
            value = load_study(job.paper).at(job.scale).measure(job.metric, job.seed, rows)
        except Exception as error:
            if not isinstance(error, BadInput):
                traceback.print_exc()
            return Done(job, None, time.perf_counter() - began, " ".join(f"{type(error).__name__}: {error}".split()))
    return Done(job, value, time.perf_counter() - began)


def measure_all(jobs: Sequence[Job], processes: int, minutes: float | None = None) -> Iterator[Done]:
    """Every job in `processes` of its own, as they finish. After `minutes` no further job begins."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    queue = Queue(jobs)
    with multiprocessing.get_context("spawn").Pool(processes, die_with, (os.getpid(),)) as pool:
        workers, running = multiprocessing.active_children(), []
        while running or (queue.waiting and time.monotonic() < end):
            if any(worker.exitcode is not None for worker in workers):  # the pool would wait for its job for ever
                raise BadInput("a process that measured was killed, perhaps for memory; take fewer --jobs and go on")
            while len(running) < processes and time.monotonic() < end and (job := queue.next(time.monotonic())):
                running.append(pool.apply_async(do, (job,)))
            finished = [each for each in running if each.ready()]
            running = [each for each in running if not each.ready()]
            for each in finished:
                yield from queue.took(each.get(), time.monotonic())
            time.sleep(0.05)


def measure_on(there: cluster.submitit.AutoExecutor, jobs: Sequence[Job]) -> Iterator[Done]:
    """Every job on a cluster, as they finish; the tries of sweeps go first, and whoever needs one that failed is left
    out."""
    needed = {(job.paper, metric) for job in jobs for metric in job.tries}
    tries = [job for job in jobs if (job.paper, job.metric) in needed]
    failed = set()
    for part in (tries, [job for job in jobs if job not in tries]):
        ready = [job for job in part if not failed & set(job.tries)]
        yield from (Done(job, None, 0.0, "left out, for a try of its rate failed") for job in part if job not in ready)
        for job, found in cluster.each_done(there, do, ready):
            done = Done(job, None, 0.0, str(found)) if isinstance(found, cluster.Failed) else found
            if done.error:
                failed.add(job.metric)
            yield done


class Queue:
    """Jobs in their order, without those that wait: for tries of their sweep, or for another process that is at one."""

    def __init__(self, jobs: Sequence[Job]):
        self.waiting = list(jobs)
        needed = {(job.paper, metric) for job in jobs for metric in job.tries}
        self.untried = {(job.paper, job.metric) for job in jobs} & needed
        self.later: dict[Job, float] = {}

    def next(self, now: float) -> Job | None:
        """The first job that can begin."""
        for k, job in enumerate(self.waiting):
            if self.later.get(job, 0.0) <= now and not self._lacks(job):
                return self.waiting.pop(k)
        return None

    def took(self, done: Done, now: float) -> list[Done]:
        """What to say of a job: nothing of a try that another process is at, for it comes again; of one that failed,
        also that the rows which need it are left out."""
        tried = (done.job.paper, done.job.metric)
        if tried not in self.untried:
            return [done]
        if done.value is not None:
            self.untried.remove(tried)
            return [done]
        if not done.error:
            self.later[done.job] = now + AGAIN
            self.waiting.append(done.job)
            return []
        lost = [job for job in self.waiting if job.paper == tried[0] and tried[1] in job.tries]
        self.waiting = [job for job in self.waiting if job not in lost]
        return [done, *(Done(job, None, 0.0, f"left out, for {tried[1]} failed") for job in lost)]

    def _lacks(self, job: Job) -> bool:
        return any((job.paper, metric) in self.untried for metric in job.tries)


def threads_of(processes: int, device: str = "cpu") -> int:
    """The cores' share of each of so many processes; one thread where a GPU computes, however many feed it."""
    return 1 if device.startswith("cuda") else max(cores() // processes, 1)

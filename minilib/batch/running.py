"""Running the jobs of a batch, side by side on this machine or on a cluster, and the status of each."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from minilib import cluster
from minilib.batch.jobs import FAILED, OK, Job, Status, run_job
from minilib.files import write_whole
from minilib.processes import die_with


def run_all(
    jobs: Sequence[Job], workers: int = 1, report: Callable[[Status, list[Status]], None] | None = None
) -> list[Status]:
    """Runs the jobs in a pool, in order; `report(status, done)` follows each. Ctrl-C leaves nothing half-written."""
    done: list[Status] = []
    expected = {row.name: row.seconds for row in read_status(jobs[0].out_dir)} if jobs else {}
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs) or 1), spawn, die_with, (os.getpid(),))
    waiting = {pool.submit(run_job, job): job for job in jobs}
    try:
        with tqdm(
            total=len(jobs), unit="notebook", bar_format="{n}/{total} {elapsed} {postfix}", disable=_unseen()
        ) as bar:
            while waiting:
                left = [job for future, job in waiting.items() if not future.done()]
                bar.set_postfix_str(_outlook(left, done, expected, workers, bar.format_dict["elapsed"]))
                ready, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                for future in ready:
                    status = _result(future, waiting.pop(future))
                    done.append(status)
                    bar.update()
                    if report:
                        bar.clear()
                        report(status, done)
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)
        for job in jobs:
            job.part.unlink(missing_ok=True)
        raise
    pool.shutdown()
    return done


def run_on(
    there: cluster.submitit.AutoExecutor, jobs: Sequence[Job], report: Callable[[Status, list[Status]], None]
) -> list[Status]:
    """Runs the jobs on a cluster, by the same function; `report(status, done)` follows each."""
    done: list[Status] = []
    for job, found in cluster.each_done(there, run_job, jobs):
        done.append(Status(job.name, FAILED, 0.0, str(found)) if isinstance(found, cluster.Failed) else found)
        report(done[-1], done)
    return done


def _unseen() -> bool:
    return not sys.stderr.isatty()


def _result(future: Future, job: Job) -> Status:
    try:
        return future.result()
    except BrokenProcessPool:
        job.part.unlink(missing_ok=True)
        return Status(job.name, FAILED, 0.0, "the runner's own process was killed; run the same command again")


def _outlook(
    left: Sequence[Job], done: Sequence[Status], expected: Mapping[str, float], workers: int, elapsed: float
) -> str:
    """Which notebooks are open and about how long they will take, from earlier runs or from those done now."""
    measured = [status.seconds for status in done if status.state == OK]
    usual = sum(measured) / len(measured) if measured else None
    times = [expected.get(job.name, usual) for job in left]
    names = ", ".join(job.name for job in left[:workers])
    if not left or None in times:
        return names
    seconds = max(sum(times) / workers, *times) - (elapsed if not done else 0)
    return f"{names}, about {max(1, round(seconds / 60))} min left"


def read_status(out: Path | str) -> list[Status]:
    """The rows of `status.jsonl`; a row that cannot be read is left out."""
    path, rows = Path(out) / "status.jsonl", []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            rows.append(Status(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return rows


def write_status(out: Path | str, new: Sequence[Status]) -> None:
    """One row a notebook, the newest, in the notebooks' order."""
    rows = {row.name: row for row in (*read_status(out), *new)}
    write_whole(Path(out) / "status.jsonl", "".join(rows[name].json() + "\n" for name in sorted(rows)))

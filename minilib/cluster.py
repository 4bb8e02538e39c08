"""The jobs of a batch on a cluster, by submitit: the same functions as on this machine, as Slurm jobs, or for a try as
processes of this machine ("local") or in this one ("debug").

A job that is preempted or runs out of time is submitted again with the same work, which goes on from the rows, records
and checkpoints that it finds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import submitit

from minilib.commands import setting
from minilib.errors import BadInput

Job, Result = TypeVar("Job"), TypeVar("Result")
KINDS = ("slurm", "local", "debug")
USUAL = {"timeout_min": 24 * 60, "cpus_per_task": 1}
TIMEOUTS = 1000  # how often a job may run out of time before it counts as failed


class Resumable(submitit.helpers.Checkpointable):
    """`run` as submitit wants it: cut off, it is submitted again with the same job."""

    def __init__(self, run: Callable[[Job], Result]):
        self.run = run

    def __call__(self, job: Job) -> Result:
        return self.run(job)


class Failed(Exception):
    """A job that came to no result, and in one line why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a command whose jobs may go to a cluster."""
    parser.add_argument(
        "--cluster", choices=KINDS, help="submit the jobs: slurm, or for a try local (processes here) or debug"
    )
    parser.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what each job asks the cluster for, repeated: timeout_min=720 (minutes; default a day), cpus_per_task=8, "
        "gpus_per_node=1, mem_gb=64, slurm_partition=gpu, slurm_array_parallelism=4 (jobs at a time)",
    )


def wanted(asked: Sequence[str]) -> dict[str, object]:
    """What each job asks for, by submitit's names."""
    return USUAL | dict(setting(text, "--ask") for text in asked)


def executor(kind: str, folder: Path | str, asked: Sequence[str] = (), name: str = "minilib") -> submitit.AutoExecutor:
    """Where jobs go; pickles and logs lie in `folder`. BadInput where there is no such cluster or parameter."""
    try:
        there = submitit.AutoExecutor(folder, kind, slurm_max_num_timeout=TIMEOUTS, local_max_num_timeout=TIMEOUTS)
        there.update_parameters(name=name, **wanted(asked))
    except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
        raise BadInput(f"--cluster {kind}: {' '.join(str(error).split())[:300]}") from error
    return there


def each_done(
    there: submitit.AutoExecutor, run: Callable[[Job], Result], jobs: Sequence[Job]
) -> Iterator[tuple[Job, Result | Failed]]:
    """Submits all jobs, and gives each with its result as they finish. Whoever stops listening cancels the rest."""
    with there.batch():
        submitted = [there.submit(Resumable(run), job) for job in jobs]
    of = {each.job_id: job for each, job in zip(submitted, jobs, strict=True)}
    try:
        for each in submitit.helpers.as_completed(submitted, poll_frequency=0.5):
            error = each.exception()
            yield of[each.job_id], each.result() if error is None else Failed(_line(error, each))
    except BaseException:
        for each in submitted:
            each.cancel(check=False)
        raise


def _line(error: BaseException, job: submitit.Job) -> str:
    """What a job's own exception says last, or what submitit says first of a job that died."""
    _, *trace = re.split(r"(?m)^-{10,}$", str(error))
    said = [line.strip() for line in (trace[0] if trace else str(error)).splitlines() if line.strip()]
    line = said[-1 if trace else 0] if said else type(error).__name__
    return f"{line[:200]}; log: {job.paths.stderr}"

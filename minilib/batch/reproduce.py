"""`python -m minilib.batch.reproduce`: runs the notebooks in parallel, resumes after any death, writes the report.

Everything lies under one folder (`--out`): executed notebooks, completion records, measured rows, `status.jsonl` and
`report.html`. Run the same command again and only what is missing, failed or changed is run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path

import nbformat

from minilib import cluster
from minilib.batch.arguments import arguments
from minilib.batch.executed import code_cells, is_current, read_notebook, strip
from minilib.batch.jobs import Job, Status, check_job, defaults, run_job
from minilib.batch.running import read_status, run_all, run_on, write_status
from minilib.claims.rows import append_rows, read_rows
from minilib.commands import answer, setting
from minilib.course import timed
from minilib.environment import cores
from minilib.errors import BadInput
from minilib.files import RESULTS, RUNS, writable_folder, write_whole
from minilib.notebook import SCALES, check_parameters

__all__ = ["Job", "Status", "is_current", "main", "plan", "read_status", "run_all", "run_job", "update"]

CELL_TIMEOUT = {"smoke": 600.0, "small": 3600.0, "paper": None}  # seconds
LARGEST = 500_000  # bytes of a committed notebook
COPY = re.compile(r"-Copy\d*$")  # JupyterLab's name for a duplicate, which would run over its original's record


def select(notebooks: Path, only: str | None) -> list[Path]:
    """The numbered notebooks; `only` takes numbers, names, names without the number, or else what is part of a name:
    '02', 'zeroi2v', 'object_centric'."""
    found = sorted(path for path in notebooks.glob("*.ipynb") if not path.name.startswith("."))
    every = [path for path in found if not COPY.search(path.stem)]
    if not every:
        raise BadInput(f"{notebooks}: no notebooks there")
    for copy in found:
        if copy not in every:
            print(f"left out: {copy.name}, a copy; give it a number and a name of its own to run it", file=sys.stderr)
    if not only:
        return every
    chosen = []
    for name in filter(None, (part.strip() for part in only.split(","))):
        found = [p for p in every if name in (p.stem, p.stem.split("_", 1)[0], p.stem.split("_", 1)[-1])]
        found = found or [p for p in every if name in p.stem.split("_", 1)[-1]]
        if not found:
            raise BadInput(f"--only {name}: no such notebook; there are {', '.join(p.stem for p in every)}")
        chosen += found
    return [path for path in every if path in chosen]


def plan(
    notebooks: Sequence[Path],
    out: Path,
    scale: str = "small",
    seeds: int | None = None,
    fresh: bool = False,
    settings: Mapping[str, object] | None = None,
    jobs: int = 1,
    timeout: float | None = None,
) -> list[Job]:
    """A checked job for each notebook. Everything that can be known to be wrong is `BadInput` here, before any runs.

    A setting must be a parameter of at least one notebook and goes to those that have it.
    """
    settings = dict(settings or {})
    has = {path: defaults(path) for path in notebooks}
    for name in settings:
        if not any(name in known for known in has.values()):
            every = list(dict.fromkeys(key for known in has.values() for key in known))
            raise BadInput(f"--set {name}: no such parameter; there are {', '.join(every) or 'none'}")
    common = {"scale": scale, "fresh": fresh, "out_dir": _as_seen_from_here(out), **settings}
    if seeds is not None:
        common["seeds"] = seeds
    share = _threads(jobs)
    planned = []
    for path, known in has.items():
        values = {name: value for name, value in common.items() if name in known}
        job = Job(path, out, values, share, timeout if timeout is not None else CELL_TIMEOUT[scale], fresh)
        check_job(job)
        shared = signature(check_parameters).parameters
        needs_data = not any("needs_data=False" in source for source in code_cells(read_notebook(path)))
        given = {k: v for k, v in {**known, **values}.items() if k in shared}
        check_parameters(**given, needs_data=needs_data)
        planned.append(job)
    return planned


def _threads(jobs: int) -> int:
    """This machine's cores shared out, or fewer where OMP_NUM_THREADS asks for fewer."""
    share, limit = max(1, cores() // jobs), os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) else share


def _as_seen_from_here(out: Path) -> str:
    """Relative where possible, so that executed notebooks do not name this machine's folders."""
    return os.path.relpath(out) if Path(out).absolute().is_relative_to(Path.cwd()) else str(Path(out).absolute())


def update(jobs: Sequence[Job], out: Path, results: Path = RESULTS) -> list[str]:
    """Takes a finished run into the checkout: notebooks stripped, new rows, the report. Returns what it wrote."""
    written = []
    for job in jobs:
        executed = strip(read_notebook(job.output), out)
        executed.metadata["minilib"].pop("job", None)
        if job.parameters.get("scale") == "small":  # the time that a page promises is of this scale
            record = json.loads(job.record.read_bytes())
            timed(executed, record["seconds"], record["environment"]["threads"])
        write_whole(job.notebook, nbformat.writes(executed).rstrip("\n") + "\n")
        size = Path(job.notebook).stat().st_size
        written.append(Path(job.notebook).name + (f" ({size // 1000} kB, more than 500)" if size > LARGEST else ""))
    for path in sorted((out / "rows").glob("*.jsonl")):
        target = results / "rows" / path.name
        have = {row.model_dump_json() for row in read_rows(target)}
        new = [row for row in read_rows(path) if row.scale != "smoke" and row.model_dump_json() not in have]
        append_rows(target, new)
        written += [f"rows/{path.name}: {len(new)} rows"] if new else []
    if (out / "report.html").is_file():
        results.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / "report.html", results / "report.html")
        written.append("report.html")
    return written


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(given: list[str] | None = None) -> int:
    """0: all done; 1: a notebook failed; 2: bad input; 130: interrupted."""
    args = arguments().parse_args(given)
    return answer(lambda: _reproduce(args))


def _reproduce(args: argparse.Namespace) -> int:
    if args.jobs < 1:
        raise BadInput(f"--jobs {args.jobs}: must be 1 or more")
    if args.scale not in SCALES:
        raise BadInput(f"--scale {args.scale}: must be one of {', '.join(SCALES)}")
    if args.update and (args.scale != "small" or args.set or args.seeds):
        raise BadInput("--update publishes what --scale small gives without --set and --seeds; leave these out")
    chosen = select(args.notebooks, args.only)
    settings = dict(setting(text) for text in args.set)
    out = writable_folder(args.out or RUNS / args.scale, "--out")
    there = cluster.executor(args.cluster, out / "cluster", args.ask, "reproduce") if args.cluster else None
    jobs = plan(chosen, out, args.scale, args.seeds, args.fresh, settings, args.jobs, args.cell_timeout)
    if there is not None:
        jobs = [replace(job, threads=cluster.wanted(args.ask)["cpus_per_task"]) for job in jobs]
    signal.signal(signal.SIGTERM, _interrupt)

    def report(status: Status, done: list[Status]) -> None:
        write_status(out, [status])
        reason = f": {status.reason}" if status.reason else ""
        print(f"[{len(done)}/{len(jobs)}] {status.name} {status.state} {status.seconds:.0f} s{reason}", flush=True)

    how = f"{args.jobs} at a time" if there is None else f"as jobs of {args.cluster}"
    print(f"{len(jobs)} notebooks at scale {args.scale}, {how}, {jobs[0].threads} threads each", flush=True)
    try:
        done = run_all(jobs, args.jobs, report) if there is None else run_on(there, jobs, report)
        from minilib.batch.report import write_report

        page = write_report(out, args.notebooks)
        print(f"report: {_as_seen_from_here(page)}")
        failed = [status for status in done if not status.good]
        if args.update and not failed:
            print("updated: " + ", ".join(update(jobs, out)))
        elif args.update:
            print("nothing updated: a notebook failed", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m minilib.study PAPER`: measures what a paper's study lacks, or says what that is and what it costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minilib import cluster
from minilib.claims import load
from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import writable_folder
from minilib.progress import progress
from minilib.study.study import load_study
from minilib.study.work import Job, Wanted, measure_all, measure_on, rows_of, threads_of, wanted


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m minilib.study", description=__doc__.split(": ", 1)[1])
    made.add_argument("paper", help="the name of its claims file, for instance zeroi2v")
    made.add_argument("--variants", nargs="*", default=[], metavar="NAME", help='"<variant>" or "<recipe>/<variant>"')
    made.add_argument("--recipe", default="", help="only this recipe: core, grid, tuned (default: all)")
    made.add_argument("--seeds", type=int, default=5, help="seeds 0 to SEEDS - 1 (default: 5)")
    made.add_argument("--jobs", type=int, default=1, help="runs side by side, which share the cores (default: 1)")
    made.add_argument("--minutes", type=float, help="begin no run after so many minutes")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--scale", default="small", choices=("smoke", "small"), help="smoke: a few steps, no verdicts")
    made.add_argument("--out", default="results", help="folder with rows/PAPER.jsonl, read and appended")
    cluster.add_arguments(made)
    made.add_argument("--plan", action="store_true", help="print what is missing, most wanted first, and its seconds")
    made.add_argument("--list", action="store_true", help="print the names of everything that can be measured")
    made.add_argument("--costs", action="store_true", help="measure times and memory instead; let nothing else run")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 and one line where what is asked for cannot be."""
    ask = parser()
    args = ask.parse_args(arguments)
    if args.seeds < 1 or args.jobs < 1 or (args.minutes is not None and args.minutes <= 0):
        ask.error("--seeds, --jobs and --minutes count from 1")
    return answer(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """What `main` was asked for."""
    study = load_study(args.paper).at(args.scale)
    if args.list:
        print("\n".join(study.metrics(args.recipe)))
        return 0
    out = str(writable_folder(args.out, "--out"))
    rows = rows_of(args.paper, out, args.scale, args.device)
    if args.costs:
        if study.costs is None:
            raise BadInput(f"{args.paper} has no costs that are timed")
        study.costs(rows)
        return 0
    unknown = [name for name in args.variants if not known(name, study.metrics())]
    if unknown:
        raise BadInput(f"--variants {unknown[0]!r}: not of {args.paper}; --list names what is there")
    missing = [
        each
        for each in wanted(study, load(args.paper), rows, range(args.seeds), args.variants)
        if args.recipe in ("", each.metric.partition("/")[0].partition(".")[0])
    ]
    if args.plan:
        print(plan(missing))
        return 0
    there = cluster.executor(args.cluster, f"{out}/cluster", args.ask, args.paper) if args.cluster else None
    threads = threads_of(args.jobs) if there is None else cluster.wanted(args.ask)["cpus_per_task"]
    jobs = [Job(args.paper, w.metric, w.seed, out, args.scale, args.device, threads) for w in missing]
    measured = measure_all(jobs, args.jobs, args.minutes) if there is None else measure_on(there, jobs)
    for job, value, seconds in progress(measured, total=len(jobs), desc=args.paper):
        print(f"{job.metric} seed {job.seed}: {said(value)} ({seconds:.0f} s)", flush=True)
    return 0


def known(name: str, metrics: Sequence[str]) -> bool:
    return name in metrics or any(metric.partition("/")[2] == name for metric in metrics)


def said(value: float | None) -> str:
    return "another process is at it" if value is None else f"{value:.1f}"


def plan(missing: Sequence[Wanted]) -> str:
    """A line a metric: its missing seeds, seconds in all, and why it is wanted; the sum at the end."""
    lines: dict[str, list[Wanted]] = {}
    for each in missing:
        lines.setdefault(each.metric, []).append(each)
    text = [
        f"{metric}: seeds {', '.join(str(w.seed) for w in each)}; {sum(w.seconds for w in each):,.0f} s; {each[0].why}"
        for metric, each in lines.items()
    ]
    return "\n".join([*text, f"{len(missing)} runs, {sum(w.seconds for w in missing) / 3600:.1f} hours of one core"])


if __name__ == "__main__":
    sys.exit(main())

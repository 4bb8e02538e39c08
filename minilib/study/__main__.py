"""`python -m minilib.study [PAPER ...]`: measures what papers' studies lack, or says what that is and what it costs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minilib import cluster
from minilib.claims import load
from minilib.claims.files import papers
from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import writable_folder
from minilib.progress import progress
from minilib.settings import MOST_SEEDS
from minilib.study.plan import Wanted, wanted
from minilib.study.recipes import parts_of
from minilib.study.study import load_study
from minilib.study.work import Done, Job, measure_all, measure_on, rows_of, threads_of


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m minilib.study", description=__doc__.split(": ", 1)[1], allow_abbrev=False
    )
    made.add_argument(
        "papers", nargs="*", metavar="PAPER", help="names of claims files, such as zeroi2v (default: all)"
    )
    made.add_argument("--variants", nargs="*", default=[], metavar="NAME", help='"<variant>" or "<recipe>/<variant>"')
    made.add_argument("--recipe", default="", help="only this recipe: core, grid, tuned (default: all)")
    made.add_argument(
        "--seeds",
        type=int,
        help="seeds 0 to SEEDS - 1 (default: the first look, 5 or 64 clips, and a later one that would decide)",
    )
    made.add_argument("--jobs", type=int, default=1, help="runs side by side, which share the cores (default: 1)")
    made.add_argument("--minutes", type=float, help="begin no run after so many minutes")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--here", action="store_true", help="only rows of this device and these threads count as there")
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
    if (args.seeds is not None and args.seeds < 1) or args.jobs < 1 or (args.minutes is not None and args.minutes <= 0):
        ask.error("--seeds, --jobs and --minutes count from 1")
    if (args.seeds or 0) > MOST_SEEDS:
        ask.error(f"--seeds: at most {MOST_SEEDS}")
    if args.cluster and args.minutes is not None:
        ask.error("--minutes is for this machine; jobs of a cluster end by --ask timeout_min=MINUTES")
    if args.costs and (args.plan or args.list or args.cluster or args.jobs > 1 or args.variants or args.recipe):
        ask.error("--costs times what a paper compares, alone on this machine: with PAPER, --device and --out only")
    if args.cluster and args.here:
        ask.error("--here is for this machine; which rows a cluster's machines would pair with is not known here")
    return answer(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """What `main` was asked for."""
    studies = {paper: load_study(paper).at(args.scale) for paper in args.papers or papers()}
    if args.list:
        print("\n".join(name for study in studies.values() for name in study.metrics(args.recipe)))
        return 0
    out = str(writable_folder(args.out, "--out"))
    threads = cluster.wanted(args.ask)["cpus_per_task"] if args.cluster else threads_of(args.jobs, args.device)
    counted = threads if args.here else None
    rows = {paper: rows_of(paper, out, args.scale, args.device, counted) for paper in studies}
    if args.costs:
        for paper, study in studies.items():
            if study.costs is None:
                raise BadInput(f"{paper} has no costs that are timed")
            study.costs(rows[paper])
        return 0
    metrics = [metric for study in studies.values() for metric in study.metrics()]
    if unknown := [name for name in args.variants if not known(name, metrics)]:
        raise BadInput(f"--variants {unknown[0]!r}: not of {', '.join(studies)}; --list names what is there")
    seeds = args.seeds and range(args.seeds)
    here = {paper: rows_of(paper, out, args.scale, args.device, threads) for paper in studies if not args.cluster}
    every = [
        each
        for paper, study in studies.items()
        for each in wanted(study, load(paper), rows[paper], seeds, args.variants, here.get(paper))
        if args.recipe in ("", parts_of(each.metric)[0])
    ]
    missing = sorted(every, key=lambda each: each.rank)
    if args.plan:
        print(plan(missing, several=len(studies) > 1))
        return 0
    there = cluster.executor(args.cluster, f"{out}/cluster", args.ask, "-".join(studies)) if args.cluster else None
    if (args.jobs > 1 or there) and (timed := [w for w in missing if studies[w.paper].timed(w.metric)]):
        print(f"left out, for they are timed: {len(timed)} runs; measure them with --jobs 1", flush=True)
        missing = [w for w in missing if w not in timed]
    fixed = (out, args.scale, args.device, threads)
    jobs = [Job(w.paper, w.metric, w.seed, *fixed, w.tries, args.here or w.here) for w in missing]
    failed = False
    measured = measure_on(there, jobs) if there else measure_all(jobs, args.jobs, args.minutes)
    for done in progress(measured, total=len(jobs), desc=", ".join(studies)):
        name = f"{done.job.paper} {done.job.metric}" if len(studies) > 1 else done.job.metric
        print(f"{name} seed {done.job.seed}: {said(done)} ({done.seconds:.0f} s)", flush=True)
        failed = failed or bool(done.error)
    return int(failed)


def known(name: str, metrics: Sequence[str]) -> bool:
    """Whether a name is a run, the half of one ("tuned.half/...", as `--plan` prints it), or a variant."""
    return name.replace(".half/", "/", 1) in metrics or any(metric.partition("/")[2] == name for metric in metrics)


def said(done: Done) -> str:
    return done.error or ("another process is at it" if done.value is None else f"{done.value:.1f}")


def listed(seeds: Sequence[int]) -> str:
    """Seeds one by one, or where many follow on one another the first and the last."""
    first, last = seeds[0], seeds[-1]
    if len(seeds) > 10 and list(seeds) == list(range(first, last + 1)):
        return f"{first} to {last}"
    return ", ".join(map(str, seeds))


def plan(missing: Sequence[Wanted], several: bool = False) -> str:
    """A line a metric, after its paper where there are several: its missing seeds, seconds in all, and why it is
    wanted; the sum at the end."""
    lines: dict[str, list[Wanted]] = {}
    for each in missing:
        lines.setdefault(f"{each.paper} {each.metric}" if several else each.metric, []).append(each)
    text = [
        f"{metric}: seeds {listed([w.seed for w in each])}; {sum(w.seconds for w in each):,.0f} s; {each[0].why}"
        f"{', again, where its partner was measured' * each[0].here}"
        for metric, each in lines.items()
    ]
    return "\n".join([*text, f"{len(missing)} runs, {sum(w.seconds for w in missing) / 3600:.1f} hours of one core"])


if __name__ == "__main__":
    sys.exit(main())

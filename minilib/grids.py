"""Measuring a grid of arms with paired seeds: what every paper's `<paper>_experiments` module shares.

Each such module is a command line: `python -m minilib.papers.zeroi2v.experiments --seeds 5 --jobs 2` measures what
results/rows lacks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minilib.claims import Measurements
from minilib.claims.environment import cores
from minilib.progress import progress

Measure = Callable[[str, int, Measurements], float]  # arm, seed, rows: the row that is there, or the run that makes it
After = Callable[[Measurements, list[int]], None]  # derives rows from those of a whole grid


def in_words(*parts: object) -> str:
    """All that makes a row but the seed, as text, of which its settings hash is taken; no function's address."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(map(str, parts)))


def random_labels(label: Tensor, classes: int, seed: int) -> Tensor:
    """Labels that say nothing about their clips, as many as `label` (b,): a negative control."""
    return torch.randint(classes, label.shape, generator=torch.Generator().manual_seed(seed))


def measure_all(
    measure: Measure, measurements: Measurements, seeds: list[int], names: Sequence[str], after: After | None = None
) -> None:
    """Every arm with every seed in this process, and what `after` derives from them."""
    for seed in seeds:
        for name in progress(names, desc=f"grid, seed {seed}"):
            measure(name, seed, measurements)
    if after is not None:
        after(measurements, seeds)


def _one(job: tuple[str, Measure, str, int, str, int]) -> tuple[str, int, float]:
    paper, measure, name, seed, out, threads = job
    torch.set_num_threads(threads)
    return name, seed, measure(name, seed, Measurements(paper, out))


def command_line(
    paper: str,
    arms: Sequence[str],
    measure: Measure,
    after: After | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Reads --seeds, --arms, --jobs and --out, and measures every arm with every seed, several runs side by side.

    `measure` is a function of a module, so that another process can call it. `after` derives rows from those of the
    whole grid; it is called where no arm was left out.
    """
    parser = argparse.ArgumentParser(description="measure the rows of the grid that are not there yet")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to SEEDS - 1 (default: 5)")
    parser.add_argument("--arms", nargs="*", default=list(arms), metavar="ARM", help="default: all")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side; the cores are shared among them")
    parser.add_argument("--out", default="results", help=f"folder with rows/{paper}.jsonl, read and appended")
    args = parser.parse_args(arguments)
    unknown = sorted(set(args.arms) - set(arms))
    if unknown:
        parser.error(f"arm {unknown[0]!r} is none of {', '.join(arms)}")
    if args.seeds < 1 or args.jobs < 1:
        parser.error("--seeds and --jobs count from 1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    threads = max(cores() // args.jobs, 1)
    jobs = [(paper, measure, name, seed, args.out, threads) for seed in range(args.seeds) for name in args.arms]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for name, seed, value in progress(pool.imap_unordered(_one, jobs), total=len(jobs), desc="arms"):
            print(f"{name} seed {seed}: {value:.1f}", flush=True)
    if after is not None and set(arms) <= set(args.arms):
        after(Measurements(paper, args.out), list(range(args.seeds)))

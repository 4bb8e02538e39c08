"""What the runner of notebooks can be asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

from minilib import cluster
from minilib.files import NOTEBOOKS
from minilib.notebook import SCALES


def arguments() -> argparse.ArgumentParser:
    """The command line of `python -m minilib.batch.reproduce`."""
    parser = argparse.ArgumentParser(
        prog="python -m minilib.batch.reproduce",
        description="Run the notebooks and write the report.",
        allow_abbrev=False,
    )
    parser.add_argument("--scale", default="small", help=f"{' | '.join(SCALES)} (default: small)")
    parser.add_argument("--only", help="numbers or names, separated by commas: 02,03")
    parser.add_argument("--seeds", type=int, help="how many seeds (default: the notebook's)")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks at a time; the cores are shared among them")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<scale>)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other parameter; repeat it"
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything anew, and run what is finished again")
    parser.add_argument("--cell-timeout", type=float, metavar="SECONDS", help="longest a cell may take")
    parser.add_argument(
        "--update", action="store_true", help="take notebooks, rows and report into the checkout afterwards"
    )
    cluster.add_arguments(parser)
    parser.add_argument("--notebooks", type=Path, default=NOTEBOOKS, help="folder of the notebooks")
    return parser

"""What the runner of notebooks can be asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from minilib.errors import BadInput
from minilib.files import NOTEBOOKS
from minilib.notebook import SCALES


def arguments() -> argparse.ArgumentParser:
    """The command line of `python -m minilib.batch.reproduce`."""
    parser = argparse.ArgumentParser(
        prog="python -m minilib.batch.reproduce", description="Run the notebooks and write the report."
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
    parser.add_argument("--notebooks", type=Path, default=NOTEBOOKS, help="folder of the notebooks")
    return parser


def setting(text: str) -> tuple[str, object]:
    """Name and value of "name=value": YAML where that is a number, a truth, a list or quoted, else the words as they
    stand."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise BadInput(f"--set {text}: write it as name=value")
    try:
        parsed = yaml.safe_load(value) if value else ""
    except yaml.YAMLError:
        return name, value
    quoted = value[:1] in ("'", '"') and value[-1:] == value[:1]
    return name, value if "#" in value or (isinstance(parsed, str) and not quoted) else parsed

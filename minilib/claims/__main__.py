"""`python -m minilib.claims [--json] [paper]`: every claim, what was measured, and the verdict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minilib.claims.files import FOLDER, load, papers, write_lock
from minilib.claims.rows import all_rows
from minilib.claims.table import table
from minilib.claims.verdicts import false_calls, judge
from minilib.commands import answer
from minilib.errors import BadInput
from minilib.files import RESULTS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m minilib.claims", description=__doc__.split(": ", 1)[1], allow_abbrev=False
    )
    parser.add_argument("paper", nargs="?", help="one paper (default: all of them)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line and claim")
    parser.add_argument("--rows", type=Path, metavar="OUT_DIR", help="also use the rows of this run, which win")
    parser.add_argument("--lock", action="store_true", help="write what is fixed of every ordering to lock.yaml")
    parser.add_argument("--claims", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.lock and args.paper:
        parser.error("--lock is of all papers; name none")
    return answer(lambda: _print(args))


def _print(args: argparse.Namespace) -> int:
    if args.lock:
        print(write_lock(args.claims))
        return 0
    if args.rows and not args.rows.is_dir():
        raise BadInput(f"--rows {args.rows}: no such folder")
    folders = [args.results] + ([args.rows] if args.rows else [])
    chosen = [load(name, args.claims) for name in ([args.paper] if args.paper else papers(args.claims))]
    judged = [(claims, judge(claims, all_rows(claims.paper, *folders))) for claims in chosen]
    ascii_alone = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    for claims, verdicts in judged:
        if args.json:
            print("\n".join(verdict.json(ascii_alone) for verdict in verdicts))
            continue
        pairs, wrong = false_calls(claims, verdicts)
        print(f"{claims.title or claims.paper}\n\n{table(claims, verdicts)}\n")
        print(f"Distinct pairs judged: {pairs}. Were there no effect at all, {wrong:.1f} would be called one.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

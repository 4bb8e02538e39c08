"""Do the tests notice broken code? Mutants of the shared modules, drawn with a seed, against their own tests.

`python -m tests.mutants --count 200 --seed 0` (or `make mutants`) prints how many each module's tests killed, and every
survivor as a difference. A survivor is a missing test, or a mutant that means the same. It takes about an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mutmut import configuration
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

from minilib.files import ROOT

CLAIMS = ["tests/test_claims.py", "tests/test_claims_rows.py", "tests/test_claims_verdicts.py"]
STUDIES = ("study", "study_work", "real", "speed", "next_paper", "detection_study", "real_detection")
GROUPS = {
    "training": (["minilib/training.py", "minilib/resume.py"], ["tests/test_training.py"]),
    "study": (["minilib/settings.py", "minilib/study/*.py"], [f"tests/test_{name}.py" for name in STUDIES]),
    "claims": (["minilib/claims/*.py"], CLAIMS),
}
MUTMUT = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()"]
LEFT_OUT = shutil.ignore_patterns(".*", "runs", "build", "__pycache__", "*.egg-info")
CONFIGURATION = """
[tool.mutmut]
source_paths = ["minilib"]
only_mutate = {modules}
pytest_add_cli_args_test_selection = {tests}
also_copy = {others}
timeout_constant = 10.0  # seconds, a minute with the multiplier: slow is not killed
timeout_multiplier = 6.0
"""


def copy(folder: Path, modules: list[str], tests: list[str]) -> None:
    """A copy of the checkout in `folder`, told what to mutate and what to run."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    others = [path.name for path in folder.iterdir() if path.name != "minilib"]
    lists = {"modules": modules, "tests": tests, "others": others}  # a JSON list of texts is a TOML list, too
    with (folder / "pyproject.toml").open("a") as file:
        file.write(CONFIGURATION.format(**{name: json.dumps(texts) for name, texts in lists.items()}))


def mutants(folder: Path, modules: list[str]) -> list[str]:
    """The names of all mutants of the modules of a copy."""
    with contextlib.chdir(folder):
        configuration.reset_config()
        paths = sorted(path for pattern in modules for path in Path(".").glob(pattern))
        return [
            get_mutant_name(path, name)
            for path in paths
            for name in mutate_file_contents(str(path), path.read_text()).mutant_names
        ]


def draw(names: Iterable[str], count: int, seed: int) -> list[str]:
    """`count` names by a hash, so that a change of one function draws the same mutants of all others again."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:count]


def outcomes(folder: Path, names: list[str]) -> dict[str, str]:
    """{mutant: killed, timeout, survived, no tests, ...} after their tests."""
    subprocess.run([*MUTMUT, "run", "--max-children", "1", *names], cwd=folder, check=True)
    told = subprocess.run([*MUTMUT, "results", "--all", "1"], cwd=folder, check=True, capture_output=True, text=True)
    found = dict(line.strip().rsplit(": ", 1) for line in told.stdout.splitlines() if "__mutmut_" in line)
    return {name: found[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="mutants to draw (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--only", default="", help="those of the drawn mutants whose name begins so")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {group: Path(scratch) / group for group in GROUPS}
        for group, folder in folders.items():
            copy(folder, *GROUPS[group])
        group_of = {name: group for group, folder in folders.items() for name in mutants(folder, GROUPS[group][0])}
        drawn = draw(group_of, args.count, args.seed)
        found, differences = {}, []
        for group, folder in folders.items():
            names = sorted(name for name in drawn if group_of[name] == group and name.startswith(args.only))
            found |= outcomes(folder, names) if names else {}
            for name in names:
                if found[name] != "killed":
                    show = subprocess.run([*MUTMUT, "show", name], cwd=folder, capture_output=True, text=True)
                    differences.append(show.stdout)
    print(*differences, sep="\n")
    for module in sorted({name.rpartition(".")[0] for name in found}):
        print(f"{module}: {dict(Counter(o for name, o in found.items() if name.rpartition('.')[0] == module))}")
    caught = sum(outcome in ("killed", "timeout") for outcome in found.values())
    print(f"{caught} of {len(found)} of {len(group_of)} mutants killed: {100 * caught / max(len(found), 1):.1f} %")


if __name__ == "__main__":
    main()

"""`python -m minilib.train FILE`: trains a paper's method on real videos as a file of parameters says; rows come of it.

    python -m minilib.train notebooks/parameters/zeroi2v_kinetics400.yaml --set data_root=/data --set seeds=3
    accelerate launch --multi_gpu --num_processes 8 -m minilib.train FILE --set data_root=/data
    torchrun --nproc-per-node 8 -m minilib.train FILE --set data_root=/data

The file and the notebooks have the same parameters. The same command goes on where a run was cut off, with any number
of processes, and finds what is finished.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import fields
from inspect import signature
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from minilib.claims import Measurements
from minilib.commands import answer, setting
from minilib.distributed import processes
from minilib.errors import BadInput
from minilib.notebook import check_parameters
from minilib.study.saved import PLACES

CLIPS, FRAMES = "minilib.study.real", "minilib.study.real_detection"
METHODS = {  # paper: who runs it, what makes it ready
    **{name: (CLIPS, PLACES[name]) for name in ("zeroi2v", "dist", "object_centric", "victr")},
    "detection_pretraining": (CLIPS, "minilib.papers.detection_pretraining.real:prepared"),
    "coarse_fine": (FRAMES, "minilib.papers.coarse_fine.real:prepared"),
    "open_vocabulary": ("minilib.study.real_localization", "minilib.papers.open_vocabulary.real:prepared"),
}


def train_by(values: Mapping[str, object]) -> dict[int, dict[str, float]]:
    """The outcome of each seed: metrics in percent, steps, seconds, clips. What is wrong in `values` is BadInput."""
    values = {"scale": "paper", **values}
    method = values.pop("method", None)
    if method not in METHODS:
        raise BadInput(f"method={method!r}: must be one of {', '.join(METHODS)}")
    if values["scale"] != "paper":
        raise BadInput(f"scale={values['scale']!r}: real videos are of scale paper")
    where, ready = METHODS[method]
    study, prepare = pkgutil.resolve_name(where), pkgutil.resolve_name(ready)
    shared, own = signature(check_parameters).parameters, {field.name for field in fields(study.Run)}
    if unknown := [name for name in values if name not in own | set(shared)]:
        raise BadInput(f"{method} has no parameter {unknown[0]!r}; it has {', '.join(sorted(own | set(shared)))}")
    params = check_parameters(**{name: value for name, value in values.items() if name in shared})
    asked = {name: value for name, value in values.items() if name in own}
    asked |= {name: getattr(params, name) for name in ("data_root", "weights", "device", "fresh")}
    try:
        run = TypeAdapter(study.Run).validate_python(asked)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{first['loc'][0]}={first['input']!r}: " if first["loc"] else ""
        raise BadInput(place + first["msg"].removeprefix("Value error, ")) from error
    rows = Measurements(method, params.out_dir, "paper", params.fresh, params.device)
    return study.over_seeds(study.run, run, params.seed_list, params.out_dir, prepare, rows)


def read_parameters(path: Path) -> dict[str, object]:
    """Names and values of a YAML file."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}: must be lines of name: value")
    return found


def main(arguments: list[str] | None = None) -> int:
    """0, or 2 and one line where what is asked for cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m minilib.train", description="Train a method on real videos.", allow_abbrev=False
    )
    parser.add_argument("parameters", type=Path, help="a file such as notebooks/parameters/zeroi2v_kinetics400.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; repeat it")
    args = parser.parse_args(arguments)
    return answer(lambda: _train(args))


def _train(args: argparse.Namespace) -> int:
    for seed, outcome in train_by({**read_parameters(args.parameters), **dict(map(setting, args.set))}).items():
        if processes().first:
            print(json.dumps({"seed": seed, **outcome}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m minilib.predict MODEL VIDEO...`: what a model trained on one's own videos says of others, as csv.

Columns: video, label, probability, one for each class, error. A folder stands for the videos in it. As a call:

    for each in load_model("own_model.json").predict(["a.mp4", "b.mp4"]):
        print(each.video, each.label, each.probability)
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from minilib.commands import answer, device_of
from minilib.errors import BadInput
from minilib.progress import progress


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m minilib.predict", description="What a model says of videos, as csv.", allow_abbrev=False
    )
    made.add_argument("model", help="NAME.json or NAME.safetensors of a model that was trained on own videos")
    made.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, or folders of them")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--weights", default="", help="file of the image-text model, where its manifest does not find it")
    made.add_argument("--data-root", default="", help="folder of data sets and weights, for a model on the real CLIP")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all read; 1: a video could not be read, its row says why; 2: bad input."""
    args = parser().parse_args(arguments)
    return answer(lambda: _predict(args))


def _predict(args: argparse.Namespace) -> int:
    videos, device = found(args.videos), device_of(args.device)
    from minilib.study.saved import load_model  # torch takes seconds, and a mistyped name should not

    model = load_model(args.model, args.data_root, args.weights)
    classes = model.card.classes
    print(line("video", "label", "probability", *classes, "error"), flush=True)
    bad = 0
    for each in progress(model.predict(videos, device), desc="videos", total=len(videos), unit="video"):
        each_class = [""] * len(classes) if each.error else [f"{p:.4f}" for p in each.probabilities.tolist()]
        top = "" if each.error else f"{each.probability:.4f}"
        print(line(each.video, each.label, top, *each_class, each.error), flush=True)
        bad += bool(each.error)
    return 1 if bad else 0


def found(names: Sequence[str]) -> list[Path]:
    """The files that are named, and those in the folders that are named, in order. Raises BadInput for a name that is
    nothing, and for a folder without videos."""
    from minilib.datasets.annotations import VIDEO_SUFFIXES

    return [path for name in names for path in _in(Path(name).expanduser(), VIDEO_SUFFIXES)]


def _in(path: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    if os.path.isdir(path):
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes and each.is_file())
        if not inside:
            raise BadInput(f"{path}: the folder has no video ({', '.join(suffixes)})")
        yield from inside
    elif os.path.isfile(path):
        yield path
    else:
        raise BadInput(f"{path}: no such file or folder")


def line(*cells: str) -> str:
    """One row of a csv file, quoted where it must be, without its line end."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue()


if __name__ == "__main__":
    sys.exit(main())

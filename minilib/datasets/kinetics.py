"""Kinetics: the official csv files, and a plain folder of videos in the same layout, which is also how own videos come.

root/annotations/train.csv                        label,youtube_id,time_start,time_end,split
root/train/<label>/<youtube_id>_000010_000020.mp4     or without the folder <label>
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from minilib.datasets.annotations import (
    UNLABELLED,
    VIDEO_SUFFIXES,
    Annotated,
    Clip,
    class_index,
    inside,
    lookup,
    number,
    read_lines,
    read_table,
)
from minilib.errors import BadInput

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")


def file_name(youtube_id: str, start: int, end: int) -> str:
    """The official name of a clip: the id, and start and end in seconds with six digits."""
    return f"{youtube_id}_{start:06d}_{end:06d}.mp4"


def read_csv(path: Path | str, videos: Path | str, classes: tuple[str, ...] | None = None) -> Annotated:
    """The clips of an official csv, whose files lie in `videos` or in `videos/<label>`.

    `classes` defaults to the csv's labels in alphabetical order. A csv without labels gives `UNLABELLED` clips.
    """
    rows, videos = read_table(path, COLUMNS[1:]), Path(videos)
    labelled = "label" in rows[0][1]
    if classes is None:
        classes = tuple(sorted({row["label"] for _, row in rows})) if labelled else ()
    index, folders, clips = class_index(classes), {}, []
    for where, row in rows:
        seconds = [number(row[column], where, column) for column in ("time_start", "time_end")]
        label = lookup(index, row["label"], where) if labelled else UNLABELLED
        if label not in folders:
            folder = inside(videos, row["label"], where) if labelled else videos
            folders[label] = folder if os.path.isdir(folder) else videos
        clips.append(Clip(inside(folders[label], file_name(row["youtube_id"], *seconds), where), label))
    return Annotated(tuple(clips), classes)


def kinetics(root: Path | str, split: str) -> Annotated:
    """A split of a folder in Kinetics' layout: annotations/<split>.csv and the videos in <split>/.

    The classes are the lines of annotations/label_map.txt if it is there, else the labels of annotations/train.csv.
    """
    root = Path(root)
    names = root / "annotations" / "label_map.txt"
    if names.is_file():
        classes = tuple(line for _, line in read_lines(names))
    else:
        classes = read_csv(root / "annotations" / "train.csv", root / "train").classes
    return read_csv(root / "annotations" / f"{split}.csv", root / split, classes)


def kinetics_folder(root: Path | str) -> dict[str, Annotated]:
    """Own videos: root/train/<label>/*.mp4 and root/val/<label>/*.mp4, as {"train": ..., "val": ...}.

    The classes are the folders of train in alphabetical order. A label without a training video, a label that only val
    has, and videos outside a label's folder are `BadInput`; other files are named in a warning.
    """
    root = Path(root)
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise BadInput(
                f"videos {root}: there is no folder {split}, make {root / split}/<label>/ and put videos in it"
            )
        loose = _videos(root / split)
        if loose:
            raise BadInput(f"videos {root}: {loose[0]} has no label, move it to {root / split}/<label>/")
    folders = {split: _visible(root / split) for split in ("train", "val")}
    classes = tuple(folder.name for folder in folders["train"])
    index, out = class_index(classes), {}
    for split in ("train", "val"):
        clips = []
        for folder in folders[split]:
            label = lookup(index, folder.name, f"videos {root / split}, against {root / 'train'}")
            found = [Clip(path, label) for path in _videos(folder)]
            if split == "train" and not found:
                raise BadInput(f"videos {folder}: the label has no training video ({', '.join(VIDEO_SUFFIXES)})")
            clips += found
        if not clips:
            raise BadInput(f"videos {root / split}: there is no video ({', '.join(VIDEO_SUFFIXES)})")
        out[split] = Annotated(tuple(clips), classes)
    return out


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _videos(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    other = [path.name for path in files if path.suffix.lower() not in VIDEO_SUFFIXES]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        warnings.warn(f"videos {folder}: {other[0]}{more} left out, not named like a video", stacklevel=3)
    return [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]

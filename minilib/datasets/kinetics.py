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
    ClipList,
    class_index,
    inside,
    lookup,
    number,
    plain,
    read_columns,
    read_lines,
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
    (lines, columns), videos = read_columns(path, COLUMNS[1:]), Path(videos)
    start, end = (_numbers(columns[name], lines, path, name) for name in ("time_start", "time_end"))
    files = list(map(file_name, columns["youtube_id"], start, end))
    if not plain("".join(files)):
        for file, line in zip(files, lines, strict=True):
            inside(videos, file, f"annotations {path}, line {line}")
    if "label" not in columns:
        return Annotated(ClipList(videos, files, [UNLABELLED] * len(files)), classes or ())
    words, first = columns["label"], {}
    for word, line in zip(reversed(columns["label"]), reversed(lines), strict=True):
        first[word] = f"annotations {path}, line {line}"
    classes = tuple(sorted(first)) if classes is None else classes
    index = class_index(classes)
    index = {word: lookup(index, word, where) for word, where in first.items()}
    folders = {word: f"{word}/" if os.path.isdir(inside(videos, word, first[word])) else "" for word in first}
    names = [folders[word] + file for word, file in zip(words, files, strict=True)]
    return Annotated(ClipList(videos, names, [index[word] for word in words]), classes)


def _numbers(texts: tuple[str, ...], lines: list[int], path: Path | str, name: str) -> list[int]:
    if "" in texts or not (joined := "".join(texts)).isascii() or not joined.isdigit():
        for text, line in zip(texts, lines, strict=True):
            number(text, f"annotations {path}, line {line}", name)
    return list(map(int, texts))


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

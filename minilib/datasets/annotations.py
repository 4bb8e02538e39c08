"""What every annotation reader gives and checks: labelled clips, class names, errors that name file and line."""

from __future__ import annotations

import csv
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from minilib.datasets.listing import UNLABELLED, Clip, ClipList
from minilib.errors import BadInput

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".webm", ".avi", ".mkv", ".mpg", ".mpeg", ".m2ts", ".mts", ".ts", ".3gp", ".wmv", ".flv",
    ".ogv", ".gif", ".vob", ".divx",
)  # fmt: skip

__all__ = ["UNLABELLED", "Clip", "ClipList"]  # beside what is defined here
Record = TypeVar("Record")
Clips = TypeVar("Clips")


@dataclass(frozen=True)
class Annotated:
    """The clips of one split and the names of the classes, at the label's index."""

    clips: Sequence[Clip]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)


def present(annotated: Clips, what: str = "") -> Clips:
    """Only the clips whose file is on the disk: of `Annotated`, or of anything else with `clips` that have a `path`.

    With `what`, the name of the split, a warning says how many of how many there are and names the first that is not;
    none at all is BadInput.
    """
    clips = annotated.clips
    paths = clips.paths() if isinstance(clips, ClipList) else [clip.path for clip in clips]
    there = [place for place, path in enumerate(paths) if os.path.isfile(path)]
    if what and len(there) < len(clips):
        lost = paths[next(place for place in range(len(paths)) if place >= len(there) or there[place] != place)]
        told = f"{what}: {len(there)} of {len(clips)} listed videos are there; the first missing is {lost}"
        if not there:
            raise BadInput(told)
        warnings.warn(told, stacklevel=2)
    if len(there) == len(clips):
        return annotated
    kept = clips.chosen(there) if isinstance(clips, ClipList) else tuple(clips[place] for place in there)
    return replace(annotated, clips=kept)


def first_of_each(clips: Sequence[Clip], count: int) -> Sequence[Clip]:
    """At most `count` clips, taken from the classes in turn, so that a short trial keeps all; in their old order."""
    if count >= len(clips):
        return clips
    seen: Counter[int] = Counter()
    turns = []
    for place, label in enumerate(clips.labels.tolist() if isinstance(clips, ClipList) else [c.label for c in clips]):
        turns.append((seen[label], place))
        seen[label] += 1
    places = sorted(place for _, place in sorted(turns)[:count])
    return clips.chosen(places) if isinstance(clips, ClipList) else tuple(clips[place] for place in places)


def mirrored_classes(classes: Sequence[str]) -> tuple[int | None, ...]:
    """The class that each becomes when its clip is mirrored: itself; the one whose name has left and right exchanged;
    None, which forbids mirroring, where a name says left or right and no class is its mirror image."""
    index = class_index(classes)
    return tuple(index.get(_mirrored(name)) for name in classes)


def _mirrored(name: str) -> str:
    """The name with left and right, and clockwise and anticlockwise, exchanged."""
    pairs = (("left", "right"), ("leftward", "rightward"), ("leftwards", "rightwards"), ("clockwise", "anticlockwise"))
    swap = dict(pairs) | {b: a for a, b in pairs} | {"counterclockwise": "clockwise"}

    def other(word: re.Match) -> str:
        found = swap.get(word[0].lower(), word[0])
        return found.capitalize() if word[0][:1].isupper() else found

    return re.sub(r"[A-Za-z]+", other, name)


def read_text(path: Path | str) -> str:
    """The whole of a UTF-8 file, with or without a byte-order mark."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"annotations {path}: no such file")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"annotations {path}: byte {error.start} is not UTF-8 text") from error


def read_lines(path: Path | str) -> list[tuple[str, str]]:
    """The lines that are not blank, stripped, each with where it stands ("annotations <file>, line 3")."""
    numbered = enumerate(read_text(path).split("\n"), 1)
    lines = [(f"annotations {path}, line {number}", line.strip()) for number, line in numbered if line.strip()]
    if not lines:
        raise BadInput(f"annotations {path}: the file is empty")
    return lines


def read_columns(path: Path | str, needed: Iterable[str]) -> tuple[list[int], dict[str, tuple[str, ...]]]:
    """A csv file by columns, cells stripped, and the line on which each row ends; its header must have the columns
    `needed`. Blank lines do not count."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    lines, rows = [], []
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise BadInput(f"annotations {path}, line {reader.line_num}: not a line of a csv file ({error})") from error
    if not rows:
        raise BadInput(f"annotations {path}: the file is empty")
    header, where = [cell.strip() for cell in rows.pop(0)], f"annotations {path}, line {lines.pop(0)}"
    if not set(needed) <= set(header):
        raise BadInput(f"{where}: the header must have the columns {','.join(needed)}, not {','.join(header)}")
    if not rows:
        raise BadInput(f"annotations {path}: lists nothing below its header")
    if set(map(len, rows)) != {len(header)}:
        line, row = next(each for each in zip(lines, rows, strict=True) if len(each[1]) != len(header))
        raise BadInput(f"annotations {path}, line {line}: {len(row)} columns, the header has {len(header)}")
    columns = zip(*rows, strict=True)
    return lines, {name: tuple(map(str.strip, column)) for name, column in zip(header, columns, strict=True)}


def read_table(path: Path | str, needed: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a csv file by column name, each with where it stands; its header must have the columns `needed`."""
    lines, columns = read_columns(path, needed)
    rows = zip(*columns.values(), strict=True)
    return [
        (f"annotations {path}, line {line}", dict(zip(columns, row, strict=True)))
        for line, row in zip(lines, rows, strict=True)
    ]


def read_json(path: Path | str, kind: type[Record]) -> Record:
    """A JSON file as `kind`, checked by pydantic: lists of typed records, dictionaries, plain values."""
    try:
        return TypeAdapter(kind).validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise BadInput(f"annotations {path}{', at ' + where if where else ''}: {first['msg']}") from error


def inside(root: Path | str, name: str, where: str) -> Path:
    """`root / name`, where `name` comes from a file and must stay in `root`."""
    parts = name.split("/")
    if not name.strip() or name.startswith("/") or ".." in parts or set(parts) <= {"", "."} or set(name) & set("\\\0"):
        raise BadInput(f"{where}: the path {name!r} leaves the data folder; only paths below it are read")
    return Path(root, *parts)


def plain(text: str) -> bool:
    """Whether no name in `text` can leave its folder."""
    return not set("/\\\0") & set(text)


def class_index(classes: Iterable[str]) -> dict[str, int]:
    """Index by class name."""
    return {name: index for index, name in enumerate(classes)}


def lookup(index: dict[str, int], label: str, where: str) -> int:
    """The index of `label`; an unknown one is `BadInput`."""
    if label not in index:
        raise BadInput(f"{where}: {label!r} is none of the {len(index)} classes")
    return index[label]


def number(text: str, where: str, what: str) -> int:
    """A whole number of zero or more, in plain digits."""
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"{where}: {what} must be a whole number, not {text!r}")
    return int(text)


def read_classes(path: Path | str) -> tuple[str, ...]:
    """The names of a list of '<number> <class>', whose numbers must run from 1 in order."""
    names = []
    for where, line in read_lines(path):
        parts = line.split()
        if len(parts) != 2 or number(parts[0], where, "the class number") != len(names) + 1 or parts[1] in names:
            raise BadInput(f"{where}: {line!r} should be '{len(names) + 1} <class>', each class once")
        names.append(parts[1])
    return tuple(names)

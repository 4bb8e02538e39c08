"""Charades: half-minute videos of daily activities, several at once; for classification and for localisation.

root/Charades/Charades_v1_classes.txt    c000 Holding some clothes
root/Charades/Charades_v1_train.csv      id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length
root/Charades_v1_480/<id>.mp4            actions: "c092 11.90 21.20;c147 0.00 12.60", seconds from the start

Axes: t times, k classes.
"""  # noqa: E501

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minilib.datasets.annotations import class_index, inside, lookup, read_lines, read_text
from minilib.datasets.multithumos import Action, seconds
from minilib.errors import BadInput

NEEDED = ("id", "script", "actions", "length")


@dataclass(frozen=True)
class ActionVideo:
    """One video file, its length in seconds, all that happens in it, and what was to be acted."""

    path: Path
    length: float
    actions: tuple[Action, ...]
    text: str = ""


@dataclass(frozen=True)
class ActionVideos:
    """The videos of one split and the names of the classes, at the label's index. mended: how many annotations were
    not taken as they are, by what was done."""

    clips: tuple[ActionVideo, ...]
    classes: tuple[str, ...]
    mended: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)


def clip_labels(video: ActionVideo, classes: int) -> Tensor:
    """What happens at all, for classification: multi-hot bool (k,)."""
    labels = torch.zeros(classes, dtype=torch.bool)
    labels[[action.label for action in video.actions]] = True
    return labels


def frame_labels(video: ActionVideo, times: Sequence[float], classes: int) -> Tensor:
    """What goes on at `times` in seconds: multi-hot bool (t, k). An action goes on from its very start to its very end,
    as the official evaluation has it; the released training readers leave both ends out."""
    labels = torch.zeros(len(times), classes, dtype=torch.bool)
    if video.actions:
        start, end = (
            torch.tensor([getattr(a, side) for a in video.actions], dtype=torch.float64) for side in ("start", "end")
        )
        at = torch.as_tensor(np.asarray(times), dtype=start.dtype)[:, None]
        t, action = ((start <= at) & (at <= end)).nonzero(as_tuple=True)
        labels[t, torch.tensor([a.label for a in video.actions])[action]] = True
    return labels


def localisation_times(video: ActionVideo, count: int = 25) -> np.ndarray:
    """The seconds at which localisation is scored, those of `metrics.detection.localize_v1`: 0, 1/25, ..., 24/25 of
    the length."""
    return np.arange(count) * (video.length / count)


def read_classes(path: Path | str) -> tuple[str, ...]:
    """The names of Charades_v1_classes.txt at their index, which must run from c000 without a gap."""
    names = []
    for where, line in read_lines(path):
        key, _, name = line.partition(" ")
        if key != f"c{len(names):03d}" or not name.strip():
            raise BadInput(f"{where}: should be 'c{len(names):03d} <name>', not {line!r}")
        names.append(name.strip())
    return tuple(names)


def read_actions(
    path: Path | str, videos: Path | str, classes: tuple[str, ...], unlabelled: bool = False
) -> ActionVideos:
    """The videos of an official csv.

    As the published readers take them, an action that ends after its video is cut there, and one that starts after it
    or ends before its own start is left out; a warning says how many, and so does `mended`. A video without any action
    is BadInput, unless `unlabelled` keeps it.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    index, clips, rows = class_index(f"c{i:03d}" for i in range(len(classes))), [], []
    mended: Counter[str] = Counter()
    try:
        missing = [column for column in NEEDED if column not in (reader.fieldnames or ())]
        if missing:
            raise BadInput(f"annotations {path}, line 1: the header has no column {missing[0]}")
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise BadInput(f"annotations {path}, line {reader.line_num}: not a line of a csv file ({error})") from error
    for line, row in rows:
        name = (row["id"] or "").strip()
        where = f"annotations {path}, line {line} (id {name})"
        if None in row or None in row.values():
            raise BadInput(f"{where}: not the {len(reader.fieldnames)} columns of the header")
        if "/" in name or not name:
            raise BadInput(f"{where}: the id is not the name of a file")
        length = seconds(row["length"], f"{where}, length")
        listed = [part for part in row["actions"].split(";") if part.strip()]
        if not listed and not unlabelled:
            raise BadInput(f"{where}: no actions; give unlabelled=True to keep such videos as empty ones")
        found = (_action(part, length, index, where, mended) for part in listed)
        actions = tuple(action for action in found if action is not None)
        clips.append(ActionVideo(inside(videos, name + ".mp4", where), length, actions, row["script"].strip()))
    if not clips:
        raise BadInput(f"annotations {path}: lists no videos")
    if mended:
        told = ", ".join(f"{count} {what}" for what, count in sorted(mended.items()))
        warnings.warn(f"annotations {path}: of its actions {told}", stacklevel=2)
    return ActionVideos(tuple(clips), classes, dict(mended))


def charades(root: Path | str, split: str, unlabelled: bool = False) -> ActionVideos:
    """`split` ("train" or "test") of a folder in Charades' layout; papers validate on "test"."""
    if split not in ("train", "test"):
        raise BadInput(f"split {split!r} is none of train, test")
    notes = Path(root) / "Charades"
    classes = read_classes(notes / "Charades_v1_classes.txt")
    return read_actions(notes / f"Charades_v1_{split}.csv", Path(root) / "Charades_v1_480", classes, unlabelled)


def _action(part: str, length: float, index: dict[str, int], where: str, mended: Counter[str]) -> Action | None:
    words = part.split()
    if len(words) != 3:
        raise BadInput(f"{where}: action {part.strip()!r} should be a class, its start and its end")
    label = lookup(index, words[0], where)
    start, end = (seconds(word, f"{where}, {words[0]}") for word in words[1:])
    if start > end:
        mended["end before they start and are left out"] += 1
        return None
    if start >= length:
        mended["start after their video and are left out"] += 1
        return None
    mended.update({"end after their video and are cut there": 1} if end > length else {})
    return Action(label, start, min(end, length))

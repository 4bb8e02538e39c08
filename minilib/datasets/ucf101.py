"""UCF101: three splits, in lists of paths.

root/ucfTrainTestlist/classInd.txt         1 ApplyEyeMakeup
root/ucfTrainTestlist/trainlist01.txt      ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
root/ucfTrainTestlist/testlist01.txt       ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
root/UCF-101/<class>/<video>.avi
"""

from __future__ import annotations

from pathlib import Path

from minilib.datasets.annotations import Annotated, Clip, class_index, inside, lookup, number, read_classes, read_lines
from minilib.errors import BadInput


def read_list(path: Path | str, videos: Path | str, classes: tuple[str, ...]) -> Annotated:
    """The clips of a trainlist (path and class number) or a testlist (path alone); the class is the path's folder."""
    index, clips = class_index(classes), []
    for where, line in read_lines(path):
        name, *rest = line.split()
        folder, slash, file = name.partition("/")
        if not slash or "/" in file or len(rest) > 1:
            raise BadInput(f"{where}: {line!r} should be '<class>/<video>.avi' and at most a class number")
        place = inside(videos, name, where)
        label = lookup(index, folder, where)
        if rest and number(rest[0], where, "the class number") != label + 1:
            raise BadInput(f"{where}: class number {rest[0]}, but {folder} is number {label + 1}")
        clips.append(Clip(place, label))
    return Annotated(tuple(clips), classes)


def ucf101(root: Path | str, split: str, fold: int = 1) -> Annotated:
    """`split` ("train" or "test") of the official split `fold` (1, 2 or 3)."""
    lists = Path(root) / "ucfTrainTestlist"
    classes = read_classes(lists / "classInd.txt")
    return read_list(lists / f"{split}list{fold:02d}.txt", Path(root) / "UCF-101", classes)

"""HMDB51: three splits, one file a class and split, which marks each clip as train (1), test (2) or unused (0).

root/testTrainMulti_7030_splits/brush_hair_test_split1.txt      April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1
root/videos/<class>/<video>.avi
"""

from __future__ import annotations

from pathlib import Path

from minilib.datasets.annotations import Annotated, Clip, inside, read_lines
from minilib.errors import BadInput

MARKS = {"train": ["1"], "test": ["2"]}


def hmdb51(root: Path | str, split: str, fold: int = 1) -> Annotated:
    """`split` ("train" or "test") of the official split `fold` (1, 2 or 3); classes in alphabetical order."""
    root = Path(root)
    if split not in MARKS:
        raise BadInput(f"split {split!r} is none of {', '.join(MARKS)}")
    lists, ending = root / "testTrainMulti_7030_splits", f"_test_split{fold}.txt"
    classes = tuple(sorted(path.name.removesuffix(ending) for path in lists.glob(f"*{ending}")))
    if not classes:
        raise BadInput(f"annotations {lists}: there is no file <class>{ending}")
    clips = []
    for label, name in enumerate(classes):
        for where, line in read_lines(lists / (name + ending)):
            file, *mark = line.rsplit(maxsplit=1)
            if mark not in (["0"], ["1"], ["2"]) or "/" in file:
                raise BadInput(f"{where}: {line!r} should be '<video>.avi' and 0, 1 or 2")
            place = inside(root / "videos" / name, file, where)
            if mark == MARKS[split]:
                clips.append(Clip(place, label))
    if not clips:
        raise BadInput(f"annotations {lists}: split {fold} has no {split} video")
    return Annotated(tuple(clips), classes)

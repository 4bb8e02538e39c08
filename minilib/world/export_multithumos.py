"""The small world's long clips written out in the layout of MultiTHUMOS: a file of times for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minilib.datasets.multithumos import PREFIX
from minilib.errors import BadInput
from minilib.files import write_whole
from minilib.world.export_long import open_long, timeline, write_long_videos
from minilib.world.long import LONG_MOTIONS, long_scenes

CLASSES = tuple(motion.title().replace(" ", "") for motion in LONG_MOTIONS)  # one word each: "MovingRight"


def export_multithumos(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 64, size: int = 64
) -> Path:
    """Videos and lists as `minilib.datasets.multithumos` reads them; classes are `LONG_MOTIONS`, written as one word.

    `counts` maps "train" or "test" to how many videos; video i of a split is `long_scenes(seed, split, i)`. The lists
    hold both splits, so they tell of every video that the folder has: the splits may be written one after the other.
    An interrupted export goes on where it stopped. Returns `root`; raises BadInput as `open_long`, and where a class
    would never happen, because the layout has no list without a line.
    """
    splits = tuple(PREFIX)
    root = open_long(root, "annotations", counts, splits, layout="multithumos", seed=seed, frames=frames, size=size)
    indices = {split: sorted({*range(counts.get(split, 0)), *_written(root, split)}) for split in splits}
    clips = {split: long_scenes(seed, split, numbers) for split, numbers in indices.items() if numbers}
    lists: dict[str, list[str]] = {name: [] for name in CLASSES}
    for split, scenes in clips.items():
        for index, actions in zip(indices[split], timeline(scenes, "motion", frames), strict=True):
            for a in actions:
                lists[CLASSES[a.label]].append(f"{_name(split, index)} {a.start:.3f} {a.end:.3f}\n")
    never = [name for name, lines in lists.items() if not lines]
    if never:
        total = sum(map(len, indices.values()))
        raise BadInput(f"export {root}: {never[0]} happens in none of the {total} videos; ask for more of them")
    for split, scenes in clips.items():
        paths = [root / "videos" / f"{_name(split, index)}.mp4" for index in indices[split]]
        write_long_videos(scenes, paths, frames, size, f"multithumos {split}")
    (root / "class_list.txt").unlink(missing_ok=True)  # without it nothing is read, so never a part of the lists
    for name, lines in lists.items():
        write_whole(root / "annotations" / f"{name}.txt", "".join(lines))
    write_whole(root / "class_list.txt", "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES, 1)))
    return root


def _name(split: str, index: int) -> str:
    return f"{PREFIX[split]}{index:07d}"


def _written(root: Path, split: str) -> list[int]:
    """The videos of an earlier export into this folder."""
    return [int(path.stem.removeprefix(PREFIX[split])) for path in (root / "videos").glob(f"{PREFIX[split]}*.mp4")]

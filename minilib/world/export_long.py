"""What the layouts of long videos share: opening the folder, what happens when in seconds, and writing the videos.

Frame i of n stands at the time i / n of a clip in [0, 1] and at the second i / FPS of its video, as the readers of
Charades and MultiTHUMOS count. Written times are whole milliseconds.

Axes: b scenes, o objects, e events of one object, t times.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minilib.datasets.multithumos import Action
from minilib.errors import BadInput
from minilib.files import writable_folder, write_whole
from minilib.video import write_video
from minilib.world.export import FPS, check_counts, open_world
from minilib.world.long import LONG_TASKS
from minilib.world.render import render
from minilib.world.scenes import Scenes

MARK = "world.json"  # what `open_world` leaves in a folder


def open_long(
    root: Path | str,
    labels: str,
    counts: Mapping[str, int],
    splits: tuple[str, ...],
    *,
    layout: str,
    seed: int,
    frames: int,
    size: int,
) -> Path:
    """The folder that will hold the world in this layout, `labels` made in it, after a check of all that is asked.

    Raises BadInput for splits that the layout does not have, no clips or frames, pictures that cannot be encoded, a
    folder that cannot be written, and one that holds another world or anything else: real annotations have the same
    names.
    """
    check_counts(counts, splits, frames)
    if size < 2 or size % 2:
        raise BadInput(f"export: frames of {size} x {size} pixels; H.264 needs an even number of 2 or more")
    root = writable_folder(root, "root")
    if any(root.iterdir()) and not (root / MARK).is_file():
        raise BadInput(f"export {root}: the folder is not empty and holds no world; choose another folder")
    return open_world(root, labels, layout=layout, seed=seed, frames=frames, size=size)


def timeline(scenes: Scenes, task: str, frames: int) -> list[tuple[Action, ...]]:
    """For every clip the actions of `LONG_TASKS[task]` in seconds of a video of so many frames, in order of time."""
    classes = LONG_TASKS[task][1](scenes)  # (b, o, e), -1 where there is no event
    start, end = (np.round(times * frames / FPS, 3) for times in (scenes.start, scenes.end))
    found: list[list[Action]] = [[] for _ in range(len(scenes))]
    for event in zip(*np.nonzero(classes >= 0), strict=True):
        found[event[0]].append(Action(int(classes[event]), float(start[event]), float(end[event])))
    return [tuple(sorted(actions, key=lambda a: (a.start, a.end, a.label))) for actions in found]


def write_long_videos(scenes: Scenes, paths: Sequence[Path], frames: int, size: int, what: str) -> None:
    """Renders and writes the videos that are not there yet, one for each scene."""
    times = np.arange(frames) / frames
    for row, path in enumerate(tqdm(paths, what, unit="video", disable=not sys.stderr.isatty())):
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, render(scenes[row], times, size)[0].numpy(), FPS)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """A csv file, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    write_whole(path, text.getvalue())

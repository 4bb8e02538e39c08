"""The small world written out as encoded videos and annotation files in the layouts of real datasets.

So the code that reads Kinetics or Something-Something is the code that is tested. An interrupted export goes on where
it stopped: a video is there whole or not at all.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from minilib.datasets.kinetics import COLUMNS, file_name
from minilib.errors import BadInput
from minilib.video import write_video
from minilib.world.labels import APPEARANCES, labels
from minilib.world.render import render
from minilib.world.scenes import Scenes, clip_scenes
from minilib.world.vocabulary import COLOURS, MOTIONS, SHAPES

BATCH = 32
FPS = 8
PAIRS = tuple(MOTIONS.index(name) for name in ("coming together", "moving apart"))


def export_kinetics(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 16, size: int = 64
) -> Path:
    """Videos and csv files as `minilib.datasets.kinetics` reads them; classes are `APPEARANCES`. Returns `root`.

    `counts` maps "train", "val" or "test" to how many clips; clip i of a split is `clip_scenes(seed, split, i)`.
    """
    check_counts(counts, ("train", "val", "test"), frames)
    root = open_world(root, "annotations", layout="kinetics", seed=seed, frames=frames, size=size)
    seconds = -(-frames // FPS)
    (root / "annotations" / "label_map.txt").write_text("\n".join(APPEARANCES) + "\n", encoding="utf-8")
    for split, count in counts.items():
        ids = [f"{split[:2]}{index:09d}" for index in range(count)]
        scenes = clip_scenes(seed, split, np.arange(count))
        names = [APPEARANCES[label] for label in labels(scenes, [0.0]).appearance]
        for name in set(names):
            (root / split / name).mkdir(parents=True, exist_ok=True)
        paths = [root / split / name / file_name(i, 0, seconds) for name, i in zip(names, ids, strict=True)]
        write_videos(scenes, paths, frames, size, f"kinetics {split}")
        with open(root / "annotations" / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
            rows = ([name, i, 0, seconds, split] for name, i in zip(names, ids, strict=True))
            csv.writer(file).writerows([COLUMNS, *rows])
    return root


def export_something(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 16, size: int = 64
) -> Path:
    """Videos and json files as `minilib.datasets.something` reads them with suffix ".mp4"; classes are `MOTIONS`.

    `counts` maps "train", "validation" or "test" to how many clips; the test set's answers are left out, as in the
    original. Clip i of "validation" is `clip_scenes(seed, "val", i)`. Returns `root`.
    """
    check_counts(counts, ("train", "validation", "test"), frames)
    root = open_world(root, "labels", layout="something", seed=seed, frames=frames, size=size)
    (root / "videos").mkdir(exist_ok=True)
    templates = [_template(motion) for motion in range(len(MOTIONS))]
    sentences = {text.replace("[", "").replace("]", ""): str(index) for index, text in enumerate(templates)}
    _write_json(root / "labels" / "labels.json", sentences)
    for split, count in counts.items():
        scenes = clip_scenes(seed, {"validation": "val"}.get(split, split), np.arange(count))
        ids = [f"{split}{index}" for index in range(count)]
        write_videos(scenes, [root / "videos" / f"{i}.mp4" for i in ids], frames, size, f"something {split}")
        records = [{"id": i} for i in ids]
        if split != "test":
            for row, (record, motion) in enumerate(zip(records, labels(scenes, [0.0]).motion.tolist(), strict=True)):
                things = _things(scenes, row, 2 if motion in PAIRS else 1)
                record["label"] = f"{' and '.join(things)} {MOTIONS[motion]}"
                record["template"], record["placeholders"] = templates[motion], things
        _write_json(root / "labels" / f"{split}.json", records)
    return root


def check_counts(counts: Mapping[str, int], splits: tuple[str, ...], frames: int) -> None:
    """Refuses splits that the layout does not have, and nothing to write."""
    for split, count in counts.items():
        if split not in splits or count < 1:
            raise BadInput(
                f"export: {count} clips of split {split!r}; splits are {', '.join(splits)}, counts 1 or more"
            )
    if frames < 1:
        raise BadInput(f"export: {frames} frames a clip, at least 1 is needed")


def _template(motion: int) -> str:
    return f"{'[Something] and [something]' if motion in PAIRS else '[Something]'} {MOTIONS[motion]}"


def _things(scenes: Scenes, row: int, count: int) -> list[str]:
    return [f"a {COLOURS[scenes.colour[row, o]]} {SHAPES[scenes.shape[row, o]]}" for o in range(count)]


def open_world(root: Path | str, labels: str, **settings: str | int) -> Path:
    """The folder, marked with what it holds, so that two different worlds never mix in one; `labels` is made in it."""
    root = Path(root)
    mark = root / "world.json"
    if mark.is_file():
        old = json.loads(mark.read_text(encoding="utf-8"))
        if old != settings:
            raise BadInput(f"export {root}: holds a world made with {old}, not {settings}; choose another folder")
    (root / labels).mkdir(parents=True, exist_ok=True)
    _write_json(mark, settings)
    return root


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_videos(scenes: Scenes, paths: list[Path], frames: int, size: int, what: str) -> None:
    """Renders and writes the videos that are not there yet."""
    missing = [row for row, path in enumerate(paths) if not path.is_file()]
    times = np.linspace(0, 1, frames)
    with tqdm(total=len(missing), desc=what, unit="video", disable=not sys.stderr.isatty()) as bar:
        for start in range(0, len(missing), BATCH):
            rows = missing[start : start + BATCH]
            for row, video in zip(rows, render(scenes[rows], times, size=size).numpy(), strict=True):
                write_video(paths[row], video, FPS)
                bar.update()


def write_pictures(folder: Path, images: Sequence[Image.Image], name: str, every: int = 1) -> None:
    """Pictures in a new folder, all of them or none. `name` takes the number of each, `every` times its place
    ("{:05d}.jpg")."""
    part = folder.with_name(f".{folder.name}.part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True)
    for place, image in enumerate(images):
        image.save(part / name.format(every * place), quality=95, subsampling=0)
    part.replace(folder)

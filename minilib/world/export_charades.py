"""The small world's long clips written out in the layout of Charades."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minilib.files import write_whole
from minilib.world.export import FPS
from minilib.world.export_long import open_long, timeline, write_csv, write_long_videos
from minilib.world.long import LONG_ACTIONS, LONG_MOTIONS, long_scenes
from minilib.world.scenes import Scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

COLUMNS = (
    "id", "subject", "scene", "quality", "relevance", "verified", "script", "objects", "descriptions", "actions",
    "length",
)  # fmt: skip


def export_charades(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 64, size: int = 64
) -> Path:
    """Videos, classes and csv files as `minilib.datasets.charades` reads them; classes are `LONG_ACTIONS`.

    `counts` maps "train" or "test" to how many videos; video i of a split is `long_scenes(seed, split, i)`. The
    folder is called 480, as in the original, whatever `size`. An interrupted export goes on where it stopped.
    Returns `root`; raises BadInput as `open_long`.
    """
    splits = ("train", "test")
    root = open_long(root, "Charades", counts, splits, layout="charades", seed=seed, frames=frames, size=size)
    classes = "".join(f"c{label:03d} {name}\n" for label, name in enumerate(LONG_ACTIONS))
    write_whole(root / "Charades" / "Charades_v1_classes.txt", classes)
    for split, count in counts.items():
        scenes = long_scenes(seed, split, np.arange(count))
        names = [f"{split[:2].upper()}{index:03d}" for index in range(count)]
        paths = [root / "Charades_v1_480" / f"{name}.mp4" for name in names]
        write_long_videos(scenes, paths, frames, size, f"charades {split}")
        rows = []
        for row, (name, actions) in enumerate(zip(names, timeline(scenes, "action", frames), strict=True)):
            script, ground = _script(scenes, row), GROUNDS[scenes.ground[row]]
            things = ";".join(SHAPES[shape] for shape in scenes.shape[row][scenes.present[row]])
            listed = ";".join(f"c{a.label:03d} {a.start:.3f} {a.end:.3f}" for a in actions)
            rows.append((name, "W001", ground, 7, 7, "Yes", script, things, script, listed, f"{frames / FPS:.3f}"))
        write_csv(root / "Charades" / f"Charades_v1_{split}.csv", COLUMNS, rows)
    return root


def _script(scenes: Scenes, row: int) -> str:
    """Who does what: "A red star moving right, growing. A blue ring ..."."""
    sentences = []
    for o in np.flatnonzero(scenes.present[row]):
        order = scenes.start[row, o].argsort()
        done = [LONG_MOTIONS[motion] for motion in scenes.motion[row, o, order] if motion >= 0]
        thing = f"{COLOURS[scenes.colour[row, o]]} {SHAPES[scenes.shape[row, o]]}"
        sentences.append(f"A {thing} {', '.join(done)}.")
    return " ".join(sentences)

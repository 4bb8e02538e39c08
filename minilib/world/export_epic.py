"""The small world's clips written out in the layout of EPIC-Kitchens-100: long videos of several segments each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minilib.datasets.epic_kitchens import CLASS_COLUMNS, COLUMNS
from minilib.errors import BadInput
from minilib.video import write_video
from minilib.world.export import FPS, check_counts, open_world
from minilib.world.export_long import write_csv
from minilib.world.labels import labels
from minilib.world.render import render
from minilib.world.scenes import clip_scenes
from minilib.world.vocabulary import COLOURS, MOTIONS, SHAPES

PARTICIPANTS = {"train": "P01", "validation": "P02"}  # one for each split


def export_epic_kitchens(
    root: Path | str,
    counts: Mapping[str, int],
    seed: int = 0,
    frames: int = 16,
    size: int = 64,
    segments: int = 4,
) -> Path:
    """Videos and csv files as `minilib.datasets.epic_kitchens` reads them with suffix ".mp4". Returns `root`.

    `counts` maps "train" or "validation" to how many videos, each of `segments` clips one after another, of `frames`
    frames. Segment k of video v is `clip_scenes(seed, "train" or "val", v * segments + k)`; the verb is its motion,
    the noun the shape that moves. An interrupted export goes on where it stopped.
    """
    check_counts(counts, tuple(PARTICIPANTS), frames)
    if segments < 1:
        raise BadInput(f"export: {segments} segments a video, at least 1 is needed")
    lists = "epic-kitchens-100-annotations"
    settings = dict(layout="epic_kitchens", seed=seed, frames=frames, size=size, segments=segments)
    root = open_world(root, lists, **settings)
    for kind, names in (("verb", MOTIONS), ("noun", SHAPES)):
        write_csv(root / lists / f"EPIC_100_{kind}_classes.csv", CLASS_COLUMNS, enumerate(names))
    for split, count in counts.items():
        person, rows = PARTICIPANTS[split], []
        folder = root / "EPIC-KITCHENS" / person / "videos"
        folder.mkdir(parents=True, exist_ok=True)
        for video in tqdm(range(count), f"epic {split}", unit="video", disable=not sys.stderr.isatty()):
            clips = np.arange(video * segments, (video + 1) * segments)
            scenes = clip_scenes(seed, {"validation": "val"}.get(split, split), clips)
            path = folder / f"{person}_{video:03d}.mp4"
            if not path.is_file():
                write_video(path, render(scenes, np.linspace(0, 1, frames), size).flatten(0, 1).numpy(), FPS)
            label = labels(scenes, [0.0])
            colours = (COLOURS[colour] for colour in scenes.colour[:, 0])
            for k, what in enumerate(zip(label.verb.tolist(), label.noun.tolist(), colours, strict=True)):
                rows.append(_row(person, path.stem, k, frames, *what))
        write_csv(root / lists / f"EPIC_100_{split}.csv", COLUMNS, rows)
    return root


def _row(person: str, video: str, k: int, frames: int, verb: int, noun: int, colour: str) -> Sequence:
    """One segment in the order of `COLUMNS`."""
    first, last = k * frames, (k + 1) * frames
    start, stop = _timestamp(first / FPS), _timestamp(last / FPS)
    action, thing = MOTIONS[verb], SHAPES[noun]
    told = f"a {colour} {thing} {action}"
    return (
        f"{video}_{k}", person, video, start, start, stop, first, last, told,
        action, verb, thing, noun, [thing], [noun],
    )  # fmt: skip


def _timestamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{rest:06.3f}"

"""The small world written out as a folder of own videos: root/train/<label>/*.mp4 and root/val/<label>/*.mp4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minilib.world.export import check_counts, open_world, write_videos
from minilib.world.scenes import clip_scenes
from minilib.world.vocabulary import MOTIONS

LEFT_OR_RIGHT = {"left": "moving left", "right": "moving right"}


def export_folder(
    root: Path | str,
    counts: Mapping[str, int],
    seed: int = 0,
    labels: Mapping[str, str] = LEFT_OR_RIGHT,
    frames: int = 16,
    size: int = 64,
) -> Path:
    """`counts` maps "train" and "val" to how many clips of each label; a label stands for a motion of `MOTIONS`."""
    check_counts(counts, ("train", "val"), frames)
    root = open_world(root, "train", layout="folder", seed=seed, frames=frames, size=size)
    for split, count in counts.items():
        for place, (label, motion) in enumerate(labels.items()):
            scenes = clip_scenes(seed, split, place * count + np.arange(count), motions=(MOTIONS.index(motion),))
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            write_videos(scenes, [folder / f"{i:03d}.mp4" for i in range(count)], frames, size, f"{split}/{label}")
    return root

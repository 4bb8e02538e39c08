"""The small world's questions written out in the layout of NExT-QA."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minilib.datasets.next_qa import COLUMNS
from minilib.files import write_whole
from minilib.world.draws import SPLITS
from minilib.world.export_long import open_long, write_csv, write_long_videos
from minilib.world.questions import question_clips

KIND = "DO"  # descriptive, other than a number or a place
A_FOLDER = 100  # videos


def export_next_qa(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 64, size: int = 64
) -> Path:
    """Videos, csv files and the map of videos as `minilib.datasets.next_qa` reads them, one question a video.

    `counts` maps "train", "val" or "test" to how many; clip and question i are those of `question_clips(seed, split,
    i)`. The map is that of all splits which the folder has. An interrupted export goes on where it stopped. Returns
    `root`; raises BadInput as `open_long`.
    """
    root = open_long(root, "nextqa", counts, SPLITS, layout="next_qa", seed=seed, frames=frames, size=size)
    videos = root / "NExTVideo"
    for split, count in counts.items():
        scenes, questions = question_clips(seed, split, np.arange(count))
        names = [f"{SPLITS.index(split) + 1}{index:09d}" for index in range(count)]  # a number, as the original's
        paths = [videos / f"{index // A_FOLDER:04d}" / f"{name}.mp4" for index, name in enumerate(names)]
        write_long_videos(scenes, paths, frames, size, f"next_qa {split}")
        rows = (
            (name, frames, size, size, q.text, q.right, 0, KIND, *q.answers)
            for name, q in zip(names, questions, strict=True)
        )
        places = {path.stem: f"{path.parent.name}/{path.stem}" for path in sorted(videos.glob("*/[0-9]*.mp4"))}
        write_whole(root / "nextqa" / "map_vid_vidorID.json", json.dumps(places, indent=1) + "\n")
        write_csv(root / "nextqa" / f"{split}.csv", COLUMNS, rows)
    return root

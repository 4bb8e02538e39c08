"""The small world's localization task written out in the layout of YouTube-VIS: pictures, and a json with run lengths.

Axes: t frames, o objects, h and w pixels.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from tqdm import tqdm

from minilib.files import write_whole
from minilib.world.export import check_counts, open_world, write_pictures
from minilib.world.localization import SIZE, Localization, localization_batch
from minilib.world.vocabulary import SHAPES

EVERY = 5  # the original has each fifth frame, and numbers the files by it


def export_youtube_vis(root: Path | str, count: int, seed: int = 0, frames: int = 17, size: int = SIZE) -> Path:
    """Pictures and json as `minilib.datasets.youtube_vis` reads them; categories are SHAPES. Returns `root`.

    Video i is `localization_batch(seed, "train", i, frames, size)`; which of them validate is the reader's draw. An
    interrupted export goes on where it stopped.
    """
    check_counts({"train": count}, ("train",), frames)
    root = open_world(root, "train", layout="youtube_vis", seed=seed, frames=frames, size=size)
    videos, annotations = [], []
    for index in tqdm(range(count), "youtube_vis", unit="video", disable=not sys.stderr.isatty()):
        clip, name = localization_batch(seed, "train", [index], frames, size), f"{index:010x}"
        folder = root / "train" / "JPEGImages" / name
        if not folder.is_dir():
            pictures = [Image.fromarray(frame) for frame in clip.frames[0].numpy()]
            write_pictures(folder, pictures, "{:05d}.jpg", EVERY)
        files = [f"{name}/{EVERY * t:05d}.jpg" for t in range(frames)]
        videos.append({"id": index + 1, "width": size, "height": size, "length": frames, "file_names": files})
        for o in clip.there[0].any(0).nonzero().flatten().tolist():
            annotations.append({"id": len(annotations) + 1, "video_id": index + 1} | _track(clip, o))
    categories = [{"supercategory": "object", "id": place, "name": name} for place, name in enumerate(SHAPES, 1)]
    file = {"info": {}, "licenses": [], "categories": categories, "videos": videos, "annotations": annotations}
    write_whole(root / "train.json", json.dumps(file))
    return root


def _track(clip: Localization, o: int) -> dict:
    """One object's record."""
    boxes, runs, areas = [], [], []
    for there, box, ids in zip(clip.there[0, :, o], clip.boxes[0, :, o].tolist(), clip.ids[0].numpy(), strict=True):
        rle = coco.encode(np.asfortranarray(ids == 1 + o).astype(np.uint8))
        rle["counts"] = rle["counts"].decode()
        boxes.append([box[0], box[1], box[2] - box[0], box[3] - box[1]] if there else None)
        runs.append(rle if there else None)
        areas.append(int((ids == 1 + o).sum()) if there else None)
    h, w = clip.ids.shape[2:]
    record = {"iscrowd": 0, "height": h, "width": w, "length": 1, "category_id": int(clip.names[0, o]) + 1}
    return record | {"bboxes": boxes, "segmentations": runs, "areas": areas}

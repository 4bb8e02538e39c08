"""The small world's segmentation task written out in the layout of DAVIS-2017 unsupervised: pictures and masks.

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from minilib.files import write_whole
from minilib.world.export import check_counts, open_world, write_pictures
from minilib.world.segmentation import segmentation_batch


def export_davis(root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 8, size: int = 64) -> Path:
    """JPEG frames, palette masks and lists as `minilib.datasets.davis` reads them. Returns `root`.

    `counts` maps "train" or "val" to how many videos; video i is `segmentation_batch(seed, split, i, frames, size)`.
    The folders are called 480p, as in the original, whatever `size`. An interrupted export goes on where it stopped.
    """
    check_counts(counts, ("train", "val"), frames)
    lists = Path("ImageSets", "2017")
    root = open_world(root, str(lists), layout="davis", seed=seed, frames=frames, size=size)
    for split, count in counts.items():
        names = [f"{split}-{index:05d}" for index in range(count)]
        for index, name in enumerate(tqdm(names, f"davis {split}", unit="video", disable=not sys.stderr.isatty())):
            pictures, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations_unsupervised"))
            if pictures.is_dir() and masks.is_dir():
                continue
            seen, identities = (batch[0].numpy() for batch in segmentation_batch(seed, split, [index], frames, size))
            write_pictures(pictures, [Image.fromarray(frame) for frame in seen], "{:05d}.jpg")
            write_pictures(masks, [_paletted(mask) for mask in identities], "{:05d}.png")
        write_whole(root / lists / f"{split}.txt", "".join(f"{name}\n" for name in names))
    return root


def _paletted(identities: np.ndarray) -> Image.Image:
    """Identities uint8 (h, w) as a picture whose palette gives each its own colour, 0 black and 255 the palest."""
    image = Image.fromarray(identities)
    image.putpalette(_palette().tobytes())
    return image


def _palette() -> np.ndarray:
    """Colours uint8 (256, 3), as PASCAL VOC and DAVIS have them: the bits of the number, dealt out to red, green and
    blue in turn, highest first."""
    numbers, colours = np.arange(256), np.zeros((256, 3), int)
    for bit in range(8):
        colours[:, bit % 3] |= ((numbers >> bit) & 1) << (7 - bit // 3)
    return colours.astype(np.uint8)

"""DAVIS-2017 unsupervised: videos as folders of pictures, and beside each picture one that says who is seen where.

root/ImageSets/2017/val.txt                                    one video a line; train.txt likewise
root/JPEGImages/480p/<video>/00000.jpg                         frames, numbered from 0
root/Annotations_unsupervised/480p/<video>/00000.png           palette pictures: 0 ground, 1, 2, ... objects, 255 void

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from minilib.datasets.annotations import inside, read_lines
from minilib.datasets.pictures import numbered, read_pictures
from minilib.errors import BadInput

INDEXED = ("P", "L")  # what a pixel may hold: a place in the palette, or, in masks written without one, just a number


@dataclass(frozen=True)
class MaskedVideo:
    """One video: its frames and their masks, files in the order of time."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames uint8 (t, h, w, 3) and identities uint8 (t, h, w); a file that cannot be used is `BadInput`."""
        frames = read_pictures(self.frames)
        masks = read_pictures(self.masks, _identities)
        if masks.shape != frames.shape[:3]:
            raise BadInput(
                f"video {self.name}: frames are {frames.shape[1]} x {frames.shape[2]}, masks "
                f"{masks.shape[1]} x {masks.shape[2]}; take both from the same resolution"
            )
        return frames, masks


def davis(root: Path | str, split: str, resolution: str = "480p") -> tuple[MaskedVideo, ...]:
    """The videos of a split ("train" or "val") in the order of its list.

    A benchmark of some of its videos is another benchmark, so a video, frame or mask that is missing is `BadInput`.
    """
    root = Path(root)
    images, annotations = root / "JPEGImages" / resolution, root / "Annotations_unsupervised" / resolution
    videos: dict[str, MaskedVideo] = {}
    for where, name in read_lines(root / "ImageSets" / "2017" / f"{split}.txt"):
        if name in videos:
            raise BadInput(f"{where}: {name!r} is listed twice")
        folders = [inside(folder, name, where) for folder in (images, annotations)]
        frames, masks = (numbered(*pair, 5, where) for pair in zip(folders, (".jpg", ".png"), strict=True))
        if len(frames) != len(masks):
            more, folder = max(frames, masks, key=len), folders[len(frames) > len(masks)]
            raise BadInput(f"{where}: {folder} has nothing for {more[min(len(frames), len(masks))].name}")
        videos[name] = MaskedVideo(name, frames, masks)
    return tuple(videos.values())


def _identities(image: Image.Image) -> np.ndarray:
    if image.mode not in INDEXED:
        raise BadInput(f"a mask must keep its palette, this one has mode {image.mode}; take the file as published")
    return np.asarray(image)

"""YouTube-VIS: videos as folders of pictures, and one json file with every object's box and mask in each of them.

root/train.json                              "videos", "categories", "annotations": an object a record, with its
                                             "bboxes" (x, y, width, height) and "segmentations" by frame, null where it
                                             is not seen
root/train/JPEGImages/<video>/00000.jpg      every fifth frame, as the json names them

Only the answers of train are published, so the paper split that at random, and did not publish how. Ours is a seed.

Axes: t frames, o objects, h and w pixels.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from minilib.datasets.annotations import Annotated, inside, read_json
from minilib.datasets.pictures import read_pictures
from minilib.datasets.tracks import Tracks, checked_box, tracks_of
from minilib.errors import BadInput

SPLITS = ("train", "val", "all")
HELD = 0.1  # of the videos, for "val"; the paper does not say how many


@dataclass(frozen=True)
class Rle:
    """A mask as run lengths down the columns, zeros first: a list, or pycocotools' text. size: height and width."""

    size: tuple[int, int]
    counts: list[int] | str


@dataclass(frozen=True)
class Category:
    id: int
    name: str


@dataclass(frozen=True)
class Video:
    id: int
    width: int
    height: int
    file_names: list[str]


@dataclass(frozen=True)
class Track:
    video_id: int
    category_id: int
    bboxes: list[tuple[float, float, float, float] | None]
    segmentations: list[Rle | None]


@dataclass(frozen=True)
class File:
    categories: list[Category]
    videos: list[Video]
    annotations: list[Track]


@dataclass(frozen=True)
class LabelledTrack:
    """One object: its class, and by frame its box x0, y0, x1, y1 and its run lengths."""

    label: int
    boxes: dict[int, list[float]]
    runs: dict[int, Rle]


@dataclass(frozen=True)
class SegmentedVideo:
    """One video: its frames in the order of time, their size (h, w), and its objects."""

    name: str
    frames: tuple[Path, ...]
    size: tuple[int, int]
    objects: tuple[LabelledTrack, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, frames: list[int]) -> np.ndarray:
        """Those frames, uint8 (t, h, w, 3)."""
        return read_pictures([self.frames[at] for at in frames])

    def tracks(self) -> Tracks:
        """Boxes as the json has them."""
        return tracks_of(self.size, len(self), [(each.label, each.boxes) for each in self.objects])

    def masks(self) -> np.ndarray:
        """bool (t, o, h, w)."""
        out = np.zeros((len(self), len(self.objects), *self.size), bool)
        for o, each in enumerate(self.objects):
            for t, rle in each.runs.items():
                out[t, o] = decoded(rle, f"video {self.name}, frame {t}")
        return out


def youtube_vis(root: Path | str, split: str, seed: int = 0, held: float = HELD) -> Annotated:
    """The videos of a split, as `SegmentedVideo`s: "val" is `held` of them, drawn by `seed`, "train" the rest, "all"
    both. Classes are in the order of the categories' numbers. What does not fit together in the file is BadInput."""
    if split not in SPLITS:
        raise BadInput(f"split {split!r}: choose of {', '.join(SPLITS)} (of YouTube-VIS only train has answers)")
    if not 0 < held < 1:
        raise BadInput(f"held={held}: a share of the videos, between 0 and 1")
    path = Path(root) / "train.json"
    file = read_json(path, File)
    categories = sorted(file.categories, key=lambda each: each.id)
    label = {each.id: place for place, each in enumerate(categories)}
    videos = {each.id: each for each in file.videos}
    for what, found, all_of in (("category", label, categories), ("video", videos, file.videos)):
        if not found or len(found) < len(all_of):
            raise BadInput(f"annotations {path}: every {what} needs an id of its own, and there must be one at least")
    objects: dict[int, list[LabelledTrack]] = {number: [] for number in videos}
    for place, each in enumerate(file.annotations):
        where = f"annotations {path}, at .annotations[{place}]"
        if each.video_id not in videos:
            raise BadInput(f"{where}: there is no video {each.video_id}")
        if each.category_id not in label:
            raise BadInput(f"{where}: there is no category {each.category_id}")
        objects[each.video_id].append(_track(each, label[each.category_id], videos[each.video_id], where))
    chosen = _chosen(sorted(videos), split, seed, held)
    found = [_video(Path(root), videos[number], objects[number], path) for number in chosen]
    return Annotated(tuple(found), tuple(each.name for each in categories))


def _chosen(numbers: list[int], split: str, seed: int, held: float) -> list[int]:
    """The videos of a split, in order; each split has one at least where there are two."""
    drawn = random.Random(seed).sample(numbers, len(numbers))
    count = min(max(round(held * len(numbers)), 1), max(len(numbers) - 1, 1))
    return sorted({"val": drawn[:count], "train": drawn[count:], "all": drawn}[split])


def _video(root: Path, video: Video, objects: list[LabelledTrack], path: Path) -> SegmentedVideo:
    where = f"annotations {path}, video {video.id}"
    if not video.file_names:
        raise BadInput(f"{where}: it has no frames")
    frames = tuple(inside(root / "train" / "JPEGImages", name, where) for name in video.file_names)
    for frame in (frames[0], frames[-1]):
        if not frame.is_file():
            raise BadInput(f"{where}: {frame} is not there")
    return SegmentedVideo(frames[0].parent.name, frames, (video.height, video.width), tuple(objects))


def _track(track: Track, label: int, video: Video, where: str) -> LabelledTrack:
    """The object of a record that fits its video."""
    size, length = (video.height, video.width), len(video.file_names)
    for what in ("bboxes", "segmentations"):
        if len(getattr(track, what)) != length:
            raise BadInput(f"{where}: {len(getattr(track, what))} {what} for the {length} frames of its video")
    boxes, runs = {}, {}
    for t, (box, rle) in enumerate(zip(track.bboxes, track.segmentations, strict=True)):
        if (box is None) != (rle is None):
            raise BadInput(f"{where}: frame {t} has a box or a mask, but not both")
        if rle is not None:
            if tuple(rle.size) != size:
                raise BadInput(
                    f"{where}: frame {t}: run lengths of {rle.size[0]} x {rle.size[1]} pixels in a video of "
                    f"{size[0]} x {size[1]}"
                )
            x, y, width, height = box
            boxes[t] = checked_box([x, y, x + width, y + height], size, f"{where}: frame {t}")
            runs[t] = rle
    return LabelledTrack(label, boxes, runs)


# --- run lengths -----------------------------------------------------------------------------------------------------


def decoded(rle: Rle, where: str) -> np.ndarray:
    """The mask, bool (h, w). Run lengths that do not fill the picture are BadInput; pycocotools leaves what they leave
    out as it finds it in memory."""
    counts = rle.counts if isinstance(rle.counts, list) else _lengths(rle.counts, where)
    height, width = rle.size
    if min(counts, default=-1) < 0 or sum(counts) != height * width:
        raise BadInput(f"{where}: run lengths of {sum(counts)} pixels for a mask of {height} x {width}")
    return coco.decode(coco.frPyObjects({"counts": counts, "size": [height, width]}, height, width)).astype(bool)


def _lengths(text: str, where: str) -> list[int]:
    """Run lengths of pycocotools' text: groups of five bits from "0" on, the sixth says that more follow; from the
    third on the difference to the run before the last is written."""
    values = [ord(letter) - 48 for letter in text]
    if not all(0 <= value < 64 for value in values) or (values and values[-1] & 32):
        raise BadInput(f"{where}: {text[:20]!r} is no text of run lengths")
    ends = [0, *(at + 1 for at, value in enumerate(values) if not value & 32)]
    counts: list[int] = []
    for start, end in pairwise(ends):
        found = sum((value & 31) << 5 * place for place, value in enumerate(values[start:end]))
        found -= (values[end - 1] & 16) << (5 * (end - start) - 4)
        counts.append(found + (counts[-2] if len(counts) > 2 else 0))
    return counts

"""ImageNet-VID: videos as folders of pictures, and beside each picture an xml file that says what is where.

root/ImageSets/VID/train_<1 to 30>.txt                         "<folder>/<video> <label>", the videos that show a class
root/ImageSets/VID/val.txt                                     "<video>/<frame, six digits> <line>", every frame
root/Data/VID/train/<folder>/<video>/000000.JPEG               frames, numbered from 0; val/<video>/ likewise
root/Annotations/VID/val/<video>/000000.xml                    size, and of each object its track, synset and box
root/devkit/data/map_vid.txt                                   "<synset> <number> <class>"; without it the usual thirty

Axes: t frames, o objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml

from minilib.datasets.annotations import Annotated, inside, number, read_lines, read_text
from minilib.datasets.pictures import numbered, read_pictures
from minilib.datasets.tracks import Tracks, checked_box, tracks_of
from minilib.errors import BadInput

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Snippet:
    """One video: its frames in the order of time, the folder of its xml files, and the classes' places by synset."""

    name: str
    frames: tuple[Path, ...]
    annotations: Path
    index: dict[str, int] = field(repr=False, hash=False)

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, frames: list[int]) -> np.ndarray:
        """Those frames, uint8 (t, h, w, 3)."""
        return read_pictures([self.frames[at] for at in frames])

    def tracks(self) -> Tracks:
        """Boxes, ends as written: the released code cuts them at width - 1 and height - 1, and its metric counts one
        pixel more. Objects of synsets that are no class are left out, as there."""
        objects: dict[tuple[str, int], dict[int, list[float]]] = {}
        size = None
        for t, picture in enumerate(self.frames):
            path = self.annotations / f"{picture.stem}.xml"
            own, found = read_xml(path)
            size = size or own
            if own != size:
                raise BadInput(f"annotations {path}: a frame of {own[0]} x {own[1]}, the first of its video {size}")
            for track, synset, box in found:
                if synset not in self.index:
                    continue
                boxes = objects.setdefault((track, self.index[synset]), {})
                if t in boxes:
                    raise BadInput(f"annotations {path}: track {track} has two boxes")
                boxes[t] = box
        return tracks_of(size, len(self), [(label, boxes) for (_, label), boxes in objects.items()])


def imagenet_vid(root: Path | str, split: str) -> Annotated:
    """The videos of a split, "train" or "val", as `Snippet`s. A video that is listed and not there is BadInput."""
    root = Path(root)
    if split not in SPLITS:
        raise BadInput(f"split {split!r}: ImageNet-VID has train and val (the answers of test are not published)")
    synsets = _synsets(root)
    index = {synset: place for place, synset in enumerate(synsets)}
    listed = _train(root) if split == "train" else _val(root)
    videos = []
    for name, (where, count) in listed.items():
        folder = inside(root / "Data" / "VID" / split, name, where)
        if not folder.is_dir():
            raise BadInput(f"{where}: video {name!r} is not there, {folder} is missing")
        frames = numbered(folder, ".JPEG", 6, where)
        if count not in (0, len(frames)):
            raise BadInput(f"{where}: {folder} holds {len(frames)} frames, the list has {count}")
        videos.append(Snippet(name, frames, root / "Annotations" / "VID" / split / name, index))
    return Annotated(tuple(videos), tuple(synsets.values()))


def _train(root: Path) -> dict[str, tuple[str, int]]:
    """Videos in the order of their names, each with where it is listed first; how many frames it has is not said."""
    lists = root / "ImageSets" / "VID"
    paths = sorted(path for path in lists.glob("train_*.txt") if path.stem.removeprefix("train_").isdigit())
    if not paths:
        raise BadInput(f"annotations {lists / 'train_1.txt'}: no such file")
    found: dict[str, tuple[str, int]] = {}
    for path in paths:
        for where, line in read_lines(path):
            found.setdefault(line.split()[0], (where, 0))
    return dict(sorted(found.items()))


def _val(root: Path) -> dict[str, tuple[str, int]]:
    """Videos in the order of the list, each with where it begins and how many frames it has; none may be left out."""
    found: dict[str, tuple[str, int]] = {}
    for where, line in read_lines(root / "ImageSets" / "VID" / "val.txt"):
        name, _, frame = line.split()[0].rpartition("/")
        first, count = found.get(name, (where, 0))
        if not name or number(frame, where, "the frame") != count:
            raise BadInput(f"{where}: {line!r} should be '<video>/{count:06d} <line>', frames in order")
        found[name] = (first, count + 1)
    return found


def _synsets(root: Path) -> dict[str, str]:
    """Names of the classes by synset, in their order."""
    path = root / "devkit" / "data" / "map_vid.txt"
    if not path.is_file():
        return yaml.safe_load(Path(__file__).with_name("imagenet_vid.yaml").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for where, line in read_lines(path):
        parts = line.split()
        if len(parts) != 3 or parts[0] in found or parts[2] in found.values():
            raise BadInput(f"{where}: {line!r} should be '<synset> <number> <class>', each once")
        found[parts[0]] = parts[2]
    return found


def read_xml(path: Path) -> tuple[tuple[int, int], list[tuple[str, str, list[float]]]]:
    """Height and width of a frame, and of each of its objects the track, the synset and the box. A frame without
    objects is one, too; what is missing or no number is BadInput."""
    try:
        tree = ElementTree.fromstring(read_text(path))
    except ElementTree.ParseError as error:
        raise BadInput(f"annotations {path}: not xml ({error})") from error
    where = f"annotations {path}"
    size = tuple(int(_number(tree, f"size/{side}", where)) for side in ("height", "width"))
    if min(size) < 1:
        raise BadInput(f"{where}: a frame of {size[0]} x {size[1]} pixels")
    found = []
    for thing in tree.findall("object"):
        box = [_number(thing, f"bndbox/{end}", where) for end in ("xmin", "ymin", "xmax", "ymax")]
        found.append((_word(thing, "trackid", where), _word(thing, "name", where), checked_box(box, size, where)))
    return size, found


def _word(element: ElementTree.Element, path: str, where: str) -> str:
    word = (element.findtext(path) or "").strip()
    if not word:
        raise BadInput(f"{where}: <{element.tag}> has no <{path.replace('/', '>, <')}>")
    return word


def _number(element: ElementTree.Element, path: str, where: str) -> float:
    word = _word(element, path, where)
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{where}: <{path.rpartition('/')[2]}> must be a number, not {word!r}")
    return value

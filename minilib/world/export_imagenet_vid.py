"""The small world's localization task written out in the layout of ImageNet-VID: pictures, and an xml file for each.

Axes: t frames, o objects, h and w pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image
from tqdm import tqdm

from minilib.files import write_whole
from minilib.world.export import check_counts, open_world, write_pictures
from minilib.world.localization import SIZE, Localization, localization_batch
from minilib.world.vocabulary import SHAPES

FOLDER = "ILSVRC2015_VID_train_0000"
SYNSETS = tuple(f"n{place:08d}" for place in range(len(SHAPES)))  # ours: no synset of WordNet has so low a number


def export_imagenet_vid(
    root: Path | str, counts: Mapping[str, int], seed: int = 0, frames: int = 17, size: int = SIZE
) -> Path:
    """Pictures, xml files and lists as `minilib.datasets.imagenet_vid` reads them; classes are SHAPES. Returns `root`.

    `counts` maps "train" or "val" to how many videos; video i is `localization_batch(seed, split, i, frames, size)`. An
    interrupted export goes on where it stopped.
    """
    check_counts(counts, ("train", "val"), frames)
    lists = Path("ImageSets", "VID")
    root = open_world(root, str(lists), layout="imagenet_vid", seed=seed, frames=frames, size=size)
    lines = (f"{synset} {place} {name}\n" for place, (synset, name) in enumerate(zip(SYNSETS, SHAPES, strict=True), 1))
    write_whole(root / "devkit" / "data" / "map_vid.txt", "".join(lines))
    for split, count in counts.items():
        names = [f"ILSVRC2015_{split}_{index:08d}" for index in range(count)]
        names = [f"{FOLDER}/{name}" for name in names] if split == "train" else names
        shown: dict[int, list[str]] = {}
        bar = tqdm(names, f"imagenet_vid {split}", unit="video", disable=not sys.stderr.isatty())
        for index, name in enumerate(bar):
            clip = localization_batch(seed, split, [index], frames, size)
            for label in set(clip.names[0][clip.there[0].any(0)].tolist()):
                shown.setdefault(label, []).append(name)
            pictures = root / "Data" / "VID" / split / name
            if pictures.is_dir():
                continue
            for t in range(frames):
                xml = root / "Annotations" / "VID" / split / name / f"{t:06d}.xml"
                write_whole(xml, ElementTree.tostring(_annotation(clip, t, name)))
            write_pictures(pictures, [Image.fromarray(frame) for frame in clip.frames[0].numpy()], "{:06d}.JPEG")
        if split == "val":
            every = [f"{name}/{t:06d}" for name in names for t in range(frames)]
            write_whole(root / lists / "val.txt", "".join(f"{line} {at}\n" for at, line in enumerate(every, 1)))
        else:
            for label, videos in shown.items():
                write_whole(root / lists / f"train_{label + 1}.txt", "".join(f"{name} 1\n" for name in videos))
    return root


def _annotation(clip: Localization, t: int, name: str) -> ElementTree.Element:
    """What of frame t is said."""
    root = ElementTree.Element("annotation")
    _words(root, folder=name, filename=f"{t:06d}")
    size = ElementTree.SubElement(root, "size")
    _words(size, width=clip.frames.shape[3], height=clip.frames.shape[2])
    for o in clip.there[0, t].nonzero().flatten().tolist():
        thing = ElementTree.SubElement(root, "object")
        _words(thing, trackid=o, name=SYNSETS[int(clip.names[0, o])])
        x0, y0, x1, y1 = clip.boxes[0, t, o].tolist()
        _words(ElementTree.SubElement(thing, "bndbox"), xmax=x1, xmin=x0, ymax=y1, ymin=y0)
        _words(thing, occluded=0, generated=0)
    return root


def _words(parent: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = str(value)

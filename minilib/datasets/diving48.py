"""Diving48 V2: fine-grained dives, told apart by take-off, somersaults, twists and flight position.

root/Diving48_vocab.json           [["Back", "15som", "05Twis", "FREE"], ...]
root/Diving48_V2_train.json        [{"vid_name": "SVGbiAaTJmA_00325", "label": 24, "start_frame": 0, "end_frame": 214}, ...]
root/rgb/<vid_name>.mp4
"""  # noqa: E501

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from minilib.datasets.annotations import Annotated, Clip, inside, read_json
from minilib.errors import BadInput


class Dive(BaseModel):
    """One record of the official file."""

    vid_name: str
    label: int
    start_frame: int = 0
    end_frame: int | None = None


def diving48(root: Path | str, split: str) -> Annotated:
    """`split` ("train" or "test") of version 2; a class is named by its four parts."""
    root = Path(root)
    vocabulary = root / "Diving48_vocab.json"
    classes = tuple(" ".join(parts) for parts in read_json(vocabulary, list[list[str]]))
    if len(set(classes)) != len(classes) or not classes:
        raise BadInput(f"annotations {vocabulary}: each dive must stand there once")
    path, clips = root / f"Diving48_V2_{split}.json", []
    for row, dive in enumerate(read_json(path, list[Dive])):
        name = dive.vid_name.strip()
        where = f"annotations {path}, record {row} ({name})"
        if not 0 <= dive.label < len(classes):
            raise BadInput(f"{where}: label {dive.label}, the vocabulary has 0 to {len(classes) - 1}")
        if "/" in name or not name:
            raise BadInput(f"{where}: {dive.vid_name!r} is not the name of a file")
        clips.append(Clip(inside(root / "rgb", name + ".mp4", where), dive.label))
    if not clips:
        raise BadInput(f"annotations {path}: lists no videos")
    return Annotated(tuple(clips), classes)

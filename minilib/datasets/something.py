"""Something-Something V2: sentences with gaps, one class a sentence.

root/labels/labels.json       {"Moving something up": "0", ...}
root/labels/train.json        [{"id": "1", "label": "moving a cup up", "template": "Moving [something] up",
                                "placeholders": ["a cup"]}, ...]       validation.json alike; test.json has only ids
root/videos/<id>.webm
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from minilib.datasets.annotations import UNLABELLED, Annotated, Clip, class_index, inside, lookup, number, read_json
from minilib.errors import BadInput


class Record(BaseModel):
    """One video as its json describes it; the test set has no more than the id."""

    id: str
    label: str = ""
    template: str | None = None
    placeholders: list[str] = []


def read_classes(path: Path | str) -> tuple[str, ...]:
    """The sentences of labels.json at their index, which must run from 0 without a gap."""
    at: dict[int, str] = {}
    for sentence, text in read_json(path, dict[str, str]).items():
        index = number(text.strip(), f"annotations {path}, {sentence!r}", "the index")
        if index in at:
            raise BadInput(f"annotations {path}: {at[index]!r} and {sentence!r} share the index {index}")
        at[index] = sentence.strip()
    if sorted(at) != list(range(len(at))) or not at:
        raise BadInput(f"annotations {path}: the indices must be 0 to {len(at) - 1}, without a gap")
    return tuple(at[index] for index in range(len(at)))


def read_records(path: Path | str, videos: Path | str, classes: tuple[str, ...], suffix: str = ".webm") -> Annotated:
    """The clips of train.json, validation.json or test.json; `text` is the sentence with its gaps filled."""
    index, clips = class_index(classes), []
    for row, record in enumerate(read_json(path, list[Record])):
        where = f"annotations {path}, record {row} (id {record.id.strip()})"
        label = UNLABELLED
        if record.template is not None:
            label = lookup(index, record.template.replace("[", "").replace("]", "").strip(), where)
        name = record.id.strip()
        if "/" in name or not name:
            raise BadInput(f"{where}: the id {record.id!r} is not the name of a file")
        clips.append(Clip(inside(videos, name + suffix, where), label, record.label.strip()))
    if not clips:
        raise BadInput(f"annotations {path}: lists no videos")
    return Annotated(tuple(clips), classes)


def something(root: Path | str, split: str, suffix: str = ".webm") -> Annotated:
    """A split ("train", "validation", "test") of a folder in Something-Something's layout."""
    root = Path(root)
    classes = read_classes(root / "labels" / "labels.json")
    return read_records(root / "labels" / f"{split}.json", root / "videos", classes, suffix)

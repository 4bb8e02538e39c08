"""Something-Something V2: sentences with gaps, one class a sentence.

root/labels/labels.json       {"Moving something up": "0", ...}
root/labels/train.json        [{"id": "1", "label": "moving a cup up", "template": "Moving [something] up",
                                "placeholders": ["a cup"]}, ...]       validation.json alike; test.json has only ids
root/videos/<id>.webm
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from minilib.datasets.annotations import (
    UNLABELLED,
    Annotated,
    ClipList,
    class_index,
    inside,
    lookup,
    number,
    plain,
    read_json,
    read_text,
)
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
    records = _records(path)
    if not records:
        raise BadInput(f"annotations {path}: lists no videos")
    index, names = class_index(classes), [record["id"].strip() for record in records]
    labels = [_label(record.get("template"), index) for record in records]
    if None in labels or "" in names or not plain("".join(names)):
        for row, (name, record) in enumerate(zip(names, records, strict=True)):
            where = f"annotations {path}, record {row} (id {name})"
            if record.get("template") is not None:
                lookup(index, _sentence(record["template"]), where)
            if "/" in name or not name:
                raise BadInput(f"{where}: the id {record['id']!r} is not the name of a file")
            inside(videos, name + suffix, where)
    texts = [record.get("label", "").strip() for record in records]
    return Annotated(ClipList(videos, [name + suffix for name in names], labels, texts), classes)


def _records(path: Path | str) -> list[dict]:
    """The records as plain dictionaries; pydantic says what is wrong where something is."""
    try:
        records = json.loads(read_text(path))
        fine = all(type(r["id"]) is type(r.get("label", "")) is str for r in records)
        fine = fine and all(type(r.get("template")) in (str, type(None)) for r in records)
    except (ValueError, TypeError, KeyError, AttributeError):
        fine = False
    return records if fine else [record.model_dump() for record in read_json(path, list[Record])]


def _sentence(template: str) -> str:
    return template.replace("[", "").replace("]", "").strip()


def _label(template: str | None, index: dict[str, int]) -> int | None:
    return UNLABELLED if template is None else index.get(_sentence(template))


def something(root: Path | str, split: str, suffix: str = ".webm") -> Annotated:
    """A split ("train", "validation", "test") of a folder in Something-Something's layout."""
    root = Path(root)
    classes = read_classes(root / "labels" / "labels.json")
    return read_records(root / "labels" / f"{split}.json", root / "videos", classes, suffix)

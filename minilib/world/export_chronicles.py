"""The small world's chronicles written out in the layouts of EgoSchema, NExT-QA, IntentQA and NExT-GQA, with captions.

Chronicles are told and not painted: there are questions, answers, seconds and captions, and no videos.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from minilib.datasets.ego_schema import OPTIONS
from minilib.datasets.intent_qa import INTENT_COLUMNS
from minilib.datasets.next_qa import CHOICES, COLUMNS
from minilib.errors import BadInput
from minilib.files import writable_folder, write_whole
from minilib.world.chronicles import SECONDS, Chronicle, ChronicleQuestion, chronicle
from minilib.world.draws import SPLITS
from minilib.world.export import check_counts, open_world
from minilib.world.export_long import MARK, write_csv

KINDS = {"order": "TC", "neighbour": "TN", "often": "DC", "long": "DO", "when": "TC"}  # as NExT-QA calls its own
CAPTIONS = {
    "ego_schema": "lavila_subset.json",
    "next_qa": "nextqa/llava1.5_fps1.json",
    "intent_qa": "intentqa/llava1.5_fps1.json",
    "next_gqa": "nextgqa/llava1.5_fps1.json",
}  # the released captions' file in each layout
Told = dict[str, tuple[Chronicle, ChronicleQuestion]]  # by the video's name


def export_chronicles(
    root: Path | str, layout: str, counts: Mapping[str, int], seed: int = 0, seconds: int = SECONDS
) -> Path:
    """Questions and captions as the reader of `layout`, one of `CAPTIONS`, reads them; video i of a split is
    `chronicle(seed, split, i, seconds)`. Returns `root`.

    `counts` maps "train", "val" or "test" to how many; EgoSchema has "test" alone, and of it every other answer is
    public. Raises BadInput for other layouts and splits, and for a folder that holds anything else.
    """
    if layout not in CAPTIONS:
        raise BadInput(f"export: layout {layout!r} is none of {', '.join(CAPTIONS)}")
    check_counts(counts, ("test",) if layout == "ego_schema" else SPLITS, seconds)
    root = writable_folder(root, "root")
    if any(root.iterdir()) and not (root / MARK).is_file():
        raise BadInput(f"export {root}: the folder is not empty and holds no world; choose another folder")
    captions = Path(CAPTIONS[layout])
    root = open_world(root, str(captions.parent), layout=layout, seed=seed, seconds=seconds)
    known = json.loads((root / captions).read_text(encoding="utf-8")) if (root / captions).is_file() else {}
    for split, count in counts.items():
        names = [f"{SPLITS.index(split) + 1}{index:09d}" for index in range(count)]
        told = {name: chronicle(seed, split, index, seconds) for index, name in enumerate(names)}
        known |= {name: list(made.captions) for name, (made, _) in told.items()}
        _write_json(root / captions, known)
        _WRITERS[layout](root, split, told, seconds)
    return root


def _ego_schema(root: Path, split: str, told: Told, seconds: int) -> None:
    records = [
        {"q_uid": name, "google_drive_id": "", "question": q.text} | dict(zip(OPTIONS, q.answers, strict=True))
        for name, (_, q) in told.items()
    ]
    _write_json(root / "subset_answers.json", {name: told[name][1].right for name in list(told)[::2]})
    _write_json(root / "questions.json", records)


def _next_qa(root: Path, split: str, told: Told, seconds: int) -> None:
    write_csv(root / "nextqa" / f"{split}.csv", COLUMNS, _rows(told, seconds))


def _intent_qa(root: Path, split: str, told: Told, seconds: int) -> None:
    rows = [[*row, "happen", "happen", 0] for row in _rows(told, seconds)]
    write_csv(root / "intentqa" / f"{split}.csv", INTENT_COLUMNS, rows)


def _next_gqa(root: Path, split: str, told: Told, seconds: int) -> None:
    rows = [[*row[:5], row[len(COLUMNS) - len(CHOICES) + row[5]], *row[6:]] for row in _rows(told, seconds)]
    located = {
        name: {"duration": seconds, "location": {"0": [[q.span[0], q.span[1] + 1]]}, "fps": 1}
        for name, (_, q) in told.items()
    }
    if split != "train":
        _write_json(root / "nextgqa" / f"gsub_{split}.json", located)
    write_csv(root / "nextgqa" / f"{split}.csv", ("video_id", *COLUMNS[1:]), rows)


_WRITERS = {"ego_schema": _ego_schema, "next_qa": _next_qa, "intent_qa": _intent_qa, "next_gqa": _next_gqa}


def _rows(told: Told, seconds: int) -> list[Sequence]:
    """A row for each question in the columns of NExT-QA; a video has one frame a second, and no size."""
    return [[name, seconds, 0, 0, q.text, q.right, 0, KINDS[q.kind], *q.answers] for name, (_, q) in told.items()]


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

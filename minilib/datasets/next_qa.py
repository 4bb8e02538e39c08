"""NExT-QA: questions about what happens in a video, why, and when, with five answers each.

root/nextqa/val.csv                      video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
root/nextqa/map_vid_vidorID.json         {"4010069381": "1164/4010069381", ...}; without it, videos lie side by side
root/NExTVideo/<folder>/<video>.mp4
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minilib.datasets.annotations import inside, number, read_json, read_table
from minilib.errors import BadInput

CHOICES = tuple(f"a{i}" for i in range(5))
COLUMNS = ("video", "frame_count", "width", "height", "question", "answer", "qid", "type", *CHOICES)


@dataclass(frozen=True)
class VideoQuestion:
    """A question about one video, its five answers and the index of the right one. kind: C.. (causal: CW, CH),
    T.. (temporal: TC, TN, TP) or D.. (descriptive: DC, DL, DO); id is unique within a video."""

    path: Path
    text: str
    answers: tuple[str, ...]
    right: int
    kind: str
    id: str


def read_questions(path: Path | str, videos: Path | str, folders: dict[str, str] | None = None) -> list[VideoQuestion]:
    """The questions of an official multiple-choice csv. `folders` gives each video's path below `videos`, without its
    suffix."""
    questions = []
    for where, row in read_table(path, COLUMNS):
        name = row["video"] if folders is None else folders.get(row["video"], "")
        if not name:
            raise BadInput(f"{where}: the map of videos does not have {row['video']!r}")
        right = number(row["answer"], where, "answer")
        answers = tuple(row[choice] for choice in CHOICES)
        if right >= len(answers):
            raise BadInput(f"{where}: the right answer is {right}, but there are 0 to {len(answers) - 1}")
        empty = [choice for choice in ("question", *CHOICES) if not row[choice]]
        if empty:
            raise BadInput(f"{where}: {empty[0]} is empty")
        place = inside(videos, name + ".mp4", where)
        questions.append(VideoQuestion(place, row["question"], answers, right, row["type"], row["qid"]))
    return questions


def next_qa(root: Path | str, split: str) -> list[VideoQuestion]:
    """`split` ("train", "val" or "test") of a folder in NExT-QA's layout."""
    if split not in ("train", "val", "test"):
        raise BadInput(f"split {split!r} is none of train, val, test")
    notes = Path(root) / "nextqa"
    folders = notes / "map_vid_vidorID.json"
    known = read_json(folders, dict[str, str]) if folders.is_file() else None
    return read_questions(notes / f"{split}.csv", Path(root) / "NExTVideo", known)

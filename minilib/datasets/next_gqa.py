"""NExT-GQA: those of NExT-QA's questions that some seconds of the video answer, with these seconds.

root/nextgqa/test.csv                    video_id,frame_count,...; the right answer in words
root/nextgqa/gsub_test.json              {"4010069381": {"duration": 34, "location": {"6": [[1.2, 5.8]]}, ...}, ...}
root/nextgqa/map_vid_vidorID.json        NExT-QA's, if the videos lie in folders
root/NExTVideo/<folder>/<video>.mp4

Training's questions have no seconds. Seconds may end after their video, as some official ones do.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from minilib.datasets.annotations import read_json
from minilib.datasets.next_qa import Span, VideoQuestion, check_split, read_questions, video_folders
from minilib.errors import BadInput


class Located(BaseModel):
    """When the answers of one video are seen, by the question's id."""

    duration: float
    location: dict[str, list[tuple[float, float]]]


def next_gqa(root: Path | str, split: str) -> list[VideoQuestion]:
    """`split` ("train", "val" or "test") of a folder in NExT-GQA's layout; of val and test with `spans`."""
    check_split(split)
    notes = Path(root) / "nextgqa"
    file = notes / f"{split}.csv"
    questions = read_questions(file, Path(root) / "NExTVideo", video_folders(notes), video="video_id", in_words=True)
    if split == "train":
        return questions
    path = notes / f"gsub_{split}.json"
    located = read_json(path, dict[str, Located])
    found, reversed_spans = [], 0
    for question in questions:
        spans = located[question.video].location.get(question.id, []) if question.video in located else []
        kept = tuple(span for span in spans if _in_order(span, f"annotations {path}, question {_name(question)}"))
        if not kept:
            raise BadInput(f"annotations {path}: no seconds of question {_name(question)} of {file.name}")
        reversed_spans += len(spans) - len(kept)
        found.append(replace(question, spans=kept))
    if reversed_spans:
        warnings.warn(f"{path}: {reversed_spans} spans end before they start and are left out", stacklevel=2)
    return found


def _name(question: VideoQuestion) -> str:
    return f"{question.video}_{question.id}"


def _in_order(span: Span, where: str) -> bool:
    if not all(math.isfinite(second) and second >= 0 for second in span):
        raise BadInput(f"{where}: {list(span)} are no seconds")
    return span[0] <= span[1]

"""NExT-QA: questions about what happens in a video, why, and when, with five answers each.

root/nextqa/val.csv                      video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
root/nextqa/map_vid_vidorID.json         {"4010069381": "1164/4010069381", ...}; without it, videos lie side by side
root/NExTVideo/<folder>/<video>.mp4

IntentQA and NExT-GQA (`intent_qa`, `next_gqa`) ask about the same videos, in files of almost the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minilib.datasets.annotations import inside, number, read_json, read_table
from minilib.errors import BadInput

CHOICES = tuple(f"a{i}" for i in range(5))
COLUMNS = ("video", "frame_count", "width", "height", "question", "answer", "qid", "type", *CHOICES)
Span = tuple[float, float]  # from one second to another


@dataclass(frozen=True)
class VideoQuestion:
    """A question about one video, its five answers and the index of the right one, None where it is not public.

    kind: C.. (causal: CW, CH), T.. (temporal: TC, TN, TP) or D.. (descriptive: DC, DL, DO), "" where there are no
    kinds; id is unique within a video. spans: the seconds that show the answer, any of which suffices; none where they
    are not annotated."""

    path: Path
    text: str
    answers: tuple[str, ...]
    right: int | None
    kind: str
    id: str
    spans: tuple[Span, ...] = ()

    @property
    def video(self) -> str:
        """The video's name, by which captions are found."""
        return Path(self.path).stem


def read_questions(
    path: Path | str,
    videos: Path | str,
    folders: dict[str, str] | None = None,
    *,
    video: str = "video",
    in_words: bool = False,
) -> list[VideoQuestion]:
    """The questions of an official multiple-choice csv. `folders` gives each video's path below `videos`, without its
    suffix; `video` is the column of its name; `in_words`, whether the right answer may be given by its text."""
    questions = []
    for where, row in read_table(path, (video, *COLUMNS[1:])):
        name = row[video] if folders is None else folders.get(row[video], "")
        if not name:
            raise BadInput(f"{where}: the map of videos does not have {row[video]!r}")
        answers = tuple(row[choice] for choice in CHOICES)
        right = _right(row["answer"], answers, where, in_words)
        empty = [choice for choice in ("question", *CHOICES) if not row[choice]]
        if empty:
            raise BadInput(f"{where}: {empty[0]} is empty")
        place = inside(videos, name + ".mp4", where)
        questions.append(VideoQuestion(place, row["question"], answers, right, row["type"], row["qid"]))
    return questions


def _right(answer: str, answers: tuple[str, ...], where: str, in_words: bool) -> int:
    if in_words and answer in answers:
        return answers.index(answer)
    if in_words and not answer.isdigit():
        raise BadInput(f"{where}: the right answer {answer!r} is none of the {len(answers)}")
    right = number(answer, where, "answer")
    if right >= len(answers):
        raise BadInput(f"{where}: the right answer is {right}, but there are 0 to {len(answers) - 1}")
    return right


def video_folders(notes: Path) -> dict[str, str] | None:
    """The map of videos that lies beside the csv files, None where there is none."""
    path = notes / "map_vid_vidorID.json"
    return read_json(path, dict[str, str]) if path.is_file() else None


def check_split(split: str) -> None:
    """BadInput for what is none of train, val, test."""
    if split not in ("train", "val", "test"):
        raise BadInput(f"split {split!r} is none of train, val, test")


def next_qa(root: Path | str, split: str) -> list[VideoQuestion]:
    """`split` ("train", "val" or "test") of a folder in NExT-QA's layout."""
    check_split(split)
    notes = Path(root) / "nextqa"
    return read_questions(notes / f"{split}.csv", Path(root) / "NExTVideo", video_folders(notes))

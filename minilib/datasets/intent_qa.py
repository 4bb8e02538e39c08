"""IntentQA: questions about why people in NExT-QA's videos do what they do, with five answers each.

root/intentqa/test.csv                   video_id,frame_count,...,type,a0,a1,a2,a3,a4,action,lemma,lemma_id
root/intentqa/map_vid_vidorID.json       NExT-QA's, if the videos lie in folders
root/NExTVideo/<folder>/<video>.mp4
"""

from __future__ import annotations

from pathlib import Path

from minilib.datasets.next_qa import COLUMNS, VideoQuestion, check_split, read_questions, video_folders

INTENT_COLUMNS = ("video_id", *COLUMNS[1:], "action", "lemma", "lemma_id")


def intent_qa(root: Path | str, split: str) -> list[VideoQuestion]:
    """`split` ("train", "val" or "test") of a folder in IntentQA's layout; the three last columns are not read."""
    check_split(split)
    notes = Path(root) / "intentqa"
    return read_questions(
        notes / f"{split}.csv", Path(root) / "NExTVideo", video_folders(notes), video="video_id", in_words=False
    )

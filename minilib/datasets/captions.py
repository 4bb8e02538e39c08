"""Captions of videos as captioners leave them: one JSON file, for each video its sentences in order of time.

{"4010069381": ["a man plays a guitar", "two men sit on a bench", ...], ...}           sentence i at second i
{"4010069381": [[0.5, "a man plays a guitar"], [2, "two men sit on a bench"], ...]}    or each with its second

The first form is that of the captions with which Language Repository was measured: LaViLa's for EgoSchema, LLaVA-1.5's
for NExT-QA's videos, one a second.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from minilib.datasets.annotations import read_json
from minilib.datasets.next_qa import VideoQuestion
from minilib.errors import BadInput

Captions = tuple[tuple[float, str], ...]  # (second, sentence), ascending seconds


def read_captions(path: Path | str) -> dict[str, Captions]:
    """Captions by the video's name. Empty sentences, which captioners do write, are left out with one warning; the
    others keep their seconds. BadInput for sentences without times beside such with times, and times out of order."""
    found = {
        video: _timed(listed, f"captions {path}, video {video!r}")
        for video, listed in read_json(path, dict[str, object]).items()
    }
    if not found:
        raise BadInput(f"captions {path}: no video in it")
    empty = sum(not text.strip() for captions in found.values() for _, text in captions)
    if empty:
        warnings.warn(f"captions {path}: {empty} empty ones are left out", stacklevel=2)
    return {video: tuple(each for each in captions if each[1].strip()) for video, captions in found.items()}


def _timed(listed: object, where: str) -> Captions:
    if not isinstance(listed, list):
        raise BadInput(f"{where}: not a list of sentences, one a second")
    if all(isinstance(caption, str) for caption in listed):
        return tuple((float(second), caption) for second, caption in enumerate(listed))
    for at, caption in enumerate(listed):
        if not isinstance(caption, list) or len(caption) != 2 or not _is_second(caption[0]):
            raise BadInput(f"{where}, caption {at}: {str(caption)[:60]!r} has no time; give [second, sentence]")
        if not isinstance(caption[1], str):
            raise BadInput(f"{where}, caption {at}: {str(caption[1])[:60]!r} is no sentence")
        if at and caption[0] <= listed[at - 1][0]:
            raise BadInput(
                f"{where}, caption {at}: {caption[0]:g} s comes after {listed[at - 1][0]:g} s; sort captions by time"
            )
    return tuple((float(second), text) for second, text in listed)


def _is_second(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def captioned(questions: Sequence[VideoQuestion], path: Path | str) -> list[tuple[VideoQuestion, Captions]]:
    """Each question with the captions of its video. BadInput where one has none: the released code passes over such
    questions, which changes what accuracy is a share of."""
    captions = read_captions(path)
    without = list(dict.fromkeys(question.video for question in questions if not captions.get(question.video)))
    if without:
        more = f" and of {len(without) - 1} more" if len(without) > 1 else ""
        raise BadInput(
            f"captions {path}: none of video {without[0]!r}{more}; caption them, or leave their questions out"
        )
    return [(question, captions[question.video]) for question in questions]

"""EPIC-Kitchens-100: long videos, cut by the official csv files into segments, each with a verb and a noun.

root/epic-kitchens-100-annotations/EPIC_100_train.csv       narration_id,participant_id,video_id,...
                                                            EPIC_100_validation.csv alike
root/epic-kitchens-100-annotations/EPIC_100_verb_classes.csv    id,key,...          EPIC_100_noun_classes.csv alike
root/EPIC-KITCHENS/<participant_id>/videos/<video_id>.MP4

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from minilib.datasets.annotations import inside, number, read_table
from minilib.datasets.folder import Sampling
from minilib.errors import BadInput
from minilib.video import VideoError, read_frames, uniform_indices

COLUMNS = (
    "narration_id", "participant_id", "video_id", "narration_timestamp", "start_timestamp", "stop_timestamp",
    "start_frame", "stop_frame", "narration", "verb", "verb_class", "noun", "noun_class", "all_nouns",
    "all_noun_classes",
)  # fmt: skip
NEEDED = tuple(COLUMNS[i] for i in (0, 1, 2, 4, 5, 8, 10, 12))
CLASS_COLUMNS = ("id", "key")


@dataclass(frozen=True)
class Segment:
    """From `start` to `stop`, in seconds, of the video at `path`; `text` is what the narrator says is done."""

    path: Path
    start: float
    stop: float
    verb: int
    noun: int
    text: str
    name: str

    @property
    def action(self) -> tuple[int, int]:
        """Verb and noun, which must both be right."""
        return self.verb, self.noun

    def read(
        self, frames: int, sampling: Sampling = uniform_indices, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Frames uint8 (t, h, w, 3) of the segment, where `sampling` puts them; any failure is a `VideoError`.

        The csv counts frames at a rate that not every video has, so the seconds decide, at the file's own rate.
        """

        def pick(length: int) -> np.ndarray:
            rate = _frame_rate(self.path)
            first, end = round(self.start * rate), min(round(self.stop * rate), length)
            if first >= length:
                raise VideoError(f"video {self.path}: ends before segment {self.name} begins, at {self.start} s")
            return first + sampling(max(end - first, 1), frames, rng=rng)

        return read_frames(self.path, pick)


@dataclass(frozen=True)
class Kitchens:
    """The segments of one split, and the names of verbs and nouns at their index."""

    clips: tuple[Segment, ...]
    verbs: tuple[str, ...]
    nouns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)


def epic_kitchens(root: Path | str, split: str, suffix: str = ".MP4") -> Kitchens:
    """A split ("train", "validation") of a folder in EPIC-Kitchens' layout."""
    lists = Path(root) / "epic-kitchens-100-annotations"
    verbs, nouns = (read_classes(lists / f"EPIC_100_{kind}_classes.csv") for kind in ("verb", "noun"))
    videos, clips = Path(root) / "EPIC-KITCHENS", []
    for where, row in read_table(lists / f"EPIC_100_{split}.csv", NEEDED):
        start, stop = (_seconds(row[f"{end}_timestamp"], where, end) for end in ("start", "stop"))
        if stop < start:
            raise BadInput(f"{where}: the segment stops at {stop} s, before it starts at {start} s")
        file = inside(videos, f"{row['participant_id']}/videos/{row['video_id']}{suffix}", where)
        verb = _class(row["verb_class"], verbs, where, "verb_class")
        noun = _class(row["noun_class"], nouns, where, "noun_class")
        clips.append(Segment(file, start, stop, verb, noun, row["narration"], row["narration_id"]))
    return Kitchens(tuple(clips), verbs, nouns)


def read_classes(path: Path | str) -> tuple[str, ...]:
    """The names in EPIC_100_verb_classes.csv or EPIC_100_noun_classes.csv at their id, from 0 without a gap."""
    at: dict[int, str] = {}
    for where, row in read_table(path, CLASS_COLUMNS):
        index = number(row["id"], where, "id")
        if index in at:
            raise BadInput(f"{where}: {at[index]!r} and {row['key']!r} share the id {index}")
        at[index] = row["key"]
    if sorted(at) != list(range(len(at))):
        raise BadInput(f"annotations {path}: the ids must be 0 to {len(at) - 1}, without a gap")
    return tuple(at[index] for index in range(len(at)))


def _class(text: str, names: tuple[str, ...], where: str, column: str) -> int:
    index = number(text, where, column)
    if index >= len(names):
        raise BadInput(f"{where}: {column} {index} is none of the {len(names)} classes")
    return index


def _seconds(text: str, where: str, what: str) -> float:
    """Seconds of "hh:mm:ss.fff"."""
    match = re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)", text, re.ASCII)
    if match is None:
        raise BadInput(f"{where}: {what}_timestamp must be hours:minutes:seconds, not {text!r}")
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _frame_rate(path: Path) -> float:
    """Frames a second, as the file says."""
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    if not rate:
        raise VideoError(f"video {path}: does not say how many frames a second it has")
    return float(rate)

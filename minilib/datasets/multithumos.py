"""MultiTHUMOS: 413 untrimmed videos of THUMOS'14, the times of 65 actions in each.

root/class_list.txt                1 BaseballPitch
root/annotations/<class>.txt       video_validation_0000266 72.80 76.40        seconds
root/videos/<video>.mp4            those named video_validation_... train, those named video_test_... test
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minilib.datasets.annotations import class_index, inside, read_classes, read_lines
from minilib.errors import BadInput

PREFIX = {"train": "video_validation_", "test": "video_test_"}


@dataclass(frozen=True)
class Action:
    """One action of a video, in seconds."""

    label: int
    start: float
    end: float


@dataclass(frozen=True)
class Untrimmed:
    """One video file and all that happens in it, in order of time."""

    path: Path
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class AnnotatedActions:
    """The videos of one split and the names of the classes, at the label's index."""

    clips: tuple[Untrimmed, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)


def seconds(text: str, where: str) -> float:
    """A time that is finite and not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadInput(f"{where}: {text!r} is not a time in seconds")
    return value


def multithumos(root: Path | str, split: str, only_present: bool = False) -> AnnotatedActions:
    """The split ("train" or "test"). A video that an annotation names and the disk lacks is BadInput, or with
    `only_present` left out. An action that ends before it starts is left out; a warning says how many."""
    if split not in PREFIX:
        raise BadInput(f"multithumos: split {split!r} is none of {', '.join(PREFIX)}")
    root = Path(root)
    classes = read_classes(root / "class_list.txt")
    index = class_index(classes)
    found: dict[str, list[Action]] = defaultdict(list)
    reversed_ = 0
    for name in classes:
        for where, line in read_lines(root / "annotations" / f"{name}.txt"):
            parts = line.split()
            if len(parts) != 3:
                raise BadInput(f"{where}: {line!r} should be '<video> <start> <end>'")
            video, start, end = parts[0], seconds(parts[1], where), seconds(parts[2], where)
            path = inside(root / "videos", f"{video}.mp4", where)
            if not video.startswith(PREFIX[split]):
                continue
            if not path.is_file():
                if only_present:
                    continue
                raise BadInput(f"{where}: {path} is missing; get it, or read with only_present=True")
            reversed_ += end < start
            found[video] += [Action(index[name], start, end)] if end >= start else []
    if reversed_:
        warnings.warn(f"multithumos {root}: {reversed_} actions end before they start and are left out", stacklevel=2)
    if not found:
        raise BadInput(f"multithumos {root}: no video of the split {split!r}")
    videos = (
        Untrimmed(root / "videos" / f"{video}.mp4", tuple(sorted(actions, key=lambda a: (a.start, a.end, a.label))))
        for video, actions in sorted(found.items())
    )
    return AnnotatedActions(tuple(videos), classes)


def frame_labels(video: Untrimmed, frames: int, duration: float, classes: int) -> Tensor:
    """Labels float (t, k): 1 where start <= time <= end, frame i being at i duration / frames seconds, as the official
    evaluation of such labels has it; Coarse-Fine's released reader leaves both ends out. What lasts beyond the video
    is cut there."""
    if frames < 1 or duration <= 0:
        raise BadInput(f"{video.path}: {frames} frames in {duration} s; the video is empty")
    times, labels = torch.arange(frames) * (duration / frames), torch.zeros(frames, classes)
    for action in video.actions:
        if not 0 <= action.label < classes:
            raise BadInput(f"{video.path}: label {action.label} is not within {classes} classes")
        if action.start >= duration:
            times_ = f"{action.start} to {action.end} s"
            raise BadInput(f"{video.path}: an action from {times_} begins after its {duration} s; is the file whole?")
        labels[(times >= action.start) & (times <= action.end), action.label] = 1
    return labels

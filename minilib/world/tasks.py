"""The small world's tasks of one answer a clip: which classes, which clips, and what guessing reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minilib.errors import BadInput
from minilib.world.draws import SPLITS
from minilib.world.hard import hard_scenes
from minilib.world.labels import ACTIONS, APPEARANCES
from minilib.world.scenes import COMBINATIONS, Scenes, clip_scenes
from minilib.world.timing import timing_scenes
from minilib.world.vocabulary import GROUNDS, MOTIONS, SHAPES, SPINNABLE, TIMINGS


@dataclass(frozen=True)
class ClipTask:
    """classes: their names, in order of the labels; label: the field of `Labels`; clips: the key of SCENES."""

    classes: tuple[str, ...]
    label: str
    clips: str = "plain"


@dataclass(frozen=True)
class ClipScenes:
    """make(seed, split, indices, combinations=, motions=) -> scenes; motions: the names that its indices stand for."""

    make: Callable[..., Scenes]
    motions: tuple[str, ...] = MOTIONS


SCENES = {
    "plain": ClipScenes(clip_scenes),
    "timing": ClipScenes(timing_scenes, TIMINGS),
    "hard": ClipScenes(hard_scenes),
}
CLIP_TASKS = {
    "motion": ClipTask(MOTIONS, "motion"),
    "appearance": ClipTask(APPEARANCES, "appearance"),
    "noun": ClipTask(SHAPES, "noun"),
    "action": ClipTask(ACTIONS, "action"),
    "timing": ClipTask(TIMINGS, "motion", "timing"),
    "hard appearance": ClipTask(APPEARANCES, "appearance", "hard"),
    "hard noun": ClipTask(SHAPES, "noun", "hard"),
}
TASKS = {name: task.classes for name, task in CLIP_TASKS.items()}


def checked_motions(task: str, motions: tuple[int, ...] | None) -> tuple[int, ...]:
    """The motions that a task's clips are drawn from, None for all; BadInput for an unknown task or motion."""
    if task not in CLIP_TASKS:
        raise BadInput(f"task {task!r}: the small world has {', '.join(CLIP_TASKS)}")
    names = SCENES[CLIP_TASKS[task].clips].motions
    motions = tuple(range(len(names))) if motions is None else tuple(motions)
    if not motions or not 0 <= min(motions) <= max(motions) < len(names):
        raise BadInput(f"motions {motions}: task {task!r} has 0 to {len(names) - 1}, name at least one")
    return motions


def check_names(split: str, combinations: str = "seen") -> None:
    """BadInput for a split or combinations that the small world does not have."""
    for name, value, allowed in (("split", split, SPLITS), ("combinations", combinations, COMBINATIONS)):
        if value not in allowed:
            raise BadInput(f"{name} {value!r}: the small world has {', '.join(allowed)}")


def task_scenes(
    task: str, seed: int, split: str, indices, combinations: str = "seen", motions: tuple[int, ...] | None = None
) -> Scenes:
    """The clips `indices` of a task: functions of (seed, split, index) alone."""
    motions = checked_motions(task, motions)
    check_names(split, combinations)
    make = SCENES[CLIP_TASKS[task].clips].make
    return make(seed, split, indices, combinations=combinations, motions=motions)


def chance(task: str, motions: tuple[int, ...] | None = None) -> float:
    """Accuracy, in percent, of whoever always answers with the most common class.

    Spins are done by five of the eight shapes only, so those are more common, and so are their spins among actions.
    """
    motions = checked_motions(task, motions)
    joint = np.full((len(motions), len(SHAPES)), 1 / len(SHAPES))
    names = SCENES[CLIP_TASKS[task].clips].motions
    for row, motion in enumerate(motions):
        if names[motion].startswith("spinning"):
            joint[row] = np.isin(np.arange(len(SHAPES)), SPINNABLE) / len(SPINNABLE)
    joint *= 100 / len(motions)
    label = CLIP_TASKS[task].label
    if label == "action":
        return float(joint.max())
    if label == "motion":
        return float(joint.sum(1).max())
    noun = float(joint.sum(0).max())
    return noun / len(GROUNDS) if label == "appearance" else noun

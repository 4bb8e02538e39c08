"""Long clips in which several objects act, rest and act again, each on its own and often at once.

As in Charades and MultiTHUMOS a clip has many labels, a frame none, one or several. `clip_scenes` is the short twin
with one action, for pretraining: the same shapes and motions.

An object walks through actions that fit its pose: it turns back at the border, grows only while small, appears only
when it is hidden. Half of the clips are played backwards, so a bag of frames cannot tell an action from its mirror
image here either.

Axes: b scenes, o objects, e events of one object, t times, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.draws import Draws
from minilib.world.scenes import (
    ANGLE,
    LOG_RADIUS,
    MAX_OBJECTS,
    OPACITY,
    Scenes,
    X,
    Y,
    blank_scenes,
    choose,
    give_shapes,
)
from minilib.world.vocabulary import MOTIONS, SHAPES, SPINNABLE

LONG_MOTIONS = MOTIONS[:10]  # those that one object can do alone
LONG_ACTIONS = tuple(f"{shape} {motion}" for shape in SHAPES for motion in LONG_MOTIONS)
LOW, HIGH = 0.14, 0.86  # how far a centre goes
SMALL, LARGE = math.log(0.07), math.log(0.165)
FEWEST = 0.02  # the shortest action or rest, as a share of the clip
STREAM = 2_000_003  # apart from the clips and images of the same seed


@dataclass(frozen=True)
class Rhythm:
    """How long actions and rests last, as shares of the clip, and how many objects there are: (least, most) each."""

    actions: tuple[float, float] = (0.08, 0.16)
    rests: tuple[float, float] = (0.03, 0.2)
    objects: tuple[int, int] = (2, 4)

    def __post_init__(self):
        for what in ("actions", "rests"):
            low, high = getattr(self, what)
            if not FEWEST <= low <= high:
                raise BadInput(f"{what} from {low:g} to {high:g} of the clip: give least and most, {FEWEST:g} or more")
        if self.actions[1] + self.rests[1] > 0.95:
            raise BadInput(f"rests to {self.rests[1]:g} and actions to {self.actions[1]:g}: no action may fit the clip")
        if not 1 <= self.objects[0] <= self.objects[1] <= MAX_OBJECTS:
            raise BadInput(f"objects from {self.objects[0]} to {self.objects[1]}: there can be 1 to {MAX_OBJECTS}")

    @property
    def events(self) -> int:
        """The most actions one object can have."""
        return math.ceil(1 / (self.actions[0] + self.rests[0]))


BUSY = Rhythm()
SPARSE = Rhythm(rests=(0.25, 0.5), objects=(1, 2))  # most frames show nothing new: where looking should be chosen


def long_scenes(seed: int, split: str, indices, *, rhythm: Rhythm = BUSY, combinations: str = "seen") -> Scenes:
    """Clips of two to four objects of different shapes, each with its own actions and rests; every object acts.

    A function of (seed, split, index, rhythm) alone. An action that would not end within the clip is left out.
    """
    indices = np.atleast_1d(indices)
    size, o, e = len(indices), MAX_OBJECTS, rhythm.events
    draws = Draws(seed + STREAM, split, indices, count=128 + 4 * o * e)
    scenes = blank_scenes(draws, size, combinations)
    shapes = draws.order(len(SHAPES))
    for slot in range(o):
        give_shapes(scenes, slot, shapes[:, slot])
    scenes.present[:] = np.arange(o) < draws.integers(rhythm.objects[0], rhythm.objects[1] + 1, 1)
    scenes.base[..., :2] = draws.uniform(LOW, HIGH, o, 2)
    scenes.base[..., LOG_RADIUS] = draws.uniform(SMALL, LARGE, o)
    scenes.base[..., ANGLE] = draws.uniform(-0.4, 0.4, o)
    scenes.base[..., OPACITY] = 1
    scenes.drift[:] = draws.uniform(-0.06, 0.06, 2)
    backwards = draws.uniform(0, 1, 1)[:, 0] < 0.5

    length, rest = draws.uniform(*rhythm.actions, o, e), draws.uniform(*rhythm.rests, o, e)
    choice, amount = draws.uniform(0, 1, o, e), draws.uniform(0, 1, o, e)
    end = (length + rest).cumsum(-1)
    fits = (end <= 0.99) & scenes.present[..., None]
    motion, delta = _walk(scenes, choice, amount, fits)
    scenes = replace(scenes, motion=motion, delta=delta, start=end - length, end=end)
    return choose(backwards, scenes.reversed(), scenes)


def _walk(scenes: Scenes, choice: np.ndarray, amount: np.ndarray, fits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Motions (b, o, e), -1 where none fits in time, and their changes of pose (b, o, e, 5): each is chosen among
    those that the pose before it allows. choice and amount are uniform in [0, 1)."""
    pose = scenes.base.copy()
    motion, delta = np.full(fits.shape, -1), np.zeros((*fits.shape, 5))
    spins = np.isin(scenes.shape, SPINNABLE)
    for event in range(fits.shape[-1]):
        changes = _changes(amount[..., event])
        after = pose[:, :, None] + changes  # (b, o, motion, 5)
        seen = pose[..., OPACITY] > 0.5
        inside = (after[..., [X, Y]] >= LOW) & (after[..., [X, Y]] <= HIGH)
        sized = (after[..., LOG_RADIUS] >= SMALL) & (after[..., LOG_RADIUS] <= LARGE)
        allowed = inside.all(-1) & sized & seen[..., None]
        allowed[..., 6:8] &= spins[..., None]
        allowed[..., 8] = ~seen
        pairs = allowed.reshape(*allowed.shape[:-1], -1, 2)
        weight = (pairs / np.maximum(pairs.sum(-1, keepdims=True), 1)).reshape(
            allowed.shape
        )  # pairs are equally likely
        weight[..., 9] *= 0.5  # an appearance must follow, so that this pair too has a fifth of the actions
        until = weight.cumsum(-1)
        chosen = (until > choice[..., event, None] * until[..., -1:]).argmax(-1)
        change = np.take_along_axis(changes, chosen[..., None, None], 2)[..., 0, :] * fits[..., event, None]
        motion[..., event] = np.where(fits[..., event], chosen, -1)
        delta[..., event, :] = change
        pose += change
    return motion, delta


def _changes(amount: np.ndarray) -> np.ndarray:
    """The change of pose of every motion in LONG_MOTIONS, (b, o, motion, 5), larger with `amount` in [0, 1)."""
    out = np.zeros((*amount.shape, len(LONG_MOTIONS), 5))
    size = {X: 0.3 + 0.12 * amount, Y: 0.3 + 0.12 * amount, LOG_RADIUS: 0.45 + 0.1 * amount, ANGLE: 1.5 + 0.25 * amount}
    for first, axis in enumerate((X, Y, LOG_RADIUS, ANGLE)):
        out[..., 2 * first, axis], out[..., 2 * first + 1, axis] = size[axis], -size[axis]
    out[..., 8, OPACITY], out[..., 9, OPACITY] = 1, -1
    return out


# --- labels ----------------------------------------------------------------------------------------------------------


def by_motion(scenes: Scenes) -> np.ndarray:
    """Class of each event in LONG_MOTIONS, (b, o, e), -1 where there is none."""
    return scenes.motion


def by_action(scenes: Scenes) -> np.ndarray:
    """Class of each event in LONG_ACTIONS: which shape does it as well, (b, o, e)."""
    return np.where(scenes.motion >= 0, scenes.shape[..., None] * len(LONG_MOTIONS) + scenes.motion, -1)


LONG_TASKS: dict[str, tuple[tuple[str, ...], Callable[[Scenes], np.ndarray]]] = {
    "motion": (LONG_MOTIONS, by_motion),
    "action": (LONG_ACTIONS, by_action),
}


@dataclass(frozen=True)
class LongLabels:
    """frames bool (b, t, k): what goes on at each time; clip bool (b, k): what happens at all; informative bool
    (b, t): whether anything does, the camera aside."""

    frames: Tensor
    clip: Tensor
    informative: Tensor


def long_labels(scenes: Scenes, times, task: str = "motion") -> LongLabels:
    """Labels at `times` (t,) in [0, 1] of the classes `LONG_TASKS[task]`. At its very start and end an action is not
    going on, as in the released readers of Charades."""
    if task not in LONG_TASKS:
        raise BadInput(f"task {task!r}: long clips have {', '.join(LONG_TASKS)}")
    names, index = LONG_TASKS[task]
    classes = index(scenes).reshape(len(scenes), -1)  # (b, o e)
    one_hot = (classes[..., None] == np.arange(len(names))).astype(np.float32)
    active = scenes.active(np.asarray(times, float)).reshape(len(scenes), classes.shape[1], -1).astype(np.float32)
    frames = torch.from_numpy(active).mT @ torch.from_numpy(one_hot) > 0
    return LongLabels(frames, torch.from_numpy(one_hot.any(1)), torch.from_numpy(active.any(1)))

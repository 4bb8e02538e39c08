"""Chronicles as films, for the eye alone: the language model never sees a picture, it reads captions.

Axes: n seconds of a chronicle, f frames a second, h and w pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from minilib.papers.language_repository.figures import colour_of
from minilib.papers.language_repository.method import Entry
from minilib.papers.language_repository.rules import event_of
from minilib.world.draws import Draws
from minilib.world.long import LONG_MOTIONS
from minilib.world.render import render
from minilib.world.scenes import ANGLE, LOG_RADIUS, OPACITY, Scenes, X, Y, blank_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

CHANGES = ((X, 0.56), (Y, 0.56), (LOG_RADIUS, 0.95), (ANGLE, 1.6), (OPACITY, 1.0))  # of each mirrored pair's first
MARK = (40, 40, 40)


def scene(event: str | None, ground: int) -> Scenes:
    """One object that does "red star moving right" once, in the middle of the picture; without an event, the ground."""
    made = blank_scenes(Draws(0, "val", np.array([0])), 1, "all")
    made.ground[0] = ground
    if event is None:
        return made
    colour, shape, motion = event.split(" ", 2)
    at = LONG_MOTIONS.index(motion)
    made.colour[0, 0], made.shape[0, 0], made.texture[0, 0] = COLOURS.index(colour), SHAPES.index(shape), 0
    made.present[0, 0], made.motion[0, 0, 0] = True, at - at % 2
    axis, change = CHANGES[at // 2]
    made.delta[0, 0, 0, axis] = change
    made.base[0, 0] = 0.5, 0.5, np.log(0.2), 0, 1 - 0.5 * (axis == OPACITY)
    made.base[0, 0] -= made.delta[0, 0, 0] / 2
    return made.reversed() if at % 2 else made


def painted(captions: Sequence[str], a_second: int = 1, size: int = 64) -> Tensor:
    """What each second's caption says, as frames uint8 (n f, h, w, 3). What lasts several seconds is done once."""
    named = re.search(r" on (\w+)$", next((c for c in captions if " on " in c), ""))
    ground = GROUNDS.index(named[1]) if named else 0
    frames = []
    for event, run in groupby(map(event_of, captions)):
        count = a_second * len(list(run))
        frames.append(render(scene(event, ground), (np.arange(count) + 0.5) / count, size)[0])
    return torch.cat(frames)


def lit(frames: Tensor, seconds: set[int], a_second: int = 1) -> Tensor:
    """The same frames, those of other seconds nearly black: what is left of a film for who read of these seconds."""
    kept = torch.tensor([at // a_second in seconds for at in range(len(frames))])
    return torch.where(kept[:, None, None, None], frames, frames // 8)


def growing(entries: Sequence[Entry], seconds: int, a_second: int = 1, size: int = 64) -> Tensor:
    """Entries over time as they are heard of, uint8 (n f, h, w, 3): a row an entry, a mark a caption in its object's
    colour, those of the second in which the film is dark."""
    edges = np.linspace(0, size, seconds + 1).astype(int)
    rows = np.linspace(0, size, len(entries) + 1).astype(int)
    frames = np.full((seconds, size, size, 3), 255, np.uint8)
    for row, entry in enumerate(entries):
        colour = [round(255 * part) for part in to_rgb(colour_of(entry.text))]
        for time in map(int, entry.times):
            place = slice(rows[row], max(rows[row + 1], rows[row] + 1)), slice(edges[time], edges[time + 1])
            frames[time + 1 :, *place] = colour
            frames[time, *place] = MARK
    return torch.from_numpy(frames.repeat(a_second, 0))

"""The clips of `clip_scenes` made hard to name: the actor is small, and what stands beside it has its colour.

Texture stays as it is: the small CLIP's features do not show it, so it would be noise and no difficulty.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minilib.world.draws import Draws
from minilib.world.scenes import LOG_RADIUS, Scenes, clip_scenes
from minilib.world.vocabulary import MOTIONS, SHAPES, held_out_colour

STREAM, DISTRACTORS = 6_000_003, 7_000_003
SHRINK = 0.72  # of the actor's radius, which is then 0.09 to 0.14 in the middle of its motion; bystanders: up to 0.085
FEW = 16  # clips a class to learn from


def hard_scenes(
    seed: int, split: str, indices, *, combinations: str = "seen", motions: tuple[int, ...] = tuple(range(len(MOTIONS)))
) -> Scenes:
    """Clips of one motion each by a smaller object 0, always among two bystanders of its colour and other shapes.

    `combinations` chooses the actor's pairs of shape and colour; those of the bystanders are always seen ones.
    """
    scenes = clip_scenes(seed + STREAM, split, indices, combinations=combinations, motions=motions)
    every, actor, colour = np.arange(len(SHAPES)), scenes.shape[:, :1], scenes.colour[:, :1]
    fits = (every != actor) & (held_out_colour(every) != colour)

    present, base = scenes.present.copy(), scenes.base.copy()
    present[:, 2:] = True
    base[:, :2, LOG_RADIUS] += np.log(SHRINK)
    shapes, colours = scenes.shape.copy(), scenes.colour.copy()
    shapes[:, 2:] = Draws(seed + DISTRACTORS, split, np.atleast_1d(indices)).among(fits, 2)
    colours[:, 2:] = colour
    return replace(scenes, present=present, base=base, shape=shapes, colour=colours)

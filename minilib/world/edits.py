"""Edits of clips whose true result is known: the same events on another shape, colour, texture or ground.

One object acts alone, in one of three sizes. Text-driven editing is given the source video and both prompts; here the
video that it should have made is there, too.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.batches import sample_times
from minilib.world.draws import Draws
from minilib.world.render import render
from minilib.world.scenes import LOG_RADIUS, Scenes, clip_scenes
from minilib.world.tasks import check_names
from minilib.world.vocabulary import COLOURS, GROUNDS, MOTIONS, SHAPES, SPINNABLE, TEXTURES, held_out_colour

STREAM, TARGETS = 8_000_003, 9_000_003
LOCAL, GLOBAL = ("shape", "colour", "texture"), ("ground",)
KINDS = LOCAL + GLOBAL
RADII = {"small": (0.09, 0.11), "medium": (0.15, 0.18), "large": (0.22, 0.26)}  # in the middle of the event
EVENTS = tuple(range(MOTIONS.index("appearing")))  # what one object does alone and in sight all the time


@dataclass(frozen=True)
class Video:
    """pixels uint8 (b, t, h, w, 3); mask bool (b, t, h, w), where the object is what one sees; touched, the same and
    all pixels into which its edge is blended; prompts, a sentence a clip."""

    pixels: Tensor
    mask: Tensor
    touched: Tensor
    prompts: list[str]


@dataclass(frozen=True)
class Edits:
    """The clips before and after."""

    source: Video
    target: Video

    @property
    def foreground(self) -> Tensor:
        """All pixels that the object touches before or after, bool (b, t, h, w): outside, a local edit changes none."""
        return self.source.touched | self.target.touched


def edit_batch(
    kind: str,
    object_size: str,
    seed: int,
    split: str,
    indices,
    frames: int,
    *,
    size: int = 64,
    device: torch.device | str = "cpu",
    say_texture: bool | None = None,
) -> Edits:
    """Edits of a kind, one of KINDS, on objects of a size, one of RADII: functions of (seed, split, index) alone, and
    with the same source for every kind.

    Prompts name the texture if `say_texture`; by default only where it is what changes.
    """
    textures = kind == "texture" if say_texture is None else say_texture
    source, target = (
        _video(scenes, frames, size, device, textures)
        for scenes in edit_scenes(kind, object_size, seed, split, indices)
    )
    return Edits(source, target)


def _video(scenes: Scenes, frames: int, size: int, device: torch.device | str, textures: bool) -> Video:
    times = sample_times(frames)
    pixels, ids = render(scenes, times, size, device, ids=True)
    bare = render(replace(scenes, present=np.zeros_like(scenes.present)), times, size, device)
    mask = ids == 1
    prompts = [prompt(scenes, row, textures) for row in range(len(scenes))]
    return Video(pixels, mask, mask | (pixels != bare).any(-1), prompts)


def edit_scenes(kind: str, object_size: str, seed: int, split: str, indices) -> tuple[Scenes, Scenes]:
    """Scenes before and after the edit. Both show only pairs of shape and colour that are seen in training; where the
    object spins, its new shape is one on which that is seen."""
    for name, value, allowed in (("kind", kind, KINDS), ("object size", object_size, RADII)):
        if value not in allowed:
            raise BadInput(f"{name} {value!r} of an edit: there are {', '.join(allowed)}")
    check_names(split)
    indices = np.atleast_1d(indices)
    source = clip_scenes(seed + STREAM, split, indices, motions=EVENTS)
    draws = Draws(seed + TARGETS, split, indices)
    radius = draws.uniform(*RADII[object_size], 1)[:, 0]
    present, base = source.present.copy(), source.base.copy()
    present[:, 1:] = False
    base[:, 0, LOG_RADIUS] = np.log(radius) - source.delta[:, 0, :, LOG_RADIUS].sum(1) / 2
    source = replace(source, present=present, base=base)

    shape, colour = source.shape[:, :1], source.colour[:, :1]
    shapes, colours = np.arange(len(SHAPES)), np.arange(len(COLOURS))
    spins = np.char.startswith(np.asarray(MOTIONS)[source.motion[:, 0]], "spinning")
    fits = {  # drawn in this order whatever the kind is
        "shape": (shapes != shape) & (held_out_colour(shapes) != colour) & (np.isin(shapes, SPINNABLE) | ~spins),
        "colour": (colours != colour) & (colours != held_out_colour(shape)),
        "texture": np.arange(len(TEXTURES)) != source.texture[:, :1],
        "ground": np.arange(len(GROUNDS)) != source.ground[:, None],
    }
    changed = {name: draws.among(allowed)[:, 0] for name, allowed in fits.items()}[kind]
    if kind in LOCAL:
        values = getattr(source, kind).copy()
        values[:, 0] = changed
        changed = values
    return source, replace(source, **{kind: changed})


def prompt(scenes: Scenes, row: int, texture: bool) -> str:
    """What object 0 of one scene is and where, without its place and event, which an edit keeps: "a red star on sand",
    or with its texture "a red striped star on sand"."""
    words = [COLOURS[scenes.colour[row, 0]], SHAPES[scenes.shape[row, 0]]]
    if texture:
        words.insert(1, TEXTURES[scenes.texture[row, 0]])
    return f"a {' '.join(words)} on {GROUNDS[scenes.ground[row]]}"

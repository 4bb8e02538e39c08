"""Every label a scene carries, read off its description (and, for masks and boxes, off the rendered identities).

Axes: b scenes, o objects, t times, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minilib.world.scenes import LOG_RADIUS, Scenes
from minilib.world.vocabulary import GROUNDS, MOTIONS, SHAPES, caption, textured_caption

APPEARANCES = tuple(f"{shape} on {ground}" for shape in SHAPES for ground in GROUNDS)
ACTIONS = tuple(f"{shape} {motion}" for motion in MOTIONS for shape in SHAPES)


@dataclass(frozen=True)
class Labels:
    """Class indices, int64 (b,): motion into MOTIONS (TIMINGS for clips of that task), appearance into APPEARANCES,
    verb as motion, noun into SHAPES, action into ACTIONS; informative bool (b, t): whether anything changes at that
    moment, camera aside."""

    motion: Tensor
    appearance: Tensor
    noun: Tensor
    informative: Tensor

    @property
    def verb(self) -> Tensor:
        return self.motion

    @property
    def action(self) -> Tensor:
        return self.motion * len(SHAPES) + self.noun


def labels(scenes: Scenes, times) -> Labels:
    """Labels of clips of one motion, by object 0. `times` (t,) in [0, 1]."""
    appearance = scenes.shape[:, 0] * len(GROUNDS) + scenes.ground
    informative = scenes.active(np.asarray(times, float)).any((1, 2))
    to = torch.as_tensor
    return Labels(to(scenes.motion[:, 0, 0]), to(appearance), to(scenes.shape[:, 0]), to(informative))


def image_places(scenes: Scenes) -> np.ndarray:
    """Where each object stands before any event: indices into PLACES, int (b, o)."""
    column, row = (np.clip(np.floor(scenes.base[..., axis] * 3), 0, 2).astype(int) for axis in (0, 1))
    return row * 3 + column


def image_sizes(scenes: Scenes) -> np.ndarray:
    """How large each object is before any event: indices into SIZES, int (b, o)."""
    return (np.exp(scenes.base[..., LOG_RADIUS]) > 0.16).astype(int)


def image_captions(scenes: Scenes) -> list[str]:
    """A sentence a scene: what, which colour, how large, where, and on which ground; poses before any event."""
    parts = np.stack([image_sizes(scenes), scenes.colour, scenes.shape, image_places(scenes)], -1)
    return [
        caption([tuple(part) for part in parts[i][scenes.present[i]]], int(scenes.ground[i]))
        for i in range(len(scenes))
    ]


def textured_captions(scenes: Scenes) -> list[str]:
    """As `image_captions`, with each object's texture: "a small red striped star top left on sand"."""
    words = (image_sizes(scenes), scenes.colour, scenes.texture, scenes.shape, image_places(scenes))
    parts = np.stack(words, -1)
    return [
        textured_caption([tuple(part) for part in parts[i][scenes.present[i]]], int(scenes.ground[i]))
        for i in range(len(scenes))
    ]


def masks(ids: Tensor, objects: int) -> Tensor:
    """Visible instance masks, bool (b, t, o, h, w), from rendered identities (b, t, h, w)."""
    return ids[:, :, None] == torch.arange(1, objects + 1, device=ids.device).view(-1, 1, 1)


def boxes(mask: Tensor) -> Tensor:
    """Boxes of masks (..., h, w) as int64 (..., 4): x0, y0, x1, y1 in pixels, ends exclusive; zeros if empty."""

    def ends(line: Tensor) -> tuple[Tensor, Tensor]:
        first = line.int().argmax(-1)
        last = line.shape[-1] - line.flip(-1).int().argmax(-1)
        return first, torch.where(line.any(-1), last, 0)

    (x0, x1), (y0, y1) = ends(mask.any(-2)), ends(mask.any(-1))
    return torch.stack([x0, y0, x1, y1], -1)

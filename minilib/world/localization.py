"""The small world's localization task: clips of one to three large objects that all move, their boxes and their names.

It is what ImageNet-VID and YouTube-VIS are to open-vocabulary localization: what is it called, and where is it in each
frame. Sizes are chosen by the oracle (`box_oracle`): on a grid of 12 x 12 patches of 8 pixels, true masks rounded to
patches give a box of IoU above 0.5 to nearly every object, so what a method misses is its own.

Axes: b clips, t frames, o objects, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.batches import sample_times
from minilib.world.draws import Draws
from minilib.world.labels import boxes, masks
from minilib.world.render import render
from minilib.world.scenes import ANGLE, LOG_RADIUS, OPACITY, Scenes, blank_scenes
from minilib.world.tasks import check_names

SIZE = 96  # pixels a side: 12 patches of 8
SMALLEST = 0.02  # of the frame: what is seen of an object that the task still asks for
AT_MOST = 3  # objects a clip


@dataclass(frozen=True)
class Localization:
    """frames uint8 (b, t, h, w, 3); ids uint8 (b, t, h, w), 0 the ground, 1 + o what is seen of object o; boxes int64
    (b, t, o, 4), ends exclusive; names int64 (b, o) into SHAPES; there bool (b, t, o): seen well enough to be asked
    for."""

    frames: Tensor
    ids: Tensor
    boxes: Tensor
    names: Tensor
    there: Tensor

    def to(self, device: torch.device | str) -> Localization:
        return Localization(*(getattr(self, field.name).to(device) for field in fields(self)))


def localization_scenes(seed: int, split: str, indices, *, combinations: str = "seen") -> Scenes:
    """Each object crosses part of the frame on a way of its own, turning and growing or shrinking a little."""
    check_names(split, combinations)
    indices = np.atleast_1d(indices)
    draws = Draws(seed + 4_000_037, split, indices)  # another stream than the other clips of the same seed
    scenes = blank_scenes(draws, len(indices), combinations)
    objects = scenes.shape.shape[1]
    count = draws.integers(1, AT_MOST + 1, 1)
    scenes.present[:] = np.arange(objects) < count
    around = draws.uniform(0, 2 * np.pi, 1) + 2 * np.pi * np.arange(objects) / count
    apart = np.where(count == 1, 0.1, draws.uniform(0.24, 0.32, 1))
    scenes.base[..., 0] = 0.5 + apart * np.cos(around)
    scenes.base[..., 1] = 0.5 + apart * np.sin(around)
    scenes.base[..., LOG_RADIUS] = np.log(draws.uniform(0.16, 0.24, objects))
    scenes.base[..., ANGLE] = draws.uniform(-0.5, 0.5, objects)
    scenes.base[..., OPACITY] = 1
    along, far = draws.uniform(0, 2 * np.pi, objects), draws.uniform(0.2, 0.45, objects)
    delta = scenes.delta[:, :, 0]
    delta[..., 0], delta[..., 1] = far * np.cos(along), far * np.sin(along)
    delta[..., LOG_RADIUS] = draws.uniform(-0.25, 0.25, objects)
    delta[..., ANGLE] = draws.uniform(-0.8, 0.8, objects)
    scenes.base[:] -= delta / 2
    scenes.drift[:] = draws.uniform(-0.1, 0.1, 2)
    return scenes


def localization_batch(
    seed: int,
    split: str,
    indices,
    frames: int = 8,
    size: int = SIZE,
    device: torch.device | str = "cpu",
    *,
    combinations: str = "seen",
) -> Localization:
    """Clips `indices`: functions of (seed, split, index) alone. Raises BadInput for an unknown split."""
    scenes = localization_scenes(seed, split, indices, combinations=combinations)
    pixels, ids = render(scenes, sample_times(frames), size=size, device=device, ids=True)
    seen = masks(ids, scenes.shape.shape[1])
    there = seen.flatten(3).float().mean(-1) > SMALLEST
    return Localization(pixels, ids, boxes(seen), torch.as_tensor(scenes.shape).to(ids.device), there)


def frame_by_frame(clips: Localization) -> Localization:
    """Each frame as a clip of its own: (b t) clips of one frame."""
    frames = clips.frames.shape[1]
    split = {each.name: getattr(clips, each.name) for each in fields(clips) if each.name != "names"}
    parts = {name: value.flatten(0, 1)[:, None] for name, value in split.items()}
    return Localization(names=clips.names.repeat_interleave(frames, 0), **parts)


def patch_masks(ids: Tensor, grid: int, objects: int) -> Tensor:
    """True masks rounded to patches: identities (b, t, h, w) to bool (b, t, 1 + o, grid, grid), the ground first; each
    patch goes to whom most of its pixels belong."""
    if ids.shape[-1] % grid or ids.shape[-2] % grid:
        raise BadInput(f"frames of {ids.shape[-2]} x {ids.shape[-1]} pixels: no grid of {grid} x {grid} patches")
    shares = F.one_hot(ids.long(), objects + 1).movedim(-1, 2).float().flatten(0, 1)
    shares = F.adaptive_avg_pool2d(shares, grid).unflatten(0, ids.shape[:2])
    return F.one_hot(shares.argmax(2), objects + 1).movedim(-1, 2).bool()

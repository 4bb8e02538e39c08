"""The small world's segmentation task: clips of several objects, and which of them is seen at each pixel.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput
from minilib.world.batches import sample_times
from minilib.world.render import render
from minilib.world.scenes import LOG_RADIUS, Scenes, X, clip_scenes
from minilib.world.vocabulary import MOTIONS

VOID = 255
MOVING = tuple(m for m, name in enumerate(MOTIONS) if name != "appearing")  # all whose actor is there from the start
SWELL = 1.7  # bystanders of the motion clips are about as large as one patch, too small to be found
LARGE = 1.6  # `scale` of the large segmentation task: the median object covers five of 8 x 8 patches, not two


def segmentation_scenes(
    seed: int,
    split: str,
    indices,
    *,
    combinations: str = "seen",
    motions: tuple[int, ...] = MOVING,
    scale: float = 1.0,
) -> Scenes:
    """The motion clips of `clip_scenes`, each with both bystanders, larger, one on either side of the frame; then all
    radii times `scale`, LARGE for the large segmentation task."""
    if scale <= 0:
        raise BadInput(f"segmentation: scale {scale} of the radii: it must be above 0, such as 1 or {LARGE}")
    scenes = clip_scenes(seed, split, indices, combinations=combinations, motions=motions)
    present, base = scenes.present.copy(), scenes.base.copy()
    present[:, 2:] = True
    base[:, 2:, LOG_RADIUS] += np.log(SWELL)
    base[:, 2:, X] = 0.375 * base[:, 2:, X] + [0.08, 0.545]  # from [0.1, 0.9] to the left and to the right part
    base[..., LOG_RADIUS] += np.log(scale)
    return replace(scenes, present=present, base=base)


def segmentation_batch(
    seed: int,
    split: str,
    indices,
    frames: int,
    size: int = 64,
    device: torch.device | str = "cpu",
    *,
    combinations: str = "seen",
    motions: tuple[int, ...] = MOVING,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Frames uint8 (b, t, h, w, 3) and identities uint8 (b, t, h, w) of the visible parts, as DAVIS numbers them.

    0 is the ground, 1 to k are the objects of the first frame, of which there is at least one; what comes into sight
    later is void, 255.
    """
    scenes = segmentation_scenes(seed, split, indices, combinations=combinations, motions=motions, scale=scale)
    pixels, ids = render(scenes, sample_times(frames), size=size, device=device, ids=True)
    return pixels, first_frame_identities(ids, scenes.present.shape[1])


def first_frame_identities(ids: Tensor, objects: int) -> Tensor:
    """Rendered identities 0 to `objects`, uint8 (b, t, h, w), numbered by the objects of the first frame."""
    seen = (ids[:, 0, ..., None] == torch.arange(1, objects + 1, device=ids.device)).flatten(1, 2).any(1)  # (b, o)
    names = torch.where(seen, seen.cumsum(1), VOID).to(torch.uint8)
    names = torch.cat([torch.zeros_like(names[:, :1]), names], 1)  # the ground stays 0
    return names.gather(1, ids.flatten(1).long()).view_as(ids)


def patch_oracle(truth: Tensor, side: int = 8) -> Tensor:
    """The best that a model of `side` x `side` patches may hope for: proposals uint8 (b, t, h, w), from identities.

    The true masks, ground included, are averaged in each patch and enlarged again, bilinear, as slots' masks are; the
    largest wins each pixel. Void counts as ground.
    """
    ids = truth.where(truth != VOID, 0).long()
    soft = F.one_hot(ids).flatten(0, 1).movedim(-1, 1).float()
    small = F.interpolate(soft, (side, side), mode="area")
    enlarged = F.interpolate(small, truth.shape[-2:], mode="bilinear", align_corners=False)
    return enlarged.argmax(1).to(torch.uint8).view_as(truth)

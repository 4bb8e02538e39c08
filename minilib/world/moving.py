"""Where the objects with a motion are, pixel by pixel.

Axes: b clips, t frames, h and w pixels, o objects.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from minilib.world.batches import sample_times
from minilib.world.clips import WorldClips
from minilib.world.render import render
from minilib.world.tasks import task_scenes


def moving_pixels(source: WorldClips, indices: np.ndarray, every: int = 1) -> Tensor:
    """1 where an object with a motion is seen, else 0, in every `every`-th frame of a source: float (b, t, h, w)."""
    scenes = task_scenes(source.task, source.seed, source.split, indices, source.combinations, source.motions)
    _, ids = render(scenes, sample_times(source.steps)[::every], source.size, ids=True)
    acting = torch.as_tensor((scenes.motion[:, :, 0] >= 0) & scenes.present)  # (b, o)
    acting = torch.cat([torch.zeros(len(acting), 1, dtype=torch.bool), acting], 1).to(ids.device)  # 0: the background
    return acting.float()[torch.arange(len(ids), device=ids.device).view(-1, 1, 1, 1), ids.long()]

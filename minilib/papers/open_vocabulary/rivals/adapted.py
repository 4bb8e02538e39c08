"""The slots of object-centric adaptation (notebook 04), looked at as objects; they were taught to classify clips.

Axes: b clips, t frames, s slots, r and c patches of CLIP's grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minilib.papers.object_centric.method import OnFrames
from minilib.papers.open_vocabulary.pretrain.patch import CLIP_SIZE, reduced
from minilib.papers.open_vocabulary.rivals.method import SlotMasks, check_frames


class AdaptedSlots(OnFrames):
    """`OnFrames` whose slots can be looked at. Learned queries look for the same thing in every frame, so they are
    tubes of themselves."""

    @torch.no_grad()
    def look(self, frames: Tensor, generator: torch.Generator | None = None) -> SlotMasks:
        """uint8 (b, t, h, w, 3) of any size and number; they are reduced to what the image model reads."""
        check_frames(frames)
        trained = self.trained
        _, patches = trained.joint(self.features(reduced(frames, CLIP_SIZE)))
        _, masks = trained.decompose(trained.fuse(patches))
        return SlotMasks(masks.unflatten(-1, self.clip.visual.grid_size), tubes=True)

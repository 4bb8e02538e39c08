"""What a training is looked at by, on validation clips: where slots are, and what patches are called.

Axes: b clips, t frames, s slots, u steps, r rows and c columns of patches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.second_clip import second_clip
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.naming import cosines, slot_sums
from minilib.papers.open_vocabulary.pretrain.grouping import Grouping
from minilib.papers.open_vocabulary.pretrain.patch import OnReduced, small_patch_clip
from minilib.papers.open_vocabulary.small import WORLD, apart, localization_scores, together
from minilib.world.localization import localization_batch, patch_masks

AT_ONCE = 32  # clips


class Judge:
    """Holds `count` validation clips on a device, and the patches of a trained patch-CLIP where its file is there."""

    def __init__(self, device: str, count: int = 128, patch_clip: Path | None = None):
        self.truth = localization_batch(0, "val", np.arange(count), device=device)
        self.clip = second_clip().to(device)
        self.names = WORLD.features(self.clip)
        there = patch_clip is not None and patch_clip.is_file()
        self.reader = small_patch_clip(patch_clip).to(device) if there else None
        self.patches = self.read(self.reader) if there else None

    @torch.no_grad()
    def read(self, reader: nn.Module) -> Tensor:
        """Patches (b, t, r', c', e) of all clips."""
        return torch.cat([OnReduced(reader)(frames) for frames in self.truth.frames.split(AT_ONCE)])

    def oracle(self, grid: int = 12, targets: int = len(WORLD.targets)) -> Tensor:
        """The true masks of the same grid as slots: int64 (b, t, r, c), 0 the ground."""
        return patch_masks(self.truth.ids, grid, self.truth.names.shape[1]).int().argmax(2)

    @torch.no_grad()
    def names_of(self, reader: nn.Module) -> dict[str, float]:
        """Percent of true masks whose best name is right: of objects among the shapes, and of grounds and objects
        whether they are told from each other at all."""
        assigned, slots = self.oracle(), 1 + self.truth.names.shape[1]
        cosine = cosines(slot_sums(self.read(reader), assigned, slots), self.names)
        targets = len(WORLD.targets)
        seen = F.one_hot(assigned, slots).flatten(1, -2).sum(1)[:, 1:] > 16
        shape = cosine[:, 1:, :targets].argmax(-1) == self.truth.names
        background = cosine.argmax(-1) >= targets
        return {
            "shape": 100 * float(shape[seen].float().mean()),
            "ground kept out": 100 * float(background[:, 0].float().mean()),
            "objects kept": 100 * float((~background[:, 1:])[seen].float().mean()),
        }

    @torch.no_grad()
    def slots(self, grouping: Grouping, encoder: VideoEncoder, model: VideoSlots) -> dict[str, float]:
        """Boxes before and after joint optimisation, each as `localization_scores`, beside those of the oracle."""
        model.eval()
        generator = torch.Generator().manual_seed(287)
        parts = [
            grouping.assigned(model, grouping.features(encoder, frames), generator)
            for frames in self.truth.frames.split(AT_ONCE)
        ]
        model.train()
        return self.score(torch.cat(parts), grouping.slots)

    def score(self, assigned: Tensor, slots: int) -> dict[str, float]:
        """The same of any assignment of tokens to slots, (b, u, r, c)."""
        size = self.truth.frames.shape[2]
        patches = self.patches
        if patches is None:
            patches = torch.zeros(*self.truth.frames.shape[:2], 1, 1, self.names.shape[1], device=assigned.device)
        found = {"apart": apart(assigned, slots, patches, self.names, size)}
        if self.patches is not None:
            found["joint"] = together(assigned, slots, patches, self.names, size, len(WORLD.targets))
        scores = {name: localization_scores(each, self.truth) for name, each in found.items()}
        return {f"{name} {what}": round(x, 2) for name, each in scores.items() for what, x in each.items()}

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
from minilib.papers.open_vocabulary.pretrain.patch import OnReduced, best_reader, small_patch_clip
from minilib.papers.open_vocabulary.small import OBJECTS, WORLD, apart, localization_scores, together
from minilib.world.localization import localization_batch, patch_masks

AT_ONCE = 32  # clips


class Judge:
    """Holds `count` validation clips on a device, and the patches of the best patch-CLIP in a folder where one is."""

    def __init__(self, device: str, count: int = 128, folder: Path | None = None):
        self.truth = localization_batch(0, "val", np.arange(count)).to(device)
        self.clip = second_clip().to(device)
        self.names = WORLD.features(self.clip)
        best = None if folder is None else best_reader(folder)
        self.patches = None
        if best is not None:
            self.patches = self.read(small_patch_clip(folder / f"patch_clip_{best}.safetensors", best).to(device))

    @torch.no_grad()
    def read(self, reader: nn.Module) -> Tensor:
        """Patches (b, t, r', c', e) of all clips."""
        return torch.cat([OnReduced(reader)(frames) for frames in self.truth.frames.split(AT_ONCE)])

    def oracle(self, grid: int = 12, targets: int = len(WORLD.targets)) -> Tensor:
        """The true masks of the same grid as slots: int64 (b, t, r, c), 0 the ground."""
        return patch_masks(self.truth.ids, grid, self.truth.names.shape[1]).int().argmax(2)

    def names_of(self, reader: nn.Module) -> dict[str, float]:
        """`names_by` of a reader of frames."""
        return self.names_by(self.read(reader))

    @torch.no_grad()
    def names_by(self, patches: Tensor) -> dict[str, float]:
        """Names of the true masks by patches (b, t, r', c', e), in percent: objects whose shape is the best by its
        fitting sentences. By each name's best sentence: grounds whose best name of all is no shape, objects whose best
        name of all is one; `right`: objects and grounds, half each, whose best name of all is their shape, or any
        ground."""
        assigned, slots = self.oracle(), 1 + self.truth.names.shape[1]
        sums = slot_sums(patches, assigned, slots)
        cosine, objects = cosines(sums, self.names), cosines(sums, OBJECTS.features(self.clip), OBJECTS.over)
        targets = len(WORLD.targets)
        seen = F.one_hot(assigned, slots).flatten(1, -2).sum(1)[:, 1:] > 16  # patches in all frames
        share = lambda hits: 100 * float(hits.float().mean())  # noqa: E731
        shape = (objects[:, 1:].argmax(-1) == self.truth.names)[seen]
        ground = cosine[:, 0].argmax(-1) >= targets
        best = cosine[:, 1:].argmax(-1)
        right = (best == self.truth.names)[seen]
        return {
            "shape": share(shape),
            "ground kept out": share(ground),
            "objects kept": share((best < targets)[seen]),
            "right": (share(right) + share(ground)) / 2,
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
            patches = torch.zeros(*self.truth.frames.shape[:2], 1, 1, self.names.shape[-1], device=assigned.device)
        found = {"apart": apart(assigned, slots, patches, self.names, size)}
        if self.patches is not None:
            found["joint"] = together(assigned, slots, patches, self.names, size, len(WORLD.targets))
        scores = {name: localization_scores(each, self.truth) for name, each in found.items()}
        return {f"{name} {what}": round(x, 2) for name, each in scores.items() for what, x in each.items()}

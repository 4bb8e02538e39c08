"""Patch-CLIP's new block, trained short: the text's (attention alone) beside the released one (attention and MLP), and
one without attention (Sec. 4; Appendix B.3). All see the same pictures in the same order under one recipe.

Axes: b pictures, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from minilib.papers.open_vocabulary.fresh import FIRST
from minilib.papers.open_vocabulary.patch_clip import OnlyMlp, PatchClip, only_attention, patch_loss, residual_block
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.patch import READERS, OnReduced, Reader, crops_for
from minilib.papers.open_vocabulary.readings import called_rightly, objects_in
from minilib.study import Outcome, Trial
from minilib.training import Batches, TrainSettings, train
from minilib.world.localization import localization_batch

GROUPS = 4  # of eight test clips, which only a seed's readers share
RECIPE = TrainSettings(steps=200, batch=128, lr=1e-3, warmup=10, precision="bf16")


def pictures(frames: Tensor, reader: Reader, model: PatchClip, seed: int, size: int) -> Batches:
    """Batches of normalised crops (b, 3, h, w) of one frame each of clips drawn at random; without labels."""

    def at(step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1_000_003 * seed + step)
        which, when = (torch.randint(count, (size,), generator=generator) for count in frames.shape[:2])
        return crops_for(model, reader, frames[which, when], generator), torch.zeros(size, dtype=torch.int64)

    return at


@dataclass(frozen=True)
class TrainedBlock:
    """A patch-CLIP from a random block, on `clips` clips of its own; scored by what it calls objects under their true
    masks on groups of its own (`called_rightly`)."""

    block: Callable[[nn.Module], nn.Module]
    clips: int = 256

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        frames = localization_batch(trial.seed, "train", np.arange(self.clips)).frames
        reader = replace(READERS["released"], block=self.block)
        torch.manual_seed(trial.seed)
        model = reader.build().train()

        def loss(model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
            return patch_loss(model, pixels, reader.temperature)

        batches = pictures(frames, reader, model, trial.seed, recipe.batch)
        settings = recipe.with_seed(trial.seed)
        history = train(model, batches, settings, 1, trial.device, trial.checkpoint, 0, trial.label, loss)
        return Outcome(model, history, scores(model.cpu().eval(), trial))

    def smoke(self) -> TrainedBlock:
        return replace(self, clips=4)


@torch.no_grad()
def scores(model: PatchClip, trial: Trial) -> dict[str, float]:
    """The mean over the seed's groups."""
    groups = [clips_of(FIRST + GROUPS * trial.seed + number, trial.split) for number in range(GROUPS)]
    found = [called_rightly(objects_in(clips, OnReduced(model)(clips.frames))) for clips in groups]
    return {name: fmean(each[name] for each in found) for name in found[0]}


BLOCKS = {
    "block/released": TrainedBlock(residual_block),
    "block/only_attention": TrainedBlock(only_attention),
    "block/only_mlp": TrainedBlock(OnlyMlp),
}

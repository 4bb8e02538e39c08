"""Trained while one watches: patch-CLIP's block by Eq. 1-3, and slots on the shipped encoder, each in a minute or two.

What is frozen is read once: CLIP's tokens, the encoder's features. Tested like everything else, on groups of test
clips.

Axes: b pictures or clips, m patches, d width, e joint embedding, u steps, r and c patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.papers.open_vocabulary.method import VideoSlots, reconstruction_loss
from minilib.papers.open_vocabulary.patch_clip import PatchClip, info_nce, pooled
from minilib.papers.open_vocabulary.pipelines import Found, boxed, patch_clip, patches_of, proposed
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED
from minilib.papers.open_vocabulary.pretrain.patch import READERS, OnReduced, reduced
from minilib.papers.open_vocabulary.proposals import features_of, localizer, slots_of, video_slots
from minilib.papers.open_vocabulary.small import OBJECTS, all_scores
from minilib.study import Outcome, Trial
from minilib.training import Batches, TrainSettings, train
from minilib.world.localization import Localization, localization_batch

GROUPS = 2  # of eight test clips
TEMPERATURE = 0.1


@dataclass(frozen=True)
class Read:
    """What CLIP makes of pictures: tokens (b, 1 + m, d), the last block's input, and cls (b, e)."""

    tokens: Tensor
    cls: Tensor

    def __len__(self) -> int:
        return len(self.cls)

    def __getitem__(self, which: Tensor) -> Read:
        return Read(self.tokens[which], self.cls[which])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Read:
        return Read(self.tokens.to(device), self.cls.to(device))


def contrast(model: PatchClip, read: Read, labels: Tensor) -> Tensor:
    """Eq. 1-3; labels are not looked at."""
    return info_nce(pooled(model.patches(read.tokens), read.cls), read.cls, TEMPERATURE)


def explain(model: VideoSlots, features: Tensor, labels: Tensor) -> Tensor:
    """The slots' loss (Sec. 3) on features of mean 0 and deviation 1; labels are not looked at."""
    return reconstruction_loss(model(features), F.layer_norm(features, features.shape[-1:]))


def drawn(inputs: Read | Tensor, seed: int, size: int) -> Batches:
    """Batches drawn at random from what was read, without labels."""

    def at(step: int) -> tuple[Read | Tensor, Tensor]:
        draw = np.random.default_rng((seed, step))
        chosen = torch.as_tensor(draw.choice(len(inputs), min(size, len(inputs)), replace=False))
        return inputs[chosen], torch.zeros(len(chosen), dtype=torch.int64)

    return at


def tested(groups: Sequence[tuple[Found, Localization]]) -> dict[str, float]:
    """The mean of each score over groups; the score is DecRate."""
    scores = [all_scores(*group) for group in groups]
    means = {name: fmean(each[name] for each in scores) for name in ("dec_rate", "cor_loc", "map50", "named", "iou")}
    return {"": means.pop("dec_rate"), **means}


@dataclass(frozen=True)
class LiveNames:
    """Patch-CLIP from a random block, on every second frame of `clips` training clips. It names the shipped slots,
    before joint optimisation."""

    clips: int = 64

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        frames = localization_batch(trial.seed, "train", np.arange(self.clips)).frames[:, ::2].flatten(0, 1)
        torch.manual_seed(trial.seed)
        model = READERS["released"].build()
        parts = [model.read(model.clip.normalise(reduced(part))) for part in frames.split(64)]
        read = Read(torch.cat([tokens for _, tokens in parts]), torch.cat([cls for cls, _ in parts]))
        batches, settings = drawn(read, trial.seed, recipe.batch), recipe.with_seed(trial.seed)
        history = train(model, batches, settings, 1, trial.device, trial.checkpoint, 0, trial.label, contrast)
        reader = OnReduced(model.cpu().eval())
        return Outcome(model, history, tested([self.named(reader, group, trial.split) for group in range(GROUPS)]))

    @torch.no_grad()
    def named(self, reader: OnReduced, group: int, split: str) -> tuple[Found, Localization]:
        clips = clips_of(group, split)
        return boxed(clips, proposed(video_slots, group, split, "seen"), reader(clips.frames), OBJECTS, None)

    def smoke(self) -> LiveNames:
        return replace(self, clips=4)


@dataclass(frozen=True)
class LiveSlots:
    """Slots from random weights, on the shipped encoder's features of `clips` training clips; the shipped patch-CLIP
    names them, before joint optimisation."""

    clips: int = 32

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        shipped = localizer()
        clips = localization_batch(trial.seed, "train", np.arange(self.clips))
        features = features_of(shipped.encoder, clips, shipped.layer)
        torch.manual_seed(trial.seed)
        model = TRIED["normalised"].build()
        batches, settings = drawn(features, trial.seed, recipe.batch), recipe.with_seed(trial.seed)
        history = train(model, batches, settings, 1, trial.device, trial.checkpoint, 0, trial.label, explain)
        model.cpu().eval()
        return Outcome(model, history, tested([self.boxes(model, group, trial.split) for group in range(GROUPS)]))

    def boxes(self, model: VideoSlots, group: int, split: str) -> tuple[Found, Localization]:
        clips, shipped = clips_of(group, split), localizer()
        proposal = slots_of(model, features_of(shipped.encoder, clips, shipped.layer), group)
        return boxed(clips, proposal, patches_of(patch_clip, group, split, "seen"), OBJECTS, None)

    def smoke(self) -> LiveSlots:
        return replace(self, clips=4)

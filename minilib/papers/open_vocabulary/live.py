"""Trained while one watches: the same slots twice, once to explain pixels and once to explain features (Table 1's first
question), each in a minute or two.

Both read and paint the same patches; they differ in what a patch is: its 64 pixels, or what the frozen video encoder
makes of it. Features are read once. Departures from the shipped slots, for the sake of minutes: windows of two frames,
a decoder of three layers with 96 hidden channels.

Axes: b clips, u steps, r and c patches, d numbers of a patch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.models.slots import GaussianSlots
from minilib.models.tubelets import spacetime_positions, tubelets
from minilib.papers.open_vocabulary.decoder import AttendedDecoder, BroadcastDecoder
from minilib.papers.open_vocabulary.method import VideoSlots, reconstruction_loss
from minilib.papers.open_vocabulary.pipelines import Found, boxed, patch_clip, patches_of
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.encoders import GRID, PATCH
from minilib.papers.open_vocabulary.proposals import SLOTS, Proposal, features_of, localizer, slots_of
from minilib.papers.open_vocabulary.small import OBJECTS, all_scores
from minilib.study import Outcome, Trial
from minilib.training import Batches, TrainSettings, train
from minilib.world.localization import Localization, localization_batch

GROUPS = 2  # of eight test clips
WINDOW = 2  # frames that are explained at once
WIDTH, HIDDEN, LAYERS = 66, 96, 3


@dataclass(frozen=True)
class Seen:
    """What slots read and what they have to paint, each (b, u, r, c, d)."""

    read: Tensor
    asked: Tensor

    def __len__(self) -> int:
        return len(self.read)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Seen:
        return Seen(self.read.to(device), self.asked.to(device))


def features(clips: Localization) -> Seen:
    """The shipped video encoder's; to be painted at mean 0 and deviation 1."""
    shipped = localizer()
    found = features_of(shipped.encoder, clips, shipped.layer)
    return Seen(found, F.layer_norm(found, found.shape[-1:]))


def pixels(clips: Localization) -> Seen:
    """The patches' own pixels; where a patch lies is added to what is read, as Slot Attention does, for features know
    it."""
    cut = tubelets((clips.frames.movedim(-1, 2).float() / 255 - 0.45) / 0.25, 1, PATCH)
    steps, rows, columns, width = cut.shape[1:]
    return Seen(cut + spacetime_positions(steps, rows, columns, width).view(cut.shape[1:]), cut)


def explain(model: VideoSlots, seen: Seen, labels: Tensor) -> Tensor:
    """The slots' loss (Sec. 3); labels are not looked at."""
    return reconstruction_loss(model(seen.read), seen.asked)


def windows(seen: Seen, seed: int, size: int) -> Batches:
    """Batches of `size` clips drawn at random, and of each the same two neighbouring frames; without labels."""

    def at(step: int) -> tuple[Seen, Tensor]:
        draw = np.random.default_rng((seed, step))
        chosen = torch.as_tensor(draw.choice(len(seen), min(size, len(seen)), replace=False))
        first = int(draw.integers(seen.read.shape[1] - WINDOW + 1))
        part = (chosen, slice(first, first + WINDOW))
        return Seen(seen.read[part], seen.asked[part]), torch.zeros(len(chosen), dtype=torch.int64)

    return at


def tested(groups: Sequence[tuple[Found, Localization]]) -> dict[str, float]:
    """The mean of each score over groups; the score is DecRate."""
    scores = [all_scores(*group) for group in groups]
    means = {name: fmean(each[name] for each in scores) for name in ("dec_rate", "cor_loc", "map50", "named", "iou")}
    return {"": means.pop("dec_rate"), **means}


@dataclass(frozen=True)
class LiveSlots:
    """Slots from random weights, on `clips` training clips as `look` sees them; the shipped patch-CLIP names them,
    before joint optimisation. decoder: whose masks are the slots'; `BroadcastDecoder` is the released one."""

    look: Callable[[Localization], Seen]
    clips: int = 64
    decoder: type[BroadcastDecoder] = AttendedDecoder

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        seen = self.look(localization_batch(trial.seed, "train", np.arange(self.clips)))
        torch.manual_seed(trial.seed)
        model = self.build(seen)
        batches, settings = windows(seen, trial.seed, recipe.batch), recipe.with_seed(trial.seed)
        history = train(model, batches, settings, 1, trial.device, trial.checkpoint, 0, trial.label, explain)
        model.cpu().eval()
        return Outcome(model, history, tested([self.boxes(model, group, trial.split) for group in range(GROUPS)]))

    def build(self, seen: Seen) -> VideoSlots:
        """With random weights; positions begin as sine waves."""
        steps = seen.read.shape[1]
        decoder = self.decoder(seen.asked.shape[-1], WIDTH, steps, (GRID, GRID), HIDDEN, LAYERS)
        with torch.no_grad():
            decoder.pos_embed.copy_(spacetime_positions(steps, GRID, GRID, WIDTH).view_as(decoder.pos_embed))
        return VideoSlots(GaussianSlots(SLOTS, WIDTH), decoder, seen.read.shape[-1])

    def proposal(self, model: VideoSlots, clips: Localization, seed: int) -> Proposal:
        """The slot of each patch, of all frames of the clips at once."""
        return slots_of(model, self.look(clips).read, seed)

    def boxes(self, model: VideoSlots, group: int, split: str) -> tuple[Found, Localization]:
        clips = clips_of(group, split)
        patches = patches_of(patch_clip, group, split, "seen")
        return boxed(clips, self.proposal(model, clips, group), patches, OBJECTS, None)

    def smoke(self) -> LiveSlots:
        return replace(self, clips=4)

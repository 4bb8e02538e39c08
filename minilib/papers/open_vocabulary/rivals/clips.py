"""What the rivals learn from: the localization task's clips without labels, or as a frozen encoder sees them.

Axes: b clips, t frames, u steps, r and c patches, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.pretrain.driver import WEIGHTS
from minilib.papers.open_vocabulary.pretrain.encoders import small_autoencoder
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED, Grouping
from minilib.study import Clips, Feed
from minilib.study.feeds import Kept
from minilib.world.localization import localization_batch


@dataclass(frozen=True)
class Unlabelled:
    """The localization task's clips without what is known of them, as a feed's source."""

    seed: int
    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def frames(self, indices: np.ndarray) -> Tensor:
        return localization_batch(self.seed, self.split, indices).frames

    def labels(self, indices: np.ndarray) -> Tensor:
        return torch.zeros(len(np.atleast_1d(indices)), dtype=torch.int64)


@dataclass(frozen=True)
class TrainingClips:
    """`train` clips that are come back to. Rivals are tested elsewhere, so it has a feed and no score."""

    train: int = 512
    classes: tuple[str, ...] = ("",)

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        source = Unlabelled(seed, split, self.train)
        return Clips(source, Kept(source.frames, self.train), self.train)

    def smoke(self) -> TrainingClips:
        return replace(self, train=8)


def encoder_of(grouping: Grouping) -> VideoEncoder:
    """The shipped encoder of clips, or that of single frames; frozen."""
    path = WEIGHTS / ("image_encoder.safetensors" if grouping.sizes.frames == 1 else "video_encoder.safetensors")
    return small_autoencoder(path, grouping.sizes).encoder


@dataclass(frozen=True)
class EncodedClips(TrainingClips):
    """The same clips as the frozen encoder of `grouping` sees them, read once: features in bfloat16."""

    grouping: Grouping = TRIED["normalised"]

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        source, encoder = Unlabelled(seed, split, self.train), encoder_of(self.grouping).to(device)

        def features(indices: np.ndarray) -> Tensor:
            return self.grouping.features(encoder, source.frames(indices).to(device)).bfloat16().cpu()

        return Clips(source, Kept(features, self.train), self.train)

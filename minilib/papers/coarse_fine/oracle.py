"""A coarse stream whose confidences are the truth: what Grid Pool could reach if its head knew where things happen.

The head gets no clip, only which frames are informative, which the world knows. `FLOOR` keeps a few places for quiet
stretches; in a clip without an action they are even.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from minilib.papers.coarse_fine.method import CoarseStream
from minilib.papers.coarse_fine.variants import true_confidence
from minilib.study.detection import Detection, StartedClips
from minilib.world import LongClips

FLOOR = 0.1


@dataclass(frozen=True)
class WithTruth:
    """Frames (b, t, h, w, 3), and whether anything happens in them, bool (b, t)."""

    frames: Tensor
    informative: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> WithTruth:
        return WithTruth(*(x.to(device, non_blocking=non_blocking) for x in (self.frames, self.informative)))


@dataclass(frozen=True)
class Told:
    """Indices (b,) -> `WithTruth` of these clips."""

    clips: LongClips

    def __call__(self, indices: np.ndarray) -> WithTruth:
        return WithTruth(self.clips.frames(indices), self.clips.rendered.informative[indices])


@dataclass(frozen=True)
class ToldDetection(Detection):
    """The task with the truth beside the frames, in training and in test."""

    def feed(self, split: str, seed: int, device: str = "cpu") -> StartedClips:
        feed = super().feed(split, seed, device)
        return replace(feed, inputs=Told(feed.source))


class OracleStream(nn.Module):
    """A coarse stream without a fine one, called with `WithTruth`."""

    def __init__(self, coarse: CoarseStream):
        super().__init__()
        self.coarse = coarse
        coarse.pool.head.requires_grad_(False)  # never asked

    def forward(self, inputs: WithTruth) -> Tensor:
        before = self.coarse.before(inputs.frames)
        confidence = FLOOR + true_confidence(inputs.informative, self.coarse.pool.ratio, contrast=1 - 2 * FLOOR)
        return self.coarse.finish(self.coarse.pool.at(before, confidence), before.shape[2])

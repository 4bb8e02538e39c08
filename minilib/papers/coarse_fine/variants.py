"""What Coarse-Fine is compared with in Tables 3.3 and 3.4: other grids, fixed poolings, simpler fusions, more losses.
Of ours is what takes Grid Pool apart: an unpooling in one step, a head that labels teach; `oracle` has one that knows.

Each takes the place of a part of `grid`, `fusion` or `method`, as a class or a function.

Axes: b clips, t frames, n frames that are kept, c channels, h and w places, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.coarse_fine.fusion import Levels, resize
from minilib.papers.coarse_fine.grid import GridPool, Pooled, Pooling, inverse, sample
from minilib.papers.coarse_fine.method import CoarseStream, detection_loss

# --- grids and heads of Grid Pool -------------------------------------------------------------------------------------


def thesis_grid(confidence: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Eq. 3.2 as printed: n locations t cdf(1 - p) for frames counted from 1, so the first frame is seldom taken."""
    rest = 1 - confidence
    cdf = (rest / rest.sum(1, keepdim=True)).cumsum(1)
    return (frames * cdf - 1).clamp(min=0), cdf


def inverse_grid(confidence: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Our variant: n + 1 points where cdf(p) takes evenly spaced values, so their density at a frame is the confidence
    there. In Eq. 3.2 p_i shortens the i-th step, wherever the steps before it have led."""
    cdf = F.pad((confidence / (confidence.sum(1, keepdim=True) + 1e-16)).cumsum(1), (1, 0))
    even = torch.linspace(0, 1, cdf.shape[1], device=cdf.device, dtype=cdf.dtype).expand_as(cdf)
    fraction = inverse(cdf, even) / confidence.shape[1]
    return fraction * (frames - 1), fraction


def released_strides(ratio: int) -> tuple[int, int]:
    """The released head strides twice by ratio / 2: right for 4, but a "1/8" is in truth 1/16 (Table 3.3d's rows)."""
    return ratio // 2, ratio // 2


class OneStep(GridPool):
    """Grid Unpool in one step: scores interpolated between the grid's own places, as for every other pooling."""

    def unpool(self, scores: Tensor, pooled: Pooled, frames: int) -> Tensor:
        return Pooling.unpool(self, scores, pooled, frames)


def true_confidence(informative: Tensor, ratio: int = 4, contrast: float = 0.9) -> Tensor:
    """What a perfect head would say: the fraction of each interval in which something happens, times `contrast`; bool
    (b, t) -> (b, t / ratio), the last interval filled up with frames in which nothing does."""
    frames = F.pad(informative.float(), (0, -informative.shape[1] % ratio))
    return contrast * frames.unflatten(1, (-1, ratio)).mean(2)


class NoiseHead(nn.Module):
    """The control: confidences from a generator instead of from the clip, new ones in every call."""

    def __init__(self, channels: int, strides: tuple[int, int]):
        super().__init__()
        self.ratio = strides[0] * strides[1]

    def forward(self, x: Tensor) -> Tensor:
        return torch.rand(len(x), math.ceil(x.shape[2] / self.ratio), device=x.device, dtype=x.dtype)


# --- fixed poolings (Table 3.3e) ------------------------------------------------------------------------------------


class KeepAll(Pooling):
    """No pooling: the coarse stream of a Fine-Fine network."""

    def __init__(self, channels: int, ratio: int = 1):
        super().__init__(channels, ratio=1)

    def forward(self, x: Tensor) -> Pooled:
        places = self.places(x, 0)
        return Pooled(x, places, places)


class Striding(Pooling):
    """Every ratio-th frame, from the first on."""

    def forward(self, x: Tensor) -> Pooled:
        kept = x[:, :, :: self.ratio]
        places = self.places(kept, 0)
        return Pooled(kept, places, places)


class AveragePool(Pooling):
    """The mean of each interval, which lies in its middle; frames after the last whole interval are left out, as the
    released code's pooling does. Raises BadInput for clips without a whole one."""

    reduce = staticmethod(F.avg_pool3d)

    def forward(self, x: Tensor) -> Pooled:
        if x.shape[2] < self.ratio:
            raise BadInput(
                f"a clip of {x.shape[2]} frames is shorter than the temporal ratio {self.ratio}: give {self.ratio} "
                "frames or another pooling"
            )
        kept = self.reduce(x, (self.ratio, 1, 1))
        places = self.places(kept, (self.ratio - 1) / 2)
        return Pooled(kept, places, places)


class MaxPool(AveragePool):
    """The largest value of each interval."""

    reduce = staticmethod(F.max_pool3d)


# --- fusions (Table 3.3a to c) ---------------------------------------------------------------------------------------


class NoMask(nn.Module):
    """Everything passes (Table 3.3c)."""

    def __init__(self, channels: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones_like(x[:, :1])


class OneToOne(nn.Module):
    """Without mixing: the shift and scale of the same level (Table 3.3a)."""

    def __init__(self, channels: Sequence[int], level: int):
        super().__init__()
        self.level = level

    def forward(self, shifts: Levels, scales: Levels, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        return resize(shifts[self.level], size), resize(scales[self.level], size)


def over_time(x: Tensor, valid: Tensor) -> Tensor:
    """CHW of Table 3.3b: the mean over valid frames everywhere."""
    fraction = (valid / valid.sum(1, keepdim=True))[:, None, :, None, None].to(x.dtype)
    return (x * fraction).sum(2, keepdim=True).expand_as(x)


def over_time_and_space(x: Tensor, valid: Tensor) -> Tensor:
    """C of Table 3.3b: only channels differ."""
    return over_time(x, valid).mean((3, 4), keepdim=True).expand_as(x)


# --- self-supervision of the grid (Table 3.4) ------------------------------------------------------------------------


def reconstruction(before: Tensor, pooled: Pooled) -> Tensor:
    """L_rec: mean L1 distance of the pooling's input (b, c, t, h, w) and its output stretched back over time."""
    frames = torch.arange(before.shape[2], device=before.device, dtype=before.dtype).expand(len(before), -1)
    back = sample(pooled.x.transpose(1, 2), inverse(pooled.locations, frames)).transpose(1, 2)
    return F.l1_loss(back, before)


def change(before: Tensor) -> Tensor:
    """How much happens between frames: the mean absolute difference of neighbours, (b, c, t, h, w) -> (b, t - 1)."""
    return before.diff(dim=2).abs().mean((1, 3, 4))


def flow(before: Tensor, pooled: Pooled, motion: Callable[[Tensor], Tensor] = change) -> Tensor:
    """L_flow: little motion within a grid cell, much of it at the cells' borders.

    Motion in the middle of the cells minus motion at the grid points, both relative to the clip's mean. The text takes
    the magnitude of Representation Flow; `motion` stands in for it, and only the grid learns from this loss.
    """
    amount = motion(before.detach())
    amount = (amount / amount.mean(1, keepdim=True).clamp(min=1e-6))[..., None]
    borders, middles = pooled.locations[:, 1:-1], (pooled.locations[:, 1:] + pooled.locations[:, :-1]) / 2
    # amount[i] lies between frames i and i + 1, hence the half
    return sample(amount, middles - 0.5).mean() - sample(amount, borders - 0.5).mean()


@dataclass(frozen=True)
class Taught:
    """The detection loss, and `weight` times the cross-entropy of the head's confidences with `true_confidence`, which
    the labels know: an objective of `minilib.training.train` for a coarse-only network. Ours."""

    weight: float = 1.0

    def __call__(self, model: CoarseStream, clips: Tensor, labels: Tensor) -> Tensor:
        before = model.before(clips)
        confidence = model.pool.head(before)
        scores = model.finish(model.pool.at(before, confidence), before.shape[2])
        truth = true_confidence(labels.amax(2) > 0, model.pool.ratio, contrast=1.0)
        return detection_loss(scores, labels) + self.weight * F.binary_cross_entropy(confidence, truth)


@dataclass(frozen=True)
class WithAuxiliary:
    """0.5 L_class + 0.5 L_loc + 0.1 L_aux for a coarse-only network, an objective of `minilib.training.train`."""

    auxiliary: Callable[[Tensor, Pooled], Tensor]
    weight: float = 0.1

    def __call__(self, model: CoarseStream, clips: Tensor, labels: Tensor) -> Tensor:
        before, pooled = model.sampled(clips)
        scores = model.finish(pooled, before.shape[2])
        return detection_loss(scores, labels) + self.weight * self.auxiliary(before, pooled)

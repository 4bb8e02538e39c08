"""Grid Pool: reducing the time axis by a ratio, at learned places, and undoing it for the scores.

A pooling is a module: features (b, c, t, h, w) -> `Pooled`, with a method `unpool` for the way back, of the scores.
Section 3.2.1 of the thesis; where the released code differs it is the default, and the difference is named. What it is
compared with stands in `variants`.

Axes: b clips, t frames, n frames that are kept, c channels, h and w places, k classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pooled(NamedTuple):
    """What a pooling leaves: features (b, c, n, h, w); where they lie, in frames from 0 (b, n), increasing; the centres
    of the Gaussians (b, n), which the released code puts a little elsewhere."""

    x: Tensor
    locations: Tensor
    centres: Tensor


# --- sampling in time ------------------------------------------------------------------------------------------------


def sample(x: Tensor, locations: Tensor) -> Tensor:
    """x (b, t, ...) linearly interpolated at `locations` (b, n) in frames, clamped to the clip; -> (b, n, ...).

    I of Eq. 3.2. Differentiable in both: a location's gradient is the difference of its two neighbours.
    """
    locations = locations.clamp(0, x.shape[1] - 1)
    before = locations.detach().floor().long().clamp(max=max(x.shape[1] - 2, 0))
    after = (before + 1).clamp(max=x.shape[1] - 1)
    row = torch.arange(len(x), device=x.device)[:, None]
    fraction = (locations - before).to(x.dtype).view(*locations.shape, *(1,) * (x.ndim - 2))
    return torch.lerp(x[row, before], x[row, after], fraction)


def inverse(curve: Tensor, values: Tensor) -> Tensor:
    """Where an increasing piecewise linear curve (b, m), given at 0, 1, ..., m - 1, takes `values` (b, n).

    The released code's slope: an epsilon keeps it finite where the curve is flat.
    """
    after = torch.searchsorted(curve.detach().contiguous(), values.contiguous(), right=True)
    before = (after - 1).clamp(0, curve.shape[1] - 2)
    low, high = curve.gather(1, before), curve.gather(1, before + 1)
    fraction = (values - low) / (high - low + torch.finfo(curve.dtype).eps)
    return before + fraction.clamp(0, 1)


def leading_zero_grid(confidence: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Released: n + 1 grid locations from n confidences (b, n), exactly from the first frame to the last, and the cdf.

    Eq. 3.2 has n points at t cdf(1 - p), without the leading 0: see `thesis_grid`.
    """
    rest = 1 - confidence
    cdf = F.pad((rest / (rest.sum(1, keepdim=True) + 1e-16)).cumsum(1), (1, 0))
    return cdf * (frames - 1), cdf


# --- poolings --------------------------------------------------------------------------------------------------------


def strides_of(ratio: int) -> tuple[int, int]:
    """Two temporal strides whose product is the ratio, as equal as they can be, the larger first: 8 -> (4, 2)."""
    first = next(d for d in range(math.isqrt(ratio - 1) + 1, ratio + 1) if ratio % d == 0)
    return first, ratio // first


class ConfidenceHead(nn.Module):
    """p of Eq. 3.1: how informative each interval is, (b, c, t, h, w) -> (b, t / ratio) in (0, 1), rounded up.

    Two 3x3x3 convolutions and one 1x3x3, all with spatial stride 2; mean over space; sigmoid of half the value, the
    half being the released code's alone.
    """

    def __init__(self, channels: int, strides: tuple[int, int]):
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, (strides[0], 2, 2), 1)
        self.conv2 = nn.Conv3d(channels, channels, 3, (strides[1], 2, 2), 1)
        self.bn1, self.bn2 = nn.BatchNorm3d(channels), nn.BatchNorm3d(channels)
        self.conv3 = nn.Conv3d(channels, 1, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return (0.5 * self.conv3(x).mean((1, 3, 4))).sigmoid()


class Pooling(nn.Module):
    """What all poolings share: the ratio, and scores linearly interpolated between their true places."""

    def __init__(self, channels: int, ratio: int = 4):
        super().__init__()
        self.ratio = ratio

    def places(self, x: Tensor, start: float) -> Tensor:
        """Where pooled frames (b, c, n, h, w) lie if they are start, start + ratio, ...: (b, n)."""
        return (torch.arange(x.shape[2], device=x.device, dtype=x.dtype) * self.ratio + start).expand(len(x), -1)

    def unpool(self, scores: Tensor, pooled: Pooled, frames: int) -> Tensor:
        """(b, n, k) -> (b, t, k)."""
        every = torch.arange(frames, device=scores.device, dtype=scores.dtype).expand(len(scores), -1)
        return (
            sample(scores, inverse(pooled.locations, every)) if scores.shape[1] > 1 else scores.expand(-1, frames, -1)
        )


class GridPool(Pooling):
    """Frames at learned places (Sec. 3.2.1): dense where the confidence is high, sparse where it is low.

    `head(channels, strides)` makes the confidences, `grid` the locations from them. Give `strides` for another head
    than the ratio's own: `released_strides(8)`.
    """

    def __init__(self, channels: int, ratio: int = 4, head=ConfidenceHead, grid=leading_zero_grid, strides=None):
        strides = strides or strides_of(ratio)
        super().__init__(channels, strides[0] * strides[1])
        self.head, self.grid = head(channels, strides), grid

    def forward(self, x: Tensor) -> Pooled:
        return self.at(x, self.head(x))

    def at(self, x: Tensor, confidence: Tensor) -> Pooled:
        """The same with given confidences (b, t / ratio)."""
        locations, cdf = self.grid(confidence, x.shape[2])
        pooled = sample(x.transpose(1, 2), locations).transpose(1, 2)
        return Pooled(
            pooled, locations, cdf * x.shape[2]
        )  # released: t cdf for the Gaussians, (t - 1) cdf for the grid

    def unpool(self, scores: Tensor, pooled: Pooled, frames: int) -> Tensor:
        """Grid Unpool: scores taken where the grid's inverse is uniform, then stretched to all frames; (b, t, k).

        Two interpolations, as in text and code; `Pooling.unpool` would do it in one. Where the ratio does not divide t,
        the network stretches to the next multiple, and the script takes that to the frames of the labels.
        """
        first, last = pooled.locations[:, :1], pooled.locations[:, -1:]
        steps = torch.linspace(0, 1, scores.shape[1], device=scores.device, dtype=scores.dtype)
        even = sample(scores, inverse(pooled.locations, first + (last - first) * steps))
        whole = math.ceil(frames / self.ratio) * self.ratio
        out = F.interpolate(even.transpose(1, 2), whole, mode="linear", align_corners=True)
        return (out if whole == frames else F.interpolate(out, frames, mode="linear")).transpose(1, 2)

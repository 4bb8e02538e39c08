"""Multi-stage Fusion: what the Fine stream saw, as a scale and a shift of the Coarse stream's frames (Sec. 3.2.2).

    fine level -> self-attention mask -> Coarse-centric Gaussians -> two heads -> mixing of all levels -> x A + B

A fusion is a module: (fine levels, pooled coarse frames, valid) -> a context, whose `modulate(l, x)` changes the coarse
features after stage l and whose `scores(x)` changes the logits. Point-wise convolutions are `nn.Conv1d` over all
places in a row, as in the released layout. Parts are classes or functions that can be replaced.

Axes: b clips, c channels, t fine frames, n coarse frames, h and w places, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.x3d import Size
from minilib.papers.coarse_fine.grid import Pooled

Levels = Sequence[Tensor]  # the fine stream's res2, res3, res4, res5, conv5, each (b, c, t, h, w)


def gaussians(centres: Tensor, valid: Tensor, width: float = 1 / 8) -> Tensor:
    """Coarse-centric Gaussians G (b, n, t) around `centres` (b, n), peak 1; no learned part.

    sigma is `width` times the number of valid fine frames. The printed formula has exp(+...) and a factor
    1 / sqrt(2 pi sigma^2): the code has exp(-...), divided by its maximum over t.
    """
    frames = torch.arange(valid.shape[1], device=centres.device, dtype=centres.dtype)
    sigma = width * valid.to(centres.dtype).sum(1).clamp(min=1)[:, None, None]
    exponent = -((frames - centres[..., None]) ** 2) / (2 * sigma**2)
    return (exponent - exponent.amax(-1, keepdim=True)).exp()


def weighted_mean(x: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Released: sum_t m G x / (sum_t m G + 1e-6); x (b, c, t, h, w), mask (b, 1, t, h, w), weights (b, n, t)."""
    total = plain_product(torch.ones_like(x[:, :1]), mask, weights)
    return plain_product(x, mask, weights) / (total + 1e-6)


def plain_product(x: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The text's sum_t m G x, which grows with the number of fine frames; -> (b, c, n, h, w)."""
    rows = (x * mask).permute(0, 2, 3, 4, 1)  # a view where channels lie last in memory
    return (weights @ rows.flatten(2)).unflatten(2, rows.shape[2:]).permute(0, 4, 1, 2, 3)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Another spatial size by adaptive max pooling, which for whole ratios enlarges by repeating; (b, c, n, h, w)."""
    return x if tuple(x.shape[3:]) == tuple(size) else F.adaptive_max_pool3d(x, (x.shape[2], *size))


class Rows(nn.Conv1d):
    """A 1x1x1 convolution, weight (c_out, c_in, 1), for x (b, c_in, n, h, w)."""

    def __init__(self, into: int, outer: int):
        super().__init__(into, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(2)).unflatten(2, x.shape[2:])


# --- one level -------------------------------------------------------------------------------------------------------


class SelfAttentionMask(nn.Module):
    """g: two point-wise convolutions and a sigmoid, a number for each place; (b, c, t, h, w) -> (b, 1, t, h, w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.at1, self.at2 = Rows(channels, channels), Rows(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.at2(F.relu(self.at1(x))).sigmoid()


class NoMask(nn.Module):
    """Everything passes (Table 3.3c)."""

    def __init__(self, channels: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones_like(x[:, :1])


class LevelFusion(nn.Module):
    """Mask, Gaussians and the heads f of one fine level; -> shift and scale before the sigmoid, each (b, c', n, ...).

    The text's f is a single point-wise convolution; code and printed counts have two with a ReLU between them.
    """

    def __init__(self, into: int, outer: int, mask=SelfAttentionMask, aggregate=weighted_mean, dropout: float = 0.0):
        super().__init__()
        self.mask, self.aggregate, self.dropout = mask(into), aggregate, nn.Dropout(dropout)
        self.fc1, self.fc2 = Rows(into, into), Rows(into, outer)
        self.fc3, self.fc4 = Rows(into, into), Rows(into, outer)

    def gather(self, x: Tensor, weights: Tensor) -> Tensor:
        """The fine level at the coarse frames, (b, c, n, h, w); weights (b, n, t) are 0 for frames that are padding."""
        return self.aggregate(x, self.mask(x), weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shift = self.fc2(self.dropout(F.relu(self.fc1(x))))
        return shift, self.fc4(self.dropout(F.relu(self.fc3(x))))


class Mixing(nn.Module):
    """The shift and scale of one place from those of all levels, concatenated: 1x1x1 convolutions."""

    def __init__(self, channels: Sequence[int], level: int):
        super().__init__()
        self.conv_at = Rows(sum(channels), channels[level])  # shift
        self.conv_at2 = Rows(sum(channels), channels[level])  # scale

    def forward(self, shifts: Levels, scales: Levels, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        joined = (torch.cat([resize(x, size) for x in maps], 1) for maps in (shifts, scales))
        return self.conv_at(next(joined)), self.conv_at2(next(joined))


class OneToOne(nn.Module):
    """Without mixing: the shift and scale of the same level (Table 3.3a)."""

    def __init__(self, channels: Sequence[int], level: int):
        super().__init__()
        self.level = level

    def forward(self, shifts: Levels, scales: Levels, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        return resize(shifts[self.level], size), resize(scales[self.level], size)


# --- all levels ------------------------------------------------------------------------------------------------------


class Context:
    """Scales and shifts of one batch, made of the fine levels, waiting for the coarse features."""

    def __init__(
        self, maps: Sequence[tuple[Tensor, Tensor]], mixings: Sequence[nn.Module], late: tuple[Tensor, Tensor]
    ):
        self.shifts, self.scales = [shift for shift, _ in maps], [scale for _, scale in maps]
        self.mixings, self.late = mixings, late

    def modulate(self, level: int, x: Tensor) -> Tensor:
        """x A + B after stage `level` of the coarse stream, A through a sigmoid; (b, c, n, h, w)."""
        if level >= len(self.mixings):
            return x
        shift, scale = self.mixings[level](self.shifts, self.scales, x.shape[3:])
        return x * scale.sigmoid() + shift

    def scores(self, logits: Tensor) -> Tensor:
        """The same for the logits (b, n, k). Logit fusion is in the code and in the counts, not in Sec. 3.2."""
        shift, scale = (part.flatten(2).transpose(1, 2) for part in self.late)
        return logits * scale.sigmoid() + shift


def keep(x: Tensor, valid: Tensor) -> Tensor:
    """All dimensions of the fine features."""
    return x


def over_time(x: Tensor, valid: Tensor) -> Tensor:
    """CHW of Table 3.3b: the mean over valid frames everywhere."""
    share = (valid / valid.sum(1, keepdim=True))[:, None, :, None, None].to(x.dtype)
    return (x * share).sum(2, keepdim=True).expand_as(x)


def over_time_and_space(x: Tensor, valid: Tensor) -> Tensor:
    """C of Table 3.3b: only channels differ."""
    return over_time(x, valid).mean((3, 4), keepdim=True).expand_as(x)


class MultiStageFusion(nn.Module):
    """All of Sec. 3.2.2. `mixing=None` fuses the logits alone; `average` drops dimensions of the fine features first.

    (levels, pooled, valid) -> `Context`. valid (b, t) marks fine frames that are no padding.
    """

    def __init__(
        self,
        size: Size,
        classes: int,
        mixing: type[nn.Module] | None = Mixing,
        mask: type[nn.Module] = SelfAttentionMask,
        aggregate: Callable[[Tensor, Tensor, Tensor], Tensor] = weighted_mean,
        average: Callable[[Tensor, Tensor], Tensor] = keep,
        width: float = 1 / 8,
    ):
        super().__init__()
        widths, level = size.outer if mixing else (), partial(LevelFusion, mask=mask, aggregate=aggregate)
        self.levels = nn.ModuleList(level(c, c) for c in widths)
        self.mixings = nn.ModuleList(mixing(widths, i) for i in range(len(widths)))
        self.late = level(size.conv5, classes, dropout=0.5)
        self.average, self.width = average, width

    def forward(self, levels: Levels, pooled: Pooled, valid: Tensor) -> Context:
        if len(levels) != 5 or levels[0].shape[2] != valid.shape[1]:
            raise BadInput(
                f"fusion needs five fine levels with a mark for each frame, not {len(levels)} of "
                f"{levels[0].shape[2]} frames with {valid.shape[1]} marks"
            )
        weights = gaussians(pooled.centres, valid, self.width) * valid[:, None].to(pooled.centres.dtype)
        maps = [
            each(each.gather(self.average(x, valid), weights)) for each, x in zip(self.levels, levels, strict=False)
        ]
        late = self.late.gather(self.average(levels[-1], valid), weights).mean((3, 4), keepdim=True)
        return Context(maps, self.mixings, self.late(late))

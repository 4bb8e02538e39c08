"""VicTR's tokens (thesis, chapter 5): a video token and n text tokens for every frame, without n copies of a frame.

After every weighting (Sec. 5.3.1, 5.3.3) a text token of a frame is the clip's embedding of that name times a number.
So it is kept as those two and spread over the frames only where attention asks for it, a quarter of the frames at a
time where they are many. The MLP's first matrix then meets n names instead of t n tokens, as W (a e) = a (W e); in the
last layer, which is pooled over time, so does its second. All of it is the paper's sum in another order. What remains
grows with the square of the names only in the attention among the tokens of a frame, which is the paper's.

Axes: b clips, t frames, n names (classes, then attributes), d width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BLOCKS = 4  # what spreads over frames or names is made for a quarter of them at a time
FEW = 2**21  # numbers, 8 MB: so few are made at once and kept, where launching operators costs more than memory


def spans(length: int, numbers: int) -> list[slice]:
    """`length` places, at which `numbers` numbers stand, as at most BLOCKS neighbouring slices; one if they are few."""
    size = length if numbers <= FEW else -(-length // BLOCKS)
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def joined(parts: Iterable[Tensor], length: int, dim: int) -> Tensor:
    """`torch.cat`; without gradients each part is freed before the next is made."""
    if torch.is_grad_enabled():
        parts = list(parts)
        return torch.cat(parts, dim) if len(parts) > 1 else parts[0]
    out, at = None, 0
    for part in parts:
        if part.shape[dim] == length:
            return part
        if out is None:
            out = part.new_empty(*part.shape[:dim], length, *part.shape[dim + 1 :])
        out.narrow(dim, at, part.shape[dim]).copy_(part)
        at += part.shape[dim]
    return out


def recomputed(function: Callable[[Tensor], Tensor], x: Tensor, numbers: int) -> Tensor:
    """`function(x)`, which in training is computed again for the backward pass instead of kept, unless the `numbers`
    that it would keep are few."""
    if numbers <= FEW or not torch.is_grad_enabled():
        return function(x)
    return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)


class Mlp(nn.Module):
    """Two linear layers, (..., d) -> (..., d). No norm before them: the equation of Sec. 5.3.3 has none, and a norm
    would undo the weights, LN(a e) = LN(e)."""

    def __init__(self, width: int):
        super().__init__()
        self.up, self.down, self.activation = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


@dataclass(frozen=True)
class Weighted:
    """Text token (t, x) is weight[t, x] text[x]. video (b, t, d), text (b or 1, n, d), weight (b, t, n)."""

    video: Tensor
    text: Tensor
    weight: Tensor

    @property
    def steps(self) -> int:
        return self.video.shape[1]

    @property
    def numbers(self) -> int:
        """How many all tokens would hold."""
        return self.video.numel() * (1 + self.weight.shape[-1])

    def at(self, frames: slice) -> Tensor:
        """All tokens of some frames, the video's first: (b, t', 1 + n, d)."""
        text = self.weight[:, frames, :, None] * self.text[:, None]
        return torch.cat([self.video[:, frames, None], text], 2)

    def through(self, mlp: Mlp) -> Fed:
        return Fed(self.video + mlp(self.video), self, mlp, F.linear(self.text, mlp.up.weight))


@dataclass(frozen=True)
class Fed:
    """Weighted tokens after z + MLP(z), made when they are asked for. hidden (b or 1, n, 4 d): the first matrix times
    the text, which no frame changes."""

    video: Tensor
    before: Weighted
    mlp: Mlp
    hidden: Tensor

    @property
    def steps(self) -> int:
        return self.before.steps

    @property
    def numbers(self) -> int:
        return self.before.numbers

    def _active(self, weight: Tensor) -> Tensor:
        """MLP(z) up to its second matrix, for the frames of `weight` (b, t', n): (b, t', n, 4 d)."""
        return self.mlp.activation(torch.addcmul(self.mlp.up.bias, weight[..., None], self.hidden[:, None]))

    def at(self, frames: slice) -> Tensor:
        weight = self.before.weight[:, frames]
        hidden = weight.numel() * self.hidden.shape[-1]
        text = recomputed(lambda w: self.mlp.down(self._active(w)), weight, hidden)  # ends before the last product
        text = torch.addcmul(text, weight[..., None], self.before.text[:, None])
        return torch.cat([self.video[:, frames, None], text], 2)

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Means over time: video (b, d), text (b, n, d)."""
        weight = self.before.weight
        hidden = weight.numel() * self.hidden.shape[-1]
        parts = (weight[:, span] for span in spans(self.steps, hidden))
        total = reduce(torch.add, (recomputed(lambda w: self._active(w).sum(1), part, hidden) for part in parts))
        text = torch.addcmul(self.mlp.down(total / self.steps), weight.mean(1)[..., None], self.before.text)
        return self.video.mean(1), text


@dataclass(frozen=True)
class Dense:
    """Any tokens, (b, t, 1 + n, d)."""

    tokens: Tensor

    @property
    def steps(self) -> int:
        return self.tokens.shape[1]

    @property
    def numbers(self) -> int:
        return self.tokens.numel()

    def at(self, frames: slice) -> Tensor:
        return self.tokens[:, frames]

    def through(self, mlp: Mlp) -> Dense:
        return Dense(self.tokens + mlp(self.tokens))

    def pooled(self) -> tuple[Tensor, Tensor]:
        mean = self.tokens.mean(1)
        return mean[:, 0], mean[:, 1:]


Tokens = Weighted | Fed | Dense

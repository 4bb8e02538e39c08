"""Attention heads that read another frame: ZeroI2V's spatio-temporal dual-headed attention (STDHA, Sec. 3.2).

Attention itself stays as it is. Of the projected queries, keys and values, rectangles of heads and channels are
replaced by the same rectangle of a frame some steps away; a `Mixing` says which.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head, d = h c width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from minilib.errors import BadInput

Border = Literal["own", "clamp", "circular"]


def from_frame(x: Tensor, offset: int, border: Border = "own") -> Tensor:
    """y[:, t] = x[:, t + offset] for x (b, t, ...); Eq. 8 leaves open what lies outside of the clip.

    own: a frame without a source keeps its own content (released code). clamp: the first or last frame. circular:
    the clip is a ring. For an offset of one, own and clamp agree.
    """
    steps, far = x.shape[1], min(abs(offset), x.shape[1])
    if offset == 0:
        return x
    ahead = offset > 0
    edge = {
        "own": lambda: x[:, steps - far :] if ahead else x[:, :far],
        "clamp": lambda: (x[:, -1:] if ahead else x[:, :1]).expand_as(x[:, :far]),
        "circular": lambda: x[:, :far] if ahead else x[:, steps - far :],
    }[border]()
    return torch.cat([x[:, far:], edge] if ahead else [edge, x[:, : steps - far]], dim=1)


class Move(NamedTuple):
    """One rectangle of the projected tokens that is read from `offset` frames away."""

    offset: int
    heads: slice = slice(None)
    channels: slice = slice(None)
    tokens: slice = slice(None)


class Mixing:
    """How frames are mixed inside attention: a list of moves, applied to K and V, or to Q as well."""

    parts: Literal["kv", "qkv"] = "kv"
    border: Border = "own"

    def moves(self, heads: int, channels: int) -> list[Move]:
        return []

    def check(self, heads: int, channels: int, frames: int) -> None:
        """Raises BadInput where the moves do not fit the heads or reach beyond the clip."""
        for move in self.moves(heads, channels):
            if abs(move.offset) >= frames:
                raise BadInput(f"time offset {move.offset:+d} reaches beyond a clip of {frames} frames")

    def __call__(self, qkv: Tensor) -> Tensor:
        """qkv (b, t, w, n, 3, h, c), changed in place: only what moves is copied."""
        moved = qkv[..., 1 if self.parts == "kv" else 0 :, :, :]
        at = [
            (Ellipsis, move.tokens, slice(None), move.heads, move.channels) for move in self.moves(*qkv.shape[-2:])
        ]  # (b, t, w, n, part, h, c)
        read = [
            from_frame(moved[i], m.offset, self.border) for i, m in zip(at, self.moves(*qkv.shape[-2:]), strict=True)
        ]
        for i, block in zip(at, read, strict=True):
            moved[i] = block
        return qkv

    def inputs(self, x: Tensor) -> Tensor:
        """x (b, t, ..., n, d) as it enters MHSA and MLP; unchanged but for the paper's [cls] token shift."""
        return x


@dataclass(frozen=True)
class HeadRelocation(Mixing):
    """STDHA (Eq. 7-9): whole heads read another frame.

    offsets: (time offset, number of heads) in the order of the heads; the rest are spatial. Half a head is allowed
    (Table 1b, k = 1). The released code orders heads -1, +1, -2, +2, ...; the text gives a multiset without order.
    """

    offsets: tuple[tuple[int, float], ...] = ((-1, 1), (1, 1))
    parts: Literal["kv", "qkv"] = "kv"
    border: Border = "own"

    def moves(self, heads: int, channels: int) -> list[Move]:
        moves, at = [], 0
        for offset, count in self.offsets:
            end = at + round(count * channels)
            if end > heads * channels:
                raise BadInput(f"{sum(n for _, n in self.offsets):g} temporal heads: the block has {heads}")
            while at < end:  # a run of whole heads, or what lies within one
                head, first = divmod(at, channels)
                if first == 0 and end - at >= channels:
                    moves.append(Move(offset, slice(head, end // channels)))
                    at = end // channels * channels
                else:
                    stop = min(end, (head + 1) * channels)
                    moves.append(Move(offset, slice(head, head + 1), slice(first, stop - head * channels)))
                    at = stop
        return moves

"""Other zero-cost operators than STDHA (Table 1a), and heads that are cut in two (Table 1b).

A `STDHA` with another `__call__` is another operator; the class token's shift before MHSA and MLP stands behind a norm.

Axes: b clips, t frames, w windows, n tokens, h heads, c channels of a head, d = h c.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.papers.zeroi2v.stdha import STDHA, from_frame


@dataclass(frozen=True)
class Relocation(STDHA):
    """`heads` heads to each offset, which may cut one in two (k = 1 of Table 1b); with `queries`, Q moves as well."""

    heads: float = 1
    queries: bool = False

    def __call__(self, qkv: Tensor) -> Tensor:
        channels = qkv.view(*qkv.shape[:-2], -1)[..., 0 if self.queries else 1 :, :]  # what is written there stays
        width = round(self.heads * int(qkv.shape[-1]))
        for i, offset in enumerate(self.offsets):
            part = channels[..., i * width : (i + 1) * width]
            part.copy_(from_frame(part, offset))
        return qkv


@dataclass(frozen=True)
class ChannelShift(STDHA):
    """Temporal channel shift: of *every* head the first c // divisor channels read the frame before, the next as many
    the frame after. The share of channels that move is 2 / divisor, up to the division's remainder."""

    divisor: int = 12
    queries: bool = False

    def __call__(self, qkv: Tensor) -> Tensor:
        width = max(qkv.shape[-1] // self.divisor, 1)
        for i, offset in enumerate(self.offsets):
            part = qkv[..., 0 if self.queries else 1 :, :, i * width : (i + 1) * width]
            part.copy_(from_frame(part, offset))
        return qkv


@dataclass(frozen=True)
class ClsTokenHeads(STDHA):
    """[cls] token shift as in the released code: inside attention, whole heads, of the class token alone."""

    def __call__(self, qkv: Tensor) -> Tensor:
        super().__call__(qkv[..., :1, :, :, :])
        return qkv


class ShiftedClsToken(nn.Module):
    """[cls] token shift as in the text: behind a block's norm, so before MHSA or MLP. Of the class token the first
    d // divisor channels come from the frame before, the next as many from the frame after; x (b t, n, d) -> same."""

    def __init__(self, norm: nn.Module, frames: int, divisor: int):
        super().__init__()
        self.norm, self.frames, self.divisor = norm, frames, divisor

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x).unflatten(0, (-1, self.frames))
        cls, fold = x[:, :, :1], max(x.shape[-1] // self.divisor, 1)
        back = from_frame(cls[..., :fold], -1)
        ahead = from_frame(cls[..., fold : 2 * fold], 1)
        cls = torch.cat([back, ahead, cls[..., 2 * fold :]], -1)
        return torch.cat([cls, x[:, :, 1:]], 2).flatten(0, 1)

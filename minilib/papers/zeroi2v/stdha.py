"""ZeroI2V's spatio-temporal dual-headed attention (STDHA, Sec. 3.2): attention heads that read another frame.

Attention stays as it is. Of the projected keys and values, those of some heads come from a frame some steps away: no
parameter more, no multiplication more.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minilib.errors import BadInput


def from_frame(x: Tensor, offset: int) -> Tensor:
    """y[:, t] = x[:, t + offset] for x (b, t, ...). A frame whose source lies outside of the clip keeps its own, as in
    the released code; Eq. 8 leaves that open."""
    far, frames = min(abs(offset), x.shape[1]), x.shape[1]
    parts = (x[:, far:], x[:, frames - far :]) if offset > 0 else (x[:, :far], x[:, : frames - far])
    return torch.cat(parts, 1)


@dataclass(frozen=True)
class STDHA:
    """Eq. 7-9: head i reads the keys and values of the frame `offsets[i]` away, every further head those of its own.

    One head a frame back and one ahead is the default of Table 11; without offsets it is the image model. The released
    code orders the heads -1, +1, -2, +2, ...; the text gives a multiset without order.
    """

    offsets: tuple[int, ...] = (-1, 1)

    def __call__(self, qkv: Tensor) -> Tensor:
        """qkv (b, t, w, n, 3, h, c), changed in place: only what moves is copied."""
        for head, offset in enumerate(self.offsets):
            qkv[..., 1:, head, :] = from_frame(qkv[..., 1:, head, :], offset)
        return qkv

    def check(self, heads: int, frames: int) -> None:
        """Raises BadInput where there are more offsets than heads, or one reaches beyond the clip."""
        if len(self.offsets) > heads:
            raise BadInput(f"{len(self.offsets)} temporal heads: the block has {heads}")
        for offset in self.offsets:
            if abs(offset) >= frames:
                raise BadInput(f"time offset {offset:+d} reaches beyond a clip of {frames} frames")

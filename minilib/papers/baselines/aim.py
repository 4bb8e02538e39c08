"""AIM: the image model's own attention, used once more over time (Yang, Zhu, Xie, Zhang, Chen, Li; ICLR 2023).

    x -> LN1 -> [adapter] -> frozen attention over frames    -> temporal adapter (no skip)  -> + x     Sec. 3.3
      -> LN1              -> frozen attention within a frame -> spatial adapter             -> + x     Sec. 3.2
      -> LN2              -> frozen MLP  +  s joint adapter (no skip, in parallel)          -> + x     Sec. 3.4

Adapters are Linear, GELU, Linear with ratio 0.25; the second Linear starts at zero, so that the first step is the image
model. The adapter in brackets is the released code's second temporal one (Something-Something v2).

Left out: stochastic depth, and the training of `ln_post`, which the released code lets learn. As there, a temporal
embedding starts at zero and is added before `ln_pre`.

Axes: b clips, t frames, n tokens (class token first), d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.baselines.frozen import FrozenImageModel, embed, self_attention


class Adapter(nn.Module):
    """up(GELU(down(x))), plus x with `skip`; any leading axes."""

    def __init__(self, width: int, bottleneck: int, skip: bool):
        super().__init__()
        self.skip = skip
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        change = self.up(nn.functional.gelu(self.down(x)))
        return x + change if self.skip else change


def over_time(attention: nn.MultiheadAttention, x: Tensor, frames: int) -> Tensor:
    """Tokens at one position attend over frames, with the weights of the spatial attention; (b t, n, d) -> the same."""
    rows, n, d = x.shape
    x = x.view(-1, frames, n, d).transpose(1, 2).reshape(-1, frames, d)  # (b n, t, d)
    return self_attention(attention, x).view(-1, n, frames, d).transpose(1, 2).reshape(rows, n, d)


class AIM(FrozenImageModel):
    """temporal_adapters: 1 (three adapters a block) or 2 (four). scale: s of the joint adapter.

    ViT-B/16, 8 frames x 3 views, four adapters: 623.7 G multiply-adds, 14.2 M tunable parameters.
    """

    def __init__(
        self,
        visual: nn.Module,
        frames: int,
        classes: int,
        temporal_adapters: int = 1,
        ratio: float = 0.25,
        scale: float = 0.5,
        dropout: float = 0.5,
    ):
        super().__init__(visual, frames, classes, dropout)
        if temporal_adapters not in (1, 2):
            raise BadInput(f"temporal_adapters {temporal_adapters}: 1 or 2")
        self.scale = scale
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, self.width))
        skips = {"temporal": False, "spatial": True, "joint": False}
        if temporal_adapters == 2:
            skips["temporal_in"] = True
        bottleneck = max(round(ratio * self.width), 1)
        self.adapters = nn.ModuleList(
            nn.ModuleDict({place: Adapter(self.width, bottleneck, skip) for place, skip in skips.items()})
            for _ in self.blocks
        )

    def clip_features(self, pixels: Tensor) -> Tensor:
        x = embed(self.backbone, pixels, self.temporal_embedding)
        for block, adapters in zip(self.blocks, self.adapters, strict=True):
            normed = block.ln_1(x)
            if "temporal_in" in adapters:
                normed = adapters["temporal_in"](normed)
            x = x + adapters["temporal"](over_time(block.attn, normed, self.frames))
            x = x + block.ls_1(adapters["spatial"](self_attention(block.attn, block.ln_1(x))))
            normed = block.ln_2(x)
            x = x + block.ls_2(block.mlp(normed)) + self.scale * adapters["joint"](normed)
        return self.mean_class_token(x)

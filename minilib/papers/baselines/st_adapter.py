"""ST-Adapter: a small convolution over time inside a bottleneck (Pan, Lin, Zhu, Shao, Li; NeurIPS 2022).

    patches -> down -> depth-wise convolution over time -> up -> + patches          class token unchanged

before the attention of every block (Kinetics-400), or before attention and MLP (Something-Something v2).

As in the released code there is no activation (the text, Eq. 3, names one after the convolution) and the convolution
starts at zero, so that the first step is the image model. The released code keeps the frozen weights in half precision;
here that is left to autocast. Before the MLP of the last block an adapter changes patches that nothing reads any more:
its gradient is zero. It stays, because the published counts contain it.

Axes: b clips, t frames, n tokens (class token first), d width, r bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.baselines.frozen import FrozenImageModel, TemporalConv, embed, self_attention

PLACES = ("attention", "mlp")


class SpatioTemporalAdapter(nn.Module):
    """x (b t, n, d) -> the same: x + up(conv(down(x))) on the patches (Eq. 3). 2 d r + 3 r multiply-adds a patch."""

    def __init__(self, width: int, bottleneck: int, frames: int, kernel: int = 3):
        super().__init__()
        self.frames = frames
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.conv = TemporalConv(bottleneck, kernel)
        for zero in (self.down.bias, self.conv.weight, self.conv.bias, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.down(x[:, 1:]).unflatten(0, (-1, self.frames))
        return x + F.pad(self.up(self.conv(patches)).flatten(0, 1), (0, 0, 1, 0))


class STAdapter(FrozenImageModel):
    """places: before which halves of a block an adapter stands. bottleneck: 384 in the paper, for widths 768 and 1024.

    ViT-B/16, 8 frames x 3 views: 455.3 G multiply-adds, 7.1 M tunable parameters with one adapter a block.
    """

    def __init__(
        self,
        visual: nn.Module,
        frames: int,
        classes: int,
        places: Sequence[str] = ("attention",),
        bottleneck: int = 384,
        kernel: int = 3,
        dropout: float = 0.5,
    ):
        super().__init__(visual, frames, classes, dropout)
        if not places or set(places) - set(PLACES):
            raise BadInput(f"adapter places {tuple(places)}: choose of {PLACES}")
        if kernel % 2 == 0:
            raise BadInput(f"kernel {kernel}: an odd number of frames keeps the clip's length")
        sizes = (self.width, bottleneck, frames, kernel)
        self.adapters = nn.ModuleList(
            nn.ModuleDict({place: SpatioTemporalAdapter(*sizes) for place in places}) for _ in self.blocks
        )

    def clip_features(self, pixels: Tensor) -> Tensor:
        x = embed(self.backbone, pixels)
        for block, adapters in zip(self.blocks, self.adapters, strict=True):
            if "attention" in adapters:
                x = adapters["attention"](x)
            x = x + block.ls_1(self_attention(block.attn, block.ln_1(x)))
            if "mlp" in adapters:
                x = adapters["mlp"](x)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return self.mean_class_token(x)

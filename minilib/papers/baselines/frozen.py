"""What ST-Adapter, AIM and EVL share: the pieces of a frozen open_clip ViT, run one by one, and the classifier.

The blocks are called, never changed: new parts live beside the image model, so it can serve other methods too.

Axes: b clips, t frames, n tokens (class token first), d = h c width, h heads, c channels of a head, k classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.classifier import VideoClassifier


def embed(visual: nn.Module, pixels: Tensor, temporal: Tensor | None = None) -> Tensor:
    """Tokens before the first block, (b t, n, d), of pixels (b, t, 3, h, w).

    `temporal` (1, t, d) is added to all tokens of a frame before `ln_pre`.
    """
    x = visual.conv1(pixels.flatten(0, 1)).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], 1) + visual.positional_embedding
    if temporal is not None:
        x = (x.unflatten(0, pixels.shape[:2]) + temporal[:, :, None]).flatten(0, 1)
    return visual.ln_pre(x)


def project(attention: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K, V by the attention's own weights; x (rows, n, d) -> three of (rows, h, n, c)."""
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    return qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()


def attend(attention: nn.MultiheadAttention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fused attention and the output projection; three of (rows, h, n, c) -> (rows, n, d)."""
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def self_attention(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """x (rows, n, d) -> the same; rows are frames for spatial attention, patches for temporal attention."""
    return attend(attention, *project(attention, x))


class TemporalConv(nn.Conv2d):
    """Depth-wise convolution over time, x (b, t, n, d) -> the same; zero padding outside of the clip.

    It is the papers' Conv3d with a (k, 1, 1) kernel. Seen as (b, d, t, n) the tokens are an image in channels-last
    order as they lie, so nothing is copied.
    """

    def __init__(self, width: int, kernel: int = 3):
        super().__init__(width, width, (kernel, 1), padding=(kernel // 2, 0), groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class FrozenImageModel(VideoClassifier):
    """Frozen ViT, new parts, dropout, linear classifier. frames: normalised pixels, float (b, t, 3, h, w), or uint8
    (b, t, h, w, 3) -> scores (b, k). Only the new parts and the classifier are trained.

    The image model itself is frozen by this, also for others who hold it, and stays in evaluation mode. Raises
    BadInput for a ViT that is not open_clip's, and for clips of another length or size.
    """

    def __init__(self, visual: nn.Module, frames: int, classes: int, dropout: float = 0.5):
        blocks = getattr(getattr(visual, "transformer", None), "resblocks", [])
        if not blocks or not all(isinstance(block.attn, nn.MultiheadAttention) for block in blocks):
            raise BadInput(f"{type(visual).__name__}: needs the plain visual part of an open_clip ViT")
        if frames < 1:
            raise BadInput(f"frames {frames}: a clip has at least one")
        super().__init__(visual, classes, dropout)
        self.frames = frames
        visual.requires_grad_(False).eval()

    @property
    def blocks(self) -> nn.Sequential:
        return self.backbone.transformer.resblocks

    @property
    def width(self) -> int:
        return self.head.in_features

    def train(self, mode: bool = True) -> FrozenImageModel:
        super().train(mode)
        self.backbone.eval()
        return self

    def clip_features(self, pixels: Tensor) -> Tensor:
        """pixels (b, t, 3, h, w) -> (b, d); what a method defines."""
        raise NotImplementedError

    def mean_class_token(self, x: Tensor) -> Tensor:
        """Tokens after the last block, (b t, n, d) -> mean over frames of the normalised class tokens, (b, d)."""
        return self.backbone.ln_post(x[:, 0]).unflatten(0, (-1, self.frames)).mean(1)

    def forward(self, frames: Tensor) -> Tensor:
        pixels = frames if frames.is_floating_point() else self.normalise(frames)
        due = (self.frames, 3, *self.backbone.image_size)
        if pixels.ndim != 5 or tuple(pixels.shape[1:]) != due:
            raise BadInput(f"clips of shape {tuple(pixels.shape)}: this model takes (b, {', '.join(map(str, due))})")
        return self.head(self.dropout(self.clip_features(pixels)))

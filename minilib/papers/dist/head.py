"""DiST's last part: adaptive pooling to one vector a video, and its likeness to texts (Sec. 3.4, Eq. 7).

The paper names the pooling and the projection; how they look is the released code's. That attention and MLP are
residual, with the norm before, is how its tensors are read here.

Axes: b clips, t frames, m tokens of a frame (class token first), d width of the image model, i integration channels,
e joint embedding, k texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), CLIP's activation, in a form of which one tensor is kept for the backward pass."""
    return F.silu(1.702 * x) / 1.702


class Mlp(nn.Module):
    """FC(act(FC(x))), x (..., i) -> the same."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(quick_gelu(self.c_fc(x)))


class CrossAttention(nn.Module):
    """query (b, q, i) reads tokens (b, k, i); one LayerNorm serves both. Heads of 64 channels, at least one."""

    def __init__(self, channels: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(channels)
        self.attn = nn.MultiheadAttention(channels, max(channels // 64, 1), batch_first=True)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        tokens = self.ln_1(tokens)
        return query + self.attn(self.ln_1(query), tokens, tokens, need_weights=False)[0]


class AdaptivePooling(nn.Module):
    """One layer: frames (b, t, i) read their tokens x (b, t, m, i), then the video (b, 1, i) reads the frames.

    Returns both, for the next layer. The frames' places in time are learned and added for the second reading alone.
    """

    def __init__(self, channels: int, frames: int):
        super().__init__()
        self.positional_embedding = nn.Parameter(0.02 * torch.randn(1, frames, channels))
        self.spatial_transformer, self.temporal_transformer = CrossAttention(channels), CrossAttention(channels)
        self.ln_out_spat_cls_token, self.ln_out_temp_cls_token = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.output_map_spatial_cls_token = Mlp(channels, 4 * channels)
        self.output_map_cls_token = Mlp(channels, 4 * channels)

    def forward(self, video: Tensor, frames: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.spatial_transformer(frames.reshape(-1, 1, frames.shape[-1]), x.flatten(0, 1))
        seen = seen + self.output_map_spatial_cls_token(self.ln_out_spat_cls_token(seen))
        frames = seen.view_as(frames)
        video = self.temporal_transformer(video, frames + self.positional_embedding)
        return video + self.output_map_cls_token(self.ln_out_temp_cls_token(video)), frames


class Head(nn.Module):
    """x (b, t, m, i) and the image model's last class tokens (b, t, d) -> y_cls (b, e), not normalised.

    The class tokens' mean over frames, taken to i channels and added before the last norm, is the released code's: with
    it the image model's own answer is always at hand.
    """

    def __init__(self, width: int, channels: int, embed: int, frames: int, layers: int):
        super().__init__()
        self.adapooling_nets = nn.ModuleList(AdaptivePooling(channels, frames) for _ in range(layers))
        self.proj_spatial_cls_token = nn.Linear(width, channels)
        self.ln_post = nn.LayerNorm(channels)
        self.aggregated_cls_token, self.aggregated_spatial_cls_token = (
            nn.Parameter(0.02 * torch.randn(1, 1, channels)) for _ in range(2)
        )
        self.proj = nn.Parameter(channels**-0.5 * torch.randn(channels, embed))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, cls: Tensor) -> Tensor:
        b, t, _, i = x.shape
        video = self.aggregated_cls_token.expand(b, 1, i)
        frames = self.aggregated_spatial_cls_token.expand(b, t, i)
        for layer in self.adapooling_nets:
            video, frames = layer(video, frames, x)
        skip = self.proj_spatial_cls_token(cls.mean(1))
        return self.ln_post(video[:, 0] + skip) @ self.proj


# --- videos against texts --------------------------------------------------------------------------------------------


def check_texts(texts: Sequence[str]) -> None:
    """Raises BadInput for a list of classes that is empty or has an empty or a repeated name."""
    if not texts:
        raise BadInput("texts: an empty list names no class")
    empty = [place for place, text in enumerate(texts) if not text.strip()]
    if empty:
        raise BadInput(f"texts: number {empty[0]} is empty; every class needs a name")
    twice = [text for text, count in Counter(" ".join(text.lower().split()) for text in texts).items() if count > 1]
    if twice:
        raise BadInput(f"texts: {twice[0]!r} stands there twice; classes of one name cannot be told apart")


def similarity(video: Tensor, texts: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Eq. 7's sim / tau: scaled cosines (b, k) of videos (b, e) and texts (k, e); their cross-entropy is the loss."""
    return logit_scale * F.normalize(video, dim=-1) @ F.normalize(texts, dim=-1).T


def fused(video: Tensor, frames: Tensor, texts: Tensor, logit_scale: Tensor | float, share: float = 0.5) -> Tensor:
    """Zero-shot scores (b, k) as the released code makes them and the paper does not say: DiST's, and with `share` the
    plain image model's, from frame embeddings (b, t, e), averaged over frames."""
    plain = similarity(frames.flatten(0, 1), texts, logit_scale).unflatten(0, frames.shape[:2]).mean(1)
    return (1 - share) * similarity(video, texts, logit_scale) + share * plain

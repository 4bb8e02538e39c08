"""From frames to class scores: an image model on every frame, the mean over time, a linear layer.

Axes: b clips, t frames, h and w pixels, d width, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import MEAN, STD


def frame_embedding(backbone: nn.Module, pixels: Tensor) -> Tensor:
    """One vector a frame, (n, 3, h, w) -> (n, d): an open_clip ViT's class token after `ln_post` and before the
    projection into the joint space (ZeroI2V's released code removes that matrix); timm's own pooled features else."""
    if hasattr(backbone, "ln_post"):
        return backbone.ln_post(backbone.transformer(backbone._embeds(pixels))[:, 0])
    return backbone(pixels)


def embedding_width(backbone: nn.Module) -> int:
    """d of `frame_embedding`."""
    return backbone.ln_post.normalized_shape[0] if hasattr(backbone, "ln_post") else backbone.num_features


class VideoClassifier(nn.Module):
    """Mean over frames of the frame embeddings, dropout, linear. frames: uint8 (b, t, h, w, 3), or pixels that are
    normalised already, float (b, t, 3, h, w) -> scores (b, k)."""

    def __init__(self, backbone: nn.Module, classes: int, dropout: float = 0.5):
        super().__init__()
        self.backbone, self.dropout = backbone, nn.Dropout(dropout)
        self.head = nn.Linear(embedding_width(backbone), classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def normalise(self, frames: Tensor) -> Tensor:
        return (frames.movedim(-1, -3) / 255.0 - self.mean) / self.std

    def forward(self, frames: Tensor) -> Tensor:
        pixels = frames if frames.is_floating_point() else self.normalise(frames)
        if pixels.ndim != 5:
            raise BadInput(f"frames of shape {tuple(frames.shape)}: clips need five axes, (b, t, h, w, 3)")
        patch = getattr(self.backbone, "patch_size", None)
        if patch is not None and (pixels.shape[-2] % patch[0] or pixels.shape[-1] % patch[1]):
            raise BadInput(f"frames of {pixels.shape[-2]}x{pixels.shape[-1]} do not divide into patches of {patch[0]}")
        features = frame_embedding(self.backbone, pixels.flatten(0, 1))
        return self.head(self.dropout(features.unflatten(0, pixels.shape[:2]).mean(1)))


def train_only(model: nn.Module, parameters: Sequence[nn.Parameter]) -> nn.Module:
    """Freezes everything but `parameters`."""
    model.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    return model

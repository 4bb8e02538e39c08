"""Where the class token looks (Fig. 3): Grad-CAM on the attention of a block, for spatial and temporal heads apart.

Axes: b clips, t frames, h heads, n patches, rows and columns of patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minilib.models.classifier import VideoClassifier
from minilib.papers.zeroi2v.heads import from_frame
from minilib.papers.zeroi2v.method import blocks


@dataclass(frozen=True)
class AttentionMaps:
    """Maps (b, t, rows, columns) of the class token's attention: its heads' weights times how much each raises the
    score of the class, positive part, summed over the heads. A temporal head's map lies on the frame that it *reads*.
    """

    spatial: Tensor
    temporal: Tensor
    both: Tensor


def attention_maps(model: VideoClassifier, frames: Tensor, label: Tensor, block: int = -1) -> AttentionMaps:
    """Grad-CAM of the scores of `label` (b,) on the class token's attention in one block.

    frames: uint8 (b, t, h, w, 3). The attention of that block is computed openly, the same product as the fused one.
    """
    attention = blocks(model.backbone)[block].attn
    kept: dict[str, Tensor] = {}

    def openly(x: Tensor, *args, **kwargs):
        rows, n, d = x.shape
        grid = (-1, attention.frames, attention.windows, n)
        qkv = attention.mixing(attention.project(x).view(*grid, 3, attention.heads, d // attention.heads).clone())
        q, k, v = qkv.view(rows, n, 3, attention.heads, -1).permute(2, 0, 3, 1, 4)
        weight = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        weight.retain_grad()
        kept["weight"] = weight
        out = attention.out((weight @ v).transpose(1, 2).reshape(rows, n, d))
        return (attention.adapters["o"](out) if "o" in attention.adapters else out), None

    model.eval()
    attention.forward = openly
    try:
        with torch.enable_grad():
            pixels = model.normalise(frames).requires_grad_(True)
            model(pixels).gather(1, label[:, None]).sum().backward()
    finally:
        del attention.forward
        model.zero_grad(set_to_none=True)
    weight = kept["weight"]
    cam = (weight * weight.grad).clamp(min=0).detach()[:, :, 0, 1:]  # (b t, h, n)
    side = round(cam.shape[-1] ** 0.5)
    cam = cam.unflatten(0, frames.shape[:2]).unflatten(-1, (side, side))  # (b, t, h, rows, columns)
    temporal = torch.zeros_like(cam[:, :, 0])
    spatial = cam.sum(2)
    here = torch.arange(frames.shape[1])
    for move in attention.mixing.moves(attention.heads, attention.out.in_features // attention.heads):
        heads = cam[:, :, move.heads].sum(2)
        spatial = spatial - heads
        source = from_frame(here[None], move.offset, attention.mixing.border)[0]
        temporal.index_add_(1, source, heads)  # each map on the frame that it was read from
    return AttentionMaps(spatial, temporal, spatial + temporal)

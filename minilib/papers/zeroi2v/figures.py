"""Where the class token looks (Fig. 3): Grad-CAM on the attention of a block, for spatial and temporal heads apart.

Axes: b clips, t frames, h heads, n patches, rows and columns of patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minilib.models.classifier import VideoClassifier
from minilib.papers.zeroi2v.method import blocks
from minilib.papers.zeroi2v.stdha import from_frame


@dataclass(frozen=True)
class AttentionMaps:
    """Maps (b, t, rows, columns) of the class token's attention: its heads' weights times how much each raises the
    score of the class, positive part, summed over the heads. A temporal head's map lies on the frame that it *reads*.
    """

    spatial: Tensor
    temporal: Tensor
    both: Tensor


def attention_maps(model: VideoClassifier, frames: Tensor, label: Tensor) -> AttentionMaps:
    """Grad-CAM of the scores of `label` (b,) on the class token's attention in the last block.

    frames: uint8 (b, t, h, w, 3). The attention of that block is computed openly, the same product as the fused one.
    """
    attention = blocks(model.backbone)[-1].attn
    kept: dict[str, Tensor] = {}

    def openly(x: Tensor, *args, **kwargs):
        q, k, v = attention.mixed(x)
        weight = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        weight.retain_grad()
        kept["weight"] = weight
        return attention.project_back(weight @ v), None

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
    heads = len(attention.mixing.offsets)
    spatial, temporal = cam[:, :, heads:].sum(2), torch.zeros_like(cam[:, :, 0])
    here = torch.arange(frames.shape[1])[None]
    for head, offset in enumerate(attention.mixing.offsets):
        temporal.index_add_(1, from_frame(here, offset)[0], cam[:, :, head])  # each map on the frame that it read
    return AttentionMaps(spatial, temporal, spatial + temporal)

"""How good an edit is: its error to the true edit, and the two scores of the chapter, which need no truth.

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.clip import ImageText


def error(found: Tensor, truth: Tensor, where: Tensor) -> float:
    """Root mean square difference of two videos uint8 (t, H, W, 3) over the pixels of a mask bool (t, H, W), in parts
    of the full range."""
    if not where.any():
        raise BadInput("no pixel to compare: the mask is empty")
    return ((found.float() - truth.float())[where] / 255).square().mean().sqrt().item()


def error_left(found: Tensor, truth: Tensor, source: Tensor, foreground: Tensor) -> dict[str, float]:
    """The error inside the object, as a part of the error of leaving the video as it is (1 for no edit, 0 for the true
    one), and the error outside. All videos uint8 (t, H, W, 3), foreground bool (t, H, W)."""
    return {
        "inside": error(found, truth, foreground) / max(error(source, truth, foreground), 1e-6),
        "outside": error(found, truth, ~foreground),
    }


@torch.no_grad()
def temporal_consistency(clip: ImageText, video: Tensor) -> float:
    """Tem-con: the mean cosine of neighbouring frames' embeddings (thesis Sec. 6.6.1). It "can be simply exploited by a
    fake video repeating a frame over time", which scores 1."""
    frames = clip.image_features(video[None])[0]
    return (frames[1:] * frames[:-1]).sum(-1).mean().item()


@torch.no_grad()
def clip_score(clip: ImageText, video: Tensor, prompt: str) -> float:
    """The mean cosine of the frames' embeddings and the prompt's."""
    return (clip.image_features(video[None])[0] @ clip.text_features([prompt])[0]).mean().item()

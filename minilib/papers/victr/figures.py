"""What VicTR does to text: affinities of names and frames before and after the head, and names that move with the clip.

Axes: b clips, t frames, n names, c channels of the classifier's map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.papers.victr.classifier import Embeddings, affinity
from minilib.papers.victr.recogniser import Reader
from minilib.papers.victr.tokens import Tokens


@dataclass(frozen=True)
class Inside:
    """Cosines of frames and class names, (b, t, n): before the head, and after it in the classifier's space; there
    also the names themselves, unit vectors (b, n, c)."""

    before: Tensor
    after: Tensor
    text: Tensor


@torch.no_grad()
def inside(model: Reader, frames: Tensor) -> Inside:
    """Of a trained model, frames (b, t, d). Hooks read it as it runs, so what is shown is what was computed."""
    kept: list[Tokens | Embeddings] = []
    head, classes = model.eval().head, len(model.names)
    hooks = [
        head.layers[-1].register_forward_hook(lambda layer, given, out: kept.append(out)),
        head.classifier.register_forward_pre_hook(lambda part, given: kept.append(given[0])),
    ]
    try:
        model(frames)
    finally:
        for hook in hooks:
            hook.remove()
    tokens, ends = kept
    video, text = head.classifier.map(tokens.at(slice(None))[:, :, 0]), head.classifier.map(ends.text)
    return Inside(
        affinity(ends.frames, model.names[None]), affinity(video, text), F.normalize(text, dim=-1)[:, :classes]
    )


def plane(points: Tensor) -> Tensor:
    """Points (..., c) in the plane in which they differ most, (..., 2)."""
    flat = points.flatten(0, -2)
    flat = flat - flat.mean(0)
    _, _, directions = torch.linalg.svd(flat, full_matrices=False)
    return (flat @ directions[:2].mT).unflatten(0, points.shape[:-1])

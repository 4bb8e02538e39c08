"""VicTR's end (thesis, Sec. 5.3.4): logits from affinities of video and text, and the losses on them.

Axes: b clips, t frames, n names, d width, k groups of attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def affinity(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of x (..., p, d) and y (..., q, d): (..., p, q)."""
    return F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).mT


@dataclass(frozen=True)
class Embeddings:
    """What a classifier may read. frames (b, t, d) and names (b or 1, n, d) of the image-text model; video (b, d) and
    text (b, n, d) after the head; groups (b, k, d): the mean of each group of attributes, None without attributes."""

    frames: Tensor
    names: Tensor
    video: Tensor
    text: Tensor
    groups: Tensor | None


@dataclass(frozen=True)
class Scores:
    """logits (b, n) of the classes, and auxiliary (b, n, k) of class and group of attributes, None without them."""

    logits: Tensor
    auxiliary: Tensor | None


class AffinityClassifier(nn.Module):
    """Cosines in 256 dimensions, times a learned temperature that starts at `scale`, plus `bias` where one is given.

    Video and text share the map (one or two cannot be told from the paper): so the start keeps the image-text model's
    affinities. `bias` is learned too; binary losses need one, as cosines of CLIP are all alike and positive.
    """

    def __init__(self, width: int, outputs: int = 256, scale: float = 100.0, bias: float | None = None):
        super().__init__()
        self.map = nn.Linear(width, outputs, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())
        self.bias = None if bias is None else nn.Parameter(torch.tensor(float(bias)))

    def scaled(self, x: Tensor, y: Tensor) -> Tensor:
        return self.biased(self.log_scale.exp() * affinity(self.map(x), self.map(y)))

    def biased(self, logits: Tensor) -> Tensor:
        return logits if self.bias is None else logits + self.bias

    def logits(self, e: Embeddings) -> Tensor:
        return self.scaled(e.video[:, None], e.text)[:, 0]

    def forward(self, e: Embeddings) -> Scores:
        return Scores(self.logits(e), None if e.groups is None else self.scaled(e.text, e.groups))


def victr_loss(
    scores: Scores, labels: Tensor, entropy: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy, weight: float = 1.0
) -> Tensor:
    """Cross-entropy of the classes plus `weight` times that of every group's affinities, each group a row of its own.

    labels int64 (b,), or with `entropy=multi_label` multi-hot (b, n). The weight is not given.
    """
    loss = entropy(scores.logits, labels)
    if scores.auxiliary is None:
        return loss
    groups = scores.auxiliary.shape[-1]
    rows = scores.auxiliary.movedim(-1, 0).flatten(0, 1)  # (k b, n)
    return loss + weight * entropy(rows, labels.repeat(groups, *[1] * (labels.ndim - 1)))


def multi_label(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each class for itself, for long videos in which much happens; labels bool or 0 and 1.

    The text says "Cross-Entropy" and no more; binary is what the thesis' other chapters use on Charades.
    """
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

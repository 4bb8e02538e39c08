"""What temporal detection is trained on: every frame and the whole clip; and the two losses of Table 3.4.

Axes: b clips, t frames, n grid points, c channels, h and w places, k classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.coarse_fine.grid import Pooled, inverse, sample
from minilib.papers.coarse_fine.method import CoarseStream


def detection_loss(scores: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """(L_cls + L_loc) / 2: binary cross-entropy of the clip (largest score over time) and of every valid frame.

    scores (b, t, k) before the sigmoid, labels (b, t, k) in [0, 1], valid (b, t) bool. Detection pretraining's script
    on Charades averages over padded frames too: leave `valid` out for that.
    """
    if scores.shape != labels.shape:
        raise BadInput(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)} differ in shape: need (b, t, k)")
    labels = labels.to(scores.dtype)
    if valid is None:
        valid = torch.ones_like(scores[..., 0], dtype=torch.bool)
    seen = valid[..., None]
    each = F.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    localisation = (each * seen).sum() / (seen.sum() * scores.shape[2]).clamp(min=1)
    # the code takes the largest of sigmoid x valid: the same frame, as padding has probability 0
    best = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).amax(1)
    return (F.binary_cross_entropy_with_logits(best, (labels * seen).amax(1)) + localisation) / 2


def detection(model: nn.Module, clips: Tensor, labels: Tensor) -> Tensor:
    """`detection_loss` as an objective of `minilib.training.train`."""
    return detection_loss(model(clips), labels)


# --- Table 3.4: self-supervision of the grid -------------------------------------------------------------------------


def reconstruction(before: Tensor, pooled: Pooled) -> Tensor:
    """L_rec: mean L1 distance of the pooling's input (b, c, t, h, w) and its output stretched back over time."""
    frames = torch.arange(before.shape[2], device=before.device, dtype=before.dtype).expand(len(before), -1)
    back = sample(pooled.x.transpose(1, 2), inverse(pooled.locations, frames)).transpose(1, 2)
    return F.l1_loss(back, before)


def change(before: Tensor) -> Tensor:
    """How much happens between frames: the mean absolute difference of neighbours, (b, c, t, h, w) -> (b, t - 1)."""
    return before.diff(dim=2).abs().mean((1, 3, 4))


def flow(before: Tensor, pooled: Pooled, motion: Callable[[Tensor], Tensor] = change) -> Tensor:
    """L_flow: little motion within a grid cell, much of it at the cells' borders.

    Motion in the middle of the cells minus motion at the grid points, both relative to the clip's mean. The text takes
    the magnitude of Representation Flow; `motion` stands in for it, and only the grid learns from this loss.
    """
    amount = motion(before.detach())
    amount = (amount / amount.mean(1, keepdim=True).clamp(min=1e-6))[..., None]
    borders, middles = pooled.locations[:, 1:-1], (pooled.locations[:, 1:] + pooled.locations[:, :-1]) / 2
    # amount[i] lies between frames i and i + 1, hence the half
    return sample(amount, middles - 0.5).mean() - sample(amount, borders - 0.5).mean()


class WithAuxiliary:
    """0.5 L_class + 0.5 L_loc + 0.1 L_aux for a coarse-only network, an objective of `minilib.training.train`."""

    def __init__(self, auxiliary: Callable[[Tensor, Pooled], Tensor], weight: float = 0.1):
        self.auxiliary, self.weight = auxiliary, weight

    def __call__(self, model: CoarseStream, clips: Tensor, labels: Tensor) -> Tensor:
        before, pooled = model.sampled(clips)
        scores = model.finish(pooled, before.shape[2])
        return detection_loss(scores, labels) + self.weight * self.auxiliary(before, pooled)

"""Soft masks of patches as proposals, their J&F, and what any masks should be compared with.

Axes: b clips, t frames, s masks, n = r c patches, h and w pixels, d channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.metrics.segmentation import VOID, SequenceScore, score_sequence, summarise


def enlarge(masks: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Soft masks of patches (b, t, s, n) on a grid (r, c), at the frames' size (b, t, s, h, w), bilinear."""
    lead = masks.shape[:3]
    small = masks.reshape(-1, lead[2], *grid)
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False).view(*lead, *size)


def proposals(soft: Tensor) -> Tensor:
    """Which mask wins each pixel: (..., s, h, w) -> identities from 1, uint8 (..., h, w)."""
    return (soft.argmax(-3) + 1).to(torch.uint8)


def scores(truth: Tensor, answer: Tensor) -> list[SequenceScore]:
    """Each clip by itself, identities (b, t, h, w); clips without an object in the first frame are left out."""
    return [score_sequence(t, a) for t, a in zip(truth, answer, strict=True) if t[0].any()]


def j_and_f(truth: Tensor, answer: Tensor) -> float:
    """J&F in percent."""
    return 100 * summarise(scores(truth, answer)).j_and_f


# --- comparisons -----------------------------------------------------------------------------------------------------


def boxes(rows: int, columns: int, size: tuple[int, int]) -> Tensor:
    """A fixed grid of boxes as masks (s, h, w) of zeros and ones: what any method should beat."""
    row = torch.arange(size[0]) * rows // size[0]
    column = torch.arange(size[1]) * columns // size[1]
    return F.one_hot(row[:, None] * columns + column, rows * columns).movedim(-1, 0).float()


def clusters(patches: Tensor, count: int) -> Tensor:
    """k-means over all patches of each clip, (b, t, n, d) -> hard masks (b, t, count, n)."""
    from sklearn.cluster import KMeans  # a second to import, which only this costs

    found = [KMeans(count, n_init=2, random_state=0).fit_predict(clip.flatten(0, 1).cpu().numpy()) for clip in patches]
    labels = torch.stack([torch.from_numpy(f).long() for f in found]).view(patches.shape[:3])
    return F.one_hot(labels, count).movedim(-1, -2).float()


def true_patches(truth: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of each patch that each identity covers, void counted as ground: uint8 (b, t, h, w) -> (b, t, s, n).
    No masks of patches can say more."""
    one_hot = F.one_hot(truth.where(truth != VOID, 0).long()).movedim(-1, 2).float()
    return F.adaptive_avg_pool2d(one_hot.flatten(0, 1), grid).unflatten(0, truth.shape[:2]).flatten(3)

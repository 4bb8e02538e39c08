"""Slots as segmentation: OCA's attention scored against true masks that it has never seen (Sec. 4.3, Tables 4 and 11).

Axes: b clips, t frames, s slots, n = r c patches, h and w pixels, p state changes of one slot.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from minilib.metrics.segmentation import SequenceScore, score_sequence, summarise


def enlarge(masks: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Soft masks of patches (b, t, s, n) at the frames' size, (b, t, s, h, w), bilinear."""
    lead = masks.shape[:3]
    small = masks.reshape(-1, lead[2], *grid)
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False).view(*lead, *size)


def proposals(soft: Tensor) -> Tensor:
    """Which slot wins each pixel: (..., s, h, w) -> identities from 1, uint8 (..., h, w)."""
    return (soft.argmax(-3) + 1).to(torch.uint8)


def boxes(rows: int, columns: int, size: tuple[int, int]) -> Tensor:
    """A fixed grid of boxes as identities, uint8 (h, w): what any method should beat."""
    row = torch.arange(size[0]) * rows // size[0]
    column = torch.arange(size[1]) * columns // size[1]
    return (row[:, None] * columns + column + 1).to(torch.uint8)


def clusters(patches: Tensor, count: int) -> Tensor:
    """k-means over all patches of each clip, (b, t, n, d) -> hard masks (b, t, count, n)."""
    found = [KMeans(count, n_init=2, random_state=0).fit_predict(clip.flatten(0, 1).cpu().numpy()) for clip in patches]
    labels = torch.stack([torch.from_numpy(f).long() for f in found]).view(patches.shape[:3])
    return F.one_hot(labels, count).movedim(-1, -2).float()


def score(truth: Tensor, answer: Tensor) -> list[SequenceScore]:
    """Each clip by itself, identities (b, t, h, w); clips without an object in the first frame are left out."""
    return [score_sequence(t, a) for t, a in zip(truth, answer, strict=True) if t[0].any()]


def percent(scores: list[SequenceScore]) -> dict[str, float]:
    """J&F, J and F in percent."""
    found = summarise(scores)
    return {"jf": 100 * found.j_and_f, "j": 100 * found.region.mean, "f": 100 * found.boundary.mean}


def change_norms(changes: Tensor, truth: Tensor, answer: Tensor) -> tuple[float, float]:
    """Mean L2 norm of the state changes of slots that are assigned to an object, and of all other slots (Table 11).

    changes (b, p, s, d); truth and answer as for `score`.
    """
    kept = [i for i, ids in enumerate(truth) if ids[0].any()]
    norms = changes[kept].norm(dim=-1).mean(1)  # (b, s)
    foreground = torch.zeros_like(norms, dtype=torch.bool)
    for row, each in zip(foreground, score(truth, answer), strict=True):
        row[[slot - 1 for slot in each.assigned.tolist() if slot]] = True
    return float(norms[foreground].mean()), float(norms[~foreground].mean())

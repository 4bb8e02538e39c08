"""Slots as segmentation: OCA's attention scored against true masks that it has never seen (Sec. 4.3, Tables 4 and 11).

Axes: b clips, t frames, s slots, n patches, h and w pixels, p state changes of one slot, d channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from minilib.metrics.proposals import boxes, clusters, enlarge, j_and_f, proposals, scores, true_patches
from minilib.models.crf import refine
from minilib.models.small_clip import small_clip
from minilib.papers.object_centric.method import ObjectCentric, Parts
from minilib.study import Clips
from minilib.world.segmentation import LARGE, segmentation_batch

EVERY = 8  # a clip is scored for every so many test clips


def change_norms(changes: Tensor, truth: Tensor, answer: Tensor) -> dict[str, float]:
    """Table 11: mean L2 norm of the state changes of slots that are assigned to an object, and of all other slots; and
    what share of their sum each is, in percent.

    changes (b, p, s, d), identities (b, t, h, w): the true ones and the slots'.
    """
    kept = [i for i, ids in enumerate(truth) if ids[0].any()]
    norms = changes[kept].norm(dim=-1).mean(1)  # (b, s)
    on_object = torch.zeros_like(norms, dtype=torch.bool)
    for row, each in zip(on_object, scores(truth, answer), strict=True):
        row[[slot - 1 for slot in each.assigned.tolist() if slot]] = True
    front, back = float(norms[on_object].mean()), float(norms[~on_object].mean())
    shares = {"foreground_share": 100 * front / (front + back), "background_share": 100 * back / (front + back)}
    return {"foreground": front, "background": back} | shares


class Seen(NamedTuple):
    """Clips of the large segmentation task, and what a model makes of them: soft masks of slots (b, t, s, h, w), its
    parts, and the patches (b, t, n, d) of the joint space that it reads, on a grid."""

    pixels: Tensor
    truth: Tensor
    soft: Tensor
    parts: Parts
    patches: Tensor
    grid: tuple[int, int]


@torch.no_grad()
def see(model: ObjectCentric, feed: Clips, device: str) -> Seen:
    """`model` on segmentation clips of the feed's seed and split, as many frames as the feed's, all on the CPU."""
    clips, clip = feed.source, small_clip()
    indices = np.arange(len(clips) // EVERY)
    pixels, truth = segmentation_batch(clips.seed, clips.split, indices, clips.steps, scale=LARGE)
    features, grid = clip.frame_features(pixels, [-1]).to(device), clip.visual.grid_size
    parts = model.to(device).eval().parts(features)
    soft = enlarge(parts.masks.cpu(), grid, truth.shape[2:])
    return Seen(pixels, truth, soft, parts, model.joint(features)[1].cpu(), grid)


def scored(name: str, seen: Seen, soft: Tensor, device: str) -> dict[str, float]:
    """J&F of soft masks (b, t, s, h, w), as they are and refined by a conditional random field."""
    refined = refine(seen.pixels.to(device), soft.to(device)).cpu()
    return {key: j_and_f(seen.truth, proposals(masks)) for key, masks in ((name, soft), (f"{name}_crf", refined))}


def references(truth: Tensor, patches: Tensor, grid: tuple[int, int], slots: int) -> dict[str, float]:
    """What a J&F of masks of `patches` (b, u, n, d) is to be held against: that of as many clusters of them as slots,
    and that of the true masks as far as the grid can hold them. truth (b, t, h, w); a patch may span several frames."""
    spans, size = truth.shape[1] // patches.shape[1], (truth.shape[2], truth.shape[3])
    found = {
        "k-means of the same features": clusters(patches, slots).repeat_interleave(spans, 1),
        f"the true masks on {grid[0]} × {grid[1]} patches": true_patches(truth, grid),
    }
    return {label: j_and_f(truth, proposals(enlarge(masks, grid, size))) for label, masks in found.items()}


def slot_masks(model: ObjectCentric, feed: Clips, device: str) -> dict[str, float]:
    """J&F of the slots."""
    seen = see(model, feed, device)
    return {"jf": j_and_f(seen.truth, proposals(seen.soft))}


def masks_and_changes(model: ObjectCentric, feed: Clips, device: str) -> dict[str, float]:
    """J&F of the slots, bare and refined, and Table 11."""
    seen = see(model, feed, device)
    norms = change_norms(seen.parts.changes.cpu(), seen.truth, proposals(seen.soft))
    return scored("jf", seen, seen.soft, device) | norms


def masks_and_references(model: ObjectCentric, feed: Clips, device: str) -> dict[str, float]:
    """The same, and J&F of what is no model's: as many clusters of the patches as slots, boxes, the true masks as far
    as patches can hold them, and those of the next clip and of the one after it, which know nothing of this one."""
    seen, size = see(model, feed, device), feed.source.size
    best = proposals(enlarge(true_patches(seen.truth, seen.grid), seen.grid, (size, size)))
    found = enlarge(clusters(seen.patches, seen.soft.shape[2]), seen.grid, (size, size))
    drawn = boxes(4, 4, (size, size)).expand(*seen.truth.shape[:2], -1, -1, -1)
    others = {"jf_true": best, "jf_of_next": best.roll(-1, 0), "jf_of_second_next": best.roll(-2, 0)}
    return {
        **masks_and_changes(model, feed, device),
        **scored("jf_kmeans", seen, found, device),
        **scored("jf_boxes", seen, drawn, device),
        **{name: j_and_f(seen.truth, answer) for name, answer in others.items()},
    }

"""Joint optimisation (Sec. 5): slots with one name that touch become one, and boxes of what is left.

The text merges two slots with the same label that are neighbours in at least one frame, until no pair is left. The
released code also asks that the sum of both still has that label; it always has: where two vectors of products both
have their maximum at k, so has their sum. So the fixed point is the connected parts of one graph, in any order of
merging, and no pair is ever looked at by itself.

Axes: b clips, s slots, u steps, r rows and c columns of patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.papers.open_vocabulary.naming import CONTENT, best, cosines, slot_means, slot_sums, wanted

IN_FRAME = ((0, 0, 1), (0, 1, 0))  # the text: spatial neighbours in at least one frame
RELEASED = tuple(offset for offset in product((0, 1), repeat=3) if any(offset))  # forward, diagonals and time as well


def touching(assigned: Tensor, slots: int, offsets: tuple[tuple[int, int, int], ...] = RELEASED) -> Tensor:
    """Which slots are neighbours somewhere: assigned (b, u, r, c) to bool (b, s, s), symmetric."""
    found = torch.zeros(len(assigned), slots * slots, dtype=torch.bool, device=assigned.device)
    sizes = assigned.shape[1:]
    for offset in offsets:
        here = assigned[(slice(None), *(slice(0, size - step) for size, step in zip(sizes, offset, strict=True)))]
        there = assigned[(slice(None), *(slice(step, None) for step in offset))]
        found.scatter_(1, (here * slots + there).flatten(1), True)
    found = found.unflatten(1, (slots, slots))
    return found | found.transpose(1, 2)


def merged(assigned: Tensor, names: Tensor, kept: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The fixed point: (group of each token (b, u, r, c), which groups there are (b, s)).

    names int64 (b, s), kept bool (b, s), neighbours bool (b, s, s). A group has the number of its first slot; a slot
    that is not kept stays by itself and is no group.
    """
    slots = names.shape[1]
    joined = neighbours & (names[:, :, None] == names[:, None]) & kept[:, :, None] & kept[:, None]
    joined = joined | torch.eye(slots, dtype=torch.bool, device=names.device)
    for _ in range(max(slots - 1, 1).bit_length()):  # each squaring doubles the length of the ways
        joined = torch.bmm(joined.float(), joined.float()) > 0
    first = joined.int().argmax(2)  # (b, s)
    groups = F.one_hot(first, slots).bool().any(1) & kept
    return first.gather(1, assigned.flatten(1)).view_as(assigned), groups


def alike(sums: Tensor, least: float) -> Tensor:
    """Which slots (b, s, e) look alike to the reader of patches: bool (b, s, s), the cosine of two exceeds `least`."""
    directions = F.normalize(sums, dim=-1)
    return torch.bmm(directions, directions.transpose(1, 2)) > least


def group_sums(sums: Tensor, group_of: Tensor) -> Tensor:
    """Sums of slots (b, s, e) to those of groups, given the group of each slot (b, s): (b, s, e)."""
    return torch.zeros_like(sums).scatter_add_(1, group_of[..., None].expand_as(sums), sums)


@dataclass(frozen=True)
class Joined:
    """tokens int64 (b, u, r, c): the group of each token; groups bool (b, s): which numbers are groups of interest;
    cosines (b, s, k) of each group with all names; names int64 (b, s), the best target."""

    tokens: Tensor
    groups: Tensor
    cosines: Tensor
    names: Tensor


def joint_optimisation(
    assigned: Tensor,
    slots: int,
    patches: Tensor,
    names: Tensor,
    targets: int,
    threshold: float = 0.0,
    offsets: tuple[tuple[int, int, int], ...] = RELEASED,
    content: Tensor | None = None,
    over: Callable[[Tensor], Tensor] = best,
    likeness: float | None = None,
    least: float = CONTENT,
) -> Joined:
    """Names the slots, keeps those of interest and merges them.

    assigned (b, u, r, c), patch features (b, t, r', c', e), unit vectors of names (k, p, e), the first `targets` of
    which are looked for; `threshold` is lambda; content (b, t, r', c') of each patch, of which slots need `least`, see
    `wanted`, or None to go by names alone, as in the text and as released; `over` the prompts of a name, see `cosines`;
    likeness, this suite's: the least cosine of two slots that are merged, or None, as in the text. Parts of one object
    look alike, and two objects under one wrong name do not.
    """
    sums = slot_sums(patches, assigned, slots)
    cosine = cosines(sums, names, over)
    in_slots = None if content is None else slot_means(content[..., None], assigned, slots)[..., 0]
    kept = wanted(cosine, targets, threshold, in_slots, least)
    label = cosine[..., :targets].argmax(-1)
    neighbours = touching(assigned, slots, offsets)
    if likeness is not None:
        neighbours = neighbours & alike(sums, likeness)
    tokens, groups = merged(assigned, label, kept, neighbours)
    group_of = torch.arange(slots, device=sums.device).repeat(len(sums), 1)
    group_of.scatter_(1, assigned.flatten(1), tokens.flatten(1))  # a slot without tokens stays by itself
    return Joined(tokens, groups, cosines(group_sums(sums, group_of), names, over), label)


def solidity(tokens: Tensor, slots: int) -> Tensor:
    """This suite's: how much of its boxes each group fills, over all steps together, (b, u, r, c) -> (b, s) in 0 to 1.

    What follows one object is a blob in all steps; what was put together of pieces has boxes that are mostly empty. 0
    for a group without tokens.
    """
    masks = F.one_hot(tokens, slots).movedim(-1, 2).bool()  # (b, u, s, r, c)
    boxes = mask_boxes(masks)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1).sum(1)
    return masks.sum((1, 3, 4)) / area.clamp(min=1)


def mask_boxes(masks: Tensor, scale: int = 1) -> Tensor:
    """Boxes of masks bool (..., r, c): int64 (..., 4) as x0, y0, x1, y1, ends exclusive, times `scale` pixels a patch.

    One box for a mask, however many parts it has. An empty mask has the box 0, 0, 0, 0, as released.
    """
    ends = []
    for line in (masks.any(-2), masks.any(-1)):  # columns, rows
        at = torch.arange(line.shape[-1], device=masks.device)
        low, high = (at + (~line) * len(at)).amin(-1), ((at + 1) * line).amax(-1)
        ends.append((torch.where(line.any(-1), low, 0), high))
    (x0, x1), (y0, y1) = ends
    return scale * torch.stack([x0, y0, x1, y1], -1)

"""What proposes objects in the small world's clips: shipped slots, the truth, and controls that know less.

All give the slot of each patch, so that all are named, kept, merged and boxed by the same rules. None draws but from a
generator of its own seed.

Axes: b clips, t frames, u steps, r rows and c columns of patches, s slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from minilib.metrics.proposals import clusters
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.localize import Localizer, settled
from minilib.papers.open_vocabulary.method import VideoSlots, clip_features
from minilib.papers.open_vocabulary.pretrain.encoders import GRID, VIDEO
from minilib.papers.open_vocabulary.pretrain.grouping import Grouping
from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
from minilib.world.localization import Localization, patch_masks

SLOTS = 8


@dataclass(frozen=True)
class Proposal:
    """assigned int64 (b, u, r, c): the slot of each patch, of `slots`. per_frame: slots know one frame alone, and
    number 3 of the next frame is another one."""

    assigned: Tensor
    slots: int
    per_frame: bool = False


Proposer = Callable[[Localization, int], Proposal]  # clips and a seed


@lru_cache(maxsize=1)
def localizer() -> Localizer:
    """The shipped one."""
    return small_localizer()


def features_of(encoder: VideoEncoder, clips: Localization, layer: int) -> Tensor:
    """(b, u, r, c, d)."""
    with torch.no_grad():
        return clip_features(encoder, encoder.normalise(clips.frames), layer)


def slots_of(model: VideoSlots, features: Tensor, seed: int) -> Proposal:
    with torch.no_grad():
        tubes = model(features, torch.Generator().manual_seed(seed))
    return Proposal(tubes.assigned, tubes.masks.shape[1])


def video_slots(clips: Localization, seed: int) -> Proposal:
    """Ours, as shipped."""
    shipped = localizer()
    return slots_of(shipped.slots, features_of(shipped.encoder, clips, shipped.layer), seed)


@lru_cache(maxsize=1)
def settling() -> Localizer:
    """The shipped one, settled."""
    return settled(localizer())


def settled_slots(clips: Localization, seed: int) -> Proposal:
    """Ours, from the same draw, after more iterations than they were trained with."""
    shipped = settling()
    return slots_of(shipped.slots, features_of(shipped.encoder, clips, shipped.layer), seed)


def truth(clips: Localization, seed: int) -> Proposal:
    """The oracle: the true masks, rounded to the same patches. Slot 0 is the ground."""
    objects = clips.names.shape[1]
    return Proposal(patch_masks(clips.ids, GRID, objects).int().argmax(2), 1 + objects)


# --- controls --------------------------------------------------------------------------------------------------------


def slots_as_they_start(clips: Localization, seed: int) -> Proposal:
    """The same slots with random weights, on the same features."""
    shipped = localizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Grouping().build().eval()
    return slots_of(model, features_of(shipped.encoder, clips, shipped.layer), seed)


def clusters_of(features: Tensor) -> Proposal:
    """k-means over all patches of each clip, as many clusters as slots."""
    found = clusters(features.flatten(2, 3), SLOTS).argmax(2)
    return Proposal(found.unflatten(2, features.shape[2:4]), SLOTS)


def feature_clusters(clips: Localization, seed: int) -> Proposal:
    """k-means of the features that our slots read."""
    shipped = localizer()
    return clusters_of(features_of(shipped.encoder, clips, shipped.layer))


def random_encoder_clusters(clips: Localization, seed: int) -> Proposal:
    """k-means of the features of an encoder with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = VIDEO.build().encoder.eval()
    return clusters_of(features_of(encoder, clips, localizer().layer))


def placed(clips: Localization, where: Tensor, slots: int) -> Proposal:
    """The same slots (r, c) in all frames of all clips."""
    return Proposal(where.expand(*clips.frames.shape[:2], -1, -1).contiguous(), slots)


def grid_of_boxes(clips: Localization, seed: int) -> Proposal:
    """Two rows of four boxes, wherever the objects are."""
    line = torch.arange(GRID)
    return placed(clips, 4 * (line * 2 // GRID)[:, None] + line * 4 // GRID, SLOTS)


def central_boxes(clips: Localization, seed: int) -> Proposal:
    """Boxes around the centre, one in another: each slot is a square ring of patches, and its box is the square."""
    line = torch.arange(GRID)
    edge = torch.minimum(line, GRID - 1 - line)
    return placed(clips, torch.minimum(edge[:, None], edge), GRID // 2)


def of_next(clips: Localization, seed: int) -> Proposal:
    """Our slots of another clip."""
    found = video_slots(clips, seed)
    return Proposal(found.assigned.roll(-1, 0), found.slots)


def of_second_next(clips: Localization, seed: int) -> Proposal:
    """Our slots of still another clip."""
    found = video_slots(clips, seed)
    return Proposal(found.assigned.roll(-2, 0), found.slots)


CONTROLS: tuple[Proposer, ...] = (  # what knows no object, or nothing of slots
    grid_of_boxes,
    central_boxes,
    slots_as_they_start,
    feature_clusters,
    random_encoder_clusters,
)

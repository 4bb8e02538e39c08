"""Patch-CLIP taught by slots: what CLIP says of a picture in which all but one slot is painted over.

Eq. 1-3 ask that the patches of a picture agree with its class token, and nothing keeps a patch from telling of all that
is there: in clips of three objects names are wrong twice as often as in clips of one. Here the mean of a slot's patches
should know the class token of its own painted pictures among those of all slots of the batch. Slots are the small
world's own, so no label, box or mask is used. It is this suite's; the paper trains on whole pictures.

Axes: b pictures or clips, f frames of a clip, s slots, r and c patches of the slots' grid, m = r' c' patches of
CLIP's, e joint embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.patch_clip import PatchClip, info_nce
from minilib.papers.open_vocabulary.pretrain.grouping import Grouping
from minilib.papers.open_vocabulary.pretrain.patch import reduced

TEMPERATURE = 0.05
SMALLEST = 3  # patches of a slot that teaches


def painted(frames: Tensor, masks: Tensor) -> Tensor:
    """Each slot alone: pictures uint8 (b, h, w, 3), masks bool (b, s, r, c) -> uint8 (b, s, h, w, 3), everything
    outside of the slot in the mean colour of what lies there."""
    size = frames.shape[1] // masks.shape[2], frames.shape[2] // masks.shape[3]
    own = masks.repeat_interleave(size[0], 2).repeat_interleave(size[1], 3)[..., None].float()
    pixels = frames[:, None].float()
    rest = (pixels * (1 - own)).sum((2, 3), keepdim=True) / (1 - own).sum((2, 3), keepdim=True).clamp(min=1)
    return (pixels * own + rest * (1 - own)).round().to(torch.uint8)


def wider(masks: Tensor) -> Tensor:
    """Masks bool (b, s, r, c) and the patches around them: an outline needs something on both sides."""
    return F.max_pool2d(masks.float(), 3, 1, 1) > 0


@dataclass(frozen=True)
class Lessons:
    """Of f frames of each clip: tokens half (b, f, 1 + m, d), the input of CLIP's last block; shares half (b, f, s, m),
    of each slot in each patch, zero for slots that are too small to teach. cls (b, s, e): a slot is a tube, so what
    its painted pictures say is averaged over frames."""

    tokens: Tensor
    shares: Tensor
    cls: Tensor


@torch.no_grad()
def lessons(model: PatchClip, frames: Tensor, assigned: Tensor, slots: int) -> Lessons:
    """Of frames uint8 (b, f, h, w, 3) and the slot of each of their patches, (b, f, r, c)."""
    b, f = frames.shape[:2]
    masks = F.one_hot(assigned.flatten(0, 1), slots).movedim(-1, 1).bool()
    teaches, flat = masks.sum((2, 3)) >= SMALLEST, frames.flatten(0, 1)
    _, tokens = model.read(model.clip.normalise(reduced(flat)))
    patches = round((tokens.shape[1] - 1) ** 0.5)
    shares = F.interpolate(masks.float(), (patches, patches), mode="area").flatten(2) * teaches[..., None]
    cls = torch.zeros(*teaches.shape, model.clip.visual.proj.shape[1], device=frames.device)
    said = model.read(model.clip.normalise(reduced(painted(flat, wider(masks))[teaches])))[0].float()
    cls[teaches] = F.normalize(said, dim=-1)
    mean = F.normalize(cls.unflatten(0, (b, f)).sum(1), dim=-1)
    return Lessons(tokens.half().unflatten(0, (b, f)), shares.half().unflatten(0, (b, f)), mean)


def of_clips(model: PatchClip, grouping: Grouping, encoder: VideoEncoder, slots: VideoSlots, clips: Tensor) -> Lessons:
    """Lessons of two frames of each clip, uint8 (n, t, h, w, 3)."""
    parts: list[Lessons] = []
    for at, frames in enumerate(clips.split(16)):
        generator = torch.Generator().manual_seed(at)
        assigned = grouping.assigned(slots, grouping.features(encoder, frames), generator)
        chosen = torch.tensor([frames.shape[1] // 8, frames.shape[1] * 5 // 8])
        steps = chosen * assigned.shape[1] // frames.shape[1]
        parts.append(lessons(model, frames[:, chosen], assigned[:, steps], grouping.slots))
    return Lessons(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Lessons)))


def drawn(given: Lessons, batch: int, generator: torch.Generator) -> Lessons:
    """`batch` of the clips, at random."""
    chosen = torch.randint(len(given.cls), (batch,), generator=generator).to(given.cls.device)
    return Lessons(*(getattr(given, field.name)[chosen] for field in fields(Lessons)))


def taught(model: PatchClip, given: Lessons) -> Tensor:
    """The loss: the mean patch of each tube that teaches, against the class tokens of all of them (Eq. 2, 3)."""
    shares = given.shares.float()
    patches = model.patches(given.tokens.float().flatten(0, 1)).float().unflatten(0, given.tokens.shape[:2])
    found = torch.einsum("bfsm,bfme->bse", shares, patches)
    teaches = shares.sum((1, 3)) > 0
    return info_nce(found[teaches], given.cls[teaches], TEMPERATURE)

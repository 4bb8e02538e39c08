"""What all ways of finding objects without labels have in common, and the slots that read features.

    frames -> masks that sum to one over the slots at each place, and a reconstruction of what was to be explained

Tables 1 and 2 differ in what is read (pixels, an image encoder's features, a video encoder's) and in where slots
compete (in each frame, or in the whole clip at once). Where they compete in each frame, slot 3 of one frame is not slot
3 of the next: those masks are looked at frame by frame, as the paper does, or after `linked`.

Axes: b clips, t frames, s slots, u steps, r rows and c columns of the masks, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.pretrain.grouping import Grouping, features_alone

PAINTED = 4  # of so many tokens, or frames of pixels, a step of training paints one: the same loss in the mean


@dataclass(frozen=True)
class SlotMasks:
    """masks (b, t, s, r, c), one over the slots at each place; tubes: slot k is the same thing in all frames."""

    masks: Tensor
    tubes: bool

    @property
    def assigned(self) -> Tensor:
        """The slot of each place: int64 (b, t, r, c)."""
        return self.masks.argmax(2)


@dataclass(frozen=True)
class Explained:
    """seen: the masks; found and asked, of one shape: the reconstruction, and what it should be."""

    seen: SlotMasks
    found: Tensor
    asked: Tensor


class Rival(nn.Module):
    """A model that explains uint8 (b, t, h, w, 3) by slots, `Explained`. `generator` draws Gaussian slots."""

    def look(self, frames: Tensor, generator: torch.Generator | None = None) -> SlotMasks:
        """The masks alone."""
        return self(frames, generator).seen


def explanation_loss(model: nn.Module, frames: Tensor, labels: Tensor, **how: Tensor) -> Tensor:
    """The objective of all of them: the mean squared error. frames uint8 (b, t, h, w, 3); labels are not looked at;
    `how` goes to the model."""
    explained = model(frames, **how)
    return F.mse_loss(explained.found.float(), explained.asked.float())


class FeatureSlots(Rival):
    """Slots on a frozen encoder: uint8 (b, t, h, w, 3) to `Explained`.

    With `grouping.per_frame` and an image encoder it is DINOSAUR (Seitzer et al., ICLR 2023); without, and on a video
    encoder, the paper's. The image encoder here is a masked autoencoder of single frames where the paper's is DINO.
    """

    def __init__(self, grouping: Grouping, encoder: VideoEncoder):
        super().__init__()
        self.grouping, self.encoder = grouping, encoder.requires_grad_(False)
        self.slots = grouping.build()

    def train(self, mode: bool = True) -> FeatureSlots:
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, frames: Tensor, generator: torch.Generator | None = None) -> Explained:
        """`generator` draws Gaussian slots. Raises BadInput for frames that the tubelets or patches do not divide."""
        check_frames(frames)
        features = self.grouping.features(self.encoder, frames)
        asked = self.grouping.target(features, frames)
        found = self.grouping.tubes(self.slots, features, generator)
        if self.grouping.per_frame:  # (b u, s, 1, r, c)
            masks = found.masks.squeeze(2).unflatten(0, features.shape[:2])
        else:
            masks = found.masks.movedim(1, 2)
        masks = masks.repeat_interleave(self.grouping.sizes.tubelet, 1)
        return Explained(SlotMasks(masks, not self.grouping.per_frame), found.features.view_as(asked), asked)


def encoded_loss(model: FeatureSlots, features: Tensor, labels: Tensor, painted: int = PAINTED) -> Tensor:
    """`explanation_loss` of features that were read before, (b, u, r, c, d), where the target is they themselves, at
    one in `painted` tokens, drawn anew each time. Slots read all tokens; what is not painted takes no time."""
    features, slots = features.float(), model.slots
    if model.grouping.per_frame:
        features = features.flatten(0, 1)[:, None]
    asked = features_alone(features, features).flatten(1, 3)
    found, attention = slots.attention(slots.read(features.flatten(1, 3)))
    some = torch.randperm(asked.shape[1], device=asked.device)[: max(asked.shape[1] // painted, 1)]
    place = slots.decoder.positions(*features.shape[1:4])[some]
    return F.mse_loss(slots.decoder.features_at(place, found, attention[..., some]).float(), asked[:, some])


def check_frames(frames: Tensor) -> None:
    """Raises BadInput for anything but uint8 clips."""
    if frames.ndim != 5 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise BadInput(f"clips {tuple(frames.shape)}, {frames.dtype}: must be uint8 (clips, frames, height, width, 3)")


# --- from frames to tubes --------------------------------------------------------------------------------------------


def soft_overlaps(masks: Tensor) -> Tensor:
    """IoU of the soft masks of each frame with those of the next, (b, t, s, r, c) -> (b, t - 1, s, s)."""
    flat = masks.flatten(3)
    inner = torch.einsum("btsn,btkn->btsk", flat[:, :-1], flat[:, 1:])
    area = flat.sum(-1)
    return inner / (area[:, :-1, :, None] + area[:, 1:, None] - inner).clamp(min=1e-9)


def linked(seen: SlotMasks) -> SlotMasks:
    """Slots of frames made tubes: those of each frame in the order of the first frame's, each given to the one before
    it so that the sum of their overlaps is largest (Hungarian). Tubes stay as they are."""
    masks = seen.masks
    if seen.tubes:
        return seen
    pairs = soft_overlaps(masks).detach().flatten(0, 1).cpu().numpy()
    nexts = np.array([linear_sum_assignment(pair, maximize=True)[1] for pair in pairs], np.int64)
    orders = [torch.arange(masks.shape[2], device=masks.device).repeat(len(masks), 1)]
    for follow in torch.from_numpy(nexts).to(masks.device).view(len(masks), -1, masks.shape[2]).unbind(1):
        orders.append(follow.gather(1, orders[-1]))  # each frame follows the one before it
    order = torch.stack(orders, 1)[..., None, None].expand_as(masks)
    return SlotMasks(masks.gather(2, order), tubes=True)


def pooled(seen: SlotMasks, grid: tuple[int, int]) -> SlotMasks:
    """The masks on a coarser grid, by the mean of areas: they still sum to one. Masks of pixels are compared with those
    of patches on the patches' grid; a lone pixel would otherwise stretch a box."""
    small = F.adaptive_avg_pool2d(seen.masks.flatten(0, 1), grid)
    return replace(seen, masks=small.unflatten(0, seen.masks.shape[:2]))

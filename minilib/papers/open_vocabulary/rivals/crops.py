"""The naive way of naming slots (Sec. 4): cut each slot out, and give the crops to CLIP.

The paper sends bounding boxes, and names two faults: CLIP runs once a slot in place of once a frame, and a box also
holds what is not the slot's. `painted` takes the second one away: outside of the slot everything has one colour.

Axes: b pictures or clips, t frames, s slots, r and c patches of the slots' grid, h and w pixels, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.papers.open_vocabulary.joint import mask_boxes

# pictures uint8 (b, h, w, 3), masks bool (b, s, r, c) -> each slot's picture uint8 (b, s, h, w, 3)
View = Callable[[Tensor, Tensor], Tensor]


def whole(frames: Tensor, masks: Tensor) -> Tensor:
    """Each slot's picture is the frame as it is; the other `View` is `pretrain.painted.painted`."""
    return frames[:, None].expand(-1, masks.shape[1], -1, -1, -1)


def crops(pictures: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Boxes int64 (b, s, 4) cut out of pictures uint8 (b, s, h, w, 3) and brought to side x side pixels, whatever their
    shape: float (b, s, 3, side, side) in [0, 255]; of a box without area, whatever stands at 0, 0."""
    flat = pictures.flatten(0, 1).movedim(-1, 1).float()
    number = torch.arange(len(flat), device=flat.device, dtype=flat.dtype)[:, None]
    cut = roi_align(flat, torch.cat([number, boxes.flatten(0, 1).to(flat.dtype)], 1), side, aligned=True)
    return cut.unflatten(0, boxes.shape[:2])


@torch.no_grad()
def crop_patches(frames: Tensor, assigned: Tensor, slots: int, clip: ImageText, view: View = whole) -> Tensor:
    """What CLIP says of the crop around each place's slot: unit vectors (b, t, r, c, e).

    frames uint8 (b, t, h, w, 3), assigned int64 (b, t, r, c). They stand where patch-CLIP's patches stand otherwise, so
    a slot's name is that of the mean of its crops, each as often as the slot has places in that frame, and all that is
    done with patches can be done with crops. Raises BadInput for a grid that does not divide the frames.
    """
    (h, w), (r, c), clips = frames.shape[2:4], assigned.shape[2:], frames.shape[:2]
    if assigned.shape[:2] != clips or h % r or w % c or h // r != w // c:
        raise BadInput(f"clips {tuple(frames.shape)} and slots {tuple(assigned.shape)}: no square patches for crops")
    masks = F.one_hot(assigned.flatten(0, 1), slots).movedim(-1, 1).bool()
    boxes, there = mask_boxes(masks, h // r), masks.flatten(2).any(2)
    cut = crops(view(frames.flatten(0, 1), masks), boxes, clip.visual.image_size[0])
    pixels = (cut[there] / 255.0 - clip.mean) / clip.std
    found = F.normalize(clip.model.encode_image(pixels), dim=-1)
    said = found.new_zeros(*there.shape, found.shape[-1])
    said[there] = found
    return said.gather(1, assigned.flatten(0, 1).flatten(1)[..., None].expand(-1, -1, said.shape[-1])).view(
        *assigned.shape, -1
    )

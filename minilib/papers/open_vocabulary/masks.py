"""The masks found here as other methods take them: object-centric adaptation as those of its slots (notebook 04).
Object-centric diffusion (notebook 10) edits what has a name: `foreground` of the tubes that `localize` finds.

Axes: b clips, t frames, k slots, h and w pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.open_vocabulary.localize import Localizer
from minilib.papers.open_vocabulary.method import clip_features


@torch.no_grad()
def masks(video: Tensor, localizer: Localizer, seed: int = 287) -> Tensor:
    """Each slot's share of each pixel: uint8 (b, t, h, w, 3) to float (b, t, k, h, w), which sums to one over k.

    Slot k is the same object in all frames of a clip, and nothing in another clip. Shares of patches are enlarged
    bilinearly. `seed` draws the initial slots. Raises BadInput for another shape, for sizes that
    patches or tubelets do not divide, and for more frames than slots know at once: those go through `localize`.
    """
    if video.ndim != 5 or video.shape[-1] != 3 or video.dtype != torch.uint8:
        raise BadInput(f"video {tuple(video.shape)}, {video.dtype}: must be uint8 (clips, frames, height, width, 3)")
    frames = video.to(localizer.encoder.mean.device)
    features = clip_features(localizer.encoder, localizer.encoder.normalise(frames), localizer.layer)
    tubes = localizer.slots(features, torch.Generator().manual_seed(seed))
    soft = tubes.masks.movedim(1, 2).repeat_interleave(localizer.encoder.tubelet, 1)  # (b, t, k, r, c)
    large = F.interpolate(soft.flatten(0, 1), tuple(video.shape[2:4]), mode="bilinear", align_corners=False)
    return large.unflatten(0, soft.shape[:2])

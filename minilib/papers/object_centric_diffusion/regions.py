"""The object's part of the latents: gathering it as a crop, and scattering it back (thesis Sec. 6.3.1).

"We pad the mask to a rectangular shape and implement the gather operation as a crop around the foreground object."

Axes: t frames, d channels, h and w cells of the latents, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput


@dataclass(frozen=True)
class Region:
    """A rectangle of one size in every frame. corner: int64 (t, 2), its top and left cell; size: rows, columns."""

    corner: Tensor
    size: tuple[int, int]

    def index(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        frame = torch.arange(len(self.corner), device=device)[:, None, None]
        top, left = self.corner.to(device)[:, :, None, None].unbind(1)
        rows, columns = (torch.arange(side, device=device) for side in self.size)
        return frame, top + rows[:, None], left + columns

    def gather(self, latents: Tensor) -> Tensor:
        """(t, d, h, w) to the crop (t, d, *size)."""
        frame, row, column = self.index(latents.device)
        return latents.movedim(1, -1)[frame, row, column].movedim(-1, 1)

    def scatter(self, latents: Tensor, crop: Tensor) -> Tensor:
        """`latents` with the crop in its place."""
        out = latents.movedim(1, -1).clone()
        out[self.index(latents.device)] = crop.movedim(1, -1)
        return out.movedim(-1, 1)

    def outside(self, latents: Tensor) -> Tensor:
        """bool (t, 1, h, w), true where the crop is not."""
        everywhere = torch.ones_like(latents[:, :1], dtype=torch.bool)
        return self.scatter(everywhere, torch.zeros_like(self.gather(everywhere)))


def latent_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask of pixels bool (t, H, W) on the latents' cells, bool (t, h, w): a cell is foreground if any of its pixels
    is, so that nothing of the object is left out.

    BadInput for a mask of another shape than whole cells, or one that is empty or full over all frames.
    """
    if mask.dtype != torch.bool or mask.ndim != 3:
        raise BadInput(f"a mask is bool (frames, rows, columns); this is {mask.dtype} {tuple(mask.shape)}")
    factor = mask.shape[1] // size[0]
    if not factor or (size[0] * factor, size[1] * factor) != tuple(mask.shape[1:]):
        raise BadInput(
            f"a mask of {tuple(mask.shape[1:])} pixels does not fit latents of {size}: give the video's own size"
        )
    if not mask.any() or mask.all():
        word = "empty" if not mask.any() else "full"
        raise BadInput(f"the mask is {word}: there is no {'object' if word == 'empty' else 'background'} to tell apart")
    return F.max_pool2d(mask[:, None].float(), factor)[:, 0] > 0


def crop_around(mask: Tensor, stride: int = 2, margin: int = 1) -> Region:
    """The rectangles that hold a mask of cells bool (t, h, w) with so many cells around it, of one size for all frames:
    that of the largest, rounded up to the UNet's total stride; each lies about its own frame's object.

    The thesis leaves open whether the clip has one rectangle or each frame its own. With one size the frames stay a
    batch; with places of their own, an object that moves needs no larger crop than one that rests. A frame without the
    object takes the place of its neighbour before (or after).
    """
    frames, *sides = mask.shape
    if any(side % stride for side in sides):
        raise BadInput(f"latents of {tuple(sides)} cells: both have to be multiples of {stride}")
    spans = []
    for axis, side in ((2, sides[0]), (1, sides[1])):
        line = mask.any(axis)
        first, last = line.int().argmax(1), side - 1 - line.flip(1).int().argmax(1)
        spans.append(torch.stack([first, last + 1], 1))
    there = mask.flatten(1).any(1).nonzero()[:, 0]
    nearest = there[(there <= torch.arange(frames, device=mask.device)[:, None]).sum(1).sub(1).clamp(min=0)]
    corner, size = [], []
    for span, side in zip(spans, sides, strict=True):
        span = span[nearest]
        longest = int((span[:, 1] - span[:, 0]).max()) + 2 * margin
        length = min(-(-longest // stride) * stride, side)
        middle = (span[:, 0] + span[:, 1] - length).div(2, rounding_mode="floor")
        corner.append(middle.clamp(0, side - length))
        size.append(length)
    return Region(torch.stack(corner, 1), (size[0], size[1]))


def normalise(foreground: Tensor, background: Tensor, outside: Tensor) -> Tensor:
    """Algorithm 1's normalisation: the crop's latents shifted and scaled to the mean and deviation of the background's.

    By channel and over the whole clip, "inspired by batch normalization"; the thesis does not say. foreground:
    (t, d, ., .); background: (t, d, h, w); outside: bool (t, 1, h, w), where the background counts.
    """
    mean, std = statistics(background, outside)
    own_mean, own_std = statistics(foreground, torch.ones_like(foreground[:, :1], dtype=torch.bool))
    return (foreground - own_mean) / own_std.clamp(min=1e-6) * std + mean


def statistics(latents: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (1, d, 1, 1) of latents (t, d, h, w) over the cells counted, bool (t, 1, h, w)."""
    share = counted / counted.sum().clamp(min=1)
    mean = (latents * share).sum((0, 2, 3), keepdim=True)
    return mean, ((latents - mean).square() * share).sum((0, 2, 3), keepdim=True).sqrt()

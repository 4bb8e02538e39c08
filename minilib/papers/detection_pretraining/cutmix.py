"""Volume CutMix: two clips side by side in a frame (thesis, Sec. 4.2.2 and 4.5.3), as released and as printed.

Axes: b clips, t frames, m sources of a mixed clip, c channels, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.detection_pretraining.method import Labels
from minilib.papers.detection_pretraining.mixes import (
    Batch,
    Windows,
    check_frames,
    from_its_start,
    joined,
    partners,
    released_windows,
    reordered,
    thesis_ramp,
)


def border(place: Tensor, width: int) -> Tensor:
    """M of Sec. 4.5.3: columns left of `place` (...) have 1, right of it 0, and 2 delta of them lead over; (..., w).

    delta is not given: the integer part of a sixteenth of the width, as in the released code.
    """
    delta = max(width // 16, 0.5)
    return ((place[..., None] + delta - torch.arange(width, device=place.device)) / (2 * delta)).clamp(0, 1)


@dataclass(frozen=True)
class TransientWindow:
    """Two clips side by side, the border between them moving as the ramp does; labels weigh as the areas do.

    Defaults are the text's. In the released code it is only a text that does not run, whose windows may leave frames
    to neither clip: TransientWindow(uncovered_windows, released_ramp, in_place).
    """

    draw: Callable[[int, int, torch.device], Windows] = released_windows
    ramp: Callable[[Windows, int], tuple[Tensor, Tensor]] = thesis_ramp
    content: Callable[[Windows, int], tuple[Tensor, Tensor] | None] = from_its_start

    def __call__(self, clips: Tensor, labels: Labels) -> Batch:
        check_frames(clips, "Volume CutMix")
        frames, width = clips.shape[2], clips.shape[4]
        windows = self.draw(len(clips), frames, clips.device)
        weight1, weight2 = self.ramp(windows, frames)
        in1, in2 = windows.there(frames)
        both = (in1 & in2)[..., None]
        mask = border((weight1 * width).round(), width)
        mask1 = torch.where(both, mask, weight1[..., None])  # alone, a clip has the whole frame
        mask2 = torch.where(both, 1 - mask, weight2[..., None])
        (x1, one), (x2, two) = partners(clips, labels, self.content(windows, frames))
        across1, across2 = (mask.to(x1.dtype)[:, None, :, None] for mask in (mask1, mask2))
        mixed = x2.mul_(across2).addcmul_(x1, across1)  # x2 is a copy of its own
        areas = mask1.mean(-1), mask2.mean(-1)
        return mixed, joined(one, two, areas, (areas[0] > 0, areas[1] > 0))


class View(NamedTuple):
    """Two constant windows: the left has columns [0, high), the right [low, w), and in between they blend.

    left and right (t,): the first column of its clip that each window shows. fraction (high - low,): the right clip's
    weight where both are there.
    """

    low: int
    high: int
    left: Tensor
    right: Tensor
    fraction: Tensor


def released_view(frames: int, width: int, device: torch.device) -> View:
    """Windows of 9 w / 16 columns from either side; the two views travel in *opposite* directions.

    The code rolls columns around, (j + s) mod w on the left and (j - s) mod w on the right, s from 0 to 7 w / 16; as
    far as the windows show them, nothing comes around. Both fractions are integer parts: with 158 columns, a size of
    the multigrid schedule, the windows share columns 70 to 87 and s stays below 69.
    """
    low, travel = width - 9 * width // 16, 7 * width // 16
    high = max(width - low, low)  # odd widths below 9 would leave a column to neither
    shift = torch.arange(frames, device=device) * travel // frames
    fraction = (torch.arange(high - low, device=device) + 1) / (high - low + 1)
    return View(low, high, shift, low - shift, fraction)


def thesis_view(frames: int, width: int, device: torch.device) -> View:
    """The text's: windows of half the width, its integer part, with the seam of Sec. 4.5.3; both views travel from left
    to right."""
    half = width // 2
    right = 1 - border(torch.tensor(float(half)), width)  # on the CPU, whose seam need not be waited for
    seam = ((right > 0) & (right < 1)).nonzero()[:, 0]
    low, high = (int(seam[0]), int(seam[-1]) + 1) if len(seam) else (half, half)
    steps = torch.arange(frames, device=device) / max(frames - 1, 1)
    fraction = right[low:high].to(device)
    return View(low, high, (steps * (width - high)).round().long(), (steps * low).round().long(), fraction)


@dataclass(frozen=True)
class TransientView:
    """Two clips side by side in constant windows whose content moves; all frames weigh half and half."""

    view: Callable[[int, int, torch.device], View] = released_view

    def __call__(self, clips: Tensor, labels: Labels) -> Batch:
        frames, _, width = clips.shape[2:]
        if width < 2:
            raise BadInput(f"Volume CutMix needs frames of 2 columns or more, not {width}")
        view = self.view(frames, width, clips.device)
        own, other = torch.arange(len(clips), device=clips.device), torch.randperm(len(clips), device=clips.device)
        x1, x2 = _shown(clips, own, view.left, view.high), _shown(clips, other, view.right, width - view.low)
        seam = torch.lerp(x1[..., view.low :], x2[..., : view.high - view.low], view.fraction.to(x1.dtype))
        half = torch.full((len(clips), frames), 0.5, device=clips.device)
        always = torch.ones_like(half, dtype=torch.bool)
        out = torch.cat([x1[..., : view.low], seam, x2[..., view.high - view.low :]], -1)
        return out.movedim(2, 1), joined(labels, reordered(labels, other), (half, half), (always, always))


def _shown(x: Tensor, order: Tensor, first: Tensor, width: int) -> Tensor:
    """Columns `first[t]` to `first[t]` + width of each frame of the clips `order` of x (b, c, t, h, w): the only copy
    that is made of them, (b, t, c, h, width)."""
    frames = torch.arange(x.shape[2], device=x.device)
    return x.unfold(4, width, 1)[order[:, None], :, frames, :, first]

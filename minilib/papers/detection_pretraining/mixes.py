"""Volume MixUp, and what Volume CutMix shares with it: two clips in one (thesis, Sec. 4.2.2), in both forms.

The partner of a clip is another of its batch, under one random permutation; a clip may meet itself. Everything follows
from a pair of `Windows`, when each of the two is there, and from a *ramp*, the weight of each at every frame.

Axes: b clips, t frames, m sources of a mixed clip, c channels, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.detection_pretraining.method import Labels, take_frames


class Windows(NamedTuple):
    """Frames [start, end) in which a clip and its partner are there, each (b,)."""

    start1: Tensor
    end1: Tensor
    start2: Tensor
    end2: Tensor

    def there(self, frames: int) -> tuple[Tensor, Tensor]:
        """The frames of both windows, bool (b, t) each."""
        at = torch.arange(frames, device=self.start1.device)[None]
        start1, end1, start2, end2 = (border[:, None] for border in self)
        return (at >= start1) & (at < end1), (at >= start2) & (at < end2)


Weights = tuple[Tensor, Tensor]  # of both clips, (b, t) each


def uncovered_windows(clips: int, frames: int, device: torch.device) -> Windows:
    """Length from t / 2 to t, start from 0 to t - length, for each; some frames may belong to neither.

    Half of an odd t is rounded up. The code, whose clips are all even, would round it down.
    """
    shortest = (frames + 1) // 2
    length = shortest + (torch.rand(2, clips, device=device) * (frames - shortest + 1)).long()
    start = (torch.rand(2, clips, device=device) * (frames - length + 1)).long()
    return Windows(start[0], start[0] + length[0], start[1], start[1] + length[1])


def covering(windows: Windows, frames: int) -> Windows:
    """Released: the earlier window *moves* to frame 0 and keeps its length; then the one that ends later is extended to
    t. No frame is left out. On ties it is the batch's own clip that moves, and that is extended."""
    start1, end1, start2, end2 = windows
    own = start1 <= start2
    start1, end1 = torch.where(own, 0, start1), torch.where(own, end1 - start1, end1)
    start2, end2 = torch.where(own, start2, 0), torch.where(own, end2, end2 - start2)
    own = end1 >= end2
    return Windows(start1, torch.where(own, frames, end1), start2, torch.where(own, end2, frames))


def released_windows(clips: int, frames: int, device: torch.device) -> Windows:
    """`uncovered_windows`, then `covering`."""
    return covering(uncovered_windows(clips, frames, device), frames)


# --- ramps: the weights of both clips --------------------------------------------------------------------------------


def _overlap(windows: Windows, frames: int) -> tuple[Tensor, list[Tensor]]:
    """Frame numbers (1, t), and the four borders as (b, 1)."""
    return torch.arange(frames, device=windows.start1.device)[None], [border[:, None] for border in windows]


def _weights(one: Tensor, windows: Windows) -> Weights:
    """`one` (b, t) is the own clip's weight where both are there; alone a clip has weight 1."""
    in1, in2 = windows.there(one.shape[1])
    both = in1 & in2
    return torch.where(both, one, in1.float()), torch.where(both, 1 - one, in2.float())


def released_ramp(windows: Windows, frames: int) -> Weights:
    """Within the overlap [S, E) of n frames the clip that begins and ends later rises as (t + 1 - S) / (n + 1).

    Where one lies within the other, the outer has the valley |t + 1 - (S + E) / 2| 2 / (n + 1), half a frame off. On
    ties the batch's own clip is the later one, at the start as at the end, and its partner has what remains.
    """
    at, (start1, end1, start2, end2) = _overlap(windows, frames)
    first, last = torch.maximum(start1, start2), torch.minimum(end1, end2)
    steps = last - first + 1
    rise = (at + 1 - first) / steps
    valley = (at + 1 - (first + last) / 2).abs() * 2 / steps
    begins_later, ends_later = start1 >= start2, end1 >= end2
    in_turn = torch.where(ends_later, rise, 1 - rise)
    nested = torch.where(ends_later, valley, 1 - valley)
    return _weights(torch.where(begins_later == ends_later, in_turn, nested), windows)


def thesis_ramp(windows: Windows, frames: int) -> Weights:
    """alpha of Sec. 4.2.2, frames counted from 1; n_1 is where the earlier clip ends, r where the later one begins.

    (n_1 - t) / (n_1 - r) where the later ends later, |n_2 + 2 r - 2 t| / n_2 where it lies within; truncated to [0, 1].
    """
    at, (start1, end1, start2, end2) = _overlap(windows, frames)
    at, swapped = at + 1, start2 < start1
    n1, r = torch.where(swapped, end2, end1), torch.maximum(start1, start2)
    end = torch.where(swapped, end1, end2)
    within = (n1 - at) / (n1 - r).clamp(min=1)
    valley = ((end - r) + 2 * r - 2 * at).abs() / (end - r)
    alpha = torch.where(end >= n1, within, valley).clamp(0, 1)  # the earlier clip's
    return _weights(torch.where(swapped, 1 - alpha, alpha), windows)


# --- when a clip can be seen, as the loss counts it: bool (b, t) of both ----------------------------------------------


def in_its_window(windows: Windows, weights: Weights) -> tuple[Tensor, Tensor]:
    """Released: on its whole window, also where its weight is 0."""
    return windows.there(weights[0].shape[1])


def where_it_weighs(windows: Windows, weights: Weights) -> tuple[Tensor, Tensor]:
    """Only where its weight is not 0; so for ramps that show one clip at a time."""
    return weights[0] > 0, weights[1] > 0


# --- two clips and their labels --------------------------------------------------------------------------------------

Batch = tuple[Tensor, Labels]


def in_place(windows: Windows, frames: int) -> None:
    """Released: content is not moved in time, frame t of either clip stays at t."""


def from_its_start(windows: Windows, frames: int) -> tuple[Tensor, Tensor]:
    """The text's v_2[t - r]: each clip begins with its first frame; the source frames (b, t) of both."""
    at = torch.arange(frames, device=windows.start1.device)[None]
    return (at - windows.start1[:, None]).clamp(min=0), (at - windows.start2[:, None]).clamp(min=0)


def partners(clips: Tensor, labels: Labels, sources: tuple[Tensor, Tensor] | None = None) -> tuple[Batch, Batch]:
    """The batch, and the batch in another order; frames taken from `sources` where they move."""
    other = torch.randperm(len(clips), device=clips.device)
    pair = (clips, labels), (clips[other], reordered(labels, other))
    if sources is None:
        return pair
    return tuple(
        (take_frames(x, source), Labels(*(part.gather(2, source.expand_as(part)) for part in parts)))
        for (x, parts), source in zip(pair, sources, strict=True)
    )


def reordered(labels: Labels, order: Tensor) -> Labels:
    """The labels of the clips `order` (b,)."""
    return Labels(*(part[:, order] for part in labels))


def joined(one: Labels, two: Labels, weights: Weights, visible: tuple[Tensor, Tensor]) -> Labels:
    """The sources of both clips, (2 m, b, t), with the weights and the frames, (b, t), in which each is seen."""
    return Labels(
        torch.cat([one.classes, two.classes]),
        torch.cat([one.weights * weights[0], two.weights * weights[1]]),
        torch.cat([one.visible & visible[0], two.visible & visible[1]]),
    )


def check_frames(clips: Tensor, name: str) -> None:
    if clips.shape[2] < 2:
        raise BadInput(f"{name} needs clips of 2 frames or more, not {clips.shape[2]}")


@dataclass(frozen=True)
class VolumeMixUp:
    """Frames of two clips weighted by a ramp in time, the labels alike.

    Defaults are released; the printed form is VolumeMixUp(ramp=thesis_ramp, content=from_its_start).
    """

    draw: Callable[[int, int, torch.device], Windows] = released_windows
    ramp: Callable[[Windows, int], Weights] = released_ramp
    content: Callable[[Windows, int], tuple[Tensor, Tensor] | None] = in_place
    visible: Callable[[Windows, Weights], tuple[Tensor, Tensor]] = in_its_window

    def __call__(self, clips: Tensor, labels: Labels) -> Batch:
        check_frames(clips, "Volume MixUp")
        windows = self.draw(len(clips), clips.shape[2], clips.device)
        weights = self.ramp(windows, clips.shape[2])
        (x1, one), (x2, two) = partners(clips, labels, self.content(windows, clips.shape[2]))
        along1, along2 = (weight.to(x1.dtype)[:, None, :, None, None] for weight in weights)
        mixed = x2.mul_(along2).addcmul_(x1, along1)  # x2 is a copy of its own
        return mixed, joined(one, two, weights, self.visible(windows, weights))

"""What only ablations need: hard boundaries, mixing of features, and labels of other clips as a control.

Axes: b clips, t frames, m sources of a mixed clip, c channels, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.models.x3d import X3D
from minilib.papers.detection_pretraining.method import Augmentation, Labels
from minilib.papers.detection_pretraining.mixes import Windows, released_ramp


def hard_ramp(windows: Windows, frames: int) -> tuple[Tensor, Tensor]:
    """No seam: whichever clip weighs more is shown alone ("hard boundaries" of Table 4.4b)."""
    one, two = released_ramp(windows, frames)
    return ((one >= two) & (one > 0)).float(), (two > one).float()


class Manifold(nn.Module):
    """An X3D that applies the augmentation to the features after a random stage, or to the input (Table 4.4b).

    The released code has it commented out, with the level fixed to the input.
    """

    def __init__(self, net: X3D, augmentation: Augmentation):
        super().__init__()
        self.net, self.augmentation = net, augmentation

    def normalise(self, frames: Tensor) -> Tensor:
        return self.net.normalise(frames)

    def forward(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        net, x = self.net, self.net.pixels(clips)
        parts = [nn.Identity(), nn.Sequential(net.stem, net.stages[0]), *net.stages[1:]]
        level = int(torch.randint(len(parts), ()))
        for i, part in enumerate(parts):
            x = part(x)
            if i == level:
                x, labels = self.augmentation(x, labels)
        return net.head(x), labels


@dataclass(frozen=True)
class WrongLabels:
    """A negative control: clips as the augmentation makes them, each with the labels of the next in its batch."""

    augmentation: Augmentation

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        clips, labels = self.augmentation(clips, labels)
        return clips, Labels(*(torch.roll(part, 1, 1) for part in labels))

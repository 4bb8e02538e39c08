"""Combining augmentations (thesis, Sec. 4.2.3): joint training in three forms, ensembles, and mixing of features.

Axes: b clips, t frames, m sources of a mixed clip, c channels, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.x3d import X3D
from minilib.papers.detection_pretraining.method import Augmentation, Labels


def _blend(chosen: Tensor, new: tuple[Tensor, Labels], old: tuple[Tensor, Labels]) -> tuple[Tensor, Labels]:
    """The new clip where `chosen` (b,), else the old one; sources that one of them lacks have weight 0."""
    sources = max(len(new[1].classes), len(old[1].classes))
    fill = lambda part: F.pad(part, (0, 0, 0, 0, 0, sources - len(part)))  # noqa: E731
    pairs = zip(map(fill, new[1]), map(fill, old[1]), strict=True)
    labels = Labels(*(torch.where(chosen.view(1, -1, 1), a, b) for a, b in pairs))
    return torch.where(chosen.view(-1, 1, 1, 1, 1), new[0], old[0]), labels


@dataclass(frozen=True)
class JointBatch:
    """Released joint training: each augmentation in turn, with this probability, for the whole batch or not at all."""

    augmentations: tuple[Augmentation, ...]
    probability: float = 0.5

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        for augmentation, draw in zip(self.augmentations, torch.rand(len(self.augmentations)).tolist(), strict=True):
            if draw < self.probability:
                clips, labels = augmentation(clips, labels)
        return clips, labels


@dataclass(frozen=True)
class JointClip:
    """The text's "Joint train": each augmentation in turn, with this probability, clip by clip."""

    augmentations: tuple[Augmentation, ...]
    probability: float = 0.5

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        for augmentation in self.augmentations:
            chosen = torch.rand(len(clips), device=clips.device) < self.probability
            clips, labels = _blend(chosen, augmentation(clips, labels), (clips, labels))
        return clips, labels


@dataclass(frozen=True)
class JointSingle:
    """The text's "Joint train - single": one augmentation a clip, each as likely."""

    augmentations: tuple[Augmentation, ...]

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        which = torch.randint(len(self.augmentations), (len(clips),), device=clips.device)
        out = clips, labels
        for i, augmentation in enumerate(self.augmentations):
            out = _blend(which == i, augmentation(clips, labels), out)
        return out


class Ensemble(nn.Module):
    """The mean of several models' probabilities, (b, t, k) or (b, k); the text does not say what is averaged.

    Raises BadInput where the models disagree in their classes.
    """

    def __init__(self, models: Sequence[nn.Module], activation: Callable[[Tensor], Tensor] = torch.sigmoid):
        super().__init__()
        counts = [model.classes for model in models]
        if len(set(counts)) != 1:
            raise BadInput(f"an ensemble needs models of the same classes, these have {counts or 'not been given'}")
        self.models, self.activation, self.classes = nn.ModuleList(models), activation, counts[0]

    def forward(self, clips: Tensor) -> Tensor:
        return torch.stack([self.activation(model(clips)) for model in self.models]).mean(0)


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

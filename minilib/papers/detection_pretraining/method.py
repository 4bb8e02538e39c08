"""Weakly-guided self-supervised detection pretraining (thesis of K. Kahatapitiya, Chapter 4).

Clips that carry one label become training data for detection: the label is given to every frame, then batches are
changed so that several actions meet in a clip and stop and start within it. Nothing is annotated.

    train(model, batches, settings, classes, objective=DetectionPretraining(VolumeFreeze(), classes))

An augmentation is a callable (clips, `Labels`) -> (clips, `Labels`) on a batch and its device; `Labels` keeps every
source clip apart until the loss, because the released loss normalises each by itself. Freeze is here, MixUp and CutMix
are in `mixes` and `cutmix`. Defaults are the released choices.

Axes: b clips, t frames, m sources of a mixed clip, c channels, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput

BACKGROUND = -1


class Labels(NamedTuple):
    """classes int64 (m, b, t), `BACKGROUND` where nothing is done; weights (m, b, t) in [0, 1]; visible (m, b, t): the
    frames in which the source can be seen at all."""

    classes: Tensor
    weights: Tensor
    visible: Tensor


Augmentation = Callable[[Tensor, Labels], tuple[Tensor, Labels]]


def frame_labels(labels: Tensor, frames: int) -> Labels:
    """Frame-level pseudo labels (Sec. 4.2.1): a clip's label for each of its frames; labels (b,) or already (b, t)."""
    classes = labels[:, None].expand(-1, frames) if labels.ndim == 1 else labels
    if classes.shape[1:] != (frames,):
        raise BadInput(f"labels of shape {tuple(labels.shape)}: clips of {frames} frames need (b,) or (b, {frames})")
    ones = torch.ones(1, *classes.shape, device=labels.device)
    return Labels(classes[None], ones, ones > 0)


def take_frames(x: Tensor, source: Tensor) -> Tensor:
    """Frame `source[b, t]` at each t of clips (b, c, t, h, w)."""
    rows = torch.arange(len(x), device=x.device)[:, None]
    return x.transpose(1, 2)[rows, source].transpose(1, 2)


# --- Volume Freeze ---------------------------------------------------------------------------------------------------


def released_freeze(clips: int, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Start s and length m, each (b,): m from 1 to t / 2 - 1, s from 0 to t - m. For m = 1 only the label goes."""
    length = 1 + (torch.rand(clips, device=device) * max(frames // 2 - 1, 1)).long()
    return (torch.rand(clips, device=device) * (frames - length + 1)).long(), length


def thesis_freeze(clips: int, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The text's: frame r from 1 to n - 1, then m from 2 to n - r + 1."""
    start = (torch.rand(clips, device=device) * (frames - 1)).long()
    return start, 2 + (torch.rand(clips, device=device) * (frames - start - 1)).long()


def freeze(clips: Tensor, labels: Labels, start: Tensor, length: Tensor) -> tuple[Tensor, Labels]:
    """Frame s is shown m times, what follows moves back and runs over the end; frames s to s + m - 1 are background."""
    at = torch.arange(clips.shape[2], device=clips.device)
    start, length = start[:, None], length[:, None]
    frozen = (at >= start) & (at < start + length)
    source = torch.where(frozen, start, torch.where(at < start, at, at - length + 1))
    parts = (part.gather(2, source.expand_as(part)) for part in labels)
    moved = Labels(*parts)
    return take_frames(clips, source), moved._replace(classes=moved.classes.masked_fill(frozen, BACKGROUND))


@dataclass(frozen=True)
class VolumeFreeze:
    """`segments` frozen stretches a clip, each drawn by `draw` (Sec. 4.2.2)."""

    draw: Callable[[int, int, torch.device], tuple[Tensor, Tensor]] = released_freeze
    segments: int = 1

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        if clips.shape[2] < 2:
            raise BadInput("Volume Freeze needs clips of 2 frames or more")
        for _ in range(self.segments):
            clips, labels = freeze(clips, labels, *self.draw(len(clips), clips.shape[2], clips.device))
        return clips, labels


# --- joint training (Sec. 4.2.3) -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JointBatch:
    """Each augmentation in turn, with this probability, for the whole batch or not; the text draws clip by clip."""

    augmentations: tuple[Augmentation, ...]
    probability: float = 0.5

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        for augmentation, draw in zip(self.augmentations, torch.rand(len(self.augmentations)).tolist(), strict=True):
            if draw < self.probability:
                clips, labels = augmentation(clips, labels)
        return clips, labels


# --- targets and losses ----------------------------------------------------------------------------------------------


def targets(labels: Labels, classes: int, background: int | None = None) -> Tensor:
    """Soft labels (b, t, k): the weights of all sources, each at its class; `background` as in DetectionPretraining."""
    known, weights = _known(labels, background)
    out = weights.new_zeros(*labels.classes.shape[1:], classes)
    return out.scatter_add(2, known.permute(1, 2, 0), weights.permute(1, 2, 0))


def _known(labels: Labels, background: int | None) -> tuple[Tensor, Tensor]:
    """Classes that are indices, and weights that are 0 where background is the zero vector."""
    frozen = labels.classes == BACKGROUND
    if background is None:
        return labels.classes.masked_fill(frozen, 0), labels.weights.masked_fill(frozen, 0)
    return labels.classes.masked_fill(frozen, background), labels.weights


def softmax_loss(scores: Tensor, labels: Labels, background: int | None = None) -> Tensor:
    """Released: sum over places in the mix of [sum of weight x cross-entropy / number of frames of the batch in which
    the clips of that place are visible].

    Every place counts as much, however few frames its clips have: not the mean over frames. Within a place a clip
    counts by its frames.
    """
    known, weights = _known(labels, background)
    each = -scores.log_softmax(-1).gather(2, known.permute(1, 2, 0)).permute(2, 0, 1)
    return ((weights * each).sum((1, 2)) / labels.visible.sum((1, 2)).clamp(min=1)).sum()


def binary_loss(scores: Tensor, labels: Labels, background: int | None = None) -> Tensor:
    """Binary cross-entropy of every class and frame with the soft labels, as detection is trained on afterwards."""
    return F.binary_cross_entropy_with_logits(scores, targets(labels, scores.shape[2], background).to(scores.dtype))


@dataclass(frozen=True)
class DetectionPretraining:
    """The whole pretext task as an objective of `minilib.training.train`, for any model that scores frames (b, t, k).

    classes: those of the labels. background: None is the zero vector ("zero-label" in the text); `classes`, a class of
    its own, for which the model needs one more; 0 is what the released code does as it stands, where its class 0 is an
    action of Kinetics. A `Manifold` model augments by itself: give `augmentation=None`.
    """

    augmentation: Augmentation | None
    classes: int
    loss: Callable[[Tensor, Labels, int | None], Tensor] = softmax_loss
    background: int | None = None

    def __call__(self, model: nn.Module, clips: Tensor, labels: Tensor) -> Tensor:
        """clips (b, c, t, h, w) normalised, labels (b,) or (b, t); raises BadInput for labels that are no class,
        as long as they are on the CPU."""
        if clips.ndim != 5:
            raise BadInput(f"clips of shape {tuple(clips.shape)}: the augmentations need (b, c, t, h, w)")
        # a GPU would wait for it every step, and a compiled graph cannot hold it
        looked_at = labels.device.type == "cpu" and not torch.compiler.is_compiling()
        if looked_at and (int(labels.min()) < 0 or int(labels.max()) >= self.classes):
            raise BadInput(
                f"labels from {int(labels.min())} to {int(labels.max())} are not within {self.classes} classes"
            )
        known = frame_labels(labels, clips.shape[2])
        if self.augmentation is None:
            scores, known = model(clips, known)
        else:
            clips, known = self.augmentation(clips, known)
            scores = model(clips)
        wanted = (*known.classes.shape[1:], self.classes + (self.background == self.classes))
        if scores.shape != wanted:
            raise BadInput(f"the model's scores are {tuple(scores.shape)}, detection pretraining needs {wanted}")
        return self.loss(scores, known, self.background)


def unchanged(clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """No augmentation: the baseline that learns the clip's label for every frame."""
    return clips, labels

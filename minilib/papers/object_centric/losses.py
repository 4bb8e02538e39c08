"""OCA's two object-level losses (Sec. 3.3): what slots should contain, and how their changes should differ.

Both are contrastive and live on what a batch happens to hold. A term without a partner (no other video, no second clip
of an action, one slot) is zero and gives no gradient; the other terms stay.

Axes: b clips, t frames, s slots, p state changes of one slot, d channels. c, u and r stand for a second b, t and s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.models.clip import FrameFeatures
from minilib.papers.object_centric.method import ObjectCentric, OnFrames

Reduce = Callable[[Tensor], Tensor]  # many terms -> one number; torch.sum is Eq. 8 and 9 to the letter


def mean(terms: Tensor) -> Tensor:
    """The mean, and zero where there is nothing: this suite's choice in place of the paper's sums, which grow with
    batch, clip and slots, so that the weights of Eq. 10 would mean something else in every setting."""
    return terms.sum() / max(terms.numel(), 1)


def correspondence(slots: Tensor, cls: Tensor, temperature: float) -> Tensor:
    """Eq. 7: how well the slots of each frame cover each class token; the slots weigh themselves by their own cosine.

    slots (..., s, d), cls (m, d) -> (..., m).
    """
    cosine = F.normalize(slots, dim=-1) @ F.normalize(cls, dim=-1).T  # (..., s, m)
    return (F.softmax(cosine / temperature, dim=-2) * cosine).sum(-2)


def object_distillation(slots: Tensor, cls: Tensor, temperature: float = 0.1, reduce: Reduce = mean) -> Tensor:
    """Eq. 8: each frame's slots should know their own class token among those of other videos.

    slots (b, t, s, d), cls (b, t, d). The paper samples the negatives; here they are all class tokens of all other
    videos of the batch. With one video there is none: the loss is zero.
    """
    clips, frames = cls.shape[:2]
    score = correspondence(slots, cls.flatten(0, 1), temperature).flatten(0, 1) / temperature  # (b t, c u)
    video = torch.arange(clips, device=cls.device).repeat_interleave(frames)
    same_frame = torch.eye(len(video), dtype=torch.bool, device=cls.device)
    apart = video[:, None] != video
    return reduce(torch.logsumexp(score.masked_fill(~(apart | same_frame), -torch.inf), 1) - score.diagonal())


def temporal_reasoning(changes: Tensor, labels: Tensor, margin: float = 1.0, reduce: Reduce = mean) -> Tensor:
    """Eq. 9: changes of one slot agree within an action, and keep a margin to other actions and to other slots.

    changes (b, p, s, d), labels (b,). Pairs of videos are compared at the same slot and time, pairs of slots within one
    video at the same time. Every pair counts alike, as in the sum: where classes are many, few pairs pull.
    """
    videos = _pairs(_distances(changes.permute(1, 2, 0, 3)))  # (p, s, b (b - 1))
    within = _pairs(_distances(changes))  # (b, p, s (s - 1))
    same = _pairs(labels[:, None] == labels)
    between = torch.where(same, videos, F.relu(margin - videos))
    return reduce(torch.cat([between.flatten(), F.relu(margin - within).flatten()]))


def _distances(x: Tensor) -> Tensor:
    """L2 distances of all pairs, (..., m, d) -> (..., m, m); the slope of a distance of zero is zero."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


def _pairs(x: Tensor) -> Tensor:
    """Of a square (..., m, m) all but the diagonal, (..., m (m - 1)). Chosen by place: a mask would let a GPU wait."""
    m = x.shape[-1]
    return x.flatten(-2)[..., 1:].unflatten(-1, (m - 1, m + 1))[..., :-1].flatten(-2)


@dataclass(frozen=True)
class Objective:
    """Eq. 10 as `training.train` takes it: (model, features, labels) -> loss. The weights switch losses off (Table 5);
    the paper has ones, and gives neither temperature (tau) nor margin (lambda). smoothing is the cross-entropy's."""

    distillation: float = 1.0
    reasoning: float = 1.0
    temperature: float = 0.1
    margin: float = 1.0
    classification: float = 1.0
    reduce: Reduce = mean
    smoothing: float = 0.0

    def __call__(self, model: ObjectCentric, features: FrameFeatures, labels: Tensor) -> Tensor:
        out = model.parts(features)
        loss = self.classification * F.cross_entropy(out.logits, labels, label_smoothing=self.smoothing)
        if self.distillation and out.masks is not None:  # pooled frames and raw patches have no slots to distil into
            loss = loss + self.distillation * object_distillation(out.slots, out.cls, self.temperature, self.reduce)
        if self.reasoning:
            loss = loss + self.reasoning * temporal_reasoning(out.changes, labels, self.margin, self.reduce)
        return loss


@dataclass(frozen=True)
class OnPixels:
    """Eq. 10 where no features are kept: for an `OnFrames`, frames uint8 (b, t, h, w, 3) and labels (b,)."""

    losses: Objective = Objective()

    def __call__(self, model: OnFrames, frames: Tensor, labels: Tensor) -> Tensor:
        return self.losses(model.trained, model.features(frames), labels)

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

Reduce = Callable[[Tensor], Tensor]  # many terms -> one number; torch.sum is Eq. 8 and 9 to the letter


def mean(terms: Tensor) -> Tensor:
    """The mean, and zero where there is nothing. The default in place of the paper's sums: they grow with batch, clip
    and slots, so that the weights of Eq. 10 would be another choice for every setting. A choice of this suite."""
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
    slots = changes.shape[2]
    videos = _distances(changes.permute(1, 2, 0, 3))  # (p, s, b, c)
    within = _distances(changes)  # (b, p, s, r)
    same = labels[:, None] == labels
    others = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    hard = ~torch.eye(slots, dtype=torch.bool, device=labels.device)
    pull, push = videos[..., same & others], torch.cat([videos[..., ~same].flatten(), within[..., hard].flatten()])
    return reduce(torch.cat([pull.flatten(), F.relu(margin - push)]))


def _distances(x: Tensor) -> Tensor:
    """L2 distances of all pairs, (..., m, d) -> (..., m, m); the slope of a distance of zero is zero."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class Objective:
    """Eq. 10 as `training.train` takes it. The weights switch losses off (Table 5); the paper has ones.

    temperature (tau) and margin (lambda) are not given in the paper.
    """

    distillation: float = 1.0
    reasoning: float = 1.0
    temperature: float = 0.1
    margin: float = 1.0
    classification: float = 1.0
    reduce: Reduce = mean

    def __call__(self, model, features, labels: Tensor) -> Tensor:
        out = model.parts(features)
        loss = self.classification * F.cross_entropy(out.logits, labels)
        if self.distillation and out.masks is not None:  # pooled frames and raw patches have no slots to distil into
            loss = loss + self.distillation * object_distillation(out.slots, out.cls, self.temperature, self.reduce)
        if self.reasoning:
            loss = loss + self.reasoning * temporal_reasoning(out.changes, labels, self.margin, self.reduce)
        return loss


PAPER = Objective()  # the weights of Eq. 10


def distilled(model, frames: Tensor, labels: Tensor, losses: Objective = PAPER) -> Tensor:
    """Eq. 10 where no features are kept: `model` is an `OnFrames`, frames uint8 (b, t, h, w, 3), labels (b,)."""
    return losses(model.trained, model.features(frames), labels)

"""Mean average precision of temporal detection: several labels a frame, every frame or 25 of each video.

Two protocols. `every_frame` ranks all frames of all videos and averages over the classes, as the thesis' ablations do.
`localize_v1` is the Charades challenge's "v1_localize": the same plain mean, over 25 equally spaced frames of each
video. Frames without any label are negatives of every class.

Axes: n frames of all videos, t frames of one video, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from minilib.errors import BadInput

Array = np.ndarray | Tensor


@dataclass(frozen=True)
class DetectionScore:
    """Percent. mean: over the classes that occur; per_class (k,) has nan elsewhere."""

    mean: float
    per_class: np.ndarray


def _arrays(scores: Array, labels: Array, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as (t, k), checked."""
    scores, labels = (
        x.detach().cpu().float().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (scores, labels)
    )
    if scores.shape != labels.shape or scores.ndim != 2:
        raise BadInput(
            f"{what}: scores {scores.shape} and labels {labels.shape} must have one shape, (frames, classes)"
        )
    if scores.size == 0:
        raise BadInput(f"{what}: its labels {labels.shape} are empty; leave out videos without frames")
    if not np.isfinite(scores).all():
        raise BadInput(f"{what}: {(~np.isfinite(scores)).sum()} scores are not finite")
    if not np.isin(labels, (0, 1)).all():
        raise BadInput(f"{what}: labels must be 0 or 1 for each frame and class")
    return scores, labels.astype(bool)


def detection_score(scores: Array, labels: Array) -> DetectionScore:
    """Average precision of each class over all rows, scores and labels (n, k), by scikit-learn, and their mean.

    Raises BadInput for shapes that differ, no rows, scores that are not finite, and labels without a single positive.
    """
    scores, labels = _arrays(scores, labels, "detection")
    count = labels.sum(0)
    if not count.any():
        raise BadInput(f"detection: none of the {len(labels)} frames has a label, there is nothing to find")
    per_class = np.full(labels.shape[1], np.nan)
    for k in np.flatnonzero(count):
        per_class[k] = 100 * average_precision_score(labels[:, k], scores[:, k])
    return DetectionScore(float(per_class[count > 0].mean()), per_class)


def blind_precision(share: float, count: int) -> float:
    """The average precision that random scores have in the mean, in percent, where a share of `count` examples is
    positive. It lies above that share, since a precision is read where a positive stands, which counts itself.

    Raises BadInput for fewer than two examples, of which no share is positive but all or none."""
    if count < 2:
        raise BadInput(f"blind precision of {count} examples: it takes two or more")
    first = sum(1 / rank for rank in range(1, count + 1)) / count
    return 100 * ((share * count - 1) / (count - 1) * (1 - first) + first)


def _joined(scores: Sequence[Array], labels: Sequence[Array], pick) -> DetectionScore:
    if len(scores) != len(labels) or not len(scores):
        raise BadInput(f"detection: {len(scores)} videos have scores and {len(labels)} have labels")
    pairs = [_arrays(s, l, f"detection, video {i}") for i, (s, l) in enumerate(zip(scores, labels, strict=True))]
    classes = {s.shape[1] for s, _ in pairs}
    if len(classes) > 1:
        raise BadInput(f"detection: videos differ in their number of classes, {sorted(classes)}")
    return detection_score(*(np.concatenate([x[pick(len(x))] for x in each]) for each in zip(*pairs, strict=True)))


def every_frame(scores: Sequence[Array], labels: Sequence[Array]) -> DetectionScore:
    """All frames of all videos; one (t, k) a video in both lists, t may differ from video to video."""
    return _joined(scores, labels, lambda frames: slice(None))


def equally_spaced(frames: int, count: int = 25) -> np.ndarray:
    """The frames at 0, 1/25, ..., 24/25 of the duration; a video of fewer frames gives some of them several times."""
    return np.arange(count) * frames // count


def localize_v1(scores: Sequence[Array], labels: Sequence[Array], count: int = 25) -> DetectionScore:
    """Charades' `v1_localize`: as `every_frame`, on 25 frames of each video. The official script averages over classes
    plainly."""
    return _joined(scores, labels, lambda frames: equally_spaced(frames, count))


# --- which frames (thesis, Table 4.4e) -------------------------------------------------------------------------------


def actions_per_frame(labels: Tensor) -> Tensor:
    """How many actions each frame has, (..., k) -> (...)."""
    return labels.bool().sum(-1)


def near_boundary(labels: Tensor, within: int = 1) -> Tensor:
    """Whether an action starts or stops within so many frames; labels (t, k) -> bool (t,)."""
    changes = torch.nn.functional.pad((labels[1:] != labels[:-1]).any(1), (1, 0))  # at the first frame of the new state
    wide = torch.nn.functional.pad(changes.float(), (within - 1, within))
    return wide.unfold(0, 2 * within, 1).amax(1) > 0

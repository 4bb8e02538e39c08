"""Accuracy within mirrored pairs: the right control for motion.

Shuffled frames, or one frame, still show along which axis something moves, so their accuracy over all classes lies far
above chance. Whether it moves there or back is asked here: of two classes that hold the same frames in opposite order,
which one scores higher? Who does not see order is right half of the time.

Axes: b clips, k classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minilib.errors import BadInput


def pair_accuracy(scores: Tensor, labels: Tensor, stride: int = 1) -> float:
    """In percent of the clips: the true class scores above its mirror image. A tie counts half; chance is 50.

    scores (b, k), labels int (b,). Classes c and c + stride, c even in units of `stride`, are mirror images: neighbours
    in MOTIONS and TIMINGS, and `len(SHAPES)` apart in ACTIONS.
    """
    classes = scores.shape[-1]
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise BadInput(
            f"pair_accuracy: scores {tuple(scores.shape)} and labels {tuple(labels.shape)} must be (clips, classes) "
            "and (clips,), of one clip or more"
        )
    if stride < 1 or classes % (2 * stride):
        raise BadInput(f"pair_accuracy: {classes} classes are no pairs of classes {stride} apart")
    if labels.min() < 0 or labels.max() >= classes:
        raise BadInput(f"pair_accuracy: labels {int(labels.min())} to {int(labels.max())} of {classes} classes")
    mirrored = torch.where(labels // stride % 2 == 0, labels + stride, labels - stride)
    true, other = (scores.gather(1, index[:, None].to(scores.device)) for index in (labels, mirrored))
    return 100 * ((true > other).double() + 0.5 * (true == other).double()).mean().item()

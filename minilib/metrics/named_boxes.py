"""Boxes with names: mean average precision by the released code's rules and by COCO's, and what slots hold.

A box is emitted once for every name, with that name's score, as the released code does (31 times on ImageNet-VID).

Axes: i images (frames), s predicted boxes, o true boxes, k names. Boxes are x0, y0, x1, y1, ends exclusive; one without
area is no box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.metrics.localization import check_boxes, overlaps

KINDS = ("single object", "part of an object", "group of objects", "background")
SO, PO, GO, BG = range(4)


@dataclass(frozen=True)
class NamedBoxes:
    """found (i, s, 4) with scores (i, s, k); truth (i, o, 4) with names int64 (i, o) and who is there, bool (i, o).

    Raises BadInput where the shapes do not fit together, a score is not finite or a name has no score.
    """

    found: Tensor
    scores: Tensor
    truth: Tensor
    names: Tensor
    there: Tensor

    def __post_init__(self):
        i, s, o, k = *self.found.shape[:2], self.truth.shape[1], self.scores.shape[2]
        due = {"found": (i, s, 4), "scores": (i, s, k), "truth": (i, o, 4), "names": (i, o), "there": (i, o)}
        for what, shape in due.items():
            if tuple(getattr(self, what).shape) != shape:
                raise BadInput(f"boxes: {what} is {tuple(getattr(self, what).shape)}, not {shape}")
        check_boxes(self.found, "found")
        check_boxes(self.truth[self.there], "truth")
        if not torch.isfinite(self.scores).all():
            raise BadInput("boxes: a score is not finite")
        if self.there.any() and not 0 <= int(self.names[self.there].min()) <= int(self.names[self.there].max()) < k:
            raise BadInput(f"boxes: a true name is none of the {k} that have scores")

    @property
    def real(self) -> Tensor:
        """Which found boxes have an area, bool (i, s)."""
        return (self.found[..., 2:] > self.found[..., :2]).all(-1)


def average_precisions(boxes: NamedBoxes, extra: float = 1.0, threshold: float = 0.5) -> np.ndarray:
    """The released code's average precision of each name, in percent, (k,); nan for a name that no true box has.

    All boxes of a name, best score first (equal scores: in order of frames and slots), take the true box of their frame
    with the largest IoU, if that is at least `threshold` and not yet taken; else they are false. The area under
    precision, made to fall, at every recall. `extra`: pixels more in all areas, see `overlaps`. One departure: a tube
    that is not seen in a frame has no box there, where the released code counts an empty one as a false answer.
    """
    iou = overlaps(boxes.found, boxes.truth, extra).cpu().numpy()
    scores, names, there = (part.cpu().numpy() for part in (boxes.scores, boxes.names, boxes.there))
    image, slot = np.nonzero(boxes.real.cpu().numpy())
    found = np.full(scores.shape[2], np.nan)
    for name in np.unique(names[there]):
        asked = there & (names == name)  # (i, o)
        order = np.argsort(-scores[image, slot, name], kind="stable")
        fits = np.where(asked[image], iou[image, slot], -1.0)[order]  # (boxes, o)
        close = np.flatnonzero(fits.max(1) >= threshold)
        taken = image[order][close] * asked.shape[1] + fits[close].argmax(1)  # which true box, of all frames
        hits = np.zeros(len(order), bool)
        hits[close[np.unique(taken, return_index=True)[1]]] = True  # the first box that takes it
        found[name] = 100 * _area(hits, int(asked.sum()))
    return found


def _area(hits: np.ndarray, total: int) -> float:
    """Area under precision and recall of answers in order of their score."""
    right = hits.cumsum()
    precision = right / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[hits].sum() / total)


def map50_released(boxes: NamedBoxes) -> float:
    """Percent; the mean over the names that occur. Raises BadInput where there is nothing to find."""
    found = average_precisions(boxes)
    if np.isnan(found).all():
        raise BadInput("mAP: no image has an object, there is nothing to find")
    return float(np.nanmean(found))


def map50_coco(boxes: NamedBoxes) -> float:
    """COCO's mAP at IoU 0.5 in percent, by torchmetrics on pycocotools; all detections count, not a hundred a frame."""
    from torchmetrics.detection import MeanAveragePrecision  # seconds to import, which only this costs

    if not boxes.there.any():
        raise BadInput("mAP: no image has an object, there is nothing to find")
    i, s, k = boxes.scores.shape
    metric = MeanAveragePrecision(iou_thresholds=[0.5], max_detection_thresholds=[1, 10, max(s * k, 11)])
    for frame in range(i):
        real, there = boxes.real[frame], boxes.there[frame]
        answers = dict(
            boxes=boxes.found[frame][real].float().repeat_interleave(k, 0),
            scores=boxes.scores[frame][real].flatten(),
            labels=torch.arange(k, device=real.device).repeat(int(real.sum())),
        )
        truth = dict(boxes=boxes.truth[frame][there].float(), labels=boxes.names[frame][there])
        metric.update([answers], [truth])
    return 100 * float(metric.compute()["map_50"])


def kinds(found: Tensor, truth: Tensor, there: Tensor, tau: float = 0.5, parts_first: bool = False) -> Tensor:
    """What each box holds (Appendix A.2): indices into KINDS, int64 (i, s), -1 for a box without area.

    The appendix's order: a box with IoU above tau is a single object, and so is one that covers more than tau of
    exactly one object; else a part, if more than tau of the box lies in an object; else a group, if it covers more than
    tau of several; else background. `parts_first` asks for parts before the second of these.
    """
    truth = truth * there[..., None]
    low = torch.maximum(found[:, :, None, :2], truth[:, None, :, :2])
    high = torch.minimum(found[:, :, None, 2:], truth[:, None, :, 2:])
    inner = (high - low).clamp(min=0).prod(-1).float()
    area = lambda box: (box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1).float()  # noqa: E731
    covered = (inner / area(truth)[:, None].clamp(min=1e-9) > tau).sum(-1)  # (i, s): how many objects
    part = (inner / area(found)[..., None].clamp(min=1e-9) > tau).any(-1)
    fits = (overlaps(found, truth) > tau).any(-1)
    one = covered == 1
    single = fits | (one & ~part) if parts_first else fits | one
    out = torch.full(found.shape[:2], BG, device=found.device)
    for kind, holds in ((GO, covered > 1), (PO, part), (SO, single)):  # the last that holds wins
        out = torch.where(holds, kind, out)
    return torch.where(area(found) > 0, out, -1)


def shares(kind: Tensor) -> dict[str, float]:
    """Percent of all boxes of each kind; they sum to 100. Raises BadInput where there is no box."""
    if not (kind >= 0).any():
        raise BadInput("kinds of slots: there is no box")
    return {name: 100 * float((kind[kind >= 0] == k).float().mean()) for k, name in enumerate(KINDS)}

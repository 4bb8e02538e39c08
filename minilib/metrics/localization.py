"""How well boxes find objects: CorLoc and DecRate (open-vocabulary localization, Sec. 6).

Axes: i images (frames), s predicted boxes, o true boxes. Boxes are x0, y0, x1, y1, ends exclusive; one without area is
no box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minilib.errors import BadInput

FOUND = 0.5  # an object is found by a box of a larger IoU


def check_boxes(boxes: Tensor, what: str, size: tuple[int, int] | None = None) -> None:
    """BadInput for boxes that are not (..., 4), inverted, not finite, or outside of a picture of `size` (h, w)."""
    if boxes.shape[-1:] != (4,):
        raise BadInput(f"{what} {tuple(boxes.shape)}: a box has four numbers, x0, y0, x1, y1")
    if not torch.isfinite(boxes.float()).all():
        raise BadInput(f"{what}: a box holds numbers that are not finite")
    if (boxes[..., 2:] < boxes[..., :2]).any():
        wrong = boxes.reshape(-1, 4)[(boxes[..., 2:] < boxes[..., :2]).any(-1).flatten()][0].tolist()
        raise BadInput(f"{what}: box {wrong} is inverted; boxes are x0, y0, x1, y1")
    if size is not None and ((boxes < 0).any() or (boxes[..., 2] > size[1]).any() or (boxes[..., 3] > size[0]).any()):
        raise BadInput(f"{what}: a box lies outside of its picture of {size[0]} x {size[1]} pixels")


def overlaps(found: Tensor, truth: Tensor, extra: float = 0.0) -> Tensor:
    """IoU of found (..., s, 4) and true boxes (..., o, 4): (..., s, o), 0 for a box without area.

    extra: pixels added to widths and heights in all areas; 1 is what the released code comes to.
    """
    found, truth = found[..., :, None, :].float(), truth[..., None, :, :].float()
    sides = lambda low, high: (high - low + extra).clamp(min=0)  # noqa: E731
    inner = sides(torch.maximum(found[..., :2], truth[..., :2]), torch.minimum(found[..., 2:], truth[..., 2:]))
    areas = [sides(box[..., :2], box[..., 2:]).prod(-1) for box in (found, truth)]
    real = [((box[..., 2:] - box[..., :2]) > 0).all(-1) for box in (found, truth)]
    inner = inner.prod(-1) * (real[0] & real[1])
    return inner / (areas[0] + areas[1] - inner).clamp(min=1e-9)


def best(found: Tensor, truth: Tensor, extra: float = 0.0) -> Tensor:
    """The best IoU of each true box, (..., o); 0 where there is no box at all. Raises BadInput for a box that is
    inverted or not finite."""
    check_boxes(found, "found")
    if not found.shape[-2]:
        return truth.new_zeros(truth.shape[:-1], dtype=torch.float32)
    return overlaps(found, truth, extra).amax(-2)


def cor_loc(iou: Tensor, there: Tensor) -> float:
    """Percent of images with an object in which at least one was found; best IoUs and who is there, (i, o)."""
    has = there.any(1)
    if not has.any():
        raise BadInput("CorLoc: no image has an object, there is nothing to find")
    return 100 * float(((iou > FOUND) & there).any(1)[has].float().mean())


def dec_rate(iou: Tensor, there: Tensor) -> float:
    """Percent of all objects that were found, by the text (Sec. 6); (i, o) as in `cor_loc`."""
    if not there.any():
        raise BadInput("DecRate: no image has an object, there is nothing to find")
    return 100 * float((iou > FOUND)[there].float().mean())


def dec_rate_released(iou: Tensor, there: Tensor) -> float:
    """The released code's DecRate: the mean over images of the share of their objects that were found."""
    has = there.any(1)
    if not has.any():
        raise BadInput("DecRate: no image has an object, there is nothing to find")
    hits = ((iou > FOUND) & there).sum(1)[has]
    return 100 * float((hits / there.sum(1)[has]).mean())

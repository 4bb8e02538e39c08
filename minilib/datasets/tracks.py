"""Objects followed through a video: what ImageNet-VID and YouTube-VIS say, in one form.

Axes: t frames, o objects. Boxes are x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minilib.errors import BadInput

SLACK = 1.0  # pixels that a box may end outside of its picture: lists count from 0 or 1, and round


@dataclass(frozen=True)
class Tracks:
    """size: height and width of the frames; boxes float (t, o, 4); there bool (t, o), zeros in `boxes` where not;
    labels int64 (o,), places among the data set's classes."""

    size: tuple[int, int]
    boxes: Tensor
    there: Tensor
    labels: Tensor

    def at(self, frames: list[int]) -> Tracks:
        """Those of some frames."""
        return replace(self, boxes=self.boxes[frames], there=self.there[frames])

    def resized(self, size: tuple[int, int]) -> Tracks:
        """The boxes in frames of another size (h, w)."""
        (h, w), (rows, columns) = self.size, size
        return replace(self, size=size, boxes=self.boxes * torch.tensor([columns / w, rows / h] * 2))


def tracks_of(size: tuple[int, int], frames: int, objects: list[tuple[int, dict[int, list[float]]]]) -> Tracks:
    """Tracks of objects, each a label and its boxes by frame, which `checked_box` has seen."""
    boxes = torch.zeros(frames, len(objects), 4)
    there = torch.zeros(frames, len(objects), dtype=torch.bool)
    for o, (_, where) in enumerate(objects):
        for t, box in where.items():
            boxes[t, o], there[t, o] = torch.tensor(box), True
    return Tracks(size, boxes, there, torch.tensor([label for label, _ in objects], dtype=torch.int64))


def checked_box(box: list[float], size: tuple[int, int], where: str) -> list[float]:
    """The box within its picture of `size` (h, w): what ends up to a pixel outside is cut off. One that is inverted or
    lies further outside, and numbers that are none, are BadInput."""
    x0, y0, x1, y1 = box
    height, width = size
    said = f"{where}: box {x0:g}, {y0:g}, {x1:g}, {y1:g}"
    if not all(abs(value) < float("inf") for value in box):
        raise BadInput(f"{said} holds numbers that are not finite")
    if x1 < x0 or y1 < y0:
        raise BadInput(f"{said} is inverted; boxes are x0, y0, x1, y1")
    if min(x0, y0) < -SLACK or x1 > width + SLACK or y1 > height + SLACK:
        raise BadInput(f"{said} lies outside of its picture of {height} x {width} pixels")
    return [min(max(value, 0.0), float(side)) for value, side in zip(box, (width, height) * 2, strict=True)]

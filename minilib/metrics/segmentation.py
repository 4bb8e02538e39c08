"""J, F and J&F of masks in a video, by the protocol of DAVIS-2017 unsupervised (Caelles et al. 2019).

Masks come as identities, one number a pixel: 0 the ground, 1, 2, ... objects in the truth and proposals in the answer,
255 void in the truth. Nobody says which proposal means which object: one assignment for the whole sequence finds the
best. The rules that the text leaves open are those of the official evaluation code.

Axes: t frames, o objects, p proposals, n masks of either kind, h and w pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from minilib.errors import BadInput

VOID = 255
MAX_PROPOSALS = 20
TOLERANCE = 0.008  # of the frame's diagonal: how far two boundaries may lie apart and still match
CHUNK = 2**25  # pixels of masks held at once; the frames of a large video are taken some at a time


@dataclass(frozen=True)
class SequenceScore:
    """Region similarity J and boundary accuracy F of each object in each frame, float64 (o, t), in [0, 1], in the
    order of the objects; `assigned` int64 (o,) the identity of the object's proposal, 0 where none was left.

    The official code gives the rows in the order of the proposals, under the names of the objects; means are the same.
    """

    region: np.ndarray
    boundary: np.ndarray
    assigned: np.ndarray


@dataclass(frozen=True)
class Measure:
    """Averages over objects: of the frames' mean, of the share of frames above 0.5, and of what is lost between the
    first and the last quarter of the frames."""

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True)
class Summary:
    """J (`region`) and F (`boundary`) over all objects of all sequences; `objects` is how many those are."""

    region: Measure
    boundary: Measure
    objects: int

    @property
    def j_and_f(self) -> float:
        """The mean of J and F, by which methods are ranked."""
        return (self.region.mean + self.boundary.mean) / 2


def score_sequence(truth: Tensor | np.ndarray, proposals: Tensor | np.ndarray) -> SequenceScore:
    """Scores one video: identities `truth` and `proposals`, integers (t, h, w), on the truth's device.

    The objects are 1 to the largest identity of the first frame; one that enters later under a larger number is not
    scored. The proposals are 1 to their largest identity, so a number that is skipped stands for an empty mask, as does
    every one that is missing; those left over cost nothing. The assignment maximises the mean of J and F over the
    sequence; where two are equally good, J and F alone may depend on the order of the proposals.

    Raises `BadInput` for shapes that differ, an empty video, identities outside 0-255, a first frame without an object
    (the official code leaves such a sequence out without a word), and proposals numbered above 20.
    """
    truth, proposals, objects, count = _checked(truth, proposals)
    region, boundary = pairwise(truth, proposals, objects, max(count, objects))
    quality = (region.mean(0) + boundary.mean(0)) / 2
    row, column = (torch.from_numpy(index) for index in linear_sum_assignment(quality.cpu().numpy(), maximize=True))
    region, boundary = (score[:, row, column].T.cpu().numpy() for score in (region, boundary))
    return SequenceScore(region, boundary, torch.where(column < count, column + 1, 0).numpy())


def summarise(scores: Iterable[SequenceScore]) -> Summary:
    """The benchmark's figures: each object of each sequence counts the same, however long it is seen."""
    scores = list(scores)
    if not scores:
        raise BadInput("segmentation: there is no sequence to summarise, score at least one")
    region, boundary = (
        Measure(*np.concatenate([statistics(getattr(score, name)) for score in scores], 1).mean(1).tolist())
        for name in ("region", "boundary")
    )
    return Summary(region, boundary, sum(len(score.region) for score in scores))


def statistics(values: np.ndarray) -> np.ndarray:
    """Mean, recall and decay, float64 (3, o), of J or F (o, t). Neighbouring quarters share a frame."""
    ends = np.floor(np.linspace(0, values.shape[1] - 1, 5) + 0.5 + 1e-10).astype(int)
    decay = values[:, : ends[1] + 1].mean(1) - values[:, ends[3] :].mean(1)
    return np.stack([values.mean(1), (values > 0.5).mean(1), decay])


def pairwise(truth: Tensor, proposals: Tensor, objects: int, count: int) -> tuple[Tensor, Tensor]:
    """J and F, float64 (t, o, p), of every object with each of `count` proposals, from identities (t, h, w)."""
    step = max(1, CHUNK // ((objects + count) * truth[0].numel()))
    with torch.autocast(truth.device.type, enabled=False):  # counts of pixels need all the bits of float32
        parts = [
            _pairwise(masks(t, objects), masks(p.where(t != VOID, 0), count))
            for t, p in zip(truth.split(step), proposals.split(step), strict=True)
        ]
    return torch.cat([j for j, _ in parts]), torch.cat([f for _, f in parts])


def _pairwise(truth: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor]:
    """J and F (t, o, p) of boolean masks (t, o, h, w) and (t, p, h, w) without void."""
    a, b = _flat(truth), _flat(proposals)
    both = _shared(a, b)
    union = _size(a)[:, :, None] + _size(b)[:, None] - both
    region = torch.where(union > 0, both / union, 1.0)

    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape[-2:]))
    truth, proposals = boundaries(truth), boundaries(proposals)
    a, b = _flat(truth), _flat(proposals)
    size_a, size_b = _size(a)[:, :, None], _size(b)[:, None]
    recall = _shared(a, _flat(dilate(proposals, radius))) / size_a
    precision = _shared(_flat(dilate(truth, radius)), b) / size_b
    boundary = 2 * precision * recall / (precision + recall)
    boundary = torch.where((precision == 0) | (recall == 0) | (size_a == 0) | (size_b == 0), 0.0, boundary)
    return region, torch.where((size_a == 0) & (size_b == 0), 1.0, boundary)


def masks(identities: Tensor, count: int) -> Tensor:
    """Boolean masks (t, n, h, w) of the identities 1 to n = `count` in (t, h, w)."""
    return identities[:, None] == torch.arange(1, count + 1, device=identities.device).view(-1, 1, 1)


def boundaries(masks: Tensor) -> Tensor:
    """Pixels (..., h, w) that differ from their right, lower or diagonal neighbour in boolean masks (..., h, w).

    The last row has only right neighbours, the last column only lower ones, the corner none: where a mask meets the
    frame there is no boundary.
    """
    edge = torch.zeros_like(masks)
    edge[..., :, :-1] = masks[..., :, :-1] ^ masks[..., :, 1:]
    edge[..., :-1, :].bitwise_or_(masks[..., :-1, :] ^ masks[..., 1:, :])  # `|=` would copy the slice once more
    edge[..., :-1, :-1].bitwise_or_(masks[..., :-1, :-1] ^ masks[..., 1:, 1:])
    return edge


def dilate(masks: Tensor, radius: int) -> Tensor:
    """Pixels (..., h, w) at most `radius` from a pixel of boolean masks (..., h, w).

    A disk is a stack of rows, each wider than the last on the way to the middle, so about 4 * radius shifts do.
    """
    height, width = masks.shape[-2:]
    row, disk, reach = masks.clone(), torch.zeros_like(masks), 0
    for dy in range(min(radius, height - 1), -1, -1):
        half = min(math.isqrt(radius**2 - dy**2), width - 1)
        for dx in range(reach + 1, half + 1):
            row[..., dx:].bitwise_or_(masks[..., :-dx])
            row[..., :-dx].bitwise_or_(masks[..., dx:])
        reach = half
        disk[..., dy:, :].bitwise_or_(row[..., : height - dy, :])
        disk[..., : height - dy, :].bitwise_or_(row[..., dy:, :])
    return disk


def _flat(masks: Tensor) -> Tensor:
    """Masks (t, n, h, w) as float32 (t, n, h * w): ones and zeros, whose sums are exact up to 2^24 pixels."""
    return masks.flatten(2).float()


def _shared(a: Tensor, b: Tensor) -> Tensor:
    """How many pixels each two of flat masks (t, o, h * w), (t, p, h * w) share: float64 (t, o, p)."""
    return (a @ b.mT).double()


def _size(flat: Tensor) -> Tensor:
    """How many pixels flat masks (t, n, h * w) have: float64 (t, n)."""
    return flat.sum(2).double()


def _checked(truth, proposals) -> tuple[Tensor, Tensor, int, int]:
    """Both as int16 on one device, how many objects there are, and how many proposals."""
    truth = torch.as_tensor(truth)
    proposals = torch.as_tensor(proposals, device=truth.device)
    if truth.shape != proposals.shape or truth.ndim != 3:
        raise BadInput(
            f"segmentation: truth {tuple(truth.shape)} and proposals {tuple(proposals.shape)} must both be "
            "(frames, height, width) of the same size; resize the proposals to the truth"
        )
    if not truth.numel():
        raise BadInput(f"segmentation: a video of shape {tuple(truth.shape)} has no pixels to score")
    for name, ids in (("truth", truth), ("proposals", proposals)):
        if ids.dtype not in (torch.uint8, torch.int16, torch.int32, torch.int64):
            raise BadInput(f"segmentation: {name} holds {ids.dtype}; give one identity a pixel, as uint8")
        if ids.min() < 0 or ids.max() > 255:
            raise BadInput(f"segmentation: {name} has identities {ids.min()} to {ids.max()}; they go from 0 to 255")
    truth, proposals = truth.short(), proposals.short()
    first = truth[0]
    objects, count = int(first.where(first != VOID, 0).max()), int(proposals.max())
    if not objects and (first == VOID).any():
        raise BadInput(
            "segmentation: the first frame holds only 0 and 255, and 255 is void here; masks that mark their object "
            "with 255, as DAVIS-2016's do, are given as masks // 255"
        )
    if not objects:
        raise BadInput(
            "segmentation: the first frame shows no object, so there is nothing to score; leave this one out"
        )
    if count > MAX_PROPOSALS:
        raise BadInput(
            f"segmentation: a proposal has the number {count}, the protocol allows 1 to {MAX_PROPOSALS}; keep the "
            f"{MAX_PROPOSALS} best and number them from 1"
        )
    return truth, proposals, objects, count

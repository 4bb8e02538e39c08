"""Soft masks drawn to the edges of the image by a dense conditional random field (Krähenbühl and Koltun 2011).

Every two pixels of a frame are connected: those that look alike and lie near each other (the appearance kernel), or are
just neighbours (the smoothness kernel), pull each other towards the same label. The mean-field update asks each pixel
for a sum over all others. Both sums are exact here, and no matrix of pixels by pixels is ever held: a Gaussian of
features is the exponential of a dot product, so the first is one fused attention; the second is a Gaussian along the
columns and one along the rows. (No library that is still kept up offers this as a wheel for the Pythons in use.)

Memory grows with the pixels of a frame, time with their square: a 64 x 64 frame has 17 million pairs, a 480 x 854 frame
ten thousand times as many. Refine large frames at a lower resolution and enlarge the result.

Axes: f frames, n = h * w pixels, s labels (slots), d features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput

FLOOR = 1e-5  # the least probability of a label, so that evidence can outweigh a mask that is sure of itself


@dataclass(frozen=True)
class DenseCRF:
    """The weights and widths of Eq. 3: w1, theta_alpha (here a share of the frame's longer side, so that it fits any
    resolution), theta_beta (grey levels of 0-255); w2, theta_gamma (pixels). A weight is about the most, in logits,
    that all other pixels together give to a label. The paper sets w2 = theta_gamma = 1 and finds the others on
    validation data; these defaults were found on the small world's validation clips, with coarse copies of the truth as
    masks."""

    appearance: float = 6.0
    near: float = 0.125
    alike: float = 10.0
    smoothness: float = 0.5
    neighbour: float = 1.0
    iterations: int = 5


@dataclass(frozen=True)
class Kernel:
    """A weight k_ij for each two pixels, k_ii = 1. `total` (f, n, 1) is the sum over j, `mean` maps q (f, n, s) to
    sum_j k_ij q_j / total_i."""

    total: Tensor
    mean: Callable[[Tensor], Tensor]

    def messages(self, q: Tensor) -> Tensor:
        """What each pixel hears from all others: sum over j != i of k_ij q_j / sqrt(total_i total_j), (f, n, s)."""
        root = self.total.sqrt()
        return root * self.mean(q / root) - q / self.total


@torch.no_grad()
def refine(frames: Tensor, soft: Tensor, crf: DenseCRF = DenseCRF()) -> Tensor:
    """Probabilities (..., s, h, w) after `crf.iterations` mean-field updates (Algorithm 1) of `soft` (..., s, h, w).

    `frames` uint8 (..., h, w, 3) have the size of the masks. The unary term is -log(soft), the label compatibility is
    Potts': only different labels cost. The sums leave out the pixel itself, as Eq. 4 does. Unlike Eq. 3, and like the
    released code, each kernel is divided by the roots of both pixels' total weight, so that the same weights suit
    frames of any size. Raises `BadInput`.
    """
    _check(frames, soft, crf)
    *lead, labels, height, width = soft.shape
    dtype = torch.promote_types(soft.dtype, torch.float32)
    with torch.autocast(soft.device.type, enabled=False):  # the kernels' exponents need all the bits of float32
        unary = soft.to(dtype).clamp_min(FLOOR).log().reshape(-1, labels, height * width).mT
        pixels = frames.reshape(-1, height, width, 3).to(unary)
        look = appearance_kernel(pixels, crf.near * max(height, width), crf.alike)
        touch = smoothness_kernel(height, width, crf.neighbour, unary)
        q = unary.softmax(-1)
        for _ in range(crf.iterations):
            q = (unary + crf.appearance * look.messages(q) + crf.smoothness * touch.messages(q)).softmax(-1)
    return q.mT.reshape(*lead, labels, height, width).to(soft.dtype)


def appearance_kernel(frames: Tensor, near: float, alike: float) -> Kernel:
    """exp(-|p_i - p_j|^2 / 2 near^2 - |I_i - I_j|^2 / 2 alike^2) on float `frames` (f, h, w, 3): first term of Eq. 3.

    With x = (p / near, I / alike) this is exp(x_i . x_j - |x_j|^2 / 2) times a number that depends on i alone, so the
    weighted mean is attention with queries (x_i, 1) and keys (x_j, -|x_j|^2 / 2).
    """
    count, height, width, _ = frames.shape
    grid = torch.meshgrid(*(torch.arange(side).to(frames) for side in (height, width)), indexing="ij")
    place = torch.stack(grid, -1).expand(count, -1, -1, -1) / near
    x = torch.cat([place, frames / alike], -1).flatten(1, 2)  # (f, n, d)
    x = x - x.mean(1, keepdim=True)  # distances stay, and small numbers lose fewer bits
    half = x.square().sum(-1, keepdim=True) / 2
    query = torch.cat([x, torch.ones_like(half), half], -1)
    key = torch.cat([x, -half, torch.zeros_like(half)], -1)

    # The soft-max hides its denominator; one more key, of weight 1 for every pixel, receives the share 1 / (1 + total).
    more = F.pad(key, (0, 0, 0, 1))
    more[:, -1, -1] = 1
    last = torch.zeros_like(more[..., :1])
    last[:, -1] = 1
    return Kernel(1 / _attention(query, more, last) - 1, lambda q: _attention(query, key, q))


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Soft-max attention (f, n, s) without scaling; fused kernels want one width for all, a multiple of 8."""
    wide = -(-max(query.shape[-1], value.shape[-1]) // 8) * 8
    query, key, padded = (F.pad(part, (0, wide - part.shape[-1]))[:, None] for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, padded, scale=1.0)[:, 0, :, : value.shape[-1]]


def smoothness_kernel(height: int, width: int, neighbour: float, like: Tensor) -> Kernel:
    """exp(-|p_i - p_j|^2 / 2 neighbour^2): second term of Eq. 3, in the type and on the device of `like`."""

    def line(side: int) -> Tensor:
        at = torch.arange(side).to(like)
        return (-((at[:, None] - at) ** 2) / (2 * neighbour**2)).exp()

    rows, columns = line(height), line(width)

    def blur(q: Tensor) -> Tensor:
        return (rows @ q.mT.unflatten(-1, (height, width)) @ columns).flatten(-2).mT

    total = blur(like.new_ones(1, height * width, 1))
    return Kernel(total, lambda q: blur(q) / total)


def _check(frames: Tensor, soft: Tensor, crf: DenseCRF) -> None:
    if frames.dtype != torch.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise BadInput(f"crf: frames must be uint8 (..., h, w, 3), not {frames.dtype} {tuple(frames.shape)}")
    if not soft.is_floating_point() or soft.ndim != frames.ndim or not soft.numel():
        raise BadInput(f"crf: soft masks must be floats (..., labels, h, w), not {soft.dtype} {tuple(soft.shape)}")
    if (*soft.shape[:-3], *soft.shape[-2:]) != frames.shape[:-1]:
        raise BadInput(
            f"crf: masks {tuple(soft.shape)} do not fit frames {tuple(frames.shape)}; resize the masks to the frames"
        )
    if not (soft.isfinite() & (soft >= 0)).all():
        raise BadInput("crf: soft masks must be probabilities; these hold negative numbers or none at all (nan, inf)")
    if min(crf.near, crf.alike, crf.neighbour) <= 0 or min(crf.appearance, crf.smoothness, crf.iterations) < 0:
        raise BadInput(f"crf: widths must be above 0, weights and iterations 0 or more, not {crf}")

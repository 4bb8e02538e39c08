"""ZeroI2V's linear adapters (Sec. 3.3), and how they are multiplied into the layer that they stand beside.

Axes: d width, r bottleneck, o outputs of a layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """x + s U D x with biases, x (..., d) -> the same.

    The released code scales by s = 0.5 (Kinetics, UCF101, HMDB51) or 1 (Something-Something v2) and drops 0.1 in the
    bottleneck; the text has neither. U starts at zero, so the first step is the image model.
    """

    def __init__(self, width: int, bottleneck: int, scale: float = 0.5, dropout: float = 0.1):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.dropout, self.scale = nn.Dropout(dropout), scale
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.up(self.dropout(self.down(x)))

    def affine(self) -> tuple[Tensor, Tensor]:
        """(A, a) with forward(x) = A x + a in evaluation mode: A = I + s U D (d, d), a = s (U b_D + b_U) (d)."""
        matrix = torch.eye(self.up.out_features, device=self.up.weight.device, dtype=self.up.weight.dtype)
        matrix = matrix + self.scale * self.up.weight @ self.down.weight
        return matrix, self.scale * (self.up.weight @ self.down.bias + self.up.bias)


def merge_before(weight: Tensor, bias: Tensor, adapter: Adapter) -> tuple[Tensor, Tensor]:
    """Weight (o, d) and bias (o) of `linear(adapter(x))`: W A, b + W a."""
    matrix, shift = adapter.affine()
    return weight @ matrix, bias + weight @ shift


def merge_after(weight: Tensor, bias: Tensor, adapter: Adapter) -> tuple[Tensor, Tensor]:
    """Weight and bias of `adapter(linear(x))`, Eq. 11 with the biases that it leaves out: A W, A b + a."""
    matrix, shift = adapter.affine()
    return matrix @ weight, matrix @ bias + shift

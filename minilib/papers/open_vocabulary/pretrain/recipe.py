"""How the small checkpoints of open-vocabulary localization learn: AdamW, a short warm-up, then a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.timed_training import Training

WARMUP = 0.05  # the share of the time in which rates rise
DECAY = 0.05  # of matrices; vectors do not decay


def cosine(step: int, passed: float) -> float:
    """The part of the highest rate to use after a share `passed` of the time."""
    passed = max(passed, 1e-3)
    return min(passed / WARMUP, 0.5 * (1 + math.cos(math.pi * passed)))


@dataclass(frozen=True)
class Drawn:
    """A loss of a generator on the CPU, which depends on the step alone."""

    of: Callable[[torch.Generator], Tensor]

    def __call__(self, step: int, passed: float) -> Tensor:
        return self.of(torch.Generator().manual_seed(step))


def training(module: nn.Module, loss: Callable[[torch.Generator], Tensor], lr: float) -> Training:
    """What of `module` requires a gradient learns at a rate of at most `lr`; loss(generator) -> scalar."""
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=trained[0].is_cuda)
    return Training(module, Drawn(loss), [optimizer], cosine)

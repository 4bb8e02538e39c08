"""Muon for networks with convolutions (Jordan 2024): a matrix moves by its gradient made orthogonal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 16  # rows and columns of a matrix: what is narrower, as the last layer to a few channels, is left to AdamW


def _arranged(values: Tensor, weight: Tensor) -> Tensor:
    """Values of the weight's shape with their axes in the order of the weight's memory, outputs first."""
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return values.permute(0, 2, 3, 1) if last else values


class FlatMuon(torch.optim.Muon):
    """torch's Muon, which takes matrices alone, on weights of any number of axes: one row for each output. A step is as
    long as one of AdamW. The weights must stay where they are in memory: move a model first."""

    def __init__(self, weights: list[nn.Parameter], lr: float):
        self.weights = weights
        flat = [_arranged(weight.detach(), weight).view(len(weight), -1) for weight in weights]
        super().__init__(flat, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self) -> None:
        for weight, matrix in zip(self.weights, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if weight.grad is None else _arranged(weight.grad, weight).reshape(matrix.shape)
        super().step()


def muon_and_adamw(model: nn.Module, matrix_lr: float, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and kernels of a model that are learned, AdamW for all else. No weight decays."""
    learned = [p for p in model.parameters() if p.requires_grad]
    wide = [p for p in learned if p.ndim > 1 and min(len(p), p.numel() // len(p)) >= SMALLEST]
    known = {id(p) for p in wide}
    rest = [p for p in learned if id(p) not in known]
    found: list[torch.optim.Optimizer] = []
    if wide:
        found.append(FlatMuon(wide, matrix_lr))
    if rest:
        found.append(torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.0))
    return found

"""What detection pretraining costs (Table 4.4d): iterations x batch x one forward pass, in 10^15 multiply-adds.

The printed figures are forward passes alone, without the backward one, of 16 frames at 224 x 224 through an X3D-M with
its per-frame head; convolutions only. The released code changes the size of clips, and with it that of batches, so that
a step costs the same.
"""

from __future__ import annotations

import torch

from minilib.models.x3d import X3D, X3D_M
from minilib.papers.coarse_fine.counts import clip, convolutions

BATCH = 64


def count_all() -> dict[str, float]:
    """Every countable number of Chapter 4."""
    with torch.device("meta"):
        one = convolutions(X3D(X3D_M, 400), clip(16)) * 1e9
    return {
        f"t44d.{name}": steps * BATCH * one / 1e15 for name, steps in (("scratch", 300_000), ("checkpoint", 100_000))
    }


if __name__ == "__main__":
    for measure, value in count_all().items():
        print(f"{measure:20s} {value:.4f}")

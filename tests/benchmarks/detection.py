"""What temporal detection is timed with: X3D in both ways, a step of the small world, Coarse-Fine and Fine-Fine."""

import torch
from torch import Tensor, nn

from minilib.cost import multiply_adds
from minilib.models.x3d import SMALL, X3D, X3D_M
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool, KeepAll
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream

CLASSES = 157


def networks(device: str) -> tuple[X3D, X3D, Tensor]:
    """The fast X3D-M, the plain one with the same weights, and clips of 16 frames; checked to agree."""
    torch.manual_seed(0)
    fast, plain = (X3D(X3D_M, CLASSES, dropout=0.0, **how).to(device) for how in ({}, {"conv": nn.Conv3d}))
    plain.load_state_dict(fast.state_dict())
    clips = torch.randn(2, 3, 16, 112, 112, device=device)
    with torch.no_grad():
        torch.testing.assert_close(fast.eval()(clips), plain.eval()(clips), atol=1e-5, rtol=1e-4)
    return fast, plain, clips


def training_step(model: nn.Module, clips: Tensor) -> None:
    model.train()(clips).square().mean().backward()


def two_streams(device: str) -> tuple[CoarseFine, CoarseFine, Tensor, float]:
    """Coarse-Fine, Fine-Fine and a clip of the small world; and the ratio of their multiply-adds, all products."""
    both = [
        CoarseFine(CoarseStream(X3D(SMALL, 8), pool, MultiStageFusion), X3D(SMALL, 8)).to(device).eval()
        for pool in (GridPool, KeepAll)
    ]
    clips = torch.randn(1, 3, 128, 64, 64, device=device)
    counts = [multiply_adds(model, clips) for model in both]
    return *both, clips, counts[0] / counts[1]


def pretraining_batch(device: str) -> tuple[X3D, Tensor, Tensor]:
    """An X3D of the small world, a batch of its short clips and their labels."""
    return X3D(SMALL, 8).to(device), torch.randn(16, 3, 16, 64, 64, device=device), torch.arange(16, device=device) % 8

"""What a trained Coarse-Fine network looks at: where its grid samples, and how that agrees with where things happen.

Axes: b clips, t frames, n grid points.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from minilib.papers.coarse_fine.grid import GridPool, inverse
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream
from minilib.papers.coarse_fine.runs import LongClips, OnLevels


def density(locations: Tensor, frames: int) -> Tensor:
    """Grid points a frame, (b, n) -> (b, t): how far the grid's own index moves while time passes the frame."""
    edges = torch.arange(frames + 1, dtype=locations.dtype, device=locations.device) - 0.5
    edges = edges.clamp(0, frames - 1)  # the first and the last frame are met by half
    return inverse(locations, edges.expand(len(locations), -1)).diff(dim=1) / edges.diff()


def correlation(density: Tensor, informative: Tensor) -> float:
    """Pearson's correlation over a clip's frames of (b, t) with bool (b, t), mean over clips.

    Clips in which always or never something happens have none and are left out; a uniform grid has 0.
    """
    mixed = informative.any(1) & ~informative.all(1)
    x, y = (each[mixed].double() - each[mixed].double().mean(1, keepdim=True) for each in (density, informative))
    size = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return float(((x * y).sum(1) / size.clamp(min=1e-3)).mean())


def true_confidence(informative: Tensor, ratio: int = 4, contrast: float = 0.9) -> Tensor:
    """What a perfect head would say: the share of each interval in which something happens, times `contrast`;
    bool (b, t) -> (b, t / ratio)."""
    return contrast * informative.float().unflatten(1, (-1, ratio)).mean(2)


def coarse_of(model: nn.Module) -> CoarseStream:
    """The coarse stream of whatever was trained."""
    return model.coarse if isinstance(model, OnLevels | CoarseFine) else model


@torch.no_grad()
def locations(model: nn.Module, clips: LongClips, device: str = "cpu", batch: int = 64) -> Tensor:
    """Where the grid of a trained model samples every clip, (n clips, points)."""
    coarse = coarse_of(model).to(device).eval()
    parts = np.array_split(np.arange(len(clips)), -(-len(clips) // batch))
    return torch.cat([coarse.sampled(clips(part).to(device))[1].locations.cpu() for part in parts])


def look(model: nn.Module, clips: LongClips, device: str = "cpu") -> float | None:
    """Correlation of a model's sampling with the informative frames; None where it has no grid of its own."""
    if not isinstance(getattr(coarse_of(model), "pool", None), GridPool):
        return None
    return correlation(density(locations(model, clips, device), clips.frames), clips.rendered.informative)

"""What DiST's branches see (Fig. 5): their likeness to the image model, and where their features are large.

Axes: b clips, t sparse frames, g = gamma, h and w patches (or pixels), l layers, d and c channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from minilib.models.clip import SMALL
from minilib.metrics.similarity import cka_matrix
from minilib.papers.dist.arms import Inputs
from minilib.world import WorldClips, clip_scenes, render, sample_times

Layers = Callable[[nn.Module, Inputs], list[Tensor]]  # a model and its inputs -> features of every layer, each (b, p)

# --- Fig. 5(a): likeness to the image model --------------------------------------------------------------------------


def temporal(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """Z_l, mean over frames and patches."""
    return [z.mean((1, 2, 3)) for z in model.recogniser.parts(inputs.frames, inputs.features)["temporal"]]


def integrated(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The class tokens of Y_l, mean over frames."""
    return [y[:, :, 0].mean(1) for y in model.recogniser.parts(inputs.frames, inputs.features)["integrated"]]


def evl(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """EVL's query after each of its decoder's layers."""
    kept: list[Tensor] = []
    hooks = [d.register_forward_hook(lambda *call: kept.append(call[-1][:, 0])) for d in model.classifier.decoder]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


@torch.no_grad()
def likeness(model: nn.Module, layers: Layers, batches) -> Tensor:
    """Linear CKA (l, l') of the image model's class tokens, mean over frames, with the features that `layers` takes.

    batches: ([Inputs with cached features], labels).
    """
    model.eval()
    pairs = ((list(inputs.features.cls.mean(2)), layers(model, inputs)) for (inputs,), _ in batches)
    return cka_matrix(pairs)


# --- Fig. 5(b): where features are large -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Magnitudes:
    """Norms over channels of the last layers, (b, t, h, w): of the image model's patches and of the temporal encoder's;
    `moving`: how much of each patch the acting objects cover, in [0, 1]."""

    spatial: Tensor
    temporal: Tensor
    moving: Tensor

    def share(self, maps: Tensor) -> float:
        """The part of the maps' sum that lies on what moves, in percent."""
        return 100 * float((maps * self.moving).sum() / maps.sum())

    @property
    def uniform(self) -> float:
        """The share of a map that is the same everywhere: only more than that looks at what moves."""
        return 100 * float(self.moving.mean())


def cover(source: WorldClips, indices: np.ndarray, gamma: int) -> Tensor:
    """How much of each patch of the sparse frames belongs to an object with a motion: (b, t, h, w)."""
    scenes = clip_scenes(source.seed, source.split, indices)
    _, ids = render(scenes, sample_times(source.steps)[::gamma], source.size, ids=True)
    acting = torch.as_tensor((scenes.motion[:, :, 0] >= 0) & scenes.present)  # (b, o)
    acting = torch.cat([torch.zeros(len(acting), 1, dtype=torch.bool), acting], 1).to(ids.device)  # 0 is the ground
    mask = acting.float()[torch.arange(len(ids), device=ids.device).view(-1, 1, 1, 1), ids.long()]
    return torch.nn.functional.avg_pool2d(mask, SMALL.vision["patch_size"])


@torch.no_grad()
def magnitudes(model: nn.Module, inputs: Inputs, moving: Tensor) -> Magnitudes:
    """Of a trained DiST and inputs with cached features."""
    z = model.eval().recogniser.parts(inputs.frames, inputs.features)["temporal"][-1][:, :: inputs.gamma]
    spatial = inputs.features.patches[-1].norm(dim=-1).view(moving.shape)
    return Magnitudes(spatial, z.norm(dim=-1), moving)


# --- as rows ---------------------------------------------------------------------------------------------------------


def of_dist(model: nn.Module, clips) -> dict[str, float]:
    """Rows of a trained DiST on `dist_runs.Clips`: likeness of its last layers to the image model's, and the share of
    magnitude on what moves."""
    out = {
        f"cka/{name}": float(likeness(model, layers, clips.held())[-1, -1])
        for name, layers in (("temporal", temporal), ("integrated", integrated))
    }
    indices = np.arange(min(64, len(clips.source)))
    inputs, _ = clips.batch(indices)
    maps = magnitudes(model, inputs, cover(clips.source, indices, clips.gamma))
    shares = {"temporal": maps.share(maps.temporal), "spatial": maps.share(maps.spatial), "uniform": maps.uniform}
    return out | {f"maps/moving/{name}": share for name, share in shares.items()}


def of_evl(model: nn.Module, clips) -> dict[str, float]:
    """The row of a trained EVL."""
    return {"cka/evl": float(likeness(model, evl, clips.held())[-1, -1])}

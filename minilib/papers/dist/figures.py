"""What DiST's branches see (Fig. 5): their likeness to the image model, and where their features are large; as numbers
of a trained model, too, with controls beside them. And what a small model costs (Fig. 1).

Axes: b clips, t sparse frames, g = gamma, h and w patches (or pixels), l layers, d and c channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from minilib.cost import counting
from minilib.metrics.similarity import cka_matrix
from minilib.models.clip import SMALL
from minilib.papers.dist.small import Inputs, OnInputs, OnSparse
from minilib.study import Clips, Variant
from minilib.world.moving import moving_pixels

Layers = Callable[[nn.Module, Inputs], list[Tensor]]  # a model and its inputs -> features of every layer, each (b, p)


def image(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The image model's class tokens, mean over frames."""
    return list(inputs.features.cls.mean(2))


def temporal(model: OnInputs, inputs: Inputs) -> list[Tensor]:
    """Z_l, mean over frames and patches."""
    return [z.mean((1, 2, 3)) for z in model.recogniser.parts(inputs.frames, inputs.features)["temporal"]]


def integrated(model: OnInputs, inputs: Inputs) -> list[Tensor]:
    """The class tokens of Y_l, mean over frames."""
    return [y[:, :, 0].mean(1) for y in model.recogniser.parts(inputs.frames, inputs.features)["integrated"]]


def other_clips(model: OnInputs, inputs: Inputs) -> list[Tensor]:
    """`integrated`, each clip's handed to its neighbour: a negative control."""
    return [y.roll(1, 0) for y in integrated(model, inputs)]


def evl(model: OnSparse, inputs: Inputs) -> list[Tensor]:
    """EVL's query after each of its decoder's layers."""
    return model.classifier.queries(model.classifier.normalise(inputs.sparse))


@torch.no_grad()
def cka(model: nn.Module, layers: Layers, feed: Clips) -> Tensor:
    """Linear CKA (l, l') of the image model's class tokens with the features that `layers` takes, over the feed's test
    clips, whose features are cached."""
    model.cpu().eval()
    return cka_matrix((image(model, inputs), layers(model, inputs)) for inputs, _ in feed.test())


@dataclass(frozen=True)
class Magnitudes:
    """maps (b, t, h, w) by name: norms over channels of the last layers, `spatial` of the image model's patches and
    `temporal` of the encoder's; and two controls, `differences` of each frame and the next, and `other_clips`, each
    clip's temporal map handed to its neighbour. `moving`: how much of each patch moving objects cover, in [0, 1]."""

    maps: Mapping[str, Tensor]
    moving: Tensor

    def fraction(self, maps: Tensor) -> float:
        """The part of the maps' sum that lies on what moves, in percent."""
        return 100 * float((maps * self.moving).sum() / maps.sum())

    def fractions(self) -> dict[str, float]:
        """Of each map, and of one that is the same everywhere: only more than that looks at what moves."""
        uniform = torch.ones_like(self.moving)
        return {name: self.fraction(each) for name, each in {**self.maps, "uniform": uniform}.items()}


def by_patch(maps: Tensor) -> Tensor:
    """Means over the patches of the small image model, (b, t, h, w) pixels -> patches."""
    return torch.nn.functional.avg_pool2d(maps, SMALL.vision["patch_size"])


@torch.no_grad()
def magnitudes(model: OnInputs, feed: Clips, indices: np.ndarray) -> Magnitudes:
    """Of a trained DiST on the feed's clips `indices`, whose features are cached."""
    inputs, _ = feed.at(indices)
    moving = by_patch(moving_pixels(feed.source, indices, inputs.gamma))
    z = model.cpu().eval().recogniser.parts(inputs.frames, inputs.features)["temporal"][-1]
    temporal, grey = z[:, :: inputs.gamma].norm(dim=-1), inputs.frames.float().mean(-1)
    maps = {
        "spatial": inputs.features.patches[-1].norm(dim=-1).view(moving.shape),
        "temporal": temporal,
        "differences": by_patch((grey[:, 1:] - grey[:, :-1]).abs()[:, :: inputs.gamma]),
        "other_clips": temporal.roll(1, 0),
    }
    return Magnitudes(maps, moving)


def of_dist(model: OnInputs, feed: Clips, device: str) -> dict[str, float]:
    """Metrics of a trained DiST: mean CKA over all pairs of blocks, fractions on what moves, and their controls."""
    likeness = {"temporal": temporal, "integrated": integrated, "itself": image, "other_clips": other_clips}
    fractions = magnitudes(model, feed, np.arange(min(64, len(feed.source)))).fractions()
    return {f"cka/{name}": float(cka(model, layers, feed).mean()) for name, layers in likeness.items()} | {
        f"moving/{name}": value for name, value in fractions.items()
    }


def of_evl(model: OnSparse, feed: Clips, device: str) -> dict[str, float]:
    """The same mean CKA of a trained EVL."""
    return {"cka": float(cka(model, evl, feed).mean())}


def megas(variant: Variant) -> float:
    """Million multiply-adds of one clip, the image model's included."""
    model, task = variant.build(None).eval(), variant.task
    frames = torch.zeros(1, task.gamma * task.frames, 64, 64, 3, dtype=torch.uint8)
    with counting() as count, torch.no_grad():
        model(Inputs(frames, task.gamma))
    return count() / 1e6

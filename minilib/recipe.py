"""A recipe: how long, how fast and on which changed clips a model trains.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from minilib import settings as described

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # what rows call a precision


@dataclass(frozen=True)
class TrainSettings:
    """A recipe. Rates are fractions, `warmup` counts steps, `rand_augment` is (operations, magnitude) or None,
    `clip_grad` the norm at which gradients are clipped, 0 for none."""

    steps: int = 400
    batch: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 20
    smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: tuple[int, int] | None = None
    erasing: float = 0.0
    flip: float = 0.0
    clip_grad: float = 1.0
    precision: str = "fp32"
    seed: int = 0

    @property
    def dtype(self) -> str:
        """What rows call the precision."""
        return DTYPES[self.precision]

    def key(self) -> str:
        """A short hash of the recipe, to tell runs apart."""
        return described.key(self)

    def at_rate(self, factor: float) -> TrainSettings:
        """The same recipe at `factor` times its learning rate."""
        return replace(self, lr=self.lr * factor)

    def for_share(self, share: float) -> TrainSettings:
        """The same recipe over a share of its steps, its warm-up shortened alike."""
        return replace(self, steps=max(round(share * self.steps), 1), warmup=round(share * self.warmup))

    def smoke(self) -> TrainSettings:
        """A few steps that only show that everything runs."""
        return replace(self, steps=4, warmup=1, batch=8)

    def with_seed(self, seed: int) -> TrainSettings:
        """The same recipe with another seed."""
        return replace(self, seed=seed)


def augmentation(settings: TrainSettings) -> Callable[[Tensor], Tensor]:
    """uint8 (b, t, h, w, 3) -> the same, each clip drawn once and all of its frames changed alike."""
    parts: list[nn.Module] = [v2.RandomHorizontalFlip(settings.flip)] if settings.flip else []
    if settings.rand_augment:
        operations, magnitude = settings.rand_augment
        parts.append(v2.RandAugment(operations, magnitude))
    if settings.erasing:
        parts.append(v2.RandomErasing(settings.erasing))
    if not parts:
        return lambda frames: frames
    change = v2.Compose(parts)
    return lambda frames: torch.stack([change(clip) for clip in frames.movedim(-1, 2)]).movedim(2, -1)

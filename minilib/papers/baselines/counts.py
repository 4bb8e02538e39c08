"""What the baselines cost at the papers' sizes: counted on the meta device, without weights or data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from minilib.cost import multiply_adds, tunable_parameters
from minilib.models.clip import VIT_B16, VIT_L14, Architecture, without_words
from minilib.papers.baselines import AIM, EVL, STAdapter

VIEWS = 3
Method = Callable[[nn.Module, int, int], nn.Module]  # tower, frames, classes -> model
AT_32_FRAMES: Mapping[str, tuple[Architecture, Method]] = {
    "st_adapter.b16.32.one": (VIT_B16, STAdapter),
    "st_adapter.b16.32": (VIT_B16, partial(STAdapter, places=("attention", "mlp"))),
    "aim.b16.32.three": (VIT_B16, AIM),
    "aim.b16.32.four": (VIT_B16, partial(AIM, temporal_adapters=2)),
    "evl.l14.32": (VIT_L14, EVL),
    "evl.l14.32.ssv2": (VIT_L14, partial(EVL, layers=12)),
}


def counted(architecture: Architecture, method: Method, frames: int = 32) -> dict[str, float]:
    """10^9 multiply-adds of three views of `frames` each (gflops) and 10^6 trained parameters (tunable), the classifier
    left out."""
    size = architecture.vision["image_size"]
    visual = without_words(architecture).visual
    visual.proj = None
    with torch.device("meta"):
        model = method(visual, frames, 1)
        model.head = nn.Identity()
        pixels = torch.empty(1, frames, 3, size, size)
    return {"gflops": VIEWS * multiply_adds(model, pixels) / 1e9, "tunable": tunable_parameters(model) / 1e6}

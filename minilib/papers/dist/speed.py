"""DiST's Table 3 as ratios on one device, against ST-Adapter and EVL: memory and time of a training step, throughput.

Every measurement is a set of rounds in which the models take turns; a round is recorded under its number as seed, as a
ratio to DiST, so that rounds pair up. Weights are random: none of these numbers depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.claims import Measurements
from minilib.models.clip import VIT_B16, Architecture, build
from minilib.cost import peak_training_memory
from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.papers.dist.clip import DiSTRecogniser, Taps, sparse_taps
from minilib.papers.baselines import EVL, STAdapter
from minilib.papers.zeroi2v.speed import relative, rounds_of, tower

CLASSES = 10
BATCH = 2  # clips when memory is measured: with one, the frozen weights, which all methods hold, are half of it


def dist(architecture: Architecture, frames: int, taps: Taps = sparse_taps) -> DiSTRecogniser:
    """DiST on an image model of that size, ready to train."""
    clip = build(architecture, tokenize=lambda texts: None)
    net = DiST(ImageSizes.of(clip.visual), Design(frames=frames))
    return DiSTRecogniser(clip, net, torch.randn(CLASSES, architecture.embed_dim), taps=taps)


@dataclass(frozen=True)
class Contest:
    """Models by name, each with the pixels that it takes (b, t, 3, h, w), and what a training step of one is."""

    models: dict[str, nn.Module]
    pixels: dict[str, Tensor]
    target: Tensor

    def train(self, name: str) -> None:
        model = self.models[name].train()
        F.cross_entropy(model(self.pixels[name]), self.target).backward()
        model.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def infer(self, name: str) -> None:
        self.models[name].eval()(self.pixels[name])

    def calls(self, what: Callable[[str], None]) -> dict[str, Callable[[], None]]:
        return {name: partial(what, name) for name in self.models}


def contest(frames: int, device: str, architecture: Architecture = VIT_B16, batch: int = 1) -> Contest:
    """The three methods of Table 3, new parts and frozen image models of the same size."""
    models = {
        "dist": dist(architecture, frames),
        "st_adapter": STAdapter(tower(architecture), frames, CLASSES, ("attention", "mlp")),
        # Table 3 is of Something-Something v2, where EVL's decoder has a layer for every block
        "evl": EVL(tower(architecture), frames, CLASSES, layers=architecture.vision["layers"]),
    }
    size = architecture.vision["image_size"]
    dense = torch.randn(batch, 2 * frames, 3, size, size, device=device)
    pixels = {name: dense if name == "dist" else dense[:, ::2].contiguous() for name in models}
    models = {name: model.to(device) for name, model in models.items()}
    return Contest(models, pixels, torch.zeros(batch, dtype=torch.long, device=device))


def peaks(frames: int, device: str, architecture: Architecture = VIT_B16, batch: int = BATCH) -> dict[str, int]:
    """Bytes at the peak of a training step, by method."""
    models = contest(frames, device, architecture, batch)
    return {name: peak_training_memory(call, device).peak for name, call in models.calls(models.train).items()}


def measure_costs(
    measurements: Measurements, rounds: int = 3, frames: int = 8, architecture: Architecture = VIT_B16
) -> None:
    """Records what is missing of the rows cost/memory.*, cost/step.* and cost/throughput.*, `rounds` each."""
    if measurements.find("cost/throughput.evl", rounds - 1) is not None:
        return
    memory = peaks(frames, measurements.device, architecture)
    models = contest(frames, measurements.device, architecture)
    steps = relative(rounds_of(models.calls(models.train), rounds), "dist")
    passes = relative(rounds_of(models.calls(models.infer), rounds), "dist")
    for number, (step, seconds) in enumerate(zip(steps, passes, strict=True)):
        for name in models.models:
            measurements.record(f"cost/memory.{name}", memory[name] / memory["dist"], number)
            measurements.record(f"cost/step.{name}", step[name], number)
            measurements.record(f"cost/throughput.{name}", 1 / seconds[name], number)

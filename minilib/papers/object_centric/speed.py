"""OCA's Tables 9 and 10 as ratios on one device: time and memory of a training step, and throughput.

The methods take turns within each round, and a round is recorded under its number as seed, as a ratio to OCA. The image
model is ViT-B/16 with random weights; OCA computes its features in every step, as on data that no cache holds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.claims import Measurements
from minilib.cost import peak_training_memory
from minilib.models.classifier import VideoClassifier
from minilib.models.clip import VIT_B16, Architecture, build
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.object_centric.losses import distilled
from minilib.papers.object_centric.method import OnFrames, oca
from minilib.papers.zeroi2v.speed import relative, rounds_of, tower

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
CLASSES = 10
BATCH = 2  # clips: with one, OCA's losses have no second video, and the frozen weights are half of everybody's memory


def entropy(model: nn.Module, frames: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(model(frames), target)


def models(architecture: Architecture, frames: int) -> dict[str, tuple[nn.Module, Loss]]:
    """Each method with the loss it trains with."""
    clip = build(architecture, tokenize=lambda texts: None).eval()
    peers = {
        "st_adapter": STAdapter(tower(architecture), frames, CLASSES),
        "aim": AIM(tower(architecture), frames, CLASSES, temporal_adapters=2),
        "evl": EVL(tower(architecture), frames, CLASSES),
        "full_image": VideoClassifier(tower(architecture).requires_grad_(True), CLASSES),
    }
    ours = OnFrames(clip, oca(clip.visual, frames, CLASSES))
    return {"oca": (ours, distilled)} | {name: (model, entropy) for name, model in peers.items()}


def measured(
    frames: int, rounds: int, device: str, architecture: Architecture = VIT_B16, batch: int = BATCH
) -> tuple[dict[str, float], list[dict[str, float]], list[dict[str, float]]]:
    """Peak memory of a training step, seconds of a step and seconds of a forward pass by method, relative to OCA."""
    size = architecture.vision["image_size"]
    pixels = torch.randint(256, (batch, frames, size, size, 3), dtype=torch.uint8, device=device)
    target = torch.arange(batch, device=device) % CLASSES
    memory, steps, passes = {}, {}, {}
    for name, (model, loss) in models(architecture, frames).items():
        model.to(device)

        def step(model: nn.Module = model, loss: Loss = loss) -> None:
            loss(model.train(), pixels, target).backward()
            model.zero_grad(set_to_none=True)

        @torch.inference_mode()
        def infer(model: nn.Module = model) -> None:
            model.eval()(pixels)

        memory[name] = peak_training_memory(step, device).peak
        steps[name], passes[name] = step, infer
    memory = {name: bytes_ / memory["oca"] for name, bytes_ in memory.items()}
    return memory, relative(rounds_of(steps, rounds), "oca"), relative(rounds_of(passes, rounds), "oca")


def measure_costs(measurements: Measurements, rounds: int = 3, frames: int = 8) -> None:
    """Records what is missing of the rows cost/memory.*, cost/step.* and cost/throughput.*, `rounds` each."""
    settings = f"{BATCH} clips of {frames} frames"
    if measurements.find("cost/throughput.evl", rounds - 1, settings) is not None:
        return
    memory, steps, passes = measured(frames, rounds, measurements.device)
    for number, (step, seconds) in enumerate(zip(steps, passes, strict=True)):
        for name in memory:
            measurements.record(f"cost/memory.{name}", memory[name], number, settings)
            measurements.record(f"cost/step.{name}", step[name], number, settings)
            measurements.record(f"cost/throughput.{name}", 1 / seconds[name], number, settings)

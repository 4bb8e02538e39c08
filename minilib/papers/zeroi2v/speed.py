"""ZeroI2V's Tables 9 and 10 as ratios on one device: latency after merging, memory and time of a training step.

Every measurement is a set of rounds in which the models take turns; a round is recorded under its number as seed, as
a ratio to the plain ViT (latency) or to ZeroI2V (training), so that rounds pair up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from minilib.claims import Measurements
from minilib.cost import peak_training_memory
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import VIT_B16, Architecture, build
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.zeroi2v.method import FOUR, STDHA, Adaptation, attach, merge
from minilib.papers.zeroi2v.variants import new_parameters


def tower(architecture: Architecture = VIT_B16) -> nn.Module:
    """The image tower with random weights, without the projection, in evaluation mode."""
    vit = build(architecture, tokenize=lambda texts: None).visual.eval().requires_grad_(False)
    vit.proj = None
    return vit


def zeroi2v(vit: nn.Module, frames: int, classes: int) -> VideoClassifier:
    """Four linear adapters a block and two temporal heads, ready to train."""
    attach(vit, Adaptation(frames, STDHA, FOUR))
    model = VideoClassifier(vit, classes)
    return train_only(model, [*new_parameters(vit), vit.ln_pre.embedding, *model.head.parameters()])


def rounds_of(calls: dict[str, Callable[[], object]], rounds: int, warmup: int = 1) -> list[dict[str, float]]:
    """Seconds of each call in each round; the calls take turns, and the order turns with the rounds."""
    names, out = list(calls), []
    for number in range(-warmup, rounds):
        seconds = {}
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            began = time.perf_counter()
            calls[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] = time.perf_counter() - began
        if number >= 0:
            out.append(seconds)
    return out


def relative(rounds: list[dict[str, float]], to: str) -> list[dict[str, float]]:
    """Each round's seconds by name as ratios to those of the call `to`."""
    return [{name: seconds / each[to] for name, seconds in each.items()} for each in rounds]


def latency(frames: int, rounds: int, device: str, architecture: Architecture = VIT_B16) -> list[dict[str, float]]:
    """Forward passes of one clip by the plain and by the merged model, as ratios to the plain one."""
    plain = tower(architecture).to(device)
    merged = merge(zeroi2v(tower(architecture), frames, 1).backbone).eval().to(device)
    size = architecture.vision["image_size"]
    pixels = torch.randn(frames, 3, size, size, device=device)

    @torch.inference_mode()
    def forward(model: nn.Module) -> None:
        model(pixels)

    return relative(rounds_of({"plain": partial(forward, plain), "merged": partial(forward, merged)}, rounds), "plain")


def training(frames: int, rounds: int, device: str, architecture: Architecture = VIT_B16, batch: int = 1):
    """(memory, steps): peak memory of one training step by method, and seconds of a step, both as ratios to ZeroI2V."""
    classes, size = 10, architecture.vision["image_size"]
    makers = {
        "zeroi2v": zeroi2v,
        "st_adapter": STAdapter,
        "aim": partial(AIM, temporal_adapters=2),
        "evl": EVL,
    }
    pixels = torch.randn(batch, frames, 3, size, size, device=device)
    target = torch.zeros(batch, dtype=torch.long, device=device)
    calls, memory = {}, {}
    for name, make in makers.items():
        model = make(tower(architecture), frames, classes).to(device).train()

        def step(model: nn.Module = model) -> None:
            F.cross_entropy(model(pixels), target).backward()
            model.zero_grad(set_to_none=True)

        calls[name] = step
        memory[name] = peak_training_memory(step, device).peak
    memory = {name: value / memory["zeroi2v"] for name, value in memory.items()}
    return memory, relative(rounds_of(calls, rounds), "zeroi2v")


def measure_costs(measurements: Measurements, rounds: int = 3, frames: int = 8) -> None:
    """Records what is missing of the rows cost/latency.*, cost/memory.* and cost/step.*, `rounds` each."""
    device = measurements.device
    if measurements.find("cost/latency.merged", rounds - 1) is None:
        for number, each in enumerate(latency(frames, rounds, device)):
            for name, ratio in each.items():
                measurements.record(f"cost/latency.{name}", ratio, number)
    if measurements.find("cost/step.aim", rounds - 1) is None:
        memory, steps = training(frames, rounds, device)
        for number, each in enumerate(steps):
            for name, ratio in each.items():
                measurements.record(f"cost/step.{name}", ratio, number)
                measurements.record(f"cost/memory.{name}", memory[name], number)

"""ZeroI2V's Tables 9 and 10 as ratios on one device: latency after merging, memory and time of a training step."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from minilib.claims import Measurements
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import VIT_B16, Architecture
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.zeroi2v import Adaptation, attach, merge, new_parameters
from minilib.papers.zeroi2v.counts import visual
from minilib.study.speed import ROUNDS, Timed, forward, record_rounds, relative, rounds_of, training_costs
from minilib.training import cross_entropy

CLASSES = 10


def zeroi2v(vit: nn.Module, frames: int, classes: int) -> VideoClassifier:
    """Four linear adapters a block and two temporal heads, ready to train."""
    attach(vit, Adaptation(frames))
    model = VideoClassifier(vit, classes)
    return train_only(model, [*new_parameters(vit), *model.head.parameters()])


METHODS = {"zeroi2v": zeroi2v, "st_adapter": STAdapter, "aim": partial(AIM, temporal_adapters=2), "evl": EVL}


def costs(rows: Measurements, architecture: Architecture = VIT_B16, frames: int = 8, rounds: int = ROUNDS) -> None:
    """Records cost/latency.{plain, merged}, relative to the plain image model, and cost/memory.*, cost/step.* of the
    four methods, relative to ZeroI2V; one clip, random weights."""
    size = architecture.vision["image_size"]
    clip = torch.randn(1, frames, 3, size, size, device=rows.device)
    label = torch.zeros(1, dtype=torch.long, device=rows.device)
    plain = visual(architecture, device=rows.device)
    merged = merge(zeroi2v(visual(architecture, device=rows.device), frames, CLASSES).to(rows.device).backbone)
    calls = {"plain": partial(forward, plain, clip[0]), "merged": partial(forward, merged, clip[0])}
    timed = {}
    for name, make in METHODS.items():
        model = make(visual(architecture, device=rows.device).requires_grad_(False), frames, CLASSES)
        timed[name] = Timed(model.to(rows.device), clip, label, cross_entropy)
    found = training_costs(timed, "zeroi2v", rows.device, rounds)
    found["latency"] = relative(rounds_of(calls, rounds), "plain")
    record_rounds(rows, found, [architecture.vision, frames, rounds])

"""OCA at the paper's size: what it costs beside the others (Tables 9 and 10), and its training on real videos.

Costs are ratios to OCA on one device. The image model is ViT-B/16 with random weights; OCA computes its features in
every step, as on data that no cache holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from minilib.claims import Measurements
from minilib.models.clip import VIT_B16, Architecture, build
from minilib.papers.baselines import AIM, EVL, STAdapter, full_image
from minilib.papers.object_centric.losses import Objective, OnPixels
from minilib.papers.object_centric.method import OnFrames, oca
from minilib.study.real import Prepared, Run, image_text
from minilib.study.speed import ROUNDS, Timed, forward, record_rounds, relative, rounds_of, training_costs
from minilib.training import cross_entropy

CLASSES = 10
BATCH = 2  # clips: with one, OCA's losses have no second video, and the frozen weights are half of everybody's memory

# --- costs -----------------------------------------------------------------------------------------------------------


def timed(architecture: Architecture, frames: int, device: str) -> dict[str, Timed]:
    """Each method with the loss it trains with, and a batch."""
    size = architecture.vision["image_size"]
    pixels = torch.randint(256, (BATCH, frames, size, size, 3), dtype=torch.uint8, device=device)
    labels = torch.arange(BATCH, device=device) % CLASSES

    def tower() -> nn.Module:
        vit = build(architecture, tokenize=list).visual.requires_grad_(False)
        vit.proj = None
        return vit

    clip = build(architecture, tokenize=list).eval()
    models = {
        "oca": OnFrames(clip, oca(clip.visual, frames, CLASSES)),
        "st_adapter": STAdapter(tower(), frames, CLASSES),
        "aim": AIM(tower(), frames, CLASSES, temporal_adapters=2),
        "evl": EVL(tower(), frames, CLASSES),
        "full_image": full_image(tower(), frames, CLASSES),
    }
    losses = dict.fromkeys(models, cross_entropy) | {"oca": OnPixels()}
    return {name: Timed(model.to(device), pixels, labels, losses[name]) for name, model in models.items()}


def measure_costs(
    rows: Measurements, rounds: int = ROUNDS, frames: int = 8, architecture: Architecture = VIT_B16
) -> None:
    """Records rounds of cost/step.*, cost/memory.* (of a step) and cost/forward.* (a batch in evaluation)."""
    methods = timed(architecture, frames, rows.device)
    passes = {name: partial(forward, each.model, each.inputs) for name, each in methods.items()}
    found = training_costs(methods, "oca", rows.device, rounds)
    found |= {"forward": relative(rounds_of(passes, rounds), "oca")}
    record_rounds(rows, found, f"{BATCH} clips of {frames} frames")


# --- real videos -----------------------------------------------------------------------------------------------------

PAPER = {"lr": 5e-4, "batch": 512}  # Sec. 4.1; epochs, sampling and augmentation are not in the paper and are ZeroI2V's
COMMON = {"weight_decay": 0.05, "betas": (0.9, 0.999), "warmup_epochs": 2.5, "rand_augment": (4, 7), "flip": 0.5}
DENSE = {"sampling": "dense", "stride": {8: 16, 16: 8, 32: 4}, "views": {"clips": 3, "crops": 1}}
UNIFORM = {"sampling": "uniform", "views": {"clips": 1, "crops": 3}}
KINETICS = PAPER | COMMON | DENSE | {"epochs": 40, "erasing": 0.0, "smoothing": 0.0}
SOMETHING = PAPER | COMMON | UNIFORM | {"epochs": 50, "erasing": 0.25, "smoothing": 0.1}


def object_centric(settings: Run, classes: Sequence[str]) -> Prepared:
    """OCA for `study.real.run`, with the paper's 8 slots and interval of T / 4. Its own loss smooths the labels."""
    recipe = SOMETHING if settings.dataset == "something_something_v2" else KINETICS
    clip = image_text(settings)
    torch.manual_seed(settings.seed)
    model = OnFrames(clip, oca(clip.visual, settings.frames, len(classes)))
    losses = OnPixels(Objective(smoothing=recipe["smoothing"]))
    return Prepared("object_centric", model, settings.frames, recipe | {"smoothing": 0.0}, losses)

"""The baselines on real videos, for `study.real`. Their published recipes are not at hand; RECIPE is a plain one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from minilib.papers.baselines import AIM, EVL, STAdapter, full_image
from minilib.papers.baselines.change_probe import ChangeProbe
from minilib.papers.baselines.st_adapter import PLACES
from minilib.study.real import Prepared, Run, image_text

RECIPE = {
    "lr": 3e-4,
    "weight_decay": 0.05,
    "betas": [0.9, 0.999],
    "batch": 64,
    "epochs": 40,
    "warmup_epochs": 4,
    "sampling": "uniform",
    "views": {"clips": 1, "crops": 1},
    "rand_augment": [2, 5],
    "flip": 0.0,
    "erasing": 0.0,
    "smoothing": 0.1,
}


def prepared(run: Run, classes: Sequence[str], name: str, make: Callable[..., nn.Module], lr: float = 1.0) -> Prepared:
    """make(visual, frames, classes) around the run's image model."""
    visual = image_text(run).visual
    torch.manual_seed(run.seed)
    model = make(visual, run.frames, len(classes))
    return Prepared(name, model, run.frames, RECIPE | {"lr": lr * RECIPE["lr"]})


def st_adapter(run: Run, classes: Sequence[str]) -> Prepared:
    """ST-Adapter before attention and MLP, half as wide as the image model."""
    width = 48 if run.backbone == "small" else 384
    return prepared(run, classes, "st_adapter", partial(STAdapter, places=PLACES, bottleneck=width))


def aim(run: Run, classes: Sequence[str]) -> Prepared:
    """AIM with four adapters a block."""
    return prepared(run, classes, "aim", partial(AIM, temporal_adapters=2))


def evl(run: Run, classes: Sequence[str]) -> Prepared:
    """EVL's decoder of four layers."""
    return prepared(run, classes, "evl", EVL)


def tuned_image_model(run: Run, classes: Sequence[str]) -> Prepared:
    """Full fine-tuning, frame by frame, at a tenth of the rate."""
    return prepared(run, classes, "full_image", full_image, lr=0.1)


def change_probe(run: Run, classes: Sequence[str]) -> Prepared:
    """A linear layer on where frozen features change, at the rate of a linear layer, whatever the image model."""
    return prepared(run, classes, "change_probe", ChangeProbe, lr=10.0 if run.backbone == "small" else 100.0)

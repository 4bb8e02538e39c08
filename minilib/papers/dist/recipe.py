"""DiST on real videos: the released settings, and `run` of `zeroi2v_recipe`, which knows the data sets.

The paper's appendix, which has its training settings, is not at hand: what stands here is the released configuration.
What that does not settle is ZeroI2V's: the sampling, the crops, the augmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.papers.dist.clip import DiSTRecogniser, class_features
from minilib.papers.zeroi2v.recipe import Prepared, Run, image_text
from minilib.papers.zeroi2v.recipe import run as run_method

__all__ = ["RECIPE", "Run", "dist", "run"]

GAMMA = 2
RECIPE = {
    "lr": 3.2e-4,
    "weight_decay": 1e-4,
    "betas": [0.9, 0.999],
    "batch": 256,
    "epochs": 36,
    "warmup_epochs": 6,
    "sampling": "uniform",  # TSN's, on both data sets
    "views": {"clips": 3, "crops": 1},
    "rand_augment": [4, 7],
    "flip": 0.5,
    "erasing": 0.0,
    "smoothing": 0.1,
    "mixup": 0.8,
    "cutmix": 1.0,
}


def dist(settings: Run, classes: Sequence[str]) -> Prepared:
    """DiST as released: two pooling layers, four on Kinetics; the labels' names are the texts.

    The small CLIP knows no words but its world's, so there the classes are learned.
    """
    clip = image_text(settings)
    torch.manual_seed(settings.seed)
    pooling = 4 if settings.dataset == "kinetics400" else 2
    net = DiST(ImageSizes.of(clip.visual), Design(settings.frames, GAMMA, pooling=pooling))
    if settings.backbone == "small":
        texts = nn.Parameter(torch.randn(len(classes), net.sizes.embed))
    else:
        texts = class_features(clip, classes)
    return Prepared("dist", DiSTRecogniser(clip, net, texts), GAMMA * settings.frames, RECIPE)


run = partial(run_method, method=dist)

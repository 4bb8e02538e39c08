"""OCA on real videos: the paper's settings, and `run` of `zeroi2v_recipe`, which knows the data sets.

The paper gives optimiser, learning rate, batch, slots and interval (Sec. 4.1). Epochs, warm-up, sampling and
augmentation are not in it: those here are ZeroI2V's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from minilib.papers.object_centric.losses import distilled
from minilib.papers.object_centric.method import OnFrames, oca
from minilib.papers.zeroi2v.counts import PUBLISHED
from minilib.papers.zeroi2v.recipe import Prepared, Run, image_text
from minilib.papers.zeroi2v.recipe import run as run_method

__all__ = ["PAPER", "Run", "object_centric", "run"]

PAPER = {"lr": 5e-4, "batch": 512}


def object_centric(settings: Run, classes: Sequence[str]) -> Prepared:
    """OCA with the paper's default of 8 slots and an interval of a quarter of the clip."""
    table = PUBLISHED["table_12"]
    recipe = table.get(settings.dataset, table["kinetics400"]) | PAPER
    clip = image_text(settings)
    torch.manual_seed(settings.seed)
    model = OnFrames(clip, oca(clip.visual, settings.frames, len(classes)))
    return Prepared("object_centric", model, settings.frames, recipe, distilled)


run = partial(run_method, method=object_centric)

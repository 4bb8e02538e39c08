"""VicTR on real videos: the thesis' settings, and `run` of `zeroi2v_recipe`, which knows the data sets.

Learning rate, epochs, batch and views are in the text (Sec. 5.4), which refers to X-CLIP for sampling and augmentation.
The thesis also tunes the image model, ten times slower than the head; here it stays frozen, as on the small world.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from minilib.papers.victr.classifier import victr_loss
from minilib.papers.victr.method import VicTR
from minilib.papers.victr.vocabularies import PROMPT, VideoRecogniser, attributes, world_attributes
from minilib.papers.zeroi2v.recipe import Prepared, Run, image_text
from minilib.papers.zeroi2v.recipe import run as run_method

__all__ = ["RECIPE", "Run", "run", "victr"]

RECIPE = {
    "lr": 8e-5,
    "weight_decay": 1e-3,
    "betas": [0.9, 0.98],
    "batch": 256,
    "epochs": 30,
    "warmup_epochs": 5,
    "sampling": "uniform",
    "views": {"clips": 4, "crops": 3},
    "rand_augment": [2, 9],
    "flip": 0.5,
    "erasing": 0.0,
    "smoothing": 0.1,
    "mixup": 0.8,
    "cutmix": 1.0,
}


class OnPixels(VideoRecogniser):
    """Its `normalise` lets the training loop mix clips before the image model sees them."""

    def normalise(self, frames: Tensor) -> Tensor:
        return self.clip.normalise(frames)


def loss(model: VideoRecogniser, frames: Tensor, labels: Tensor) -> Tensor:
    """Of classes and attributes, of weight one each; labels may be mixed, (b, n)."""
    return victr_loss(model.scores(frames), labels)


def victr(settings: Run, classes: Sequence[str]) -> Prepared:
    """VicTR as in the thesis; the attributes are Kinetics', or the small world's for the small CLIP."""
    clip = image_text(settings).requires_grad_(False)
    small = settings.backbone == "small"
    seen = world_attributes() if small else attributes("kinetics400")
    torch.manual_seed(settings.seed)
    width = clip.model.text_projection.shape[1]
    head = VicTR(width, width // 16 if small else width // 64, settings.frames)
    model = OnPixels(clip, head, classes, seen, "{}" if small else PROMPT)
    return Prepared("victr", model, settings.frames, RECIPE, loss)


run = partial(run_method, method=victr)

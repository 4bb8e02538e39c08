"""VicTR on real videos: the thesis' settings (Sec. 5.4), which refers to X-CLIP for sampling and augmentation.

The thesis also tunes the image model, ten times slower than the head; here it stays frozen, as on the small world.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from minilib.papers.victr.method import VicTR
from minilib.papers.victr.recogniser import PROMPT, Reader, VideoRecogniser, names_of
from minilib.papers.victr.small import Loss
from minilib.papers.victr.vocabularies import attributes, world_attributes
from minilib.study.real import Prepared, Run, image_text

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


def on_videos(run: Run, classes: Sequence[str]) -> Prepared:
    """VicTR as in the thesis; the attributes are Kinetics', or the small world's for the small CLIP."""
    clip = image_text(run).requires_grad_(False)
    small = run.backbone == "small"
    seen = world_attributes() if small else attributes("kinetics400")
    names = names_of(clip, classes, seen, "{}" if small else PROMPT)
    torch.manual_seed(run.seed)
    width = clip.model.text_projection.shape[1]
    head = VicTR(width, width // 16 if small else width // 64, run.frames)
    return Prepared("victr", VideoRecogniser(clip, Reader(head, names)), run.frames, RECIPE, Loss(weight=1.0))

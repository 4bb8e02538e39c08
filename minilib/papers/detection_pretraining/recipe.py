"""Detection pretraining on real videos: an X3D-M on Kinetics-400 or one's own clips, by `run` of `zeroi2v_recipe`.

Batch, dropout, frames and stride are Sec. 4.3.1's, warm-up the released code's. The thesis trains with SGD and divides
the rate once; the suite's loop has AdamW and a cosine, and the rate is its own. Crops are those of the other recipes.

Axes: b clips, t frames, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.x3d import X3D, X3D_M
from minilib.models.x3d_weights import load_x3d
from minilib.papers.coarse_fine.arms import LITTLE
from minilib.papers.detection_pretraining.arms import JOINT
from minilib.papers.detection_pretraining.method import DetectionPretraining
from minilib.papers.zeroi2v.recipe import Prepared, Run
from minilib.papers.zeroi2v.recipe import run as run_method

__all__ = ["RECIPE", "Run", "pretraining", "run"]

RECIPE = {
    "lr": 1e-3,
    "weight_decay": 5e-5,
    "betas": [0.9, 0.999],
    "batch": 64,
    "epochs": 27,  # of Kinetics: the 100k steps from a checkpoint
    "warmup_epochs": 2,  # 8,000 steps
    "sampling": "dense",
    "stride": {16: 5},
    "views": {"clips": 3, "crops": 1},
    "rand_augment": [],
    "flip": 0.5,
    "erasing": 0.0,
    "smoothing": 0.0,
}


FRAMES_OF = {"x3d_m": "vit_b16", "small": "small"}  # the shared loop knows sizes of frames by its image models' names


class ForClips(X3D):
    """Trains on every frame, the background among the classes; in evaluation a clip has its frames' mean, (b, k)."""

    def forward(self, clips: Tensor) -> Tensor:
        scores = super().forward(clips)
        return scores if self.training else scores.mean(1)[:, :-1]


def pretraining(settings: Run, classes: Sequence[str]) -> Prepared:
    """Joint training as released. `settings.weights` is a classification checkpoint of the same classes, in any layout
    that `load_x3d` knows; with "" or "random" it starts from scratch. `settings.backbone` "small" is the small X3D."""
    torch.manual_seed(settings.seed)
    model = ForClips(LITTLE if settings.backbone == "small" else X3D_M, len(classes))
    if settings.weights not in ("", "random"):
        load_x3d(model, settings.weights)
    model.set_classes(len(classes) + 1)
    objective = DetectionPretraining(JOINT, len(classes), background=len(classes))
    return Prepared("detection_pretraining", model, settings.frames, RECIPE, objective)


def run(settings: Run, out_dir: Path | str) -> dict[str, float]:
    """Pretrains and evaluates; see `zeroi2v_recipe.run`. `settings.backbone` is x3d_m or small."""
    if settings.backbone not in FRAMES_OF:
        raise BadInput(f"backbone {settings.backbone!r}: choose of {', '.join(FRAMES_OF)}")
    if settings.frames not in RECIPE["stride"]:
        raise BadInput(f"frames={settings.frames}: detection pretraining has a stride for 16 frames alone")
    return run_method(replace(settings, backbone=FRAMES_OF[settings.backbone]), out_dir, pretraining)

"""Detection pretraining on real videos: an X3D-M on Kinetics-400 or one's own clips, by `minilib.study.real`.

Batch, dropout, frames and stride are Sec. 4.3.1's, warm-up the released code's. The thesis trains with SGD and divides
the rate once; the suite's loop has AdamW and a cosine, and the rate is its own. Crops are those of the other recipes.

Axes: b clips, t frames, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.x3d import SMALLER, X3D, X3D_M
from minilib.models.x3d_weights import load_x3d
from minilib.papers.detection_pretraining.method import DetectionPretraining
from minilib.papers.detection_pretraining.pretexts import JOINT
from minilib.study.real import Prepared, Run

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
SIZES = {"x3d_m": X3D_M, "small": SMALLER}


class ForClips(X3D):
    """Trains on every frame, the background among the classes; in evaluation a clip has its frames' mean, (b, k)."""

    def forward(self, clips: Tensor) -> Tensor:
        scores = super().forward(clips)
        return scores if self.training else scores.mean(1)[:, :-1]


def prepared(run: Run, classes: Sequence[str]) -> Prepared:
    """Joint training as released. `run.weights` is a classification checkpoint of the same classes, in any layout that
    `load_x3d` knows; with "" or "random" it starts from scratch. `run.backbone` is x3d_m or small."""
    if run.backbone not in SIZES:
        raise BadInput(f"backbone {run.backbone!r}: choose of {', '.join(SIZES)}")
    torch.manual_seed(run.seed)
    model = ForClips(SIZES[run.backbone], len(classes))
    if run.weights not in ("", "random"):
        load_x3d(model, run.weights)
    model.set_classes(len(classes) + 1)
    objective = DetectionPretraining(JOINT, len(classes), background=len(classes))
    return Prepared("detection_pretraining", model, run.frames, RECIPE, objective)

"""A folder of one's own videos: a method trained on it, its model kept, and what it gets wrong.

    trained = train_own("st_adapter", Run("folder", "videos", backbone="small", frames=4), "out")

`videos/train/<label>/*.mp4` and `videos/val/<label>/*.mp4`; the labels are the classes. All methods get one recipe,
OWN, made for a few videos: the papers' are made for a hundred thousand.

Axes: n videos, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from minilib.datasets.annotations import Clip
from minilib.environment import environment
from minilib.errors import BadInput
from minilib.study import real
from minilib.study.real import Prepared, Run
from minilib.study.saved import Card, VideoModel, method_of, save_model

OWN = {
    "weight_decay": 0.05,
    "betas": (0.9, 0.999),
    "batch": 16,
    "sampling": "uniform",
    "views": {"clips": 1, "crops": 1},
    "rand_augment": (2, 5),
    "erasing": 0.0,
    "smoothing": 0.1,
    "mixup": 0.0,
    "cutmix": 0.0,
    "flip": 0.0,
}
STEPS, EPOCHS = 150, 15  # as many steps as either asks for
SMALL = 10.0  # how much faster the small CLIP learns than the real one


@dataclass(frozen=True)
class Validation:
    """What a model said of the validation videos that can be read: score (n, k), truth (n,)."""

    clips: Sequence[Clip]
    score: Tensor
    truth: Tensor
    classes: tuple[str, ...]

    def per_class(self) -> list[tuple[str, int, float | None, float | None]]:
        """For each class its name, how many videos it has, how many per cent of those are recognised (recall), and how
        many per cent of what is called so is so (precision); None where there is nothing to divide by."""
        said = self.score.argmax(-1)
        rows = []
        for k, name in enumerate(self.classes):
            own, called = self.truth == k, said == k
            right = int((own & called).sum())
            shares = [100 * right / int(n) if n else None for n in (own.sum(), called.sum())]
            rows.append((name, int(own.sum()), *shares))
        return rows

    def worst(self, count: int) -> list[int]:
        """The places of the videos whose own class got the least probability, the worst first."""
        own = self.score.gather(1, self.truth[:, None])[:, 0]
        return own.argsort()[:count].tolist()


@dataclass(frozen=True)
class Trained:
    """A trained model, its file, the numbers of the run, and what it said of the validation videos."""

    model: VideoModel
    path: Path
    outcome: dict[str, float]
    validation: Validation


def own_recipe(published: dict, backbone: str, steps: int, epoch: int) -> dict:
    """OWN at the method's rate, ten times faster for the small CLIP, over so many steps in epochs of `epoch`."""
    lr = published["lr"] * (SMALL if backbone == "small" else 1.0)
    return published | OWN | {"lr": lr, "epochs": math.ceil(steps / epoch), "warmup_epochs": steps / epoch / 10}


def train_own(method: str, run: Run, out_dir: Path | str, name: str = "own_model") -> Trained:
    """Trains a method on run.data_root for run.max_steps steps (0: by STEPS and EPOCHS), keeps the model in
    `out_dir`/`name`, and tests it on the validation videos. Mirrored are only as many clips as run.flip says, which is
    none by default."""
    if run.dataset != "folder":
        raise BadInput(f"dataset {run.dataset!r}: own videos lie in a folder, dataset='folder'")
    make, splits = method_of(method), real.data(run).splits
    classes = splits["train"].classes
    count = min(len(splits["train"]), run.max_clips or len(splits["train"]))
    epoch = math.ceil(count / (run.batch or OWN["batch"]))
    steps = run.max_steps or max(STEPS, EPOCHS * epoch)
    run = replace(run, max_steps=steps)
    made = make(run, classes)
    made = replace(made, recipe=own_recipe(made.recipe, run.backbone, steps, epoch))

    def ready(*_: object) -> Prepared:
        return made

    heard: list[Validation] = []

    def said(score: Tensor, clips: Sequence[Clip]) -> None:
        heard.append(Validation(clips, score, torch.tensor([clip.label for clip in clips]), classes))

    outcome = real.run(run, out_dir, ready, said=said)
    card = Card(
        method=method,
        classes=classes,
        backbone=run.backbone,
        clip_frames=run.frames,
        frames=made.frames,
        sampling={"sampling": made.recipe["sampling"]},
        views=made.recipe["views"],
        measured=outcome,
        trained_on=f"{count} videos of {run.data_root}, seed {run.seed}, {steps} steps",
        made_with=environment(run.device) | {"finished": datetime.now(UTC).isoformat(timespec="seconds")},
    )
    model = VideoModel(made.model.eval(), card)
    return Trained(model, save_model(Path(out_dir) / name, model), outcome, heard[0])

"""Trainings that must end alike on one process and on two; run by `torchrun` from `test_distributed.py`."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from minilib.claims import Measurements
from minilib.distributed import processes
from minilib.errors import BadInput
from minilib.papers.coarse_fine.method import detection
from minilib.resume import History
from minilib.study import real, real_detection, real_training
from minilib.study.real import Prepared, Run
from minilib.training import TrainSettings, train

RECIPE = {
    "lr": 0.01,
    "weight_decay": 0.1,
    "batch": 4,
    "epochs": 3,
    "warmup_epochs": 1,
    "sampling": "uniform",
    "views": {"clips": 1, "crops": 3},
    "rand_augment": [2, 5],
    "flip": 0.5,
    "erasing": 0.25,
    "smoothing": 0.1,
}


class Coarse(nn.Module):
    """Frames -> scores (b, k) of their colours in four quarters; and a part that no loss reaches."""

    def __init__(self, classes: int):
        super().__init__()
        self.head, self.unused = nn.Linear(12, classes), nn.Linear(2, 2)

    def normalise(self, frames):
        return frames.movedim(-1, 2).float() / 255

    def forward(self, frames):
        frames = self.normalise(frames) if frames.dtype == torch.uint8 else frames
        quarters = F.adaptive_avg_pool2d(frames.mean(1), 2)
        return self.head(quarters.flatten(1))


def method(run: Run, classes, **changes) -> Prepared:
    torch.manual_seed(run.seed)
    return Prepared("coarse", Coarse(len(classes)), run.frames, RECIPE | changes)


def mixed(run: Run, classes) -> Prepared:
    return method(run, classes, mixup=0.8, cutmix=1.0)


def scenario(name: str, videos: Path, out: Path) -> dict:
    """One training and what came of it: metrics, losses, weights; or the one line of what was wrong."""
    seen = {}

    def spied(model: nn.Module, batches, *rest, **more) -> History:
        def stops(step: int):
            if name == "killed" and step == 6 and processes().rank == processes().size - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "stopped" and step == 6:
                raise KeyboardInterrupt
            return batches(step)

        batches_given = batches if name not in ("killed", "stopped") else stops
        history = train(model, batches_given, *rest, **more)
        seen.update(loss=history.loss, head=model.head.weight.flatten().tolist())
        return history

    real_training.train = spied
    whole = {"batch": 6, "max_clips": 6} if name == "mixed" else {"batch": 4}
    bad = 0.0 if name == "refused" else 0.5
    job = Run("folder", str(videos), "small", 2, flip=0.5, max_bad_share=bad, **whole)
    rows = Measurements("zeroi2v", out, "paper", committed=out / "none")
    warnings.simplefilter("ignore")
    try:
        seen["outcome"] = real.run(job, out, mixed if name == "mixed" else method, rows)
    except BadInput as error:
        seen["refused"] = str(error)
    finally:
        real_training.train = train
    return seen


class PerFrame(nn.Module):
    """Frames (b, t, h, w, 3) -> scores (b, t, k) of the mean colour of each."""

    def __init__(self, classes: int):
        super().__init__()
        self.head = nn.Linear(3, classes)

    def forward(self, frames):
        return self.head(frames.float().mean((2, 3)) / 255)


def per_frame(run: real_detection.Run, classes: int) -> Prepared:
    torch.manual_seed(run.seed)
    recipe = {"lr": 0.01, "weight_decay": 0.0, "batch": 2, "epochs": 3, "warmup_epochs": 1, "flip": 0.5}
    return Prepared("per_frame", PerFrame(classes), run.frames, recipe, detection)


def windows(videos: Path, out: Path) -> dict:
    """Temporal detection: three videos in batches of two and one."""
    job = real_detection.Run("charades", str(videos), "small", 8, network="per_frame", stride=2)
    return {"outcome": real_detection.run(job, out, per_frame), "loss": [], "head": []}


def plain(out: Path) -> dict:
    """`train` itself, every process with the same whole batch and the same checkpoint."""
    torch.manual_seed(0)
    model = Coarse(3)
    frames = torch.randint(256, (6, 2, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    settings = TrainSettings(steps=3, batch=6, warmup=0)
    history = train(model, lambda step: (frames, torch.arange(6) % 3), settings, 3, checkpoint=out / "plain.pt")
    return {"loss": history.loss, "head": model.head.weight.flatten().tolist()}


def main(videos: str, out: str, *names: str) -> None:
    folder = Path(out)
    for name in names:
        # a run that goes on uses the folder of the one that stopped
        place = folder / {"resumed": "stopped"}.get(name, name)
        if name == "plain":
            found = plain(place)
        else:
            found = windows(Path(videos), place) if name == "windows" else scenario(name, Path(videos), place)
        (folder / f"{name}.{processes().rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

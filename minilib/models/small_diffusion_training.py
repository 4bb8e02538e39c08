"""How the small diffusion model was trained: four trainings that may stop at any time, run by one command.

Each trains for minutes, not for steps. Weights are averaged on the way (exponential moving average), judged on the
validation split at every checkpoint, and written whole where they are the best so far. A training that was stopped goes
on with the minutes that were left; one that had finished begins again at its best weights (`all` goes on to the next).
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from minilib.files import write_whole
from minilib.models.small_diffusion import FOLDER, load_part, save_part, weights_file
from minilib.models.small_diffusion_judge import JudgeTask, write_card
from minilib.models.small_diffusion_tasks import AutoencoderTask, ControlTask, DenoisingTask
from minilib.muon import muon_and_adamw
from minilib.timed_training import Budget, Forgetting, History, Training, read_history, train_for

RUNS = Path("runs") / "small_diffusion"
SHARES = {"autoencoder": 2.2, "unet": 4.5, "controlnet": 1.8}  # how `all` shares out its minutes


@dataclass(frozen=True)
class Rates:
    """How fast to learn: the rate of matrices and kernels, moved by Muon, and of all else, moved by AdamW. Both rise
    for `warmup` steps and fall over the last part, `falling`, of the time."""

    matrix_lr: float
    lr: float
    batch: int
    warmup: int = 30
    falling: float = 0.6
    ema: float = 0.995

    def at(self, step: int, passed: float) -> float:
        """The factor of the rates at a step, `passed` of the way."""
        return min((step + 1) / self.warmup, (1 - passed) / self.falling, 1.0)


class Task(Protocol):
    """What is trained: `model`, its loss on a batch drawn with a generator, and a score that is better when smaller."""

    model: nn.Module

    def loss(self, model: nn.Module, batch: int, generator: torch.Generator) -> Tensor: ...

    def score(self, model: nn.Module) -> float: ...

    def finish(self, model: nn.Module) -> None: ...


def fit(task: Task, rates: Rates, budget: Budget, file: Path, checkpoint: Path) -> float:
    """Trains `task.model` and leaves the best averaged weights in `file`; returns their score. Begins at the weights in
    `file`, or where a training that was stopped is."""
    best = math.inf
    if file.is_file():
        load_part(task.model, file)
        best = task.score(task.model.eval())
    print(f"{file.name}: begins at {best:.4f}", flush=True)
    average = AveragedModel(task.model, multi_avg_fn=Forgetting(rates.ema)).eval()
    generator = torch.Generator(next(task.model.parameters()).device)
    if read_history(checkpoint).done:
        checkpoint.unlink()

    def loss(step: int, passed: float) -> Tensor:
        return task.loss(task.model, rates.batch, generator.manual_seed(step))

    def judge(history: History) -> None:
        nonlocal best
        task.finish(average.module)
        score = task.score(average.module)
        if score < best:
            best = score
            save_part(average.module, file)
        print(f"{file.name}: score {score:.4f}, best {best:.4f}", flush=True)

    optimizers = muon_and_adamw(task.model.train(), rates.matrix_lr, rates.lr)
    train_for(Training(task.model, loss, optimizers, rates.at, average), budget, checkpoint, judge, file.name)
    return best


@dataclass(frozen=True)
class Recipe:
    """Frames in the pool, and how fast to learn from them."""

    pool: int
    rates: Rates


ON_GPU = {  # steps count for more than frames do: 900 of 96 frames left the autoencoder behind 1,100 of 8
    "autoencoder": Recipe(49152, Rates(3e-3, 1e-3, 32)),
    "judge": Recipe(65536, Rates(1e-3, 1e-3, 256)),
    "unet": Recipe(98304, Rates(2e-3, 1e-3, 128)),
    "controlnet": Recipe(65536, Rates(1e-3, 1e-3, 128)),
}
ON_CPU = {  # a hundredth of the frames a second: smaller batches, and a shorter memory of past weights
    "autoencoder": Recipe(16384, Rates(3e-3, 1e-3, 8, ema=0.985)),
    "judge": Recipe(12288, Rates(1e-3, 1e-3, 64, ema=0.99)),
    "unet": Recipe(8192, Rates(2e-3, 1e-3, 32, ema=0.9975)),
    "controlnet": Recipe(8192, Rates(1e-3, 1e-3, 32, ema=0.99)),
}


def build(part: str, device: torch.device, out: Path) -> tuple[Task, Rates]:
    """The training of a part, with the parts before it read from `out`, and its rates on that kind of device."""
    recipe = (ON_GPU if device.type == "cuda" else ON_CPU)[part]
    if part in ("autoencoder", "judge"):
        return {"autoencoder": AutoencoderTask, "judge": JudgeTask}[part](device, recipe.pool), recipe.rates
    return {"unet": DenoisingTask, "controlnet": ControlTask}[part](device, recipe.pool, out), recipe.rates


def train_part(part: str, minutes: float, device: torch.device, out: Path, runs: Path = RUNS) -> float:
    """Trains one part for some minutes, of which making its pool of frames takes the first."""
    torch.manual_seed(0)
    began = time.monotonic()
    task, rates = build(part, device, out)
    print(f"{part}: ready after {time.monotonic() - began:.1f} s", flush=True)
    file, shipped = weights_file(part, out), weights_file(part, FOLDER)
    if not file.is_file() and shipped.is_file():
        write_whole(file, shipped.read_bytes())
    seconds = 60 * minutes - (time.monotonic() - began)
    budget = Budget(seconds, every=20 if device.type == "cuda" else 240)
    return fit(task, rates, budget, file, runs / f"{part}.pt")


def finished(part: str, runs: Path = RUNS) -> bool:
    """Whether a training has used up its minutes."""
    return read_history(runs / f"{part}.pt").done


def train_all(minutes: float, device: torch.device, out: Path) -> None:
    """The three parts one after another, the judge beside them in a process of its own, then the card."""
    judge = multiprocessing.get_context("spawn").Process(target=train_part, args=("judge", 0.35 * minutes, device, out))
    judge.start()
    try:
        for part, share in SHARES.items():
            if not finished(part):
                train_part(part, minutes * share / sum(SHARES.values()), device, out)
    finally:
        judge.join()
    write_card(out, device)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="train the small world's diffusion model, or judge it")
    parser.add_argument("part", choices=("autoencoder", "unet", "controlnet", "judge", "all", "card"))
    parser.add_argument("--minutes", type=float, default=9.0, help="how long to train (all: together)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the weights are read and written")
    args = parser.parse_args(arguments)
    if args.minutes <= 0:
        parser.error("--minutes: above 0")
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True  # batches of one size
    if args.part == "all":
        train_all(args.minutes, device, args.out)
    elif args.part == "card":
        write_card(args.out, device)
    else:
        train_part(args.part, args.minutes, device, args.out)
        write_card(args.out, device)


if __name__ == "__main__":
    main()

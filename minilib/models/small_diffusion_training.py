"""How the small diffusion model was trained: four trainings that may stop at any time, run by one command.

Each trains for minutes, not for steps. Weights are averaged on the way (exponential moving average), judged on the
validation split at every checkpoint, and written whole where they are the best so far. A training that was stopped goes
on with the minutes that were left; one that had finished begins again at its best weights (`all` goes on to the next).
"""

from __future__ import annotations

import argparse
import io
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from minilib.errors import BadInput
from minilib.files import write_whole
from minilib.models.small_diffusion import FOLDER, load_half, save_half, weights_file
from minilib.models.small_diffusion_judge import JudgeTask, write_card
from minilib.models.small_diffusion_tasks import AutoencoderTask, ControlTask, DenoisingTask

RUNS = Path("runs") / "small_diffusion"
SHARES = {"autoencoder": 2.2, "unet": 4.5, "controlnet": 1.8}  # how `all` shares out its minutes
LOOK = 20  # steps between two looks at the loss, for which a GPU has to wait
AVERAGE = 4  # steps between two updates of the averaged weights, for which it waits, too


@dataclass(frozen=True)
class Rates:
    """How fast to learn; the rate rises for `warmup` steps and falls over the last part, `falling`, of the minutes."""

    lr: float
    batch: int
    warmup: int = 100
    falling: float = 0.4
    ema: float = 0.998
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def at(self, step: int, progress: float) -> float:
        """The factor of the rate at a step of this call, `progress` of the way through the minutes."""
        return min((step + 1) / self.warmup, (1 - progress) / self.falling, 1.0)


@dataclass(frozen=True)
class Forgetting:
    """An exponential moving average that forgets its first weights fast: after n updates it remembers no more than
    (n + 1) / (n + 10) of what it was. Without that, a training cut short is judged by where it began."""

    decay: float

    def __call__(self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        kept = min(self.decay, (int(updates) + 1) / (int(updates) + 10))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - kept)


class Task(Protocol):
    """What is trained: `model`, its loss on a batch drawn with a generator, and a score that is better when smaller."""

    model: nn.Module

    def loss(self, model: nn.Module, batch: int, generator: torch.Generator) -> Tensor: ...

    def score(self, model: nn.Module) -> float: ...

    def finish(self, model: nn.Module) -> None: ...


def fit(task: Task, rates: Rates, minutes: float, file: Path, checkpoint: Path, every: float) -> float:
    """Trains `task.model` for some minutes and leaves the best averaged weights in `file`; returns their score.

    A checkpoint is written and the weights are judged every so many seconds. Raises BadInput where the loss is not
    finite.
    """
    device = next(task.model.parameters()).device
    best = math.inf
    if file.is_file():
        load_half(task.model, file)
        best = task.score(task.model.eval())
    print(f"{file.name}: begins at {best:.4f}", flush=True)
    average = AveragedModel(task.model, multi_avg_fn=Forgetting(rates.ema**AVERAGE)).eval()
    trained = list(task.model.parameters())
    optimizer = torch.optim.AdamW(trained, lr=rates.lr, weight_decay=rates.weight_decay, fused=device.type == "cuda")
    parts, step, spent = {"model": task.model, "average": average, "optimizer": optimizer}, 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if not state["done"]:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            step, spent = state["step"], state["spent"]
    generator, first, began, judged = torch.Generator(device), step, time.monotonic() - spent, time.monotonic()

    def judge(done: bool = False) -> None:
        nonlocal best
        task.finish(average.module)
        score = task.score(average.module)
        if score < best:
            best = score
            save_half(average.module, file)
        out, state = io.BytesIO(), {"step": step, "spent": spent, "done": done}
        torch.save({name: part.state_dict() for name, part in parts.items()} | state, out)
        write_whole(checkpoint, out.getvalue())
        print(f"{file.name}: step {step}, {spent:.0f} s, score {score:.4f}, best {best:.4f}", flush=True)

    task.model.train()
    while spent < 60 * minutes:
        for group in optimizer.param_groups:
            group["lr"] = rates.lr * rates.at(step - first, spent / (60 * minutes))
        loss = task.loss(task.model, rates.batch, generator.manual_seed(step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, rates.clip_norm)
        optimizer.step()
        step += 1
        if step % AVERAGE == 0:
            average.update_parameters(task.model)
        if step % LOOK == 0 and not math.isfinite(loss.item()):
            raise BadInput(f"{file.name}: the loss is not finite at step {step}; a rate below {rates.lr:g} may help")
        spent = time.monotonic() - began
        if time.monotonic() - judged > every:
            judge()
            judged = time.monotonic()
    judge(done=True)
    return best


@dataclass(frozen=True)
class Recipe:
    """Frames in the pool, and how fast to learn from them."""

    pool: int
    rates: Rates


ON_GPU = {  # steps count for more than frames do: 900 of 96 frames left the autoencoder behind 1,100 of 8
    "autoencoder": Recipe(49152, Rates(2e-3, 32)),
    "judge": Recipe(65536, Rates(1e-3, 256)),
    "unet": Recipe(98304, Rates(1e-3, 256, ema=0.999)),
    "controlnet": Recipe(65536, Rates(5e-4, 384)),
}
ON_CPU = {  # a hundredth of the frames a second: smaller batches, and a shorter memory of past weights
    "autoencoder": Recipe(12288, Rates(2e-3, 8, ema=0.99)),
    "judge": Recipe(12288, Rates(1e-3, 64, ema=0.99)),
    "unet": Recipe(12288, Rates(1e-3, 48, ema=0.99)),
    "controlnet": Recipe(12288, Rates(5e-4, 32, ema=0.99)),
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
    every, file, shipped = 20 if device.type == "cuda" else 240, weights_file(part, out), weights_file(part, FOLDER)
    if not file.is_file() and shipped.is_file():
        write_whole(file, shipped.read_bytes())
    minutes -= (time.monotonic() - began) / 60
    return fit(task, rates, minutes, file, runs / f"{part}.pt", every)


def finished(part: str, runs: Path = RUNS) -> bool:
    """Whether a training has used up its minutes."""
    file = runs / f"{part}.pt"
    return file.is_file() and torch.load(file, map_location="cpu", weights_only=True)["done"]


def train_all(minutes: float, device: torch.device, out: Path) -> None:
    """The three parts one after another, the judge beside them in a process of its own, then the card."""
    command = [sys.executable, "-m", "minilib.models.small_diffusion", "judge"]
    arguments = ["--minutes", str(0.35 * minutes), "--device", str(device), "--out", str(out)]
    judge = subprocess.Popen([*command, *arguments])
    try:
        for part, share in SHARES.items():
            if not finished(part):
                train_part(part, minutes * share / sum(SHARES.values()), device, out)
    finally:
        judge.wait()
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

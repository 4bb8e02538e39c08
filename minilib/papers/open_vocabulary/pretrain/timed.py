"""A training that is given minutes, not steps; it can be stopped at any moment and goes on where it was."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.files import write_whole

SAVE_EVERY = 20.0  # seconds between two checkpoints


@dataclass(frozen=True)
class Budget:
    """seconds of training, the highest rate, and which share of the time warms up; then a cosine of the time left."""

    seconds: float
    lr: float
    warmup: float = 0.05
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    steps: int | None = None  # at most, for tests

    def rate(self, passed: float) -> float:
        """The rate after a share `passed` of the time."""
        passed = min(max(passed, 1e-3), 1.0)
        return self.lr * min(passed / self.warmup, 0.5 * (1 + math.cos(math.pi * passed)))


@dataclass
class History:
    """(seconds, step, mean loss since the one before) about every SAVE_EVERY seconds."""

    seconds: float = 0.0
    step: int = 0
    losses: list[tuple[float, int, float]] = field(default_factory=list)


def train_for(
    module: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    budget: Budget,
    checkpoint: Path | None = None,
    save: Callable[[History], None] | None = None,
    name: str = "",
) -> History:
    """Trains what of `module` requires a gradient until the time is up, earlier parts of the run included.

    loss(generator) -> scalar; the CPU generator depends on the step alone. A checkpoint is written, and `save` called,
    every SAVE_EVERY seconds and at the end. Raises BadInput where the loss is not finite: the last checkpoint stays.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": budget.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    device = trained[0].device
    optimizer = torch.optim.AdamW(groups, lr=budget.lr, betas=budget.betas, fused=device.type == "cuda")
    history = History()
    if checkpoint is not None and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        history = History(state["seconds"], state["step"], [tuple(each) for each in state["losses"]])
    began, before, saved = time.monotonic(), history.seconds, history.seconds
    total, count = torch.zeros((), device=device), 0

    def keep() -> None:
        nonlocal saved, total, count
        if count:
            mean = float(total) / count
            if not math.isfinite(mean):
                raise BadInput(f"{name}: the loss is {mean} at step {history.step}; lower the rate of {budget.lr}")
            history.losses.append((history.seconds, history.step, mean))
            print(f"{name} {history.seconds:.0f} s step {history.step} loss {mean:.4f}", flush=True)
        saved, total, count = history.seconds, torch.zeros((), device=device), 0
        if checkpoint is not None:
            file = io.BytesIO()
            parts = {"module": module.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(parts | {"seconds": history.seconds, "step": history.step, "losses": history.losses}, file)
            write_whole(checkpoint, file.getvalue())
        if save is not None:
            save(history)

    while history.seconds < budget.seconds and (budget.steps is None or history.step < budget.steps):
        passed = history.seconds / budget.seconds if budget.steps is None else history.step / budget.steps
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(passed)
        value = loss(torch.Generator().manual_seed(history.step))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained, budget.clip_norm)
        optimizer.step()
        total, count = total + value.detach(), count + 1
        history.step += 1
        if device.type == "cuda" and history.step % 20 == 0:
            torch.cuda.synchronize(device)  # else the clock runs ahead of the work
        history.seconds = before + time.monotonic() - began
        if history.seconds - saved > SAVE_EVERY:
            keep()
    keep()
    return history

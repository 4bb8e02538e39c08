"""A training that is given a time, not steps: it can be stopped at any moment and goes on where it was.

What is trained, on what and how fast is the caller's; so is what happens at each checkpoint (judging, writing the
weights that are the best so far).
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from minilib.errors import BadInput
from minilib.files import write_whole

CLIP_NORM = 1.0
LOOK = 20  # steps between two looks at the loss, for which a GPU has to wait: else the clock would run ahead of it
AVERAGE = 4  # steps between two updates of averaged weights, for which it waits, too


@dataclass(frozen=True)
class Forgetting:
    """An exponential moving average that forgets its first weights fast: after n updates it remembers no more than
    (n + 1) / (n + 10) of what it was. Without that, a training cut short is judged by where it began. decay: what it
    remembers after one step; it is updated every AVERAGE steps."""

    decay: float

    def __call__(self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        kept = min(self.decay**AVERAGE, (int(updates) + 1) / (int(updates) + 10))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - kept)


@dataclass(frozen=True)
class Training:
    """loss(step, passed) -> scalar, whose draws follow from the step, `passed` of the way (0 to 1); the optimisers hold
    the highest rates, of which rate(step, passed) is the part to use; `average`, if any, follows the model."""

    model: nn.Module
    loss: Callable[[int, float], Tensor]
    optimizers: Sequence[torch.optim.Optimizer]
    rate: Callable[[int, float], float]
    average: AveragedModel | None = None

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """What a checkpoint keeps the state of."""
        average = {} if self.average is None else {"average": self.average}
        return {"model": self.model, **average, **{f"optimizer{i}": each for i, each in enumerate(self.optimizers)}}


@dataclass(frozen=True)
class Budget:
    """Seconds of training, earlier calls counted, and between two checkpoints; at most so many steps, which then say
    how far one is: a training that does not depend on the machine's speed."""

    seconds: float
    every: float = 20.0
    steps: int | None = None

    def passed(self, history: History) -> float:
        if self.steps is None:
            return min(history.seconds / self.seconds, 1.0)
        return history.step / self.steps

    def spent(self, history: History) -> bool:
        return history.seconds >= self.seconds or (self.steps is not None and history.step >= self.steps)


@dataclass
class History:
    """How far a training is, and (seconds, step, mean loss since the one before) of each checkpoint; `done` once its
    budget was spent."""

    seconds: float = 0.0
    step: int = 0
    losses: list[tuple[float, int, float]] = field(default_factory=list)
    done: bool = False


def read_history(checkpoint: Path, parts: dict | None = None) -> History:
    """How far a checkpoint is; `parts` of a `Training`, if given, take over its state. A file that is not there is a
    training that has not begun. Raises BadInput for a checkpoint of something else."""
    if not checkpoint.is_file():
        return History()
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    wanted = {"seconds", "step", "losses", "done", *(parts or {})}
    if not wanted <= set(state):
        raise BadInput(f"{checkpoint}: not a checkpoint of this training; remove it to begin anew")
    for name, part in (parts or {}).items():
        part.load_state_dict(state[name])
    return History(state["seconds"], state["step"], [tuple(each) for each in state["losses"]], state["done"])


def _write(checkpoint: Path, parts: dict, history: History) -> None:
    content = io.BytesIO()
    torch.save({name: part.state_dict() for name, part in parts.items()} | vars(history), content)
    write_whole(checkpoint, content.getvalue())


def train_for(
    training: Training,
    budget: Budget,
    checkpoint: Path | None = None,
    look: Callable[[History], None] | None = None,
    name: str = "training",
) -> History:
    """Trains what of the model requires a gradient until the budget is spent; `look` is called before each checkpoint
    is written. Raises BadInput where the loss is not finite: the last checkpoint stays."""
    model, highest = training.model, [[group["lr"] for group in each.param_groups] for each in training.optimizers]
    trained = [p for p in model.parameters() if p.requires_grad]
    history = History() if checkpoint is None else read_history(checkpoint, training.parts())
    began, kept, since = time.monotonic() - history.seconds, history.seconds, history.step
    total = torch.zeros((), device=trained[0].device)

    def mean() -> float:
        found = float(total) / max(history.step - since, 1)
        if not math.isfinite(found):
            raise BadInput(f"{name}: the loss is not finite at step {history.step}; a lower rate may help")
        return found

    def keep() -> None:
        nonlocal kept, since
        if history.step > since:
            history.losses.append((history.seconds, history.step, mean()))
            print(f"{name}: {history.seconds:.0f} s, step {history.step}, loss {history.losses[-1][2]:.4f}", flush=True)
        total.zero_()
        kept, since = history.seconds, history.step
        if look is not None:
            look(history)
        if checkpoint is not None:
            _write(checkpoint, training.parts(), history)

    while not budget.spent(history):
        passed = budget.passed(history)
        factor = training.rate(history.step, passed)
        for optimizer, rates in zip(training.optimizers, highest, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        model.zero_grad(set_to_none=True)
        loss = training.loss(history.step, passed)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, CLIP_NORM)
        for optimizer in training.optimizers:
            optimizer.step()
        history.step += 1
        total += loss.detach()
        if training.average is not None and history.step % AVERAGE == 0:
            training.average.update_parameters(model)
        if history.step % LOOK == 0:
            mean()
        history.seconds = time.monotonic() - began
        if history.seconds - kept > budget.every and not budget.spent(history):
            keep()
    history.done = True
    keep()
    return history

"""What a training run keeps: its losses, and its state on disk, whole or not at all, from which it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from minilib.distributed import ALONE, Processes
from minilib.errors import BadInput
from minilib.files import whole_file

PARTS = {"recipe", "step", "model", "optimizer", "scaler", "rng", "numpy_rng", "loss", "seconds"}


@dataclass
class History:
    """What a run leaves: the loss of each step, and seconds in all, of this and earlier parts of the run."""

    loss: list[float]
    seconds: float

    def curve(self) -> dict[str, float]:
        """The learning curve in two numbers, the mean loss of all steps and of the last tenth; none of no training."""
        last = self.loss[-max(len(self.loss) // 10, 1) :]
        return {"curve/area": fmean(self.loss), "curve/end": fmean(last)} if last else {}


class Diverged(BadInput):
    """The loss is not finite."""


LOOK_EVERY = 32  # steps between two looks at the losses on a GPU, which otherwise never waits


class Losses:
    """Losses as they come, on their device. They are brought to the CPU and checked in blocks, so that a GPU need not
    wait each step; on the CPU each is checked before its gradients are taken."""

    def __init__(self, history: History, lr: float, among: Processes = ALONE):
        self.history, self.lr, self.among, self.pending = history, lr, among, []

    def add(self, loss: Tensor) -> None:
        self.pending.append(loss.detach())
        if loss.device.type == "cpu" or len(self.pending) >= LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Raises Diverged naming the first step whose loss is not finite."""
        if not self.pending:
            return
        values = self.among.mean(torch.stack(self.pending).float().cpu())
        self.pending.clear()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            first = int(bad[0])
            raise Diverged(
                f"the loss is {values[first]:g} at step {len(self.history.loss) + first}: "
                f"try a smaller learning rate than {self.lr:g}"
            )
        self.history.loss += values.tolist()


def save_state(
    path: Path, step: int, recipe: str, kept: Mapping[str, Tensor], optimizer, scaler, history: History
) -> None:
    """Writes all that a run needs to go on with the same numbers: what trains, the optimiser, the fp16 scaler, the
    random states of torch and numpy (timm's Mixup draws from it), the history."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    state = {
        "recipe": recipe,
        "step": step,
        "model": {name: p.detach() for name, p in kept.items()},
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "rng": torch.get_rng_state(),
        "numpy_rng": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "loss": history.loss,
        "seconds": history.seconds,
    }
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state()
    with whole_file(path) as part:
        try:
            torch.save(state, part)
        except RuntimeError as error:  # torch's own writer, of a full disk
            raise OSError(str(error).splitlines()[0]) from error


def read_training(path: Path | None, recipe: str, kept: Mapping[str, Tensor]) -> dict | None:
    """What `save_state` wrote, None where there is no file. Raises BadInput for one of another recipe, model or
    program."""
    if path is None or not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadInput(f"checkpoint {path}: cannot be read, remove it to start anew") from error
    if not isinstance(state, dict) or not PARTS <= state.keys():
        raise BadInput(f"checkpoint {path}: not one of this training loop; remove it or name another file")
    if state["recipe"] != recipe:
        raise BadInput(f"checkpoint {path} belongs to another recipe: remove it or name another file")
    if state["model"].keys() != kept.keys():
        raise BadInput(f"checkpoint {path} holds other tensors than this model: remove it or name another file")
    return state


def resume(state: Mapping, kept: Mapping[str, Tensor], optimizer, scaler, history: History) -> int:
    """Takes up a state in place; returns the next step."""
    with torch.no_grad():
        for name, value in state["model"].items():
            kept[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    torch.set_rng_state(state["rng"])
    name, keys, *rest = state["numpy_rng"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_rng"])
    history.loss.extend(state["loss"])
    history.seconds = state["seconds"]
    return state["step"]

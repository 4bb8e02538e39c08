"""Training on several processes, GPUs or machines, started by `accelerate launch` or torchrun. One process needs none
of it, and its numbers do not know that this module is there.

Each process reads its share of a batch (`shared`), weighs its loss by that share, and accelerate averages the
gradients, so every process holds the same model. Numbers are those of one process up to the order of summation, where
clips do not meet in the model: dropout draws anew in each process, and batch norm and losses between the clips of a
batch see a process's own clips.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from minilib.errors import BadInput

Thing = TypeVar("Thing")


class WithLoss(nn.Module):
    """A model and its objective as one module, inputs and labels -> the loss, so that every way an objective calls its
    model is averaged, and compiled, as a whole."""

    def __init__(self, model: nn.Module, objective: Callable[[nn.Module, Tensor, Tensor], Tensor]):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.objective(self.model, inputs, labels)


@dataclass(frozen=True)
class Processes:
    """The processes that train together, and which of them this is. Small messages go from CPU to CPU through `group`,
    so none waits for a GPU; what a thread of its own says, which makes batches meanwhile, through another one."""

    rank: int = 0
    size: int = 1
    group: object = None
    other: object = None

    def apart(self) -> Processes:
        """The same processes for another thread."""
        return replace(self, group=self.other)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files, rows and lines."""
        return self.rank == 0

    def sums(self, *numbers: float) -> tuple[float, ...]:
        """Each number summed over all processes."""
        if self.size == 1:
            return numbers
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, group=self.group)
        return tuple(found.tolist())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of a tensor on the CPU, elementwise."""
        if self.size == 1:
            return values
        found = values.double()
        dist.all_reduce(found, group=self.group)
        return (found / self.size).to(values.dtype)

    def from_first(self, make: Callable[[], Thing]) -> Thing:
        """What `make` gives in the first process, in all of them. What is wrong there is BadInput everywhere."""
        if self.size == 1:
            return make()
        found = [None, None]
        if self.first:
            try:
                found = [make(), None]
            except BadInput as error:
                found = [None, str(error)]
        dist.broadcast_object_list(found, group=self.group)
        if found[1] is not None:
            raise BadInput(found[1])
        return found[0]

    def gathered(self, things: Sequence[Thing]) -> list[Thing]:
        """The things of all processes, in the order of the processes, in each of them."""
        if self.size == 1:
            return list(things)
        found = [None] * self.size
        dist.all_gather_object(found, list(things), group=self.group)
        return [thing for part in found for thing in part]

    def averaged(self, loss: nn.Module, device: torch.device) -> nn.Module:
        """The same module, whose gradients are averaged over the processes. Parameters that a loss does not reach
        keep no gradient, as with one process."""
        if self.size == 1:
            return loss
        from accelerate import Accelerator, DistributedDataParallelKwargs

        unreached = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator = Accelerator(mixed_precision="no", cpu=device.type == "cpu", kwargs_handlers=[unreached])
        return accelerator.prepare_model(loss)

    def reseed(self, seed: int, step: int) -> None:
        """Other draws in other processes (dropout), the same ones wherever a run goes on. The first one's are those of
        a single process."""
        if not self.first:
            torch.manual_seed(hash((seed, step, self.rank)) % 2**63)


ALONE = Processes()


def processes(device: torch.device | str = "cpu") -> Processes:
    """The processes of this launch; started with plain `python` there is one."""
    alone = int(os.environ.get("WORLD_SIZE") or 1) < 2
    return ALONE if alone else _joined(torch.device(device).type == "cpu")


@cache
def _joined(cpu: bool) -> Processes:
    """Joins the others. On GPUs each process takes its own as "cuda"."""
    from accelerate import PartialState

    state = PartialState(cpu=cpu)
    groups = [dist.new_group(backend="gloo") for _ in range(2)]
    atexit.register(dist.destroy_process_group)  # before the threads that it has are taken from it
    return Processes(state.process_index, state.num_processes, *groups)


def shared(batch: Sequence[int], rank: int, size: int) -> list[int]:
    """One process's part of a batch; all parts together are the batch. Items i and n - 1 - i, which MixUp and CutMix
    put together, stay in one process, at places where they meet again."""
    n = len(batch)
    ahead = list(range(rank, n // 2, size))
    middle = [n // 2] if n % 2 and n // 2 % size == rank else []
    return [batch[i] for i in (*ahead, *middle, *(n - 1 - i for i in reversed(ahead)))]

"""Memory of a function as it runs: bytes of tensors at the peak. Every number says how it was taken.

`minilib.cost` has what can be counted without running, `minilib.study.speed` what is timed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minilib.errors import BadInput


@dataclass(frozen=True)
class Memory:
    """Bytes of tensors: `held` before the step, `added` by it at its peak."""

    added: int
    held: int
    device: str

    @property
    def peak(self) -> int:
        return self.held + self.added

    def __str__(self) -> str:
        how = "torch.cuda.max_memory_allocated" if self.device.startswith("cuda") else "live tensor storages"
        return (
            f"{self.peak / 2**20:.1f} MiB at the peak, {self.held / 2**20:.1f} of them held before the step "
            f"({self.device}, {how})"
        )


class _LiveStorages(TorchDispatchMode):
    """Follows the bytes of the CPU storages that operators return, from birth to death."""

    def __init__(self):
        super().__init__()
        self.known: set[int] = set()
        self.held = self.now = self.peak = 0

    def follow(self, tensors: object, born: bool) -> None:
        for tensor in tree_leaves(tensors):
            if not isinstance(tensor, Tensor) or tensor.device.type != "cpu":
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in self.known:
                continue
            self.known.add(key)
            self.held += 0 if born else size
            self.now += size if born else 0
            weakref.finalize(storage, self.forget, key, size if born else 0).atexit = False
        self.peak = max(self.peak, self.now)

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.follow((args, kwargs), born=False)
        out = func(*args, **(kwargs or {}))
        self.follow(out, born=True)
        return out


def peak_training_memory(step: Callable[[], object], device: torch.device | str = "cpu") -> Memory:
    """Runs `step` once (forward, backward, optimizer: whatever it does) and returns its peak memory.

    cuda: what torch's allocator handed out; workspaces that go through it count, the context and the allocator's
    unused reserve do not. cpu: the storages of all tensors that operators return, saved activations and gradients
    included, until they are freed; an operator's own scratch space is not seen, and `held` has only those older
    tensors that the step touches (weights, batch, optimizer state). Gradients that the step leaves behind are
    `added` in the first step and `held` in the next: run one step before, or use `zero_grad(set_to_none=True)`.
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        held = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return Memory(torch.cuda.max_memory_allocated(device) - held, held, str(device))
    if device.type != "cpu":
        raise BadInput(f"device {device}: memory is measured on cpu and cuda")
    with _LiveStorages() as live:
        step()
    return Memory(live.peak, live.held, "cpu")

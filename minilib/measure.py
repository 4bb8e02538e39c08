"""Memory and time of a function as it runs: tensors at the peak, latency, throughput, which of two is faster.

Every number says how it was taken. `minilib.cost` has what can be counted without running.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minilib.errors import BadInput

# --- memory ----------------------------------------------------------------------------------------------------------


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


# --- time ------------------------------------------------------------------------------------------------------------


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _seconds(function: Callable[[], object], calls: int = 1) -> float:
    """Wall-clock seconds a call, the GPU having finished before and after."""
    _wait()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    _wait()
    return (time.perf_counter() - start) / calls


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return median(values), low, high


def _check(rounds: int, warmup: int, calls: int = 1) -> None:
    if rounds < 1 or warmup < 0 or calls < 1:
        raise BadInput(f"rounds {rounds}, warmup {warmup}, calls {calls}: needs at least one round and one call")


@dataclass(frozen=True)
class Latency:
    """Seconds a call: median and quartiles over `rounds`."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return (
            f"{1e3 * self.median:.2f} ms (quartiles {1e3 * self.low:.2f} to {1e3 * self.high:.2f}, wall clock, "
            f"{self.rounds} rounds)"
        )


def latency(function: Callable[[], object], rounds: int = 20, warmup: int = 3) -> Latency:
    """Time of one call. To say which of two is faster use `compare_speed`: a machine's speed drifts."""
    _check(rounds, warmup)
    for _ in range(warmup):
        function()
    return Latency(*_spread([_seconds(function) for _ in range(rounds)]), rounds)


@dataclass(frozen=True)
class Ratio:
    """Time of a divided by time of b, paired within rounds; below one, a is faster. Seconds a call beside it."""

    median: float
    low: float
    high: float
    a: float
    b: float
    rounds: int

    def __str__(self) -> str:
        return (
            f"a takes {self.median:.3f} of b's time (median of {self.rounds} interleaved rounds, quartiles "
            f"{self.low:.3f} to {self.high:.3f}; wall clock {1e3 * self.a:.2f} and {1e3 * self.b:.2f} ms)"
        )


def compare_speed(
    a: Callable[[], object], b: Callable[[], object], rounds: int = 20, warmup: int = 3, calls: int = 1, seed: int = 0
) -> Ratio:
    """Runs both in every round, in random order, so that drift of the machine meets both alike.

    `calls` repeats very short functions within one measurement.
    """
    _check(rounds, warmup, calls)
    for _ in range(warmup):
        a(), b()
    draw, taken = random.Random(seed), []
    for _ in range(rounds):
        order = [0, 1] if draw.random() < 0.5 else [1, 0]
        seconds = {which: _seconds((a, b)[which], calls) for which in order}
        taken.append((seconds[0], seconds[1]))
    ratio = _spread([first / second for first, second in taken])
    return Ratio(*ratio, median(first for first, _ in taken), median(second for _, second in taken), rounds)


@dataclass(frozen=True)
class Throughput:
    """Samples a second at one batch size, from the median time of a call."""

    batch_size: int
    per_second: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.per_second:.1f} samples/s at batch size {self.batch_size} (median of {self.rounds} rounds)"


def throughput(
    model: Callable, make_batch: Callable[[int], object], batch_sizes: Iterable[int], rounds: int = 5, warmup: int = 1
) -> list[Throughput]:
    """`model(make_batch(size))` without gradients for each batch size, ending at the first that does not fit into the
    GPU; take `max(..., key=lambda row: row.per_second)`."""
    rows = []
    for size in batch_sizes:
        try:
            batch = make_batch(size)
            with torch.no_grad():
                taken = latency(partial(model, batch), rounds, warmup)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        rows.append(Throughput(size, size / taken.median, rounds))
    return rows

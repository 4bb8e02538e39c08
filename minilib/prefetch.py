"""Training batches one step ahead of the GPU that learns from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def ahead(batches: Callable[[int], tuple], steps: range, device: torch.device) -> Iterator[tuple]:
    """batches(step) of each step in order. For a GPU the next batch is made in a thread meanwhile, in pinned memory, so
    that no copy waits for the steps before; on the CPU each is made when it is asked for. The batches are the same, as
    they are functions of the step alone."""
    if device.type == "cpu":
        yield from map(batches, steps)
        return
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for step in steps:
            last, coming = coming, pool.submit(lambda at: tuple(map(pinned, batches(at))), step)
            if last is not None:
                yield last.result()
        if coming is not None:
            yield coming.result()


def pinned(x: object) -> object:
    """A tensor of the CPU in memory that a GPU copies from without waiting; anything else as it is."""
    return x.pin_memory() if isinstance(x, Tensor) and x.device.type == "cpu" and torch.cuda.is_available() else x

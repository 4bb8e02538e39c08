"""A training step as one CUDA graph. The small world's models are so small that a GPU waits for the CPU to launch their
kernels, a thousand a step; a recorded graph launches them all at once. Numbers are those of the plain step.

Axes: b clips.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[..., Tensor]  # inputs, labels -> the loss; trains the model by one step
PLAIN_STEPS = 4  # before recording: what is made on first use is then there


def parts_of(inputs: object) -> tuple[list[Tensor], list[object]] | None:
    """The tensors and the plain values in dataclasses, lists and tuples of them; None where there is anything else."""
    if isinstance(inputs, Tensor):
        return [inputs], []
    if inputs is None or isinstance(inputs, bool | int | float | str):
        return [], [inputs]
    if dataclasses.is_dataclass(inputs):
        inputs = [getattr(inputs, field.name) for field in dataclasses.fields(inputs)]
    if not isinstance(inputs, list | tuple):
        return None
    found = [parts_of(part) for part in inputs]
    if None in found:
        return None
    return [x for tensors, _ in found for x in tensors], [len(found), *(v for _, values in found for v in values)]


def kinds(parts: tuple[list[Tensor], list[object]]) -> tuple[list[object], list[object]]:
    """What has to stay as it was when a graph was recorded."""
    return [(x.shape, x.dtype) for x in parts[0]], parts[1]


class Recorded:
    """`step` on a GPU: plain at first, then recorded once and replayed. It stays plain where it cannot be recorded:
    where inputs are no tensors or change their shapes, where the step draws on the CPU (a replay would draw the same
    again), waits for the GPU, or makes tensors on the CPU.

    The optimiser has to be `capturable`; its rates are read from `param_groups` before every step.
    """

    def __init__(self, step: Step, optimizer: torch.optim.Optimizer, device: torch.device):
        self.step, self.optimizer, self.device = step, optimizer, device
        self.rates = [torch.zeros((), device=device) for _ in optimizer.param_groups]
        self.stream = torch.cuda.Stream(device)  # a graph is recorded on a stream of its own, after plain steps on it
        self.left: float = PLAIN_STEPS
        self.graph: torch.cuda.CUDAGraph | None = None
        self.held: tuple[list[Tensor], list[object]] = [], []  # what the graph reads

    def __call__(self, *inputs: object) -> Tensor:
        given = parts_of(inputs)
        numbers = [group["lr"] for group in self.optimizer.param_groups]
        for group, rate, number in zip(self.optimizer.param_groups, self.rates, numbers, strict=True):
            group["lr"] = rate.fill_(number)
        try:
            if given is None or (self.graph is not None and kinds(given) != kinds(self.held)):
                return self.plain(*inputs)
            if self.graph is None and self.left <= 0 and not self.record(*inputs):
                self.left = float("inf")
            if self.graph is None:
                return self.plain(*inputs)
            for held, new in zip(self.held[0], given[0], strict=True):
                held.copy_(new, non_blocking=True)
            self.graph.replay()
            return self.loss.clone()
        finally:
            for group, number in zip(self.optimizer.param_groups, numbers, strict=True):
                group["lr"] = number

    def plain(self, *inputs: object) -> Tensor:
        """One step as it stands. What draws on the CPU or waits for the GPU is never recorded."""
        before = torch.get_rng_state()
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream), warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                loss = self.step(*inputs)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        torch.cuda.current_stream(self.device).wait_stream(self.stream)
        waited = any("synchronizing" in str(each.message) for each in waits)
        # the first step may wait: libraries set themselves up
        free = torch.equal(before, torch.get_rng_state()) and (not waited or self.left == PLAIN_STEPS)
        self.left = self.left - 1 if free else float("inf")
        return loss

    def record(self, *inputs: object) -> bool:
        """Records the step without running it; whether that could be done."""
        graph = torch.cuda.CUDAGraph()
        inputs = copy.deepcopy(inputs)  # the graph's own, to be written into
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                loss = self.step(*inputs)
        except RuntimeError:  # a kernel that cannot be recorded
            torch.cuda.synchronize(self.device)
            return False
        self.graph, self.loss, self.held = graph, loss, parts_of(inputs)
        return True

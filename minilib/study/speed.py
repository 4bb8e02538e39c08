"""What methods cost beside one another: time and memory of a training step, latency, throughput, work, parameters.

Whatever is timed takes turns within a round, so that drift of the machine meets all alike, and is recorded as a ratio
to a reference. A round's number stands where a seed stands elsewhere, so that rounds pair up. Nothing else should run
meanwhile.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from minilib.claims import Measurements
from minilib.cost import multiply_adds, peak_training_memory, tunable_parameters
from minilib.training import Objective

ROUNDS = 10  # what an interval of costs asks for
Rounds = list[dict[str, float]]


@dataclass(frozen=True)
class Timed:
    """A model with a batch that it takes: inputs (b, ...) and labels (b,), and the loss that it trains with. one: the
    inputs of a single clip, for latency and work. folded: the model as it is after training, where that is cheaper."""

    model: nn.Module
    inputs: object
    labels: Tensor
    objective: Objective
    one: object = None
    folded: nn.Module | None = None

    def step(self) -> None:
        """Forward and backward, without the optimiser."""
        self.objective(self.model.train(), self.inputs, self.labels).backward()
        self.model.zero_grad(set_to_none=True)


@torch.inference_mode()
def forward(model: nn.Module, inputs: object) -> None:
    """One pass in evaluation mode."""
    model.eval()(inputs)


def rounds_of(calls: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, warmup: int = 1) -> Rounds:
    """Seconds of each call in each round; the calls take turns, and the order turns with the rounds."""
    names, out = list(calls), []
    for number in range(-warmup, rounds):
        seconds = {}
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            began = time.perf_counter()
            calls[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] = time.perf_counter() - began
        if number >= 0:
            out.append(seconds)
    return out


def relative(rounds: Rounds, to: str) -> Rounds:
    """Each round's seconds by name as ratios to those of the call `to`."""
    return [{name: seconds / each[to] for name, seconds in each.items()} for each in rounds]


def inverse(rounds: Rounds) -> Rounds:
    """Ratios of throughput from those of time."""
    return [{name: 1 / ratio for name, ratio in each.items()} for each in rounds]


def training_costs(timed: Mapping[str, Timed], reference: str, device: str, rounds: int = ROUNDS) -> dict[str, Rounds]:
    """{"step": ..., "memory": ...} relative to `reference`, a round each; memory is taken once and stands in every
    round."""
    memory = {name: peak_training_memory(each.step, device).peak for name, each in timed.items()}
    ratio = {name: peak / memory[reference] for name, peak in memory.items()}
    steps = relative(rounds_of({name: each.step for name, each in timed.items()}, rounds), reference)
    return {"step": steps, "memory": [ratio] * rounds}


def inference_costs(timed: Mapping[str, Timed], reference: str, rounds: int = ROUNDS) -> dict[str, Rounds]:
    """{"latency": of one clip, "throughput": of the batch} relative to `reference`. What folds is there as it is after
    training, too, under its name and "_merged"."""
    single: dict[str, Callable[[], object]] = {}
    many: dict[str, Callable[[], object]] = {}
    for name, each in timed.items():
        served = {name: each.model} | ({f"{name}_merged": each.folded} if each.folded is not None else {})
        for label, model in served.items():
            single[label], many[label] = partial(forward, model, each.one), partial(forward, model, each.inputs)
    return {
        "latency": relative(rounds_of(single, rounds), reference),
        "throughput": inverse(relative(rounds_of(many, rounds), reference)),
    }


def counted_costs(timed: Mapping[str, Timed]) -> dict[str, Rounds]:
    """{"work": million multiply-adds of one clip, "tunable": thousand parameters}, one round: nothing is timed."""
    work, tunable = {}, {}
    for name, each in timed.items():
        tunable[name] = tunable_parameters(each.model) / 1e3
        work[name] = multiply_adds(each.model.eval(), each.one) / 1e6
        if each.folded is not None:
            work[f"{name}_merged"] = multiply_adds(each.folded.eval(), each.one) / 1e6
    return {"work": [work], "tunable": [tunable]}


def record_rounds(rows: Measurements, found: Mapping[str, Sequence[Mapping[str, float]]], settings: object) -> None:
    """Rows "cost/<what>.<name>", the round's number as seed. settings: the batch and the sizes, as plain data."""
    for what, rounds in found.items():
        for number, each in enumerate(rounds):
            for name, value in each.items():
                rows.record(f"cost/{what}.{name}", value, number, settings)

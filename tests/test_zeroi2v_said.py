"""ZeroI2V's sentences say what was measured, and cannot say anything else."""

import torch

from minilib.papers.zeroi2v import said


def test_reach_and_costs_are_counted():
    staircase = torch.tensor([[False, True], [True, True]])
    assert said.reached({"two heads": staircase}) == (
        "After two blocks, of two frames this many know of the last one: two with two heads."
    )
    rows = {"cost/latency.merged": {0: 0.9, 1: 0.98, 2: 1.4}, "cost/step.aim": {0: 1.6}, "cost/memory.evl": {0: 0.4}}
    latency, step = said.costs(rows).split("). ", 1)
    assert latency.startswith(
        "On the device of the rows merged ZeroI2V takes 0.98 times as long as the image model (ViT"
    )
    assert step == (
        "The time of a training step, in multiples of ZeroI2V's: AIM 1.6. "
        "The memory of a training step, in multiples of ZeroI2V's: EVL 0.4."
    )
    assert said.costs({}) == "Time and memory are not measured here yet."

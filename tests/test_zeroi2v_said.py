"""ZeroI2V's sentences say what was measured, and cannot say anything else."""

import torch

from minilib.papers.zeroi2v import said


def test_reach_and_costs_are_counted():
    staircase = torch.tensor([[False, True], [True, True]])
    assert said.reached({"with": staircase}) == (
        "Of two frames, so many know of the last one after two blocks: with, two."
    )
    rows = {"cost/latency.merged": {0: 0.9, 1: 0.98, 2: 1.4}, "cost/step.aim": {0: 1.6}}
    latency, step = said.costs(rows).split(". ", 1)
    assert latency == "On this device merged ZeroI2V takes 0.98 of the image model's time"
    assert step == "A training step, ZeroI2V's as one: AIM 1.6."
    assert said.costs({}) == "Time and memory are not measured here yet."

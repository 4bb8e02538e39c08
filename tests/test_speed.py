"""Costs side by side: turns, references, and what becomes a row."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minilib.claims import Measurements
from minilib.study import speed
from minilib.study.speed import (
    Timed,
    counted_costs,
    inference_costs,
    record_rounds,
    relative,
    rounds_of,
    training_costs,
)


def entropy(model, x, y):
    return nn.functional.cross_entropy(model(x), y)


def timed(width, folded=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 3))
    x = torch.randn(16, 8)
    return Timed(model, x, torch.arange(16) % 3, entropy, x[:1], folded)


def test_calls_take_turns_and_the_order_turns_with_the_rounds():
    order = []
    rounds = rounds_of({name: lambda name=name: order.append(name) for name in "abc"}, rounds=3, warmup=1)
    assert len(rounds) == 3 and all(each.keys() == set("abc") for each in rounds)
    assert ["".join(order[i : i + 3]) for i in range(0, 12, 3)] == ["cab", "abc", "bca", "cab"]


def test_the_slower_one_takes_longer_and_the_reference_is_one():
    calls = {"a": lambda: time.sleep(0.002), "b": lambda: time.sleep(0.05)}
    rounds = relative(rounds_of(calls, rounds=3), "a")
    assert all(each["a"] == 1 and each["b"] > 1 for each in rounds)
    assert speed.inverse([{"a": 1.0, "b": 4.0}]) == [{"a": 1.0, "b": 0.25}]


def test_a_step_goes_forward_and_backward_and_leaves_no_gradient():
    each = timed(8)
    each.step()
    assert each.model.training and all(p.grad is None for p in each.model.parameters())


def test_memory_is_that_of_the_device(monkeypatch):
    seen = []
    peak = lambda step, device: seen.append(device) or SimpleNamespace(peak=3.0)  # noqa: E731
    monkeypatch.setattr(speed, "peak_training_memory", peak)
    assert training_costs({"a": timed(8)}, "a", "cuda:1", rounds=1)["memory"] == [{"a": 1.0}] and seen == ["cuda:1"]


def test_costs_are_relative_and_become_rows(tmp_path):
    models = {"narrow": timed(8), "wide": timed(512, folded=nn.Linear(8, 3))}
    found = training_costs(models, "narrow", "cpu", rounds=2) | inference_costs(models, "narrow", rounds=2)
    assert {what: len(rounds) for what, rounds in found.items()} == dict.fromkeys(found, 2)
    assert found["memory"][0]["wide"] > 5 and found["memory"][0]["narrow"] == 1
    assert found["throughput"][0].keys() == found["latency"][1].keys() == {"narrow", "wide", "wide_merged"}
    counted = counted_costs(models)
    assert counted["work"][0]["wide"] == pytest.approx((8 * 512 + 512 * 3) / 1e6)
    assert counted["work"][0]["wide_merged"] == pytest.approx(24 / 1e6)
    assert counted["tunable"][0]["narrow"] == pytest.approx((8 * 8 + 8 + 8 * 3 + 3) / 1e3)
    (tmp_path / "toy.yaml").write_text(
        "experiment: 1\nclaims: [{id: a, source: b, statement: c, kind: count, paper_value: 1, digit: 1}]"
    )
    rows = Measurements("toy", tmp_path, committed=tmp_path, claims_folder=tmp_path)
    record_rounds(rows, found, {"batch": 16})
    assert rows.find("cost/memory.wide", 1, {"batch": 16}) == found["memory"][1]["wide"]
    assert rows.find("cost/step.wide", 2, {"batch": 16}) is None

"""The comparison: every method by the same door, runs that are the same as elsewhere, tables that only read rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
import yaml
from torch import nn

from minilib import claims
from minilib.files import NOTEBOOKS
from minilib.papers.comparison import experiments as comparison_experiments
from minilib.papers.comparison import method as comparison
from minilib.papers.comparison import tables as comparison_tables
from minilib.papers.object_centric import experiments as object_centric_experiments
from minilib.papers.object_centric.arms import ARMS
from minilib.training import train
from minilib.world import clip_batch, train_batches

QUICK = replace(comparison_experiments.GRID, steps=2, warmup=1, batch=4)
MOTION = comparison.TASKS["motion"]


def clips_for(method, count=2):
    return clip_batch("motion", 0, "val", range(count), comparison.FRAMES * method.gamma)


@pytest.mark.parametrize("name", comparison.METHODS)
def test_a_step_changes_what_trains_and_nothing_else(name):
    method = comparison.METHODS[name]
    model = comparison.build(method, MOTION, seed=0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    batches = train_batches("motion", 0, 4, comparison.FRAMES * method.gamma)
    train(model, batches, QUICK, 12, objective=method.objective)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert changed and changed <= free
    frozen_tower = name not in ("full_image",)
    assert frozen_tower == any(not p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", comparison.METHODS)
def test_scores_of_a_clip_do_not_depend_on_the_batch(name):
    method = comparison.METHODS[name]
    model = comparison.build(method, MOTION, seed=1).eval()
    frames, _ = clips_for(method, 3)
    with torch.no_grad():
        both, alone = model(frames), model(frames[1:2])
    assert both.shape == (3, 12)
    torch.testing.assert_close(both[1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["probe", "full_image"])
def test_the_controls_cannot_see_order(name):
    method = comparison.METHODS[name]
    model = comparison.build(method, MOTION, seed=0).eval()
    frames, _ = clips_for(method)
    with torch.no_grad():
        torch.testing.assert_close(model(frames), model(frames.flip(1)), atol=1e-4, rtol=1e-4)


def test_a_seed_gives_the_same_start_and_another_seed_another():
    states = [comparison.build(comparison.METHODS["oca"], MOTION, seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    assert any(not torch.equal(states[0][n], states[2][n]) for n in states[0])


def test_a_peers_run_is_the_one_of_ocas_own_grid():
    ours = comparison.run(comparison.METHODS["evl"], MOTION, QUICK, 0, test_clips=8)
    sizes = object_centric_experiments.Sizes(test=8)
    theirs = object_centric_experiments.run(ARMS["evl"], QUICK, 0, sizes=sizes)
    assert ours[1].loss == theirs[1].loss and ours[2] == theirs[2]


def test_a_row_of_ocas_grid_is_taken_over_and_not_run_again(tmp_path, monkeypatch):
    elsewhere = claims.Measurements("object_centric", tmp_path)
    settings = object_centric_experiments.described(ARMS["noun/aim"], comparison_experiments.GRID)
    elsewhere.record("grid/noun/aim", 12.5, 77, settings)
    monkeypatch.setattr(comparison_experiments, "run", None)
    rows = claims.Measurements("image_to_video_compared", tmp_path, committed=tmp_path / "none")
    assert comparison_experiments.measure("noun/aim", 77, rows) == 12.5
    assert comparison_experiments.twin("noun/oca", 77, rows) is None  # OCA's own features are rounded there


class Mine(nn.Module):
    def __init__(self, clip, frames, task):
        super().__init__()
        self.linear = nn.Linear(3, 12)

    def forward(self, frames):
        return self.linear(frames.float().mean((1, 2, 3)) / 255)


def test_a_readers_own_method_is_one_more_row(tmp_path, monkeypatch):
    rows = claims.Measurements("image_to_video_compared", tmp_path, committed=tmp_path / "none")
    methods = comparison.METHODS | {"mine": comparison.Method(Mine)}
    value = comparison_experiments.measure("motion/mine", 0, rows, QUICK, methods)
    assert 0 <= value <= 100
    monkeypatch.setattr(comparison_experiments, "run", None)  # the row is there
    assert comparison_experiments.measure("motion/mine", 0, rows, QUICK, methods) == value
    assert dict(zip(methods, comparison_tables.table(rows.seeds_of(), list(methods)).rows, strict=True))["mine"][1] == (
        f"{value:.1f}"
    )


def test_the_same_seconds_are_steps_by_the_measured_ratio(tmp_path):
    rows = claims.Measurements("image_to_video_compared", tmp_path, committed=tmp_path / "none")
    for number, ratio in enumerate((0.4, 0.5, 9.0)):  # the median counts
        rows.record("cost/step.probe", ratio, number)
    assert comparison_experiments.paid("probe", rows, QUICK, comparison.METHODS) == 4


def test_costs_are_ratios_in_rounds(tmp_path):
    few = {name: comparison.METHODS[name] for name in ("st_adapter", "zeroi2v", "probe")}
    costs = comparison_experiments.costs(few, MOTION, "cpu", batch=1, rounds=2)
    assert len(costs["step"]) == len(costs["latency"]) == len(costs["throughput"]) == 2
    assert all(each["st_adapter"] == 1.0 for each in costs["step"] + costs["latency"] + costs["throughput"])
    assert set(costs["latency"][0]) == set(costs["work"][0]) == {*few, "zeroi2v_merged"}
    assert costs["work"][0]["zeroi2v_merged"] == costs["work"][0]["probe"] < costs["work"][0]["zeroi2v"]
    assert costs["tunable"][0]["probe"] < costs["tunable"][0]["zeroi2v"]
    assert costs["memory"][0]["probe"] < costs["memory"][0]["st_adapter"]


def synthetic():
    rows = {"grid/motion/a": {0: 80.0, 1: 82.0}, "grid/motion/b": {0: 79.0, 1: 81.0}, "grid/motion/c": {0: 20.0}}
    costs = {"a": 100.0, "b": 40.0, "c": 10.0}
    return rows | {f"cost/memory.{n}": {0: c} for n, c in costs.items()}


def test_advice_follows_from_the_rows():
    needs = (
        comparison_tables.Need("any", "motion"),
        comparison_tables.Need("small", "motion", "memory", 4),
        comparison_tables.Need("unknown", "few"),
    )
    any_, small, unknown = comparison_tables.advice(synthetic(), "abc", needs).rows
    assert any_[1:] == ("a", "81.0 ± 1.4", "b")
    assert small[1] == "b" and small[3] == "nobody"
    assert unknown[1] == "not measured yet"


def test_what_is_merged_costs_what_it_does_then():
    rows = synthetic() | {"cost/work.a": {0: 9.0}, "cost/work.b": {0: 4.0}, "cost/work.c": {0: 4.0}}
    need = comparison_tables.Need("often", "motion", "work", 1.05)
    assert comparison_tables.advice(rows, "abc", [need]).rows[0][1] == "b"
    rows["cost/work.a_merged"] = {0: 4.1}
    assert comparison_tables.advice(rows, "abc", [need]).rows[0][1] == "a"
    merged = comparison_tables.table(rows, "a").rows[1]
    assert merged[:2] == ("a_merged", "81.0 ± 1.4") and "4" in merged


def test_a_folded_method_gives_the_same_scores():
    model = comparison.build(comparison.METHODS["zeroi2v"], MOTION, 0).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.05)
    frames, _ = clips_for(comparison.METHODS["zeroi2v"])
    with torch.no_grad():
        before = model(frames)
        torch.testing.assert_close(comparison.folded(model)(frames), before, atol=1e-4, rtol=1e-4)
    assert sum(p.numel() for p in model.parameters()) < sum(
        p.numel() for p in comparison.build(comparison.METHODS["zeroi2v"], MOTION, 0).parameters()
    )


def test_other_seconds_are_another_row(tmp_path, monkeypatch):
    rows = claims.Measurements("image_to_video_compared", tmp_path, committed=tmp_path / "none")
    steps = []
    monkeypatch.setattr(
        comparison_experiments, "run", lambda method, task, recipe, *rest: (steps.append(recipe.steps), None, 50.0)
    )
    for number in (0, 0, 1):
        rows.record("cost/step.probe", 0.5 + 0.5 * number)
        comparison_experiments.measure("seconds/probe", 0, rows, QUICK)
    assert steps == [4, 2]


def test_what_is_not_measured_stays_empty():
    row = comparison_tables.table(synthetic(), ["c"]).rows[0]
    assert row[:3] == ("c", "20.0", "") and "10" in row
    figure, axis = plt.subplots()
    comparison_tables.scatter(axis, synthetic(), ["a", "c", "nobody"], "motion", "memory")
    assert {text.get_text() for text in axis.texts} == {"a", "c"}
    plt.close(figure)


def test_every_claim_names_rows_that_are_measured():
    made = {f"grid/{name}" for name in comparison_experiments.NAMES}
    assert {m for claim in claims.load("image_to_video_compared").claims for m in claim.measures} <= made


@pytest.mark.parametrize("path", sorted((NOTEBOOKS / "parameters").glob("*.yaml")), ids=lambda p: Path(p).stem)
def test_parameter_files_name_parameters_of_the_notebook(path):
    given = yaml.safe_load(path.read_text())
    text = (NOTEBOOKS / "06_image_to_video_compared.ipynb").read_text()
    assert all(f'"{name}: ' in text for name in given) and f'\\"{given["method"]}\\"' in text
    assert path.stem == f"{given['method']}_{given['dataset']}"

"""Coarse-Fine's arms run on the small world: tiny, but all of it really run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.claims import Measurements
from minilib.metrics.detection import every_frame
from minilib.models.x3d import TINY, X3D
from minilib.papers.coarse_fine import experiments as coarse_fine_experiments
from minilib.papers.coarse_fine import maps as coarse_fine_maps
from minilib.papers.coarse_fine import runs as coarse_fine_runs
from minilib.papers.coarse_fine import tables as coarse_fine_tables
from minilib.papers.coarse_fine.arms import ARMS
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import inverse_grid
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream
from minilib.papers.coarse_fine.runs import LongClips, OnLevels, StoredLevels
from minilib.training import TrainSettings
from minilib.world import SPARSE, long_labels, long_scenes, render, sample_times

STEP = TrainSettings(steps=2, batch=4, warmup=1)
QUICK = coarse_fine_experiments.Recipe(STEP, STEP, STEP, STEP, train=8, test=8)
FEW = LongClips("val", 5, frames=16)


# --- clips ---


def test_clips_are_those_of_the_world():
    scenes, times = long_scenes(0, "val", np.array([3, 1]), rhythm=SPARSE), sample_times(16)
    assert torch.equal(FEW(np.array([3, 1])), render(scenes, times, 32))
    assert torch.equal(FEW.labels(np.array([3, 1])), long_labels(scenes, times).frames.float())
    assert FEW.rendered is LongClips("val", 5, frames=16).rendered, "rendered once"


def test_a_shuffled_clip_keeps_every_frame_with_its_label():
    mixed = replace(FEW, shuffle=True).rendered
    for clip in range(5):
        order = [
            int((FEW.rendered.frames[clip] == frame).flatten(1).all(1).float().argmax()) for frame in mixed[0][clip]
        ]
        assert len(set(order)) > 10 and order != sorted(order)
        assert torch.equal(mixed.labels[clip], FEW.rendered.labels[clip][order])
        assert torch.equal(mixed.informative[clip], FEW.rendered.informative[clip][order])


def test_batches_and_predictions_keep_clips_and_labels_together():
    at = coarse_fine_runs.batches(FEW, 5, seed=1)
    frames, labels = at(0)
    again, _ = at(1)
    assert not torch.equal(frames, again) and torch.equal(
        frames.flatten(1).float().sum(0), again.flatten(1).float().sum(0)
    )
    row = int((FEW.rendered.frames == frames[0]).flatten(1).all(1).float().argmax())
    assert torch.equal(labels[0], FEW.rendered.labels[row])
    torch.manual_seed(0)
    model = X3D(TINY, 10)
    found = coarse_fine_runs.predictions(model, FEW, batch=2)
    with torch.no_grad():
        assert torch.allclose(found, model.eval()(FEW.rendered.frames).sigmoid(), atol=1e-6)
    want = every_frame(list(found), list(FEW.rendered.labels)).mean
    assert coarse_fine_runs.detection_map(model, FEW) == pytest.approx(want)


# --- stored levels ---


def test_stored_levels_give_what_both_streams_give_end_to_end():
    torch.manual_seed(0)
    fine = X3D(TINY, 10)
    model = CoarseFine(CoarseStream(X3D(TINY, 10), fusion=MultiStageFusion), fine).eval()
    stored, at = StoredLevels(fine, FEW, batch=2), np.array([4, 0])
    with torch.no_grad():
        live, kept = model(FEW(at)), OnLevels(model.coarse).eval()(stored(at).to("cpu"))
    assert all(level.dtype == torch.float16 for level in stored.levels)
    assert torch.allclose(live, kept, atol=1e-2), "but for half precision"


# --- where a grid samples ---


def test_density_counts_grid_points():
    even = torch.arange(0, 17, 4.0)[None]
    assert torch.allclose(coarse_fine_maps.density(even, 17), torch.full((1, 17), 0.25))
    dense = torch.tensor([[0.0, 8.0, 9.0, 10.0, 16.0]])  # one point a frame from 8 to 10
    found = coarse_fine_maps.density(dense, 17)[0]
    assert found[9] == pytest.approx(1) and found[4] == pytest.approx(1 / 8) and found[13] == pytest.approx(1 / 6)
    assert found[1:-1].sum() + found[[0, -1]].sum() / 2 == pytest.approx(4)


def test_correlation_is_pearsons_of_each_clip():
    happens = torch.rand(4, 20) < 0.4
    happens[3] = True  # nothing to correlate with: left out
    x = torch.rand(4, 20)
    want = np.mean([np.corrcoef(x[i], happens[i])[0, 1] for i in range(3)])
    assert coarse_fine_maps.correlation(x, happens) == pytest.approx(want, abs=1e-5)
    assert coarse_fine_maps.correlation(happens.float(), happens) == pytest.approx(1)
    assert coarse_fine_maps.correlation(torch.ones(4, 20), happens) == 0


def test_the_inverse_grid_is_as_dense_as_the_head_is_confident():
    p = torch.rand(3, 16) + 0.05
    locations, share = inverse_grid(p, 64)
    assert locations[:, 0].abs().max() < 1e-4 and locations[:, -1] == pytest.approx(63)
    assert torch.allclose(share * 63, locations)
    shares = p / p.sum(1, keepdim=True)
    for clip in range(3):  # between two points lies a sixteenth of the confidence
        cdf = np.concatenate([[0], shares[clip].cumsum(0)])
        found = np.interp(locations[clip] / 63 * 16, np.arange(17), cdf)
        assert np.allclose(found, np.arange(17) / 16, atol=1e-5)
    flat = inverse_grid(torch.full((1, 16), 0.3), 64)[0]
    assert torch.allclose(flat, torch.linspace(0, 63, 17)[None], atol=1e-4)


def test_true_confidence_is_the_share_in_which_something_happens():
    happens = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 1]]).bool()
    assert torch.allclose(coarse_fine_maps.true_confidence(happens), torch.tensor([[0.9, 0.225]]))


# --- arms ---


def test_claims_and_tables_name_what_is_measured():
    known = {f"grid/{name}" for name in ARMS} | {f"samples/{name}" for name in ARMS}
    named = {m for claim in claims.load("coarse_fine").claims if claim.kind == "ordering" for m in claim.measures}
    assert named <= known
    for name, table in vars(coarse_fine_tables).items():
        if name.isupper():
            assert {measure for measure, _ in table.values()} <= known, name


@pytest.mark.parametrize("name", ["x3d", "striding", "coarse_fine", "fine_fine", "dense_grid_pool"])
def test_every_arm_starts_from_the_same_x3d(name):
    given = coarse_fine_experiments.clips(ARMS["x3d"], QUICK, 0, "train")
    first = coarse_fine_experiments.start(ARMS["x3d"].size, given, QUICK, 0, "cpu")
    model, fine = coarse_fine_experiments.prepared(ARMS[name], QUICK, 0)
    assert fine is first and not any(p.requires_grad for p in fine.parameters())
    streams = [module for module in model.modules() if isinstance(module, X3D)]
    assert len(streams) == (2 if "fine" in name else 1)
    for stream in streams:
        assert all(
            torch.equal(a, b) for a, b in zip(stream.state_dict().values(), first.state_dict().values(), strict=True)
        )


def test_the_fine_stream_stays_and_the_rest_moves():
    model, _, _ = coarse_fine_experiments.run(ARMS["coarse_fine"], QUICK, 0)
    fresh, fine = coarse_fine_experiments.prepared(ARMS["coarse_fine"], QUICK, 0)
    after, before = model.coarse.state_dict(), fresh.coarse.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in before if name.endswith("weight"))
    assert all(torch.equal(a, b) for a, b in zip(fine.parameters(), fresh.fine.parameters(), strict=True))


def test_end_to_end_the_fine_stream_trains_too():
    arm, together = ARMS["coarse_fine"], coarse_fine_experiments.together
    model, _, score = coarse_fine_experiments.run(arm, QUICK, 0, streams=together)
    fine = coarse_fine_experiments.prepared(arm, QUICK, 0)[1]
    changed = [not torch.equal(a, b) for a, b in zip(model.fine.stem.parameters(), fine.stem.parameters(), strict=True)]
    assert all(changed) and 0 < score < 100


def test_the_cost_is_of_both_streams():
    alone, both = (coarse_fine_experiments.cost_of(ARMS[name]) for name in ("grid_pool", "coarse_fine"))
    x3d, dense = (coarse_fine_experiments.cost_of(ARMS[name]) for name in ("x3d", "dense_grid_pool"))
    assert alone < x3d < alone + x3d < both and dense == pytest.approx(2 * alone, rel=0.05)


def test_seeds_repeat_and_evaluation_clips_are_shared():
    runs = [coarse_fine_experiments.run(ARMS["grid_pool"], QUICK, seed)[1].loss for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    clips = coarse_fine_experiments.clips
    assert clips(ARMS["x3d"], QUICK, 0, "test") == clips(ARMS["grid_pool"], QUICK, 1, "test")
    assert clips(ARMS["x3d"], QUICK, 0, "train") != clips(ARMS["x3d"], QUICK, 1, "train")
    words = coarse_fine_experiments.described
    assert words(ARMS["grid_pool"], QUICK) != words(ARMS["dense_grid_pool"], QUICK)
    assert " at 0x" not in words(ARMS["grid_pool_flow"], QUICK)


@pytest.mark.parametrize("name", ["grid_pool", "striding", "control/shuffled_frames"])
def test_rows_of_one_arm(name, tmp_path):
    measurements = Measurements("coarse_fine", tmp_path, committed=tmp_path)
    value = coarse_fine_experiments.measure(name, 0, measurements, QUICK)
    assert 0 < value < 100 and coarse_fine_experiments.measure(name, 0, measurements, QUICK) == value
    rows = [json.loads(line) for line in (tmp_path / "rows" / "coarse_fine.jsonl").read_text().splitlines()]
    assert {row["measure"] for row in rows} == {f"grid/{name}"} | ({f"samples/{name}"} if name != "striding" else set())
    assert len(rows) == (1 if name == "striding" else 2)

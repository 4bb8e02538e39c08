"""DiST's counts, arms, runs on the small world and recipe on real files: tiny, but all of it really run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.claims import Measurements
from minilib.models.clip import TINY, Architecture
from minilib.models.small_clip import small_clip
from minilib.papers.dist import arms as dist_arms
from minilib.papers.dist import counts as dist_counts
from minilib.papers.dist import experiments as dist_experiments
from minilib.papers.dist import maps as dist_maps
from minilib.papers.dist import runs as dist_runs
from minilib.papers.dist import speed as dist_speed
from minilib.papers.dist import tables as dist_tables
from minilib.papers.dist import zero_shot as dist_zero_shot
from minilib.papers.dist.arms import ARMS, Arm, Inputs
from minilib.papers.dist.recipe import Run, run
from minilib.world import MOTIONS, SHAPES, clip_batch, clip_scenes, sample_times
from minilib.world.export import export_kinetics

QUICK = replace(dist_experiments.GRID, steps=2, warmup=1, batch=4)


@pytest.fixture(autouse=True)
def few_clips(tmp_path_factory, monkeypatch):
    """Small sets of clips, and caches in a folder that all tests here share."""
    for split in dist_runs.CLIPS:
        monkeypatch.setitem(dist_runs.CLIPS, split, 12)
    folder = tmp_path_factory.getbasetemp() / "features"
    for module in (dist_runs, dist_zero_shot):
        monkeypatch.setattr(module, "CACHE", folder)


# --- counts ---


def test_every_count_meets_the_paper_or_says_why_not():
    counted = dist_counts.count_all()
    for claim in claims.load("dist").claims:
        if claim.kind == "count":
            assert (abs(counted[claim.id] - claim.paper_value) < claim.digit) == (claim.conflict is None), claim.id
    for gamma in (2, 4, 8):
        saved = counted[f"t1d.gflops.gamma{gamma}"] - counted[f"t1d.gflops.gamma{gamma}.efficient"]
        stem = 196 * 3 * 16 * 16 * 768 + 5 * 197 * 768  # of one frame: the patch embedding and ln_pre
        assert saved == pytest.approx(8 * (gamma - 1) * stem / 1e9)


def test_parameters_and_gradients():
    design = dist_counts.SSV2
    net = dist_counts.net_of(design)
    convolutions = 12 * (384 * 96 * 2 + 384)
    psi = sum(p.numel() for p in net.branches.temporal2integration_nets.parameters())
    assert psi == convolutions + 12 * 8 * 384


# --- arms ---


def test_claims_and_tables_name_what_is_measured():
    counts = {c.id for c in claims.load("dist").claims if c.kind == "count"}
    pairs = [pair for c in claims.load("dist").claims for pair in c.pairs]
    named = {m.removeprefix("grid/") for pair in pairs for m in (pair.better, pair.worse) if m.startswith("grid/")}
    zero_shot = {f"{name}/{how}" for name in dist_zero_shot.ZERO_SHOT for how in ("dist", "clip", "fused", "chance")}
    assert named <= {*ARMS, *zero_shot, "chance"}
    for name, table in vars(dist_tables).items():
        if name.isupper() and not name.startswith("_"):
            assert {measure.removeprefix("grid/") for measure, _ in table.values()} <= set(ARMS), name
    assert all(name.startswith(("t1", "t4", "t6", "peer", "sec")) for name in counts)


def test_class_texts_are_told_apart():
    clip = small_clip()
    raw = dist_arms.class_features(clip, MOTIONS)
    moved = dist_arms.classes_of(clip, "motion")
    assert torch.allclose(moved.norm(dim=-1), torch.ones(len(MOTIONS)))
    off = moved @ moved.T - torch.eye(len(MOTIONS))
    assert off.max() < 0.2 < 0.99 < (raw @ raw.T - torch.eye(len(MOTIONS))).max()
    assert ((dist_arms.centred(raw) * moved).sum(-1) > 0).all()
    nouns = dist_arms.class_features(clip, SHAPES)
    assert torch.equal(dist_arms.classes_of(clip, "noun"), dist_arms.centred(nouns))


def reordered(inputs: Inputs) -> Inputs:
    """The sparse frames backwards, each with the dense ones that follow it."""
    frames = inputs.frames.unflatten(1, (-1, inputs.gamma)).flip(1).flatten(1, 2)
    return Inputs(frames, inputs.gamma)


@pytest.mark.parametrize("name", ["order_blind", "full_image", "dist", "integration_only", "evl", "st_adapter"])
def test_only_some_arms_can_see_order(name):
    torch.manual_seed(0)
    model = dist_runs.build(ARMS[name], 0).eval()
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    inputs = Inputs(clip_batch("motion", 0, "val", [0, 1], 8)[0], 2)
    with torch.no_grad():
        same = torch.allclose(model(inputs), model(reordered(inputs)), atol=1e-4)
    assert same == (name in ("order_blind", "full_image"))


def test_moments_do_not_betray_the_direction_to_the_order_blind():
    evenly = {}
    for name in ("order_blind", "dist"):
        clips = dist_runs.clips(ARMS[name], 0, "val", 4)
        times = sample_times(clips.source.steps)[:: clips.gamma]
        evenly[name] = np.allclose(times, 1 - times[::-1])
    assert evenly == {"order_blind": True, "dist": False}  # every second frame from the first is a little early


@pytest.mark.parametrize("name", ["dist", "spatial_only", "order_blind", "full_image"])
def test_what_trains(name):
    model = dist_runs.build(ARMS[name], 0).train()
    inputs, label = dist_runs.clips(ARMS[name], 0, "train").batch(np.arange(4))
    torch.nn.functional.cross_entropy(model(inputs), label).backward()
    trains = [which for which, p in model.named_parameters() if p.requires_grad]
    without = [which for which, p in model.named_parameters() if (p.grad is None) == (which in trains)]
    assert not without and not any("clip.model" in which for which in trains)
    assert name != "full_image" or len(trains) > 50


# --- runs ---


def test_cached_features_are_those_made_as_needed():
    arm = ARMS["dist"]
    cached = dist_runs.clips(arm, 0, "train")
    inputs, label = cached.batch(np.array([3, 7]))
    assert cached.folder and inputs.features.cls.shape == (4, 2, 4, 96)
    frames, due = clip_batch("motion", 0, "train", np.array([3, 7]), 8)
    assert torch.equal(inputs.frames, frames) and torch.equal(label, due)
    model = dist_runs.build(arm, 0).eval()
    with torch.no_grad():
        assert torch.allclose(model(inputs), model(Inputs(frames, 2)), atol=0.1)  # the cache has half precision


def test_controls_damage_what_they_say():
    plain = dist_runs.clips(ARMS["dist"], 0, "train")
    mixed = dist_runs.clips(ARMS["control/shuffled_frames"], 0, "train")
    (a, label), (b, same) = (source.batch(np.arange(6)) for source in (plain, mixed))
    assert torch.equal(label, same) and b.features is None and not torch.equal(a.frames, b.frames)
    assert torch.equal(a.frames.flatten(2).float().sort(1).values, b.frames.flatten(2).float().sort(1).values)


def test_seeds_repeat_and_arms_share_their_data():
    first, again, other = (dist_runs.run(ARMS["dist"], QUICK, seed)[1].loss for seed in (0, 0, 1))
    assert first == again != other
    a, b = (dist_runs.clips(ARMS[name], 3, "train").batch(np.arange(3))[0].frames for name in ("dist", "alpha_1"))
    assert torch.equal(a, b)
    assert dist_runs.described(ARMS["dist"], QUICK) != dist_runs.described(ARMS["gamma1"], QUICK)
    assert " at 0x" not in dist_runs.described(ARMS["evl"], QUICK)


def test_rows_of_one_arm_with_what_it_looks_at(tmp_path):
    measurements = Measurements("dist", tmp_path, committed=tmp_path)
    value = dist_experiments.measure("dist", 0, measurements, QUICK)
    assert dist_experiments.measure("dist", 0, measurements, QUICK) == value
    rows = [json.loads(line) for line in (tmp_path / "rows" / "dist.jsonl").read_text().splitlines()]
    assert {row["measure"] for row in rows} == {
        "grid/dist",
        "cka/temporal",
        "cka/integrated",
        "maps/moving/temporal",
        "maps/moving/spatial",
        "maps/moving/uniform",
    }
    assert len(rows) == 6


def test_moving_objects_cover_what_they_cover():
    clips = dist_runs.clips(Arm(), 0, "val")
    moving = dist_maps.cover(clips.source, np.arange(12), 2)
    assert moving.shape == (12, 4, 8, 8) and 0 <= moving.min() and moving.max() == 1
    radius = np.exp(clip_scenes(0, "val", np.arange(12)).pose(np.array([1 / 16]))[:, 0, 0, 2])
    assert (moving[:, 0].mean((1, 2)).numpy() < 8 * radius**2).all()  # two squares of side 2 r at the most


def test_likeness_of_a_model_to_itself_is_one():
    clips = dist_runs.clips(Arm(), 0, "val")
    model = dist_runs.build(Arm(), 0)
    own = lambda model, inputs: [inputs.features.cls[-1].mean(1)]  # noqa: E731
    assert dist_maps.likeness(model, own, clips.held())[-1, 0] == pytest.approx(1)
    assert dist_maps.likeness(model, dist_maps.temporal, clips.held()).shape == (4, 4)
    rival = dist_runs.build(ARMS["evl"], 0)
    assert dist_maps.likeness(rival, dist_maps.evl, clips.held()).shape == (4, 4)


@pytest.mark.parametrize("name", list(dist_zero_shot.ZERO_SHOT))
def test_zero_shot_classes_are_in_no_training_clip(name):
    task = dist_zero_shot.ZERO_SHOT[name]
    trained = task.clips(0, "train", 200).source.labels(np.arange(200))
    tested = task.clips(0, "test", 50).source.labels(np.arange(50))
    assert not set(trained.tolist()) & set(task.unseen) and set(tested.tolist()) <= set(task.unseen)
    scores = dist_zero_shot.run(task, QUICK, 0, count=12)
    assert scores.keys() == {"dist", "clip", "fused"} and all(0 <= score <= 100 for score in scores.values())


def test_costs_are_ratios_to_dist(tmp_path):
    measurements = Measurements("dist", tmp_path, committed=tmp_path)
    tiny = Architecture(TINY.embed_dim, {**TINY.vision, "head_width": 12}, TINY.text)
    for _ in range(2):
        dist_speed.measure_costs(measurements, rounds=2, frames=2, architecture=tiny)
    rows = measurements.seeds_of()
    assert len(rows) == 9 and all(len(seeds) == 2 for seeds in rows.values())
    assert all(set(rows[f"cost/{what}.dist"].values()) == {1.0} for what in ("memory", "step", "throughput"))


# --- real files ---


def test_the_released_recipe_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=16)
    settings = Run("kinetics400", str(tmp_path), backbone="small", frames=4, max_steps=2, batch=4)
    outcome = run(settings, tmp_path)
    assert outcome["steps"] == 2 and outcome["clips"] == 5
    assert list(tmp_path.glob("dist_kinetics400_small_4.pt"))

"""ZeroI2V's countable numbers, and its published recipe end to end on real files."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.errors import BadInput
from minilib.models.clip import TINY
from minilib.papers.zeroi2v import arms as zeroi2v_arms
from minilib.papers.zeroi2v import counts as zeroi2v_counts
from minilib.papers.zeroi2v import experiments as zeroi2v_experiments
from minilib.papers.zeroi2v import maps as zeroi2v_maps
from minilib.papers.zeroi2v import speed as zeroi2v_speed
from minilib.papers.zeroi2v.recipe import EpochBatches, Run, run
from minilib.video import write_video
from minilib.world import clip_scenes, render
from minilib.world.export import export_kinetics, export_something


@pytest.fixture(scope="module")
def counted():
    return zeroi2v_counts.count_all()


def test_every_count_meets_the_paper_except_where_facts_say_it_cannot(counted):
    paper = claims.load("zeroi2v")
    counts = [claim for claim in paper.claims if claim.kind == "count"]
    assert {claim.id for claim in counts} <= set(counted)
    for claim in counts:
        off = abs(counted[claim.id] - claim.paper_value)
        if claim.conflict is None:
            assert off < claim.digit, f"{claim.id}: counted {counted[claim.id]}, printed {claim.paper_value}"
    conflicts = {claim.id for claim in counts if claim.conflict}
    assert {"t3.temporal_heads", "t3.linear.6x192"} <= conflicts
    assert not {"t4.b16.8.gflops", "t2.tunable.0.25"} & conflicts
    assert len(conflicts) < 20


def test_every_ordering_names_arms_that_exist():
    paper = claims.load("zeroi2v")
    known = {name if name.startswith("few/") else f"grid/{name}" for name in zeroi2v_arms.ARMS}
    known |= {"contrast/motion", "contrast/appearance"}
    for claim in paper.claims:
        for measure in claim.measures if claim.kind == "ordering" else ():
            assert measure in known or measure.startswith("cost/"), f"{claim.id} names {measure}"
    for table in ("TABLE_1A", "TABLE_1B", "TABLE_1C", "TABLE_2", "TABLE_3", "CONTRAST"):
        for measure, _ in getattr(zeroi2v_arms, table).values():
            assert measure in known, f"{table} names {measure}"


@pytest.mark.parametrize("name", zeroi2v_arms.ARMS)
def test_every_arm_builds_trains_one_step_and_frees_the_right_things(name):
    arm = zeroi2v_arms.ARMS[name]
    model = zeroi2v_experiments.build(arm, seed=0)
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias"} <= free
    frames = torch.randint(0, 255, (1, arm.frames, 64, 64, 3), dtype=torch.uint8)
    model.train()(frames).square().sum().backward()
    for n, p in model.named_parameters():
        assert (p.grad is not None) <= (n in free), n
    if arm.strategy is zeroi2v_arms.probe:
        assert free == {"head.weight", "head.bias"}


def test_settings_tell_arms_apart_and_seeds_not():
    recipe = zeroi2v_experiments.GRID
    described = [zeroi2v_experiments.described(arm, recipe) for arm in zeroi2v_arms.ARMS.values()]
    assert len(set(described)) == len(described)
    arm = zeroi2v_arms.ARMS["zeroi2v"]
    assert zeroi2v_experiments.described(arm, replace(recipe, seed=3)) == described[2]
    assert "0x" not in "".join(described)


def test_attention_maps_are_positive_and_lie_on_the_frame_that_is_read():
    arm = zeroi2v_arms.ARMS["zeroi2v"]
    model = zeroi2v_experiments.build(arm, seed=0)
    torch.nn.init.normal_(model.head.weight)
    frames = render(clip_scenes(0, "val", np.arange(2)), np.array([0.1, 0.4, 0.6, 0.9]))
    with torch.no_grad():
        before = model.eval()(frames)
    maps = zeroi2v_maps.attention_maps(model, frames, torch.tensor([0, 1]))
    assert maps.both.shape == (2, 4, 8, 8)
    assert (maps.both >= 0).all() and maps.both.sum() > 0
    assert torch.allclose(maps.spatial + maps.temporal, maps.both)
    with torch.no_grad():
        assert torch.equal(model(frames), before), "looking must leave the model as it was"
    assert all(p.grad is None for p in model.parameters())


def test_costs_are_recorded_as_paired_ratios():
    rounds = zeroi2v_speed.latency(2, rounds=3, device="cpu", architecture=replace_heads())
    assert len(rounds) == 3 and all(each["plain"] == 1.0 and each["merged"] > 0 for each in rounds)
    memory, steps = zeroi2v_speed.training(2, rounds=2, device="cpu", architecture=replace_heads())
    assert memory["zeroi2v"] == 1.0 and min(memory.values()) > 0
    assert len(steps) == 2 and all(each["zeroi2v"] == 1.0 and each.keys() == memory.keys() for each in steps)


def replace_heads():
    return replace(TINY, vision={**TINY.vision, "layers": 4})


# --- real files ---


@pytest.fixture(scope="module")
def something(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "something_something_v2"
    export_something(root, {"train": 6, "validation": 3, "test": 1}, frames=10, size=64)
    return root.parent


def test_published_recipe_runs_and_resumes_on_something_something(something, tmp_path):
    settings = Run("something_something_v2", str(something), backbone="small", max_steps=2, batch=3)
    first = run(settings, tmp_path)
    assert first["steps"] == 2 and first["clips"] == 6 and first["unreadable"] == 0
    assert 0 <= first["top1"] <= first["top5"] <= 100
    again = run(settings, tmp_path)  # the finished checkpoint is there
    assert again == first


def test_real_size_and_architecture_end_to_end(something, tmp_path):
    settings = Run(
        "something_something_v2", str(something), "vit_b16", weights="random", max_steps=2, max_clips=2, batch=1
    )
    assert run(settings, tmp_path)["steps"] == 2


def test_own_folder_with_a_broken_video_among_good_ones(tmp_path):
    frames = render(clip_scenes(0, "train", np.arange(24)), np.linspace(0, 1, 8)).numpy()
    for i, clip in enumerate(frames):
        folder = tmp_path / "videos" / ("train" if i < 20 else "val") / ("odd" if i % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        write_video(folder / f"{i}.mp4", clip)
    (tmp_path / "videos" / "train" / "odd" / "broken.mp4").write_bytes(b"not a video")
    settings = Run("folder", str(tmp_path / "videos"), backbone="small", max_steps=8, batch=7)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        outcome = run(settings, tmp_path)
    assert any("broken.mp4" in str(w.message) for w in said)
    assert outcome["clips"] == 21


def test_epochs_go_on_where_a_run_stopped(tmp_path):
    root = export_kinetics(tmp_path / "kinetics400", {"train": 7, "val": 1}, frames=4)
    from minilib.datasets.folder import VideoDataset
    from minilib.datasets.kinetics import kinetics

    dataset = VideoDataset(kinetics(root, "train").clips, frames=2, size=64, train=True)
    through = EpochBatches(dataset, 3)
    want = [through(step) for step in range(7)]
    resumed = EpochBatches(dataset, 3)
    for step in (4, 5, 6):
        frames, label = resumed(step)
        assert torch.equal(frames, want[step][0]) and torch.equal(label, want[step][1])


@pytest.mark.parametrize(
    "change,says",
    [
        ({"dataset": "imagenet"}, "dataset 'imagenet': choose of"),
        ({"backbone": "vit_h"}, "backbone 'vit_h': choose of"),
        ({"frames": 9}, "frames=9: Table 11 has settings for 8, 16, 32 frames"),
        ({"dataset": "kinetics400"}, "kinetics400"),
        ({"backbone": "vit_b16", "weights": "/nowhere.pt"}, "no such file"),
        ({"backbone": "vit_b16"}, "openai_clip_vit_b16"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(something, tmp_path, change, says):
    settings = Run("something_something_v2", str(something), backbone="small", max_steps=1)
    with pytest.raises(BadInput, match="(?i)" + says) as said:
        run(replace(settings, **change), tmp_path)
    assert "\n" not in str(said.value).strip()
    assert not list(tmp_path.glob("*.pt"))

"""ZeroI2V's study and counts against its claims, and its published recipe end to end on real files."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from minilib import claims, training
from minilib.claims.verdicts import same_count
from minilib.errors import BadInput
from minilib.models.clip import TINY, build
from minilib.models.second_clip import second_clip
from minilib.papers.zeroi2v import blocks, costs, counts, figures, published
from minilib.papers.zeroi2v.study import SHOWN, STUDY
from minilib.settings import key
from minilib.study import ShuffledFrames, real_training
from minilib.study import real as on_videos
from minilib.study.real import Run
from minilib.training import TrainSettings, train
from minilib.video import write_video
from minilib.world import clip_scenes, render
from minilib.world.export import export_kinetics, export_something

PAPER = claims.load("zeroi2v")
FRAMES = torch.randint(0, 255, (1, 8, 64, 64, 3), dtype=torch.uint8)


# --- counts and claims ---


@pytest.fixture(scope="module")
def counted():
    return counts.count_all()


def test_every_count_meets_the_paper_except_where_facts_say_it_cannot(counted):
    found = [claim for claim in PAPER.claims if claim.kind == "count"]
    assert {claim.id for claim in found} <= set(counted)
    for claim in found:
        same = same_count(claim, counted[claim.id])
        assert same == (claim.conflict is None), f"{claim.id}: counted {counted[claim.id]}, printed {claim.paper_value}"
        if claim.cut:
            assert not same_count(claim.model_copy(update={"cut": False}), counted[claim.id]), f"{claim.id} rounds"
    conflicts = {claim.id for claim in found if claim.conflict}
    assert {"t3.temporal_heads", "t3.linear.6x192"} <= conflicts and len(conflicts) < 16


def test_claims_name_metrics_that_are_measured_and_tables_numbers_that_are_printed():
    known = {*STUDY.metrics(), *PAPER.derived, "chance"}
    known |= {
        f"{name}/pairs" for name in known if (variant := STUDY.variants.get(name.partition("/")[2])) and variant.also
    }
    named = {name for claim in PAPER.claims if claim.kind == "ordering" for name in claim.metrics}
    named |= {part for parts in PAPER.derived.values() for part in parts}
    for task in PAPER.tasks.values():
        named |= {*task.positive.metrics, *task.negative.metrics}
    costs_of = {f"cost/{what}.{name}" for what in ("memory", "step") for name in costs.METHODS}
    assert named <= known | costs_of | {"cost/latency.plain", "cost/latency.merged"}
    for name, table in STUDY.tables.items():
        for label, row in table.items():
            assert row.variant in STUDY.variants, f"{name}, {label}"
            assert row.paper is None or PAPER.number(row.paper), f"{name}, {label}"
    drawn = {row.variant for table in STUDY.tables.values() for row in table.values()}
    assert drawn == set(STUDY.variants)


def test_gains_and_halves_have_the_right_sign(tmp_path):
    rows = claims.Measurements("zeroi2v", tmp_path, committed=tmp_path)
    levels = {"zeroi2v": 60, "adapters": 45, "hard_appearance/zeroi2v": 52, "hard_appearance/adapters": 50}
    for name, value in (levels | {"probe_stdha": 20, "full": 70}).items():
        rows.record(f"grid/{name}", value)
    found = {name: rows.seeds_of()[name][0] for name in PAPER.derived}
    assert found["gain/motion"] == 15 and found["halfway"] == 45
    points = [100 / (100 - 100 / len(STUDY.variants[n].task.classes)) for n in ("zeroi2v", "hard_appearance/zeroi2v")]
    assert found["gain/appearance"] * points[0] == pytest.approx(2 * points[1], rel=1e-4)


# --- variants ---


@pytest.mark.parametrize("name", STUDY.variants)
def test_every_variant_trains_one_step_and_frees_the_right_things(name):
    variant = STUDY.variants[name]
    torch.manual_seed(0)
    model = variant.build(None)
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias"} <= free
    assert model.head.out_features == len(variant.task.classes)
    model.train()(FRAMES[:, : variant.task.frames]).square().sum().backward()
    for n, p in model.named_parameters():
        assert (p.grad is not None) <= (n in free), n
    if "probe" in name:
        assert free == {"head.weight", "head.bias"}
    elif name.removeprefix("second/").startswith("full"):
        assert len(free) == len(list(model.parameters())) and variant.lr == 0.1
    else:
        assert any("ln_post" in n for n in free) and any("resblocks" in n for n in free) and variant.lr == 1.0
        assert any("embedding" in n for n in free) == (not name.endswith("adapters"))


def test_every_variant_has_a_key_of_its_own():
    assert len({key(variant) for variant in STUDY.variants.values()}) == len(STUDY.variants)
    assert len({key(recipe) for recipe in STUDY.recipes.values()}) == len(STUDY.recipes)


def test_variants_on_the_second_image_model_are_those_on_the_first():
    on_second = {name: variant for name, variant in STUDY.variants.items() if name.startswith("second/")}
    assert len(on_second) == 5
    for name, variant in on_second.items():
        first = STUDY.variants[name.removeprefix("second/")]
        assert variant.build.keywords == first.build.keywords | {"clip": second_clip} and variant.task == first.task
        backbone = variant.build(None).backbone
        assert len(blocks(backbone)) == 6 and backbone.ln_post.normalized_shape == (192,)


def test_names_of_table_1c_are_receptive_fields_and_those_of_tables_2_and_3_sizes():
    for name, variant in STUDY.variants.items():
        settings = variant.build.keywords["strategy"].settings
        if name.startswith("timing/t"):
            frames, field = int(name[len("timing/t")]), int(name.partition("rf")[2])
            assert settings.frames == variant.task.frames == frames
            assert counts.receptive_field(settings.mixing.offsets) == field
    for name, number, width in (
        ("gelu_3_192", 3, 24),
        ("linear_6_128", 6, 16),
        ("st_2_384", 2, 48),
        ("ratio_0.5", 4, 48),
    ):
        attached = STUDY.variants[name].build(None).backbone
        for block in blocks(attached):
            adapters = [*block.attn.adapters.values(), *block.mlp.adapters.values()]
            assert len(adapters) == number and {each.down.out_features for each in adapters} == {width}
    for name, rank in (("lora_qv_192", 24), ("lora_all_128", 16)):
        assert STUDY.variants[name].build.keywords["strategy"].rank == rank


@pytest.mark.parametrize(
    "name, share, queries",
    [("zeroi2v", 1 / 6, False), ("hr_qkv", 1 / 6, True), ("hr_kv", 1 / 4, False), ("shift_kv", 1 / 4, False),
     ("shift_qkv", 1 / 4, True), ("action/k1", 1 / 12, False), ("action/k2", 1 / 6, False),
     ("action/k4", 1 / 3, False), ("action/k6", 1 / 2, False)],
)  # fmt: skip
def test_the_variants_of_table_1_move_the_share_of_channels_that_they_say(name, share, queries):
    qkv = torch.randn(1, 8, 1, 2, 3, 12, 8)
    moved = STUDY.variants[name].build.keywords["strategy"].settings.mixing(qkv.clone()) != qkv
    inner = moved[:, 3:-3].float().mean((0, 1, 2, 3, 5, 6))  # frames whose sources all lie in the clip: (3,)
    assert inner[1] == inner[2] == pytest.approx(share) and inner[0] == pytest.approx(share if queries else 0)


def test_few_clips_are_few_and_the_controls_damage_what_they_say():
    assert {n for n, variant in STUDY.variants.items() if variant.task.train == 192} == {
        "few/probe", "few/adapters", "few/zeroi2v", "few/st_adapter"
    }  # fmt: skip
    assert {n for n, variant in STUDY.variants.items() if variant.task.train == 512} == {
        "hard_appearance/probe", "hard_appearance/adapters", "hard_appearance/zeroi2v"
    }  # fmt: skip
    labels = {"timing/": "timing", "action/": "action", "hard_appearance/": "hard appearance"}
    for name, variant in STUDY.variants.items():
        own = [task for prefix, task in labels.items() if name.startswith(prefix)]
        assert variant.task.labels == (own or ["motion"])[0], name
    for task, claims_of in PAPER.tasks.items():
        prefix = "" if task in ("motion", "order") else f"{task}/"
        recipe = "core" if task == "timing" else "grid"
        assert task == "few" or claims_of.negative.better.startswith(f"{recipe}/{prefix}control/")
    whole = STUDY.variants["zeroi2v"].task.feed("train", 0).batches(0, 8)(1)
    frames = STUDY.variants["control/shuffled_frames"].task.feed("train", 0)
    moved, same = frames.batches(0, 8)(1)
    assert isinstance(frames, ShuffledFrames) and torch.equal(same, whole[1]) and not torch.equal(moved, whole[0])
    still, wrong = STUDY.variants["control/shuffled_labels"].task.feed("train", 0).batches(0, 8)(1)
    assert torch.equal(still, whole[0]) and not torch.equal(wrong, whole[1])


def test_recipes_are_those_of_the_committed_rows():
    core, grid, tuned = (STUDY.recipes[name] for name in ("core", "grid", "tuned"))
    assert (grid.steps, grid.batch, grid.lr, grid.warmup, grid.smoothing) == (200, 16, 3e-3, 20, 0.0)
    assert core == replace(grid, steps=1000, warmup=100) and tuned.recipe == replace(core, steps=1500)
    assert STUDY.recipes["live"] == replace(grid, steps=500, warmup=50) and set(SHOWN) < set(STUDY.grids["grid"])
    assert {name for name in STUDY.variants if name.startswith("timing/")} == set(STUDY.grids["core"])
    long = {*STUDY.grids["core"], "second/full_image", "second/full"}
    assert set(STUDY.grids["grid"]) == set(STUDY.variants) - long
    to_plateau = (claim for claim in PAPER.claims if claim.headline or claim.id.endswith(".second"))
    pairs = [claim.metrics for claim in to_plateau if claim.kind == "ordering"]
    assert {name for each in pairs for name in each} == set(STUDY.metrics("tuned"))


def test_attention_maps_are_positive_and_lie_on_the_frame_that_is_read():
    torch.manual_seed(0)
    model = STUDY.variants["zeroi2v"].build(None)
    nn.init.normal_(model.head.weight)
    frames = render(clip_scenes(0, "val", np.arange(2)), np.array([0.1, 0.4, 0.6, 0.9]))
    with torch.no_grad():
        before = model.eval()(frames)
    maps = figures.attention_maps(model, frames, torch.tensor([0, 1]))
    assert maps.both.shape == (2, 4, 8, 8)
    assert (maps.both >= 0).all() and maps.both.sum() > 0
    assert torch.allclose(maps.spatial + maps.temporal, maps.both)
    with torch.no_grad():
        assert torch.equal(model(frames), before), "looking must leave the model as it was"
    assert all(p.grad is None for p in model.parameters())
    torch.manual_seed(0)
    ahead = STUDY.variants["timing/t4_rf2"].build(None)
    nn.init.normal_(ahead.head.weight)
    looked = figures.attention_maps(ahead, frames, torch.tensor([0, 1])).temporal.sum((0, 2, 3))
    assert looked[0] == 0 and looked[1] > 0, "nobody reads the first frame where all look ahead"
    out = blocks(model.backbone)[-1].attn.out
    nn.init.zeros_(out.weight[:, 2 * 8 :].data)  # no head but the two temporal ones has a say
    mute = figures.attention_maps(model, frames, torch.tensor([0, 1]))
    assert not mute.spatial.any() and mute.temporal.sum() > 0


def test_costs_are_recorded_as_paired_ratios(tmp_path):
    rows = claims.Measurements("zeroi2v", tmp_path, committed=tmp_path)
    small = replace(TINY, vision={**TINY.vision, "layers": 4})
    costs.costs(rows, architecture=small, frames=2, rounds=2)
    found = rows.seeds_of()
    assert set(found["cost/latency.merged"]) == {0, 1} and set(found["cost/latency.plain"].values()) == {1.0}
    for what in ("step", "memory"):
        assert set(found[f"cost/{what}.zeroi2v"].values()) == {1.0}
        assert all(min(found[f"cost/{what}.{name}"].values()) > 0 for name in costs.METHODS)


# --- real files ---


def run(settings, folder):
    return on_videos.run(settings, folder, published.zeroi2v)


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
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


@pytest.mark.parametrize(
    "dataset, smoothing, erasing, scale, epochs",
    [("something_something_v2", 0.1, 0.25, 1.0, 50), ("kinetics400", 0.0, 0.0, 0.5, 40)],
)
def test_table_12_reaches_the_loop(tmp_path, monkeypatch, dataset, smoothing, erasing, scale, epochs):
    root, sizes = tmp_path / dataset, {"train": 4, "validation": 1, "test": 1}
    if dataset == "kinetics400":
        export_kinetics(root, {"train": 4, "val": 1}, frames=10)
    else:
        export_something(root, sizes, frames=10, size=64)
    seen = {}

    def stop(model, batches, plan, *rest, **more):
        seen.update(model=model, plan=plan, data=batches.dataset, smoothing=more["objective"].smoothing)
        raise KeyboardInterrupt

    monkeypatch.setattr(real_training, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run(Run(dataset, str(tmp_path), backbone="small", batch=2), tmp_path)
    plan = seen["plan"]
    assert (plan.lr, plan.weight_decay, plan.betas, plan.batch) == (3e-4, 0.05, (0.9, 0.999), 2)
    assert (plan.steps, plan.warmup) == (2 * epochs, 5)
    change = seen["data"].change.args[0]  # whoever decodes a clip augments it
    assert (seen["smoothing"], change.erasing, change.rand_augment) == (smoothing, erasing, (4, 7))
    assert seen["data"].flip == 0.5 and (plan.erasing, plan.rand_augment, plan.flip) == (0.0, None, 0.0)
    assert (plan.mixup, plan.cutmix, plan.clip_grad) == (0, 0, 0)
    block = blocks(seen["model"].backbone)[0]
    assert len(block.attn.adapters) == (4 if dataset == "something_something_v2" else 2)
    assert {(a.scale, a.dropout.p) for a in block.attn.adapters.values()} == {(scale, 0.1)}
    assert seen["model"].dropout.p == 0.5 and block.attn.mixing.offsets == (-1, 1)


@pytest.mark.parametrize("backbone, share", [("vit_b16", 1.0), ("vit_l14", 0.1)])
def test_rates_and_decay_of_the_released_configurations_reach_the_optimiser(monkeypatch, backbone, share):
    monkeypatch.setattr(published, "image_text", lambda run: build(TINY))
    run = Run("kinetics400", "", backbone, weights="random")
    with monkeypatch.context() as patch:  # heads for a tower of two, not of twelve or sixteen
        patch.setitem(published.TABLES["table_11"]["kinetics400"][backbone][8], "offsets", [1])
        model = published.zeroi2v(run, ["a", "b", "c"]).model
    seen = {}

    def stop(optimizer, *rest, **more):
        seen.update(optimizer=optimizer)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "CosineLRScheduler", stop)
    plan = TrainSettings(steps=2, lr=3e-4, weight_decay=0.05)
    with pytest.raises(KeyboardInterrupt):
        train(model, lambda step: None, plan, 3)
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    found = {
        names[id(p)]: (group.get("lr_scale", 1.0), group["weight_decay"])
        for group in seen["optimizer"].param_groups
        for p in group["params"]
    }
    assert set(found) == set(names.values())
    for name, (scale, decay) in found.items():
        assert scale == (1.0 if name.startswith("head.") else share), name
        still = name.startswith(("backbone.ln_post.", "backbone.ln_pre."))
        assert decay == (0.0 if still else 0.05), name
    assert found["backbone.ln_pre.embedding"][1] == 0.0 and found["head.bias"][1] == 0.05
    assert any("adapters" in name and name.endswith("bias") for name in found)


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
    from minilib.datasets.folder import EpochBatches, VideoDataset
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

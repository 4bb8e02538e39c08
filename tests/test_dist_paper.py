"""DiST's counts, variants, runs on the small world and recipe on real files: tiny, but all of it really run."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from minilib import claims
from minilib.claims import Measurements, judge
from minilib.errors import BadInput
from minilib.models.clip import TINY, Architecture
from minilib.models.small_clip import small_clip, tokenize
from minilib.papers.dist import counts, figures, small, zero_shot
from minilib.papers.dist import study as dist_study
from minilib.papers.dist.method import DiST, ImageSizes
from minilib.papers.dist.released import released
from minilib.papers.dist.small import LABELS, Inputs
from minilib.papers.dist.study import STUDY, VARIANTS
from minilib.settings import key
from minilib.study import Trial
from minilib.study.feeds import random_labels
from minilib.study.real import Run, run
from minilib.training import train
from minilib.world import COLOURS, MOTIONS, SHAPES, TASKS, TIMINGS, clip_batch, clip_scenes, sample_times
from minilib.world.export import export_kinetics
from minilib.world.moving import moving_pixels

QUICK = replace(dist_study.GRID, steps=2, warmup=1, batch=4)
PAPER = claims.load("dist")


@pytest.fixture(autouse=True)
def caches(tmp_path_factory, monkeypatch):
    """Caches in a folder that all tests here share."""
    monkeypatch.setattr(small, "FOLDER", tmp_path_factory.getbasetemp() / "features")


def few(name):
    """A variant with twelve clips a split."""
    return replace(VARIANTS[name], task=replace(VARIANTS[name].task, train=12, test=12))


def built(name, seed=0):
    torch.manual_seed(seed)
    return VARIANTS[name].build(None)


# --- counts and claims ---


def test_every_count_is_the_papers_or_says_why_not():
    counted = counts.count_all()
    with_rows = [claims.Row(metric=name, value=value, commit="0") for name, value in counted.items()]
    found = {verdict.id: verdict.verdict for verdict in judge(PAPER, with_rows)}
    for claim in PAPER.claims:
        if claim.kind == "count":
            assert (found[claim.id] == "reproduced") == (claim.conflict is None), claim.id
    for gamma in (2, 4, 8):
        saved = counted[f"t1d.gflops.gamma{gamma}"] - counted[f"t1d.gflops.gamma{gamma}.efficient"]
        stem = 196 * 3 * 16 * 16 * 768 + 5 * 197 * 768  # of one frame: the patch embedding and ln_pre
        assert saved == pytest.approx(8 * (gamma - 1) * stem / 1e9)


def test_parameters_and_gradients():
    net = counts.net_of(counts.SSV2)
    convolutions = 12 * (384 * 96 * 2 + 384)
    psi = sum(p.numel() for p in net.branches.temporal2integration_nets.parameters())
    assert psi == convolutions + 12 * 8 * 384


def measurable(name):
    """Whether the study measures this metric: a run's own, or one of those beside it."""
    also = {
        "timing/dist": (
            "pairs",
            *("cka/temporal", "cka/integrated", "cka/itself", "cka/other_clips"),
            *("moving/temporal", "moving/spatial", "moving/differences", "moving/other_clips", "moving/uniform"),
        ),
        "timing/evl": ("cka",),
        "timing/control/shuffled_frames": ("pairs",),
        "zeroshot/dist": ("clip", "fused"),
        "zeroshot_motion/dist": ("clip", "fused"),
    }
    more = [f"grid/{variant}/{each}" for variant, names in also.items() for each in names]
    costs = [
        f"cost/{what}.{method}" for what in ("memory", "step", "latency") for method in ("dist", "st_adapter", "evl")
    ]
    return name in {*STUDY.metrics(), *more, *costs, "chance"}


def test_claims_and_tables_name_what_is_measured():
    for claim in PAPER.claims:
        for metric in PAPER.base_metrics(claim) if claim.kind == "ordering" else ():
            assert measurable(metric), (claim.id, metric)
    for name, task in PAPER.tasks.items():
        ends = [end for end in (task.chance, task.oracle) if isinstance(end, str)]
        controls = [each for control in (task.positive, task.negative) for each in (control.better, control.worse)]
        assert all(measurable(each) for each in (*ends, *controls)), name
    for name, table in STUDY.tables.items():
        for label, row in table.items():
            assert measurable(f"grid/{row.variant}"), (name, label)
            assert row.paper is None or PAPER.number(row.paper) > 0, (name, label)
    appearance = STUDY.tables["appearance"]
    assert appearance["γ = 4"] == dist_study.Row("hard_appearance/gamma4", "t1d.gamma4.k400")
    assert PAPER.number(appearance["DiST"].paper) == 83.6 and PAPER.number(STUDY.tables["1a"]["EVL"].paper) == 61.0


def test_chance_of_each_task_is_the_claims_files():
    pairs = {task: f"{task}/dist" for task in ("timing", "hard_appearance", "hard_noun", "action")}
    pairs |= {"unseen_objects": "zeroshot/dist", "unseen_motions": "zeroshot_motion/dist"}
    for task, variant in pairs.items():
        assert PAPER.tasks[task].chance == pytest.approx(VARIANTS[variant].task.chance, abs=1e-4)


def test_gains_are_of_dist_over_what_lacks_the_part():
    lacking = {"encoder_gain": "integration_only", "lead_over_evl": "evl", "dense_gain": "gamma1"}
    for name, other in lacking.items():
        for task in ("timing", "hard_appearance"):
            assert PAPER.derived[f"{name}/{task}"] == {f"grid/{task}/dist": 1, f"grid/{task}/{other}": -1}


# --- variants ---


def test_class_texts_are_whitened():
    clip = small_clip()
    raw = small.class_features(clip, MOTIONS)
    moved = small.classes_of(clip, "motion")
    assert torch.allclose(moved.norm(dim=-1), torch.ones(len(MOTIONS)))
    off = moved @ moved.T - torch.eye(len(MOTIONS))
    assert off.max() < 0.2 < 0.99 < (raw @ raw.T - torch.eye(len(MOTIONS))).max()
    assert ((small.centre(raw) * moved).sum(-1) > 0).all()
    nouns = small.class_features(clip, SHAPES)
    assert torch.equal(small.classes_of(clip, "noun"), small.centre(nouns))
    assert torch.equal(small.classes_of(clip, "hard noun"), small.centre(nouns))
    assert torch.equal(small.classes_of(clip, "action"), torch.cat([moved, small.centre(nouns)]))
    timings = small.classes_of(clip, "timing")
    assert (timings @ timings.T - torch.eye(len(TIMINGS))).max() < 0.2
    assert built("timing/dist").recogniser.scale == 16.0


def test_words_stand_for_timings_that_the_small_clip_has_no_words_for():
    for name in TIMINGS:
        if name not in small.SAID:
            tokenize([name])
            continue
        with pytest.raises(BadInput, match="has no word"):
            tokenize([name])
    assert len({small.SAID.get(name, name) for name in TIMINGS}) == len(TIMINGS) and set(small.SAID) < set(TIMINGS)


def test_verb_and_noun_at_once_are_two_answers():
    torch.manual_seed(0)
    scores = torch.randn(5, len(MOTIONS) + len(SHAPES))
    verb, noun, label = scores[:, : len(MOTIONS)], scores[:, len(MOTIONS) :], torch.tensor([0, 7, 8, 50, 95])
    both = small.Actions(nn.Identity())(scores)
    assert both.shape == (5, len(TASKS["action"]))
    assert [TASKS["action"][i] for i in both.argmax(1)] == [
        f"{SHAPES[n]} {MOTIONS[v]}" for v, n in zip(verb.argmax(1), noun.argmax(1), strict=True)
    ]
    due = cross_entropy(verb, label // len(SHAPES)) + cross_entropy(noun, label % len(SHAPES))
    assert torch.allclose(cross_entropy(both, label), due, atol=1e-5)
    inputs = few("action/dist").task.feed("train", 0).at(np.arange(2))[0]
    assert built("action/dist")(inputs).shape == built("action/evl")(inputs).shape == (2, len(TASKS["action"]))


def test_the_small_world_draws_larger_weights():
    torch.manual_seed(0)
    net = DiST(ImageSizes.of(small_clip().visual), small.SMALL)
    drawn, published = built("timing/dist").recogniser.net.branches.input_linears, net.branches.input_linears
    assert drawn[0].weight.std().item() == pytest.approx(96**-0.5, rel=0.05)
    assert published[0].weight.std().item() == pytest.approx(0.02, rel=0.05)


def reordered(inputs: Inputs) -> Inputs:
    """The sparse frames backwards, each with the dense ones that follow it."""
    frames = inputs.frames.unflatten(1, (-1, inputs.gamma)).flip(1).flatten(1, 2)
    return Inputs(frames, inputs.gamma)


@pytest.mark.parametrize("name", ["order_blind", "full_image", "dist", "integration_only", "evl", "st_adapter"])
def test_only_some_variants_can_see_order(name):
    model = built(f"timing/{name}").eval()
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
        task = few(f"timing/{name}").task
        times = sample_times(task.source("val", 0).steps)[:: task.gamma]
        evenly[name] = np.allclose(times, 1 - times[::-1])
    assert evenly == {"order_blind": True, "dist": False}  # every second frame from the first is a little early


@pytest.mark.parametrize("name", ["dist", "spatial_only", "order_blind", "full_image"])
def test_what_trains(name):
    model = built(f"timing/{name}").train()
    inputs, label = few(f"timing/{name}").task.feed("train", 0).at(np.arange(4))
    torch.nn.functional.cross_entropy(model(inputs), label).backward()
    trains = [which for which, p in model.named_parameters() if p.requires_grad]
    without = [which for which, p in model.named_parameters() if (p.grad is None) == (which in trains)]
    assert not without and not any("clip.model" in which for which in trains)
    assert name != "full_image" or len(trains) > 50


def test_each_variant_is_what_its_name_says():
    noun = dist_study.ablations("hard noun").items()
    design = {name: each.build.keywords["design"] for name, each in noun if "design" in each.build.keywords}
    assert (design["gamma8"].gamma, design["t8"].frames, design["dist"].gamma) == (8, 8, 2)
    assert [design[f"alpha_{part}"].integration for part in ("1_8", "1_4", "1")] == [12, 24, 96]
    assert [design[f"beta_1_{part}"].temporal for part in (12, 6, 4)] == [8, 16, 24]
    assert design["no_interaction"].phi_at == () != design["to_temporal_only"].phi_at
    assert VARIANTS["timing/full_image"].lr == 0.1 and VARIANTS["timing/dist"].lr == 1.0
    for name, variant in VARIANTS.items():  # the model, the clips and the table agree on the task and its frames
        words = variant.build.keywords if hasattr(variant.build, "keywords") else {}
        assert words.get("labels", variant.task.labels) == variant.task.labels, name
        if "design" in words:
            shown = (variant.task.frames, variant.task.gamma)
            assert shown == (words["design"].frames, words["design"].gamma), name
        on = {"zeroshot": "noun", "zeroshot_motion": "motion"}
        task = name.partition("/")[0]
        assert variant.task.labels == on.get(task, task.replace("_", " ")), name
        clips = {"hard appearance": 512, "hard noun": 128}  # sixteen a class
        assert variant.task.train == clips.get(variant.task.labels, 4096), name


# --- runs ---


def test_keys_of_all_variants_and_recipes_differ():
    keys = {name: key(variant, STUDY.recipes["grid"]) for name, variant in VARIANTS.items()}
    assert len(set(keys.values())) == len(keys)
    assert key(VARIANTS["timing/dist"], STUDY.recipes["core"]) != keys["timing/dist"]
    for field in fields(VARIANTS["timing/dist"].task):
        changed = {"labels": "noun", "control": "labels"}.get(field.name, 3)
        other = replace(VARIANTS["timing/dist"], task=replace(VARIANTS["timing/dist"].task, **{field.name: changed}))
        assert key(other, STUDY.recipes["grid"]) != keys["timing/dist"], field.name
    known = replace(VARIANTS["zeroshot_motion/known"].task, known=False)
    assert key(known) != key(VARIANTS["zeroshot_motion/known"].task)


def test_cached_features_are_those_made_as_needed():
    feed = few("timing/dist").task.feed("train", 0)
    inputs, label = feed.at(np.array([3, 7]))
    assert inputs.features.cls.shape == (4, 2, 4, 96)
    frames, due = clip_batch("timing", 0, "train", np.array([3, 7]), 8)
    assert torch.equal(inputs.frames, frames) and torch.equal(label, due)
    model = built("timing/dist").eval()
    with torch.no_grad():
        error = (model(inputs) - model(Inputs(frames, 2))).abs().max()
    assert 0 < error < 5e-3  # the cache has half precision; frames in another order are off by 0.1 and more
    alone = few("timing/order_blind").task.feed("train", 0).at(np.array([3]))[0]
    assert torch.equal(alone.frames, clip_batch("timing", 0, "train", np.array([3]), 4)[0])


@pytest.mark.parametrize("split", ["train", "test"])
def test_shuffled_frames_keep_their_pictures_and_lose_their_order(split):
    plain, mixed = (few(f"timing/{name}").task.feed(split, 0) for name in ("dist", "control/shuffled_frames"))
    (a, label), (b, same) = (feed.at(np.arange(6)) for feed in (plain, mixed))
    assert torch.equal(label, same) and b.features is None and not torch.equal(a.frames, b.frames)
    for before, after in zip(a.frames.flatten(2), b.frames.flatten(2), strict=True):
        where = [(before == frame).all(1).nonzero().flatten().tolist() for frame in after]
        assert all(where) and sorted(place[0] for place in where) != [place[0] for place in where]
    assert torch.equal(b.sparse, b.frames[:, ::2])  # dense and sparse frames are damaged alike


def test_shuffled_labels_are_random_in_training_and_true_in_test():
    for name in ("timing/dist", "hard_appearance/dist", "hard_noun/dist", "zeroshot/dist", "zeroshot_motion/dist"):
        control = name.removesuffix("dist") + "control/shuffled_labels"
        plain, wrong = few(name).task, few(control).task
        (a, label), (b, drawn) = (task.feed("train", 0).batches(0, 12)(1) for task in (plain, wrong))
        assert torch.equal(a.frames, b.frames)
        assert torch.equal(drawn, random_labels(label, len(plain.classes), LABELS + 1)) and not torch.equal(
            drawn, label
        )
        (_, truth), (_, same) = (next(iter(task.feed("test", 0).test())) for task in (plain, wrong))
        assert torch.equal(truth, same)


def test_seeds_repeat_and_variants_share_their_clips():
    first, again, other = (few("timing/dist").run(QUICK, Trial(seed)).history.loss for seed in (0, 0, 1))
    assert first == again != other
    for split in ("train", "test"):
        frames = [
            few(name).task.feed(split, seed).at(np.arange(3))[0].frames
            for name, seed in (("timing/dist", 3), ("timing/alpha_1", 3), ("timing/dist", 4))
        ]
        assert torch.equal(frames[0], frames[1]) and not torch.equal(frames[0], frames[2])


def test_a_run_is_a_plain_training_of_its_parts():
    variant = few("timing/full_image")
    outcome = variant.run(QUICK, Trial(5))
    torch.manual_seed(5)
    model, feed = variant.build(None), variant.task.feed("train", 5)
    plain = train(model, feed.batches(5, 4), replace(QUICK, lr=0.1 * QUICK.lr, seed=5), 16)
    assert plain.loss == outcome.history.loss


def test_rows_of_one_variant_with_what_it_looks_at(tmp_path):
    study = replace(STUDY, variants=STUDY.smoke().variants, recipes={"grid": QUICK})
    rows = Measurements("dist", tmp_path, committed=tmp_path)
    value = study.measure("grid/timing/dist", 0, rows)
    assert study.measure("grid/timing/dist", 0, rows) == value
    found = [json.loads(line)["metric"] for line in (tmp_path / "rows" / "dist.jsonl").read_text().splitlines()]
    curves = {f"grid/timing/{name}/curve/{part}" for name in ("dist", "evl") for part in ("area", "end")}
    assert len(found) == 13 and all(measurable(metric) for metric in set(found) - curves)
    study.measure("grid/timing/evl", 0, rows)
    assert set(rows.seeds_of()) == {*found, *curves, "grid/timing/evl", "grid/timing/evl/cka", "lead_over_evl/timing"}


def test_the_smoke_study_runs_every_kind_of_variant():
    smoke = STUDY.smoke()
    assert smoke.variants.keys() == VARIANTS.keys() and smoke.recipes["core"].steps == 4
    assert (smoke.variants["timing/dist"].task.train, smoke.variants["zeroshot/dist"].task.test) == (64, 16)


# --- what trained models look at ---


def test_moving_objects_cover_what_they_cover():
    source = few("timing/dist").task.source("val", 0)
    moving = figures.by_patch(moving_pixels(source, np.arange(12), 2))
    assert moving.shape == (12, 4, 8, 8) and 0 <= moving.min() and moving.max() == 1
    radius = np.exp(clip_scenes(0, "val", np.arange(12)).pose(np.array([1 / 16]))[:, 0, 0, 2])
    assert (moving[:, 0].mean((1, 2)).numpy() < 8 * radius**2).all()  # two squares of side 2 r at the most


def test_fractions_know_what_moves():
    feed = few("timing/dist").task.feed("val", 0)
    found = figures.magnitudes(built("timing/dist"), feed, np.arange(12))
    maps, fractions = found.maps, found.fractions()
    assert found.fraction((found.moving == 1).float()) == pytest.approx(100)
    assert fractions["uniform"] == pytest.approx(100 * float(found.moving.mean()))
    assert fractions["differences"] > 3 * fractions["uniform"]  # frames differ where things move
    assert fractions["other_clips"] == pytest.approx(found.fraction(maps["temporal"].roll(1, 0)))
    inputs, _ = feed.at(np.arange(12))
    step = (inputs.frames[:, 1].float().mean(-1) - inputs.frames[:, 0].float().mean(-1)).abs()
    assert torch.allclose(
        maps["differences"][:, 0], step.unflatten(1, (8, 8)).unflatten(3, (8, 8)).mean((2, 4)), atol=1e-4
    )
    z = built("timing/dist").eval().recogniser.parts(inputs.frames, inputs.features)["temporal"][-1]
    assert torch.allclose(maps["temporal"], z[:, ::2].norm(dim=-1))


def test_cka_compares_means_of_the_layers_that_it_names():
    model, (inputs, _) = built("timing/dist").eval(), few("timing/dist").task.feed("val", 0).at(np.arange(5))
    with torch.no_grad():
        parts = model.recogniser.parts(inputs.frames, inputs.features)
        integrated, temporal = figures.integrated(model, inputs), figures.temporal(model, inputs)
        queries = figures.evl(built("timing/evl").eval(), inputs)
    assert torch.allclose(integrated[2], parts["integrated"][2][:, :, 0].mean(1))
    assert torch.allclose(temporal[1], parts["temporal"][1].flatten(1, 3).mean(1))
    assert torch.equal(figures.image(model, inputs)[3], inputs.features.cls[3].mean(1))
    assert torch.equal(figures.other_clips(model, inputs)[0][1:], integrated[0][:-1])
    assert len(queries) == 4 and queries[0].shape == (5, 96)


def test_cka_of_a_model_with_itself_and_of_other_clips():
    feed, model = few("timing/dist").task.feed("val", 0), built("timing/dist")
    own = figures.cka(model, figures.image, feed)
    assert torch.allclose(own.diagonal(), torch.ones(4, dtype=own.dtype)) and torch.allclose(own, own.T)
    assert figures.cka(model, figures.temporal, feed).shape == (4, 4)
    here, elsewhere = (figures.cka(model, layers, feed).mean() for layers in (figures.integrated, figures.other_clips))
    assert here > elsewhere + 0.2
    rival = built("timing/evl")
    matrix = figures.cka(rival, figures.evl, feed)
    assert figures.of_evl(rival, feed, "cpu") == {"cka": pytest.approx(float(matrix.mean()))}
    found = figures.of_dist(model, feed, "cpu")
    assert found["cka/integrated"] == pytest.approx(float(here)) and found["cka/itself"] == pytest.approx(
        float(own.mean())
    )


# --- zero-shot ---


@pytest.mark.parametrize("name", ["zeroshot/dist", "zeroshot_motion/dist"])
def test_zero_shot_classes_are_in_no_training_clip(name):
    task = VARIANTS[name].task
    trained = replace(task, train=200).source("train", 0).labels(np.arange(200))
    tested = task.source("test", 0).labels(np.arange(50))
    assert not set(trained.tolist()) & set(task.unseen) and set(tested.tolist()) <= set(task.unseen)
    outcome = few(name).run(QUICK, Trial(0))
    assert outcome.metrics.keys() == {"", "clip", "fused"} and all(
        0 <= each <= 100 for each in outcome.metrics.values()
    )


def test_objects_are_called_what_they_are():
    task, scenes = VARIANTS["zeroshot/dist"].task, clip_scenes(0, "test", np.arange(12), combinations="held_out")
    named = [f"a {COLOURS[c]} {SHAPES[s]}" for c, s in zip(scenes.colour[:, 0], scenes.shape[:, 0], strict=True)]
    assert [task.classes[label] for label in task.source("test", 0).labels(np.arange(12))] == named


def test_the_positive_control_of_zero_shot_trains_on_the_two_motions():
    task = few("zeroshot_motion/known").task
    assert set(replace(task, train=400).source("train", 0).labels(np.arange(400)).tolist()) == set(range(len(MOTIONS)))
    assert set(task.source("test", 0).labels(np.arange(12)).tolist()) <= set(zero_shot.UNSEEN_MOTIONS)


def test_scores_of_unseen_classes_stand_among_themselves_alone():
    variant = few("zeroshot_motion/dist")
    inputs, _ = variant.task.feed("test", 0).at(np.arange(5))
    model = built("zeroshot_motion/dist").eval()
    with torch.no_grad():
        all_scores, unseen = model(inputs), zero_shot.Unseen(model, (0, 4))(inputs)
        plain = zero_shot.Unseen(model, (0, 4), 1.0)(inputs)
        frames = model.recogniser.clip.image_features(inputs.sparse)
    assert torch.allclose(unseen[:, [0, 4]], all_scores[:, [0, 4]], atol=1e-5)
    assert unseen.isinf().sum(1).tolist() == [len(MOTIONS) - 2] * 5
    due = 16 * (frames @ model.recogniser.classes.T).mean(1)
    assert torch.allclose(plain[:, 0], due[:, 0], atol=1e-4)


# --- costs and real files ---


def test_costs_are_ratios_to_dist(tmp_path, monkeypatch):
    rows = Measurements("dist", tmp_path, committed=tmp_path)
    tiny = Architecture(TINY.embed_dim, {**TINY.vision, "head_width": 12}, TINY.text)
    dist_study.costs(rows, frames=2, rounds=2, architecture=tiny)
    found = rows.seeds_of()
    assert all(measurable(name) for name in found) and len(found) == 9
    assert all(len(seeds) == 2 for seeds in found.values())
    assert all(set(found[f"cost/{what}.dist"].values()) == {1.0} for what in ("memory", "step", "latency"))
    timed = dist_study.timed(2, "cpu", tiny)
    assert len(timed["evl"].model.decoder) == tiny.vision["layers"]
    assert timed["dist"].inputs.shape[1] == 2 * timed["evl"].inputs.shape[1] == 4


def test_the_released_recipe_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=16)
    settings = Run("kinetics400", str(tmp_path), backbone="small", frames=4, max_steps=2, batch=4)
    outcome = run(settings, tmp_path, released)
    assert outcome["steps"] == 2 and outcome["clips"] == 5
    assert list(tmp_path.glob("dist_kinetics400_small_4.*.pt"))
    prepared = released(settings, ["a", "b"])
    assert prepared.recipe["epochs"] == PAPER.number("t3.epochs") and prepared.recipe["lr"] == 3.2e-4
    assert (prepared.recipe["mixup"], prepared.recipe["cutmix"], prepared.recipe["smoothing"]) == (0.8, 1.0, 0.1)
    assert (prepared.recipe["weight_decay"], prepared.recipe["batch"], prepared.recipe["warmup_epochs"]) == (
        1e-4,
        256,
        6,
    )
    assert len(prepared.model.net.head.adapooling_nets) == 4 and prepared.frames == 8
    assert isinstance(prepared.model.classes, nn.Parameter)
    other = released(replace(settings, dataset="something_something_v2"), ["a", "b"])
    assert len(other.model.net.head.adapooling_nets) == 2

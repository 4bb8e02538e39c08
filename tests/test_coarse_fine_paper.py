"""Coarse-Fine's study: what its variants are, what makes their rows, and where a grid samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.claims import Measurements
from minilib.models.x3d import TINY, X3D, ClipHead
from minilib.papers.coarse_fine import figures, fusion, grid, real, said, study, variants
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream, detection
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.papers.coarse_fine.study import STUDY, VARIANTS, EndToEnd, Network
from minilib.settings import key
from minilib.study import Trial, stages
from minilib.study.detection import Detection, OnLevels, ShortClips, stored_levels
from minilib.training import TrainSettings

STEP = TrainSettings(steps=1, batch=2, warmup=0)


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory):
    before, stages.FOLDER = stages.FOLDER, tmp_path_factory.mktemp("stages")
    stored_levels.cache_clear()
    yield
    stages.FOLDER = before


def tiny(stage):
    """The stage, and all before it, of one step on a few clips."""
    if stage is None:
        return None
    return replace(stage, variant=short(stage.variant), recipe=STEP)


def short(variant):
    """The variant on a few clips of 16 frames, with the smallest network."""
    task = replace(variant.task, start=tiny(variant.task.start))
    if isinstance(task, Detection):
        task = replace(task, train=4, test=4, frames=task.frames // 4, fine=tiny(task.fine))
    return replace(variant, task=task, build=replace(variant.build, size=TINY))


# --- where a grid samples ---


def test_density_counts_grid_points():
    even = torch.arange(0, 17, 4.0)[None]
    assert torch.allclose(figures.density(even, 17), torch.full((1, 17), 0.25))
    dense = torch.tensor([[0.0, 8.0, 9.0, 10.0, 16.0]])  # one point a frame from 8 to 10
    found = figures.density(dense, 17)[0]
    assert found[9] == pytest.approx(1) and found[4] == pytest.approx(1 / 8) and found[13] == pytest.approx(1 / 6)
    assert found[1:-1].sum() + found[[0, -1]].sum() / 2 == pytest.approx(4)


def test_correlation_is_pearsons_of_each_clip():
    happens = torch.rand(4, 20) < 0.4
    happens[3] = True  # nothing to correlate with: left out
    x = torch.rand(4, 20)
    want = np.mean([np.corrcoef(x[i], happens[i])[0, 1] for i in range(3)])
    assert figures.correlation(x, happens) == pytest.approx(want, abs=1e-5)
    assert figures.correlation(happens.float(), happens) == pytest.approx(1)
    assert figures.correlation(torch.ones(4, 20), happens) == 0


def test_the_inverse_grid_is_as_dense_as_the_head_is_confident():
    p = torch.rand(3, 16) + 0.05
    locations, part = variants.inverse_grid(p, 64)
    assert locations[:, 0].abs().max() < 1e-4 and locations[:, -1] == pytest.approx(63, abs=1e-3)
    assert torch.allclose(part * 63, locations)
    parts = p / p.sum(1, keepdim=True)
    for clip in range(3):  # between two points lies a sixteenth of the confidence
        cdf = np.concatenate([[0], parts[clip].cumsum(0)])
        found = np.interp(locations[clip] / 63 * 16, np.arange(17), cdf)
        assert np.allclose(found, np.arange(17) / 16, atol=1e-5)
    flat = variants.inverse_grid(torch.full((1, 16), 0.3), 64)[0]
    assert torch.allclose(flat, torch.linspace(0, 63, 17)[None], atol=1e-4)


def test_true_confidence_is_the_fraction_in_which_something_happens():
    happens = torch.tensor([[1, 1, 1, 1, 0, 0, 0, 1]]).bool()
    assert torch.allclose(variants.true_confidence(happens), torch.tensor([[0.9, 0.225]]))
    assert torch.allclose(variants.true_confidence(happens[:, 1:], contrast=1.0), torch.tensor([[0.75, 0.25]]))


def test_sampling_is_measured_on_the_clips_that_are_tested():
    torch.manual_seed(0)
    model, feed = CoarseStream(X3D(TINY, 10)).eval(), Detection(test=6).feed("test", 4)
    found = figures.sampling(model, feed)
    clips = feed.source.rendered
    with torch.no_grad():
        places = model.sampled(clips.frames)[1].locations
    assert found["samples"] == pytest.approx(
        figures.correlation(figures.density(places, 64), clips.informative), abs=1e-3
    )
    ideal = grid.leading_zero_grid(variants.true_confidence(clips.informative, contrast=0.5), 64)[0]
    assert found["samples_of_truth"] == figures.correlation(figures.density(ideal, 64), clips.informative)
    assert found["samples_of_truth"] > 0.1, "the positive control of the claims file"


# --- what the variants are ---


def test_claims_and_tables_name_what_is_measured():
    known, own = set(STUDY.metrics()), claims.load("coarse_fine")
    long = set(STUDY.metrics("long"))
    also = {f"grid/{name}/{what}" for name in VARIANTS for what in ("samples", "samples_of_truth")}
    orderings = [claim for claim in own.claims if claim.kind == "ordering"]
    named = {metric for claim in orderings for metric in claim.metrics}
    noise = {metric for parts in own.derived.values() for metric in parts}
    controls = {
        metric for task in own.tasks.values() for each in (task.positive, task.negative) for metric in each.metrics
    }
    assert named | controls | noise <= known | also
    assert {f"grid/{name}" for name in VARIANTS} - named - controls <= {f"grid/{name}" for name in study.HEADLINE}
    assert {metric for metric in named if metric.startswith("tuned/")} == {f"tuned/{name}" for name in study.HEADLINE}
    shown = {f"long/{row.variant}" for table in figures.TRAINED for row in STUDY.tables[table].values()}
    assert shown | noise == long and long - named - controls <= shown | noise
    for table, rows in STUDY.tables.items():
        for row in rows.values():
            recipe = "long" if table in figures.TRAINED else "grid"
            assert f"{recipe}/{row.variant}" in known | also and (row.paper is None or own.number(row.paper))


def test_every_variant_has_a_row_of_its_own():
    keys = {name: key(variant) for name, variant in STUDY.variants.items()}
    assert len(set(keys.values())) == len(keys)
    loss = replace(VARIANTS["grid_pool_flow"], objective=variants.WithAuxiliary(variants.flow, 0.2))
    assert key(loss) not in keys.values()
    for change in ({"lr": 0.1}, {"steps": 2}, {"warmup": 2}, {"batch": 3}):
        assert key(replace(study.GRID, **change)) != key(study.GRID)


MULTI = fusion.MultiStageFusion


@pytest.mark.parametrize(
    ("name", "pool", "fuse"),
    [
        ("x3d", None, None), ("slowfast", variants.Striding, SlowFastFusion), ("fine_fine", variants.KeepAll, MULTI),
        ("coarse_fine", grid.GridPool, MULTI), ("max_pool", variants.MaxPool, None),
        ("average_pool", variants.AveragePool, None), ("striding", variants.Striding, None),
        ("slowfast_grid", grid.GridPool, SlowFastFusion), ("slowfast_fusion", variants.Striding, MULTI),
    ],
)  # fmt: skip
def test_networks_are_made_of_the_parts_that_their_names_say(name, pool, fuse):
    model = VARIANTS[name].build.new(10)
    coarse = figures.coarse_of(model)
    assert type(getattr(coarse, "pool", None)) is (pool or type(None))
    assert type(getattr(coarse, "fusion", None)) is (fuse or type(None))
    assert isinstance(model, CoarseFine) == (fuse is not None) == (VARIANTS[name].task.fine is not None)


def test_the_knobs_of_the_ablations_arrive():
    of = lambda name: figures.coarse_of(STUDY.variants[name].build.new(10))  # noqa: E731
    assert [of(name).pool.ratio for name in ("grid_pool", "grid_eighth", "grid_sixteenth")] == [4, 8, 16]
    assert of("dense_grid_sixteenth").pool.ratio == 16
    assert [VARIANTS[name].task.frames for name in ("grid_pool", "dense_grid_pool", "dense_grid_sixteenth")] == [
        64,
        128,
        128,
    ]
    late = of("fine_fine_late").fusion
    assert not late.levels and not late.mixings and isinstance(late.late.mask, fusion.SelfAttentionMask)
    assert isinstance(of("fine_fine_late_no_mask").fusion.late.mask, variants.NoMask)
    assert all(isinstance(each.mask, variants.NoMask) for each in of("fine_fine_no_mask").fusion.levels)
    assert all(isinstance(each, variants.OneToOne) for each in of("fine_fine_one_to_one").fusion.mixings)
    assert of("fine_fine_c").fusion.average is variants.over_time_and_space
    assert of("fine_fine_chw").fusion.average is variants.over_time
    assert isinstance(of("control/noise_grid").pool.head, variants.NoiseHead)
    assert figures.coarse_of(STUDY.variants["inverse_grid"].build.new(10)).pool.grid is variants.inverse_grid
    blocks = [VARIANTS[name].build.size.blocks for name in ("x3d", "x3d_l")]
    assert [2 * number for number in blocks[0]] == list(blocks[1])
    assert [recipe.lr for recipe in (study.TASK, study.GRID, study.LONG)] == [study.GRID.lr] * 3, "one rate"
    widths = {
        name: of(name).fusion.width for name in ("coarse_fine", "fine_fine", "slowfast_fusion", "brief/coarse_fine")
    }
    assert (
        set(widths.values()) == {1 / 16}
        and figures.coarse_of(STUDY.variants["end_to_end"].build.new(10)).fusion.width == 1 / 16
    )
    assert [of(name).fusion.width for name in ("sigma_8", "sigma_32", "brief/sigma_32")] == [1 / 8, 1 / 32, 1 / 32]
    assert [of(name).pool.ratio for name in VARIANTS | study.TRAINED if "eighth" in name] == [8] * 7
    losses = {name: VARIANTS[name].objective for name in VARIANTS}
    assert losses["grid_pool_flow"].auxiliary is variants.flow
    assert losses["grid_pool_reconstruction"].auxiliary is variants.reconstruction
    assert all(losses[name] is detection for name in VARIANTS if not name.startswith("grid_pool_"))


def test_noise_places_are_new_in_every_call():
    model = replace(VARIANTS["control/noise_grid"].build, size=TINY).new(10).eval()
    clip = torch.zeros(1, 16, 32, 32, 3).byte()
    a, b = (model.sampled(clip)[1].locations for _ in range(2))
    assert not torch.equal(a, b)


def test_one_step_reads_scores_at_the_places_themselves():
    places, scores = torch.tensor([[0.0, 6.0, 15.0]]), torch.tensor([[[0.0], [1.0], [0.0]]])
    pooled, frames = grid.Pooled(scores, places, places), 16
    one, two = (kind(4, ratio=8).unpool(scores, pooled, frames)[0, :, 0] for kind in (variants.OneStep, grid.GridPool))
    assert np.allclose(one, np.interp(np.arange(16), [0, 6, 15], [0, 1, 0]), atol=1e-5)
    assert two.max() < 0.9, "two steps have lost the peak"


def test_a_taught_head_learns_where_things_happen_from_labels_alone():
    torch.manual_seed(0)
    model = CoarseStream(X3D(TINY, 10, dropout=0.0), variants.OneStep)
    clips, labels = torch.zeros(2, 16, 32, 32, 3).byte(), torch.zeros(2, 16, 10)
    labels[:, :4, 3] = 1  # the first of four intervals
    seen = {}
    for name, objective in (("taught", variants.Taught(0.5)), ("not", variants.Taught(0.0))):
        seen[name] = objective(model, clips, labels).item()
    with torch.no_grad():
        p = model.pool.head(model.before(clips))
    truth = torch.tensor([[1.0, 0, 0, 0]]).expand(2, -1)
    assert seen["taught"] - seen["not"] == pytest.approx(
        0.5 * float(torch.nn.functional.binary_cross_entropy(p, truth)), rel=1e-3
    )
    model.zero_grad()
    variants.Taught()(model, clips, labels).backward()
    assert model.pool.head.conv3.weight.grad.abs().sum() > 0


def test_an_oracle_samples_where_the_truth_says_and_nothing_else_changes():
    variant = short(STUDY.variants["grid_eighth_oracle"])
    feed = variant.task.feed("train", 0)
    torch.manual_seed(0)
    model = variant.build(feed).eval()
    inputs, labels = feed.batches(0, 4)(0)
    assert torch.equal(inputs.informative, labels.amax(2) > 0) and inputs.to("cpu").frames.shape == inputs.frames.shape
    coarse = model.coarse
    with torch.no_grad():
        before = coarse.before(inputs.frames)
        p = 0.1 + variants.true_confidence(inputs.informative, 8, contrast=0.8)
        want = coarse.finish(coarse.pool.at(before, p), 16)
        assert torch.equal(model(inputs), want)
        quiet = model(type(inputs)(inputs.frames, ~inputs.informative))
    assert not torch.allclose(quiet, want)
    assert not any(p.requires_grad for p in coarse.pool.head.parameters())
    assert type(next(variant.task.feed("test", 0).test(2))[0]) is type(inputs)


def test_the_fusion_learns_at_ten_times_the_rate():
    model = short(STUDY.variants["fast_fusion"]).build(short(STUDY.variants["fast_fusion"]).task.feed("train", 0))
    groups = model.parameter_groups()
    fused = {id(p) for p in model.coarse.fusion.parameters()}
    for group in groups:
        assert {id(p) in fused for p in group["params"]} == {group["lr_scale"] == 10}
        assert {p.ndim <= 1 for p in group["params"]} == {group.get("weight_decay") == 0}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_real_data_meet_the_printed_sigma():
    built = {
        name: real.as_printed(VARIANTS[name].build) for name in ("x3d", "slowfast", "coarse_fine", "fine_fine_late")
    }
    assert built["x3d"] == VARIANTS["x3d"].build and built["slowfast"] == VARIANTS["slowfast"].build
    widths = [built[name].new(10).coarse.fusion.width for name in ("coarse_fine", "fine_fine_late")]
    assert widths == [1 / 8, 1 / 8] and not built["fine_fine_late"].new(10).coarse.fusion.mixings


# --- the three stages ---


def test_an_x3d_learns_short_clips_then_crowded_ones_then_the_task():
    task = study.x3d_on_task()
    crowded = task.variant.task.start
    short_clips = crowded.variant.task.start
    assert isinstance(short_clips.variant.task, ShortClips) and short_clips.variant.task.frames == 8
    assert isinstance(short_clips.variant.build(short_clips.variant.task.feed("train", 0)).head, ClipHead)
    busy, quiet = (stage.variant.task.clips("test", 0).rendered.labels.mean() for stage in (crowded, task))
    assert busy > 2 * quiet and crowded.variant.task.train == 2 * task.variant.task.train
    assert [stage.recipe for stage in (short_clips, crowded, task)] == [study.CLASSIFY, study.CROWD, study.TASK]


@pytest.mark.parametrize("control", ["frames", "labels"])
def test_a_control_is_one_in_every_stage_that_it_can_be(control):
    variant = VARIANTS[f"control/shuffled_{control}"]
    task = variant.task.start.variant.task
    assert variant.task.control == task.control == control
    earlier = (task.start.variant.task, task.start.variant.task.start.variant.task)
    assert [each.control for each in earlier] == [control if control == "labels" else None] * 2


@pytest.mark.parametrize("name", ["x3d", "striding", "coarse_fine", "fine_fine", "dense_grid_pool", "end_to_end"])
def test_every_variant_starts_from_the_x3d_that_knows_the_task(name):
    variant = short(STUDY.variants[name])
    first = variant.task.start.state(0)
    torch.manual_seed(0)
    model = variant.build(variant.task.feed("train", 0))
    assert isinstance(model, OnLevels) == (name in ("coarse_fine", "fine_fine"))
    streams = [module for module in model.modules() if isinstance(module, X3D)]
    assert len(streams) == (2 if name == "end_to_end" else 1)
    for stream in streams:
        assert all(torch.equal(x, first[name]) for name, x in stream.state_dict().items())


def test_the_fine_stream_stays_and_the_rest_moves():
    variant = short(VARIANTS["coarse_fine"])
    inputs = variant.task.feed("train", 0)
    torch.manual_seed(0)
    before = variant.build(inputs).state_dict()
    after = variant.trained(inputs, replace(STEP, steps=2), Trial())[0].state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in before if name.endswith("weight"))
    assert not any("fine." in name for name in after)


def test_end_to_end_the_fine_stream_trains_too():
    variant = short(STUDY.variants["end_to_end"])
    model, _ = variant.trained(variant.task.feed("train", 0), replace(STEP, steps=2), Trial())
    start = variant.task.start.state(0)
    assert isinstance(variant.build, EndToEnd) and variant.task.fine is None
    assert not torch.equal(model.fine.stem.conv1_s.weight, start["stem.conv1_s.weight"])


def test_the_work_is_of_both_streams():
    alone, both = (figures.work(VARIANTS[name].build.new(10)) for name in ("grid_pool", "coarse_fine"))
    x3d, dense = figures.work(Network(None).new(10)), figures.work(Network().new(10), frames=128)
    assert alone < x3d < alone + x3d < both and dense == pytest.approx(2 * alone, rel=0.05)


# --- rows ---


@pytest.mark.parametrize("name", ["grid_pool", "striding"])
def test_rows_of_one_variant(name, tmp_path):
    own = replace(STUDY, variants={name: short(VARIANTS[name])}, recipes={"grid": STEP})
    rows = Measurements("coarse_fine", tmp_path, committed=tmp_path)
    value = own.measure(f"grid/{name}", 0, rows)
    assert 0 < value < 100 and own.measure(f"grid/{name}", 0, rows) == value
    also = {f"grid/{name}/samples", f"grid/{name}/samples_of_truth"} if name == "grid_pool" else set()
    curve = {f"grid/{name}/curve/{part}" for part in ("area", "end")}
    assert set(rows.seeds_of()) == {f"grid/{name}"} | also | curve and len(rows.rows()) == 3 + len(also)


def test_smoke_is_short_in_all_stages():
    smoke = STUDY.smoke().variants["coarse_fine"]
    stage = smoke.task.start
    while stage is not None:
        assert stage.recipe.steps <= 4
        stage = stage.variant.task.start
    assert smoke.task.train == smoke.task.test == 16 and smoke.task.fine == smoke.task.start


# --- sentences about what was measured ---


def test_the_live_comparison_says_whether_the_rows_bear_it_out():
    live, one, other = {"coarse_fine": [23.4], "x3d": [22.9]}, ("coarse_fine", "Coarse-Fine"), ("x3d", "X3D")
    assert "not measured yet" in said.live(live, {}, one, other)
    rows = {"tuned/coarse_fine": {0: 10.8, 1: 12.8}, "tuned/x3d": {0: 17.7, 1: 17.9, 2: 0.0}}
    text = said.live(live, rows, one, other)
    assert text.startswith("Live Coarse-Fine has 23.4 and X3D 22.9: +0.5 points.")
    assert text.endswith("In two seeds of longer trainings it is -6.0, another sign: so few seeds decide nothing.")
    assert said.live(live, rows, other, one).endswith("it is +6.0, another sign: so few seeds decide nothing.")
    rows["tuned/coarse_fine"] = {0: 20.0}
    assert said.live(live, rows, one, other).endswith("In one seed of longer trainings it is +2.3, the same sign.")


def test_a_mask_is_said_to_keep_what_moves_only_if_it_does():
    frames = torch.zeros(5, 8, 8, 3).byte()
    for t in range(5):
        frames[t, :2, 2 * (t % 4) : 2 * (t % 4) + 2] = 200  # moves along the upper rows
    moves = torch.zeros(5, 4, 4)
    moves[:, 0] = 0.8
    assert said.mask("res2", moves, frames).endswith("it keeps what moves.")
    assert said.mask("res2", 0.8 - moves, frames).endswith("it keeps what rests.")
    text = said.mask("res3", torch.full((5, 4, 4), 0.5), frames)
    assert text.startswith("res3: the mask lets 0.50 through") and "does not tell" in text


def test_the_tradeoff_weighs_the_best_against_the_cheapest():
    costs, scores = {"a": 2.0, "b": 6.0, "c": 9.0}, {"a": 10.0, "b": 14.5}
    assert said.tradeoff(costs, scores) == (
        "b has the highest mean: 4.5 points above a, the cheapest, at 3.0 times its work."
    )
    assert "and is the cheapest" in said.tradeoff(costs, {"a": 9.0, "b": 1.0}) and "yet" in said.tradeoff(costs, {})

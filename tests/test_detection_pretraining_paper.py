"""Detection pretraining's study: pretexts, members, ensembles and gains; tiny, but all of it really run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.claims import Measurements
from minilib.errors import BadInput
from minilib.models.x3d import SMALLER, TINY, X3D, ClipHead, FrameHead
from minilib.papers.coarse_fine import GridPool, MultiStageFusion
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.papers.coarse_fine.variants import Striding
from minilib.papers.detection_pretraining import figures, pretexts, real, said, study
from minilib.papers.detection_pretraining.method import DetectionPretraining, VolumeFreeze, frame_labels, unchanged
from minilib.papers.detection_pretraining.pretexts import CLASSES, JOINT, PRETEXTS
from minilib.papers.detection_pretraining.study import STUDY, VARIANTS, Member, TwoStages, coarse_fine, member, tuned
from minilib.papers.detection_pretraining.variants import Manifold, WrongLabels
from minilib.settings import key
from minilib.study import Trial, Variant, stages
from minilib.study.detection import Detection, Ensemble, OnLevels, ShortClips, probabilities, stored_levels
from minilib.study.real import Run, run
from minilib.training import TrainSettings
from minilib.world import clip_batch
from minilib.world.export import export_kinetics

STEP = TrainSettings(steps=1, batch=2, lr=1e-3, warmup=0)
QUICK = TwoStages(STEP, replace(STEP, lr=2e-3))


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory):
    before, stages.FOLDER = stages.FOLDER, tmp_path_factory.mktemp("stages")
    study.SMALLER = pretexts.SMALLER = TINY
    stored_levels.cache_clear()
    yield
    stages.FOLDER, study.SMALLER, pretexts.SMALLER = before, SMALLER, SMALLER


def tiny(stage):
    """The stage, and all before it, of one step on a few short clips."""
    if stage is None:
        return None
    variant = stage.variant
    if isinstance(variant.task, Detection):
        return replace(stage, variant=short(variant), recipe=QUICK)
    task = replace(variant.task, frames=4, skip=bool(variant.task.skip), start=tiny(variant.task.start))
    return replace(stage, variant=replace(variant, task=task), recipe=STEP)


def short(variant):
    """The variant on a few clips of 16 frames."""
    if isinstance(variant, Ensemble):
        return Ensemble(tuple(map(short, variant.members)))
    few = {"train": 4, "test": 6, "frames": 16, "start": tiny(variant.task.start), "fine": tiny(variant.task.fine)}
    return replace(variant, task=replace(variant.task, **few))


QUICK_STUDY = replace(STUDY, variants={name: short(each) for name, each in VARIANTS.items()}, recipes={"grid": QUICK})


# --- claims, tables and keys ---


def test_claims_and_tables_name_what_is_measured():
    own, known = claims.load("detection_pretraining"), set(STUDY.metrics())
    also = {
        f"{recipe}/{name}/{what}"
        for recipe in ("grid", "tuned")
        for name in ("cls", *study.AUGMENTED)
        for what in figures.FRAMES
    }
    named = {metric for claim in own.claims if claim.kind == "ordering" for metric in claim.metrics}
    controls = {
        metric for task in own.tasks.values() for each in (task.positive, task.negative) for metric in each.metrics
    }
    measured = {part for metric in named for part in own.derived.get(metric, (metric,))} | controls
    noise = {part for name, parts in own.derived.items() if name.startswith("noise/") for part in parts}
    assert measured | noise <= known | also and {name for name in own.derived if "noise" not in name} <= named
    assert {metric for metric in known if metric.startswith("long/")} == noise
    assert {metric for metric in known if metric.startswith("tuned/")} <= measured | {
        "tuned/vf",
        "tuned/vm",
        "tuned/vc",
    }
    shown = {row.variant for table in STUDY.tables.values() for row in table.values()}
    gains = {row.variant for table in figures.GAINS.values() for row in table.values()}
    assert shown <= set(VARIANTS) and gains == {name for name in own.derived if not name.startswith("noise/")}
    for table in (*STUDY.tables.values(), *figures.GAINS.values()):
        assert all(row.paper is None or own.number(row.paper) is not None for row in table.values())
    widths = {f"sigma_{width}/{name}" for width in (16, 32) for name in ("cls", "vc")}  # only in gains
    streams = {f"{stream}/{name}" for stream in ("coarse", "slow") for name in ("vf", "vm")}
    assert set(VARIANTS) - shown == widths | streams


def test_gains_are_what_their_names_say(tmp_path):
    own = claims.load("detection_pretraining").derived
    assert own["gain/vm/several"] == {"tuned/vm/several": 1, "tuned/cls/several": -1}
    assert own["gain/vf/coarse"] == {"tuned/coarse/vf": 1, "tuned/vf": -1}
    assert own["gain/cls/slow"] == {"grid/slow/cls": 1, "grid/cls": -1}
    assert own["gain/vc/sigma_16"] == {"grid/sigma_16/vc": 1, "grid/sigma_32/vc": -1}
    assert own["gain/cls/sigma_8"] == {"grid/coarse_fine/cls": 1, "grid/sigma_32/cls": -1}
    assert all(list(parts.values()) == [1, -1] for parts in own.values()), "more minus less"
    rows = Measurements("detection_pretraining", tmp_path, committed=tmp_path)
    rows.record("tuned/vm/several", 30.0)
    rows.record("tuned/cls/several", 20.0)
    assert rows.seeds_of()["gain/vm/several"] == {0: 10.0}


def test_everything_that_makes_a_row_is_in_its_key():
    keys = {name: key(variant, study.GRID) for name, variant in VARIANTS.items()}
    assert len(set(keys.values())) == len(VARIANTS) and len({key(each) for each in PRETEXTS.values()}) == len(PRETEXTS)
    cls = VARIANTS["cls"]
    steeper = replace(PRETEXTS["cls"], recipe=replace(pretexts.PRETRAIN, lr=0.1))
    later = replace(cls, task=replace(cls.task, start=steeper))
    others = [
        key(later, study.GRID),
        key(cls, replace(study.GRID, tune=STEP)),
        key(coarse_fine("cls", "cls", 1 / 7), study.GRID),
        key(replace(cls, task=replace(cls.task, control="labels")), study.GRID),
    ]
    assert len({*keys.values(), *others}) == len(keys) + len(others)


# --- pretexts ---


def test_pretraining_goes_on_from_the_checkpoint_with_other_clips():
    checkpoint, later = PRETEXTS["scratch_cls"], PRETEXTS["vf"]
    assert later.variant.task.start == checkpoint and checkpoint.variant.task.start is None
    assert later.variant.task.skip == checkpoint.recipe.steps == 3 * later.recipe.steps
    for name, stage in PRETEXTS.items():
        assert (stage.variant.task.start is None) == name.startswith("scratch"), name
    stage = tiny(later)
    start = stage.variant.build(stage.variant.task.feed("train", 0)).state_dict()
    assert all(torch.equal(start[name], x) for name, x in tiny(checkpoint).state(0).items())


@pytest.mark.parametrize("name", sorted(PRETEXTS))
def test_every_pretext_trains_every_parameter_by_its_own_loss(name):
    stage = tiny(PRETEXTS[name])
    variant = stage.variant
    model, history = variant.trained(variant.task.feed("train", 0), STEP, Trial())
    assert np.isfinite(history.loss).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    classified = name in ("cls", "scratch_cls")
    net = model.net if isinstance(model, Manifold) else model
    assert (variant.objective is None) == classified and isinstance(net.head, ClipHead if classified else FrameHead)
    assert net.classes == CLASSES + 1, "the background"
    if not classified:
        inside = (variant.objective.augmentation is None) == isinstance(model, Manifold) == (name == "vm_manifold")
        assert inside and variant.objective.background == CLASSES


def test_wrong_labels_belong_to_the_next_clip():
    clips, labels = torch.randn(5, 3, 8, 16, 16), frame_labels(torch.arange(5), 8)
    torch.manual_seed(3)
    right = JOINT(clips, labels)
    torch.manual_seed(3)
    wrong = WrongLabels(JOINT)(clips, labels)
    assert torch.equal(right[0], wrong[0])
    for a, b in zip(right[1], wrong[1], strict=True):
        assert torch.equal(a.roll(1, 1), b)
    assert PRETEXTS["control/wrong_labels"].variant.objective == DetectionPretraining(
        WrongLabels(JOINT), CLASSES, background=CLASSES
    )


# --- starts ---


@pytest.mark.parametrize("name", ["vm", "vm_manifold", "coarse/vf", "slowfast/vc", "coarse_fine/vc_cls"])
def test_a_start_is_the_same_whether_caches_are_there_or_not(name, tmp_path, monkeypatch):
    variant = short(VARIANTS[name])
    starts = []

    def stop(model, *args, **kwargs):
        starts.append({name: x.clone() for name, x in model.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "FOLDER", tmp_path)
    stored_levels.cache_clear()
    for _ in range(2):  # first every stage is trained, then none
        before, torch_train = len(list(tmp_path.iterdir())), "minilib.study.study.train"
        inputs = variant.task.feed("train", 0)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(torch_train, stop)
            variant.trained(inputs, QUICK, Trial())
        assert (len(list(tmp_path.iterdir())) > before) == (len(starts) == 1)
    assert all(torch.equal(x, starts[1][name]) for name, x in starts[0].items())


@pytest.mark.parametrize("name", ["vm", "vm_manifold"])
def test_fine_tuning_starts_from_pretrained_weights_and_the_classes_fractions(name):
    variant = short(VARIANTS[name])
    inputs, state = variant.task.feed("train", 0), tiny(PRETEXTS[name]).state(0)
    net = variant.build(inputs)
    labels = inputs.source.rendered.labels
    for part, x in net.state_dict().items():
        known = state.get(part, state.get(f"net.{part}"))
        assert part.startswith("head.fc2.") or torch.equal(x, known), part
    fractions = net.head.fc2.bias.sigmoid()
    assert torch.allclose(fractions, labels.mean((0, 1)).clamp(1e-3, 1 - 1e-3), atol=1e-4)
    fresh = short(VARIANTS["control/no_pretraining"])
    assert fresh.task.start is None
    new = fresh.build(fresh.task.feed("train", 0))
    assert not torch.equal(new.stem.conv1_s.weight, net.stem.conv1_s.weight)
    assert torch.equal(new.head.fc2.bias, net.head.fc2.bias)


def test_two_streams_start_from_fine_tuned_x3ds_and_the_fine_one_stays():
    variant = short(coarse_fine("vm", "cls"))
    assert variant.task.start == tiny(tuned("vm")) and variant.task.fine == tiny(tuned("cls"))
    inputs = variant.task.feed("train", 0)
    model = variant.build(inputs)
    state = tiny(tuned("vm")).state(0)
    assert all(torch.equal(x, state[name]) for name, x in model.coarse.backbone.state_dict().items())
    trained, _ = variant.trained(inputs, QUICK, Trial())
    gradients = {name: p.grad is not None for name, p in trained.named_parameters()}
    assert all(gradients.values()) and any("fusion." in name for name in gradients)


@pytest.mark.parametrize(
    ("name", "pool", "fusion"),
    [
        ("cls", None, None), ("slow/cls", Striding, None), ("coarse/vf", GridPool, None),
        ("slowfast/joint", Striding, SlowFastFusion), ("coarse_fine/vc", GridPool, MultiStageFusion),
    ],
)  # fmt: skip
def test_networks_are_made_of_the_parts_that_their_names_say(name, pool, fusion):
    variant = short(VARIANTS[name])
    model = variant.build(variant.task.feed("test", 0))
    assert isinstance(model, OnLevels) == (fusion is not None)
    stream = model.coarse if fusion else model
    assert type(getattr(stream, "pool", None)) is (pool or type(None))
    assert type(getattr(stream, "fusion", None)) is (fusion or type(None))


def test_every_width_of_the_gaussians_is_trained():
    widths = {"coarse_fine/cls": 1 / 8, "sigma_16/cls": 1 / 16, "sigma_32/vc": 1 / 32}
    for name, width in widths.items():
        variant = short(VARIANTS[name])
        assert variant.build(variant.task.feed("test", 0)).coarse.fusion.width == width


def test_one_stream_is_tuned_and_two_are_joined(monkeypatch):
    seen = []
    monkeypatch.setattr(Variant, "trained", lambda self, inputs, recipe, *rest: seen.append(recipe) or (None, None))
    for each in (member("cls"), coarse_fine("cls", "cls")):
        Member.trained(each, None, QUICK, Trial())
    assert seen == [QUICK.tune, QUICK.join]
    longer = TwoStages(replace(STEP, steps=10), replace(STEP, steps=6))
    assert (longer.at_rate(3).tune.lr, longer.at_rate(3).join.lr) == pytest.approx((3e-3, 3e-3))
    assert (longer.for_share(0.5).tune.steps, longer.for_share(0.5).join.steps) == (5, 3)
    assert max(longer.smoke().tune.steps, longer.smoke().join.steps) <= 4


# --- ensembles and gains ---


def test_an_ensemble_is_the_mean_of_its_members():
    ensemble = short(VARIANTS["ensemble"])
    outcome = ensemble.run(QUICK, Trial(0))
    found = []
    for each in ensemble.members:
        own = each.run(QUICK, Trial(0))
        found.append(probabilities(own.model, each.task.feed("test", 0)))
    truth = ensemble.members[0].task.clips("test", 0).rendered.labels
    mean = torch.stack(found).mean(0)
    want = figures.detection_score(mean.flatten(0, 1), truth.flatten(0, 1)).mean
    assert outcome.score == pytest.approx(want) and len(outcome.model) == 3
    names = [each.task.start for each in VARIANTS["ensemble"].members]
    assert names == [PRETEXTS[name] for name in study.AUGMENTED]
    both = VARIANTS["coarse_fine/ensemble"].members
    assert both[:3] == VARIANTS["coarse_fine/ensemble_cls"].members and len(both) == 6
    assert [each.task.fine for each in both] == [tuned("cls")] * 3 + [tuned(name) for name in study.AUGMENTED]


def test_ensembles_share_their_members(monkeypatch):
    trained = []
    whole = Variant.trained

    def counted(self, *args):
        trained.append(self)
        return whole(self, *args)

    first, second = (short(VARIANTS[f"coarse_fine/{name}"]) for name in ("ensemble_cls", "ensemble"))
    first.run(QUICK, Trial(5))
    monkeypatch.setattr(Variant, "trained", counted)
    first.run(QUICK, Trial(5))
    assert not trained
    second.run(QUICK, Trial(5))
    assert [each for each in trained if each.task.fine] == list(second.members[3:])


def test_frames_are_parted_as_their_names_say():
    variant = short(VARIANTS["vf"])
    assert set(figures.FRAMES) == set(variant.run(QUICK, Trial(0)).metrics) - {""}
    feed = variant.task.feed("test", 0)
    model = X3D(SMALLER, CLASSES, dropout=0.0)
    found, labels = probabilities(model, feed), feed.source.rendered.labels
    count, near = labels.sum(-1), torch.zeros(labels.shape[:2]).bool()
    for clip in range(len(labels)):
        for t in range(labels.shape[1]):
            changes = [u for u in (t, t + 1) if 0 < u < labels.shape[1]]
            near[clip, t] = any(not torch.equal(labels[clip, u], labels[clip, u - 1]) for u in changes)
    wanted = {"single": count == 1, "several": count > 1, "boundary": near, "inside": ~near}
    parts = figures.by_frames(model, feed, "cpu")
    for name, which in wanted.items():
        assert parts[name] == figures.detection_score(found[which], labels[which]).mean, name
    assert {name for name, each in VARIANTS.items() if isinstance(each, Member) and each.also} == {
        "cls",
        *study.AUGMENTED,
    }


def test_rows_of_a_variant_alone(tmp_path):
    rows = Measurements("detection_pretraining", tmp_path, committed=tmp_path)
    value = QUICK_STUDY.measure("grid/vc", 0, rows)
    assert 0 <= value <= 100 and QUICK_STUDY.measure("grid/vc", 0, rows) == value
    also = {f"grid/vc/{what}" for what in (*figures.FRAMES, "curve/area", "curve/end")}
    assert set(rows.seeds_of()) == {"grid/vc", *also}
    assert rows.rows()[0].experiment == 3, "rows whose start depended on a cache are never used again"


# --- the task ---


def test_the_detection_task_has_frames_of_no_one_and_several_actions():
    count = replace(VARIANTS["cls"].task, test=32).clips("test", 0).rendered.labels.sum(-1)
    assert all(0.1 < kind.float().mean() < 0.7 for kind in (count == 0, count == 1, count > 1))


def test_the_label_control_knows_nothing():
    control, none = VARIANTS["control/shuffled_labels"], VARIANTS["control/no_pretraining"]
    assert control.task == replace(none.task, control="labels") and none.task.start is None
    assert isinstance(PRETEXTS["cls"].variant.task, ShortClips)


# --- pictures ---


def test_pictures_show_clips_and_the_weights_of_their_labels():
    frames, labels = clip_batch("motion", 0, "val", [0, 1], 8, size=32)
    same, weights = figures.augmented(frames, labels, 12, unchanged)
    assert torch.equal(same, frames) and torch.equal(weights.argmax(-1), labels[:, None].expand(-1, 8))
    torch.manual_seed(0)
    clips, weights = figures.augmented(frames, labels, 12, VolumeFreeze())
    assert clips.dtype == torch.uint8 and torch.allclose(weights.sum(-1), torch.ones(2, 8)) and weights[..., 12].any()
    shown = {"one": (clips[0], weights[0]), "two": (clips[1], weights[1])}
    figure = figures.weighted_strips(shown, list("abcdefghijkl"))
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert texts == {"abcdefghijkl"[k] for k in labels.tolist()} | {"background"}
    assert len(figure.axes) == 4


# --- real files ---


def test_pretraining_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=90)
    settings = Run("kinetics400", str(tmp_path), backbone="small", frames=16, max_steps=2, batch=4)
    outcome = run(settings, tmp_path, real.prepared)
    assert outcome["steps"] == 2 and outcome["clips"] == 5 and 0 <= outcome["top1"] <= 100
    assert list(tmp_path.glob("detection_pretraining_kinetics400_small_16.*.pt"))
    for wrong, message in (({"backbone": "vit_b16"}, "choose of x3d_m, small"), ({"frames": 8}, "has a stride for 16")):
        with pytest.raises(BadInput, match=message):
            run(replace(settings, **wrong), tmp_path, real.prepared)


def test_a_checkpoint_gives_all_but_the_last_layer(tmp_path):
    first = X3D(SMALLER, 5)
    torch.save(first.state_dict(), tmp_path / "x3d.pt")
    settings = Run("folder", "", backbone="small", frames=16, weights=str(tmp_path / "x3d.pt"))
    model = real.prepared(settings, "abcde").model
    for name, x in first.state_dict().items():
        assert name.startswith("head.fc2.") or torch.equal(x, model.state_dict()[name])
    clips = torch.zeros(2, 4, 32, 32, 3, dtype=torch.uint8)
    assert model.train()(clips).shape == (2, 4, 6) and model.eval()(clips).shape == (2, 5)


# --- sentences about what was measured ---


def test_the_order_of_the_starts_is_that_of_their_means():
    text = said.order({"cls": [10.0, 14.0], "control/no_pretraining": [8.5], "joint": [13.0]}, 8.0)
    assert text == "From best to worst: joint 13.0, cls 12.0, no pretraining 8.5. At chance, 8.0: no pretraining."
    assert said.order({"cls": [10.0]}, 8.0).endswith("None is at chance, 8.0.")


def test_a_clip_has_several_actions_and_a_loss_falls_only_if_they_do():
    truth = torch.zeros(2, 4, 3)
    truth[0, :2] = torch.tensor([1.0, 1.0, 0.0])
    assert said.busy(truth, 8.2).startswith(
        "Of all test frames 25 % have several actions; random scores would reach about 8"
    )
    assert said.fell([3.0, 2.0, 1.0]) == "The loss falls: 3.00 in the first third of 3 steps, 1.00 in the last."
    assert "does not fall" in said.fell([1.0, 2.0, 1.0])


def test_a_network_is_called_quiet_only_if_it_is():
    labels = torch.zeros(2, 4, 3)
    labels[:, :2, 1] = 1
    loud = 0.1 + 0.5 * labels
    assert said.quiet("vf", loud, labels) == (
        "vf: 0.600 where a motion goes on, 0.100 where nothing does, a ratio of 6.0: it is quieter between actions."
    )
    assert "hardly tells" in said.quiet("cls", torch.full((2, 4, 3), 0.2), labels)

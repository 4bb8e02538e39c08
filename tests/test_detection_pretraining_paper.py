"""Detection pretraining's arms, runs and gains on the small world: tiny, but all of it really run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib import claims
from minilib.claims import Measurements
from minilib.errors import BadInput
from minilib.grids import in_words
from minilib.models.x3d import TINY, X3D
from minilib.papers.coarse_fine.runs import predictions
from minilib.papers.detection_pretraining import experiments, gains, maps, recipe, runs, tables
from minilib.papers.detection_pretraining.arms import ARMS, JOINT, PRETEXTS, Member, WrongLabels, coarse_fine
from minilib.papers.detection_pretraining.joint import Ensemble
from minilib.papers.detection_pretraining.method import VolumeFreeze, frame_labels, unchanged
from minilib.training import TrainSettings, train
from minilib.world import clip_batch
from minilib.world.export import export_kinetics

STEP = TrainSettings(steps=1, batch=2, lr=1e-3, warmup=0)
QUICK = runs.Recipe(STEP, STEP, STEP, longer=2, train=4, test=4, frames=4, size=TINY)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(autouse=True)
def own_cache(shared, monkeypatch):
    monkeypatch.setattr(runs, "CACHE", shared)


@pytest.fixture
def trainings(monkeypatch):
    """Labels of all trainings, in order."""
    seen = []

    def counted(*args, label, **options):
        seen.append(label)
        return train(*args, label=label, **options)

    monkeypatch.setattr(runs, "train", counted)
    return seen


# --- data ---


def test_claims_and_tables_name_exactly_what_is_measured():
    measured = {f"grid/{name}" for name in ARMS} | set(gains.NAMES)
    orderings = [claim for claim in claims.load("detection_pretraining").claims if claim.kind == "ordering"]
    assert {name for claim in orderings for name in claim.measures} == measured
    assert set(experiments.NAMES) == set(ARMS) | set(gains.NAMES)
    shown = {row[0] for name, table in vars(tables).items() if name.isupper() for row in table.values()}
    assert shown == measured


def test_tables_have_the_papers_differences():
    every = {
        measure: value
        for name, t in vars(tables).items()
        if name.startswith("TABLE_4")
        for measure, value in t.values()
    }
    for claim in claims.load("detection_pretraining").claims:
        if claim.kind == "ordering" and claim.id.startswith(("t42b", "t44a", "t44b", "t44c", "t45", "t44e")):
            pair = claim.pairs[0]
            of_42 = dict((tables.TABLE_42A | tables.TABLE_42B).values())
            better, worse = ({**every, **of_42}[name] for name in (pair.better, pair.worse))
            assert abs(better - worse) == pytest.approx(claim.paper_value, abs=0.006), claim.id


def test_every_pretext_and_member_is_told_apart():
    members = {in_words(member): member for arm in ARMS.values() for member in arm}  # some arms share members
    words = {runs.described(member, QUICK, 0, "cpu") for member in members.values()}
    assert len(words) == len(members) and not any(" at 0x" in each for each in words)
    assert len({in_words(pretext) for pretext in PRETEXTS.values()}) == len(PRETEXTS)
    other = replace(QUICK, tune=replace(STEP, lr=0.1))
    assert runs.described(Member("cls"), QUICK, 0, "cpu") != runs.described(Member("cls"), other, 0, "cpu")


def test_wrong_labels_belong_to_the_next_clip():
    clips, labels = torch.randn(5, 3, 8, 16, 16), frame_labels(torch.arange(5), 8)
    torch.manual_seed(3)
    right = JOINT(clips, labels)
    torch.manual_seed(3)
    wrong = WrongLabels(JOINT)(clips, labels)
    assert torch.equal(right[0], wrong[0])
    for a, b in zip(right[1], wrong[1], strict=True):
        assert torch.equal(a.roll(1, 1), b)


# --- what is kept ---


def test_tensors_are_made_once_and_a_damaged_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "CACHE", tmp_path)
    made = []

    def make():
        made.append(1)
        return {"x": torch.arange(3.0)}

    assert torch.equal(runs.kept("a", make)["x"], runs.kept("a", make)["x"]) and len(made) == 1
    runs.kept("b", make)
    assert len(made) == 2
    monkeypatch.setattr(runs, "code_hash", lambda: "other code")
    runs.kept("a", make)
    assert len(made) == 3
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(BadInput, match="cannot be read, remove it"):
        runs.kept("a", make)


def test_an_arm_alone_makes_what_it_needs_and_others_reuse_it(tmp_path, trainings):
    measurements = Measurements("detection_pretraining", tmp_path, committed=tmp_path)
    measure = lambda name: experiments.measure(name, 0, measurements, QUICK)  # noqa: E731
    value = measure("coarse_fine/vc_cls")
    pretrained, tuned = ["pretraining, scratch_cls", "pretraining, vc", "pretraining, cls"], ["vc", "cls", "vc"]
    assert sorted(trainings) == sorted(pretrained + [f"fine-tuning, {name}" for name in tuned])
    trainings.clear()
    assert measure("coarse_fine/vc_cls") == value and 0 <= measure("vc") <= 100 and not trainings
    assert measure("gain/vc/several") == pytest.approx(
        gains.score(ARMS["vc"], QUICK, 0, frames=gains.FRAMES["several"])
        - gains.score(ARMS["cls"], QUICK, 0, frames=gains.FRAMES["several"])
    )
    assert not trainings
    measure("coarse_fine/ensemble_cls")
    assert len(trainings) == 6  # weights, an X3D and two streams, of Freeze and of MixUp
    assert set(measurements.seeds_of()) == {
        "grid/coarse_fine/vc_cls", "grid/vc", "gain/vc/several", "grid/coarse_fine/ensemble_cls",
    }  # fmt: skip


# --- what is trained ---


def test_pretraining_goes_on_from_the_checkpoint_with_other_clips(monkeypatch):
    start, fed = {}, []

    def stub(model, feed, settings, classes, device, **options):
        start.update({name: x.clone() for name, x in model.state_dict().items()})
        fed.extend(feed(step)[0] for step in range(settings.steps))

    checkpoint = runs.pretrained("scratch_cls", QUICK, 0)
    monkeypatch.setattr(runs, "train", stub)
    runs.pretraining("scratch_cls", QUICK, 0)
    seen, fed[:] = list(fed), []
    runs.pretraining("vf", QUICK, 0)
    assert len(seen) == 2 and len(fed) == 1 and not any(torch.equal(fed[0], each) for each in seen)
    assert all(torch.equal(start[name], x) for name, x in checkpoint.items())


@pytest.mark.parametrize("name", sorted(PRETEXTS))
def test_every_pretext_trains_every_parameter(name):
    net, history = runs.pretraining(name, QUICK, 0)
    assert np.isfinite(history.loss).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_fine_tuning_starts_from_pretrained_weights_and_the_classes_shares():
    state, net = runs.pretrained("vm", QUICK, 0), runs.build(Member("vm"), QUICK, 0)
    labels = QUICK.clips("train", 0).rendered.labels
    for name, x in net.state_dict().items():
        assert name.startswith("head.fc2.") or torch.equal(x, state[name]), name
    share = net.head.fc2.bias.sigmoid()
    assert torch.allclose(share, labels.mean((0, 1)).clamp(1e-3, 1 - 1e-3), atol=1e-4)
    fresh = runs.build(Member(None), QUICK, 0)
    assert not torch.equal(fresh.stem.conv1_s.weight, net.stem.conv1_s.weight)


def test_the_fine_stream_stays_and_the_coarse_one_learns():
    member = coarse_fine("vm", "vm")
    fine = runs.tuned(Member("vm"), QUICK, 0)
    model, _ = runs.tuning(member, QUICK, 0)
    gradients = {name: p.grad is not None for name, p in model.named_parameters()}
    assert all(gradients.values()) and any("fusion." in name for name in gradients)
    assert all(torch.equal(fine[name], x) for name, x in runs.tuned(Member("vm"), QUICK, 0).items())
    wide = coarse_fine("vm", "vm", 1 / 32)
    assert runs.build(wide, QUICK, 0).coarse.fusion.width == 1 / 32


def test_an_ensemble_is_the_mean_of_its_members():
    members = ARMS["ensemble"]
    found = runs.probabilities(members, QUICK, 0)
    nets = []
    for member in members:
        nets.append(X3D(TINY, runs.CLASSES, dropout=0.0))
        nets[-1].load_state_dict(runs.tuned(member, QUICK, 0))
    clips = QUICK.clips("test", 0)
    module = Ensemble(nets).eval()
    with torch.no_grad():
        assert torch.allclose(found, module(clips(np.arange(4))), atol=1e-5)
    assert torch.allclose(found, torch.stack([predictions(net, clips) for net in nets]).mean(0), atol=1e-6)


# --- where it gains ---


def test_frames_are_parted_as_their_names_say():
    labels = QUICK.clips("test", 0).rendered.labels
    count = labels.sum(-1)
    chosen = {name: frames(labels) for name, frames in gains.FRAMES.items()}
    assert torch.equal(chosen["single"], count == 1) and torch.equal(chosen["several"], count > 1)
    assert torch.equal(chosen["inside"], ~chosen["boundary"])
    for clip, near in zip(labels, chosen["boundary"], strict=True):
        for t in range(len(clip)):
            change = [u for u in (t, t + 1) if 0 < u < len(clip) and not torch.equal(clip[u], clip[u - 1])]
            assert bool(near[t]) == bool(change)


def test_the_detection_task_has_frames_of_no_one_and_several_actions():
    count = replace(QUICK, test=32).clips("test", 0).rendered.labels.sum(-1)
    assert all(0.1 < (kind).float().mean() < 0.7 for kind in (count == 0, count == 1, count > 1))


# --- pictures ---


def test_pictures_show_clips_and_the_weights_of_their_labels():
    frames, labels = clip_batch("motion", 0, "val", [0, 1], 8, size=32)
    same, weights = maps.augmented(frames, labels, 12, unchanged)
    assert torch.equal(same, frames) and torch.equal(weights.argmax(-1), labels[:, None].expand(-1, 8))
    torch.manual_seed(0)
    clips, weights = maps.augmented(frames, labels, 12, VolumeFreeze())
    assert clips.dtype == torch.uint8 and torch.allclose(weights.sum(-1), torch.ones(2, 8)) and weights[..., 12].any()
    figure = maps.weighted_strips({"one": (clips[0], weights[0]), "two": (clips[1], weights[1])}, list("abcdefghijkl"))
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert texts == {"abcdefghijkl"[k] for k in labels.tolist()} | {"background"}
    assert len(figure.axes) == 4


# --- real files ---


def test_pretraining_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=90)
    settings = recipe.Run("kinetics400", str(tmp_path), backbone="small", frames=16, max_steps=2, batch=4)
    outcome = recipe.run(settings, tmp_path)
    assert outcome["steps"] == 2 and outcome["clips"] == 5 and 0 <= outcome["top1"] <= 100
    assert list(tmp_path.glob("detection_pretraining_kinetics400_small_16.pt"))
    for wrong, message in (({"backbone": "vit_b16"}, "choose of x3d_m, small"), ({"frames": 8}, "16 frames alone")):
        with pytest.raises(BadInput, match=message):
            recipe.run(replace(settings, **wrong), tmp_path)


def test_a_checkpoint_gives_all_but_the_last_layer(tmp_path):
    first = X3D(runs.LITTLE, 5)
    torch.save(first.state_dict(), tmp_path / "x3d.pt")
    settings = recipe.Run("folder", "", backbone="small", frames=16, weights=str(tmp_path / "x3d.pt"))
    model = recipe.pretraining(settings, "abcde").model
    for name, x in first.state_dict().items():
        assert name.startswith("head.fc2.") or torch.equal(x, model.state_dict()[name])
    clips = torch.zeros(2, 4, 32, 32, 3, dtype=torch.uint8)
    assert model.train()(clips).shape == (2, 4, 6) and model.eval()(clips).shape == (2, 5)

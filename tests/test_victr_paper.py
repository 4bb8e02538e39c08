"""VicTR's experiments on the small world: clips, names, peers, arms, zero-shot, pictures; tiny, but really run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minilib import claims
from minilib.claims import Measurements
from minilib.papers.victr import baselines as victr_peers
from minilib.papers.victr import clips as victr_clips
from minilib.papers.victr import experiments as victr_experiments
from minilib.papers.victr import maps as victr_maps
from minilib.papers.victr import recipe as victr_recipe
from minilib.papers.victr import runs as victr_runs
from minilib.papers.victr import tables as victr_tables
from minilib.papers.victr import zero_shot as unseen
from minilib.papers.victr.arms import GRID_ARMS, LONG_ARMS, VICTR, ZERO_SHOT_ARMS, Whitening, names_of, texts_of
from minilib.papers.victr.classifier import AffinityClassifier, Embeddings
from minilib.papers.victr.runs import GRID_TASK, LONG_TASK, Sizes
from minilib.world import LONG_MOTIONS, MOTIONS, SHAPES, WorldClips
from minilib.world.export import export_kinetics

QUICK = replace(victr_experiments.GRID, steps=2, warmup=1, batch=4)
FEW = Sizes(400, 100)
ARMS = {**{f"grid/{name}": (arm, GRID_TASK) for name, arm in GRID_ARMS.items()}} | {
    f"long/{name}": (arm, LONG_TASK) for name, arm in LONG_ARMS.items()
}


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """Caches in a folder that all tests here share."""
    monkeypatch.setattr(victr_clips, "FOLDER", tmp_path_factory.getbasetemp() / "embeddings")


def reader(arm=VICTR, task=GRID_TASK, count=6):
    clips = task.clips(0, "val", count, "cpu")
    return victr_runs.build(arm, task, clips, 0), clips


# --- clips ---


def test_a_frame_is_its_embedding():
    source = WorldClips("motion", 0, "val", 6, victr_clips.FRAMES)
    clips, clip = victr_clips.embedded(source), victr_clips.image_model()
    wanted = clip.model.encode_image(clip.normalise(source.frames([2])).flatten(0, 1))
    assert torch.allclose(clips.frames[2], wanted, atol=0.02)
    assert torch.equal(clips.labels, source.labels(np.arange(6)))


def test_long_and_asked_clips():
    long = victr_clips.LongClips(0, "val", 4)
    assert long.frames([0]).shape == (1, victr_clips.LONG_FRAMES, 64, 64, 3)
    assert long.labels([0, 1]).dtype == torch.bool and long.labels([0, 1]).shape == (2, len(LONG_MOTIONS))
    assert 1 < long.labels(np.arange(4)).sum(1).float().mean() < 5
    asked = victr_clips.QuestionClips(0, "val", 4)
    assert asked.key() != long.key() and asked.labels(2) == asked.questions[2].right
    assert max(victr_clips.ASKED_FRAMES - start for start in unseen.VIEWS) == victr_clips.ASKED_FRAMES
    assert min(victr_clips.ASKED_FRAMES - start for start in unseen.VIEWS) >= victr_clips.FRAMES


def test_controls_damage_only_what_they_name():
    clips = GRID_TASK.clips(0, "val", 6, "cpu")
    assert clips.damaged(None, 12, 0) is clips
    frames, labels = clips.damaged("frames", 12, 0), clips.damaged("labels", 12, 0)
    assert torch.equal(frames.labels, clips.labels) and torch.equal(labels.frames, clips.frames)
    assert not torch.equal(frames.frames, clips.frames) and not torch.equal(labels.labels, clips.labels)
    assert torch.allclose(frames.frames.sum(1), clips.frames.sum(1), atol=1e-4)


# --- names ---


def test_whitened_names_stand_apart_and_near_their_own():
    raw, white = texts_of(MOTIONS), names_of(MOTIONS).classes
    off = lambda x: (F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).T - torch.eye(len(x))).max()  # noqa: E731
    assert off(raw) > 0.99 and off(white) < 0.5
    assert torch.allclose(white.norm(dim=-1), torch.tensor(white.shape[1] ** 0.5))
    assert ((raw - raw.mean(0)) * white).sum(-1).gt(0).all()


def test_whitening_is_linear_in_what_was_fitted():
    torch.manual_seed(0)
    texts = torch.randn(9, 16)
    whitening = Whitening.fitted(texts, 5)
    assert whitening.directions.shape == (5, 16)
    scores = (texts - texts.mean(0)) @ whitening.directions.T / whitening.sizes
    assert torch.allclose(scores.T @ scores, torch.eye(5), atol=1e-4)
    assert torch.allclose(whitening(texts), F.normalize(scores, dim=-1) @ whitening.directions * 4, atol=1e-5)


@pytest.mark.parametrize("style", unseen.TEXTS)
def test_held_out_names_are_the_sum_of_their_parts(style):
    """Shape and motion, learned from other combinations, find every held-out name."""
    text = unseen.TEXTS[style]
    names = unseen.seen_names(text)
    at = {"shape": 0, "motion": 1}
    mean = lambda what, value: torch.stack(  # noqa: E731
        [name for each, name in zip(unseen.SEEN, names.classes, strict=True) if each[at[what]] == value]
    ).mean(0)
    held = [each for split in unseen.HELD for each in split]
    sums = torch.stack([mean("shape", s) + mean("motion", m) for s, m in held])
    found = (F.normalize(names.read([text(*each) for each in held]), dim=-1) @ F.normalize(sums, dim=-1).T).argmax(1)
    assert (found == torch.arange(len(held))).float().mean() > (0.95 if style == "names" else 0.5)


# --- peers ---


def given(frames=4, names=5, width=16):
    torch.manual_seed(0)
    return torch.randn(3, frames, width), torch.randn(names, width)


def test_hitchhiker_is_the_loop_over_names():
    frames, names = given()
    head = victr_peers.Hitchhiker(16, scale=16.0, bias=0.5)
    x, y = head.classifier.map(frames), head.classifier.map(names)
    for b in range(3):
        for n in range(5):
            weight = (10.0 * F.cosine_similarity(x[b], y[n], dim=-1)).softmax(0)
            wanted = 16.0 * F.cosine_similarity((weight[:, None] * x[b]).sum(0), y[n], dim=0) + 0.5
            assert head(frames, names).logits[b, n].item() == pytest.approx(wanted.item(), abs=1e-4)


def test_transformer_and_xclip_without_their_parts_are_the_frames_mean():
    frames, names = given()
    for head in (victr_peers.TemporalTransformer(16, 4, 4, 2), victr_peers.XClip(16, 4, 4)):
        with torch.no_grad():
            for block in head.blocks:
                for parameter in block.parameters():
                    parameter.zero_()
            if isinstance(head, victr_peers.XClip):
                head.step.zero_()
        plain = AffinityClassifier(16)
        plain.load_state_dict(head.classifier.state_dict())
        ends = Embeddings(frames, names[None], 2 * frames.mean(1), names[None], None)
        assert torch.allclose(head(frames, names).logits, plain(ends).logits, atol=1e-4)


@pytest.mark.parametrize("name", sorted(ARMS))
def test_what_each_arm_sees_and_trains(name):
    """Order is seen by all but the frames' mean and Hitchhiker's; gradients reach all that trains."""
    arm, task = ARMS[name]
    model, clips = reader(arm, task)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        same = torch.allclose(model(clips.frames), model(clips.frames.flip(1)), atol=1e-4)
    assert same == name.endswith(("probe", "hitchhiker"))
    victr_runs.loss(model, clips.frames, clips.labels, task.entropy).backward()
    unused = {which for which, parameter in model.named_parameters() if parameter.grad is None}
    allowed = ("classifier.map", "log_scale", "bias") if "classifier" in name or not arm.auxiliary else ()
    assert all(any(part in which for part in allowed) for which in unused), unused
    assert not any("names" in which for which, _ in model.named_parameters())


# --- zero-shot ---


def test_held_out_classes_are_in_mirrored_pairs_and_never_trained_on():
    held = [each for split in unseen.HELD for each in split]
    assert len(set(held)) == len(held) and not set(held) & set(unseen.SEEN)
    for split in unseen.HELD:
        assert len(split) == 2 * len(SHAPES)
        assert all((shape, motion ^ 1) in split for shape, motion in split)
    seen = {motion for _, motion in unseen.SEEN}
    assert seen == set(range(len(MOTIONS))) and {shape for shape, _ in unseen.SEEN} == set(range(len(SHAPES)))


def test_only_gives_the_clips_of_some_classes():
    clips, every = unseen.only(0, "val", 30, unseen.SEEN), unseen.classes_of(0, "val", 30)
    kept = [i for i in range(30) if unseen.ALL[every[i]] in unseen.SEEN]
    assert 0 < len(kept) < 30 and len(clips) == len(kept)
    assert [unseen.SEEN[label] for label in clips.labels] == [unseen.ALL[every[i]] for i in kept]


def test_descriptions_are_mirrored_and_name_the_motion():
    for shape, motion in unseen.ALL:
        assert unseen.description(shape, motion).endswith(MOTIONS[motion])
    assert unseen.description(3, 0) == "star left and star right moving right"
    assert unseen.description(3, 1) == "star right and star left moving left"
    assert unseen.description(0, 5) == "large circle and small circle shrinking"


def test_batch_loss_is_the_loss_of_the_classes_in_the_batch():
    clips = unseen.only(0, "val", 30, unseen.SEEN)[:4]
    names = unseen.seen_names(unseen.name)
    model = unseen.build(ZERO_SHOT_ARMS["clip_text"], names, clips, 0)
    present = sorted(set(clips.labels.tolist()))
    own = unseen.reading(model, names.classes[present])
    place = torch.tensor([present.index(label) for label in clips.labels.tolist()])
    assert torch.allclose(
        unseen.among_batch(model, clips.frames, clips.labels), victr_runs.loss(own, clips.frames, place)
    )
    assert len(model.names) == len(unseen.SEEN) and own.head is model.head


def test_zero_shot_few_shot_and_questions_run(monkeypatch):
    random = lambda source, device: victr_clips.Embedded(  # noqa: E731
        torch.randn(len(source), source.steps, 96), source.labels(np.arange(len(source)))
    )
    monkeypatch.setattr(unseen, "embedded", random)
    model = unseen.pretrained(ZERO_SHOT_ARMS["victr"], unseen.name, QUICK, 0, sizes=FEW)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    accuracies = unseen.zero_shot(model, unseen.name, sizes=FEW)
    few = unseen.few_shots(model, QUICK, 0, sizes=FEW, shots=(1,))
    assert len(accuracies) == unseen.SPLITS and all(0 <= value <= 100 for value in [*accuracies, few[1]])
    assert 0 <= unseen.answers(model, count=8) <= 100
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# --- experiments ---


def test_claims_and_tables_name_what_is_measured():
    made = {
        *victr_experiments.NAMES,
        "zeroshot/gain/names",
        "zeroshot/gain/rich",
        "zeroshot/chance",
        "vqa/chance",
        "grid/chance",
    }
    made |= {f"zeroshot/std/{arm}" for arm in ZERO_SHOT_ARMS} | {f"vqa/{arm}" for arm in victr_experiments.TUNED}
    made |= {f"few/{k}/{arm}" for k in unseen.SHOTS for arm in (*victr_experiments.TUNED, "probe")}
    named = {m for c in claims.load("victr").claims if c.kind == "ordering" for m in c.measures}
    tables = [table for name, table in vars(victr_tables).items() if name.isupper()]
    tables += [victr_tables.few(k) for k in unseen.SHOTS]
    assert named | {measure for table in tables for measure, _ in table.values()} <= made


def test_rows_are_found_again_and_settings_tell_arms_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(victr_experiments, "TASKS", {"grid": (replace(GRID_TASK, sizes=Sizes(8, 8)), QUICK, GRID_ARMS)})
    rows = Measurements("victr", tmp_path, committed=tmp_path)
    value = victr_experiments.measure("grid/probe", 0, rows)
    monkeypatch.setattr(victr_experiments, "run", None)
    assert victr_experiments.measure("grid/probe", 0, Measurements("victr", tmp_path, committed=tmp_path)) == value
    words = {victr_runs.described(arm, task, QUICK) for arm, task in ARMS.values()}
    assert len(words) == len(ARMS) and not any(" at 0x" in each for each in words)


def test_zero_shot_rows_come_together(tmp_path, monkeypatch):
    monkeypatch.setattr(unseen, "few_shots", lambda *rest, **how: {2: 20.0, 16: 30.0})
    monkeypatch.setattr(unseen, "answers", lambda *rest, **how: 40.0)
    monkeypatch.setattr(unseen, "pretrained", lambda *rest, **how: None)
    monkeypatch.setattr(unseen, "zero_shot", lambda model, text, *rest: [10.0, 20.0, 60.0])
    rows = Measurements("victr", tmp_path, committed=tmp_path)
    victr_experiments.gains(rows, [0])
    kept = {row["measure"]: row["value"] for row in map(json.loads, rows.path.read_text().splitlines())}
    assert kept["zeroshot/victr"] == 30.0 and kept["zeroshot/std/victr"] == pytest.approx(np.std([10, 20, 60]))
    assert kept["few/2/victr"] == 20.0 and kept["vqa/victr"] == 40.0 and kept["vqa/chance"] == 20.0
    assert kept["zeroshot/gain/rich"] == 0.0 and "zeroshot/std/rich" not in kept


# --- pictures ---


def test_inside_agrees_with_the_logits():
    model, clips = reader()
    shown = victr_maps.inside(model, clips.frames)
    assert shown.before.shape == shown.after.shape == (6, victr_clips.FRAMES, len(MOTIONS))
    standard = model.standard(clips.frames)
    wanted = F.cosine_similarity(standard[0, 1], model.names[2], dim=0)
    assert shown.before[0, 1, 2].item() == pytest.approx(wanted.item(), abs=1e-5)
    assert not model.head.layers[-1]._forward_hooks and not model.head.classifier._forward_pre_hooks
    assert torch.allclose(shown.text.norm(dim=-1), torch.ones(6, len(MOTIONS)), atol=1e-5)


def test_plane_and_spread():
    points = torch.zeros(4, 3, 5)
    points[..., 1], points[..., 3] = torch.arange(12.0).view(4, 3), torch.tensor([0.0, 1.0, 0.0])
    flat = victr_maps.plane(points)
    assert flat.shape == (4, 3, 2)
    assert torch.allclose(
        torch.cdist(flat.flatten(0, 1), flat.flatten(0, 1)), torch.cdist(*[points.flatten(0, 1)] * 2), atol=1e-4
    )
    text = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    found = victr_maps.spread(text, torch.tensor([0, 0, 1, 1]))
    assert found == {"both show it": 1.0, "one shows it": 0.0, "neither shows it": -1.0}


# --- real files ---


def test_the_thesis_recipe_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=16)
    settings = victr_recipe.Run("kinetics400", str(tmp_path), "small", frames=4, max_steps=1, batch=4)
    outcome = victr_recipe.run(settings, tmp_path)
    assert outcome["steps"] == 1 and outcome["clips"] == 5 and 0 <= outcome["top1"] <= 100


def test_only_the_head_trains_and_mixed_labels_are_taken():
    torch.manual_seed(0)
    prepared = victr_recipe.victr(victr_recipe.Run("kinetics400", "", "small", frames=4), ("red circle", "blue star"))
    pixels = prepared.model.normalise(torch.randint(0, 256, (2, 4, 64, 64, 3), dtype=torch.uint8))
    prepared.objective(prepared.model, pixels, torch.tensor([[0.25, 0.75], [1.0, 0.0]])).backward()
    trains = {name.split(".")[0] for name, p in prepared.model.named_parameters() if p.grad is not None}
    assert trains == {"head"}
    assert all(p.grad is not None for p in prepared.model.head.parameters())

"""VicTR's experiments on the small world: clips, names, baselines, variants, zero-shot, pictures; tiny, but real."""

from dataclasses import fields, replace
from statistics import fmean

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib import claims
from minilib.claims import Measurements
from minilib.metrics.detection import blind_precision
from minilib.papers.victr import figures, unseen, videos
from minilib.papers.victr.baselines import Hitchhiker, TemporalTransformer, XClip
from minilib.papers.victr.classifier import AffinityClassifier, Embeddings, Scores, multi_label, victr_loss
from minilib.papers.victr.method import TemporalAttention
from minilib.papers.victr.small import LOSS, Loss, Whitening, confined, other_names, texts_of, whitened
from minilib.papers.victr.study import ASKED, DIRECTIONS, GRID, HEADS, LONG, PLAIN, STUDY, TUNING
from minilib.papers.victr.variants import Start
from minilib.settings import key
from minilib.study import Trial, real
from minilib.study import embedded as study_embedded
from minilib.study.embedded import Embedded, Longer, LongMotions, Motions
from minilib.world import LONG_MOTIONS, MOTIONS, SHAPES, WorldClips
from minilib.world.busy_clips import BusyClips, QuestionClips
from minilib.world.export import export_kinetics

QUICK = replace(GRID, steps=2, warmup=1, batch=4)
VARIANTS = STUDY.variants
ONE_TASK = [name for name in VARIANTS if not name.startswith(("zeroshot", "few"))]
ZERO_SHOT = [name for name in VARIANTS if name.startswith("zeroshot")]


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """Caches in a folder that all tests here share."""
    monkeypatch.setattr(study_embedded, "FOLDER", tmp_path_factory.getbasetemp() / "embeddings")


@pytest.fixture
def random_embeddings(monkeypatch):
    """No image model: every frame is a random vector."""

    def random(source, device="cpu"):
        return Embedded(torch.randn(len(source), source.steps, 96), source.labels(np.arange(len(source))))

    monkeypatch.setattr(unseen, "embedded", random)


def some(task, count=6):
    """A few validation clips of a task."""
    return replace(task, test=count).feed("val", 0)


def reader(name="victr"):
    variant = VARIANTS[name]
    clips = some(replace(variant.task, control=None))
    torch.manual_seed(0)
    return variant.build(clips), clips


# --- clips ---


def test_long_and_asked_clips():
    task = LongMotions()
    long = task.source("val", 0)
    assert (long.seed, long.split, long.count, len(task.source("train", 3))) == (0, "val", 512, 2048)
    assert long.frames([0]).shape == (1, task.frames, 64, 64, 3)
    assert long.labels([0, 1]).dtype == torch.bool and long.labels([0, 1]).shape == (2, len(LONG_MOTIONS))
    assert 1 < long.labels(np.arange(40)).sum(1).float().mean() < 5
    own = ((0, "val", 4, 6), (1, "val", 4, 6), (0, "test", 4, 6), (0, "val", 4, 7), (0, "val", 5, 6))
    keys = {BusyClips(*each).key() for each in own} | {replace(long, count=4).key()}
    assert len(keys) == 6, "the rhythm counts, too"
    asked = QuestionClips(0, "val", 4, 12)
    assert asked.frames([0]).shape[1] == 12 and asked.labels(2) == asked.questions[2].right
    alone = replace(asked, rhythm=dict(ASKED)["questions_one"].rhythm)
    assert len({each.key() for each in (asked, alone, QuestionClips(1, "val", 4, 12))}) == 3
    assert {int(clips._asked(np.arange(4))[0].present.sum(1).min()) for clips in (asked, alone)} == {1, 2}


def test_chance_is_the_same_in_the_claims_and_in_the_tasks():
    tasks = claims.load("victr").tasks
    assert tasks["motion"].chance == pytest.approx(Motions().chance, abs=1e-3)
    assert tasks["unseen"].chance == 100 / len(unseen.HELD[0])
    assert tasks["long"].chance == pytest.approx(LongMotions().chance, abs=0.005)
    happens = [float(LongMotions().source("test", seed).labels(np.arange(512)).float().mean()) for seed in range(5)]
    assert fmean(blind_precision(each, 512) for each in happens) == pytest.approx(LongMotions().chance, abs=0.4)


# --- names ---


def test_whitened_names_are_far_from_each_other_and_near_their_own():
    raw, white = texts_of(MOTIONS), whitened(MOTIONS)[0].classes

    def nearest(x):
        return (F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).T - torch.eye(len(x))).max()

    assert nearest(raw) > 0.99 and nearest(white) < 0.5
    assert torch.allclose(white.norm(dim=-1), torch.tensor(white.shape[1] ** 0.5))
    assert ((raw - raw.mean(0)) * white).sum(-1).gt(0).all()
    assert torch.allclose(other_names(MOTIONS, MOTIONS), white, atol=1e-5)


def test_whitening_is_linear_in_what_was_fitted():
    torch.manual_seed(0)
    texts = torch.randn(9, 16)
    whitening = Whitening.fitted(texts, 5)
    assert whitening.directions.shape == (5, 16)
    scores = (texts - texts.mean(0)) @ whitening.directions.T / whitening.sizes
    assert torch.allclose(scores.T @ scores, torch.eye(5), atol=1e-4)
    assert torch.allclose(whitening(texts), F.normalize(scores, dim=-1) @ whitening.directions * 4, atol=1e-5)
    assert len(Whitening.fitted(texts).sizes) == 8, "centred texts have one dimension less"


@pytest.mark.parametrize("text", [unseen.name, unseen.description])
def test_held_out_names_are_the_sum_of_their_parts(text):
    """Shape and motion, learned from other combinations, find every held-out name."""
    seen = unseen.words(unseen.SEEN, text)
    classes, part = whitened(seen)[0].classes, {"shape": 0, "motion": 1}

    def mean(what, value):
        return classes[[each[part[what]] == value for each in unseen.SEEN]].mean(0)

    held = [each for split in unseen.HELD for each in split]
    sums = torch.stack([mean("shape", s) + mean("motion", m) for s, m in held])
    names = other_names(unseen.words(held, text), seen)
    found = (F.normalize(names, dim=-1) @ F.normalize(sums, dim=-1).T).argmax(1)
    assert (found == torch.arange(len(held))).float().mean() > (0.95 if text is unseen.name else 0.5)


def test_confined_names_have_so_many_directions_and_their_length():
    names = whitened(tuple(LONG_MOTIONS))[0].classes
    for directions in DIRECTIONS:
        made = confined(names, directions)
        assert torch.linalg.matrix_rank(made, tol=1e-3) == directions and torch.equal(made, confined(names, directions))
        assert torch.allclose(made.norm(dim=-1), names.norm(dim=-1))
        cosines = F.normalize(made, dim=-1) @ F.normalize(made, dim=-1).T - 2 * torch.eye(len(made))
        assert cosines.max() < 0.99, "no two names became one"
        variant = VARIANTS[f"long/directions{directions}/victr"]
        assert torch.equal(variant.build(some(variant.task)).names, made)


# --- baselines ---

START = Start(16, 4, 4, 5, scale=16.0, bias=0.5)


def given(frames=4, names=5, width=16):
    torch.manual_seed(0)
    return torch.randn(3, frames, width), torch.randn(names, width)


def test_hitchhiker_is_the_loop_over_names():
    frames, names = given()
    head = Hitchhiker(START)
    x, y = head.classifier.map(frames), head.classifier.map(names)
    for b in range(3):
        for n in range(5):
            weight = (10.0 * F.cosine_similarity(x[b], y[n], dim=-1)).softmax(0)
            wanted = 16.0 * F.cosine_similarity((weight[:, None] * x[b]).sum(0), y[n], dim=0) + 0.5
            assert head(frames, names).logits[b, n].item() == pytest.approx(wanted.item(), abs=1e-4)


def test_transformer_and_xclip_without_their_parts_are_the_frames_mean():
    frames, names = given()
    for head in (TemporalTransformer(START, 2), XClip(START)):
        with torch.no_grad():
            for block in head.blocks:
                for parameter in block.parameters():
                    parameter.zero_()
            if isinstance(head, XClip):
                head.step.zero_()
        plain = AffinityClassifier(16, scale=16.0, bias=0.5)
        plain.load_state_dict(head.classifier.state_dict())
        ends = Embeddings(frames, names[None], 2 * frames.mean(1), names[None], None)
        assert torch.allclose(head(frames, names).logits, plain(ends).logits, atol=1e-4)


def test_released_heads_have_six_and_four_blocks():
    assert [len(HEADS[name](START).blocks) for name in ("actionclip", "clip4clip", "xclip")] == [6, 4, 1]


@pytest.mark.parametrize("name", ONE_TASK)
def test_what_each_variant_sees_and_trains(name):
    """Order is seen by all but the frames' mean and Hitchhiker's; gradients reach all that trains."""
    model, clips = reader(name)
    variant = VARIANTS[name]
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        forward, backward = model(clips.frames), model(clips.frames.flip(1))
    change = float((forward - backward).abs().max())
    blind = name.endswith(("probe", "hitchhiker"))
    assert change < 2e-3 if blind else change > 2e-2, f"{change:.2g}"
    variant.objective(model, clips.frames, clips.labels).backward()
    unused = {which for which, parameter in model.named_parameters() if parameter.grad is None}
    plain = name.split("/")[-1] in PLAIN
    allowed = ("classifier.map", "log_scale", "bias") if "classifier" in name or plain else ()
    assert all(any(part in which for part in allowed) for which in unused), unused
    assert (model.scores(clips.frames).auxiliary is None) == plain
    assert not any("names" in which for which, _ in model.named_parameters())


# --- recipes ---


def test_every_knob_of_a_start_does_what_it_says():
    build, clips = VARIANTS["victr"].build, some(Motions())

    def made(**changes):
        torch.manual_seed(0)
        return replace(build, **changes)(clips)

    def positions(model):
        return torch.stack([part.position for part in model.modules() if isinstance(part, TemporalAttention)])

    plain = made()
    assert len(plain.head.layers) == 2 and len(made(layers=3).head.layers) == 3
    assert plain.head.classifier.log_scale.exp().item() == pytest.approx(16.0)
    assert made(scale=2.0).head.classifier.log_scale.exp().item() == pytest.approx(2.0)
    assert plain.head.classifier.bias is None and made(bias=-1.2).head.classifier.bias.item() == pytest.approx(-1.2)
    assert positions(plain).std().item() == pytest.approx(0.5, rel=0.1)
    assert positions(made(position=0.1)).std().item() == pytest.approx(0.1, rel=0.1)
    assert torch.linalg.matrix_rank(plain.names) > torch.linalg.matrix_rank(made(components=3).names) == 3
    assert made(auxiliary=False).attributes is None and plain.attributes.shape == (8, 96)
    up = plain.head.layers[0].mlp.up.weight
    assert up.std().item() == pytest.approx(up.shape[1] ** -0.5, rel=0.05), "as large as its inputs ask for"


def test_long_clips_train_longer_in_smaller_batches_with_a_bias(monkeypatch):
    variant, taken = VARIANTS["long/victr"], []
    monkeypatch.setattr("minilib.study.study.Variant.run", lambda self, recipe, *rest: taken.append((recipe, rest)))
    variant.run(GRID, Trial(7, label="label", split="val"))
    assert taken == [(replace(GRID, steps=400, batch=12), (Trial(7, label="label", split="val"),))]
    assert isinstance(variant, Longer) and variant.build.bias == -1.2 and VARIANTS["victr"].build.bias is None
    assert variant.objective == Loss(multi_label) and VARIANTS["victr"].objective == Loss(F.cross_entropy)


def test_the_loss_weighs_attributes_by_a_tenth():
    model, clips = reader()
    scores = model.scores(clips.frames)
    assert torch.allclose(LOSS(model, clips.frames, clips.labels), victr_loss(scores, clips.labels, weight=0.1))
    unweighted = Loss(weight=0.0)(model, clips.frames, clips.labels)
    assert torch.allclose(unweighted, F.cross_entropy(scores.logits, clips.labels))
    own = model.reading(model.names[:3])
    assert len(model.names) == len(MOTIONS) and own.head is model.head


# --- zero-shot ---


def test_held_out_classes_are_in_mirrored_pairs_and_never_trained_on():
    held = [each for split in unseen.HELD for each in split]
    assert len(set(held)) == len(held) and not set(held) & set(unseen.SEEN)
    for split in unseen.HELD:
        assert len(split) == 2 * len(SHAPES)
        assert all((shape, motion ^ 1) in split for shape, motion in split)
    seen = {motion for _, motion in unseen.SEEN}
    assert seen == set(range(len(MOTIONS))) and {shape for shape, _ in unseen.SEEN} == set(range(len(SHAPES)))
    for name in ZERO_SHOT:
        text = unseen.description if "rich" in name else unseen.name
        assert VARIANTS[name].build.classes == tuple(text(*each) for each in unseen.SEEN)
        assert VARIANTS[name].splits == tuple(tuple(text(*each) for each in split) for split in unseen.HELD)


def test_clips_of_some_classes_are_labelled_with_their_places():
    clips, whole = unseen.clips_of(unseen.SEEN, 0, "val", 30), unseen.clips_of(unseen.ALL, 0, "val", 30)
    every = [unseen.ALL[label] for label in whole.labels]
    kept = [i for i in range(30) if every[i] in unseen.SEEN]
    assert 0 < len(kept) < 30 and [unseen.SEEN[label] for label in clips.labels] == [every[i] for i in kept]
    assert torch.equal(clips.frames, whole.frames[kept])
    motion = WorldClips("motion", 0, "val", 30, 4).labels(np.arange(30))
    assert [motion for _, motion in every] == motion.tolist()


def test_descriptions_are_mirrored_and_name_the_motion():
    for shape, motion in unseen.ALL:
        assert unseen.description(shape, motion).endswith(MOTIONS[motion])
    assert unseen.description(3, 0) == "star left and star right moving right"
    assert unseen.description(3, 1) == "star right and star left moving left"
    assert unseen.description(0, 5) == "large circle and small circle shrinking"


def test_statements_leave_the_colour_out():
    asked = QuestionClips(0, "val", 4, 12).questions
    for question in asked:
        assert all(each.split()[0] in SHAPES for each in unseen.statements(question))
        assert [each.split(" ", 1)[1] for each in unseen.statements(question)] == list(question.answers)


@pytest.mark.parametrize("name", ["zeroshot/victr", "zeroshot/control/shuffled_frames", "zeroshot/rich/clip_text"])
def test_zero_shot_gives_the_splits_mean_and_deviation_and_leaves_the_model_alone(name, random_embeddings, monkeypatch):
    scored = []
    monkeypatch.setattr(unseen, "top1", lambda model, feed, device: scored.append((model, feed)) or 10.0 * len(scored))
    variant = replace(VARIANTS[name].smoke(), questions=())
    outcome = variant.run(QUICK, Trial(1))
    assert outcome.score == 20.0 and outcome.metrics["std"] == pytest.approx(np.std([10, 20, 30]))
    assert [len(model.names) for model, _ in scored[:3]] == [16, 16, 16]
    assert all(model.head is outcome.model.head for model, _ in scored[:3]) and len(outcome.model.names) == 48
    assert set(outcome.metrics) == ({"", "std", "few1"} if name == "zeroshot/victr" else {"", "std"})
    if variant.few:
        assert scored[3][0].head is not outcome.model.head, "few-shot tunes a copy"
    assert len(outcome.history.loss) == QUICK.steps


def test_each_control_of_zero_shot_damages_what_it_names(random_embeddings, monkeypatch):
    damaged = []

    def noted(self, control, classes, seed):
        damaged.append((control, classes, seed))
        return self

    monkeypatch.setattr(Embedded, "damaged", noted)
    for control, tested in (("frames", "frames"), ("labels", None)):
        damaged.clear()
        replace(VARIANTS[f"zeroshot/control/shuffled_{control}"].smoke(), questions=()).run(QUICK, Trial(2))
        assert damaged == [(control, len(unseen.SEEN), 2)] + 3 * [(tested, 16, 2)]


def test_questions_are_answered_from_the_clip(random_embeddings, monkeypatch):
    """A model that knows the right statement answers everything; its neighbour's knowledge answers about a fifth."""
    source = QuestionClips(1, "test", 64, unseen.FRAMES)
    right = torch.tensor([question.right for question in source.questions])

    class Knows(nn.Module):
        def __init__(self, answers):
            super().__init__()
            self.answers, self.at = answers, 0

        def scores(self, frames, names):
            assert frames.shape == (64, unseen.FRAMES, 96) and names.shape == (64, 5, 96)
            return Scores(F.one_hot(self.answers, 5).float(), None)

    asked = unseen.Questions(count=64)
    assert asked(Knows(right), 1, "test", "cpu") == 100
    assert asked(Knows(right.roll(1)), 1, "test", "cpu") < 50


def test_each_kind_of_question_has_clips_of_its_own_with_training_s_frames(monkeypatch):
    sources = []

    def noted(source, device):
        sources.append(source)
        raise StopIteration

    monkeypatch.setattr(unseen, "embedded", noted)
    for _, questions in ASKED:
        with pytest.raises(StopIteration):
            questions(nn.Identity(), 1, "test", "cpu")
    assert [source.rhythm.objects for source in sources] == [(2, 4), (1, 1)]
    assert {source.steps for source in sources} == {unseen.FRAMES}


def test_few_shot_draws_more_of_the_same_clips_and_the_probe_starts_from_nothing(random_embeddings):
    probe = replace(VARIANTS["few/probe"], train=2400, test=60, few=replace(TUNING, recipe=QUICK, shots=(1, 2)))
    outcome = probe.run(GRID, Trial(0))
    assert set(outcome.metrics) == {"", "few1", "few2"} and outcome.score == outcome.metrics["few2"]
    assert not outcome.history.loss and VARIANTS["few/probe"].lr * LONG.lr == pytest.approx(10 * TUNING.recipe.lr)
    assert TUNING.shots == (2, 4, 8, 16)


def test_the_probe_of_few_clips_learns_at_the_rate_of_each_try(random_embeddings, monkeypatch):
    rates = []
    monkeypatch.setattr(unseen, "train", lambda model, batches, recipe, *rest, **more: rates.append(recipe.lr))
    for recipe in (GRID, GRID.at_rate(3)):
        replace(VARIANTS["few/probe"], train=400, test=60, few=replace(TUNING, shots=(1,))).run(recipe, Trial(0))
    assert rates == pytest.approx([1e-2, 3e-2])


# --- rows ---


def test_claims_tables_and_tasks_name_what_is_measured():
    paper = claims.load("victr")
    more = {name: {"std"} for name in ZERO_SHOT} | {"few/probe": {f"few{k}" for k in TUNING.shots}}
    for name in ZERO_SHOT:
        more[name] |= {kind for kind, _ in VARIANTS[name].questions}
        more[name] |= {f"few{k}" for k in TUNING.shots} if VARIANTS[name].few else set()
    made = set()
    for recipe, grid in STUDY.grids.items():
        made |= {f"{recipe}/{name}" for name in grid}
        made |= {f"{recipe}/{name}/{each}" for name in grid for each in more.get(name, ())}
    orderings = [claim for claim in paper.claims if claim.kind == "ordering"]
    wanted = {metric for claim in orderings for metric in paper.base_metrics(claim)}
    for task in paper.tasks.values():
        wanted |= {*task.positive.metrics, *task.negative.metrics}
    for rows in STUDY.tables.values():
        metrics = {row.variant for row in rows.values()}
        assert any({f"{recipe}/{each}" for each in metrics} <= made for recipe in ("grid", "tuned")), sorted(metrics)
    assert wanted <= made, sorted(wanted - made)
    for table in STUDY.tables:
        STUDY.printed(table, paper)
    assert STUDY.printed("5.5 long", paper)["CLIP's text embedding"] == ("grid/long/clip_text", 41.7)
    assert {claim.task for claim in orderings} == set(paper.tasks)
    headlines = [claim for claim in orderings if claim.headline]
    assert len(headlines) == 5 and all(m.startswith("tuned/") for claim in headlines for m in claim.metrics)


def test_gains_are_differences_of_rows(tmp_path):
    rows = Measurements("victr", tmp_path, committed=tmp_path)
    for metric, value in (("", 40.0), ("rich/", 46.0)):
        rows.record(f"tuned/zeroshot/{metric}victr", value + 5.0)
        rows.record(f"tuned/zeroshot/{metric}clip_text", value)
    rows.record("tuned/zeroshot/rich/clip_text", 41.0)
    found = rows.seeds_of()
    assert found["gain/names"] == {0: 5.0} and found["gain/rich"] == {0: 10.0}
    rows.record("tuned/zeroshot/clip_text", 47.0)
    assert rows.seeds_of()["gain/names"] == {0: -2.0}, "never stale"


def test_a_row_is_found_again_with_all_that_the_model_was_asked(tmp_path, random_embeddings, monkeypatch):
    study = STUDY.smoke()
    rows = Measurements("victr", tmp_path, "smoke", committed=tmp_path)
    value = study.measure("tuned/zeroshot/victr", 0, rows)
    monkeypatch.setattr(unseen, "train", None)
    again = Measurements("victr", tmp_path, "smoke", committed=tmp_path)
    assert study.measure("tuned/zeroshot/victr", 0, again) == value
    kept = again.seeds_of("smoke")
    assert all(kept[f"tuned/zeroshot/victr/{each}"].keys() == {0} for each in ("std", "few1", *dict(ASKED)))


def changed(thing):
    """`thing` with each of its fields changed, one at a time."""
    other = {int: lambda x: x + 1, float: lambda x: x + 0.5, bool: lambda x: not x, str: lambda x: x + "x"}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if isinstance(value, tuple):
            yield field.name, replace(thing, **{field.name: value[1:]})
        elif type(value) in other:
            yield field.name, replace(thing, **{field.name: other[type(value)](value)})
        elif value is None:
            yield field.name, replace(thing, **{field.name: "frames" if field.name == "control" else 1.0})


def test_every_setting_is_in_the_key_and_no_two_variants_share_one():
    keys = [key(variant) for variant in VARIANTS.values()]
    assert len(set(keys)) == len(VARIANTS)
    variant, zero_shot = VARIANTS["long/victr"], VARIANTS["zeroshot/victr"]
    parts = [
        variant,
        variant.build,
        variant.task,
        variant.objective,
        zero_shot,
        zero_shot.few,
        dict(ASKED)["questions"],
    ]
    for part in [*parts, VARIANTS["few/probe"]]:
        for name, other in changed(part):
            assert key(other) != key(part), f"{type(part).__name__}.{name}"
    assert key(replace(variant, build=replace(variant.build, scale=8.0))) != key(variant)
    assert key(replace(variant, objective=Loss(multi_label, 0.2))) != key(variant)
    assert key(replace(zero_shot, few=replace(zero_shot.few, objective=Loss(weight=0.2)))) != key(zero_shot)
    assert key(replace(zero_shot, objective=Loss(weight=0.2))) != key(zero_shot)
    assert key(replace(variant.task, rhythm=replace(variant.task.rhythm, objects=(1, 3)))) != key(variant.task)
    heads = {key(head) for head in HEADS.values()}
    assert len(heads) == len(HEADS) - 1, "only the full head stands for two rows, with and without attributes"


def test_a_variant_trains_and_scores(tmp_path, monkeypatch):
    study = replace(STUDY, variants={"probe": replace(VARIANTS["probe"], task=Motions(train=8, test=8))})
    rows = Measurements("victr", tmp_path, "smoke", committed=tmp_path)
    value = study.smoke().measure("grid/probe", 0, rows)
    monkeypatch.setattr("minilib.study.study.train", None)
    assert study.smoke().measure("grid/probe", 0, Measurements("victr", tmp_path, "smoke", committed=tmp_path)) == value


# --- pictures ---


def test_inside_agrees_with_the_logits():
    model, clips = reader()
    shown = figures.inside(model, clips.frames)
    assert shown.before.shape == shown.after.shape == (6, 4, len(MOTIONS))
    standard = model.standard(clips.frames)
    wanted = F.cosine_similarity(standard[0, 1], model.names[2], dim=0)
    assert shown.before[0, 1, 2].item() == pytest.approx(wanted.item(), abs=1e-5)
    assert not model.head.layers[-1]._forward_hooks and not model.head.classifier._forward_pre_hooks
    assert torch.allclose(shown.text.norm(dim=-1), torch.ones(6, len(MOTIONS)), atol=1e-5)


def test_a_plane_keeps_distances_that_lie_in_it():
    points = torch.zeros(4, 3, 5)
    points[..., 1], points[..., 3] = torch.arange(12.0).view(4, 3), torch.tensor([0.0, 1.0, 0.0])
    flat = figures.plane(points)
    assert flat.shape == (4, 3, 2)
    assert torch.allclose(
        torch.cdist(flat.flatten(0, 1), flat.flatten(0, 1)), torch.cdist(*[points.flatten(0, 1)] * 2), atol=1e-4
    )


# --- real files ---


def test_the_thesis_recipe_runs_on_files(tmp_path):
    export_kinetics(tmp_path / "kinetics400", {"train": 5, "val": 2}, frames=16)
    settings = real.Run("kinetics400", str(tmp_path), "small", frames=4, max_steps=1, batch=4)
    outcome = real.run(settings, tmp_path, videos.on_videos)
    assert outcome["steps"] == 1 and outcome["clips"] == 5 and 0 <= outcome["top1"] <= 100


def test_only_the_head_trains_and_mixed_labels_are_taken():
    torch.manual_seed(0)
    prepared = videos.on_videos(real.Run("kinetics400", "", "small", frames=4), ("red circle", "blue star"))
    pixels = prepared.model.normalise(torch.randint(0, 256, (2, 4, 64, 64, 3), dtype=torch.uint8))
    labels = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    loss = prepared.objective(prepared.model, pixels, labels)
    assert torch.allclose(loss, victr_loss(prepared.model.scores(pixels), labels, weight=1.0))
    loss.backward()
    trains = {name for name, p in prepared.model.named_parameters() if p.grad is not None}
    assert trains == {f"reader.head.{name}" for name, _ in prepared.model.reader.head.named_parameters()}

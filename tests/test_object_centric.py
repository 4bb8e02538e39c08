"""OCA against naive loops in float64, its losses on batches that lack partners, its counts, its experiments."""

from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib import claims
from minilib.claims.verdicts import same_count
from minilib.cost import tunable_parameters
from minilib.errors import BadInput
from minilib.metrics.proposals import boxes, clusters, enlarge, j_and_f, proposals, true_patches
from minilib.models.clip import SMALL, TINY, FrameFeatures, build
from minilib.models.small_clip import small_clip
from minilib.papers.object_centric import counts, full_size, masks, study, taught
from minilib.papers.object_centric import method as oc
from minilib.papers.object_centric.losses import (
    Objective,
    OnPixels,
    correspondence,
    object_distillation,
    temporal_reasoning,
)
from minilib.papers.object_centric.study import STUDY
from minilib.papers.object_centric.variants import ROWS, MeanToken, OrderBlind, TemporalAttention
from minilib.settings import key
from minilib.study import Clips, WorldTask
from minilib.study.feeds import pair_metric
from minilib.study.plan import run_of
from minilib.study.real import Run, run
from minilib.training import TrainSettings
from minilib.world import WorldClips, shuffled
from minilib.world.export import export_something
from minilib.world.segmentation import LARGE, segmentation_batch

FRAMES, PATCHES, D = 4, 4, TINY.embed_dim


def tiny_clip():
    torch.manual_seed(0)
    return build(TINY, tokenize=lambda texts: None).eval()


def given_features(clips=3, frames=FRAMES, patches=PATCHES, width=TINY.vision["width"]):
    torch.manual_seed(1)
    return FrameFeatures(torch.randn(1, clips, frames, width), torch.randn(1, clips, frames, patches, width))


def tiny(frames=FRAMES, classes=3, **parts):
    torch.manual_seed(0)
    parts = {"tokens": partial(oc.slot_tokens, slots=3)} | parts
    return oc.oca(tiny_clip().visual, frames, classes, **parts)


# --- the parts against loops ---


def test_joint_space_is_what_clip_does_to_its_class_token():
    clip = tiny_clip()
    frames = torch.randint(0, 255, (2, FRAMES, 16, 16, 3), dtype=torch.uint8)
    joint = oc.JointSpace(clip.visual)
    with torch.no_grad():
        cls, patches = joint(clip.frame_features(frames, [-1]))
        assert torch.allclose(F.normalize(cls, dim=-1), clip.image_features(frames), atol=1e-5)
    assert patches.shape == (2, FRAMES, PATCHES, joint.width)
    assert not any(p.requires_grad for p in joint.parameters())


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_temporal_fusion_is_a_depthwise_convolution_and_starts_as_nothing(frames):
    torch.manual_seed(0)
    fuse, x = oc.TemporalFusion(6).double(), torch.randn(2, frames, 3, 6, dtype=torch.float64)
    assert torch.equal(fuse(x), x)
    for weight in fuse.parameters():
        nn.init.normal_(weight)
    kernel = torch.stack([fuse.before, 1 + fuse.own, fuse.after], 1)[:, None, :, None]
    want = F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=(1, 0), groups=6).permute(0, 2, 3, 1)
    assert torch.allclose(fuse(x), want)


@given(frames=st.integers(2, 7), data=st.data())
@settings(max_examples=25)
def test_state_changes_are_the_loop(frames, data):
    deltas = data.draw(st.lists(st.integers(1, frames - 1), min_size=1, max_size=4))
    change = oc.StateChanges(5, frames, deltas).double()
    states = torch.randn(2, frames, 3, 5, dtype=torch.float64)
    want = [
        torch.stack([change.mlp(torch.cat([states[:, t, s], states[:, t + delta, s]], -1)) for s in range(3)], 1)
        for delta in deltas
        for t in range(frames - delta)
    ]
    assert torch.allclose(change(states), torch.stack(want, 1))


def test_the_interval_is_a_quarter_of_the_clip():
    for frames, delta in ((2, 1), (4, 1), (8, 2), (16, 4)):
        change = oc.StateChanges(4, frames)
        assert (change.last - change.first).unique().tolist() == [delta]
        assert len(change.first) == frames - delta


@pytest.mark.parametrize("deltas", [(0,), (4,), (1, 7), (-1,), ()])
def test_an_interval_outside_of_the_clip_is_refused(deltas):
    with pytest.raises(BadInput, match="in clips of 4 frames choose of 1 to 3"):
        oc.StateChanges(4, 4, deltas)


def test_clips_of_another_length_and_too_many_slots_are_refused():
    with pytest.raises(BadInput, match="a clip of 5 frames: the state changes are set up for 4"):
        tiny()(given_features(frames=5))
    with pytest.raises(BadInput, match="5 slots for 4 tokens"):
        tiny(tokens=partial(oc.slot_tokens, slots=5))(given_features())


def test_slots_interact_within_their_frame_and_attend_over_time_within_their_slot():
    states = torch.randn(2, FRAMES, 3, 8)
    changed = states.clone()
    changed[0, 1, 2] += torch.randn(8)
    with torch.no_grad():
        interact, over_time = oc.Interaction(8, 2), TemporalAttention(8, FRAMES, 2)
        moved = (interact(changed) - interact(states)).abs().amax(-1) > 1e-6
        assert moved[0, 1].all() and moved.sum() == 3
        moved = (over_time(changed) - over_time(states)).abs().amax(-1) > 1e-6
        assert moved[0, :, 2].all() and moved.sum() == FRAMES


def test_the_model_is_the_equations_one_after_another():
    model, x = tiny().double(), given_features()
    x = FrameFeatures(x.cls.double(), x.patches.double())
    out = model.parts(x)
    slots, masks = zip(*[model.decompose(f) for f in model.fuse(model.joint(x)[1]).flatten(0, 1)], strict=True)
    assert torch.allclose(out.slots.flatten(0, 1), torch.stack(slots))
    assert torch.allclose(out.masks.flatten(0, 1), torch.stack(masks))
    assert torch.allclose(out.masks.sum(2), torch.ones(3, FRAMES, PATCHES).double())
    states = torch.stack([model.interact.layer(o[None])[0] for o in out.slots.flatten(0, 1)]).view_as(out.slots)
    assert torch.allclose(out.states, states)
    assert torch.allclose(out.video, model.change(states).flatten(1, 2).mean(1))
    assert torch.equal(model(x), out.logits) and torch.equal(out.logits, model.head(out.video))
    assert torch.equal(model.eval()(x), out.logits), "there is no dropout"


@pytest.mark.parametrize("clips,frames,slots", [(1, 2, 1), (1, 4, 4), (2, 3, 2)])
def test_edge_sizes(clips, frames, slots):
    model = tiny(frames, tokens=partial(oc.slot_tokens, slots=slots))
    x, label = given_features(clips, frames), torch.zeros(clips, dtype=torch.long)
    loss = Objective()(model, x, label)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_only_order_can_tell_a_clip_from_its_reverse():
    x = given_features()
    back = FrameFeatures(x.cls.flip(2), x.patches.flip(2))
    with torch.no_grad():
        assert not torch.allclose(tiny()(x), tiny()(back), atol=1e-4)
        blind = tiny(fuse=nn.Identity, change=OrderBlind)
        assert torch.allclose(blind(x), blind(back), atol=1e-5)


def test_gradients_reach_everything_that_trains_and_nothing_of_the_image_model():
    clip = tiny_clip()
    model = oc.OnFrames(clip, tiny()).train()
    assert not clip.training and model.trained.training
    frames = torch.randint(0, 255, (4, FRAMES, 16, 16, 3), dtype=torch.uint8)
    Objective()(model.trained, model.features(frames), torch.tensor([0, 0, 1, 2])).backward()
    for name, p in model.named_parameters():
        own = name.startswith("trained.") and ".joint." not in name
        assert p.requires_grad == own, name
        assert (p.grad is not None and p.grad.abs().sum() > 0) == own, name
    assert torch.allclose(model(frames), model.trained(clip.frame_features(frames, [-1])))
    losses, labels = Objective(reasoning=0.3), torch.tensor([0, 0, 1, 2])
    assert torch.equal(OnPixels(losses)(model, frames, labels), losses(model.trained, model.features(frames), labels))


# --- the losses against loops ---


def cosine(a, b):
    return (a @ b) / (a.norm() * b.norm())


def loop_correspondence(slots, p, tau):
    each = [cosine(o, p) for o in slots]
    weights = [torch.exp(c / tau) for c in each]
    return sum(w / sum(weights) * c for w, c in zip(weights, each, strict=True))


def test_object_distillation_is_eq_7_and_8():
    torch.manual_seed(0)
    slots, cls, tau = torch.randn(3, 2, 4, 5).double(), torch.randn(3, 2, 5).double(), 0.3
    total = 0
    for b in range(3):
        for t in range(2):
            right = torch.exp(loop_correspondence(slots[b, t], cls[b, t], tau) / tau)
            others = [cls[c, u] for c in range(3) for u in range(2) if c != b]
            wrong = sum(torch.exp(loop_correspondence(slots[b, t], p, tau) / tau) for p in others)
            total = total - torch.log(right / (right + wrong))
    assert torch.allclose(object_distillation(slots, cls, tau, torch.sum), total)
    assert torch.allclose(object_distillation(slots, cls, tau), total / 6)
    one = correspondence(slots[0, 0], cls[1], tau)
    assert torch.allclose(one, torch.stack([loop_correspondence(slots[0, 0], p, tau) for p in cls[1]]))


def loop_reasoning(changes, labels, margin):
    """Eq. 9 for every video as the query: the sum, and how many terms it has."""
    terms = []
    b, p, s, _ = changes.shape
    for i in range(b):
        for t in range(p):
            for n in range(s):
                x = changes[i, t, n]
                terms += [(x - changes[j, t, n]).norm() for j in range(b) if j != i and labels[i] == labels[j]]
                terms += [F.relu(margin - (x - changes[j, t, n]).norm()) for j in range(b) if labels[i] != labels[j]]
                terms += [F.relu(margin - (x - changes[i, t, m]).norm()) for m in range(s) if m != n]
    return sum(terms, torch.zeros(())), len(terms)


@pytest.mark.parametrize("labels", [[0, 0, 1, 2], [0, 0, 0, 0], [0, 1, 2, 3], [1]])
@pytest.mark.parametrize("slots", [1, 3])
def test_temporal_reasoning_is_eq_9(labels, slots):
    torch.manual_seed(0)
    changes, labels = torch.randn(len(labels), 2, slots, 3).double(), torch.tensor(labels)
    total, count = loop_reasoning(changes, labels, 2.0)
    assert torch.allclose(temporal_reasoning(changes, labels, 2.0, torch.sum), total.double())
    assert torch.allclose(temporal_reasoning(changes, labels, 2.0), total.double() / max(count, 1))


def test_without_a_partner_a_loss_is_zero_and_gives_no_gradient():
    slots, cls = torch.randn(1, 3, 4, 5, requires_grad=True), torch.randn(1, 3, 5)
    loss = object_distillation(slots, cls)
    loss.backward()
    assert abs(loss.item()) < 1e-6 and float(slots.grad.abs().max()) < 1e-6
    changes = torch.randn(1, 3, 1, 5, requires_grad=True)
    loss = temporal_reasoning(changes, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0 and float(changes.grad.abs().max()) == 0


def test_equal_changes_have_finite_slopes():
    changes = torch.ones(2, 2, 2, 3, requires_grad=True)
    temporal_reasoning(changes, torch.tensor([0, 1])).backward()
    assert changes.grad.isfinite().all()


def test_objective_is_the_weighted_sum():
    model, x, label = tiny(), given_features(4), torch.tensor([0, 0, 1, 2])
    out = model.parts(x)
    parts = (
        F.cross_entropy(out.logits, label),
        object_distillation(out.slots, out.cls, 0.1),
        temporal_reasoning(out.changes, label, 1.0),
    )
    assert torch.allclose(Objective()(model, x, label), sum(parts))
    weighed = Objective(distillation=2.0, reasoning=0.5, classification=3.0)(model, x, label)
    assert torch.allclose(weighed, 3 * parts[0] + 2 * parts[1] + 0.5 * parts[2])
    assert torch.allclose(Objective(distillation=0, reasoning=0)(model, x, label), parts[0])
    smooth = Objective(distillation=0, reasoning=0, smoothing=0.1)(model, x, label)
    assert torch.equal(smooth, F.cross_entropy(out.logits, label, label_smoothing=0.1)) and smooth != parts[0]
    summed = Objective(temperature=0.2, margin=2.0, reduce=torch.sum)(model, x, label)
    terms = (
        object_distillation(out.slots, out.cls, 0.2, torch.sum),
        temporal_reasoning(out.changes, label, 2.0, torch.sum),
    )
    assert torch.allclose(summed, parts[0] + sum(terms))
    pooled = tiny(tokens=MeanToken, interact=nn.Identity)
    assert torch.isfinite(Objective()(pooled, x, label)), "pooled frames have no slots to distil into"


# --- masks ---


def test_change_norms_tell_objects_from_ground():
    truth = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    truth[:, :, :4] = 1
    answer = torch.where(truth == 1, 2, 3).to(torch.uint8)  # slot 2 holds the object, slots 1 and 3 do not
    changes = torch.zeros(1, 1, 3, 4)
    changes[0, 0, 1, 0], changes[0, 0, 2, 0] = 5.0, 1.0
    found = masks.change_norms(changes, truth, answer)
    assert found["foreground"] == 5.0 and found["background"] == 0.5
    assert found["foreground_share"] == pytest.approx(100 * 5 / 5.5)
    assert found["background_share"] == pytest.approx(100 * 0.5 / 5.5)


@pytest.fixture(scope="module")
def masked():
    """A model at its start, the seed's clips that it is scored on, and all that is scored."""
    feed = Clips(WorldClips("hard appearance", 3, "test", 4 * masks.EVERY, FRAMES))
    torch.manual_seed(0)
    model = STUDY.variants["hard_appearance/oca"].build(feed)
    return model, feed, masks.masks_and_references(model, feed, "cpu")


def test_masks_are_scored_on_the_feeds_own_clips(masked):
    model, feed, found = masked
    pixels, truth = segmentation_batch(3, "test", np.arange(4), FRAMES, scale=LARGE)
    clip = small_clip()
    with torch.no_grad():
        parts = model.parts(clip.frame_features(pixels, [-1]))
    answer = proposals(enlarge(parts.masks, (8, 8), (64, 64)))
    assert found["jf"] == j_and_f(truth, answer) == masks.slot_masks(model, feed, "cpu")["jf"]
    norms = masks.change_norms(parts.changes, truth, answer)
    assert {name: found[name] for name in norms} == norms
    other = Clips(WorldClips("hard appearance", 4, "test", 4 * masks.EVERY, FRAMES))
    assert masks.slot_masks(model, other, "cpu")["jf"] != found["jf"]


def test_references_are_what_they_say(masked):
    model, feed, found = masked
    seen = masks.see(model, feed, "cpu")
    assert found["jf_boxes"] == j_and_f(seen.truth, proposals(boxes(4, 4, (64, 64))).expand_as(seen.truth))
    assert found["jf_kmeans"] == j_and_f(seen.truth, proposals(enlarge(clusters(seen.patches, 8), (8, 8), (64, 64))))
    # the true masks on patches lead, and those of other clips are far from it and alike
    assert found["jf_true"] > max(found[name] for name in ("jf", "jf_boxes", "jf_kmeans"))
    assert max(found["jf_of_next"], found["jf_of_second_next"]) < found["jf_true"] / 2
    assert found["jf_of_next"] != found["jf_of_second_next"]
    assert found["jf_crf"] != found["jf"] and found["jf_kmeans_crf"] > found["jf_kmeans"]


# --- slots that were taught ---


def test_the_lessons_loss_is_the_best_assignment_of_slots_to_objects():
    torch.manual_seed(0)
    masks_, truth = torch.rand(2, 3, 4, 5).softmax(2), torch.rand(2, 3, 2, 5).softmax(2)
    fits = [
        min(
            -sum((truth[b, :, o] * masks_[b, :, s].log()).sum() for o, s in enumerate(chosen))
            for chosen in permutations(range(4), 2)
        )
        for b in range(2)
    ]
    assert torch.allclose(taught.mask_loss(masks_, truth), sum(fits) / truth.sum(), atol=1e-5)


def test_a_lesson_teaches_masks_and_frozen_ones_stay():
    feed = STUDY.variants["hard_appearance/oca"].smoke().task.feed("train", 0)
    pixels, ids = segmentation_batch(taught.TEACHING, "train", np.arange(64), FRAMES, scale=LARGE)
    features, losses, models = small_clip().frame_features(pixels, [-1]), {}, {}
    for name in ("oca", "taught/oca", "taught/frozen"):
        torch.manual_seed(0)
        models[name] = STUDY.variants[f"hard_appearance/{name}"].build(feed)
        with torch.no_grad():
            losses[name] = float(taught.mask_loss(models[name].parts(features).masks, true_patches(ids, (8, 8))))
    assert losses["taught/oca"] == losses["taught/frozen"] < 0.8 * losses["oca"]
    free = {name: {n for n, p in model.named_parameters() if p.requires_grad} for name, model in models.items()}
    assert free["taught/oca"] == free["oca"]
    assert {n.partition(".")[0] for n in free["oca"] - free["taught/frozen"]} == {"decompose", "fuse"}


def test_what_became_of_taught_slots_follows_from_rows():
    hard = "grid/hard_appearance/"
    found = {"taught/frozen": 42.04, "taught/no_losses": 30.0, "taught/only_obj": 12.0, "taught/oca": 11.0}
    rows = {f"{hard}{name}/jf": {0: value, 1: value} for name, value in found.items()}
    assert "not measured yet" in taught.became(rows)
    rows[f"{hard}control/random_slots/jf"] = {0: 20.0, 1: 20.0, 2: 23.0}
    said = taught.became(rows)
    assert said.startswith("Taught the true masks, the slots begin at a J&F of 42.0; trained on, they end at 30.0 with")
    assert "21.0; two seeds" in said and said.endswith("they end clearly lower than without losses.")
    rows[f"{hard}oca/jf_true"] = {0: 60.0}
    assert "never trained: 21.0; the truth, rounded to patches: 60.0; two seeds" in taught.became(rows)
    rows[f"{hard}taught/only_obj/jf"] = {0: 31.0, 1: 31.0}
    assert taught.became(rows).endswith("they end clearly higher than without losses.")
    rows[f"{hard}taught/only_obj/jf"] = {0: 31.0, 1: 28.0}
    assert taught.became(rows).endswith("does to them these seeds do not say.")


# --- counts ---


@pytest.fixture(scope="module")
def counted():
    return counts.count_all()


def test_every_count_meets_the_paper_or_says_why_not(counted):
    listed = [claim for claim in claims.load("object_centric").claims if claim.kind == "count"]
    met = {claim.id for claim in listed if same_count(claim, counted[claim.id])}
    assert met == {claim.id for claim in listed if claim.conflict is None} and not any(claim.cut for claim in listed)
    assert abs(counted["t12.none.tunable"] - 2.37) < 0.01
    assert abs(counted["t1.b16.8.gflops"] - 281.49) < 0.01
    assert abs(counted["t1.b16.8.macs"] - 426.35) < 0.01
    adapter = 2 * 768 * 384 + 384 + 768 + 4 * 384  # down, up, their biases, three taps a channel and a bias
    assert counted["baseline.st_adapter.b16.32.one.tunable"] == 12 * adapter / 1e6, "no classifier"


def test_parameters_are_those_of_the_parts():
    slots = 8 * 512 + 3 * 512**2 + 6 * 512**2 + 6 * 512 + 4 * 512
    assert tunable_parameters(counts.Counted().model().decompose) == slots


def test_costs_stand_beside_the_rows_of_a_table(counted):
    for number in (6, 7, 8, 12):
        assert all(f"t{number}.{row}.tunable" in counted for _, row in ROWS[number].values())


# --- the study ---


def test_every_ordering_and_every_table_names_rows_that_a_run_makes(masked):
    paper, known = claims.load("object_centric"), set(STUDY.metrics())
    more = {masks.slot_masks: {"jf"}, masks.masks_and_references: set(masked[2]), pair_metric: {"pairs"}}
    more[masks.masks_and_changes] = {
        name for name in masked[2] if not name.startswith(("jf_k", "jf_b", "jf_t", "jf_o"))
    }
    more[study.masks_and_pairs] = more[masks.masks_and_changes] | {"pairs"}
    costs = {f"cost/{what}.{name}" for what in ("step", "memory", "forward") for name in study.NAMES}
    names = {f"grid/{row.variant}" for table in STUDY.tables.values() for row in table.values()}
    for claim in paper.claims:
        if claim.kind == "ordering":
            names |= {*paper.base_metrics(claim), *paper.gate_metrics(claim)}
    for name in names - costs:
        own = run_of(name, known)
        assert own is not None, name
        also = STUDY.variants[own.partition("/")[2]].also
        assert name == own or name.removeprefix(f"{own}/") in more[also], name
    assert costs >= {name for name in names if name.startswith("cost/")}


def test_tables_name_printed_numbers_and_all_of_the_papers_rows():
    paper = claims.load("object_centric")
    used = {row.paper for table in STUDY.tables.values() for row in table.values() if row.paper}
    assert all(isinstance(paper.number(name), float) for name in used)
    orderings = {name for claim in paper.claims if isinstance(claim.paper, tuple) for name in claim.paper}
    counting = {"t1.timesformer.tunable", "t2.dualpath.tunable", "t2.dist.l14.gflops"}
    sixteen = {f"t6.16.{delta}.{data}" for delta in (2, 4) for data in ("ssv2", "k400")}  # more frames than here
    assert paper.printed.keys() <= used | orderings | counting | sixteen


def test_derived_metrics_have_their_signs(tmp_path):
    rows = claims.Measurements("object_centric", tmp_path, committed=tmp_path / "none")
    given = {"few/5/oca": 50.0, "few/5/st_adapter": 41.0, "few/100/oca": 90.0, "few/100/st_adapter": 88.0}
    for name, value in given.items():
        rows.record(f"grid/{name}", value, 1)
    found = rows.seeds_of()
    assert found["advantage/5"] == {1: 9.0} and found["advantage/100"] == {1: 2.0}


@pytest.mark.parametrize("name", [name for name in STUDY.variants if not name.startswith("few/")])
def test_every_variant_builds_and_frees_the_right_things(name):
    variant = STUDY.variants[name]
    model = variant.build(variant.smoke().task.feed("train", 0) if "/taught/" in name else None)
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {"head.weight", "head.bias"} <= free
    assert model.head.out_features == len(variant.task.classes)
    if not isinstance(variant.task, study.FeatureTask):
        assert variant.objective is None
        return
    x = given_features(2, variant.task.frames, 64, SMALL.vision["width"])
    variant.objective(model, x, torch.tensor([0, 1])).backward()
    for n, p in model.named_parameters():
        assert (p.grad is not None) <= (n in free), n
    assert not any(n.startswith("joint") for n in free)
    assert (
        name.endswith(("random_slots", "frozen")) != any(n.startswith("decompose.gru") for n in free)
        or "slots1" in name
        or (name.endswith("tokens"))
    )


def test_a_seed_gives_one_start_whatever_was_built_before():
    """The image model is built between the seed and the draws: it must not draw."""
    variant = STUDY.variants["oca"]
    torch.manual_seed(0)
    first = variant.build(None).state_dict()
    visual = small_clip().visual
    torch.manual_seed(0)
    own = oc.oca(visual, FRAMES, 12).state_dict()
    assert all(torch.equal(first[name], own[name]) for name in first)


def test_every_variant_has_a_key_of_its_own():
    keys = {name: key(variant) for name, variant in STUDY.variants.items()}
    assert len(set(keys.values())) == len(keys)
    variant = STUDY.variants["oca"]
    base = Objective(reasoning=0.1)
    assert variant.objective == base
    changed = dict(distillation=2.0, reasoning=0.2, temperature=0.2, margin=2.0, classification=2.0, smoothing=0.1)
    for field, value in (changed | {"reduce": summed}).items():
        assert key(replace(variant, objective=replace(base, **{field: value}))) != keys["oca"], field
    assert key(replace(variant, task=WorldTask(**vars(variant.task)))) != keys["oca"]


def summed(terms):
    return terms.sum()


def test_the_tables_on_timing_are_at_eight_frames_but_for_the_four_that_suffice():
    tables, variants = STUDY.tables, STUDY.variants
    deltas = {
        label: variants[row.variant].build.keywords["make"](small_clip().visual, 8, 2)
        for label, row in tables["t8.timing"].items()
        if row.variant != "timing/four_frames"
    }
    for label, model in deltas.items():
        found = (model.change.last - model.change.first).unique().tolist()
        assert found == (list(range(1, 8)) if label == "all deltas" else [int(label[-1])]), label
    assert tables["t6.timing"]["4 frames, delta 1"].variant == "timing/four_frames"
    assert tables["t12.timing"]["interaction, state changes"].variant == "timing/oca"


def test_recipes_and_what_the_variants_change():
    recipes, variants = STUDY.recipes, STUDY.variants
    assert recipes["grid"] == TrainSettings(steps=300, batch=16, lr=3e-3, warmup=40)
    assert recipes["core"] == replace(recipes["grid"], steps=700)
    assert recipes["tuned"].recipe == replace(recipes["grid"], steps=800, batch=64, warmup=80)
    weights = {name: (variants[name].objective.distillation, variants[name].objective.reasoning) for name in ROWS[5]}
    assert weights == {"no_losses": (0, 0), "only_obj": (1, 0), "only_temp": (0, 0.1), "oca": (1, 0.1)}
    assert {name for name, variant in variants.items() if variant.lr != 1} == {
        name for name in variants if name.endswith("full_image")
    } and variants["full_image"].lr == 0.1
    frames = {name: variant.task.frames for name, variant in variants.items()}
    eight = {name for name in frames if "delta" in name or name.startswith("timing/")} - {"timing/four_frames"}
    assert {name for name in frames if frames[name] == 8} == eight
    assert {frames[name] for name in frames} == {4, 8}
    sizes = {name: variant.task.train for name, variant in variants.items()}
    assert [sizes[f"few/{share}/oca"] for share in (5, 10, 25, 50, 100)] == [204, 409, 1024, 2048, 4096]
    hard = {"hard appearance": 512, "hard noun": 128}  # sixteen a class
    for name, variant in variants.items():
        assert name.startswith("few/") or variant.task.train == hard.get(variant.task.labels, 4096), name
        assert variant.task.test == (4096 if name.endswith("shuffled_frames") else 512), name
    adapters = [variants[name].build.keywords["make"].keywords for name in ("st_adapter", "hard_appearance/st_adapter")]
    assert adapters[1] == {"bottleneck": 48, "dropout": 0.0}  # before the MLP, as on Kinetics
    assert adapters[0] == adapters[1] | {"places": ("attention", "mlp")}  # and as on Something-Something
    for name in ("aim", "evl"):
        assert set(variants[name].build.keywords["make"].keywords.values()) == {0.0}


# --- what a run reads ---


@pytest.fixture
def small_task(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FEATURES", tmp_path / "features")
    return study.FeatureTask("motion", FRAMES, 8, 6)


def test_features_are_those_of_the_clips(small_task):
    pixels = WorldTask("motion", FRAMES, 8, 6)
    for split in ("train", "test"):
        (x, label), (frames, same) = (
            next(feed.test(4)) for feed in (task.feed(split, 2) for task in (small_task, pixels))
        )
        with torch.no_grad():
            want = small_clip().frame_features(frames, [-1])
        assert torch.equal(label, same)
        assert torch.allclose(x.cls, want.cls, atol=2e-2) and torch.allclose(x.patches, want.patches, atol=2e-2)
    (x, label), (frames, same) = (task.feed("train", 2).batches(5, 3)(1) for task in (small_task, pixels))
    with torch.no_grad():
        assert torch.allclose(x.cls, small_clip().frame_features(frames, [-1]).cls, atol=2e-2)
    assert torch.equal(label, same)


def test_controls_damage_the_features(small_task):
    whole = small_task.feed("train", 2)
    frames, labels = (replace(small_task, control=control).feed("train", 2) for control in ("frames", "labels"))
    (x, label), (mixed, same), (still, wrong) = (feed.batches(0, 8)(1) for feed in (whole, frames, labels))
    assert torch.equal(same, label) and torch.equal(mixed.patches, study.shuffled(x, 1).patches)
    assert not torch.equal(mixed.patches, x.patches)
    assert torch.equal(still.patches, x.patches) and not torch.equal(wrong, label)
    (tested, _), (plain, _) = next(frames.test()), next(whole.test())
    assert torch.equal(tested.cls, study.shuffled(plain, 0).cls) and not torch.equal(tested.cls, plain.cls)
    controls = {name: variant.task.control for name, variant in STUDY.variants.items() if variant.task.control}
    assert controls == {
        **{f"{on}control/shuffled_frames": "frames" for on in ("", "timing/")},
        **{f"{on}control/shuffled_labels": "labels" for on in (*study.PREFIX.values(), "appearance/")},
    }


def test_shuffled_features_are_the_features_of_shuffled_frames():
    x = given_features()
    mixed = study.shuffled(x, 0)
    for clip in range(3):
        order = [int((x.cls[0, clip] == frame).all(-1).nonzero()) for frame in mixed.cls[0, clip]]
        assert sorted(order) == list(range(FRAMES))
        assert torch.equal(mixed.patches[0, clip], x.patches[0, clip, order])
        assert torch.equal(shuffled(x.cls[0], 0)[clip], mixed.cls[0, clip])
    assert not torch.equal(mixed.cls, x.cls)


def test_a_run_makes_its_rows_once(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FEATURES", tmp_path / "features")
    rows = claims.Measurements("object_centric", tmp_path, "smoke", committed=tmp_path / "none")
    small = STUDY.at("smoke")
    value = small.measure("grid/hard_appearance/oca", 0, rows)
    made = {row.metric for row in rows.rows()}
    parts = ("", "/jf", "/jf_crf", "/jf_kmeans", "/jf_true", "/jf_of_next", "/foreground", "/background_share")
    assert {f"grid/hard_appearance/oca{part}" for part in parts} <= made
    monkeypatch.setattr(type(small.variants["oca"]), "run", None)
    assert small.measure("grid/hard_appearance/oca", 0, rows) == value


def test_costs_are_recorded_as_paired_ratios(tmp_path):
    four = replace(TINY, vision={**TINY.vision, "layers": 4, "image_size": 32})
    rows = claims.Measurements("object_centric", tmp_path, committed=tmp_path / "none")
    full_size.measure_costs(rows, rounds=2, frames=2, architecture=four)
    found = rows.seeds_of()
    assert found.keys() == {f"cost/{what}.{name}" for what in ("step", "memory", "forward") for name in study.NAMES}
    assert all(found[f"cost/{what}.oca"] == {0: 1.0, 1: 1.0} for what in ("step", "memory", "forward"))
    assert all(found[f"cost/memory.{name}"][0] > 1 for name in ("st_adapter", "aim", "full_image"))


# --- real videos ---


def test_paper_recipe_runs_on_real_files(tmp_path):
    export_something(tmp_path / "something_something_v2", {"train": 4, "validation": 2, "test": 1}, frames=6, size=64)
    job = Run("something_something_v2", str(tmp_path), "small", max_steps=2, batch=2)
    outcome = run(job, tmp_path, full_size.object_centric)
    assert outcome["steps"] == 2 and outcome["clips"] == 4 and 0 <= outcome["top1"] <= 100
    again = run(job, tmp_path, full_size.object_centric)  # the finished checkpoint is there
    assert again | {"seconds": 0} == outcome | {"seconds": 0} and again["seconds"] < 2 * outcome["seconds"]


def test_labels_are_smoothed_where_the_recipe_says_so():
    for dataset, smoothing in (("something_something_v2", 0.1), ("kinetics400", 0.0)):
        prepared = full_size.object_centric(Run(dataset, "", "small"), ["a", "b"])
        assert prepared.recipe["smoothing"] == 0.0, "the loop's own would not reach the loss"
        assert prepared.objective == OnPixels(Objective(smoothing=smoothing))
        assert prepared.model.trained.change.frames == 8


def test_what_the_paper_does_not_say_is_zeroi2vs_recipe():
    import yaml

    from minilib.papers import zeroi2v

    published = yaml.safe_load((Path(zeroi2v.__file__).parent / "published.yaml").read_text())["table_12"]
    for ours, theirs in ((full_size.KINETICS, "kinetics400"), (full_size.SOMETHING, "something_something_v2")):
        assert ours["lr"] == 5e-4 and ours["batch"] == 512
        for name in ours.keys() - {"lr", "batch"}:
            want = published[theirs][name]
            assert ours[name] == (tuple(want) if isinstance(want, list) else want), name


def test_a_dense_recipe_says_which_frames_it_has_a_stride_for(tmp_path):
    for folder in ("train/one", "train/two", "val/one", "val/two"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "never_opened.mp4").touch()
    job = Run("folder", str(tmp_path), "small", frames=4, max_steps=1, batch=2)
    with pytest.raises(BadInput, match="4 frames a clip: the recipe has a stride for 8, 16, 32"):
        run(job, tmp_path / "out", full_size.object_centric)


# --- half precision and other devices ---


def on_device(device):
    """Logits in bfloat16 there, and exactly on the CPU; clips differ by about 0.015."""
    model, x = tiny(), given_features()
    with torch.no_grad():
        exact = model(x)
        with torch.autocast(device, torch.bfloat16):
            return model.to(device)(x.to(device)).float().cpu(), exact


def test_bfloat16_stays_close():
    found, exact = on_device("cpu")
    assert (found - exact).abs().max() < 0.005


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_half_precision_agrees_with_the_cpu():
    found, exact = on_device("cuda")
    assert (found - exact).abs().max() < 0.005

"""The study, its claims and its controls: everything can be described, measured and told apart."""

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch

from minilib.claims import judge, load
from minilib.metrics.localization import overlaps
from minilib.papers.open_vocabulary import proposals
from minilib.papers.open_vocabulary.fresh import CONTROLS, OtherWords, renamed
from minilib.papers.open_vocabulary.pipelines import (
    OURS,
    TEXT,
    Oracle,
    Pipeline,
    Shipped,
    boxed,
    content_of,
    next_shape,
    patch_clip,
    patches_of,
    proposed,
)
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.proposals import Proposal
from minilib.papers.open_vocabulary.small import OBJECTS, all_scores, named_boxes, sentences
from minilib.papers.open_vocabulary.study import CORE, LIVE, STUDY
from minilib.settings import describe, key
from minilib.study import Trial
from minilib.study.plan import first_looks, run_of
from minilib.world.localization import frame_by_frame

VAL = 3, "val", "seen"


def test_every_claim_is_measured_by_the_study_and_every_printed_number_is_there():
    claims, known = load("open_vocabulary"), set(STUDY.metrics())
    for verdict in judge(claims, []):
        if verdict.kind == "ordering":
            claim = claims[verdict.id]
            for metric in (*claims.base_metrics(claim), *claims.gate_metrics(claim)):
                assert run_of(metric, known), f"{verdict.id}: nothing measures {metric}"
            assert not [run for run in first_looks(STUDY, claims, verdict) if ".half/" in run]  # nothing is trained
        if verdict.id == "t1.features_over_pixels":
            counts = first_looks(STUDY, claims, verdict)
            assert counts["tuned/savi"] == 5 and counts["shipped/fresh/oracle"] == 16  # seeds, on ends of groups
    for table in STUDY.tables.values():
        for row in table.values():
            assert row.paper is None or claims.number(row.paper) >= 0
    assert len({key(describe(variant)) for variant in STUDY.variants.values()}) >= len(STUDY.variants) - 1


def test_a_control_proposes_places_alone_or_what_knows_nothing_of_objects():
    clips = clips_of(*VAL)
    grid, centre = proposals.grid_of_boxes(clips, 0), proposals.central_boxes(clips, 0)
    assert grid.assigned.shape == centre.assigned.shape == (8, 8, 12, 12)
    assert grid.assigned.unique().tolist() == list(range(8)) and grid.assigned[0, 0, 0, ::3].tolist() == [0, 1, 2, 3]
    assert (grid.assigned.flatten(2).float().std(0) == 0).all()
    found, _ = boxed(clips, centre, patches_of(patch_clip, *VAL), OBJECTS, None)
    assert found.boxes[0, 0, 0].tolist() == [0, 0, 96, 96] and found.boxes[5, 7, 5].tolist() == [40, 40, 56, 56]
    start, again = (proposals.slots_as_they_start(clips, 1).assigned for _ in range(2))
    assert torch.equal(start, again) and not torch.equal(start, proposals.slots_as_they_start(clips, 2).assigned)
    own, other = proposed(proposals.video_slots, *VAL), proposed(proposals.of_next, *VAL)
    assert torch.equal(other.assigned[0], own.assigned[1]) and torch.equal(other.assigned[-1], own.assigned[0])


def test_the_oracle_finds_nearly_everything_under_its_name_and_words_of_others_nothing():
    scores = Oracle().run(Shipped(), Trial(3, split="val")).metrics
    assert scores[""] > 85 and scores["cor_loc"] > 90 and scores["named"] == 100 and scores["map50"] > 85
    assert all("circle" not in sentence for sentence in next_shape("circle")) and "star" in next_shape("triangle")[0]
    assert len(sentences("red")) == 512 and all(" red " in sentence for sentence in sentences("red"))


def test_ours_beats_places_and_names_decide_the_average_precision():
    ours = Pipeline(rules=OURS).run(Shipped(), Trial(3, split="val")).metrics
    grid = Pipeline(proposals.grid_of_boxes).run(Shipped(), Trial(3, split="val")).metrics
    assert ours[""] > grid[""] + 20 and "so" not in ours
    found, clips = Pipeline(rules=TEXT, shares=True).found(3, "val")
    boxes = named_boxes(found, clips)
    assert boxes.scores.shape == (64, 8, 8) and torch.allclose(boxes.scores.sum(-1), torch.ones(64, 8))


def test_slots_that_know_one_frame_are_looked_at_frame_by_frame():
    clips, whole = clips_of(*VAL), proposed(proposals.truth, *VAL)
    patches = patches_of(patch_clip, *VAL)
    torch.manual_seed(0)
    order = torch.stack([torch.randperm(whole.slots) for _ in range(64)]).view(8, 8, -1)
    mixed = order.gather(2, whole.assigned.flatten(2)).view_as(whole.assigned)  # another number in each frame
    found, split = boxed(clips, Proposal(mixed, whole.slots, per_frame=True), patches, OBJECTS, None)
    assert found.boxes.shape == (64, 1, whole.slots, 4) and split.frames.shape[:2] == (64, 1)
    best = overlaps(found.boxes, split.boxes).amax(2)
    plain, _ = boxed(clips, whole, patches, OBJECTS, None)
    torch.testing.assert_close(best.flatten(), overlaps(plain.boxes, clips.boxes).amax(2).flatten())
    assert torch.equal(frame_by_frame(clips).names, split.names)


@pytest.mark.parametrize("name", LIVE)
def test_what_is_trained_live_learns(name):
    outcome = STUDY.smoke().variants[name].run(replace(CORE.smoke(), steps=16), Trial(0, split="val"))
    losses = outcome.history.loss
    assert len(losses) == 16 and fmean(losses[-4:]) < 0.85 * fmean(losses[:4])
    assert 0 <= outcome.score <= 100 and outcome.metrics["iou"] > 0


def test_fresh_groups_are_others_and_their_claims_are_the_same_sentences():
    ours, fresh = STUDY.variants["ours"], STUDY.variants["fresh/ours"]
    assert fresh.run(Shipped(), Trial(3, split="val")).metrics == ours.run(Shipped(), Trial(1003, split="val")).metrics
    assert not torch.equal(clips_of(1003, "val").frames, clips_of(*VAL[:2]).frames)
    claims, again = load("open_vocabulary"), 0
    for claim in claims.claims:
        if claim.id.endswith(".fresh"):
            first, again = claims[claim.id.removesuffix(".fresh")], again + 1
            assert (claim.statement, claim.source, claim.margin) == (first.statement, first.source, first.margin)
            assert claim.task == f"fresh_{first.task}" and claims.tasks[claim.task].moved
            pairs = [(pair.better.replace("fresh/", ""), pair.worse.replace("fresh/", "")) for pair in claim.pairs]
            assert pairs == [(pair.better, pair.worse) for pair in first.pairs]
            assert all(name.startswith("shipped/fresh/") for name in (*claim.metrics, *claims.gate_metrics(claim)))
    groups = [claim for claim in claims.claims if claim.replicates == "groups"]
    assert again == sum(not claim.task.startswith("fresh_") for claim in groups), "each has its like"
    later = [claim for claim in groups if claim.task.startswith("fresh_") and not claim.id.endswith(".fresh")]
    assert len(later) == 6 and all(name.startswith("shipped/fresh/") for claim in later for name in claim.metrics)


def test_controls_are_wrong_in_opposite_ways_and_nothing_else():
    clips, own = clips_of(*VAL), proposed(proposals.video_slots, *VAL)
    scores = {name: control.run(Shipped(), Trial(3, split="val")).metrics for name, control in CONTROLS.items()}
    by_hand = [
        all_scores(
            *boxed(
                clips,
                Proposal(own.assigned[[(i + later) % 8 for i in range(8)]], own.slots),
                patches_of(patch_clip, *VAL),
                OBJECTS,
                OURS,
                content_of(*VAL),
            )
        )["dec_rate"]
        for later in (1, 2, 3)
    ]
    assert scores["boxes_of_later_clips"][""] == pytest.approx(sum(by_hand) / 3)
    assert scores["boxes_of_later_clips"] != scores["boxes_of_earlier_clips"]
    ours = STUDY.variants["ours"].run(Shipped(), Trial(3, split="val")).metrics
    for name in ("words_of_later_shapes", "words_of_earlier_shapes"):
        assert scores[name]["cor_loc"] == ours["cor_loc"] and scores[name]["map50"] < ours["map50"]
    assert OtherWords((8,)).run(Shipped(), Trial(3, split="val")).metrics == {n: ours[n] for n in scores[name]}


def test_other_words_rename_what_another_vocabulary_would():
    found, _ = Pipeline().found(3, "val")
    asked, _ = STUDY.variants["control/next_words"].found(3, "val")  # the next shape's sentences under each name
    other = renamed(found, np.arange(8), -1)  # so a name gets what the next one's sentences found
    some = asked.cosines.any(-1)  # slots with patches; all names are alike to the others
    assert torch.equal(other.boxes, asked.boxes) and torch.equal(other.names[some], asked.names[some])
    torch.testing.assert_close(other.cosines, asked.cosines)

"""Sentences of the page on OCA follow from rows."""

import torch

from minilib.papers.object_centric import drawn, masks, said
from minilib.papers.object_centric.said import refined

MASKS = {"clusters": "k", "a grid": "g"}


def rows(clusters: tuple[float, ...], grid: tuple[float, ...]) -> dict:
    """Gains of the refined over the plain masks, seed by seed."""
    found = {}
    for metric, gains in (("k", clusters), ("g", grid)):
        found[metric] = dict.fromkeys(range(len(gains)), 30.0)
        found[metric + "_crf"] = {seed: 30.0 + gain for seed, gain in enumerate(gains)}
    return found


def test_the_change_by_refining_is_said_for_each_kind_of_masks():
    text = refined(MASKS, rows((10, 11, 12, 11, 10), (1, 2, 1, 2, 1)))
    assert text.endswith("so many points: clusters +10.8, a grid +1.4 (five seeds).")


def test_what_is_not_measured_is_not_said():
    assert refined(MASKS, {}) == "What the random field adds is not measured yet."
    assert refined(MASKS, rows((3,), (1,))).endswith("(one seed).")
    assert refined(MASKS, rows((1, 1, 1), (4, 5, 4))).endswith("(three seeds).")


def test_what_slots_hold_is_counted_by_object():
    truth = torch.zeros(1, 4, 4, dtype=torch.long)
    truth[0, 0, :2], truth[0, 3, 2:] = 1, 2
    won = torch.zeros(1, 4, 4, dtype=torch.long)
    won[truth == 1] = 1
    won[truth == 2] = 2
    apart = torch.nn.functional.one_hot(won, 3).movedim(-1, 1).float()
    assert said.holds(apart, truth) == (
        "In this clip two of two objects have a slot that holds no other object; the ground lies in one slot."
    )
    merged = torch.nn.functional.one_hot(torch.zeros_like(won), 3).movedim(-1, 1).float()
    text = said.holds(merged, truth)
    assert "no of two" not in text and "none of two objects has" in text
    assert text.endswith("; two of the objects share a slot with it.")


def test_what_is_left_of_a_lesson_is_a_share_of_what_it_added():
    assert said.kept(80, 78, 20, {}).endswith("The losses keep what they were given.")
    assert said.kept(80, 50, 20, {}).endswith("Of what the lesson added 50 % is left.")
    text = said.kept(80, 21, 20, {"k-means": 30.0})
    assert text.endswith("Of what the lesson added nothing is left."), "with which losses, rows say"
    assert "training on (slots that were never trained 20.0, k-means 30.0), with one seed." in text
    assert "nothing to keep" in said.kept(20, 30, 25, {})


def test_other_masks_stand_beside_a_score():
    text = said.chain(4, 13.0, 54.0, [{"k-means": 20.0, "the true masks": 60.0}, {"the true masks": 84.0}])
    assert text.startswith(
        "On 4 validation clips OCA's slots reach a J&F of 13.0 (k-means 20.0, the true masks 60.0) and the tubes of "
        "notebook 09 54.0 (there the true masks 84.0). "
    )
    rows, metrics = {"k": {0: 20.0, 1: 22.0}}, {"k-means": "k", "untrained slots": "u"}
    assert said.references(rows, metrics) == (
        "The same score of other masks: k-means 21.0. Not measured yet: untrained slots."
    )
    assert said.references(rows, {"k-means": "k"}) == "The same score of other masks: k-means 21.0."
    assert said.references({}, metrics) == "Not measured yet: k-means, untrained slots."


def test_references_are_clusters_and_the_truth_on_the_same_patches():
    truth = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    truth[..., :4, :4], truth[..., 4:, 4:] = 1, 2
    patches = torch.zeros(1, 2, 4, 3)  # of 2 x 2 patches, each of two frames
    patches[..., 0, 0], patches[..., 3, 1] = 9.0, 9.0
    found = masks.references(truth, patches, (2, 2), 3)
    assert list(found) == ["k-means of the same features", "the true masks on 2 × 2 patches"]
    best, coarse = found["the true masks on 2 × 2 patches"], masks.references(truth, patches[:, :, :1], (1, 1), 1)
    assert found["k-means of the same features"] == best > coarse["the true masks on 1 × 1 patches"]


def test_changes_are_told_apart_only_where_seeds_bear_it_out():
    assert said.changes("Motion", {}, {}, 7.1).startswith("*Motion.* Not measured yet")
    one = said.changes("Motion", {0: 4.0}, {0: 2.0}, 7.1)
    assert "2.0 times as much (one seed; in the paper 7.1 times)" in one
    unclear = said.changes("Motion", {0: 4.0, 1: 2.0, 2: 3.0}, {0: 2.0, 1: 4.0, 2: 2.9}, 7.1)
    assert "do not tell them apart" in unclear
    clear = said.changes("Motion", {0: 4.0, 1: 4.1, 2: 4.2}, {0: 2.0, 1: 2.2, 2: 2.1}, 7.1)
    assert "do not tell" not in clear


def test_costs_are_geometric_means_of_what_is_there():
    names = {"oca": "OCA", "evl": "EVL"}
    text = said.costs({"cost/step.evl": {0: 1.0, 1: 4.0, 2: 2.0}, "cost/step.oca": {0: 1.0}}, names)
    assert "time of a step: EVL 2.00" in text and "OCA 1.00" not in text and "memory" not in text
    assert "Not measured here yet" in said.costs({}, names)


def test_identities_lie_over_a_clip_and_the_ground_stays_as_it_is():
    clip = torch.full((2, 4, 4, 3), 100, dtype=torch.uint8)
    ids = torch.zeros(2, 2, 2, dtype=torch.long)
    ids[0, 0, 0] = 1
    over = drawn.coloured(clip, ids)
    assert (over[1] == 100).all() and (over[0, 2:] == 100).all() and (over[0, :2, :2] != 100).any(-1).all()

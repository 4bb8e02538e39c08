"""Pictures of open-vocabulary localization: what is drawn, and the rules by which failures are found."""

from types import SimpleNamespace

import torch

from minilib.models.tubelets import tube_mask, tubelets
from minilib.papers.open_vocabulary import figures, filling, shown, tabled
from minilib.papers.open_vocabulary.small import Found
from minilib.world.localization import Localization, localization_batch

FRAMES = torch.full((1, 2, 16, 16, 3), 100, dtype=torch.uint8)


def clips(boxes, names, there=None):
    """One clip of two frames whose objects stay where they are."""
    boxes = torch.tensor(boxes)[None, None].expand(1, 2, -1, -1)
    present = torch.ones(1, 2, boxes.shape[2], dtype=torch.bool) if there is None else there
    return Localization(FRAMES, torch.zeros(1, 2, 16, 16, dtype=torch.uint8), boxes, torch.tensor([names]), present)


def found(boxes, names):
    boxes = torch.tensor(boxes)[None, None].expand(1, 2, -1, -1)
    return Found(boxes, torch.tensor([names]), torch.zeros(1, boxes.shape[2], 8))


NOTHING = [0, 0, 0, 0]


def test_failures_are_told_apart_by_rule():
    one, two = [0, 0, 8, 8], [8, 0, 16, 8]
    truth = clips([one, two], [3, 4])
    right = found([one, two], [3, 4])
    rules = {
        "naming": found([one, two], [3, 5]),
        "removal": found([one, NOTHING], [3, 4]),
        "instances": found([[0, 0, 16, 8], NOTHING], [3, 4]),
    }
    for rule, after in rules.items():
        cases = figures.failures(right, after, truth)
        assert {name for name, each in cases.items() if each} == {rule}, rule
    (case,) = figures.failures(right, rules["naming"], truth)["naming"]
    assert (case.clip, case.frame, case.slot, case.object) == (0, 0, 1, 1)
    half = found([one, [8, 0, 16, 3]], [3, 4])
    assert [len(each) for each in figures.failures(half, half, truth).values()] == [1, 0, 0, 0]
    assert not any(figures.failures(right, right, truth).values())


def test_kinds_and_boxes_are_the_first_ones():
    truth = clips([[0, 0, 8, 8], [8, 0, 16, 8]], [3, 4])
    boxes = found([[0, 0, 8, 8], [1, 1, 3, 3], [0, 0, 16, 8], [0, 12, 4, 16], NOTHING], [0, 1, 2, 8, 0])
    cases = figures.first_of_kind(boxes, truth)
    assert [case.slot for case in cases.values()] == [0, 1, 2, 3]
    some, names, slots = figures.slot_boxes(boxes, 0)
    assert slots == [0, 1, 2, 3] and names == ["circle", "square", "triangle", ""] and some.shape == (2, 4, 4)
    drawn = figures.with_boxes(FRAMES[0], some, names, slots)
    assert drawn.shape == (2, 32, 32, 3) and (drawn != 100).any()


def test_colours_are_those_of_the_slots_and_others_turn_grey():
    ids = torch.tensor([[[0, 1], [1, 2]], [[0, 1], [1, 2]]])
    plain, kept = figures.coloured(FRAMES[0], ids), figures.coloured(FRAMES[0], ids, [1])
    assert len({tuple(plain[0, y, x].tolist()) for y, x in ((0, 0), (0, 8), (8, 8))}) == 3
    assert torch.equal(kept[0, 0, 8], plain[0, 0, 8]) and len(set(kept[0, 0, 0].tolist())) == 1


def test_steady_is_an_object_that_keeps_its_slot():
    ids = torch.ones(1, 3, 2, 2, dtype=torch.int64)
    assert figures.steadiness(torch.full((1, 3, 2, 2), 5), ids) == 100
    turning = torch.arange(3).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert figures.steadiness(turning, ids) == 0
    assert figures.steadiness(turning // 2, ids) == 50


def test_what_is_filled_in_is_drawn_with_and_without_the_leak():
    frames = localization_batch(0, "val", [0]).frames
    cut = tubelets(frames.movedim(-1, 2).float(), 1, 8).flatten(1, 3)
    assert torch.equal(filling.from_tokens(cut, (8, 12, 12), 1, 8), frames.float())
    hidden = tube_mask(1, 8, 144, 0.75, torch.Generator().manual_seed(1))
    near = filling.nearest_seen(hidden[:, :144], 12, 12)
    assert not hidden[0][near].any() and bool((near[0] == torch.arange(144))[~hidden[0, :144]].all())
    pictures, errors = filling.fillings(filling.shipped_autoencoder(), frames, hidden)
    seen = (~hidden).view(1, 8, 12, 12).repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert all(torch.equal(each[seen], frames[seen]) for each in pictures.values())
    assert 0 < errors["its neighbour's mean, no model"] < 1 and len(errors) == len(pictures)
    assert errors["its own mean and contrast"] < errors["its neighbour's"] < 1  # the leak is worth more than the model


def walked(kept: list[list[bool]], groups: list[list[bool]], names: list[list[int]]) -> shown.Walk:
    """Clips of one frame with two slots on two objects, named 0 and 1."""
    box = torch.tensor([[0, 0, 8, 8], [8, 8, 16, 16]]).expand(len(kept), 1, 2, 4)
    truth = SimpleNamespace(
        boxes=box, there=torch.ones(len(kept), 1, 2, dtype=torch.bool), names=torch.tensor([[0, 1]] * len(kept))
    )
    found = SimpleNamespace(boxes=box, names=torch.tensor(names))
    joined = SimpleNamespace(groups=torch.tensor(groups))
    return shown.Walk(truth, SimpleNamespace(slots=2), found, torch.tensor(kept), joined, found)


def test_the_picture_of_the_idea_is_of_a_clip_in_which_merging_mends(monkeypatch):
    both, one = [True, True], [True, False]
    plain = walked([both, both], [both, both], [[0, 1], [1, 0]])
    assert plain.mended().tolist() == [False, False], "nothing merges"
    mixed = walked([both, both, both], [one, one, both], [[0, 0], [0, 1], [0, 1]])
    assert mixed.mended().tolist() == [False, True, False], "a wrong name, right, not merged"
    monkeypatch.setattr(shown, "walk", lambda which: mixed if which[0] == 3 else plain)
    assert shown.first_mended(plain, "val") == (mixed, 1) and shown.first_mended(plain, "val", 2) == (plain, 0)
    assert shown.first_mended(mixed, "val") == (mixed, 1), "the first group is not walked again"


def test_both_readings_are_of_the_same_boxes():
    """A frame with one object that is found, and one with two of which none is: 1 of 3 objects, half of the frames'
    mean. The box that covers a small object and lies in a large one is single by the appendix, a part the other way."""
    boxes = torch.tensor([[[[0, 0, 8, 8], [0, 0, 0, 0]], [[4, 4, 8, 8], [0, 0, 0, 0]]]])
    truth = torch.tensor([[[[0, 0, 8, 8], [0, 0, 0, 0]], [[0, 0, 16, 16], [4, 4, 7, 6]]]])
    there = torch.tensor([[[True, False], [True, True]]])
    clip = Localization(FRAMES, torch.zeros(1, 2, 16, 16, dtype=torch.uint8), truth, torch.tensor([[3, 4]]), there)
    found = Found(boxes, torch.tensor([[3, 4]]), torch.zeros(1, 2, 8))
    nothing = Found(torch.zeros_like(boxes), torch.tensor([[3, 4]]), torch.zeros(1, 2, 8))
    table = tabled.both_readings([(found, clip), (nothing, clip)])
    lines = {name: values for name, *values in table.rows}
    assert lines["DecRate"] == ["33.3", "50.0"]
    assert lines["single object"] == ["100.0", "50.0"] and lines["part of an object"] == ["0.0", "50.0"]
    assert tabled.both_readings([(nothing, clip)]).rows == ()

"""The sentences of page 09 say what was measured, and cannot say anything else; its tables hold every cell."""

import pytest
import torch

from minilib import claims
from minilib.metrics.named_boxes import KINDS
from minilib.papers.open_vocabulary import drawn, figures, said, shown, tabled
from minilib.papers.open_vocabulary.proposals import Proposal
from minilib.papers.open_vocabulary.small import Found
from minilib.papers.open_vocabulary.study import STUDY
from minilib.world.localization import Localization
from minilib.world.vocabulary import COLOURS, SHAPES

TABLE = {"before": ("shipped/a", 40.0), "after": ("shipped/b", 60.0)}


def rows(**groups):
    return {f"shipped/{name}": dict(enumerate(values)) for name, values in groups.items()}


def test_what_was_given_is_not_called_filled_in():
    given = said.filled(0.16, 0.55, 0.17, 0.5)
    assert "16 %. Their own means alone, with no model at all, have 17 %: what looks so good was given." in given
    assert given.endswith(
        "it is 55 %, and with no model, by the neighbours' means alone, 50 %: the model adds nothing."
    )
    learned = said.filled(0.05, 0.3, 0.2, 0.6)
    assert "of which the model takes 75 % away" in learned
    assert learned.endswith("the neighbours' means alone, 60 %: the model takes 50 % of that away.")


def test_a_slot_that_is_kept_by_luck_says_nothing():
    text = said.steady({"tubes": 98.0, "frames": 13.0}, 8)
    assert text.startswith(
        "From one frame to the next an object keeps its slot in 98 % of the cases with tubes and 13 %"
    )
    assert text.endswith("With frames the number of a slot says nothing about the next frame.")
    assert "says nothing" not in said.steady({"tubes": 98.0, "frames": 60.0}, 8)


def test_groups_that_are_ground_are_said_to_be():
    text = said.on_ground({"single object": 10.0, "group of objects": 92.0, "background": 99.0})
    assert text.endswith("So most of what the rules call “group of objects” is ground around objects.")
    assert "So most" not in said.on_ground({"single object": 10.0, "background": 99.0})


def test_merging_is_said_where_there_was_any():
    assert "none of them is merged with another" in said.merged(27, 27)
    assert said.merged(27, 25).endswith("27 slots are kept, which make 25 things.")


def test_live_slots_are_compared_only_once_both_have_left_their_start():
    start = {"pixels": 14.0, "features": 36.0}
    text = said.live({"pixels": [60.0, 70.0], "features": [80.0, 90.0]}, start)
    assert "from 14 to 65 % with slots of pixels and from 36 to 85 % with slots of features. Slots of features" in text
    assert "are ahead by 20" in text
    assert "two seeds" in text
    assert "Slots of pixels are ahead by 10" in said.live({"pixels": [80.0], "features": [70.0]}, start)
    level = said.live({"pixels": [72.0], "features": [70.0]}, start)
    assert "level within three points (one seed, a look, not a result)" in level
    stuck = said.live({"pixels": [72.0], "features": [40.0]}, start)
    assert "Those of features did not leave where they began" in stuck and "ahead" not in stuck


def test_names_are_clear_of_chance_or_are_said_not_to_be():
    text = said.named({"ours": 60.0, "vanilla": 14.0}, 12.5, 30)
    assert (
        "60 % by ours and 14 % by vanilla are called by their shape (chance 12 %). Not clear of chance: vanilla."
        in text
    )
    assert "Not clear" not in said.named({"ours": 60.0}, 12.5, 30)
    assert said.clear(40, 12.5, 30) and not said.clear(40, 12.5, 3)


def test_wrong_words_are_counted():
    truth, found = torch.tensor([7, 7, 7, 0, 1, 2]), torch.tensor([4, 4, 7, 0, 1, 3])
    text = said.taken_for(truth, found, COLOURS)
    assert text == "Most often taken for another: white for cyan (2 of 3)."
    assert said.taken_for(truth, truth, COLOURS).startswith("No name")
    right = said.words_right({"colour": (81.2, 27.1, 12.5)}, 48)
    assert right.endswith("the right word for colour 81 % (CLIP's own patches 27, chance 12).")
    assert "cannot tell objects from ground" in said.knows_ground(100, 25)
    assert "hardly more than chance" in said.knows_ground(30, 25)
    assert said.pairs_right(5, 6, 4, 9).endswith("five got the right shape, six the right colour, four both.")
    assert said.pairs_right(0, 0, 0, 0).startswith("No object")


def test_a_change_is_said_with_its_interval_and_beside_the_papers():
    up = said.changed(TABLE, rows(a=[40, 41, 42], b=[60, 61, 63]), "after", "before", "It")
    assert up.startswith("It: in the paper it rises by 20.0 points, here it rises by 20.3 points (98 % interval +18.0")
    assert up.endswith("the same way.")
    assert said.changed(TABLE, rows(b=[40, 41, 42], a=[60, 61, 63]), "after", "before", "It").endswith("the other way.")
    down = said.changed(TABLE, rows(a=[40, 41, 42], b=[60, 61, 63]), "before", "after", "It")
    assert down.startswith("It: in the paper it falls by 20.0 points, here it falls") and down.endswith("the same way.")
    assert said.changed(TABLE, rows(a=[40, 50], b=[50, 40]), "after", "before", "It").endswith("which may be nothing.")
    assert said.changed(TABLE, rows(a=[40]), "after", "before", "It").endswith("not measured here yet.")


def test_controls_that_are_ahead_are_said_to_be_ahead():
    far = rows(ours=[50, 52, 51], control=[80, 81, 83])
    behind = said.against(far, "shipped/ours", "shipped/control", "k-means", "Colour does it.")
    assert behind.startswith("**Slots find 30.3 points fewer than k-means**") and behind.endswith("Colour does it.")
    ahead = said.against(far, "shipped/control", "shipped/ours", "k-means", "Colour does it.")
    assert ahead.startswith("Slots find 30.3 points more than k-means") and "Colour" not in ahead
    near = rows(ours=[50, 52], control=[52, 50])
    assert "find as much" in said.against(near, "shipped/ours", "shipped/control", "k-means", "")
    assert "not compared yet" in said.against({}, "shipped/ours", "shipped/control", "k-means", "")
    assert said.of_oracle(far, "shipped/ours", "shipped/control", {"DecRate": ""}).endswith("reach 63 % in DecRate.")
    aimed = {"DecRate": ("", 60), "mAP50": ("/map50", 50)}
    assert said.aims(far, "shipped/ours", "shipped/control", aimed).endswith("all reached, or not measured yet.")
    missed = said.aims(far, "shipped/ours", "shipped/control", {"DecRate": ("", 70)})
    assert missed == "The aims were 70 % in DecRate: missed in DecRate (63 %)."
    both = rows(**{"ours": [40], "ours/named": [30], "oracle": [80], "oracle/named": [100]})
    lost = said.lost_in(both, "shipped/ours", "shipped/oracle")
    assert lost == "More is lost in naming their shapes (30 % of the oracle's) than in finding objects (50 %)."
    assert "not measured yet" in said.lost_in(far, "shipped/ours", "shipped/oracle")
    assert said.of_oracle({}, "shipped/ours", "shipped/control", {"DecRate": ""}) == "Not measured yet."
    longer = {"ours": {0: 40.0, 1: 20.0}, "oracle": {0: 80.0, 1: 40.0, 2: 0.0, 3: 0.0}}  # only groups that both have
    assert said.share_of(longer, "ours", "oracle") == 50 and said.share_of(longer, "ours", "other") is None
    assert said.share_of({"ours": {0: 1.0}, "oracle": {1: 1.0}}, "ours", "oracle") is None
    assert "the words do not matter" in said.shuffled(far, "shipped/ours", "shipped/control", 12.5)
    assert "the words do not matter" not in said.shuffled(far, "shipped/control", "shipped/ours", 12.5)
    assert said.shuffled({}, "a", "b", 12.5).endswith("not measured yet.")


def test_failures_tables_and_costs_are_counted():
    text = said.failed({"removal": 4, "naming": 12}, 32)
    assert text == ("Of 32 objects: removal 4 and naming 12. The other 16 are found and named, or were never found.")
    counted = {"macs": 200.0, "encoder.macs": 150.0, "grouping.macs": 2.0, "decoder.macs": 48.0, "parameters": 90.0,
               "trained.parameters": 4.2, "patch_clip.macs": 19.3, "patch_clip.trained": 8.14}  # fmt: skip
    assert "the frozen encoder takes 75 %, the decoder 24 % and slot attention 1.0 %" in said.costs(counted)


def test_every_printed_cell_stands_in_a_table_beside_ours():
    paper = claims.load("open_vocabulary")
    table = tabled.cells(paper, rows(ours=[70.0, 72.0]), {"t3.ivid.joint.patch.dec_rate": ["tuned/a", "shipped/ours"]})
    magnitudes = [claim for claim in paper.claims if claim.kind == "magnitude"]
    both = sum(claim.id.replace(".ivid.", ".yvis.") in {c.id for c in magnitudes} for claim in magnitudes)
    assert len(table.rows) == sum(".yvis." not in claim.id for claim in magnitudes) and both
    line = next(row for row in table.rows if row[1] == "DecRate with patch-CLIP, with joint optimisation")
    assert line[2:] == ("53.8", "55.0", "71.0 (shipped)")
    assert sum(row[-1] == "not measured" for row in table.rows) == len(table.rows) - 1
    rules = tabled.both_rules({"a": {0: 40.0, 1: 42.0}}, {"ours, released": ("a", None), "ours, COCO's": ("b", None)})
    assert rules.rows == (("ours", "41.0", "not measured"),)
    controls = tabled.controls(rows(ours=[70.0]))
    assert len(controls.rows) == len(tabled.CONTROLS) and ("70.0" in controls.rows[2])
    fresh = tabled.controls({"shipped/fresh/ours": {0: 60.0}}, tabled.FRESH)
    assert len(fresh.rows) == len(tabled.FRESH) and fresh.rows[2][2] == "60.0" and fresh.rows[0][2] == "not measured"
    assert len(tabled.FOUND) == 8 and tabled.FOUND["ours"] == ("shipped/fresh/ours", None)
    names = {name.removeprefix("shipped/") for name, _ in tabled.FOUND.values()} | set(tabled.FRESH.values())
    assert names <= set(STUDY.variants)


# --- pictures --------------------------------------------------------------------------------------------------------

FRAMES = torch.full((1, 2, 16, 16, 3), 100, dtype=torch.uint8)


def test_a_slot_on_ground_is_told_by_its_patches_and_not_by_its_box():
    ids = torch.zeros(1, 2, 96, 96, dtype=torch.uint8)
    ids[:, :, 8:40, 8:40], ids[:, :, 8:40, 56:88] = 1, 2
    boxes = torch.tensor([[8, 8, 40, 40], [56, 8, 88, 40]])[None, None].expand(1, 2, -1, -1)
    there = torch.ones(1, 2, 2, dtype=torch.bool)
    clips = Localization(torch.zeros(1, 2, 96, 96, 3, dtype=torch.uint8), ids, boxes, torch.tensor([[0, 1]]), there)
    assigned = torch.zeros(1, 2, 12, 12, dtype=torch.int64)  # slot 0: the ground, whose box holds both
    assigned[:, :, 1:5, 1:5] = 1
    found = Found(torch.tensor([[0, 0, 96, 96], [8, 8, 40, 40]])[None, None].expand(1, 2, -1, -1), None, None)
    shares = shown.on_ground(found, Proposal(assigned, 2), clips)
    assert shares == {KINDS[0]: 0.0, KINDS[2]: 100.0}
    assert figures.named_right(Found(found.boxes, torch.tensor([[1, 0]]), None), clips) == (1, 1)
    assert figures.named_right(Found(found.boxes, torch.tensor([[1, 3]]), None), clips) == (0, 1)


def test_a_name_stands_where_no_other_one_does():
    label, size = (40, 15), (96, 96)
    box = [10.0, 30.0, 60.0, 60.0]
    first = figures._free(box, label, size, [])
    second = figures._free(box, label, size, [(*first, first[0] + 40, first[1] + 15)])
    assert first == (10, 15) and second != first
    assert abs(second[0] - first[0]) >= 40 or abs(second[1] - first[1]) >= 15
    corner = figures._free([90.0, 0.0, 96.0, 4.0], label, size, [])
    assert 0 <= corner[0] <= 56 and 0 <= corner[1] <= 81


def test_pairs_of_words_are_in_their_sentences():
    assert len(shown.PAIRS.targets) == len(COLOURS) * len(SHAPES)
    sentences = shown.of_pair("purple triangle")
    assert len(set(sentences)) == 32 and all(" purple " in s and " triangle " in s for s in sentences)


def test_told_counts_what_is_right():
    truth = {kind: torch.tensor([0, 1, 2, 3]) for kind in shown.WORDS}
    wrong = {kind: torch.tensor([0, 0, 0, 0]) for kind in shown.WORDS}
    told = shown.together([shown.Told(truth, truth, wrong)] * 2)
    assert told.count == 8
    assert told.right(("colour",)) == {"colour": (100.0, 25.0, 12.5)}


def test_the_diagram_splits_one_object_into_two_slots():
    owners = torch.zeros(1, 4, 4, dtype=torch.int64)
    owners[0, :, 0], owners[0, 0, 3] = 1, 2
    slots = drawn.split(owners)[0]
    assert slots[:, 0].tolist() == [0, 0, drawn.LOWER, drawn.LOWER] and slots[0, 3] == 1 and slots[0, 1] == -1
    pytest.importorskip("matplotlib")
    figure = drawn.idea()
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "slot attention" in words and "Slots of one name" in words

"""Sentences of the page on DiST follow from what was measured, and cannot say anything else."""

import torch

from minilib.papers.dist import said

CLASSES = ("right", "left", "dart right", "dart left")


def test_rows_of_an_easier_task_are_found_under_their_old_names():
    table = {
        "a": ("grid/timing/dist", 1.0),
        "b": ("grid/hard_appearance/dist/pairs", None),
        "c": ("grid/action/dist", 2),
    }
    assert said.earlier(table) == {
        "a": ("grid/dist", 1.0),
        "b": ("grid/appearance/dist/pairs", None),
        "c": ("grid/action/dist", 2),
    }


def test_gradients_are_counted_part_by_part():
    text = said.gradients({"frozen": 300, "new": 100}, {"frozen": False, "new": True})
    assert text == "A gradient reaches 100 of 400 parameters (25 %); it reaches nothing in frozen."
    assert said.gradients({"new": 100}, {"new": True}).endswith("some in every part.")


def test_news_of_another_moment_is_counted():
    own = torch.eye(3, dtype=torch.bool).repeat_interleave(2, 0)
    spilt = own.clone()
    spilt[2, 0] = spilt[1, 1] = True
    text = said.mixes({"nearest": own, "trilinear": spilt}, 2)
    assert text.endswith("none with nearest; two with trilinear.")


def test_the_pair_that_gains_most_is_named():
    ours, other = {0: (90.0, 8), 2: (95.0, 8)}, {0: (92.0, 8), 2: (55.0, 8)}
    first, text = said.helped(ours, other, CLASSES)
    assert first == 2 and "higher in one of two pairs" in text
    assert "most for “dart right” and “dart left” (55 to 95 %)" in text and "“right” and “left” (92 to 90 %)" in text


def test_a_map_looks_at_what_moves_only_if_it_has_clearly_more_than_even_light():
    area = torch.full((20,), 0.05) + torch.linspace(-0.01, 0.01, 20)
    trace = said.on_what_moves("It", area + 0.002, area)  # beyond doubt, and still next to nothing
    assert "1.0 times" in trace and trace.endswith("it does not single out what moves.")
    assert said.on_what_moves("It", 3 * area, area).endswith("It looks at what moves.")
    assert said.on_what_moves("It", 0.3 * area, area).endswith("It avoids what moves.")
    wild = torch.zeros(20)
    wild[0] = 10.0  # much on average, from one clip
    assert said.on_what_moves("It", wild, area).endswith("it does not single out what moves.")


def test_what_does_not_pass_chance_has_recognised_nothing():
    table = {"plain": ("p", None), "ours": ("o", None), "other": ("x", None)}
    rows = {"p": {0: 20.0, 1: 30.0, 2: 25.0}, "o": {0: 80.0, 1: 81.0, 2: 80.5}}
    text = said.beyond_chance("Unseen things", table, rows, 25.0)
    assert "plain 25.0 %, ours 80.5 % (three seeds; chance 25.0 %)" in text and text.endswith("Clear of chance: ours.")
    nothing = said.beyond_chance("Unseen things", {"plain": ("p", None)}, rows, 25.0)
    assert nothing.endswith("these seeds do not show that anything was recognised.")
    assert said.beyond_chance("It", {"ours": ("o", None)}, {"o": {0: 99.0}}, 25.0).endswith("is a look, not a result.")
    assert said.beyond_chance("Unseen things", table, {}, 25.0) == "Unseen things: not measured yet."


def test_wasted_work_and_relative_costs():
    assert "0.5 of these (5.0 %)" in said.wasted(2, 10.0, 10.0, 9.5)
    paper = {f"t3.{column}{who}": value for column in ("memory_gb", "step_seconds", "throughput")
             for who, value in (("", 2.0), (".st_adapter", 4.0), (".evl", 1.0))}  # fmt: skip
    rows = {"cost/memory.evl": {0: 1.0, 1: 1.2, 2: 1.44}, "cost/latency.st_adapter": {0: 3.0}}
    text = said.relative_costs(rows, paper.__getitem__)
    assert "memory of EVL 1.20 (0.50)" in text and "latency of ST-Adapter 3.00 (0.50)" in text
    assert "not measured here yet" in said.relative_costs({}, paper.__getitem__)

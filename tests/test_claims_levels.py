"""Levels of lines and controls of tasks on a page are those of the rows and of the verdicts."""

import pytest

from minilib.claims import Row, control, judge, levels, load
from minilib.claims.chosen import Seeds
from minilib.study import Tuned
from minilib.study.shown import lengths
from minilib.training import TrainSettings


def test_levels_are_means_of_shared_seeds_with_every_seed_beside():
    table = {"VicTR": ("v", 50.1), "ours": ("o", None), "absent": ("n", 3.0)}
    found = levels(table, {"v": {1: 20.0, 0: 10.0, 2: 90.0}, "o": {0: 1.0, 1: 2.0}}, "Table", folded="all")
    assert found.header[0] == "Table" and found.folded == "all"
    assert found.rows == (("VicTR", "50.1", "15.0", "10.0, 20.0, 90.0"), ("ours", "", "1.5", "1.0, 2.0"))
    assert levels(table, {}).rows == ()


def test_what_half_the_steps_came_to_stands_beside_the_end_by_the_seeds_of_one_machine():
    here, there = ("cpu", "float32", 1), ("cuda", "float32", 1)
    table = {"a": ("tuned/a", None), "b": ("tuned/b", 7.0), "c": ("tuned/c", None)}
    rows = {"tuned/a": Seeds({0: 40.0, 1: 42.0, 2: 90.0}, {here: {0: 40.0, 1: 42.0, 2: 90.0}}, {here: 1})}
    rows |= {"tuned/b": {0: 50.0, 1: 50.0}, "tuned.half/b": {0: 48.0, 1: 49.0}, "tuned/c": {0: 9.0, 1: 9.0}}
    assert levels(table, {name: rows[name] for name in ("tuned/a", "tuned/c")}).header[3] == "each seed, %"
    seeds = {here: {0: 30.0, 1: 28.0}, there: {2: 1.0}}
    rows["tuned.half/a"] = Seeds({0: 30.0, 1: 28.0, 2: 1.0}, seeds, {here: 0, there: 2})
    found = levels(table, rows)
    assert found.header[3].startswith("at half the steps, %") and len(found.header) == 5
    assert [line[3] for line in found.rows] == ["29.0 to 41.0, two seeds", "48.5 to 50.0, two seeds", ""]
    assert found.caption == "Still climbing, in points from half the steps to all of them: “a” +12.0."
    assert not levels({"b": table["b"]}, rows).caption, "1.5 points are few"


OWN = "each over seeds of its own"


def test_levels_say_over_how_many_seeds_they_are_means():
    table = {"a": ("m/a", None), "b": ("m/b", None)}
    header = [
        levels(table, {"m/a": {0: 1.0, 1: 2.0, 2: 3.0, 4: 9.0}, "m/b": dict.fromkeys(seeds, 1.0)}).header[2]
        for seeds in ((0, 1, 2), (2,), (7, 8))
    ]
    assert header == [
        "here, % (three shared seeds)",
        "here, % (one shared seed)",
        "here, % (each over seeds of its own)",
    ]


def test_the_lengths_are_those_of_the_recipes_and_the_long_one_judges():
    short = TrainSettings(steps=20, batch=4, lr=0.1)
    text = lengths(short, Tuned(TrainSettings(steps=3000, batch=8, lr=0.1), rates=(1.0, 3.0)))
    assert "20 steps of 4 clips" in text and "3,000 steps of 8 clips, each at the best of two learning rates" in text
    for paper in ("zeroi2v", "dist"):
        headlines = [c for c in load(paper).claims if c.headline and c.kind == "ordering" and not c.cost]
        assert headlines and all(metric.startswith("tuned/") for c in headlines for metric in c.metrics)


@pytest.mark.parametrize(
    ("shift", "word"), [(0.0, "the control holds."), (1.4, "does not hold"), (9.0, "does not hold")]
)
def test_a_control_says_what_the_verdict_says(shift, word):
    """Half a point of accuracy within pairs is one of the 3 points that count as nothing."""
    paper, metric = load("zeroi2v"), "grid/control/shuffled_frames/pairs"
    setup = {"commit": "0123456789ab", "device": "here"}
    values = {
        metric: [50.3 + shift, 49.9 + shift, 50.1 + shift, 49.7 + shift, 50.0 + shift],
        "grid/zeroi2v/pairs": [70.0, 71, 72, 70, 71],
    }
    rows = [Row(metric=name, value=v, seed=k, **setup) for name, each in values.items() for k, v in enumerate(each)]
    text = control("It", paper, "order", rows)
    assert text.startswith(f"It is {50 + shift:.1f} %, chance 50.0 %: ") and "five seeds" in text and word in text
    why = next(verdict.why for verdict in judge(paper, rows) if verdict.id == "control.shuffled_frames")
    assert ("the interval of the negative control" in why) == (shift > 0)
    (resting,) = [claim.id for claim in paper.claims if claim.task == "order"]
    said = f"Of 39 orderings, one rests on it ({resting}) and gets “cannot show it here” once measured; the others do"
    assert (said in text) == (shift > 0)
    assert control("It", paper, "order", rows[:3]) == "It is not measured with enough seeds yet."
    dirty = [row.model_copy(update={"barred": "shared test clips"}) for row in rows]
    assert control("It", paper, "order", dirty) == "It is not measured with enough seeds yet."

"""Levels of lines and controls of tasks on a page are those of the rows and of the verdicts."""

import pytest

from minilib.claims import Row, control, judge, levels, load
from minilib.study import Tuned
from minilib.study.shown import lengths
from minilib.training import TrainSettings


def test_levels_are_means_of_shared_seeds_with_every_seed_beside():
    table = {"VicTR": ("v", 50.1), "ours": ("o", None), "absent": ("n", 3.0)}
    found = levels(table, {"v": {1: 20.0, 0: 10.0, 2: 90.0}, "o": {0: 1.0, 1: 2.0}}, "Table", folded="all")
    assert found.header[0] == "Table" and found.folded == "all"
    assert found.rows == (("VicTR", "50.1", "15.0", "10.0, 20.0, 90.0"), ("ours", "", "1.5", "1.0, 2.0"))
    assert levels(table, {}).rows == ()


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
    assert control("It", paper, "order", rows[:3]) == "It is not measured with enough seeds yet."
    dirty = [row.model_copy(update={"barred": "shared test clips"}) for row in rows]
    assert control("It", paper, "order", dirty) == "It is not measured with enough seeds yet."

"""Sentences that weigh one way to find objects against another: they say what the rows bear out, and no more."""

import pytest

from minilib.claims import Measurements
from minilib.papers.open_vocabulary import costs, said, weighed
from minilib.papers.open_vocabulary.study import STUDY


def rows(**metrics):
    return {name.replace("__", "/"): dict(enumerate(values)) for name, values in metrics.items()}


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ([30.0, 31, 32, 31], "It rises by 20.8 points (98 % interval +19.6 to +21.9, four groups)."),
        ([9.0, 8, 14, 8], "It falls by 0.5 points (98 % interval -5.9 to +4.9, four groups), which may be nothing."),
        ([], "It: not measured yet."),
    ],
)
def test_what_a_step_changes_is_said_with_its_interval(after, text):
    assert weighed.moved(rows(new=after, old=[10.0, 10, 11, 10]), "new", "old") == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([55.0, 53, 57], "of the shapes of found objects: missed, with 55.0 % (98 % interval 47.0 to 63.0)."),
        ([65.0, 66, 64], "of the shapes of found objects: reached, with 65.0 % (98 % interval 61.0 to 69.0)."),
        ([65.0], "not measured yet."),
    ],
)
def test_an_aim_is_reached_by_the_mean_and_shown_with_its_interval(values, text):
    assert weighed.named_by_aim(rows(named=values), "named", 60).endswith(text)


def test_boxes_are_counted_for_each_line_that_has_any():
    table = {"ours": ("a", None), "grid": ("b", None), "none": ("c", None)}
    text = weighed.boxes_each(rows(a__boxes=[3.0, 4.0], b__boxes=[5.0]), table)
    assert "grid 5, ours 3. " in text.replace(".0", "") and "none" not in text
    assert "not measured yet" in weighed.boxes_each({}, table)


def test_a_comparison_names_both_sides():
    found = rows(one=[10.0, 11, 12], other=[4.0, 5, 6.5])
    assert said.against(found, "one", "other", "luck", "", ours="Clusters").startswith("Clusters find 5.8 points more")
    assert said.against(found, "other", "one", "luck", "So.").startswith("**Slots find 5.8 points fewer than luck**")


def test_time_and_memory_are_medians_of_what_was_timed():
    measured = {
        "cost/slots.forward.video": [0.5, 0.6, 0.7],
        "cost/slots.step.video": [0.4, 0.4, 0.4],
        "cost/slots.forward.frames": [0.3, 0.2, 0.3],
        "cost/slots.forward.released": [0.8, 0.9, 0.9],
        "cost/decoder.memory.chunked": [0.45] * 3,
        "cost/decoder.step.chunked": [1.2, 1.3, 1.4],
    }
    text = weighed.beside_released({name: dict(enumerate(values)) for name, values in measured.items()})
    times = ("takes 0.60 times", "(0.40 with", "one call, 0.30;", "on video, 0.90.", "1.30 times", "three rounds")
    for part in (*times, "needs 0.45 times"):
        assert part in text, part
    del measured["cost/decoder.memory.chunked"]
    assert "open_vocabulary --costs" in weighed.beside_released({name: {0: 1.0} for name in measured})


def test_costs_are_recorded_beside_the_released_graph(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "GRID", 4)
    rows = Measurements("open_vocabulary", tmp_path, scale="smoke", committed=tmp_path)
    STUDY.costs(rows)
    found = {row.metric.removeprefix("cost/"): row.value for row in rows.rows()}
    assert found["slots.forward.loop"] == found["slots.step.loop"] == found["decoder.memory.direct"] == 1
    assert found["decoder.memory.chunked"] < 0.9 and found["slots.forward.video"] > 0
    assert "medians of one round in one run, memory was taken once" in weighed.beside_released(rows.seeds_of("smoke"))


def test_how_often_two_metrics_are_one_number():
    found = rows(none=[40.0, 50.0, 60.0], zero=[40.0, 50.5])
    assert weighed.alike(found, "zero", "none") == "the same number in 1 of two groups"
    assert weighed.alike(found, "zero", "other") == "not measured yet"


def test_ways_that_find_different_objects_are_not_compared_by_names():
    found = rows(ours=[70.0, 80.0], ours__named=[60.0], few=[20.0], few__named=[70.0])
    text = weighed.named_apart(found, "ours", "few", "random slots")
    assert "random slots find 20 % of the objects and ours 70 % (one group), so the 70 % and 60 % of shapes" in text
    assert weighed.named_apart({}, "a", "b", "they") == "How they are named is not measured yet."

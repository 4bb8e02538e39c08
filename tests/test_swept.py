"""Which rates were chosen follows from the rows of the tries."""

from dataclasses import replace

from minilib.study import Study, Tuned
from minilib.study.swept import at_edge, edges, tried
from minilib.training import TrainSettings

TUNED = Tuned(TrainSettings())  # a third, once and three times the rate
STUDY = Study("any", dict.fromkeys(("a", "on/b", "c")), {"tuned": TUNED}, {})
TABLE = {"ours": ("tuned/a", 1.0), "theirs": ("tuned/on/b", None), "neither": ("tuned/c", None)}


def tries(variant: str, *scores: float) -> dict:
    """Rows of a variant's tries on validation clips, as many as there are scores."""
    return {f"tuned.{each}/{variant}": {1000: score} for each, score in zip(TUNED.tries(), scores, strict=False)}


def test_the_best_try_counts_once_all_are_measured():
    low, middle, high = TUNED.tries()
    assert tried(tries("on/b", 1.0, 3.0, 2.0), TUNED, "on/b") == ({low: 1.0, middle: 3.0, high: 2.0}, middle)
    assert tried(tries("a", 1.0, 3.0), TUNED, "a") == ({low: 1.0, middle: 3.0}, None)
    assert tried(tries("a", 2.0, 2.0, 1.0), TUNED, "a")[1] == low, "of equals the first, as `Study.best_try` chooses"
    assert [at_edge(TUNED, each) for each in TUNED.tries()] == [True, False, True]


def test_choices_at_an_edge_are_named():
    rows = tries("a", 1.0, 2.0, 3.0) | tries("on/b", 3.0, 2.0, 1.0) | tries("c", 1.0, 2.0)
    assert edges(STUDY, rows, TABLE) == (
        "Learning rates, the best of three on validation clips (two rows): the highest for “ours”; the lowest for "
        "“theirs”. Beyond an edge of what was tried a better one may lie."
    )
    within = edges(STUDY, tries("a", 1.0, 3.0, 2.0), TABLE)
    assert within == "Learning rates, the best of three on validation clips (one row): never the highest or the lowest."


def test_a_further_metric_of_a_try_chooses_nothing():
    rows = tries("a", 1.0, 2.0, 1.0) | tries("a/share", 3.0, 2.0, 1.0)
    assert edges(STUDY, rows, {"share": ("tuned/a/share", None)}) == ""


def test_without_a_sweep_nothing_is_said():
    assert edges(STUDY, tries("a", 1.0), TABLE) == ""
    assert edges(replace(STUDY, recipes={"tuned": TUNED.smoke()}), {"tuned.rate1/a": {1000: 5.0}}, TABLE) == ""

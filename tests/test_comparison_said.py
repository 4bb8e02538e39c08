"""The comparison's sentences on its sweep and its seeds follow from rows."""

from minilib.papers.comparison import figures, said
from minilib.papers.comparison.study import GRID
from minilib.study import Tuned

TUNED = Tuned(GRID)


def sweep(method: str, scores: tuple[float, ...], task: str = "few") -> dict:
    """Rows of a method's tries on a task, as many as there are scores."""
    return {f"tuned.{each}/{task}/{method}": {1000: score} for each, score in zip(TUNED.tries(), scores, strict=False)}


def test_who_was_swept_is_said_by_task_and_a_choice_at_the_edge_is_marked():
    rows = sweep("oca", (10.0, 30.0, 20.0)) | sweep("dist", (10.0, 20.0, 30.0)) | sweep("aim", (10.0, 20.0))
    text = said.swept(rows, ["oca", "dist", "aim"], TUNED, ["few", "timing"])
    assert text.endswith(
        "*motion, 192 clips*: OCA (1), DiST (3, an edge); *motion and its timing*: nobody yet. At an edge of the three "
        "rates a better one may lie beyond."
    )
    assert "edge" not in said.swept(rows, ["oca"], TUNED, ["few"])
    assert figures.sweep(rows, ["dist", "oca"], TUNED, "few").rows[0][-1] == "[30.0]*"


def test_seeds_near_chance_are_named_where_a_mean_would_hide_them():
    rows = {"tuned/few/oca": {0: 8.0, 1: 60.0, 2: 25.0}, "tuned/few/dist": {0: 60.0, 1: 50.0}}
    text = said.stuck(rows, ["oca", "dist"], {"few": 5.0})  # a fifth of the way is 24
    assert ": OCA on *motion, 192 clips*, one of three seeds (8.0 %; chance 5 %)." in text and "DiST" not in text
    assert said.stuck(rows, ["dist"], {"few": 5.0}) == ""

"""A paper's tables on a page: shown where rows are, and waiting where not."""

import pytest

from minilib import claims
from minilib.papers.coarse_fine.study import STUDY
from minilib.study import shown


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(shown.page, "say", lambda *sentences: lines.append(" ".join(sentences)))
    monkeypatch.setattr(shown.page, "show", lambda figure, alt: lines.append(alt))
    return lines


def test_a_table_waits_until_two_rows_are_measured(said):
    rows = {"tuned/x3d": {0: 30.0, 1: 32.0}}
    tables = shown.Tables(STUDY, claims.load("coarse_fine"), rows, 3.0)
    tables.show("Table 3.2", "3.2")
    assert not said and len(tables.waiting) == 5
    rows["tuned/coarse_fine"] = {0: 29.0, 1: 31.5}
    tables.show("Table 3.2", "3.2", (("Coarse-Fine", "X3D"),))
    assert "“X3D” is ahead of “Coarse-Fine” by 0.75 points" in said[-1]
    assert "5 rows" in tables.rest().folded or "five rows" in tables.rest().folded


def test_a_table_that_says_nothing_new_waits_unless_it_is_asked(said):
    rows = {f"tuned/{name}": {0: value} for name, value in (("x3d", 30.0), ("coarse_fine", 29.0), ("slowfast", 28.0))}
    tables = shown.Tables(STUDY, claims.load("coarse_fine"), rows, 3.0)
    tables.show("Table 3.2", "3.2")
    tables.show("Width of the Gaussians", "sigma")
    tables.show("Table 3.3(f)", "3.3f", (("+ both: Coarse-Fine", "SlowFast_det"),))
    titles = [line.split(":")[0] for line in said if "what is measured" in line]
    assert titles == ["Table 3.2, long trainings", "Table 3.3(f), long trainings"]
    assert {title for title, _, _ in tables.waiting} == {"Width of the Gaussians"}


def test_every_seed_is_told_in_the_order_of_the_seeds(said, monkeypatch):
    folded = []
    monkeypatch.setattr("IPython.display.display", folded.append)
    rows = {"tuned/x3d": {2: 33.0, 0: 30.0, 1: 32.0}, "tuned/coarse_fine": {1: 31.5, 0: 29.0}}
    shown.Tables(STUDY, claims.load("coarse_fine"), rows, 3.0).show("Table 3.2", "3.2")
    assert dict(folded[-1].rows) == {"X3D": "30.0, 32.0, 33.0", "Coarse-Fine": "29.0, 31.5"}


def test_lines_that_still_climb_are_said(said):
    rows = {"tuned/x3d": {0: 30.0, 1: 32.0}, "tuned/coarse_fine": {0: 29.0, 1: 31.5}, "tuned.half/x3d": {1: 27.0}}
    shown.Tables(STUDY, claims.load("coarse_fine"), rows, 3.0).show("Table 3.2", "3.2")
    assert said[-1].endswith("Still climbing, in points from half the steps to all of them: “X3D” +5.0.")


def test_every_printed_score_is_listed():
    tables = shown.Tables(STUDY, claims.load("coarse_fine"), {}, 3.0)
    assert any("TGM" in what for _, what, _ in tables.printed().rows)


def test_a_variant_is_known_by_the_first_label_that_a_table_gives_it():
    names = shown.known_as(STUDY)
    assert names["x3d"] == "X3D" and names["coarse_fine"] == "Coarse-Fine"

"""Coarse-Fine's sentences say what was measured, and nothing else; its films show what a stream has seen."""

import torch

from minilib.papers.coarse_fine import drawn, said


def test_a_rule_covers_a_stretch_only_without_holes():
    dense = torch.tensor([0.0, 8.0, 9.0, 10.0, 11.0, 12.0, 20.0])
    pile = torch.tensor([0.0, 10.0, 10.1, 10.2, 15.0, 20.0])
    assert said.inside(dense, 8, 12) == "five points in the shade, none for up to 1.0 frames there"
    assert said.huddle("it", dense, 7.5, 12.5).endswith("there: it covers the stretch")  # however far the next one is
    assert said.huddle("it", dense, 5, 12).endswith("none for up to 3.0 frames there: it leaves holes")
    assert (
        said.huddle("it", pile, 7, 12)
        == "it has three points in the shade, none for up to 3.0 frames there: it leaves holes"
    )


def test_sureness_costs_only_a_rule_that_falls():
    assert said.points("It", {0.1: 0.9, 0.95: 0.4}) == (
        "It reaches 0.90 at a confidence of 0.10, and falls to 0.40 at 0.95: sureness costs it."
    )
    assert said.points("It", {0.1: 0.9, 0.95: 0.88}).endswith("keeps 0.88 when the head is surest.")
    assert said.points("It", {0.1: 0.2, 0.95: 0.88}) == "It reaches 0.88 and keeps 0.88 when the head is surest."


def test_what_comes_back_and_how_large_a_shift_is():
    assert said.returned({"two steps": 0.687, "one": 1.0}).endswith("two steps 0.69, one 1.00.")
    small, large = torch.full((2,), 0.1), torch.full((2,), 3.0)
    assert said.shift(large, small).endswith("0.0 times as large as the coarse features: it is a nudge.")
    assert said.shift(small, large).endswith("30.0 times as large as the coarse features: training has to calm it.")


def test_live_grids_are_compared_with_rows_at_an_eighth():
    live = {"grid_pool": [24.0], "striding": [30.0]}
    rows = {"tuned/grid_eighth": {0: 18.0}, "tuned/striding_eighth": {0: 23.0}}
    text = said.live(live, rows, ("grid_pool", "A"), ("striding", "B"), tuple(rows))
    assert text == (
        "Live A has 24.0 and B 30.0: -6.0 points. In one seed of longer trainings at a ratio of 1/8 it is -5.0, "
        "the same sign."
    )


def test_a_grid_points_only_from_a_correlation_of_a_half():
    assert said.sampling({"a": 0.1, "b": 0.49}) == (
        "correlations a +0.10, b +0.49. None reaches +0.5, which this page calls following."
    )
    assert said.sampling({"a": 0.1, "b": 0.6}).endswith("With +0.5 or more, these follow what happens: b.")
    assert said.grids({"a": [0.1, 0.3], "b": []}) == "From the rows, correlations: a +0.20 (two seeds)."
    assert "No row says yet" in said.grids({"b": []})


def test_scores_between_actions_are_not_passed_over():
    truth = torch.zeros(6, 3)
    truth[2:4, 1] = 1
    right = 0.1 + 0.8 * truth
    assert said.bars("it", right, truth) == (
        "it: the highest score is right in 100 % of the frames with an action; in 0 % of those without one something "
        "scores as high as a true action does on average."
    )
    flat = torch.full((6, 3), 0.3)
    flat[:, 0] = 0.4
    assert "right in 0 % of" in said.bars("it", flat, truth) and "in 100 % of those" in said.bars("it", flat, truth)
    assert "no frames to compare" in said.bars("it", flat, torch.zeros(6, 3))


def test_counts_and_controls():
    assert said.overcount(73.37, 60.93).endswith("the table is 20 % too high.")
    assert said.overcount(50, 100).endswith("the table is 50 % too low.")
    assert said.controls({"a": {0: 5.0}, "b": {0: 7.5}}, "a", "b").endswith(
        "2.5 points below the one from noise (one seed)."
    )
    assert "not measured yet" in said.controls({"a": {0: 5.0}}, "a", "b")


def test_a_held_film_shows_the_last_frame_that_was_read():
    clip = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 2, 2, 3)
    film = drawn.held(clip, torch.tensor([0.0, 3.0, 5.0]))
    assert film[:, 0, 0, 0].tolist() == [0, 0, 0, 3, 3, 5]
    assert drawn.ticks(torch.tensor([0.0, 2.6]), 6).tolist() == [1, 0, 0, 1, 0, 0]


def test_the_line_of_time_is_blue_where_its_row_says_and_marks_the_moment():
    clip = torch.zeros(4, 8, 8, 3, dtype=torch.uint8)
    film = drawn.timed(clip, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    assert film.shape == (4, 8 * drawn.SCALE + 2 + drawn.ROW, 8 * drawn.SCALE, 3)
    line = film[0, -drawn.ROW]
    assert line[5].tolist() == [0, 114, 178] and line[-1].tolist() == [255, 255, 255]  # frame 1, and frame 3
    assert line[0].tolist() == film[3, -drawn.ROW, -1].tolist() == [213, 94, 0]

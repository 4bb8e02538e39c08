"""VicTR's sentences say what was measured, and cannot say anything else; its films have the shape that pages play."""

import pytest
import torch

from minilib.errors import BadInput
from minilib.papers.victr import drawn, said
from minilib.papers.victr.figures import Inside


def test_the_clip_that_is_shown_is_chosen_by_a_rule_and_a_mistake_is_called_one():
    labels, taken = torch.tensor([1, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    assert said.showcase(labels, taken, 1) == (
        2,
        "the model recognises two of three clips; shown is the first of those.",
    )
    clip, text = said.showcase(labels, torch.zeros(4, dtype=torch.long), 1)
    assert clip == 0 and text == "the model recognises none of three clips; shown is the first clip, a mistake."
    with pytest.raises(BadInput, match="no clip of class 5"):
        said.showcase(labels, taken, 5)


def test_nearest_names_are_counted_before_and_after():
    labels = torch.tensor([0, 1])
    before = torch.tensor([[[1.0, 0], [0, 1]], [[1, 0], [0, 1]]])  # right in every second frame
    after = torch.tensor([[[1.0, 0], [1, 0]], [[0, 1], [0, 1]]])  # right always, and still
    text = said.nearest(Inside(before, after, torch.empty(0)), labels)
    assert "in 50 % of the frames before the head and in 100 % after it (a guess: 50 %)" in text
    assert "varies by 0.500 before and 0.000 after" in text and "0.0 times" in text


def test_names_agree_only_clear_of_chance():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(8)
    noise = torch.nn.functional.normalize(torch.randn(32, 4, 16, generator=generator), dim=-1)
    names = "abcd"
    assert "not clear of no difference" in said.agreement(noise, labels, names)
    own = noise.clone()
    own[torch.arange(32), labels] = torch.eye(4, 16)[labels] + 0.01 * noise[torch.arange(32), labels]
    assert said.agreement(own, labels, names).endswith("Clips agree more on the name of what they show.")
    same = torch.eye(4, 16).expand(32, 4, 16).clone()
    same[torch.arange(32), labels] = noise[torch.arange(32), labels]
    assert "agree *less*" in said.agreement(same, labels, names)
    alike = torch.nn.functional.normalize(noise + 0.2 * torch.randn(4, 1, 16, generator=generator)[labels], dim=-1)
    assert "not clear" in said.agreement(alike, labels, names), "any name is more alike in clips of one class"
    assert said.agreement(noise[:1], labels[:1], names) == "Too few clips to compare a name with itself."


def test_films_are_pixels_of_the_frame_that_plays():
    values = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]])
    for film in (drawn.curves(values, ("a", "b"), "near", 96), drawn.bars(values, ("a", "b"), 1, 96)):
        assert film.shape == (3, 96, 96, 3) and film.dtype == torch.uint8
        assert not torch.equal(film[0], film[1])


def test_a_reason_that_a_row_contradicts_is_refused():
    found = {"v": {0: 50.0, 1: 51, 2: 50}, "a": {0: 70.0, 1: 71, 2: 70.5}, "b": {0: 30.0, 1: 31, 2: 30.5}}
    say = said.explains("fixed targets are easier", {"A": "a", "B": "b"}, ("V", "v"), found)
    assert say == (
        "Compared with V (intervals of 98 %), clearly ahead: A; clearly behind: B. So that fixed targets are easier "
        "cannot be the whole explanation."
    )
    assert said.explains("it is so", {"A": "a"}, ("V", "v"), found).endswith("if it is so; it is no proof.")
    noisy = found | {"c": {0: 90.0, 1: 20, 2: 60}}
    assert "neither bear out nor refute" in said.explains("it is so", {"A": "a", "C": "c"}, ("V", "v"), noisy)
    none = said.explains("it is so", {"A": "a"}, ("V", "v"), {})
    assert none == "Whether it is so: not measured on common seeds of one machine yet."
    part = said.explains("it is so", {"A": "a", "D": "d"}, ("V", "v"), found)
    assert "not paired yet: D" in part and "neither bear out nor refute" in part


def test_costs_are_said_as_counted():
    assert said.head_cost(0.54, 150, 488, 284).endswith("0.19 % of the whole; for all 488 names 150.0·10⁹, 34.6 %.")
    assert said.growth({100: 1, 800: 10, 1600: 30}) == (
        "From 800 to 1,600 names the work grows 3.0-fold; linear would be 2.0-fold."
    )


def test_a_guess_on_ranked_clips_is_more_than_the_share_of_positives():
    assert said.guess(8.3333) == "A blind guess scores 8.3 %."
    assert said.guess(27.58, ranked=True).startswith("Random scores reach 27.6 %, a little more than the share")


def test_shuffled_frames_are_read_within_pairs_where_rows_have_that():
    top1 = {"c": {0: 30.0, 1: 32.0}}
    assert "top-1 over all classes: 31.0 % with shuffled frames (two seeds; a guess 8.3 %" in said.order_gone(
        top1, "c", 8.3333
    )
    within = said.order_gone(top1 | {"c/pairs": {0: 49.0}}, "c", 8.3333)
    assert within.endswith("the right one for 49.0 % of the clips (one seed; a guess 50 %).")
    assert said.order_gone({}, "c", 8.3333).endswith("not measured yet.")

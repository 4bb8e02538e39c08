"""What page 11 shows and says: films of chronicles, the diagram, and sentences that follow from rows."""

from __future__ import annotations

import torch

from minilib.papers.language_repository import drawn, films, said
from minilib.papers.language_repository.method import Entry
from minilib.world.chronicles import DEEDS


def test_a_film_shows_who_moves_where_and_a_mirrored_caption_is_the_film_played_backward():
    right, left = (films.painted([f"a red star moving {way} on sand"] * 3, 4, 32) for way in ("right", "left"))
    assert right.shape == (12, 32, 32, 3) and right.dtype == torch.uint8
    assert torch.equal(left, right.flip(0))
    reds = [((frame[..., 0] > 180) & (frame[..., 1] < 90)).nonzero()[:, 1].float().mean() for frame in right]
    assert reds == sorted(reds) and reds[-1] - reds[0] > 8
    still = films.painted(["nothing moves on sand"] * 2, 1, 32)
    assert torch.equal(still[0], still[1])
    for deed in DEEDS:
        assert len(films.painted([f"blue ring {deed}"], 2, 32).unique()) > 2


def test_a_film_without_what_was_not_read_keeps_the_seconds_that_were():
    frames = films.painted(["red star growing", "nothing moves", "red star shrinking"], 2, 32)
    dark = films.lit(frames, {2}, 2)
    assert torch.equal(dark[4:], frames[4:]) and dark[:4].max() < 32


def test_entries_grow_over_time_and_never_show_what_is_to_come():
    entries = [Entry((0, 2), "red star growing"), Entry((1,), "blue ring growing")]
    film = films.growing(entries, 3, 2, 30)
    assert film.shape == (6, 30, 30, 3)
    assert film[0, 5, 25].tolist() == [255] * 3 and film[0, 5, 5].tolist() == list(films.MARK)
    assert film[2, 5, 5].tolist() == [255, 0, 0] and film[2, 20, 15].tolist() == list(films.MARK)
    assert film[5, 20, 15].tolist() == [0, 0, 255] and film[5, 5, 25].tolist() == list(films.MARK)


def test_the_diagram_has_as_many_entries_as_its_words_say():
    plain = drawn.idea().axes[0]
    bars = [line for line in plain.lines if line.get_linewidth() == 2]
    assert len(bars) == 6 + 3 and "six entries" in drawn.IDEA and "chunk of three" in drawn.IDEA
    assert "sixteen captions" in drawn.IDEA and len(drawn.SAYS) == 16


def words(low, high):
    both = (("repository", 1, low), ("captions", 2, high))
    rows = {f"c{n}/{name}/words": {0: a * n**b} for n in (1, 4) for name, a, b in both}
    return rows | {f"c{n}/repository/words_written": {0: 3 * n} for n in (1, 4)}


def test_sentences_on_growth_follow_the_exponents():
    recipes = {1: "c1", 4: "c4"}
    alike = said.growth(words(1, 1), recipes)
    assert "a factor, not an exponent; at 4 chunks all captions have 2.0 times as many words." in alike
    assert alike.endswith("Writing, paid once a video, grows with exponent 1.00.")
    assert "more slowly; at 4 chunks all captions have 8.0 times" in said.growth(words(0, 1), recipes)
    assert "It grows faster" in said.growth(words(1.5, 1), recipes)
    assert said.growth({}, recipes) == "Not measured yet at several lengths."


def test_seconds_say_when_writing_has_paid():
    taken = {"repository": {4: (9.0, 9.0), 16: (3.0, 0.5)}, "captions": {4: (0.0, 9.0), 16: (0.0, 1.2)}}
    text = said.seconds(taken)
    assert text.startswith("At 16 chunks") and "captions takes 1.20 s; writing the repository takes 3.00 s" in text
    assert "writing has paid after five questions" in text  # 3 / 0.7
    slow = taken | {"repository": {16: (3.0, 1.3)}}
    assert said.seconds(slow).endswith("from it 1.30 s: in seconds nothing is saved.")


def test_sentences_on_loss_and_control_say_the_numbers():
    each = (("captions", 100), ("repository", 90))
    rows = {f"grid/by_rule/{name}": dict.fromkeys(range(13), value) for name, value in each}
    assert said.lost(rows) == "Not measured yet."
    rows["grid/by_rule/uniform"] = dict.fromkeys(range(2, 13), 60) | {12: 0}
    assert "over ten replicates: all captions 100 %, the repository 90 %, evenly" in said.lost(rows)
    assert said.lost(rows).endswith("Merging loses 10 points of what follows with certainty, leaving captions out 40.")
    assert said.lost(rows | {"grid/by_rule/uniform": {0: 60}}) == "Not measured yet.", "not a whole round of questions"
    assert said.control({0: 20, 1: 20}) == "The question alone is right in 20.0 % over two replicates, as it must be."
    assert said.control({0: 40}).endswith("not in 20 %: it gives answers away.")
    assert said.control({}) == "Not measured yet."

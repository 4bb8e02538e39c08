"""Sentences about the small world's models follow what was measured, whichever way it falls."""

from minilib.world.said import caption_test, known, right_words

CHANCE = {"colour": 12.5, "place": 11.1, "shape": 12.5}


def test_what_is_known_and_what_is_guessed():
    short = {"colour": 99.8, "place": 11.1, "shape": 17.5}
    assert known(short, CHANCE) == "above chance: colour (99.8 %); at chance: place (11.1 %), shape (17.5 %)"
    assert "shape (17.6 %)" in known(short | {"shape": 17.6}, CHANCE).split("; at chance")[0]
    assert "at chance" not in known(dict.fromkeys(CHANCE, 90.0), CHANCE)
    assert "above" not in known(dict.fromkeys(CHANCE, 10.0), CHANCE)


def test_a_found_caption_proves_only_what_is_not_guessed():
    short = {"colour": 99.8, "place": 11.1, "shape": 13.1, "caption of 64": 87.9}
    assert caption_test(short, CHANCE).startswith("It finds the right one of 64 captions in 87.9 %, and still guesses")
    assert "place, shape" in caption_test(short, CHANCE)
    assert "easy" not in caption_test(short | {"caption of 64": 40.0}, CHANCE)
    assert "nothing that it only guesses" in caption_test(short | {"place": 90.0, "shape": 90.0}, CHANCE)


def test_words_that_no_sentence_says_are_counted_too():
    sentences = ["a large red star centre on brick", "a small red cross centre on brick"]
    looks = {"colour": "red", "shape": "square", "ground": "brick"}
    assert right_words(sentences, looks) == (
        "Of two sentences two say the colour (red), none say the shape (square), two say the ground (brick)."
    )

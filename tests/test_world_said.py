"""Sentences about the small world's models follow what was measured, whichever way it falls."""

from minilib.world.proofs import FrameProof, PairScore
from minilib.world.said import bag, caption_test, known, one_frame, ordered, promises, right_words

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


def pair(bag=50.0, keeps=100.0, ordered=90.0, compared=70.0, motions=("growing", "shrinking")) -> PairScore:
    return PairScore(motions, bag, 100 - bag, keeps, ordered, ordered, compared, compared)


def test_a_bag_that_leaves_chance_is_named():
    assert "all within 5 points of chance. It gives every reversed clip" in bag([pair(), pair(bag=55.0)])
    assert "more than 5 points from chance: growing / shrinking" in bag([pair(bag=55.1)])
    assert "It gives 98.0 % of the reversed clips" in bag([pair(), pair(keeps=98.0)])


def test_pairs_at_chance_in_order_are_named_and_products_are_not_praised_for_the_rest():
    spins = pair(ordered=51.0, compared=80.0, motions=("turning", "turning back"))
    text = ordered([pair(), pair(compared=95.0), spins])
    assert "lead two of three pairs out of chance. At chance stays turning / turning back (51.0 %)" in text
    assert "compared reach 80.0 % there" in text and "worse than order in 1 of 2" in text
    assert "stays" not in ordered([pair()])


def test_one_frame_is_not_said_to_suffice_when_it_does_not():
    assert "reaches 95 % of the score, so nearly all" in one_frame(FrameProof(76.0, 80.0, 8, 10, 10))
    assert "lacks some" in one_frame(FrameProof(40.0, 80.0, 8, 10, 10))


def test_broken_promises_are_named():
    assert promises({"a": True, "b": True}) == "All two measurements are as promised."
    assert promises({"a": True, "b": False}) == "As promised: one of two measurements. Not so: b."

"""Chronicles: bit-stable, true, and fair: who reads the question alone is right in one of five."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from minilib.errors import BadInput
from minilib.world.chronicles import CHUNK, KINDS, chronicle


def facts(made):
    return {fact.text: fact for fact in made.facts()}


def test_chronicles_are_what_they_were():
    told = repr([chronicle(3, "val", index, seconds) for index in range(50) for seconds in (10, 80)])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "460777d47ac318c0"


@pytest.mark.parametrize("seconds", [10, 20, 160])
def test_the_right_answer_is_true_and_the_only_one(seconds):
    for index in range(100):
        made, question = chronicle(1, "test", index, seconds)
        fact = facts(made)[question.text]
        assert (fact.answer, fact.span) == (question.answers[question.right], question.span)
        assert len(made.captions) == seconds and len(set(question.answers)) == 5
        assert 0 <= question.span[0] <= question.span[1] < seconds


def test_each_answer_is_right_for_one_of_five_siblings():
    kinds = Counter()
    for group in range(20):
        siblings = [chronicle(0, "train", 5 * group + i)[1] for i in range(5)]
        assert len({(q.text, q.answers) for q in siblings}) == 1
        assert [q.right for q in siblings] == [0, 1, 2, 3, 4]
        kinds[siblings[0].kind] += 1
    assert kinds == dict.fromkeys(KINDS, 4)


def test_the_twin_has_the_same_events_in_the_opposite_order_and_the_question_mirrored():
    mirrored = {"first": "last", "after": "before"}
    for group in range(5):
        for sibling in range(5):
            (made, question), (twin, asked) = (chronicle(0, "val", 10 * group + sibling + 5 * way) for way in (0, 1))
            assert [event.text for event in made.events] == [event.text for event in twin.events][::-1]
            words = [mirrored.get(word, word) for word in question.text.split()]
            assert words == asked.text.split()
            assert question.kind == "when" or question.answers == asked.answers


def test_a_bag_of_events_does_not_tell_what_came_first():
    bags = [Counter(e.text for e in chronicle(0, "train", sibling, 160)[0].events) for sibling in range(5)]
    assert all(set(bag) == set(bags[0]) for bag in bags)


def test_captions_repeat_in_other_words():
    made, _ = chronicle(0, "train", 30)
    event = max(made.events, key=lambda e: e.seconds)
    assert event.seconds >= 6
    for second in range(event.start, event.last + 1):
        assert event.text in made.captions[second]
    assert len(set(made.captions)) > len({e.text for e in made.events}) + 1


@pytest.mark.parametrize("seconds", [0, 5, 15, 10_000])
def test_lengths_that_are_no_whole_chunks_are_refused(seconds):
    with pytest.raises(BadInput, match=f"multiple of {CHUNK}"):
        chronicle(0, "train", 0, seconds)

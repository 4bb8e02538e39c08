"""What Language Repository's study reads: contexts, the model by rule that says what they could answer, and metrics."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from minilib.claims import load
from minilib.errors import BadInput
from minilib.papers.language_repository import figures, study
from minilib.papers.language_repository.answers import likeliest
from minilib.papers.language_repository.contexts import (
    AllCaptions,
    FromRepository,
    Iteration,
    QuestionAlone,
    Subset,
    Tools,
    written,
)
from minilib.papers.language_repository.method import entries_of
from minilib.papers.language_repository.prompts import SMALL
from minilib.papers.language_repository.rules import RuleModel, event_of, said, seconds_of
from minilib.settings import describe, key
from minilib.study import Trial
from minilib.world.chronicles import chronicle


def by_event(texts):
    """Embeddings that are equal where the event is, and else at right angles."""
    events = [event_of(text) or "nothing" for text in texts]
    known = sorted(set(events))
    return torch.eye(len(known))[[known.index(event) for event in events]]


def tools(seed=0):
    return Tools(RuleModel(), by_event, SMALL, seed)


def right(context, count, seconds):
    found = 0
    for index in range(count):
        made, question = chronicle(0, "val", index, seconds)
        told = context(tuple(enumerate(made.captions)), question.text, tools(index))
        chosen = likeliest(told.text, question.text, question.answers, RuleModel(), SMALL)
        found += chosen["token"] == question.right
    return 100 * found / count


def test_lines_are_read_as_they_are_written():
    assert said("a red star moving right on sand : 12 .") == said("red star moving right : 12 .")
    line = said("red star moving right x 3 : 12 to 17 .")
    assert (line.event, line.count, line.first, line.last) == ("red star moving right", 3, 12, 17)
    assert said("nothing moves on sand x 2 : 4 to 9 .").event is None
    assert said("the red star growing").first == -1
    assert seconds_of("red star growing x 2 : 3 to 5 .\nblue star growing : 9 .\nno time") == {3, 4, 5, 9}


@pytest.mark.parametrize("seconds", [10, 160])
def test_all_captions_say_every_answer(seconds):
    assert right(AllCaptions(), 50, seconds) == 100


def test_the_model_by_rule_is_right_by_chance_without_a_text():
    assert right(QuestionAlone(), 50, 20) == 20  # all answers alike, the first is taken


def test_a_repository_of_half_the_length_says_nearly_all_and_as_many_captions_do_not():
    once = FromRepository((Iteration(40),))
    assert right(once, 50, 160) > 90 > 60 > right(Subset(once), 50, 160)


def test_two_growing_iterations_say_more_than_one_of_their_length():
    twice, once = study.TWICE, FromRepository((Iteration(40, 0.75),))
    captions = tuple(enumerate(chronicle(0, "val", 3, 160)[0].captions))
    lengths = [len(each(captions, "q ?", tools()).text.split()) for each in (twice, once)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.2)
    assert right(twice, 50, 160) > right(once, 50, 160) + 30


def test_a_summary_keeps_what_the_question_counts():
    captions = tuple(enumerate(chronicle(0, "val", 0, 40)[0].captions))
    event = next(event for _, caption in captions if (event := event_of(caption)))
    told = FromRepository((Iteration(40),), summarise=True)(captions, f"how often does it happen : {event} ?", tools())
    assert {said(line).event for line in told.text.splitlines()} == {event} and told.read > 0


def test_the_model_by_rule_answers_nothing_else():
    with pytest.raises(BadInput, match="nothing else"):
        RuleModel().complete("tell me a story", 9)


def test_a_repository_is_written_once_however_often_it_is_read():
    written.cache_clear()
    captions, same = tuple(enumerate(chronicle(0, "val", 1, 40)[0].captions)), tools()
    for context in (study.ONCE, FromRepository(study.ONCE.iterations, metadata=False), Subset(study.ONCE)):
        context(captions, "q ?", same)
    assert written.cache_info().misses == 1 and written.cache_info().hits == 2


def test_without_metadata_the_words_alone_are_left():
    captions = tuple(enumerate(chronicle(0, "val", 1, 40)[0].captions))
    text = FromRepository(study.ONCE.iterations, metadata=False)(captions, "q ?", tools()).text
    assert not any(character.isdigit() for character in text)


def test_longer_videos_have_more_chunks():
    captions = tuple(enumerate(chronicle(0, "val", 1, 160)[0].captions))
    assert [Iteration(seconds).writing(captions).chunks for seconds in (40, 80, study.WHOLE)] == [4, 2, 1]


def test_overlap_by_hand():
    assert study.overlap({3, 4, 5}, (4, 7)) == 40
    assert study.overlap(set(), (4, 7)) == 0


def test_a_replicate_is_five_siblings_and_the_question_alone_gives_chance(monkeypatch):
    monkeypatch.setattr(study, "shipped", lambda: type("Model", (), {"embed": staticmethod(by_event)}))
    alone = study.Answering(QuestionAlone(), RuleModel)
    for replicate in range(3):
        metrics = alone.run(study.Length(2), Trial(replicate)).metrics
        assert metrics[""] == 20 and metrics["words"] == metrics["words_written"] == 0
    perfect = study.Answering(AllCaptions(), RuleModel).run(study.Length(2), Trial(1)).metrics
    assert perfect[""] == 100 and perfect["words"] > 100


def test_every_variant_can_be_described_and_no_two_are_alike():
    keys = {key(variant) for variant in study.VARIANTS.values()}
    assert len(keys) == len(study.VARIANTS)
    assert study.shipped.__name__ == "shipped" and "name" in describe(study.shipped)


def test_claims_name_metrics_that_the_study_has():
    claims, known = load("language_repository"), set(study.STUDY.metrics())
    for claim in claims.claims:
        for metric in (*claims.base_metrics(claim), *claims.gate_metrics(claim)):
            assert metric in known or metric.startswith("cost/")
    assert all(claim.replicates == "sets" for claim in claims.claims if not claim.cost)


def test_pictures_show_every_entry_and_the_exponents_of_cost():
    assert figures.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert figures.colour_of("a red star moving right on sand") == "red"
    assert figures.colour_of("nothing moves on sand") == "lightgrey"
    captions = tuple(enumerate(chronicle(0, "val", 1, 40)[0].captions))
    once = written(study.ONCE.iterations, captions, tools())
    figure = figures.timeline({"captions": [entries_of(captions)], "written": once.scales[0]}, last=40)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["captions: 40 entries", f"written: {len(once.chunks[0])} entries"]
    assert [len(axis.texts) for axis in figure.axes] == [40, len(once.chunks[0])]
    read = figures.what_is_read({"all": AllCaptions()(captions, "q ?", tools()).text, "alone": ""}, (3, 5), 40)
    assert [text.get_text().split()[-1] for text in read.axes[0].texts] == ["words", "words"]
    rows = {f"c{n}/captions{part}": {0: 50.0 * n, 1: 50.0 * n} for n in (1, 2) for part in ("", "/words")}
    grown = figures.growth(rows, {1: "c1", 2: "c2"}, ("captions", "repository"))
    assert [text.get_text() for text in grown.axes[1].get_legend().texts] == ["captions, exponent 1.00"]
    taken = {"captions": {1: (0.0, 1.0), 2: (0.0, 2.0)}, "repository": {1: (1.0, 1.0)}}
    right = figures.against(rows, {1: "c1", 2: "c2"}, taken).axes
    assert [list(axis.lines[0].get_xdata()) for axis in right] == [[50, 100], [1, 2], [1, 2]]
    names = [text.get_text() for text in right[0].get_legend().texts]
    assert names == ["captions"], "what is measured at one length is no line"
    plt.close("all")

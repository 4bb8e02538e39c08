"""The small language model: what it reads, that it looks only back, how it scores, and that its training goes on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from minilib.errors import BadInput
from minilib.models import small_language_judge as judge
from minilib.models import small_language_texts as texts
from minilib.models import small_language_training as training
from minilib.models.half import save_half
from minilib.models.small_language import (
    WEIGHTS,
    Sizes,
    SmallLanguage,
    SmallTransformer,
    small_language,
)
from minilib.models.small_language_judge import answers, as_nothing
from minilib.models.small_language_texts import Text, as_captions, as_repository
from minilib.models.small_language_words import CONTEXT, IDS, decode, encode
from minilib.papers.language_repository.answers import generate, likeliest
from minilib.papers.language_repository.method import Entry, Repository, Writing, read, write
from minilib.papers.language_repository.prompts import SMALL
from minilib.papers.language_repository.readers import all_captions
from minilib.papers.language_repository.rules import RuleModel, event_of, said
from minilib.timed_training import Budget, History
from minilib.world.chronicles import DEEDS, chronicle


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return SmallLanguage(SmallTransformer(Sizes(32, 2, 2, (3, 5))))


def test_a_million_parameters():
    assert 0.8e6 < sum(p.numel() for p in SmallTransformer().parameters()) < 1.2e6


def test_words_come_back():
    text = "3 to 12 : red star moving right x 10 .\nwhat happens first ?"
    assert decode(encode(text)) == text
    assert len(encode("x3 (2)")) == 5


def test_all_that_chronicles_say_can_be_read():
    for index in range(0, 200, 7):
        made, question = chronicle(2, "test", index, 250)
        for text in (*made.captions, question.text, *question.answers, *as_captions(made), *as_repository(made)):
            encode(text)


@pytest.mark.parametrize("text", ["a red élan", "红 star", "a zebra", "256 to 300"])
def test_words_of_another_world_are_named(text):
    with pytest.raises(BadInput, match="no word"):
        encode(text)


def test_too_long_a_text_is_refused():
    with pytest.raises(BadInput, match=f"at most {CONTEXT}"):
        encode("red " * (CONTEXT + 1))


def test_no_word_sees_a_later_one(untrained):
    ids = torch.randint(2, len(IDS), (1, 30))
    other = ids.clone()
    other[0, 20:] = 5
    a, b = (untrained.model(each) for each in (ids, other))
    assert torch.equal(a[:, :20], b[:, :20]) and not torch.equal(a[:, 20:], b[:, 20:])


def test_gradients_reach_every_parameter(untrained):
    made, fact = texts.training_chronicle(0, 1, np.random.default_rng(0))
    text = texts.questions(made, fact, as_repository(made), 4, np.random.default_rng(0))
    loss = training.loss_of(untrained.model, *training.batch([text], 0.1))
    (loss + training.alike_loss(untrained.model, *texts.alike(0, 0), 0.1)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in untrained.model.parameters())
    untrained.model.zero_grad()


def test_a_question_of_many_is_trained_as_it_is_asked_alone():
    text = Text("red star moving right : 3 .\n", (("question :", "red star"), ("what happens ?", "nothing moves .")))
    ids, positions, owners, _ = training.batch([text], 0.5)
    model = SmallTransformer(Sizes(32, 1, 2, (3, 5)))
    model.embedding.weight.data[1] = model.embedding.weight.data[IDS["\n"]]  # what stands before a question differs,
    model.blocks[0].near.weight.data[..., :-1] = 0  # but not beyond the last word, which looks the same now
    many = model.hidden(ids, positions=positions, seeing=training.seeing(owners))[0]
    alone = model.hidden(torch.tensor([encode(text.read + "what happens ? nothing moves .")]))[0]
    own = owners[0] == 2
    assert int(own.sum()) == alone.shape[1] - len(encode(text.read)) + 1  # and the reply's end
    assert torch.allclose(many[0, own][:-1], alone[0, len(encode(text.read)) :], atol=1e-5)
    seen = model.hidden(ids, positions=positions, seeing=torch.ones(1, 1, *ids.shape[1:] * 2).bool().tril())[0]
    assert not torch.allclose(many[0, own], seen[0, own], atol=1e-3)


def test_likelihood_equals_a_loop(untrained):
    endings = ["red star .", "blue .", "moving right on sand ."]
    assert untrained.log_likelihood("question :", ["red"])[0][1] == 1
    for (total, tokens), ending in zip(untrained.log_likelihood("question :", endings), endings, strict=True):
        ids, by_hand = encode("question :"), 0.0
        for word in encode(ending):
            by_hand += untrained.model(torch.tensor([ids]))[0, -1].log_softmax(-1)[word].item()
            ids.append(word)
        assert tokens == len(encode(ending)) and total == pytest.approx(by_hand, abs=1e-4)


def test_a_reply_equals_one_without_memory(untrained):
    ids = encode("what happens first ?")
    for _ in range(6):
        ids.append(untrained.model(torch.tensor([ids]))[0, -1].argmax().item())
    assert 1 not in ids
    assert untrained.complete("what happens first ?", 6) == decode(ids[4:])


def test_padding_is_not_learned_and_replies_weigh_most():
    two = [Text("a red", (("star", "moving"),)), Text("a", (("", "red star"),))]
    ids, positions, owners, weights = training.batch(two, 0.1)
    assert ids.tolist() == [[*encode("a red star moving"), 1], [*encode("a red star"), 1, 0]]
    assert positions.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]]
    assert owners.tolist() == [[0, 0, 1, 1, 1], [0, 1, 1, 1, -1]]
    assert torch.allclose(weights, torch.tensor([[0.1, 0.1, 0, 1, 1], [0.1, 0, 1, 1, 0]]))


def test_it_is_taught_the_prompts_that_the_repository_asks_with():
    made = chronicle(0, "train", 0, 20)[0]
    rng = np.random.default_rng(0)
    ((prompt, reply),) = texts.rephrasing(made, rng).asked
    items = [line.split(" . ", 1)[1].split(" ; ") for line in prompt.splitlines()[1:-1]]
    assert prompt == SMALL.rephrase(items) and len(items) == len(reply.splitlines())
    assert [RuleModel().complete(prompt, 99)] == [reply]
    chunk = tuple(Entry(tuple(range(e.start, e.last + 1)), e.text) for e in made.events)
    written = read(Repository(((chunk,),)), "q ?", None, SMALL, summarise=False).text
    assert written.splitlines() == as_repository(made)
    assert all_captions(list(enumerate(made.captions)), SMALL).splitlines() == as_captions(made)
    ((prompt, _),) = texts.summary(made, as_repository(made), rng).asked
    assert prompt == SMALL.summarise(written, prompt.splitlines()[0].removeprefix("read : "))
    fact = made.facts()[0]
    text = texts.questions(made, fact, as_repository(made), 3, rng)
    assert text.read + text.asked[0][0] == SMALL.answer(written, fact.text)
    assert text.asked[0][1] == SMALL.ending.format(fact.answer) and len({asked for asked, _ in text.asked}) == 3


@pytest.mark.parametrize("form", texts.FORMS)
def test_every_form_says_what_happened_and_no_more(form):
    rng = np.random.default_rng(1)
    for index in range(10):
        made = chronicle(3, "train", index, 40)[0].later(7)
        lines = [said(line) for line in texts.told(made, form, rng)]
        happens = {(7 + at, text) for at, text in enumerate(made.said())}
        assert len(lines) >= 2 and (form == "bare" or all(line.first >= 7 for line in lines))
        for line in lines:
            if form == "bare":
                assert line.event in {text for _, text in happens}
            else:
                assert {(line.first, line.event), (line.last, line.event)} <= happens
        if form in ("captions", "written"):
            assert sum(line.count for line in lines) == 40


def test_a_model_that_knows_nothing_yet_still_writes_and_loses_no_second(untrained):
    captions = list(enumerate(chronicle(0, "val", 0, 20)[0].captions))
    prompts = replace(SMALL, rephrase_most=5, summary_most=5)
    iterations, generator = [Writing(2, 0.5), Writing(1, 0.5)], torch.Generator().manual_seed(0)
    repository = write(captions, iterations, untrained.embed, untrained, prompts, generator)
    for scale in repository.scales:
        assert sorted(t for chunk in scale for e in chunk for t in e.times) == list(range(20))
    text = read(repository, "what happens first ?", untrained, prompts, chunks=(-1,)).text
    question = chronicle(0, "val", 0, 20)[1]
    assert likeliest(text, question.text, question.answers, untrained, SMALL)["token"] in range(5)
    assert generate(text, question.text, question.answers, untrained, SMALL, most=4).strict is None


def test_the_question_alone_gives_exactly_chance(untrained):
    right = [found for _, found in answers(untrained, as_nothing, 2, 50, "test")]
    assert sum(right) == 10


LITTLE = training.Recipe(tokens=60, asked=(2, 2), chunks=(1,), first=(1.0,), last=(1.0,))


def test_a_stopped_training_goes_on_with_the_same_losses_and_leaves_whole_files(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "validation_scores", lambda model: {"a": 30.0})
    read, stop, kept = training.texts_of, False, []

    def texts_of(recipe, step, passed):
        kept.append((step, passed))
        if stop and step == 5:
            raise KeyboardInterrupt
        return read(recipe, step, passed)

    def losses(name, steps):
        history = training.fit(
            Budget(1e6, 0.0, steps), tmp_path / f"{name}.safetensors", tmp_path / f"{name}.pt", LITTLE
        )
        return [loss for _, _, loss in history.losses]

    monkeypatch.setattr(training, "texts_of", texts_of)
    whole = losses("whole", 8)
    stop = True
    with pytest.raises(KeyboardInterrupt):
        losses("stopped", 8)
    halfway = (tmp_path / "stopped.safetensors").read_bytes()
    stop, kept = False, []
    assert losses("stopped", 8) == whole and len(set(whole)) == 8
    assert kept == [(5, 5 / 8), (6, 6 / 8), (7, 7 / 8)]
    done = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert done[0] == done[1] != halfway
    assert small_language(tmp_path / "whole.safetensors").complete("what happens first ?", 3).count(" ") <= 3
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pt", ".pt", ".safetensors", ".safetensors"]


def test_rates_rise_and_fall_and_short_chronicles_come_first():
    recipe = training.Recipe()
    assert [recipe.at(step, 0.0) for step in (0, 24, 49, 500)] == [1 / 50, 0.5, 1.0, 1.0]
    assert [recipe.at(500, passed) for passed in (0.6, 0.8, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert list(recipe.often(0.0)) == list(recipe.first) and list(recipe.often(0.9)) == pytest.approx(recipe.last)
    assert recipe.often(0.2) == pytest.approx([0.325, 0.35, 0.125, 0.1, 0.1])


@pytest.mark.parametrize(("right", "verdict"), [(1, "It answers above chance"), (0, "does not answer above chance")])
def test_the_card_says_whether_it_answers_above_chance(tmp_path, monkeypatch, right, verdict):
    def found(model, lines, chunks, count, split):
        assert split == "test"
        return [(kind, at % 5 <= right) for at in range(count) for kind in judge.KINDS][:count]

    monkeypatch.setattr(judge, "answers", found)
    save_half(SmallTransformer(), tmp_path / "a.safetensors")
    text = judge.write_card(History(90, 7), tmp_path / "a.safetensors")
    assert verdict in text and "1.5 minutes, 7 steps." in " ".join(text.split())
    assert (tmp_path / "a.md").read_text() == text


def test_missing_weights_say_how_to_make_them(tmp_path):
    with pytest.raises(BadInput, match="minilib.models.small_language_training --minutes"):
        small_language(tmp_path / "none.safetensors")


def test_weights_of_another_model_are_refused(tmp_path):
    save_half(SmallTransformer(Sizes(32, 2, 2, (3, 5))), tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="is missing"):
        small_language(tmp_path / "other.safetensors")


def test_several_prompts_are_answered_as_each_alone(untrained):
    model = deepcopy(untrained.model)
    model.embedding.weight.data[1] *= -5  # ends at times
    judge = SmallLanguage(model)
    prompts = ["what happens first ?", "rephrase :\n1 . a red star ; red star\nreply :\n", "red", "nothing moves " * 20]
    together = judge.complete_all(prompts, 9)
    assert together == [judge.complete(prompt, 9) for prompt in prompts]
    assert len(set(together)) > 1


def test_embeddings_do_not_depend_on_their_company(untrained):
    texts = ["a red star moving right on sand", "nothing moves", "blue ring growing"]
    together = untrained.embed(texts)
    assert torch.allclose(together, torch.cat([untrained.embed([text]) for text in texts]), atol=1e-6)


def test_sentences_to_be_told_apart_are_those_that_a_cast_can_do_and_mirrored_ones_are_among_them():
    first, second = texts.alike(0, 3)
    assert len(first) == len(second) == 65 and first != second
    assert [event_of(text) for text in first] == [event_of(text) for text in second]
    assert len({event_of(text) for text in first}) == 65
    assert {str(event_of(text)).replace("right", "left") for text in first} <= {str(event_of(text)) for text in first}


def test_the_loss_of_sentences_by_hand(untrained):
    first, second = ["red star growing", "nothing moves"], ["a red star growing", "nothing moves on sand"]
    one, two = untrained.model.sentences(first), untrained.model.sentences(second)
    by_hand = -sum((one @ two.T / 0.1).log_softmax(-1)[i, i] for i in range(2)) / 2
    assert torch.allclose(training.alike_loss(untrained.model, first, second, 0.1), by_hand)
    for norm in (one.norm(dim=-1), two.norm(dim=-1)):
        assert torch.allclose(norm, torch.ones(2))


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the weights are not here")
def test_shipped_embeddings_separate_mirrored_motions_whatever_the_wording():
    model = small_language()
    first, second = texts.alike(9, 0)
    nearest = (model.embed(first) @ model.embed(second).T).argmax(1)
    assert (nearest == torch.arange(len(first))).float().mean() > 0.95
    for deed, back in zip(DEEDS[::2], DEEDS[1::2], strict=True):
        one, same, mirrored = model.embed([f"a red star {deed}", f"red star {deed} on sand", f"red star {back}"])
        assert one @ same > one @ mirrored

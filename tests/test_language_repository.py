"""Language Repository: writing and reading against loops and by hand, and what real models' replies look like."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from minilib.errors import BadInput
from minilib.manifests import load_manifest
from minilib.papers.language_repository.answers import (
    generate,
    likeliest,
    parse_letter,
    parse_words,
    share_parsed,
)
from minilib.papers.language_repository.attempt import RECORD, SENTENCE, attempt, shown
from minilib.papers.language_repository.method import Entry, Repository, Writing, merges, read, rephrased, split, write
from minilib.papers.language_repository.prompts import SMALL, parse_list, released_entry, short_entry
from minilib.papers.language_repository.readers import all_captions, random_captions, uniform_captions
from minilib.papers.language_repository.released import RELEASED, released_prompts
from minilib.world.chronicles import chronicle


class Scripted:
    """A model that replies what it is given and keeps what it was asked."""

    def __init__(self, reply):
        self.reply, self.asked = reply, []

    def complete(self, prompt, most):
        self.asked.append(prompt)
        return self.reply(prompt) if callable(self.reply) else self.reply

    def log_likelihood(self, prompt, endings):
        return [(-float(len(ending)), len(ending.split())) for ending in endings]


def listed(prompt):
    """A good model: each item of the list in its first words."""
    return "\n".join(line.split(" ; ")[0] for line in prompt.splitlines()[1:-1])


def bag(texts):
    """Embeddings that are alike where texts share words."""
    words = sorted({word for text in texts for word in text.split()})
    return torch.tensor([[float(word in text.split()) for word in words] for text in texts])


def told(seconds=40):
    return list(enumerate(chronicle(0, "train", 3, seconds)[0].captions))


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


# --- writing ---------------------------------------------------------------------------------------------------------


def merged_by_loop(features, writing, generator):
    n = len(features)
    starts = list(range(0, n, writing.stride))
    uniform = torch.rand(len(starts), generator=generator)
    destinations = [s + int(u * min(writing.stride, n - s)) for s, u in zip(starts, uniform, strict=True)]
    found = []
    for s in range(n):
        if s not in destinations:
            cosine = [float(features[s] @ features[d] / features[s].norm() / features[d].norm()) for d in destinations]
            found.append((-max(cosine), s, destinations[int(np.argmax(cosine))]))
    into = list(range(n))
    for _, s, d in sorted(found)[: int(writing.merge_ratio * n)]:
        into[s] = d
    return into


@pytest.mark.parametrize(("n", "stride", "ratio"), [(12, 4, 0.25), (13, 2, 0.4), (7, 4, 1.0), (1, 4, 0.5), (9, 1, 0.5)])
def test_merging_equals_a_loop(n, stride, ratio):
    features = torch.randn(n, 6, generator=drawn(n))
    writing = Writing(1, ratio, stride)
    assert merges(features, writing, drawn(5)) == merged_by_loop(features, writing, drawn(5))


def test_destinations_are_random_and_one_a_window():
    features = torch.ones(64, 3)
    found = [merges(features, Writing(1, 0.75, 4), drawn(seed)) for seed in range(20)]
    kept = [{at for at, into in enumerate(each) if at == into} for each in found]
    assert all(sorted(at // 4 for at in each) == list(range(16)) for each in kept)
    assert {at % 4 for each in kept for at in each} == {0, 1, 2, 3}


def test_no_caption_of_a_chunk_is_dropped():
    entries = tuple(Entry((t,), str(t)) for t in range(11))
    chunks = split(entries, 4)
    assert [e for chunk in chunks for e in chunk] == list(entries)
    assert {len(chunk) for chunk in chunks} == {2, 3}


def test_a_chunk_is_rephrased_in_one_call_and_in_order_of_time():
    model = Scripted(listed)
    repository = write(told(), [Writing(2, 0.5, 4)], bag, model, SMALL, drawn())
    assert len(model.asked) == repository.calls == 2
    assert repository.unanswered == 0 and repository.words > 0
    for chunk in repository.chunks:
        assert [e.times for e in chunk] == sorted(e.times for e in chunk)
        assert any(len(e.times) > 1 for e in chunk)
    assert sorted(t for chunk in repository.chunks for e in chunk for t in e.times) == list(range(40))


def test_iterations_write_what_was_written_in_longer_chunks():
    repository = write(told(80), [Writing(4), Writing(2), Writing(1)], bag, Scripted(listed), SMALL, drawn())
    assert [len(scale) for scale in repository.scales] == [4, 2, 1]
    entries = [sum(map(len, scale)) for scale in repository.scales]
    assert entries[0] > entries[1] > entries[2]
    for scale in repository.scales:
        assert sorted(t for chunk in scale for e in chunk for t in e.times) == list(range(80))
    assert max(len(e.times) for e in repository.chunks[-1]) > max(len(e.times) for e in repository.chunks[0])


@pytest.mark.parametrize("reply", ["", "I cannot help with that.", "Sure!\n\n1.\n2.  \n"])
def test_a_model_that_returns_nothing_loses_nothing(reply):
    repository = write(told(), [Writing(2, 0.5, 4)], bag, Scripted(reply), SMALL, drawn())
    assert [(t, e.text) for chunk in repository.chunks for e in chunk for t in e.times] == told()
    assert repository.unanswered > 0


def test_a_group_without_a_line_keeps_its_captions_and_the_others_their_own_line():
    groups = [[Entry((3 * g + i,), f"caption {3 * g + i}") for i in range(3)] for g in range(12)]
    reply = "Here is the list:\n" + "\n".join(f"{i}. line {i}." for i in range(1, 13) if i != 5)
    chunk, missing = rephrased(groups, reply)
    assert missing == 1
    texts = [e.text for e in chunk]
    assert texts == ["line 1", "line 2", "line 3", "line 4", "caption 12", "caption 13", "caption 14"] + [
        f"line {i}" for i in range(6, 13)
    ]
    assert chunk[-1].times == (33, 34, 35)


# --- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("1. a\n2. b\n3. c", ["a", "b", "c"]),
        ("Here are 3 sentences:\n\n1. a\n\n2. b\n\n3. c\n\nI hope this helps!", ["a", "b", "c"]),
        ("1) a.\n2) b.\n(3) c.", ["a", "b", "c"]),
        ("**1.** a\n**2.** b\n**3.** c", ["a", "b", "c"]),
        ("3. c\n1. a", ["a", None, "c"]),
        ("1. a\n2.\n3. c\n4. d", ["a", None, "c"]),
        ("1. a\n1. again\n2. b\n3. c", ["a", "b", "c"]),
        ("a\nb\nc", ["a", "b", "c"]),
        ("- a\n- b\n- c", ["a", "b", "c"]),
        ("a\nb", [None, None, None]),
        ("1. 3.5 seconds pass\n2. b (left)\n3. für élan", ["3.5 seconds pass", "b (left)", "für élan"]),
        ("3.5 seconds later\n1. a", ["a", None, None]),
        ("", [None, None, None]),
    ],
)
def test_replies_as_models_write_them(reply, found):
    assert parse_list(reply, 3) == found


def test_ten_and_more_items_keep_their_first_letter():
    reply = "\n".join(f"{i}. sentence {i}" for i in range(1, 31))
    assert parse_list(reply, 30) == [f"sentence {i}" for i in range(1, 31)]


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        ("B", 1),
        ("b.", 1),
        ("(C) red star", 2),
        ("Option D: because", 3),
        ("The answer is E.", 4),
        ("Answer: A", 0),
        ("A star moves", 0),
        ("I think it is the red one", None),
        ("F", None),
        ("B. But on second thought the answer is C", None),
        ("", None),
    ],
)
def test_letters_of_replies(reply, index):
    assert parse_letter(reply, 5) == index


def test_words_of_replies_are_the_lenient_column_and_what_is_not_among_the_options_counts_for_none():
    answers = ["red star growing", "red star", "blue ring", "five", "six"]
    assert parse_words("it is the Blue ring.", answers) == 2
    assert parse_words("red star growing", answers) is None  # two options stand in it
    replies = [generate("t", "q ?", answers, Scripted(reply), SMALL) for reply in ("B", "the blue ring", "nothing")]
    assert [(g.strict, g.lenient) for g in replies] == [(1, 1), (None, 2), (None, None)]
    assert share_parsed(replies) == pytest.approx({"strict": 100 / 3, "lenient": 200 / 3})


def test_normalisations_differ_and_the_released_one_is_by_token():
    class Model(Scripted):
        def log_likelihood(self, prompt, endings):
            return [(-4.0, 2), (-9.0, 6), (-8.0, 3)]

    found = likeliest("t", "q ?", ["no", "a b c", "a very long answer indeed"], Model(""), SMALL)
    assert found == {"token": 1, "sum": 0, "byte": 2}
    assert next(iter(found)) == "token"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_chosen_chunks_are_read_with_the_question():
    model = Scripted(listed)
    repository = write(told(), [Writing(2), Writing(1)], bag, model, SMALL, drawn())
    reader = Scripted(lambda prompt: f"summary of {len(prompt)}")
    found = read(repository, "what happens first ?", reader, SMALL, chunks=(-1, 0))
    assert found.calls == len(reader.asked) == 2 and found.text.count("summary of") == 2
    assert all("what happens first ?" in prompt for prompt in reader.asked)
    assert all(e.text in reader.asked[0] for e in repository.chunks[2])
    assert all(e.text in reader.asked[1] for e in repository.chunks[0])


def test_a_model_that_summarises_nothing_leaves_the_entries():
    repository = Repository((((Entry((0, 1), "red star growing"),),),))
    assert read(repository, "q ?", Scripted(" "), SMALL).text == "red star growing x 2 : 0 to 1 ."
    assert read(repository, "q ?", Scripted("never"), SMALL, summarise=False).calls == 0


def test_times_and_counts_are_metadata():
    assert released_entry((3, 4, 7), "a star") == "At t=3,4,7, a star (x 3)"
    assert short_entry((3,), "a star") == "a star : 3 ."
    assert short_entry((3, 4, 7), "a star") == "a star x 3 : 3 to 7 ."


def test_subsets_have_the_length_asked_for_and_stay_in_order():
    captions = told(80)
    every = all_captions(captions, SMALL)
    assert len(every.splitlines()) == 80
    words = len(every.split()) // 4
    for few in (uniform_captions(captions, SMALL, words), random_captions(captions, SMALL, words, drawn())):
        seconds = [int(line.split(" ")[-2]) for line in few.splitlines()]
        assert seconds == sorted(set(seconds)) and len(seconds) == 20
    steps = {b - a for a, b in itertools.pairwise(seconds)}
    assert len(steps) > 2  # at random


def test_released_configurations():
    assert {name: [w.chunks for w in c.iterations] for name, c in RELEASED.items()} == {
        "egoschema": [4],
        "next_qa": [2, 2],
        "intent_qa": [1],
        "next_gqa": [2, 1],
    }
    for configuration in RELEASED.values():
        prompts = released_prompts(configuration)
        model = Scripted("1. x\n2. y")
        repository = write(told(), configuration.iterations, bag, model, prompts, drawn())
        read(repository, "why ?", model, prompts, configuration.chunks)
        generate("t", "which ?", ["red", "blue"], chosen := Scripted("B"), prompts)
        assert "A: red\nB: blue" in chosen.asked[0]
        assert f"{configuration.summary_words} words" in model.asked[-1] and "why ?" in model.asked[-1]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("captions", "line"),
    [
        ([], "a video without captions"),
        (["a red star"], "has no time"),
        ([(0, "a"), (2, "b"), (1, "c")], "sort captions by time"),
        ([(0, "a"), (0, "b")], "sort captions by time"),
        ([(0, "a"), (1, " ")], "it is empty"),
        ([(None, "a")], "has no time"),
    ],
)
def test_bad_captions(captions, line):
    with pytest.raises(BadInput, match=line):
        write(captions, [Writing(1)], bag, Scripted(""), SMALL, drawn())


def test_chunks_that_are_not_there():
    few = [(0, "a"), (1, "b")]
    with pytest.raises(BadInput, match="3 chunks of 2 captions"):
        write(few, [Writing(3)], bag, Scripted(""), SMALL, drawn())
    with pytest.raises(BadInput, match="chunks must grow"):
        write(few, [Writing(1), Writing(2)], bag, Scripted(""), SMALL, drawn())
    with pytest.raises(BadInput, match="an empty repository"):
        read(Repository(()), "q ?", Scripted(""), SMALL)
    with pytest.raises(BadInput, match="chunk 1: the repository has 1 chunks, 0 to 0"):
        read(Repository((((Entry((0,), "a"),),),)), "q ?", Scripted(""), SMALL, chunks=(1,))
    with pytest.raises(BadInput, match="between 0 and 1"):
        Writing(1, merge_ratio=2)


@pytest.mark.parametrize(
    ("question", "answers"), [("", ["a", "b"]), ("q", ["a"]), ("q", ["a", "A "]), ("q", ["a", ""])]
)
def test_bad_questions(question, answers):
    with pytest.raises(BadInput):
        likeliest("t", question, answers, Scripted(""), SMALL)


# --- one trial of a language model -----------------------------------------------------------------------------------


def test_a_trial_keeps_every_reply(tmp_path):
    class Model(Scripted):
        def log_likelihood(self, prompt, endings):
            return [(-float(len(ending)), 2) for ending in endings]

    record = attempt(Model("1. a star\n2. a ring"), 3, 2, 40)
    assert json.loads(json.dumps(record)) == record
    assert len(record["captions"]) == 20 and len(record["repository"]) == 2
    said = [call["reply"] for call in record["calls"]]
    assert set(said) == {"1. a star\n2. a ring"} and "40 words" in record["calls"][-2]["prompt"]
    assert record["generated"]["strict"] is None and set(record["likeliest"]) == {"token", "sum", "byte"}
    (path := tmp_path / "record.json").write_text(json.dumps(record | {"model": "scripted"}))
    assert len(shown(path).rows) == len(said) + 3


def test_the_record_of_smollm2_is_of_the_file_that_its_manifest_names():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["model"] == load_manifest("smollm2_135m_instruct").required[0]
    assert len(record["repository"]) == 2 and "-dirty" not in record["commit"]
    sentence, ids = record["ids of a sentence"]
    assert sentence == SENTENCE and ids == [49, 2382, 4870, 7488, 327, 216, 33, 38, 32, 7345, 30]  # a digit, a token


def test_captions_in_any_script_stay_what_they_are():
    captions = [(0, "ein Mann öffnet die Tür"), (1, "男人打开门"), (2, "🙂 a man smiles")]
    repository = write(captions, [Writing(1, 0.0)], bag, Scripted(""), SMALL, drawn())
    assert [e.text for e in repository.chunks[0]] == [text for _, text in captions]
    assert parse_list("1. 男人打开门\n2. öffnet", 2) == ["男人打开门", "öffnet"]

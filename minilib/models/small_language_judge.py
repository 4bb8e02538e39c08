"""What the small language model can do, and the card that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minilib.files import write_whole
from minilib.models.small_language import SmallLanguage, SmallTransformer, small_language
from minilib.models.small_language_texts import as_captions, as_repository
from minilib.timed_training import History
from minilib.world.chronicles import CHUNK, KINDS, Chronicle, chronicle

Lines = Callable[[Chronicle], list[str]]
CHANCE = 20.0  # percent, exact for whoever reads the question alone


def as_nothing(made: Chronicle) -> list[str]:
    """The question alone."""
    return []


def answers(judge: SmallLanguage, lines: Lines, chunks: int, count: int, split: str) -> list[tuple[str, bool]]:
    """Of `count` chronicles the kind of the question, and whether its right answer has the highest mean log-likelihood
    of a token. Fifty in a row have all kinds, siblings and twins equally often."""
    found = []
    for index in range(count):
        made, question = chronicle(0, split, index, CHUNK * chunks)
        told = "".join(f"{line}\n" for line in lines(made))
        endings = [f"{answer} ." for answer in question.answers]
        scores = judge.log_likelihood(f"{told}question : {question.text}\nanswer :", endings)
        means = [total / tokens for total, tokens in scores]
        found.append((question.kind, means.index(max(means)) == question.right))
    return found


def percent(found: list[tuple[str, bool]]) -> float:
    return 100 * sum(right for _, right in found) / len(found)


def validation_scores(model: SmallTransformer) -> dict[str, float]:
    """What training looks at, in percent."""
    judge = SmallLanguage(model)
    return {
        f"{name}, {chunks} chunks": percent(answers(judge, lines, chunks, 50, "val"))
        for name, lines, chunks in (
            ("repository", as_repository, 2),
            ("repository", as_repository, 16),
            ("captions", as_captions, 16),
        )
    }


HEAD = """# The small world's language model

**What it is.** A decoder of {weights:,} weights (`minilib.models.small_language`) that reads one id a word: {words}
words, of which 256 are numbers. Half precision.

**What it was taught.** Chronicles (`minilib.world.chronicles`) of 1 to 16 chunks of {chunk} seconds with questions and
answers, as all captions, some of them, or lines of a repository that has merged more or less; lists of captions to
rephrase; chunks to summarise for a question; captions of pictures; captions in two wordings, whose embeddings are to be
alike. Nothing that a person wrote.

**How.** `python -m minilib.models.small_language_training --minutes M`, one thread of a shared processor:
{minutes:.1f} minutes, {steps} steps.

**What it answers** (test split, percent right of five answers; chance is {chance:g}, exactly so for
whoever reads the question alone, by the siblings):

| reads | chronicles | right | {kinds} |
|---|---|---|{rule}
"""

TAIL = """
**What it cannot do.** It knows the words of the small world and no others. {verdict}
"""


def write_card(history: History, weights: Path) -> str:
    """The card beside the weights, from what training left and the test split says; returns it."""
    judge = small_language(weights)
    numbers = {
        "weights": sum(p.numel() for p in judge.model.parameters()),
        "words": judge.model.embedding.num_embeddings - 2,
        "minutes": history.seconds / 60,
        "steps": history.step,
    }
    text = HEAD.format(**numbers, chunk=CHUNK, chance=CHANCE, kinds=" | ".join(KINDS), rule="---|" * len(KINDS))
    best = 0.0
    for name, lines, chunks, count in (
        ("the question alone", as_nothing, 2, 100),
        ("a perfect repository, 2 chunks", as_repository, 2, 200),
        ("a perfect repository, 16 chunks", as_repository, 16, 100),
        ("all captions, 2 chunks", as_captions, 2, 100),
        ("all captions, 16 chunks", as_captions, 16, 50),
    ):
        found = answers(judge, lines, chunks, count, "test")
        by_kind = [percent([each for each in found if each[0] == kind]) for kind in KINDS]
        text += f"| {name} | {count} | {percent(found):.1f} | {' | '.join(f'{each:.0f}' for each in by_kind)} |\n"
        if name == "a perfect repository, 16 chunks":
            margin = 196 * (0.2 * 0.8 / count) ** 0.5
            best = percent(found) - CHANCE - margin
    verdict = (
        "It answers above chance from a repository of 16 chunks, beyond what 97 of 100 guessers reach."
        if best > 0
        else "It does not answer above chance from a repository of 16 chunks: train it for longer before you measure "
        "anything with it."
    )
    text += TAIL.format(verdict=verdict)
    write_whole(weights.with_suffix(".md"), text)
    return text

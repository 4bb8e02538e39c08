"""Chronicles read as a repository and otherwise, by a model that was trained before: nothing is trained here.

A replicate is five siblings, of which each answer is right for one, so who reads the question alone is right in exactly
one of five. All variants read the same chronicles. Beside accuracy they record the words of writing, of summaries and
of the text that is read, and how well the seconds of that text fit those that show the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from time import perf_counter

from minilib.claims import Measurements
from minilib.claims.intervals import ROUNDS
from minilib.models.small_language import SmallLanguage, small_language
from minilib.papers.language_repository.answers import likeliest
from minilib.papers.language_repository.contexts import (
    WHOLE,
    AllCaptions,
    Context,
    FromRepository,
    Iteration,
    QuestionAlone,
    Subset,
    Tools,
    written,
)
from minilib.papers.language_repository.models import LanguageModel
from minilib.papers.language_repository.prompts import SMALL
from minilib.papers.language_repository.rules import RuleModel, seconds_of
from minilib.resume import History
from minilib.study import Outcome, Row, Study, Trial
from minilib.world.chronicles import CHUNK, chronicle
from minilib.world.questions import ANSWERS

SEED = 0  # of the chronicles; their numbers follow from the replicate


weights = cache(small_language)  # read once


def shipped() -> SmallLanguage:
    """The small language model that ships."""
    return weights()


@dataclass(frozen=True)
class Length:
    """In the place of a recipe: how long the chronicles are. Nothing in it can be tuned."""

    chunks: int = 16

    def at_rate(self, factor: float) -> Length:
        return self

    def for_share(self, share: float) -> Length:
        return self

    def smoke(self) -> Length:
        return Length(min(self.chunks, 2))


@dataclass(frozen=True)
class Answering:
    """Five siblings' questions answered from a context, by the likelihood of the answers a token."""

    context: Context
    model: Callable[[], LanguageModel] = shipped

    def run(self, recipe: Length, trial: Trial) -> Outcome:
        """trial.seed is the number of the replicate."""
        model, found = self.model(), []
        for sibling in range(ANSWERS):
            index = ANSWERS * trial.seed + sibling
            made, question = chronicle(SEED, trial.split, index, CHUNK * recipe.chunks)
            tools = Tools(model, shipped().embed, SMALL, index)
            told = self.context(tuple(enumerate(made.captions)), question.text, tools)
            chosen = likeliest(told.text, question.text, question.answers, model, SMALL)
            found.append(
                {
                    "": 100.0 * (chosen["token"] == question.right),
                    "iou": overlap(seconds_of(told.text), question.span),
                    "words": len(told.text.split()),
                    "words_written": told.written,
                    "words_summarised": told.read,
                }
            )
        return Outcome(model, History([], 0.0), {name: fmean(each[name] for each in found) for name in found[0]})

    def smoke(self) -> Answering:
        return self


def overlap(seconds: set[int], span: tuple[int, int]) -> float:
    """Intersection over union in percent of the seconds that a text is about and those that show the answer."""
    true = set(range(span[0], span[1] + 1))
    return 100 * len(seconds & true) / len(seconds | true)


FIRST = Iteration(40)
GROWN = Iteration(WHOLE)
ONCE, TWICE = FromRepository((FIRST,)), FromRepository((FIRST, GROWN))
VARIANTS: Mapping[str, Answering] = {
    "repository": Answering(ONCE),
    "captions": Answering(AllCaptions()),
    "uniform": Answering(Subset(ONCE)),
    "random": Answering(Subset(ONCE, random=True)),
    "no_metadata": Answering(FromRepository((FIRST,), metadata=False)),
    "two_iterations": Answering(TWICE),
    "one_iteration": Answering(FromRepository((Iteration(40, 0.75),))),  # as short as two
    "ratio_0.25": Answering(FromRepository((Iteration(40, 0.25),))),
    "every_scale": Answering(FromRepository((FIRST, GROWN), every_scale=True)),
    "summary": Answering(FromRepository((FIRST,), summarise=True)),
    "question": Answering(QuestionAlone()),
    "by_rule/repository": Answering(ONCE, RuleModel),
    "by_rule/captions": Answering(AllCaptions(), RuleModel),
    "by_rule/uniform": Answering(Subset(ONCE), RuleModel),
}
GROWING = ("repository", "two_iterations", "captions")
LENGTHS = (1, 2, 4, 8, 16)
TABLES = {"contexts": {name.replace("_", " "): Row(name) for name in VARIANTS if "/" not in name}}


def seconds_of_answer(name: str, chunks: int, index: int = 0) -> tuple[float, float]:
    """Seconds of one chronicle's answer by a variant: of making its context, which for a repository is writing, and of
    reading it for one question."""
    answering = VARIANTS[name]
    made, question = chronicle(SEED, "val", index, CHUNK * chunks)
    written.cache_clear()  # or what was written before would cost nothing
    model, began = answering.model(), perf_counter()
    told = answering.context(
        tuple(enumerate(made.captions)), question.text, Tools(model, shipped().embed, SMALL, index)
    )
    middle = perf_counter()
    likeliest(told.text, question.text, question.answers, model, SMALL)
    return middle - began, perf_counter() - middle


def costs(rows: Measurements) -> None:
    """Words that are read of ten chronicles of 16 chunks, from all captions and from repositories: cost/words.*"""
    recipe = STUDY.recipes["grid"]
    for at in range(ROUNDS):
        for name in ("captions", "repository", "two_iterations"):
            rows.record(f"cost/words.{name}", VARIANTS[name].run(recipe, Trial(at)).metrics["words"], at, recipe)


STUDY = Study(
    "language_repository",
    VARIANTS,
    recipes={"grid": Length()} | {f"chunks{n}": Length(n) for n in LENGTHS[:-1]},
    grids={"grid": tuple(VARIANTS)} | {f"chunks{n}": GROWING for n in LENGTHS[:-1]},
    tables=TABLES,
    costs=costs,
)

"""What a question is answered from: a repository, or what it is compared with.

A context turns a video's captions into text, and says what that cost: words that the language model was given and
replied while the repository was written, and while it was read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import torch

from minilib.papers.language_repository.method import Embed, Repository, Writing, read, write
from minilib.papers.language_repository.models import LanguageModel
from minilib.papers.language_repository.prompts import Prompts, bare_entry
from minilib.papers.language_repository.readers import Captions, all_captions, random_captions, uniform_captions


@dataclass(frozen=True)
class Told:
    """text, from which the answer is chosen; written and read, the words of writing and of summaries, the text's own
    not counted."""

    text: str
    written: int = 0
    read: int = 0


@dataclass(frozen=True)
class Tools:
    """Who writes and reads, what embeds captions, how is asked; the seed draws destinations and random subsets."""

    model: LanguageModel
    embed: Embed
    prompts: Prompts
    seed: int = 0

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


class Context(Protocol):
    """A frozen dataclass, so that it can stand in the settings of a row."""

    def __call__(self, captions: Captions, question: str, tools: Tools) -> Told: ...


@dataclass(frozen=True)
class QuestionAlone:
    def __call__(self, captions: Captions, question: str, tools: Tools) -> Told:
        return Told("")


@dataclass(frozen=True)
class AllCaptions:
    def __call__(self, captions: Captions, question: str, tools: Tools) -> Told:
        return Told(all_captions(captions, tools.prompts))


@dataclass(frozen=True)
class Iteration:
    """An iteration of writing whose chunks last so many seconds: a longer video has more of them."""

    seconds: int
    merge_ratio: float = 0.5
    stride: int = 4

    def writing(self, captions: Captions) -> Writing:
        return Writing(max(1, len(captions) // self.seconds), self.merge_ratio, self.stride)


WHOLE = 1_000_000  # seconds of a chunk that has all of a video


@dataclass(frozen=True)
class FromRepository:
    """The last scale of a repository of these iterations, or all scales; each chunk summarised for the question, or its
    entries as they are; without metadata no times and counts are shown."""

    iterations: tuple[Iteration, ...]
    every_scale: bool = False
    summarise: bool = False
    metadata: bool = True

    def __call__(self, captions: Captions, question: str, tools: Tools) -> Told:
        repository = written(self.iterations, tuple(captions), tools)
        prompts = tools.prompts if self.metadata else replace(tools.prompts, show=bare_entry)
        chunks = None if self.every_scale else range(-len(repository.scales[-1]), 0)
        reading = read(repository, question, tools.model, prompts, chunks, self.summarise)
        return Told(reading.text, repository.words, reading.words)


@lru_cache(2048)
def written(iterations: tuple[Iteration, ...], captions: tuple[tuple[float, str], ...], tools: Tools) -> Repository:
    """The repository of a video, written once however often it is read."""
    writings = [each.writing(captions) for each in iterations]
    return write(captions, writings, tools.embed, tools.model, tools.prompts, tools.generator())


@dataclass(frozen=True)
class Subset:
    """As many captions as have the length of what another context says, evenly spaced or at random."""

    like: Context
    random: bool = False

    def __call__(self, captions: Captions, question: str, tools: Tools) -> Told:
        words = len(self.like(captions, question, tools).text.split())
        if self.random:
            return Told(random_captions(captions, tools.prompts, words, tools.generator()))
        return Told(uniform_captions(captions, tools.prompts, words))

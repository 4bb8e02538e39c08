"""What the repository is compared with: all captions in the context, or a few of them, evenly spaced or at random."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from minilib.errors import BadInput
from minilib.papers.language_repository.method import entries_of
from minilib.papers.language_repository.prompts import Prompts

Captions = Sequence[tuple[float, str]]


def all_captions(captions: Captions, prompts: Prompts) -> str:
    """Every caption, a line each."""
    return "\n".join(prompts.show_caption(entry.times, entry.text) for entry in entries_of(captions))


def uniform_captions(captions: Captions, prompts: Prompts, words: int) -> str:
    """As many captions as fit into so many words, the middles of equal parts of the video."""
    count = _count(captions, prompts, words)
    n = len(captions)
    return all_captions([captions[(2 * at + 1) * n // (2 * count)] for at in range(count)], prompts)


def random_captions(captions: Captions, prompts: Prompts, words: int, generator: torch.Generator) -> str:
    """As many, drawn at random, in order of time."""
    count = _count(captions, prompts, words)
    chosen = sorted(torch.randperm(len(captions), generator=generator)[:count].tolist())
    return all_captions([captions[at] for at in chosen], prompts)


def _count(captions: Captions, prompts: Prompts, words: int) -> int:
    """How many captions of mean length make up `words`; at least one."""
    if words < 1:
        raise BadInput(f"a subset of {words} words: give 1 or more")
    every = len(all_captions(captions, prompts).split())
    return max(1, min(len(captions), round(words * len(captions) / every)))

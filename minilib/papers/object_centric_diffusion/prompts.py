"""Which tokens of an edit's prompt take their attention from which tokens of the source prompt.

A word may be several tokens, and what comes after it then moves. Both prompts are taken apart into words first, words
into tokens after, so that nothing depends on how a tokeniser cuts.

Axes: n tokens of the source prompt, m tokens of the target prompt (positions of the text model, padding and all).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from minilib.errors import BadInput


@dataclass(frozen=True)
class Prompts:
    """What was and what shall be. tokens_of: how many tokens a word is; context: positions of the text model, the first
    of which is its start token."""

    source: str
    target: str
    tokens_of: Callable[[str], int]
    context: int

    def positions(self, text: str) -> list[list[int]]:
        """The positions of each word; BadInput where they do not fit."""
        at, out = 1, []
        for word in text.split():
            count = self.tokens_of(word)
            out.append(list(range(at, at + count)))
            at += count
        if at + 1 > self.context:
            raise BadInput(f"prompt {text[:40]!r}... has {at - 1} tokens, at most {self.context - 2} fit")
        return out

    def find(self, text: str, word: str) -> list[int]:
        """All positions of a word in a prompt; BadInput where it is not one of its words."""
        words = text.split()
        if word not in words:
            raise BadInput(f"word {word!r} is not in the prompt {text!r}")
        return [p for w, positions in zip(words, self.positions(text), strict=True) if w == word for p in positions]

    def changed(self) -> list[str]:
        """The words of the source prompt that the target prompt does not keep."""
        return [self.source.split()[i] for i, j in self.pairs() if j is None and i is not None]

    def pairs(self) -> list[tuple[int | None, int | None]]:
        """Words of both prompts side by side, None where one has no counterpart."""
        out: list[tuple[int | None, int | None]] = []
        source, target = self.source.split(), self.target.split()
        for kind, i, i_end, j, j_end in SequenceMatcher(None, source, target, autojunk=False).get_opcodes():
            if kind == "equal":
                out += zip(range(i, i_end), range(j, j_end), strict=True)
            else:
                out += [(k, None) for k in range(i, i_end)] + [(None, k) for k in range(j, j_end)]
        return out


def replacing(prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Word for word (prompt-to-prompt's replacement): mapper float (n, m), and taken bool (m,), all of them.

    Column j of a map of the target is the source's map times column j of the mapper: the token in the same place of the
    word in the same place. Where a word has other tokens than its counterpart, each takes the mean of all.
    """
    source, target = prompts.positions(prompts.source), prompts.positions(prompts.target)
    if len(source) != len(target):
        raise BadInput(
            f"replacing needs as many words: {prompts.source!r} has {len(source)}, {prompts.target!r} {len(target)}; "
            "refine instead"
        )
    mapper = torch.zeros(prompts.context, prompts.context)
    mapper[0, 0] = 1
    for old, new in zip(source, target, strict=True):
        if len(old) == len(new):
            mapper[old, new] = 1
        else:
            mapper[torch.tensor(old)[:, None], torch.tensor(new)] = 1 / len(old)
    rest_of(mapper, source, target)
    return mapper, torch.ones(prompts.context, dtype=torch.bool)


def refining(prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Words that both prompts have take the source's map, new ones keep their own (prompt-to-prompt's refinement):
    mapper float (n, m), taken bool (m,)."""
    source, target = prompts.positions(prompts.source), prompts.positions(prompts.target)
    mapper = torch.zeros(prompts.context, prompts.context)
    mapper[0, 0] = 1
    for i, j in prompts.pairs():
        if i is not None and j is not None:
            mapper[source[i], target[j]] = 1
    rest_of(mapper, source, target)
    return mapper, mapper.any(0)


def rest_of(mapper: Tensor, source: list[list[int]], target: list[list[int]]) -> None:
    """End and padding, in place: one by one from the end of the prompts on, and the last position for what is left."""
    start, end = (positions[-1][-1] + 1 if positions else 1 for positions in (source, target))
    for j in range(end, len(mapper)):
        mapper[min(start + j - end, len(mapper) - 1), j] = 1

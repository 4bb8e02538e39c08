"""A language model by rule that never errs on the small world's chronicles: it says what a text can answer at best.

It rephrases a group as what most of its captions say. It summarises a text as its lines that name what the question
counts or looks for; for other questions it keeps all. An answer has the log-likelihood 0 if it follows from the text,
-1 if it does not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from minilib.errors import BadInput

ENTRY = re.compile(r"^(.*?)(?: x (\d+))?(?: : (\d+)(?: to (\d+))?)?(?: \.)?$")
ITEM = re.compile(r"^\d+ \. (.*)$")


@dataclass(frozen=True)
class Said:
    """A line of a text: what happens, None for nothing, from `first` to `last` (-1 without times), how many captions
    say so."""

    event: str | None
    first: int
    last: int
    count: int


def event_of(caption: str) -> str | None:
    """What a caption says, whatever its wording."""
    event = re.sub(r"^(?:a|the) | on \w+$", "", caption.strip())
    return None if event.startswith("nothing") else event


def said(line: str) -> Said:
    caption, count, first, last = ENTRY.match(line.strip()).groups()
    start = -1 if first is None else int(first)
    return Said(event_of(caption), start, start if last is None else int(last), int(count or 1))


def seconds_of(text: str) -> set[int]:
    """All seconds that the entries of a text span."""
    lines = [said(line) for line in text.splitlines()]
    return {second for line in lines if line.first >= 0 for second in range(line.first, line.last + 1)}


@dataclass(frozen=True)
class RuleModel:
    """`LanguageModel` by rule."""

    def complete(self, prompt: str, most: int) -> str:
        """A list rephrased, or the lines of a text that a question is about."""
        task, *lines = prompt.splitlines()
        if task == "rephrase :":
            items = [ITEM.match(line)[1].split(" ; ") for line in lines if ITEM.match(line)]
            told = [Counter(map(event_of, item)).most_common(1)[0][0] or "nothing moves" for item in items]
            return "\n".join(f"{at} . {text}" for at, text in enumerate(told, 1))
        if not task.startswith("read : "):
            raise BadInput(f"prompt {task[:40]!r}: the model by rule rephrases and reads, nothing else")
        lines, question = lines[:-1], task.removeprefix("read : ")
        kept = [line for line in lines if (said(line).event or "nothing moves") in question]
        return "\n".join(kept if " : " in question else lines)

    def log_likelihood(self, prompt: str, endings: Sequence[str]) -> list[tuple[float, int]]:
        *lines, question, _ = prompt.strip().splitlines()
        text = [each for each in map(said, lines) if each.event is not None]
        follows = true_answer(text, question.removeprefix("question : "))
        return [(float(follows == ending.removesuffix(" .")) - 1.0, 1) for ending in endings]


def true_answer(text: Sequence[Said], question: str) -> str | None:
    """The answer that follows from the lines of a text, None where none does."""
    target = re.sub(r"^.*?(?:before|after|:) (.*) \?$", r"\1", question)
    at = [i for i, each in enumerate(text) if each.event == target]
    of_it = [text[i] for i in at]
    if question.startswith("what happens first"):
        return text[0].event if text else None
    if question.startswith("what happens last"):
        return max(text, key=lambda each: each.last).event if text else None
    if not of_it:
        return None
    if question.startswith("what happens just"):
        beside = at[-1] + 1 if "after" in question else at[0] - 1
        return text[beside].event if 0 <= beside < len(text) else None
    total = sum(each.count for each in of_it)
    if question.startswith("how often"):
        return f"{total} times"
    if question.startswith("how long"):
        return f"{total} seconds"
    return f"{of_it[0].first} to {max(each.last for each in of_it)}"

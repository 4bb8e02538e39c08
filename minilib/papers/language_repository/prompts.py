"""What the language model is asked, what an entry looks like, and how a numbered list is read from a reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ITEM = re.compile(r"^\W*(\d+)\s*[.):\]-]+(?!\d)[\s*]*(.*?)[\s*.]*$")  # "12. text", "**3)** text"; not "3.5 text"

Times = tuple[float, ...]


@dataclass(frozen=True)
class Prompts:
    """Texts with named places: rephrase_text has {items}, summary_text and answer_text {text} and {question},
    choose_text {question} and {options}. item: a line of the list, its number and its captions, which `between` joins.
    show: an entry as text; show_caption: a caption, for readers without a repository. join: between summaries. ending:
    an answer behind the prompt. rephrase_most, summary_most: tokens that a reply may have, item_most those of a line
    of a list."""

    rephrase_text: str
    summary_text: str
    answer_text: str
    choose_text: str
    item: str
    between: str
    show: Callable[[Times, str], str]
    show_caption: Callable[[Times, str], str]
    join: str
    rephrase_most: int = 500
    summary_most: int = 500
    item_most: int = 500
    ending: str = "{}"

    def rephrase(self, groups: Sequence[Sequence[str]]) -> str:
        """Asks for one sentence for each group of captions, as a numbered list."""
        items = [self.item.format(at, self.between.join(each)) for at, each in enumerate(groups, 1)]
        return self.rephrase_text.format(items="\n".join(items))

    def summarise(self, text: str, question: str) -> str:
        """Asks for what a chunk's text says about the question."""
        return self.summary_text.format(text=text, question=question)

    def answer(self, text: str, question: str) -> str:
        """Text and question, behind which an answer stands."""
        return self.answer_text.format(text=text, question=question)

    def choose(self, question: str, options: str) -> str:
        """The question with its options, a letter each where the text shows them."""
        return self.choose_text.format(question=question, options=options)


def released_entry(times: Times, text: str) -> str:
    """Times and count as the released code writes them."""
    at = ",".join(f"{time:g}" for time in times)
    return f"At t={at}, {text}" + (f" (x {len(times)})" if len(times) > 1 else "")


def bare_entry(times: Times, text: str) -> str:
    """No metadata."""
    return text


def short_entry(times: Times, text: str) -> str:
    """As the small world's language model reads it: text, count, first and last second; of one caption, its second.
    Times stand behind the words, where the model finds them by what stands before."""
    if len(times) == 1:
        return short_caption(times, text)
    return f"{text} x {len(times)} : {times[0]:g} to {times[-1]:g} ."


def short_caption(times: Times, text: str) -> str:
    """A caption with its second, as the same model reads it."""
    return f"{text} : {times[0]:g} ."


def parse_list(reply: str, count: int) -> list[str | None]:
    """Items 1 to `count` of a numbered list, None for one that the reply does not have.

    Lines before, between and after the items are left out, as are numbers beyond `count`; of two lines with one number
    the first counts. A reply with exactly `count` lines, none of which has a number, is a list without numbers. What is
    empty but for signs is no item.
    """
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    items: dict[int, str] = {}
    for line in lines:
        found = ITEM.match(line)
        if found and found[2]:
            items.setdefault(int(found[1]), found[2].strip())
    if not items and len(lines) == count and not any(ITEM.match(line) for line in lines):
        return [re.sub(r"^[-*•\s]+", "", line) or None for line in lines]
    return [items.get(at) for at in range(1, count + 1)]


SMALL = Prompts(
    rephrase_text="rephrase :\n{items}\nreply :\n",
    summary_text="read : {question}\n{text}\nreply :\n",
    answer_text="{text}\nquestion : {question}\nanswer :",
    choose_text="{question}",
    item="{} . {}",
    between=" ; ",
    show=short_entry,
    show_caption=short_caption,
    join="\n",
    rephrase_most=400,
    summary_most=80,
    item_most=9,
    ending="{} .",
)

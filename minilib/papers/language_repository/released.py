"""The released configurations, as the commands of the authors' README give them (565eba4)."""

from __future__ import annotations

from dataclasses import dataclass

from minilib.papers.language_repository.method import Writing
from minilib.papers.language_repository.prompts import Prompts, bare_entry


@dataclass(frozen=True)
class Configuration:
    """chunks: those that are read, counted over all iterations (the released code calls them scales). rephrase_words
    and summary_words: what the prompts ask for."""

    iterations: tuple[Writing, ...]
    chunks: tuple[int, ...]
    summary_words: int = 500
    rephrase_words: int = 20


RELEASED = {
    "egoschema": Configuration((Writing(4, 0.25, 4),), (-4, -3, -2, -1)),
    "next_qa": Configuration((Writing(2, 0.25, 2), Writing(2, 0.25, 2)), (-2, -1)),
    "intent_qa": Configuration((Writing(1, 0.25, 4),), (-1,)),
    "next_gqa": Configuration((Writing(2, 0.25, 2), Writing(1, 0.25, 2)), (-3, -2, -1), summary_words=250),
}


def released_prompts(configuration: Configuration) -> Prompts:
    """Prompts that ask in our words for what the released ones ask for; entries without metadata, as by default."""
    return Prompts(
        rephrase_text="Each item of this list has several captions of one video. Rephrase each item as a single "
        f"sentence of at most {configuration.rephrase_words} words. Reply with the numbered list alone.\n{{items}}\n",
        summary_text="These are captions of a part of a video:\n{text}\nWrite a summary of at most "
        f"{configuration.summary_words} words that helps to answer this question: {{question}}\n",
        answer_text="What happens in a video: {text}\nQuestion: {question}\nAnswer:",
        choose_text="{question}\n{options}\nAnswer with the letter of the best option alone.",
        item="{}. {}",
        between=". ",
        show=bare_entry,
        show_caption=bare_entry,
        join=". ",
        ending=" {}",
    )

"""Five answers and one question: chosen by likelihood, or generated and read from the reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minilib.errors import BadInput
from minilib.papers.language_repository.models import LanguageModel
from minilib.papers.language_repository.prompts import Prompts

LETTERS = "ABCDEFGHIJ"
Normalise = Callable[[float, int, str], float]  # sum of log-probabilities, tokens, the answer -> score


def per_token(total: float, tokens: int, answer: str) -> float:
    """The released one: the mean over the answer's tokens (cross-entropy, negated)."""
    return total / tokens


def per_sum(total: float, tokens: int, answer: str) -> float:
    """The plain sum, which prefers short answers."""
    return total


def per_byte(total: float, tokens: int, answer: str) -> float:
    """By the answer's length in UTF-8, whatever its tokens are."""
    return total / len(answer.encode())


NORMALISATIONS: dict[str, Normalise] = {"token": per_token, "sum": per_sum, "byte": per_byte}


def check_answers(question: str, answers: Sequence[str]) -> None:
    """Raises BadInput for a question whose answers cannot be told apart."""
    if not question.strip():
        raise BadInput("an empty question: ask something")
    if not 2 <= len(answers) <= len(LETTERS):
        raise BadInput(f"question {question!r}: {len(answers)} answers, there can be 2 to {len(LETTERS)}")
    folded = [answer.strip().casefold() for answer in answers]
    if "" in folded or len(set(folded)) < len(folded):
        raise BadInput(f"question {question!r}: an answer is empty or appears twice")


def likeliest(
    text: str, question: str, answers: Sequence[str], model: LanguageModel, prompts: Prompts
) -> dict[str, int]:
    """The index of the best answer under each normalisation; "token" is the released one. Text and question are the
    same for all answers, so only the answers' own tokens count.

    Raises BadInput for answers that cannot be told apart."""
    check_answers(question, answers)
    endings = [prompts.ending.format(answer) for answer in answers]
    found = list(zip(model.log_likelihood(prompts.answer(text, question), endings), endings, strict=True))
    scores = {name: [score(*pair, ending) for pair, ending in found] for name, score in NORMALISATIONS.items()}
    return {name: each.index(max(each)) for name, each in scores.items()}


@dataclass(frozen=True)
class Generated:
    """reply as it came; strict: the index that it names by its letter, lenient: also by its words; None where it names
    none. What is None counts as wrong."""

    reply: str
    strict: int | None
    lenient: int | None


def generate(
    text: str, question: str, answers: Sequence[str], model: LanguageModel, prompts: Prompts, most: int = 20
) -> Generated:
    """The answer that the model writes, shown all with their letters where the prompts show them. Raises BadInput for
    answers that cannot be told apart."""
    check_answers(question, answers)
    options = "\n".join(f"{letter}: {answer}" for letter, answer in zip(LETTERS, answers, strict=False))
    reply = model.complete(prompts.answer(text, prompts.choose(question, options)), most)
    strict = parse_letter(reply, len(answers))
    return Generated(reply, strict, parse_words(reply, answers) if strict is None else strict)


def parse_letter(reply: str, count: int) -> int | None:
    """The one option that a reply names by its letter at its start or after "answer is"; None for no letter, one
    beyond the options, or two different ones."""
    letters = f"[{LETTERS}]"
    start = re.match(rf"\W*(?:option\s+|answer\s*(?:is)?\s*:?\s*)?\W*({letters})(?![\w'])", reply, re.I)
    named = [start[1]] if start and (start[1].isupper() or len(reply.strip(" .()*\n")) == 1) else []
    named += re.findall(rf"answer(?:\s+is|\s*:)\s*\W*(?:option\s+)?({letters})(?![\w'])", reply, re.I)
    found = {LETTERS.index(letter.upper()) for letter in named}
    return found.pop() if len(found) == 1 and max(found) < count else None


def parse_words(reply: str, answers: Sequence[str]) -> int | None:
    """The one option whose words stand in the reply, None for none or several."""
    found = [a for a, answer in enumerate(answers) if _words(answer) in _words(reply)]
    return found[0] if len(found) == 1 else None


def _words(text: str) -> str:
    """Words alone, with a space on both sides, so that one phrase is found in another by whole words."""
    found = " ".join(re.findall(r"[^_\W]+", text.casefold()))
    return f" {found} "


def share_parsed(generated: Sequence[Generated]) -> dict[str, float]:
    """Percent of replies that name an option, strictly and leniently; a metric beside accuracy. Raises BadInput for no
    replies."""
    if not generated:
        raise BadInput("no replies: ask before counting those that parsed")
    kinds = {"strict": [g.strict for g in generated], "lenient": [g.lenient for g in generated]}
    return {name: 100 * sum(each is not None for each in found) / len(found) for name, found in kinds.items()}

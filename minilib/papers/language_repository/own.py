"""Your own captions and any language model: a repository is written and read for one question, and answered.

A file of captions is JSON: sentences with their seconds, and a question with two to ten answers.

    {"captions": [[0, "a man opens a door"], ...], "question": "who comes in ?", "answers": ["a cat", "a dog"]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.language_repository.answers import Generated, check_answers, generate
from minilib.papers.language_repository.method import entries_of, read, write
from minilib.papers.language_repository.models import LanguageModel, LocalModel
from minilib.papers.language_repository.released import RELEASED, Configuration, released_prompts
from minilib.papers.language_repository.server import ServedModel

KEY = "OPENAI_API_KEY"  # the variable that holds a server's key, where it asks for one


@dataclass(frozen=True)
class Asked:
    """What a file of captions holds."""

    captions: tuple[tuple[float, str], ...]
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """text: what the repository says about the question. said: the reply, and the answer that it names."""

    text: str
    said: Generated
    answer: str | None

    def __str__(self) -> str:
        return f"{self.text}\n\nreply: {self.said.reply}\nanswer: {self.answer or 'none of those that were offered'}"


def read_asked(path: Path | str) -> Asked:
    """The captions, the question and the answers of a file. Raises BadInput for what is missing or wrong in it."""
    path = Path(path).expanduser()
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"captions {path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise BadInput(f"captions {path}: not JSON ({error})") from error
    shape = {"captions": list, "question": str, "answers": list}
    for name, kind in shape.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):
            raise BadInput(f"captions {path}: {name} must be a {'text' if kind is str else 'list'}")
    if wrong := [answer for answer in found["answers"] if not isinstance(answer, str)]:
        raise BadInput(f"captions {path}: the answer {wrong[0]!r} must be a text")
    entries_of(found["captions"])
    check_answers(found["question"], found["answers"])
    return Asked(tuple(map(tuple, found["captions"])), found["question"], tuple(found["answers"]))


def model_of(
    local: Path | str = "", server: str = "", name: str = "", device: str = "cpu", journal: Path | str | None = None
) -> LanguageModel:
    """The model of a local folder or .gguf file, or the one that a server calls `name` ("default" if it has one alone);
    the key of a server is read from OPENAI_API_KEY. Raises BadInput for both, neither, and what cannot be had."""
    if bool(str(local)) == bool(server):
        raise BadInput("a language model: give a local folder or .gguf file (weights), or the address of a server")
    if server:
        return ServedModel(server, name or "default", journal, key=os.environ.get(KEY, ""))
    return LocalModel(local, device)


def bag_of_words(texts: Sequence[str]) -> Tensor:
    """n texts -> (n, d), how often each of the d words of all of them occurs: an embedding that needs no model, for
    captions that say the same in the same words."""
    words = sorted({word for text in texts for word in text.lower().split()})
    return torch.tensor([[float(text.lower().split().count(word)) for word in words] for text in texts])


def answered(
    asked: Asked, model: LanguageModel, seed: int = 0, configuration: Configuration = RELEASED["egoschema"]
) -> Answered:
    """Written, read and answered as the released code does it for EgoSchema, merged by `bag_of_words`. Raises BadInput
    for fewer captions than chunks, and where a server does not answer."""
    prompts, generator = released_prompts(configuration), torch.Generator().manual_seed(seed)
    repository = write(asked.captions, configuration.iterations, bag_of_words, model, prompts, generator)
    text = read(repository, asked.question, model, prompts, configuration.chunks).text
    said = generate(text, asked.question, asked.answers, model, prompts)
    return Answered(text, said, None if said.lenient is None else asked.answers[said.lenient])

"""The words of the small world's language model, one id each.

Axes: b texts, t tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.small_clip import WORDS as PICTURE_WORDS

PAD, END = 0, 1
NUMBERS = 256  # seconds and counts, one word each
_MARKS = ["\n", ".", ":", ";", "?", "(", ")", "x", "t", "=", ","]
_SAID = (
    "nothing moves what happens first last just before after how often does it happen long when seconds times to "
    "question answer rephrase read reply summary"
)
WORDS = tuple(dict.fromkeys([*_MARKS, *map(str, range(NUMBERS)), *_SAID.split(), *PICTURE_WORDS]))  # append only
IDS = {word: i + 2 for i, word in enumerate(WORDS)}
CONTEXT = 4096  # tokens that are read at most


def words_of(text: str) -> list[str]:
    """Words, numbers, signs and line ends, each by itself; "x3" is "x 3"."""
    return re.findall(r"\n|\d+|[^\W\d]+|[^\w\s]", text.lower())


def encode(text: str) -> list[int]:
    """One id a word. BadInput for a word that the small world does not have, and for more text than can be read."""
    words = words_of(text)
    unknown = next((word for word in words if word not in IDS), None)
    if unknown is not None:
        raise BadInput(f"text {text[:40]!r}: the small language model has no word {unknown!r}; use a larger model")
    if len(words) > CONTEXT:
        raise BadInput(f"text {text[:40]!r}...: {len(words)} words, at most {CONTEXT} can be read")
    return [IDS[word] for word in words]


def padded(texts: Sequence[str]) -> Tensor:
    """Their ids (b, t), padded at the end."""
    rows = [torch.tensor(encode(text)) for text in texts]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def decode(ids: Sequence[int]) -> str:
    return " ".join(WORDS[i - 2] for i in ids if i > END).replace(" \n ", "\n").strip()

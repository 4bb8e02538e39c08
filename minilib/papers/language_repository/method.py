"""Language Repository (thesis Sec. 7.1.1): a long video as text that is written chunk by chunk and read for a question.

    captions, one a second
      | write: chunks -> merge alike captions -> group in order of time -> rephrase each group      (one scale)
      | write again, what is written, in fewer and longer chunks                                    (the next scale)
    repository: scales, each a list of chunks, each a list of entries (times, text)
      | read: chosen chunks -> a summary of each, asked for with the question
    text that answers the question

The thesis has no formulas for it; what it leaves open is as in the released code (github.com/kkahatapitiya/LangRepo,
565eba4). Departures from that code, each because it loses captions: a list's reply is read by its numbers (there: the
first two characters of each line are cut, wrong from item 10 on); a group without a line keeps its captions (there: the
group is deleted); chunks differ by one caption at most (there: the remainder is dropped).

Axes: n captions of a chunk, d channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.language_repository.models import LanguageModel, complete_all
from minilib.papers.language_repository.prompts import Prompts, parse_list

Embed = Callable[[Sequence[str]], Tensor]  # n texts -> (n, d)


@dataclass(frozen=True)
class Entry:
    """What happens at `times`, ascending seconds; as many as captions went into it."""

    times: tuple[float, ...]
    text: str


Chunk = tuple[Entry, ...]


@dataclass(frozen=True)
class Writing:
    """One iteration of writing: into how many chunks, which share of a chunk's captions is merged, how many captions
    share a destination. Raises BadInput for values out of range."""

    chunks: int
    merge_ratio: float = 0.25
    stride: int = 4

    def __post_init__(self):
        if self.chunks < 1 or self.stride < 1 or not 0 <= self.merge_ratio <= 1:
            raise BadInput(f"{self}: chunks and stride are 1 or more, the ratio lies between 0 and 1")


@dataclass(frozen=True)
class Repository:
    """scales[i]: the chunks that iteration i wrote, in order of time. written: calls of the language model, and the
    words it was given and replied, to tell the cost of writing from that of reading. unanswered: groups that got no
    line in a reply and kept their captions."""

    scales: tuple[tuple[Chunk, ...], ...]
    calls: int = 0
    words: int = 0
    unanswered: int = 0

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All, from the first scale's first to the last scale's last."""
        return tuple(chunk for scale in self.scales for chunk in scale)


def entries_of(captions: Sequence[tuple[float, str]]) -> Chunk:
    """Entries of (second, caption) pairs. Raises BadInput where there are none, one is empty or no such pair, or their
    order is not time's."""
    if not captions:
        raise BadInput("a video without captions: caption it first, one sentence a second")
    for at, caption in enumerate(captions):
        if not isinstance(caption, tuple | list) or len(caption) != 2 or not isinstance(caption[0], Real):
            raise BadInput(f"caption {at}: {caption!r} has no time; give pairs of a second and a sentence")
        if not isinstance(caption[1], str) or not caption[1].strip():
            raise BadInput(f"caption {at}, at {caption[0]:g} s: it is empty; leave it out")
    times = [time for time, _ in captions]
    late = next((at for at in range(1, len(times)) if times[at] <= times[at - 1]), None)
    if late is not None:
        raise BadInput(f"caption {late}: {times[late]:g} s comes after {times[late - 1]:g} s; sort captions by time")
    return tuple(Entry((time,), text) for time, text in captions)


# --- write-to-repo ---------------------------------------------------------------------------------------------------


def write(
    captions: Sequence[tuple[float, str]],
    iterations: Sequence[Writing],
    embed: Embed,
    model: LanguageModel,
    prompts: Prompts,
    generator: torch.Generator,
) -> Repository:
    """The repository of (second, caption) pairs: each iteration rewrites what the one before it wrote, in its own
    number of chunks. Chunks grow with the iterations as soon as their numbers do not rise.

    Raises BadInput for captions that `entries_of` refuses, more chunks than entries, and more chunks than before."""
    entries, scales, calls, words, unanswered = entries_of(captions), [], 0, 0, 0
    for at, writing in enumerate(iterations):
        if writing.chunks > len(entries):
            raise BadInput(f"iteration {at}: {writing.chunks} chunks of {len(entries)} captions; ask for fewer chunks")
        if at and writing.chunks > iterations[at - 1].chunks:
            raise BadInput(
                f"iteration {at}: {writing.chunks} chunks after {iterations[at - 1].chunks}: chunks must grow"
            )
        groups = [
            group(chunk, merges(embed([e.text for e in chunk]), writing, generator))
            for chunk in split(entries, writing.chunks)
        ]
        asked = [listed(each, prompts) for each in groups]
        lines = max(sum(len(each) > 1 for each in chunk) for chunk in groups)
        replies = complete_all(model, asked, min(prompts.rephrase_most, prompts.item_most * lines))
        scale, missing = zip(*map(rephrased, groups, replies), strict=True)
        calls, unanswered = calls + sum(map(bool, asked)), unanswered + sum(missing)
        words += sum(len(text.split()) for text in (*asked, *replies))
        scales.append(scale)
        entries = tuple(entry for chunk in scale for entry in chunk)
    return Repository(tuple(scales), calls, words, unanswered)


def split(entries: Chunk, chunks: int) -> list[Chunk]:
    """Consecutive chunks that differ by one entry at most."""
    ends = [len(entries) * i // chunks for i in range(chunks + 1)]
    return [entries[a:b] for a, b in pairwise(ends)]


def merges(features: Tensor, writing: Writing, generator: torch.Generator) -> list[int]:
    """For each of n captions the one into which it is merged, itself if none: token merging in one dimension (Bolya et
    al. 2023). Of every `stride` captions one at random is a destination; of the others the floor(ratio n) most alike to
    a destination, by the cosine of features (n, d), join it."""
    n = len(features)
    starts = torch.arange(0, n, writing.stride)
    sizes = (n - starts).clamp(max=writing.stride)
    places = (torch.rand(len(starts), generator=generator) * sizes).long()
    destination = starts + places
    is_source = torch.ones(n, dtype=torch.bool)
    is_source[destination] = False
    source = is_source.nonzero()[:, 0]
    unit = torch.nn.functional.normalize(features.float().cpu(), dim=-1)
    into = list(range(n))
    if len(source):
        likeness, best = (unit[source] @ unit[destination].T).max(1)
        order = likeness.argsort(descending=True, stable=True)[: int(writing.merge_ratio * n)]
        for s in order.tolist():
            into[int(source[s])] = int(destination[best[s]])
    return into


def group(chunk: Chunk, into: Sequence[int]) -> list[list[Entry]]:
    """Entries that were merged, together; groups in the order of their first entry, entries in order of time."""
    groups: dict[int, list[Entry]] = {}
    for entry, destination in zip(chunk, into, strict=True):
        groups.setdefault(destination, []).append(entry)
    return list(groups.values())


def listed(groups: Sequence[Sequence[Entry]], prompts: Prompts) -> str:
    """The groups of several captions as one numbered list to be rephrased; "" where there are none."""
    several = [each for each in groups if len(each) > 1]
    return prompts.rephrase([[entry.text for entry in each] for each in several]) if several else ""


def rephrased(groups: Sequence[Sequence[Entry]], reply: str) -> tuple[Chunk, int]:
    """One entry a group from the reply to `listed`; single captions pass unchanged, and a group without a line in the
    reply keeps its captions. Also how many groups got no line."""
    lines = iter(parse_list(reply, sum(len(each) > 1 for each in groups)))
    out: list[Entry] = []
    missing = 0
    for each in groups:
        if len(each) == 1:
            out.append(each[0])
            continue
        line = next(lines)
        if line is None:
            missing += 1
            out.extend(each)
        else:
            out.append(Entry(tuple(sorted(time for entry in each for time in entry.times)), line))
    return tuple(sorted(out, key=lambda entry: entry.times[0])), missing


# --- read-from-repo --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """text: what a question is answered from; calls and words as in `Repository`."""

    text: str
    calls: int
    words: int


def read(
    repository: Repository,
    question: str,
    model: LanguageModel,
    prompts: Prompts,
    chunks: Sequence[int] | None = None,
    summarise: bool = True,
) -> Reading:
    """What the repository says about a question. `chunks`: which of `repository.chunks` are read, counted over all
    scales, all by default. Each becomes a summary conditioned on the question, joined by `prompts.join`; without
    `summarise` the entries themselves are joined by lines.

    Raises BadInput for an empty repository, and for a chunk that it does not have."""
    every = repository.chunks
    if not any(every):
        raise BadInput("an empty repository: write captions into it before reading")
    chosen = range(len(every)) if chunks is None else chunks
    wrong = next((at for at in chosen if not -len(every) <= at < len(every)), None)
    if wrong is not None:
        raise BadInput(f"chunk {wrong}: the repository has {len(every)} chunks, 0 to {len(every) - 1}")
    texts = ["\n".join(prompts.show(entry.times, entry.text) for entry in every[at]) for at in chosen]
    if not summarise:
        return Reading("\n".join(texts), 0, 0)
    asked = [prompts.summarise(text, question) for text in texts]
    replies = [reply.strip() for reply in complete_all(model, asked, prompts.summary_most)]
    words = sum(len(text.split()) for text in (*asked, *replies))
    summaries = [reply or text for reply, text in zip(replies, texts, strict=True)]  # nothing said, nothing lost
    return Reading(prompts.join.join(summaries), len(texts), words)

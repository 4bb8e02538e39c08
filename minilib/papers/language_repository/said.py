"""Sentences about Language Repository's results, made from what was measured: they say nothing that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from statistics import fmean

from minilib.claims.words import number, several
from minilib.papers.language_repository.figures import Rows, by_length, everywhere, exponent

ALIKE = 0.1  # exponents that differ by less grow alike


def growth(rows: Rows, recipes: Mapping[int, str], less: str = "repository", more: str = "captions") -> str:
    """How fast the words that are read grow with the length of videos, and how many fewer one context has."""
    read = {name: by_length(rows, recipes, name, "/words") for name in (less, more)}
    if any(len(points) < 2 for points in read.values()):
        return "Not measured yet at several lengths."
    low, high = (exponent(list(points), list(points.values())) for points in read.values())
    shared = sorted(set(read[less]) & set(read[more]))
    factor = read[more][shared[-1]] / read[less][shared[-1]]
    count = several(len(everywhere(rows, recipes, less, "/words")), "replicates")
    text = f"From {several(shared[0], 'chunks')} to {shared[-1]} the words of a {less} grow with exponent {low:.2f}, "
    text += f"those of all {more} with {high:.2f} (means over the {count} that all lengths have). "
    if abs(low - high) <= ALIKE:
        text += "It grows as fast: what it saves is a factor, not an exponent"
    else:
        text += "It grows more slowly" if low < high else "It grows faster"
    text += f"; at {shared[-1]} chunks all {more} have {number(factor)} times as many words." if factor > 1 else "."
    wrote = by_length(rows, recipes, less, "/words_written")
    if len(wrote) < 2:
        return text
    paid = exponent(list(wrote), list(wrote.values()))
    return f"{text} Writing, paid once a video, grows with exponent {paid:.2f}."


def seconds(
    taken: Mapping[str, Mapping[int, tuple[float, float]]], less: str = "repository", more: str = "captions"
) -> str:
    """How long the longest chronicle's first and each further answer takes, and after how many questions writing has
    paid."""
    last = max(taken[less])
    (wrote, read), (_, plain) = taken[less][last], taken[more][last]
    text = f"At {several(last, 'chunks')}, on this machine, an answer from all {more} takes {plain:.2f} s; writing the "
    text += f"{less} takes {wrote:.2f} s and each answer from it {read:.2f} s"
    if read >= plain:
        return f"{text}: in seconds nothing is saved."
    return f"{text}: writing has paid after {several(ceil(wrote / (plain - read)), 'questions')} about the same video."


def lost(rows: Rows) -> str:
    """How much of what a reader needs merging loses: a writer and reader that never errs, on all captions and on a
    repository, over as many tens of replicates as all have, for ten in a row have all kinds of questions equally often.
    """
    names = ("captions", "repository", "uniform")
    found = {name: rows.get(f"grid/by_rule/{name}", {}) for name in names}
    shared = sorted(set.intersection(*map(set, found.values())))
    shared = shared[: len(shared) // 10 * 10]
    if not shared:
        return "Not measured yet."
    captions, repository, uniform = (fmean(found[name][seed] for seed in shared) for name in names)
    text = f"Written and read without error, over {several(len(shared), 'replicates')}: all captions {captions:.0f} %, "
    text += f"the repository {repository:.0f} %, evenly spaced captions of its length {uniform:.0f} %. Merging loses "
    text += f"{captions - repository:.0f} points of what follows with certainty, leaving captions out "
    return f"{text}{captions - uniform:.0f}."


def control(alone: Mapping[int, float], chance: float = 20) -> str:
    """Whether the question alone is at chance, as it must be."""
    if not alone:
        return "Not measured yet."
    mean = fmean(alone.values())
    text = f"The question alone is right in {mean:.1f} % over {several(len(alone), 'replicates')}"
    if abs(mean - chance) < 1e-6:
        return f"{text}, as it must be."
    return f"{text}, not in {chance:g} %: it gives answers away."

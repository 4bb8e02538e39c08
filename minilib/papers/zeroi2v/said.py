"""Sentences about ZeroI2V's results, made from what was measured: they cannot say what it does not bear out.

Sentences about motion stand in `minilib.claims.motion`; page 02 reads them here with its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean

from torch import Tensor

from minilib.claims.motion import attention_on, axis_found, follows, told_apart, within_pairs
from minilib.claims.said import Printed, Rows, difference, lacking, means
from minilib.claims.words import in_words, number

__all__ = ["attention_on", "axis_found", "follows", "told_apart", "within_pairs"]  # beside what is defined here


def reached(reach: Mapping[str, Tensor]) -> str:
    """name -> bool (blocks, frames): how many frames have noticed a change of the last one after all blocks."""
    said = [f"{in_words(int(seen[-1].sum()))} with {name}" for name, seen in reach.items()]
    blocks, frames = next(iter(reach.values())).shape
    start = f"After {in_words(blocks)} blocks, of {in_words(frames)} frames this many know of the last one"
    return f"{start}: {'; '.join(said)}."


def costs(rows: Mapping[str, Mapping[int, float]]) -> str:
    """Geometric means of the rounds "cost/<what>.<who>", as the verdicts take them."""
    found = {
        name.removeprefix("cost/"): geometric_mean(rounds.values())
        for name, rounds in rows.items()
        if name.startswith("cost/")
    }
    if "latency.merged" not in found:
        return "Time and memory are not measured here yet."
    text = (
        f"On the device of the rows merged ZeroI2V takes {number(found['latency.merged'])} times as long as the image "
    )
    text += "model (ViT-B/16, one clip; geometric means over rounds, here and in the verdicts)."
    names = {"aim": "AIM", "evl": "EVL", "st_adapter": "ST-Adapter"}
    for what, words in (("step", "The time"), ("memory", "The memory")):
        each = [
            f"{word} {number(found[f'{what}.{name}'])}" for name, word in names.items() if f"{what}.{name}" in found
        ]
        text += f" {words} of a training step, in multiples of ZeroI2V's: {', '.join(each)}." if each else ""
    return text


def second(table: Printed, rows: Rows, first: str, others: Sequence[str]) -> str:
    """By how much `first` is ahead of others on the second image model, of those that are measured; of the rest that
    they are not, and the command that measures them."""
    there = [other for other in others if {first, other} <= means(table, rows).keys()]
    said = [difference(table, rows, first, other) for other in there]
    if len(there) < len(others):
        said.append(f"On the second CLIP, which captions alone have taught: {lacking(table, rows, 'zeroi2v')}")
    return " ".join(said)

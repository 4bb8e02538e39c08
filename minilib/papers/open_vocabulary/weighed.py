"""Sentences that weigh our slots against another way, an aim, or the boxes that controls emit, made from rows.

Rows are {metric: {replicate: value}}; replicates are groups of eight clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.said import means, paired
from minilib.claims.words import number, several
from minilib.papers.open_vocabulary.said import moves

Rows = Mapping[str, Mapping[int, float]]


def moved(rows: Rows, after: str, before: str, what: str = "It") -> str:
    """By how many points one metric lies above or below another, on the groups that both have."""
    sample = paired(rows, after, before)
    if sample is None:
        return f"{what}: not measured yet."
    low, high = sample.interval(EFFECT)
    reach = f"(98 % interval {number(low, '+')} to {number(high, '+')}, {several(sample.n, 'groups')})"
    return f"{what} {moves(sample.mean)} {reach}{', which may be nothing' if low <= 0 <= high else ''}."


def named_by_aim(rows: Rows, metric: str, aim: float) -> str:
    """Whether the shapes of found objects are named rightly as often as was aimed at."""
    values = list(rows.get(metric, {}).values())
    if len(values) < 2:
        return f"The aim for names was {aim:g} % of the shapes of found objects: not measured yet."
    sample = Sample.of(values)
    low, high = sample.interval(EFFECT)
    word = "reached" if sample.mean >= aim else "missed"
    return (
        f"The aim for names was {aim:g} % of the shapes of found objects: {word}, with {number(sample.mean)} % (98 % "
        f"interval {number(low)} to {number(high)})."
    )


def alike(rows: Rows, one: str, other: str) -> str:
    """In how many of the groups that both have two metrics are the same number: there a verdict has nothing to see."""
    pairs = pairs_of(rows.get(one, {}), rows.get(other, {})).values()
    if not pairs:
        return "not measured yet"
    return f"the same number in {sum(a == b for a, b in pairs)} of {several(len(pairs), 'groups')}"


def boxes_each(rows: Rows, table: Mapping[str, tuple[str, float | None]]) -> str:
    """How many boxes a frame each line of a table emits: whoever emits more finds more by luck."""
    counts = means({label: (f"{metric}/boxes", None) for label, (metric, _) in table.items()}, rows)
    if not counts:
        return "How many boxes each emits is not measured yet."
    most = sorted(counts, key=counts.get, reverse=True)
    listed = ", ".join(f"{label} {number(counts[label])}" for label in most)
    return f"Boxes a frame: {listed}. Whoever emits more finds more by luck."


def named_apart(rows: Rows, ours: str, control: str, what: str) -> str:
    """That two ways which find different objects cannot be compared by how they name them; the control is `what`. Over
    the groups that both have."""
    pairs = [pairs_of(rows.get(f"{control}{part}", {}), rows.get(f"{ours}{part}", {})) for part in ("", "/named")]
    if not all(pairs):
        return f"How {what} are named is not measured yet."
    few, many, theirs, own = (f"{fmean(each):.0f} %" for pair in pairs for each in zip(*pair.values(), strict=True))
    return (
        f"Whether good slots get better names these rows cannot say: {what} find {few} of the objects and ours {many} "
        f"({several(len(pairs[0]), 'groups')}), so the {theirs} and {own} of shapes that are named rightly are shares "
        "of different objects."
    )


def beside_released(rows: Rows) -> str:
    """Time and memory at the real size: medians of rounds "cost/<what>.<which>", ratios to the released graph's."""
    wanted = (
        "slots.forward.video",
        "slots.step.video",
        "slots.forward.frames",
        "slots.forward.released",
        "decoder.memory.chunked",
        "decoder.step.chunked",
    )
    found = {name: list(rows.get(f"cost/{name}", {}).values()) for name in wanted}
    if not all(found.values()):
        return "Time and memory are not measured here yet: `python -m minilib.study open_vocabulary --costs` does it."
    video, step, frames, released, memory, time = (f"{median(found[name]):.2f}" for name in wanted)
    return (
        f"One slot attention over all tokens of eight frames takes {video} times as long as the released graph takes "
        f"frame after frame ({step} with the backward pass); slots of each frame, all frames in one call, {frames}; "
        f"the released graph over all tokens, as the authors run it on video, {released}. "
        f"The decoder in chunks of slots needs {memory} times the memory of the direct reading in a training step, "
        f"and {time} times as long (8 x 196 tokens; times are medians of {several(len(found[wanted[0]]), 'rounds')} in "
        "one run, memory was taken once)."
    )

"""Sentences about the comparison, made from what was measured: they cannot say what it does not bear out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from torch import Tensor

from minilib.claims import Table
from minilib.claims.chosen import pairs_of
from minilib.claims.said import means, shared
from minilib.claims.words import in_words, number, several
from minilib.papers.comparison.figures import MISSING, STUCK, TASKS, Measured, named, near_chance, values
from minilib.papers.comparison.study import MERGED
from minilib.study import Tuned
from minilib.study.swept import at_edge, tried

COMMAND = "python -m minilib.study image_to_video_compared"


def front(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Which points no other beats: none is at most as costly and at least as good, and better in one of the two."""
    points = list(zip(costs, scores, strict=True))
    return [not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points) for cost, score in points]


def best_buys(measured: Measured, methods: Sequence[str], task: str, cost: str) -> str:
    """The methods that no other beats in both mean accuracy, over the seeds that all have, and median cost, from the
    cheapest on; and how many are beaten."""
    table = {name: (f"grid/{task}/{name}", None) for name in methods if values(measured, f"cost/{cost}.{name}")}
    found = {
        name: (median(values(measured, f"cost/{cost}.{name}")), mean) for name, mean in means(table, measured).items()
    }
    if len(found) < 2:
        return f"Not measured yet; `{COMMAND}` measures it."
    kept = [name for name, free in zip(found, front(*zip(*found.values(), strict=True)), strict=True) if free]
    kept.sort(key=lambda name: found[name])
    listed = ", ".join(f"{named(name)} ({found[name][1]:.0f} % at {found[name][0]:.2f})" for name in kept)
    beaten = len(found) - len(kept)
    seeds = several(len(shared({name: table[name] for name in found}, measured)), "seeds")
    text = f"By means alone, over the {seeds} that all have, from the cheapest up, no other method beats {listed}."
    if not beaten:
        return text
    other = "The other one is" if beaten == 1 else f"Each of the other {in_words(beaten)} is"
    return f"{text} {other} beaten by one of these."


def missing(table: Table, command: str) -> str:
    """How many rows of a table are not measured yet, and what measures them; nothing where none is missing."""
    count = sum(MISSING in row for row in table.rows)
    if not count:
        return ""
    lines = f"{in_words(count).capitalize()} of {several(len(table.rows), 'lines')}"
    return f"{lines} {'is' if count == 1 else 'are'} {MISSING}; `{command}` measures what is missing."


def gradients(through: Mapping[str, bool]) -> str:
    """Through which methods' image model a gradient passes, and through which not."""
    sides = [[named(name) for name, passes in through.items() if passes == side] for side in (True, False)]
    passing, sparing = (", ".join(side) or "none" for side in sides)
    return f"The gradient passes through the image model of {passing}; it does not through that of {sparing}."


def cheapest(measured: Measured, through: Mapping[str, bool], cost: str = "memory") -> str:
    """Whether what lets no gradient into the image model takes less of a cost than all that does: medians."""
    known = {name: median(found) for name in through if (found := values(measured, f"cost/{cost}.{name}"))}
    sides = [{name: known[name] for name in known if through[name] == side} for side in (True, False)]
    if not all(sides):
        return f"The {cost} of one kind is not measured yet; `{COMMAND}` measures it."
    passing, sparing = sides
    low, high = min(passing, key=passing.get), max(sparing, key=sparing.get)
    most, least = COSTLY[cost]
    text = f"Without gradients in the image model {most} is {named(high)}'s, {sparing[high]:.2f}; with them {least} is "
    text += f"{named(low)}'s, {passing[low]:.2f}."
    if sparing[high] < passing[low]:
        return f"{text} Here the question separates the two kinds."
    return f"{text} Here the question does not decide alone."


def merged_costs(measured: Measured, method: str, like: str) -> str:
    """What a merged method takes to run, as a multiple of another method's: medians of the rounds' ratios."""
    found = {
        what: pairs_of(*(measured.get(f"cost/{what}.{name}", {}) for name in (method + MERGED, like))) for what in WORDS
    }
    known = {what: median(one / other for one, other in rounds.values()) for what, rounds in found.items() if rounds}
    if not known:
        return f"What {named(method)} costs after merging is not measured yet; `{COMMAND}` measures it."
    listed = ", ".join(f"{ratio:.2f} of its {WORDS[what]}" for what, ratio in known.items())
    return f"Beside {named(like)}, merged {named(method)} takes {listed}."


COSTLY = {"memory": ("the most memory", "the least"), "step": ("the longest step", "the shortest")}
WORDS = {"work": "multiply-adds", "latency": "latency"}


def turned(answers: Mapping[str, tuple[Tensor, Tensor]]) -> str:
    """For how many clips each method's answer changes when the clip is played backward: two answers int64 (b,) each.
    Where none ever changes, the method sees no order."""
    share = {name: 100 * (there != back).double().mean().item() for name, (there, back) in answers.items()}
    blind = [name for name, changed in share.items() if changed == 0]
    count = len(next(iter(answers.values()))[0])
    listed = ", ".join(f"{named(name)} {changed:.0f} %" for name, changed in share.items())
    text = f"Played backward, so many of {several(count, 'clips')} get another answer: {listed}."
    if blind:
        return f"{text} No answer of {' and '.join(map(named, blind))} depends on the order."
    return (
        f"{text} An answer that changes depends on the order; whether it changes to the right one is another question."
    )


def swept(measured: Measured, methods: Sequence[str], tuned: Tuned, tasks: Sequence[str]) -> str:
    """Which methods have tried all rates and lengths on which task, with the rate that each chose, and which of these
    lie at an edge."""
    listed, edges = [], False
    for task in tasks:
        each = []
        for name in methods:
            if suffix := tried(measured, tuned, f"{task}/{name}")[1]:
                edge = at_edge(tuned, suffix)
                edges = edges or edge
                each.append(f"{named(name)} ({tuned.tries()[suffix][0]:.2g}{', an edge' if edge else ''})")
        listed.append(f"*{TASKS[task]}*: {', '.join(each) or 'nobody yet'}")
    text = "Who has tried all rates and lengths so far, and which multiple of its own rate it chose: "
    text += f"{'; '.join(listed)}."
    return (
        f"{text} At an edge of the {in_words(len(tuned.rates))} rates a better one may lie beyond." if edges else text
    )


def stuck(measured: Measured, methods: Sequence[str], chance: Mapping[str, float], recipe: str = "tuned") -> str:
    """Whose seeds partly lie near chance, task -> chance in percent: a mean over them is no typical seed's."""
    found = []
    for task, blind in chance.items():
        for name in methods:
            scores = values(measured, f"{recipe}/{task}/{name}")
            if low := near_chance(scores, blind):
                count = f"{in_words(len(low))} of {several(len(scores), 'seeds')}"
                levels = " and ".join(map(number, low))
                found.append(f"{named(name)} on *{TASKS[task]}*, {count} ({levels} %; chance {blind:.3g} %)")
    if not found:
        return ""
    text = f"Some seeds end near chance, less than {100 * STUCK:.0f} % of the way from it to a perfect score: "
    return f"{text}{'; '.join(found)}. The mean of such a row is no typical seed's."

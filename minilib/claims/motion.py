"""Sentences about motion, made from what was measured: which way a model sees things go in mirrored pairs of classes,
and whether its maps lie on what moves.

Axes: b clips, k classes, t frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from minilib.claims.intervals import EFFECT, Sample, quantile
from minilib.claims.words import in_words
from minilib.metrics.pairs import pair_accuracy


def within_pairs(scores: Tensor, labels: Tensor) -> dict[int, tuple[float, int]]:
    """First class of each mirrored pair -> accuracy within it in percent (chance 50), and of how many clips."""
    chosen = {first: labels // 2 == first // 2 for first in range(0, scores.shape[-1], 2)}
    return {
        first: (pair_accuracy(scores[these], labels[these]), int(these.sum()))
        for first, these in chosen.items()
        if these.any()
    }


def told_apart(name: str, within: Mapping[int, tuple[float, int]], classes: Sequence[str]) -> str:
    """In how many pairs the two directions are told apart, clear of chance at 98 %, and in which they are not."""
    above, below, rest = [], [], []
    for first, (accuracy, clips) in within.items():
        off = accuracy - 50
        reach = quantile(EFFECT, max(clips - 1, 1)) * 50 / clips**0.5
        word = f"“{classes[first]}” and “{classes[first + 1]}” ({accuracy:.0f} %)"
        (rest if abs(off) <= reach else above if off > 0 else below).append(word)
    if not above and not below:
        text = f"{name} is not clear of chance in any of {in_words(len(within))} pairs"
        return f"{text}: these clips do not show that it sees which way."
    text = f"{name} tells the two directions apart in {in_words(len(above)) if above else 'none'} of "
    text += f"{in_words(len(within))} pairs."
    text += f" Taken for one another: {', '.join(below)}." if below else ""
    return text + (f" Not clear of chance: {', '.join(rest)}." if rest else "")


def axis_found(name: str, scores: Tensor, labels: Tensor) -> str:
    """How often the best class belongs to the right pair, whichever way it goes."""
    chance = 200 / scores.shape[-1]
    share = 100 * (scores.argmax(-1) // 2 == labels // 2).double().mean().item()
    clear = quantile(EFFECT, max(len(labels) - 1, 1)) * (chance * (100 - chance) / len(labels)) ** 0.5
    knows = "so it knows something of the kind of motion" if share > chance + clear else "which a guess gives as well"
    text = f"{name} names the right pair, either way round, for {share:.0f} % of the clips (chance {chance:.0f} %)"
    return f"{text}, {knows}."


def attention_on(maps: Tensor, moving: Tensor) -> Tensor:
    """Share (b,) of maps (b, t, rows, columns) that lies where moving (b, t, rows, columns), in [0, 1], says."""
    mass = maps.flatten(1)
    return (mass * moving.flatten(1)).sum(1) / mass.sum(1).clamp(min=1e-12)


def follows(name: str, on: Tensor, area: Tensor) -> str:
    """Whether a map lies on what moves more than evenly spread light would: shares (b,) of the same clips."""
    low, high = (100 * end for end in Sample.of((on - area).tolist()).interval(EFFECT))
    text = f"{name}: {100 * on.mean():.1f} % lies on what moves, which covers {100 * area.mean():.1f} % of the frame"
    if low > 0:
        return f"{text}, {float(on.mean() / area.mean()):.1f} times as much as even light. It follows what moves."
    return f"{text}. " + ("It avoids what moves." if high < 0 else "It does not follow what moves.")

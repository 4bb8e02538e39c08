"""What a set of paired differences says: intervals, the words they decide, and how many more would decide.

Replicates are looked at three times. At each look the differences give a t-interval with their own variance: at 98 %
for an effect, at 96 % for its absence. The first look that decides stands, so that together a null effect is called an
effect about 5 % of the time; an effect of two standard deviations is found 72 % of the time at five, 99.8 % at ten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

LOOKS = {  # replicates 0-4, 0-9, 0-19
    "seeds": (5, 10, 20),
    "clips": (64, 128, 256),
    "sets": (64, 128, 256),
    "groups": (16, 32, 64),
}
EFFECT, NO_EFFECT, COSTS = 0.98, 0.96, 0.95  # coverages
ROUNDS = 10  # interleaved rounds that a cost needs

HOLDS, OPPOSITE, NO_DIFFERENCE, UNDECIDED = "holds here", "opposite here", "no difference here", "undecided"


@dataclass(frozen=True)
class Sample:
    """Differences by their mean, standard deviation and number."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, differences: Sequence[float]) -> Sample:
        n = len(differences)
        return cls(fmean(differences), stdev(differences) if n > 1 else math.nan, n)

    def interval(self, coverage: float) -> tuple[float, float]:
        """The t-interval of the mean, from at least two differences."""
        half = quantile(coverage, self.n - 1) * self.std / math.sqrt(self.n)
        return self.mean - half, self.mean + half


@lru_cache(maxsize=100_000)
def quantile(coverage: float, freedom: int) -> float:
    """Half the width of an interval of this coverage, in standard errors."""
    from scipy.stats import t  # half a second to import, which only orderings should cost

    return float(t.ppf((1 + coverage) / 2, freedom))


def decide(sample: Sample, test: str, margin: float, effect: float = EFFECT, no_effect: float = NO_EFFECT) -> str:
    """The word for differences better - worse in one look. `test` is greater, not_worse or equal."""
    low, high = sample.interval(effect)
    inner_low, inner_high = sample.interval(no_effect)
    inside = -margin < inner_low and inner_high < margin
    if test == "greater":
        if low > 0:
            return HOLDS
        if high < 0:
            return OPPOSITE
        return NO_DIFFERENCE if inside else UNDECIDED
    if test == "equal":
        if inside:
            return HOLDS
        return OPPOSITE if low > margin or high < -margin else UNDECIDED
    if inner_low > -margin:  # not_worse
        return HOLDS
    return OPPOSITE if high < -margin else UNDECIDED


@dataclass(frozen=True)
class Look:
    """The look that decided, or the last one that could be taken."""

    word: str
    n: int
    sample: Sample


def first_look(differences: Mapping[int, float], looks: Sequence[int], test: str, margin: float) -> Look | None:
    """Looks at replicates 0 to n - 1 for each n in turn, until one decides; None where the first look lacks some."""
    found = None
    for n in looks:
        if any(number not in differences for number in range(n)):
            break
        sample = Sample.of([differences[number] for number in range(n)])
        found = Look(decide(sample, test, margin), n, sample)
        if found.word != UNDECIDED:
            break
    return found


def needed(sample: Sample, looks: Sequence[int], test: str, margin: float) -> int | None:
    """How many replicates with this mean and deviation would decide; None beyond ten times the last look."""
    for n in range(sample.n + 1, 10 * looks[-1] + 1):
        if decide(Sample(sample.mean, sample.std, n), test, margin) != UNDECIDED:
            return n
    return None

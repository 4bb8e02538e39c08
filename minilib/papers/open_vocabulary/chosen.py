"""How `settled` was chosen: how long the shipped slots iterate, how much content keeps one, and whether the solidity of
a tube weighs its score. All combinations on validation clips; nothing is trained, and test clips are never read.

`python -m minilib.papers.open_vocabulary.chosen` prints the table; some three minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

from torch import Tensor

from minilib.claims import Table
from minilib.commands import answer
from minilib.papers.open_vocabulary.joint import solidity
from minilib.papers.open_vocabulary.localize import ITERATIONS, LESS_CONTENT, settled
from minilib.papers.open_vocabulary.naming import CONTENT
from minilib.papers.open_vocabulary.pipelines import WEIGHED, Oracle, Pipeline
from minilib.papers.open_vocabulary.proposals import Proposal, features_of, localizer, slots_of
from minilib.progress import progress
from minilib.study import Trial
from minilib.world.localization import Localization

GROUPS = 32  # of eight clips each
METRIC = "map50"


@dataclass(frozen=True)
class Iterated:
    """The shipped slots from the same draw, after so many iterations."""

    iterations: int

    def __call__(self, clips: Localization, seed: int) -> Proposal:
        slots = settled(localizer(), self.iterations).slots
        return slots_of(slots, features_of(localizer().encoder, clips, localizer().layer), seed)


@dataclass(frozen=True)
class Choice:
    """One combination; `weigh` as `Localizer.weigh`."""

    iterations: int = ITERATIONS
    least: float = LESS_CONTENT
    weigh: Callable[[Tensor, int], Tensor] | None = solidity

    def pipeline(self) -> Pipeline:
        return Pipeline(Iterated(self.iterations), rules=replace(WEIGHED, least=self.least, weigh=self.weigh))


AS_TRAINED = Choice(3, CONTENT, None)
CHOICES = tuple(Choice(*each) for each in product((3, 5, 10, 15), (0.3, 0.5, CONTENT), (None, solidity)))


def tried(choices: Sequence[Choice] = CHOICES, groups: int = GROUPS) -> tuple[dict[Choice, float], float]:
    """mAP50 of each choice and of the oracle, means over groups of validation clips, in percent."""
    scores: dict[Choice, list[float]] = {choice: [] for choice in choices}
    oracle: list[float] = []
    for group in progress(range(groups), "validation clips"):
        trial = Trial(group, split="val")
        oracle.append(Oracle().run(None, trial).metrics[METRIC])
        for choice, found in scores.items():
            found.append(choice.pipeline().run(None, trial).metrics[METRIC])
    return {choice: fmean(found) for choice, found in scores.items()}, fmean(oracle)


def table(scores: dict[Choice, float], oracle: float) -> Table:
    """The choices, best first."""
    rows = [
        (
            str(each.iterations),
            f"{each.least:g}",
            "yes" if each.weigh else "no",
            f"{value:.1f}",
            f"{100 * value / oracle:.0f}",
        )
        for each, value in sorted(scores.items(), key=lambda item: -item[1])
    ]
    header = ("iterations", "content", "solidity", "mAP50, %", "of the oracle's, %")
    return Table(header, tuple(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    ask = argparse.ArgumentParser(prog="python -m minilib.papers.open_vocabulary.chosen", description=__doc__)
    ask.add_argument("--groups", type=int, default=GROUPS, help=f"of eight validation clips each (default: {GROUPS})")
    args = ask.parse_args(arguments)
    if args.groups < 1:
        ask.error("--groups counts from 1")

    def run() -> int:
        print(table(*tried(groups=args.groups)))
        return 0

    return answer(run)


if __name__ == "__main__":
    raise SystemExit(main())

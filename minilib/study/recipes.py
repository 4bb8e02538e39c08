"""How to train: a recipe, and a recipe whose rate and length each variant chooses for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol


class Recipe(Protocol):
    """How to train: `TrainSettings`, or a frozen dataclass of several with the same methods."""

    def at_rate(self, factor: float) -> Recipe: ...

    def for_share(self, share: float) -> Recipe: ...

    def smoke(self) -> Recipe: ...


@dataclass(frozen=True)
class Tuned:
    """A recipe whose rate and length each variant chooses for itself: of all `rates` and `lengths` (shares of the
    recipe's steps) those with the best score on validation clips after a `share` of the steps, with a seed of their
    own. Every variant gets the same tries."""

    recipe: Recipe
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    lengths: tuple[float, ...] = (1.0,)
    share: float = 1 / 3
    seed: int = 1000

    def tries(self) -> dict[str, tuple[float, float]]:
        """(rate, length) by the suffix that a try has in a metric's name."""
        several = len(self.lengths) > 1
        return {
            f"rate{rate:.2g}" + (f"_length{length:.2g}" if several else ""): (rate, length)
            for length in self.lengths
            for rate in self.rates
        }

    def trying(self, suffix: str) -> Recipe:
        """The recipe of one try."""
        rate, length = self.tries()[suffix]
        return self.recipe.for_share(self.share * length).at_rate(rate)

    def chosen(self, suffix: str) -> Recipe:
        """The recipe of a variant whose best try this was."""
        rate, length = self.tries()[suffix]
        recipe = self.recipe.at_rate(rate)
        return recipe if length == 1 else recipe.for_share(length)

    def smoke(self) -> Tuned:
        return replace(self, recipe=self.recipe.smoke(), rates=(1.0,), lengths=(1.0,), share=1.0)


def parts_of(metric: str) -> tuple[str, str, str]:
    """Recipe, suffix and variant of "<recipe>[.<suffix>]/<variant>"."""
    name, _, which = metric.partition("/")
    recipe, _, suffix = name.partition(".")
    return recipe, suffix, which

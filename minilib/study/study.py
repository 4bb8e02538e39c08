"""Variants, recipes, and the study that measures the ones by the others.

The order inside a run is the cure for starts that depend on caches: inputs are made first, then the seed is set, then
the model is built. A seed trains and tests on clips of its own, which all variants share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import nn

from minilib.claims import Claims, Measurements
from minilib.errors import BadInput
from minilib.progress import progress
from minilib.resume import History
from minilib.settings import describe, key
from minilib.study.feeds import Feed, Task
from minilib.training import Objective, TrainSettings, train

FOLDERS = {"image_to_video_compared": "comparison"}  # papers whose folder has another name


class Outcome(NamedTuple):
    """A trained model, its history, and its metrics by name; "" is the score that the row is called by."""

    model: nn.Module
    history: History
    metrics: dict[str, float]

    @property
    def score(self) -> float:
        return self.metrics[""]


class Recipe(Protocol):
    """How to train: `TrainSettings`, or a frozen dataclass of several with the same methods."""

    def at_rate(self, factor: float) -> Recipe: ...

    def for_share(self, share: float) -> Recipe: ...

    def smoke(self) -> Recipe: ...


class Runnable(Protocol):
    """Anything that a recipe and a seed turn into an `Outcome`: a `Variant`, an ensemble, a zero-shot reader. A frozen
    dataclass, so that it can stand in the settings of a row."""

    def run(
        self,
        recipe: Recipe,
        seed: int,
        device: str = "cpu",
        label: str = "training",
        split: str = "test",
        checkpoint: Path | None = None,
    ) -> Outcome: ...

    def smoke(self) -> Runnable: ...


@dataclass(frozen=True)
class Variant:
    """One row of a table. build(train inputs) makes the model, most often without looking at them; `objective` None is
    the cross-entropy; lr multiplies the recipe's rate; also(model, test inputs, device) -> more metrics of the trained
    model, recorded as "<recipe>/<variant>/<metric>"."""

    build: Callable[[Feed], nn.Module]
    task: Task
    objective: Objective | None = None
    lr: float = 1.0
    also: Callable[[nn.Module, Feed, str], Mapping[str, float]] | None = None

    def run(
        self,
        recipe: TrainSettings,
        seed: int,
        device: str = "cpu",
        label: str = "training",
        split: str = "test",
        checkpoint: Path | None = None,
    ) -> Outcome:
        """Trains on the seed's own clips and tests on its own clips of `split`."""
        train_inputs = self.task.feed("train", seed, device)
        test_inputs = self.task.feed(split, seed, device)
        model, history = self.trained(train_inputs, recipe, seed, device, label, checkpoint)
        score = self.task.score(model, test_inputs, device)
        more = self.also(model, test_inputs, device) if self.also else {}
        return Outcome(model, history, {"": score, **more})

    def trained(
        self,
        inputs: Feed,
        recipe: TrainSettings,
        seed: int,
        device: str = "cpu",
        label: str = "training",
        checkpoint: Path | None = None,
    ) -> tuple[nn.Module, History]:
        """The model, built once the inputs are there and the seed is set, after the recipe."""
        torch.manual_seed(seed)
        model = self.build(inputs)
        history = train(
            model,
            inputs.batches(seed, recipe.batch),
            recipe.at_rate(self.lr).with_seed(seed),
            len(self.task.classes),
            device,
            checkpoint,
            every=CHECKPOINT_EVERY,
            label=label,
            objective=self.objective,
        )
        return model, history

    def smoke(self) -> Variant:
        return replace(self, task=self.task.smoke())


CHECKPOINT_EVERY = 200  # steps


@dataclass(frozen=True)
class Tuned:
    """A recipe whose rate each variant chooses for itself: of `rates` the one with the best score on validation clips
    after a share of the steps, with a seed of its own. Every variant gets the same three tries."""

    recipe: Recipe
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    share: float = 1 / 3
    seed: int = 1000

    def smoke(self) -> Tuned:
        return replace(self, recipe=self.recipe.smoke(), rates=(1.0,), share=1.0)


@dataclass(frozen=True)
class Row:
    """A line of a table: a metric without its recipe ("zeroi2v", or "oca/jf"), and the key of the printed number in the
    paper's claims file, None where the paper has none."""

    variant: str
    paper: str | None = None


@dataclass(frozen=True)
class Study:
    """variants by name. recipes: "core" (live), "grid" (short and wide), "tuned". grids: which variants each recipe is
    meant for. tables: name -> label -> Row, of the grid. costs(rows): measures what is timed, in interleaved rounds.
    gains and printed numbers stand in the claims file."""

    paper: str
    variants: Mapping[str, Runnable]
    recipes: Mapping[str, Recipe | Tuned]
    grids: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    costs: Callable[[Measurements], None] | None = None

    def metrics(self, recipe: str = "") -> list[str]:
        """Names of everything that can be measured: "<recipe>/<variant>"."""
        return [f"{name}/{each}" for name, grid in self.grids.items() if recipe in ("", name) for each in grid]

    def smoke(self) -> Study:
        """The same study in seconds: a few steps, a handful of clips."""
        variants = {name: variant.smoke() for name, variant in self.variants.items()}
        return replace(self, variants=variants, recipes={name: each.smoke() for name, each in self.recipes.items()})

    def printed(self, table: str, claims: Claims, recipe: str = "grid") -> dict[str, tuple[str, float | None]]:
        """A table as pictures take it: label -> (metric of a recipe, the paper's number)."""
        return {
            label: (f"{recipe}/{row.variant}", None if row.paper is None else claims.number(row.paper))
            for label, row in self.tables[table].items()
        }

    def at(self, scale: str) -> Study:
        """The study of a notebook's scale."""
        return self.smoke() if scale == "smoke" else self

    def resolve(self, metric: str, rows: Measurements) -> tuple[Runnable, Recipe]:
        """The variant and the recipe of "<recipe>[.<suffix>]/<variant>". Suffixes: `half`, half of the steps, and of a
        tuned recipe `rate<factor>`, one try of its sweep. A tuned rate is looked up, or found by the sweep."""
        name, _, which = metric.partition("/")
        name, _, suffix = name.partition(".")
        if name not in self.recipes or which not in self.variants:
            known = (
                f"its recipes are {', '.join(self.recipes)}; `python -m minilib.study {self.paper} --list` lists all"
            )
            raise BadInput(f"{metric!r} is no metric of {self.paper}: {known}")
        recipe = self.recipes[name]
        if isinstance(recipe, Tuned):
            tuned = recipe
            if suffix.startswith("rate"):
                rate = {f"rate{each:.2g}": each for each in tuned.rates}[suffix]
                return self.variants[which], tuned.recipe.for_share(tuned.share).at_rate(rate)
            recipe = tuned.recipe.at_rate(self.rate(name, which, rows))
        return self.variants[which], recipe.for_share(0.5) if suffix == "half" else recipe

    def rate(self, recipe: str, variant: str, rows: Measurements) -> float:
        """The rate that a variant chooses under a tuned recipe: the sweep's rows, measured where they are missing."""
        tuned = self.recipes[recipe]
        if len(tuned.rates) == 1:
            return tuned.rates[0]
        return max(tuned.rates, key=lambda rate: self.measure(f"{recipe}.rate{rate:.2g}/{variant}", tuned.seed, rows))

    def settings(self, metric: str, rows: Measurements) -> object:
        """All that makes a row but its seed, as plain data."""
        return describe(self.resolve(metric, rows))

    def measure(self, metric: str, seed: int, rows: Measurements) -> float:
        """The score of one variant under one recipe with one seed: the row that is there, or the run that makes it and
        all its other metrics."""
        variant, recipe = self.resolve(metric, rows)
        settings = describe((variant, recipe))
        known = rows.row(metric, seed, settings)
        if known is not None:
            return known.value
        split = "val" if ".rate" in metric.partition("/")[0] else "test"
        name = f"{self.paper}.{metric.replace('/', '.')}.{seed}.{key(settings)}.pt"
        state = rows.path.parents[1] / "training" / name
        with rows.timing() as taken:
            outcome = variant.run(recipe, seed, rows.device, metric, split, state)
        rows.record(metric, outcome.metrics, seed, settings, taken.seconds, taken.peak_memory)
        state.unlink(missing_ok=True)
        return outcome.score

    def measure_grid(self, rows: Measurements, seeds: list[int], recipe: str = "grid") -> None:
        """Every variant of a recipe's grid with every seed."""
        for seed in seeds:
            for metric in progress(self.metrics(recipe), desc=f"{recipe}, seed {seed}"):
                self.measure(metric, seed, rows)


def load_study(paper: str) -> Study:
    """The study of a paper, by the name of its claims file."""
    folder = FOLDERS.get(paper, paper)
    try:
        return import_module(f"minilib.papers.{folder}.study").STUDY
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(f"minilib.papers.{folder}"):
            raise
        raise BadInput(f"paper {paper!r} has no study; `python -m minilib.claims` lists the papers") from error

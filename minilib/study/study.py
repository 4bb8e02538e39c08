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
from minilib.environment import environment
from minilib.errors import BadInput
from minilib.progress import progress
from minilib.resume import Diverged, History
from minilib.settings import describe, key
from minilib.study.feeds import Feed, Task
from minilib.study.recipes import Recipe, Tuned, parts_of
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


@dataclass(frozen=True)
class Trial:
    """One run of a variant. The seed makes its clips and its start; label is what the progress bar says; the model is
    tested on clips of `split`; a run that was cut off goes on from `checkpoint`."""

    seed: int = 0
    device: str = "cpu"
    label: str = "training"
    split: str = "test"
    checkpoint: Path | None = None


class Runnable(Protocol):
    """Anything that a recipe and a seed turn into an `Outcome`: a `Variant`, an ensemble, a zero-shot reader. A frozen
    dataclass, so that it can stand in the settings of a row."""

    def run(self, recipe: Recipe, trial: Trial) -> Outcome: ...

    def smoke(self) -> Runnable: ...


@dataclass(frozen=True)
class Variant:
    """One row of a table. build(train inputs) makes the model, most often without looking at them; `objective` None is
    the cross-entropy; lr multiplies the recipe's rate; also(model, test inputs, device) -> more metrics of the trained
    model, recorded as "<recipe>/<variant>/<metric>"; a try of a sweep is chosen by its score and has none."""

    build: Callable[[Feed], nn.Module]
    task: Task
    objective: Objective | None = None
    lr: float = 1.0
    also: Callable[[nn.Module, Feed, str], Mapping[str, float]] | None = None

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        """Trains on the seed's own clips and tests on its own clips of `split`."""
        train_inputs = self.task.feed("train", trial.seed, trial.device)
        test_inputs = self.task.feed(trial.split, trial.seed, trial.device)
        model, history = self.trained(train_inputs, recipe, trial)
        score = self.task.score(model, test_inputs, trial.device)
        more = self.also(model, test_inputs, trial.device) if self.also and trial.split == "test" else {}
        return Outcome(model, history, {"": score, **more})

    def trained(self, inputs: Feed, recipe: TrainSettings, trial: Trial) -> tuple[nn.Module, History]:
        """The model, built once the inputs are there and the seed is set, after the recipe."""
        torch.manual_seed(trial.seed)
        model = self.build(inputs)
        history = train(
            model,
            inputs.batches(trial.seed, recipe.batch),
            recipe.at_rate(self.lr).with_seed(trial.seed),
            len(self.task.classes),
            trial.device,
            trial.checkpoint,
            every=CHECKPOINT_EVERY,
            label=trial.label,
            objective=self.objective,
        )
        return model, history

    def smoke(self) -> Variant:
        return replace(self, task=self.task.smoke())


CHECKPOINT_EVERY = 200  # steps


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
    replicates: how many the first look takes, seeds or clips. Gains and printed numbers stand in the claims file."""

    paper: str
    variants: Mapping[str, Runnable]
    recipes: Mapping[str, Recipe | Tuned]
    grids: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    costs: Callable[[Measurements], None] | None = None
    replicates: int = 5

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
        tuned recipe `rate<factor>`, one try of its sweep. Raises BadInput for a metric that is none, and for a tuned
        one whose sweep is incomplete."""
        name, suffix, which = parts_of(metric)
        recipe = self.recipes.get(name)
        tried = isinstance(recipe, Tuned) and suffix in recipe.tries()
        if recipe is None or which not in self.variants or not (tried or suffix in ("", "half")):
            known = (
                f"its recipes are {', '.join(self.recipes)}; `python -m minilib.study {self.paper} --list` lists all"
            )
            raise BadInput(f"{metric!r} is no metric of {self.paper}: {known}")
        if tried:
            return self.variants[which], recipe.trying(suffix)
        if isinstance(recipe, Tuned):
            recipe = recipe.chosen(self.best_try(name, which, rows))
        return self.variants[which], recipe.for_share(0.5) if suffix == "half" else recipe

    def tries(self, metric: str) -> dict[str, str]:
        """What must be tried before a tuned metric is measured: suffix -> metric, none where there is no choice."""
        name, suffix, which = parts_of(metric)
        tuned = self.recipes.get(name)
        if not isinstance(tuned, Tuned) or suffix in tuned.tries() or len(tuned.tries()) == 1:
            return {}
        return {each: f"{name}.{each}/{which}" for each in tuned.tries()}

    def untried(self, metric: str, rows: Measurements) -> list[str]:
        """Of `tries` those that have no row yet."""
        tries = self.tries(metric).values()
        return [each for each in tries if rows.row(each, self.seed_of(each), self.settings(each, rows)) is None]

    def seed_of(self, metric: str) -> int:
        """The seed of the tries of a tuned recipe."""
        return self.recipes[parts_of(metric)[0]].seed

    def best_try(self, recipe: str, variant: str, rows: Measurements) -> str:
        """The suffix of the try that a variant chooses under a tuned recipe, looked up; of equals the first."""
        tuned, metric = self.recipes[recipe], f"{recipe}/{variant}"
        if missing := self.untried(metric, rows):
            raise BadInput(f"{metric}: {missing[0]} of its sweep is not measured yet; `Study.measure` measures it")
        scores = {
            suffix: rows.row(each, tuned.seed, self.settings(each, rows)).value
            for suffix, each in self.tries(metric).items()
        }
        return max(scores, key=scores.get) if scores else next(iter(tuned.tries()))

    def settings(self, metric: str, rows: Measurements) -> object:
        """All that makes a row but its seed, as plain data."""
        return describe(self.resolve(metric, rows))

    def measure(self, metric: str, seed: int, rows: Measurements) -> float:
        """The score of one variant under one recipe with one seed: the row that is there, or the run that makes it and
        all its other metrics, after the sweep that a tuned recipe needs."""
        for each in self.untried(metric, rows):
            self.measure(each, self.seed_of(each), rows)
        variant, recipe = self.resolve(metric, rows)
        settings = describe((variant, recipe))
        known = rows.row(metric, seed, settings)
        if known is not None:
            return known.value
        split = "val" if parts_of(metric)[1].startswith("rate") else "test"
        here = environment(rows.device)
        begun = key(settings, rows.experiment, here["device"], here["threads"], here["commit"])  # else it starts anew
        name = f"{self.paper}.{metric.replace('/', '.')}.{seed}.{begun}.pt"
        state = rows.path.parents[1] / "training" / name
        with rows.timing() as taken:
            try:
                outcome = variant.run(recipe, Trial(seed, rows.device, metric, split, state))
                metrics = outcome.metrics | outcome.history.curve()
            except Diverged:
                if split == "test":
                    raise
                metrics = {"": 0.0}  # a rate that is too large loses
        dtype = getattr(recipe, "dtype", "")
        rows.record(metric, metrics, seed, settings, taken.seconds, taken.peak_memory, dtype=dtype)
        state.unlink(missing_ok=True)
        return metrics[""]

    def timed(self, metric: str) -> bool:
        """Whether the run of a metric depends on how fast this machine is just now."""
        return getattr(self.variants[parts_of(metric)[2]], "timed", False)

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

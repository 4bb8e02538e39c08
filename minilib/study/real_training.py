"""How trainings on real videos go: the recipe as settings, the checkpoint of exactly this run, its rows.

A run is known by its settings and by the names, sizes and times of its videos and weights: changed data is another run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from minilib.changes import stamp
from minilib.claims import Measurements
from minilib.datasets.folder import EpochBatches, VideoDataset
from minilib.distributed import processes
from minilib.recipe import DTYPES
from minilib.settings import describe, key
from minilib.study.real_run import Prepared, RealRun, Videos
from minilib.training import CrossEntropy, TrainSettings, augmentation, train

WHOLE = 0.95  # of a split's listed videos: with fewer a row is no row of this data set


@dataclass(frozen=True)
class Tested:
    """Metrics of a trained model in percent, by name, and how many test videos could not be read."""

    metrics: Mapping[str, float]
    unreadable: int


def settings_of(run: RealRun, recipe: Mapping, epoch: int) -> TrainSettings:
    """The recipe over epochs of so many steps, but for what is done to each clip alone (`change_of`)."""
    steps = recipe["epochs"] * epoch
    steps = min(steps, run.max_steps or steps)
    return TrainSettings(
        steps=steps,
        batch=run.batch or recipe["batch"],
        lr=recipe["lr"],
        weight_decay=recipe["weight_decay"],
        betas=tuple(recipe.get("betas", (0.9, 0.999))),
        warmup=min(round(recipe["warmup_epochs"] * epoch), steps // 2),
        smoothing=recipe["smoothing"] if mixes(recipe) else 0.0,  # mixed labels carry their smoothing
        mixup=recipe.get("mixup", 0.0),
        cutmix=recipe.get("cutmix", 0.0),
        clip_grad=recipe.get("clip_grad", 1.0),
        precision=run.precision,
        seed=run.seed,
    )


def mixes(recipe: Mapping) -> bool:
    return recipe.get("mixup", 0.0) > 0 or recipe.get("cutmix", 0.0) > 0


def change_of(recipe: Mapping) -> Callable[[Tensor], Tensor] | None:
    """What the recipe does to a training clip beside cropping and mirroring, for whoever decodes it."""
    operations = tuple(recipe.get("rand_augment", ())) or None
    change = TrainSettings(rand_augment=operations, erasing=recipe.get("erasing", 0.0))
    return partial(changed, change) if change.rand_augment or change.erasing else None


def changed(settings: TrainSettings, clip: Tensor) -> Tensor:
    return augmentation(settings)(clip)


def fit(
    run: RealRun,
    prepared: Prepared,
    videos: Videos,
    dataset: VideoDataset,
    classes: int,
    out_dir: Path | str,
    test: Callable[[nn.Module], Tested],
    rows: Measurements | None = None,
) -> dict[str, float]:
    """Trains and tests, unless a row of this very run is there: metrics in percent, steps, seconds, clips and how many
    were unreadable. The metrics become rows; of several processes the first one writes."""
    among, recipe = processes(run.device), prepared.recipe
    size = min(run.batch or recipe["batch"], len(dataset))
    # beside a GPU batches are made in a thread, whose draws on clips must not meet the model's
    workers = run.workers or int(not run.device.startswith("cpu"))
    batches = EpochBatches(dataset, size, workers, run.max_bad_share, among)
    plan = settings_of(run, recipe, batches.length)
    settings = described(run, prepared, videos)
    name = f"{prepared.name}_{run.dataset}_{run.backbone}_{run.frames}.{key(settings, run.seed)}.pt"
    checkpoint = Path(out_dir) / name
    known = among.from_first(lambda: None if run.fresh else stored(rows, run, settings))
    if known is not None:
        return {**known, "steps": plan.steps, "clips": len(dataset)}
    if run.fresh and among.first:
        checkpoint.unlink(missing_ok=True)
    if run.compile:
        prepared.model.compile()
    history = train(
        prepared.model,
        batches,
        plan,
        classes,
        run.device,
        checkpoint,
        every=batches.length,
        objective=prepared.objective or (None if mixes(recipe) else CrossEntropy(recipe["smoothing"])),
        compiled=run.compile,
    )
    tested = test(prepared.model)
    unreadable = len(set(among.gathered(batches.skipped))) + tested.unreadable
    if rows is not None and among.first:
        rows.record(
            run.metric,
            {**tested.metrics, "unreadable": unreadable},
            run.seed,
            settings,
            history.seconds,
            barred=shortcoming(run, recipe, videos),
            data=f"{run.dataset}: {videos}; {unreadable} unreadable; from {run.started_from}; {name}",
            dtype=DTYPES[run.precision],
        )
    own = {"seconds": history.seconds, "unreadable": unreadable, "steps": plan.steps, "clips": len(dataset)}
    return {**tested.metrics, **own}


def described(run: RealRun, prepared: Prepared, videos: Videos) -> object:
    """All that makes the numbers of a run but its seed, as plain data."""
    given = [getattr(run, name) for name in run.FILES]
    files = [file if file in ("", "random") else stamp(file, Path(file).parent) for file in given]
    return describe((replace(run, seed=0), prepared.name, prepared.frames, prepared.recipe, *files, videos.key))


def stored(rows: Measurements | None, run: RealRun, settings: object) -> dict[str, float] | None:
    """The metrics of the run as its rows have them."""
    found = None if rows is None else rows.find(run.metric, run.seed, settings)
    if not isinstance(found, dict):
        return None
    return {**found, "seconds": rows.row(f"{run.metric}/unreadable", run.seed, settings).seconds}


def shortcoming(run: RealRun, recipe: Mapping, videos: Videos) -> str:
    """Why the rows of a run are none of its data set's; empty where they are."""
    for name in ("max_steps", "max_clips"):
        if getattr(run, name):
            return f"cut short by {name}={getattr(run, name)}"
    for name, chosen in (("batch", run.batch or None), ("flip", run.flip)):
        if chosen not in (None, recipe[name]):
            return f"{name}={chosen}, the recipe has {recipe[name]}"
    for name in run.FIXED:
        if getattr(run, name) != getattr(type(run), name):
            return f"{name}={getattr(run, name)}, the recipe has {getattr(type(run), name)}"
    if run.random_start:
        return "random weights"
    short = [name for name, count in videos.listed.items() if len(videos.splits[name]) < WHOLE * count]
    return f"fewer than {WHOLE:.0%} of its videos: {videos}" if short else ""


def over_seeds(
    run: Callable[..., dict[str, float]],
    settings: RealRun,
    seeds: Sequence[int],
    out_dir: Path | str,
    method: Callable,
    rows: Measurements | None = None,
) -> dict[int, dict[str, float]]:
    """The outcome of each seed, by `real.run` or `real_detection.run`."""
    return {seed: run(replace(settings, seed=seed), out_dir, method, rows) for seed in seeds}

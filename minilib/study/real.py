"""Any method on real videos: a data set on disk, a published recipe, one function.

A paper's study says what it trains (`Prepared`), `run` knows the data sets. It needs nothing but parameters, so a
folder of one's own videos trains like Something-Something v2 does. What is missing is said in one line before anything
starts. Under `accelerate launch` all processes train one model and test it together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Subset

from minilib.claims import Measurements
from minilib.datasets.annotations import Annotated, Clip, first_of_each, mirrored_classes
from minilib.datasets.folder import VideoDataset, ViewDataset, batched
from minilib.datasets.kinetics import kinetics, kinetics_folder
from minilib.datasets.something import something
from minilib.distributed import ALONE, Processes, processes
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.models.clip import VIT_B16, VIT_L14, ImageText, build, openai_clip
from minilib.models.small_clip import small_clip
from minilib.progress import progress
from minilib.study.real_run import Prepared, RealRun, Videos
from minilib.study.real_training import Tested, change_of, fit, over_seeds
from minilib.training import accuracy, scores
from minilib.video import VideoError, dense_indices, uniform_indices

__all__ = ["Prepared", "over_seeds"]  # beside what is defined here
WEIGHTS = {"vit_b16": "openai_clip_vit_b16", "vit_l14": "openai_clip_vit_l14"}
SIZE = {"small": 64, "vit_b16": 224, "vit_l14": 224, "x3d_m": 224}
TESTED = 8  # videos, each with all of its views, that a worker reads and the model scores at once


@dataclass(frozen=True)
class Run(RealRun):
    """What to train on what. dataset: kinetics400, something_something_v2, or folder (train/<label>/*.mp4 and
    val/<label>/*.mp4 in data_root). backbone: vit_b16, vit_l14, or small. weights "" are where the manifest says.
    max_clips takes clips of all classes in turn. One's own videos are not mirrored unless flip says so; a label is
    mirrored with its clip where the class names say left and right."""

    backbone: str = "vit_b16"


def listed(run: Run) -> dict[str, Annotated]:
    """All clips that the annotations of "train" and "val" list."""
    if run.dataset == "folder":
        return kinetics_folder(run.data_root)
    if run.dataset == "kinetics400":
        root = resolve("kinetics400", run.data_root)
        return {split: kinetics(root, split) for split in ("train", "val")}
    if run.dataset == "something_something_v2":
        root = resolve("something_something_v2", run.data_root)
        suffix = ".mp4" if any((root / "videos").glob("*.mp4")) else ".webm"
        return {name: something(root, split, suffix) for name, split in (("train", "train"), ("val", "validation"))}
    raise BadInput(f"dataset {run.dataset!r}: choose of kinetics400, something_something_v2, folder")


def image_text(run: Run) -> ImageText:
    """The image-text model with its weights."""
    if run.backbone == "small":
        return small_clip()
    if run.backbone not in WEIGHTS:
        raise BadInput(f"backbone {run.backbone!r}: choose of small, {', '.join(WEIGHTS)}")
    architecture = {"vit_b16": VIT_B16, "vit_l14": VIT_L14}[run.backbone]
    if run.weights == "random":
        return build(architecture)
    return openai_clip(architecture, run.weights or resolve(WEIGHTS[run.backbone], run.data_root))


Method = Callable[[Run, Sequence[str]], Prepared]  # what to run, the classes' names


def data(run: Run) -> Videos:
    """The annotated clips of "train" and "val" that are there."""
    return Videos.of(run.dataset, run.data_root, listed(run))


def sampling_of(recipe: Mapping, frames: int) -> Callable:
    """How the recipe chooses so many frames of a clip."""
    if recipe["sampling"] != "dense":
        return uniform_indices
    if frames not in recipe["stride"]:
        known = ", ".join(map(str, recipe["stride"]))
        raise BadInput(f"{frames} frames a clip: the recipe has a stride for {known}; choose frames to suit")
    return partial(dense_indices, stride=recipe["stride"][frames])


def one_readable(views: ViewDataset) -> None:
    """Raises BadInput where none of the test videos can be read, before anything is trained."""
    reason = ""
    for i in range(len(views)):
        found = views[i]
        if not isinstance(found, VideoError):
            return
        reason = reason or f"; the first: {found}"
    raise BadInput(f"none of the {len(views)} validation videos can be read{reason}")


def predictions(
    model: nn.Module,
    views: ViewDataset,
    device: str = "cpu",
    precision: str = "fp32",
    workers: int = 0,
    among: Processes = ALONE,
) -> tuple[Tensor, list[int], list[str]]:
    """Soft-max scores (n, k) averaged over the views of each video that can be read, the places of those in `views`,
    and what is wrong with the others. Each process reads its share, and all have the whole result."""
    mine = range(among.rank, len(views), among.size)
    places = [range(start, min(start + TESTED, len(mine))) for start in range(0, len(mine), TESTED)]
    found, failures = [], []
    for batch in progress(batched(Subset(views, mine), places, workers), desc="testing"):
        failures += batch.failures
        if len(batch.labels):
            score = scores(model, batch.frames.unbind(1), device, precision)
            found += zip(batch.labels.tolist(), score, strict=True)
    found = sorted(among.gathered(found), key=lambda each: each[0])
    if not found:
        raise BadInput(f"none of the {len(views)} test videos can be read; the first: {failures[0]}")
    return torch.stack([score for _, score in found]), [place for place, _ in found], among.gathered(failures)


def run(
    settings: Run,
    out_dir: Path | str,
    method: Method,
    rows: Measurements | None = None,
    said: Callable[[Tensor, Sequence[Clip]], None] | None = None,
) -> dict[str, float]:
    """Trains and evaluates, as `fit` does; top-1 and top-5. `said` hears the scores (n, k) of the test clips."""
    among = processes(settings.device)
    videos = among.from_first(lambda: data(settings))
    splits, classes = videos.splits, videos.splits["train"].classes
    prepared = method(settings, classes)
    recipe, frames, size = prepared.recipe, prepared.frames, SIZE[settings.backbone]
    sampling = sampling_of(recipe, frames)
    chosen, held = (
        first_of_each(splits[name].clips, settings.max_clips or len(splits[name])) for name in ("train", "val")
    )
    flip = settings.flip if settings.flip is not None else 0.0 if settings.dataset == "folder" else recipe["flip"]
    dataset = VideoDataset(
        chosen, frames, size, sampling, True, settings.seed,
        flip=flip, mirrored=mirrored_classes(classes), change=change_of(recipe),
    )  # fmt: skip
    views = ViewDataset(held, frames, size, sampling, recipe["views"]["clips"], recipe["views"]["crops"])
    among.from_first(lambda: one_readable(views))

    def test(model: nn.Module) -> Tested:
        score, places, failures = predictions(
            model, views, settings.device, settings.precision, settings.workers, among
        )
        read = [held[place] for place in places]
        if said is not None:
            said(score, read)
        truth = torch.tensor([clip.label for clip in read])
        top5 = (score.topk(min(5, score.shape[1])).indices == truth[:, None]).any(1).float().mean().item()
        return Tested({"top1": accuracy(score, truth), "top5": 100 * top5}, len(failures))

    return fit(settings, prepared, videos, dataset, len(classes), out_dir, test, rows)

"""Any method on real videos: a data set on disk, a published recipe, one function.

A paper's study says what it trains (`Prepared`), `run` knows the data sets. It needs nothing but parameters, so a
folder of one's own videos trains like Something-Something v2 does. What is missing is said in one line before anything
starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from minilib.datasets.annotations import Annotated, Clip, first_of_each, mirrored_classes, present
from minilib.datasets.folder import GoodBatches, VideoDataset, read_views, video_loader
from minilib.datasets.kinetics import kinetics, kinetics_folder
from minilib.datasets.something import something
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.models.clip import VIT_B16, VIT_L14, ImageText, build, openai_clip
from minilib.models.small_clip import small_clip
from minilib.training import CrossEntropy, Objective, TrainSettings, accuracy, evaluate, train
from minilib.video import VideoError, dense_indices, uniform_indices

WEIGHTS = {"vit_b16": "openai_clip_vit_b16", "vit_l14": "openai_clip_vit_l14"}
SIZE = {"small": 64, "vit_b16": 224, "vit_l14": 224, "x3d_m": 224}


@dataclass(frozen=True)
class Run:
    """What to train on what. dataset: kinetics400, something_something_v2, or folder (train/<label>/*.mp4 and
    val/<label>/*.mp4 in data_root). backbone: vit_b16, vit_l14, or small. weights: a file, "random", or "" for where
    the manifest says. max_steps and max_clips cut a run short, the latter taking clips of all classes in turn; 0 is the
    whole recipe. flip: how often a training clip is mirrored, None for the recipe's word (own videos: never); its label
    is mirrored with it where the class names say left and right. max_bad_share: of the clips that are there, how many
    may be unreadable before the run ends."""

    dataset: str
    data_root: str
    backbone: str = "vit_b16"
    frames: int = 8
    weights: str = ""
    max_steps: int = 0
    max_clips: int = 0
    batch: int = 0
    precision: str = "fp32"
    workers: int = 0
    device: str = "cpu"
    seed: int = 0
    flip: float | None = None
    max_bad_share: float = 0.05


def data(run: Run) -> dict[str, Annotated]:
    """The annotated clips of "train" and "val" that are there; a warning says how many are not."""
    return {name: present(split, f"{run.dataset}, {name}") for name, split in listed(run).items()}


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


@dataclass(frozen=True)
class Prepared:
    """A method ready to train: a name for its files, the model, how many frames of a clip it reads, the recipe's
    entries (lr, weight_decay, betas, batch, epochs, warmup_epochs, sampling, stride, views, rand_augment, flip,
    erasing, smoothing, mixup, cutmix), and its loss where that is not the cross-entropy; a loss of its own smooths its
    labels itself."""

    name: str
    model: nn.Module
    frames: int
    recipe: dict
    objective: Objective | None = None


Method = Callable[[Run, Sequence[str]], Prepared]  # what to run, the classes' names


class EpochBatches:
    """step -> batch over epochs of a dataset, unreadable videos left out; a resumed run goes on at its step. skipped:
    those of the epoch that met the most."""

    def __init__(self, dataset: VideoDataset, batch: int, workers: int = 0, max_bad_share: float = 0.05):
        self.dataset, self.batch, self.workers, self.max_bad_share = dataset, batch, workers, max_bad_share
        self.length = max(math.ceil(len(dataset) / batch), 1)
        self._next, self._batches = -1, iter(())
        self.skipped: list[str] = []

    def _from(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        good = GoodBatches(video_loader(self.dataset.at_epoch(epoch), self.batch, self.workers), self.max_bad_share)
        for batch in good:
            self.skipped = max(self.skipped, good.skipped, key=len)
            yield batch
        self.skipped = max(self.skipped, good.skipped, key=len)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, self.length)
        if step != self._next or place == 0:
            self._batches = self._from(epoch)
            for _ in range(place):
                next(self._batches, None)
        self._next = step + 1
        batch = next(self._batches, None)
        if batch is None:  # the epoch was shorter by batches that could not be read at all
            self._batches = self._from(epoch)
            batch = next(self._batches)
        return batch


def test_views(clips, run: Run, frames: int, sampling, views: dict) -> Iterator[tuple[list[Tensor], Tensor]]:
    """One video at a time as ([view, ...], label), each view (1, t, h, w, 3); what cannot be read is left out."""
    for clip in clips:
        try:
            read = read_views(clip.path, frames, SIZE[run.backbone], sampling, views["clips"], views["crops"])
        except VideoError:
            continue
        yield list(torch.from_numpy(read).unsqueeze(1)), torch.tensor([clip.label])


def one_readable(clips: Sequence[Clip], run: Run, frames: int, sampling, views: dict) -> None:
    """Raises BadInput where none of the validation clips can be read, before anything is trained."""
    if next(test_views(clips, run, frames, sampling, views), None) is None:
        reason = ""
        try:
            read_views(clips[0].path, frames, SIZE[run.backbone], sampling)
        except VideoError as error:
            reason = f"; the first: {error}"
        raise BadInput(f"none of the {len(clips)} validation videos can be read{reason}")


def run(settings: Run, out_dir: Path | str, method: Method) -> dict[str, float]:
    """Trains and evaluates; returns top-1 and top-5 in percent, steps, seconds, clips and how many were unreadable."""
    splits = data(settings)
    prepared = method(settings, splits["train"].classes)
    model, recipe, frames = prepared.model, prepared.recipe, prepared.frames
    classes = len(splits["train"].classes)
    sampling = uniform_indices
    if recipe["sampling"] == "dense":
        if frames not in recipe["stride"]:
            known = ", ".join(map(str, recipe["stride"]))
            raise BadInput(f"{frames} frames a clip: the recipe has a stride for {known}; choose frames to suit")
        sampling = partial(dense_indices, stride=recipe["stride"][frames])

    chosen, held = (
        first_of_each(splits[name].clips, settings.max_clips or len(splits[name])) for name in ("train", "val")
    )
    size, batch = SIZE[settings.backbone], settings.batch or recipe["batch"]
    flip = settings.flip if settings.flip is not None else 0.0 if settings.dataset == "folder" else recipe["flip"]
    mirrored = mirrored_classes(splits["train"].classes)
    dataset = VideoDataset(chosen, frames, size, sampling, True, settings.seed, flip=flip, mirrored=mirrored)
    batches = EpochBatches(dataset, min(batch, len(dataset)), settings.workers, settings.max_bad_share)
    one_readable(held, settings, frames, sampling, recipe["views"])
    steps = recipe["epochs"] * batches.length
    steps = min(steps, settings.max_steps or steps)
    mixing = recipe.get("mixup", 0.0) > 0 or recipe.get("cutmix", 0.0) > 0  # mixed labels carry their smoothing
    plan = TrainSettings(
        steps=steps,
        batch=batch,
        lr=recipe["lr"],
        weight_decay=recipe["weight_decay"],
        betas=tuple(recipe["betas"]),
        warmup=min(round(recipe["warmup_epochs"] * batches.length), steps // 2),
        smoothing=recipe["smoothing"] if mixing else 0.0,
        mixup=recipe.get("mixup", 0.0),
        cutmix=recipe.get("cutmix", 0.0),
        rand_augment=tuple(recipe["rand_augment"]),
        erasing=recipe["erasing"],
        precision=settings.precision,
        seed=settings.seed,
    )
    checkpoint = Path(out_dir) / f"{prepared.name}_{settings.dataset}_{settings.backbone}_{settings.frames}.pt"
    history = train(
        model,
        batches,
        plan,
        classes,
        settings.device,
        checkpoint,
        every=max(batches.length, 1),
        objective=prepared.objective or (None if mixing else CrossEntropy(recipe["smoothing"])),
    )
    score, truth = evaluate(model, test_views(held, settings, frames, sampling, recipe["views"]), settings.device)
    top5 = (score.topk(min(5, classes)).indices == truth[:, None]).any(1).float().mean().item()
    return {
        "top1": accuracy(score, truth),
        "top5": 100 * top5,
        "steps": steps,
        "seconds": history.seconds,
        "clips": len(dataset),
        "unreadable": len(batches.skipped) + len(held) - len(truth),
    }

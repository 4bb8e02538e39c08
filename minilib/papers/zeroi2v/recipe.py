"""ZeroI2V on real videos: the published settings (Tables 11 and 12), a data set on disk, one function.

`run` takes other methods, too (`dist_recipe`). It needs nothing but parameters, so a folder of one's own videos trains
like Something-Something v2 does. What is missing is said in one line before anything starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from minilib.datasets.annotations import Annotated
from minilib.datasets.folder import GoodBatches, VideoDataset, read_views, video_loader
from minilib.datasets.kinetics import kinetics, kinetics_folder
from minilib.datasets.something import something
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import VIT_B16, VIT_L14, ImageText, build, openai_clip
from minilib.models.small_clip import small_clip
from minilib.papers.zeroi2v.counts import PUBLISHED, head_relocation
from minilib.papers.zeroi2v.heads import HeadRelocation
from minilib.papers.zeroi2v.method import FOUR, SIX, Adaptation, Adapter, attach
from minilib.papers.zeroi2v.variants import new_parameters
from minilib.training import Objective, TrainSettings, accuracy, evaluate, train
from minilib.video import VideoError, dense_indices, uniform_indices

WEIGHTS = {"vit_b16": "openai_clip_vit_b16", "vit_l14": "openai_clip_vit_l14"}
SIZE = {"small": 64, "vit_b16": 224, "vit_l14": 224}


@dataclass(frozen=True)
class Run:
    """What to train on what. dataset: kinetics400, something_something_v2, or folder (train/<label>/*.mp4 and
    val/<label>/*.mp4 in data_root). backbone: vit_b16, vit_l14, or small. weights: a file, "random", or "" for where
    the manifest says. max_steps and max_clips cut a run short; 0 is the whole recipe."""

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


def data(run: Run) -> dict[str, Annotated]:
    """The annotated clips of "train" and "val"."""
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


def published(run: Run) -> tuple[HeadRelocation, tuple[str, ...], dict]:
    """Mixing, adapter places and recipe; one's own data or backbone gets those of the nearest one."""
    name = run.dataset if run.dataset in PUBLISHED["table_11"] else "kinetics400"
    backbone = "vit_l14" if run.backbone == "vit_l14" else "vit_b16"
    entries = PUBLISHED["table_11"][name][backbone]
    if run.frames not in entries:
        raise BadInput(f"frames={run.frames}: Table 11 has settings for {', '.join(map(str, entries))} frames")
    entry = entries[run.frames]
    return head_relocation(entry["offsets"]), SIX if entry["adapters"] == 6 else FOUR, PUBLISHED["table_12"][name]


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
    entries as in `zeroi2v.yaml`, table 12, and its loss where that is not the cross-entropy."""

    name: str
    model: nn.Module
    frames: int
    recipe: dict
    objective: Objective | None = None


Method = Callable[[Run, Sequence[str]], Prepared]  # what to run, the classes' names


def zeroi2v(settings: Run, classes: Sequence[str]) -> Prepared:
    """ZeroI2V as published."""
    mixing, places, recipe = published(settings)
    visual = image_text(settings).visual
    adapter = partial(Adapter, scale=recipe["adapter_scale"], dropout=recipe["adapter_dropout"])
    torch.manual_seed(settings.seed)
    attach(visual, Adaptation(settings.frames, mixing, places, adapter=adapter))
    model = VideoClassifier(visual, len(classes), recipe["head_dropout"])
    new = [*new_parameters(visual), visual.ln_pre.embedding, *visual.ln_post.parameters(), *model.head.parameters()]
    return Prepared("zeroi2v", train_only(model, new), settings.frames, recipe)


class EpochBatches:
    """step -> batch over epochs of a dataset, unreadable videos left out; a resumed run goes on at its step."""

    def __init__(self, dataset: VideoDataset, batch: int, workers: int = 0):
        self.dataset, self.batch, self.workers = dataset, batch, workers
        self.length = max(math.ceil(len(dataset) / batch), 1)
        self._next, self._batches = -1, iter(())
        self.skipped: list[str] = []

    def _from(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        good = GoodBatches(video_loader(self.dataset.at_epoch(epoch), self.batch, self.workers))
        yield from good
        self.skipped = good.skipped

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


def run(settings: Run, out_dir: Path | str, method: Method = zeroi2v) -> dict[str, float]:
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

    limit = settings.max_clips or None
    size, batch = SIZE[settings.backbone], settings.batch or recipe["batch"]
    dataset = VideoDataset(splits["train"].clips[:limit], frames, size, sampling, True, settings.seed)
    batches = EpochBatches(dataset, min(batch, len(dataset)), settings.workers)
    steps = recipe["epochs"] * batches.length
    steps = min(steps, settings.max_steps or steps)
    plan = TrainSettings(
        steps=steps,
        batch=batch,
        lr=recipe["lr"],
        weight_decay=recipe["weight_decay"],
        betas=tuple(recipe["betas"]),
        warmup=min(round(recipe["warmup_epochs"] * batches.length), steps // 2),
        smoothing=recipe["smoothing"],
        mixup=recipe.get("mixup", 0.0),
        cutmix=recipe.get("cutmix", 0.0),
        rand_augment=tuple(recipe["rand_augment"]),
        erasing=recipe["erasing"],
        flip=recipe["flip"],
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
        objective=prepared.objective,
    )
    held = splits["val"].clips[:limit]
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

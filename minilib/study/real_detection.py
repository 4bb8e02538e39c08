"""Temporal detection on real videos: any network on Charades or MultiTHUMOS, and mAP by both protocols.

Frames, stride and crops are the released Coarse-Fine code's. A paper's study says what it trains (`Prepared`); `run`
knows the data sets, and says what is missing in one line before anything starts.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from minilib.datasets.charades import ActionVideo, ActionVideos, charades, frame_labels
from minilib.datasets.multithumos import AnnotatedActions, Untrimmed, multithumos
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.metrics.detection import every_frame, localize_v1
from minilib.study.real import EpochBatches, Prepared
from minilib.training import TrainSettings, train
from minilib.video import VideoError, crop, dense_indices, read_frames

DATASETS = {"charades": partial(charades, unlabelled=True), "multithumos": multithumos}
SIZE = {"x3d_m": 224, "small": 32}  # pixels a side
Video = ActionVideo | Untrimmed


@dataclass(frozen=True)
class Run:
    """What to train on what. network: a name that the paper's study knows. backbone: x3d_m or small. weights: a file of
    an X3D that every stream starts from; "" for random ones. max_steps and max_clips cut a run short; 0 is the whole
    recipe. batch 0 is the recipe's."""

    dataset: str
    data_root: str
    network: str = "coarse_fine"
    backbone: str = "x3d_m"
    weights: str = ""
    frames: int = 64
    stride: int = 10
    max_steps: int = 0
    max_clips: int = 0
    batch: int = 0
    precision: str = "fp32"
    workers: int = 0
    device: str = "cpu"
    seed: int = 0


Method = Callable[[Run, int], Prepared]  # what to run, how many classes


def data(run: Run) -> dict[str, ActionVideos | AnnotatedActions]:
    """The annotated videos of "train" and "test"."""
    if run.dataset not in DATASETS:
        raise BadInput(f"dataset {run.dataset!r}: choose of {', '.join(DATASETS)}")
    if run.backbone not in SIZE:
        raise BadInput(f"backbone {run.backbone!r}: choose of {', '.join(SIZE)}")
    root = resolve(run.dataset, run.data_root)
    return {split: DATASETS[run.dataset](root, split) for split in ("train", "test")}


def seconds_of(video: Video) -> float:
    """How long a video lasts: as its annotation says, or its file."""
    if isinstance(video, ActionVideo):
        return video.length
    with av.open(str(video.path)) as container:
        return container.duration / av.time_base


@dataclass(frozen=True, eq=False)
class Windows(Dataset):
    """Item i: a window of video i, frames uint8 (t, size, size, 3), and its labels (t, k) as nested lists; or the
    `VideoError` that says why there is none. The moment and the crop are a pure function of (seed, epoch, i)."""

    videos: Sequence[Video]
    classes: int
    frames: int
    stride: int
    size: int
    seed: int = 0
    epoch: int = 0
    train: bool = True

    def at_epoch(self, epoch: int) -> Windows:
        return replace(self, epoch=epoch)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, i: int) -> tuple[Tensor, list[list[int]]] | VideoError:
        rng = np.random.default_rng([self.seed, self.epoch, i])
        pick = partial(dense_indices, frames=self.frames, stride=self.stride, rng=rng)
        try:
            frames, labels = read(self.videos[i], pick, self.classes)
        except VideoError as error:
            return VideoError(str(error))
        frames = crop(frames, self.size, rng.random())
        return torch.from_numpy(np.ascontiguousarray(frames)), labels.int().tolist()


def read(video: Video, pick: Callable[[int], np.ndarray], classes: int) -> tuple[np.ndarray, Tensor]:
    """The frames that `pick` chooses of a video's length, and their labels bool (t, k)."""
    chosen = {}

    def remembered(length: int) -> np.ndarray:
        at = pick(length)
        chosen["fraction"] = at / length
        return at

    frames = read_frames(video.path, remembered)
    return frames, frame_labels(video, chosen["fraction"] * seconds_of(video), classes)


@torch.no_grad()
def scores(model: nn.Module, video: Video, run: Run, classes: int) -> tuple[Tensor, Tensor]:
    """Probabilities and labels (t, k) of every `stride`-th frame of a whole video, in windows of `frames` each; the
    last one is filled up with its last frame, which does not count."""
    frames, labels = read(video, lambda length: np.arange(0, length, run.stride), classes)
    clip = torch.from_numpy(np.ascontiguousarray(crop(frames, SIZE[run.backbone])))
    parts = []
    for window in clip.split(run.frames):
        full = torch.cat([window, window[-1:].expand(run.frames - len(window), -1, -1, -1)])
        parts.append(model(full[None].to(run.device))[0, : len(window)].sigmoid().float().cpu())
    return torch.cat(parts), labels


def run(settings: Run, out_dir: Path | str, method: Method) -> dict[str, float]:
    """Trains and evaluates; mAP in percent over every frame, and by Charades' v1_localize; steps, seconds, videos."""
    splits, limit = data(settings), settings.max_clips or None
    classes = len(splits["train"].classes)
    prepared = method(settings, classes)
    recipe, size = prepared.recipe, SIZE[settings.backbone]
    batch = settings.batch or recipe["batch"]
    dataset = Windows(splits["train"].clips[:limit], classes, prepared.frames, settings.stride, size, settings.seed)
    batches = EpochBatches(dataset, min(batch, len(dataset)), settings.workers)
    steps = recipe["epochs"] * batches.length
    steps = min(steps, settings.max_steps or steps)
    plan = TrainSettings(
        steps=steps,
        batch=batch,
        lr=recipe["lr"],
        weight_decay=recipe["weight_decay"],
        warmup=min(recipe["warmup_epochs"] * batches.length, steps // 2),
        flip=recipe["flip"],
        precision=settings.precision,
        seed=settings.seed,
    )
    history = train(
        prepared.model,
        batches,
        plan,
        classes,
        settings.device,
        Path(out_dir) / f"{prepared.name}_{settings.dataset}_{settings.backbone}.pt",
        every=max(batches.length, 1),
        objective=prepared.objective,
    )
    model = prepared.model.to(settings.device).eval()
    found = []
    for video in splits["test"].clips[:limit]:
        try:
            found.append(scores(model, video, settings, classes))
        except VideoError:
            continue
    if not found:
        raise BadInput(f"dataset {settings.dataset}: no test video can be read")
    pairs = list(zip(*found, strict=True))
    return {
        "map": every_frame(*pairs).mean,
        "localize_v1": localize_v1(*pairs).mean,
        "steps": steps,
        "seconds": history.seconds,
        "videos": len(dataset),
        "unreadable": len(batches.skipped) + len(splits["test"].clips[:limit]) - len(found),
    }

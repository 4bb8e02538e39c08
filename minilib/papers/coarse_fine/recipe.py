"""Temporal detection on real videos: an arm of Coarse-Fine on Charades or MultiTHUMOS, and mAP by both protocols.

Frames, stride, crops and batch are the released code's, and so is the loss. It trains with SGD and drops the rate; the
suite's loop has AdamW and a cosine, and the rate is its own. Two streams train end to end, as in the text.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from minilib.models.checkpoints import read_state
from minilib.models.x3d import X3D, X3D_M, Size
from minilib.models.x3d_weights import load_x3d
from minilib.papers.coarse_fine.arms import ARMS, LITTLE
from minilib.papers.coarse_fine.losses import detection
from minilib.papers.zeroi2v.recipe import EpochBatches
from minilib.training import TrainSettings, train
from minilib.video import VideoError, crop, dense_indices, read_frames

DATASETS = {"charades": partial(charades, unlabelled=True), "multithumos": multithumos}
BACKBONES: dict[str, tuple[Size, int]] = {"x3d_m": (X3D_M, 224), "small": (LITTLE, 32)}  # and pixels a side
RECIPE = {"lr": 1e-3, "weight_decay": 1e-5, "batch": 6, "epochs": 100, "warmup_epochs": 2, "frames": 64, "stride": 10}
Video = ActionVideo | Untrimmed


@dataclass(frozen=True)
class Run:
    """What to train on what. network: a name of `coarse_fine_arms.ARMS`. weights: a file of an X3D that every stream
    starts from, in any layout that `load_x3d` knows, whatever its classes; "" for random ones. max_steps and max_clips
    cut a run short; 0 is the whole recipe."""

    dataset: str
    data_root: str
    network: str = "coarse_fine"
    backbone: str = "x3d_m"
    weights: str = ""
    frames: int = RECIPE["frames"]
    stride: int = RECIPE["stride"]
    max_steps: int = 0
    max_clips: int = 0
    batch: int = RECIPE["batch"]
    precision: str = "fp32"
    workers: int = 0
    device: str = "cpu"
    seed: int = 0


def data(run: Run) -> dict[str, ActionVideos | AnnotatedActions]:
    """The annotated videos of "train" and "test"."""
    if run.dataset not in DATASETS:
        raise BadInput(f"dataset {run.dataset!r}: choose of {', '.join(DATASETS)}")
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
        pick = lambda length: dense_indices(length, self.frames, self.stride, rng=rng)  # noqa: E731
        try:
            frames, labels = read(self.videos[i], pick, self.classes)
        except VideoError as error:
            return VideoError(str(error))
        frames = crop(frames, self.size, rng.random())
        return torch.from_numpy(np.ascontiguousarray(frames)), labels.int().tolist()


def read(video: Video, pick, classes: int) -> tuple[np.ndarray, Tensor]:
    """The frames that `pick` chooses of a video's length, and their labels bool (t, k)."""
    chosen = {}

    def remembered(length: int) -> np.ndarray:
        at = pick(length)
        chosen["share"] = at / length
        return at

    frames = read_frames(video.path, remembered)
    return frames, frame_labels(video, chosen["share"] * seconds_of(video), classes)


def start_from(net: X3D, path: Path | str) -> None:
    """Weights of an X3D of any classes; the last layer stays new."""
    heads = [x for name, x in read_state(path).items() if name.endswith(("fc2.weight", "proj.weight")) and x.ndim == 2]
    if not heads:
        raise BadInput(f"weights {path}: no last layer is found, so this is no X3D")
    given = load_x3d(X3D(net.size, len(heads[-1])), path).set_classes(net.classes)
    given.head.fc2.load_state_dict(net.head.fc2.state_dict())
    net.load_state_dict(given.state_dict())


def network(run: Run, classes: int) -> nn.Module:
    """The arm in the size of the backbone, with its weights."""
    if run.network not in ARMS or ARMS[run.network].control or ARMS[run.network].dense:
        raise BadInput(f"network {run.network!r}: choose of {', '.join(n for n in ARMS if 'control' not in n)}")
    if run.backbone not in BACKBONES:
        raise BadInput(f"backbone {run.backbone!r}: choose of {', '.join(BACKBONES)}")
    model = replace(ARMS[run.network], size=BACKBONES[run.backbone][0]).build(classes, run.seed)
    if run.weights:
        for module in model.modules():
            if isinstance(module, X3D):
                start_from(module, run.weights)
    return model


@torch.no_grad()
def scores(model: nn.Module, video: Video, run: Run, classes: int) -> tuple[Tensor, Tensor]:
    """Probabilities and labels (t, k) of every `stride`-th frame of a whole video, in windows of `frames` each; the
    last one is filled up with its last frame, which does not count."""
    frames, labels = read(video, lambda length: np.arange(0, length, run.stride), classes)
    clip = torch.from_numpy(np.ascontiguousarray(crop(frames, BACKBONES[run.backbone][1])))
    parts = []
    for window in clip.split(run.frames):
        full = torch.cat([window, window[-1:].expand(run.frames - len(window), -1, -1, -1)])
        parts.append(model(full[None].to(run.device))[0, : len(window)].sigmoid().float().cpu())
    return torch.cat(parts), labels


def run(settings: Run, out_dir: Path | str) -> dict[str, float]:
    """Trains and evaluates; mAP in percent over every frame, and by Charades' v1_localize; steps, seconds, videos."""
    splits, size = data(settings), BACKBONES.get(settings.backbone, (None, 0))[1]
    classes, limit = len(splits["train"].classes), settings.max_clips or None
    model = network(settings, classes)
    dataset = Windows(splits["train"].clips[:limit], classes, settings.frames, settings.stride, size, settings.seed)
    batches = EpochBatches(dataset, min(settings.batch, len(dataset)), settings.workers)
    steps = RECIPE["epochs"] * batches.length
    steps = min(steps, settings.max_steps or steps)
    plan = TrainSettings(
        steps=steps,
        batch=settings.batch,
        lr=RECIPE["lr"],
        weight_decay=RECIPE["weight_decay"],
        warmup=min(RECIPE["warmup_epochs"] * batches.length, steps // 2),
        flip=0.5,
        precision=settings.precision,
        seed=settings.seed,
    )
    file = Path(out_dir) / f"{settings.network}_{settings.dataset}_{settings.backbone}.pt"
    history = train(
        model, batches, plan, classes, settings.device, file, every=max(batches.length, 1), objective=detection
    )
    model.to(settings.device).eval()
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
        "localize_v1": localize_v1(*pairs).weighted,
        "steps": steps,
        "seconds": history.seconds,
        "videos": len(dataset),
        "unreadable": len(batches.skipped) + len(splits["test"].clips[:limit]) - len(found),
    }

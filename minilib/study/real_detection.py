"""Temporal detection on real videos: any network on Charades or MultiTHUMOS, and mAP by both protocols.

Frames, stride and crops are the released Coarse-Fine code's. A paper's study says what it trains (`Prepared`); `run`
knows the data sets, and says what is missing in one line before anything starts.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from minilib.claims import Measurements
from minilib.datasets.charades import ActionVideo, charades, frame_labels
from minilib.datasets.multithumos import Untrimmed, multithumos
from minilib.distributed import processes
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.metrics.detection import every_frame, localize_v1
from minilib.progress import progress
from minilib.study.real_run import Drawn, Prepared, RealRun, Videos
from minilib.study.real_training import Tested, fit, over_seeds
from minilib.training import autocast
from minilib.video import VideoError, crop, dense_indices, read_frames

__all__ = ["over_seeds"]  # beside what is defined here
DATASETS = {"charades": partial(charades, unlabelled=True), "multithumos": multithumos}
SIZE = {"x3d_m": 224, "small": 32}  # pixels a side
Video = ActionVideo | Untrimmed


@dataclass(frozen=True)
class Run(RealRun):
    """What to train on what. dataset: charades or multithumos. network: a name that the paper's study knows. backbone:
    x3d_m or small. weights: a file of an X3D that every stream starts from; "" for random ones."""

    FIXED: ClassVar[tuple[str, ...]] = ("frames", "stride")

    backbone: str = "x3d_m"
    frames: int = 64
    network: str = "coarse_fine"
    stride: int = 10

    @property
    def metric(self) -> str:
        return f"real/{self.dataset}/{self.backbone}/{self.network}"

    @property
    def random_start(self) -> bool:
        return self.weights in ("", "random")


Method = Callable[[Run, int], Prepared]  # what to run, how many classes


def data(run: Run) -> Videos:
    """The annotated videos of "train" and "test" that are there."""
    if run.dataset not in DATASETS:
        raise BadInput(f"dataset {run.dataset!r}: choose of {', '.join(DATASETS)}")
    if run.backbone not in SIZE:
        raise BadInput(f"backbone {run.backbone!r}: choose of {', '.join(SIZE)}")
    root = resolve(run.dataset, run.data_root)
    return Videos.of(run.dataset, root, {split: DATASETS[run.dataset](root, split) for split in ("train", "test")})


def seconds_of(video: Video) -> float:
    """How long a video lasts: as its annotation says, or its file."""
    if isinstance(video, ActionVideo):
        return video.length
    with av.open(str(video.path)) as container:
        return container.duration / av.time_base


@dataclass(frozen=True, eq=False)
class Windows(Drawn):
    """Item i: a window of video i, frames uint8 (t, size, size, 3), and its labels (t, k) as nested lists."""

    classes: int
    frames: int
    stride: int
    size: int

    def draw(self, video: Video, rng: np.random.Generator) -> tuple[Tensor, list[list[int]]]:
        pick = partial(dense_indices, frames=self.frames, stride=self.stride, rng=rng)
        frames, labels = read(video, pick, self.classes)
        frames = crop(frames, self.size, rng.random())
        if rng.random() < self.flip:
            frames = frames[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(frames)), labels.int().tolist()

    def blank(self) -> tuple[Tensor, list[list[int]]]:
        """A black window without an action, for a process that has none."""
        frames = torch.zeros(self.frames, self.size, self.size, 3, dtype=torch.uint8)
        return frames, torch.zeros(self.frames, self.classes, dtype=torch.int64).tolist()


def read(video: Video, pick: Callable[[int], np.ndarray], classes: int) -> tuple[np.ndarray, Tensor]:
    """The frames that `pick` chooses of a video's length, and their labels bool (t, k)."""
    chosen = {}

    def remembered(length: int) -> np.ndarray:
        at = pick(length)
        chosen["fraction"] = at / length
        return at

    frames = read_frames(video.path, remembered)
    return frames, frame_labels(video, chosen["fraction"] * seconds_of(video), classes)


@dataclass(frozen=True, eq=False)
class Whole(Dataset):
    """Item i: every `stride`-th frame of video i, uint8 (t, size, size, 3), and their labels bool (t, k)."""

    videos: Sequence[Video]
    classes: int
    stride: int
    size: int

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor] | VideoError:
        try:
            frames, labels = read(self.videos[i], lambda length: np.arange(0, length, self.stride), self.classes)
        except VideoError as error:
            return VideoError(str(error))
        return torch.from_numpy(np.ascontiguousarray(crop(frames, self.size))), labels


@torch.no_grad()
def scores(model: nn.Module, frames: Tensor, run: Run) -> Tensor:
    """Probabilities (t, k) of a whole video uint8 (t, h, w, 3), in windows of `run.frames` each; the last one is filled
    up with its last frame, which does not count."""
    parts = []
    for window in frames.split(run.frames):
        full = torch.cat([window, window[-1:].expand(run.frames - len(window), -1, -1, -1)])
        with autocast(torch.device(run.device), run.precision):
            score = model(full[None].to(run.device))
        parts.append(score[0, : len(window)].float().sigmoid().cpu())
    return torch.cat(parts)


def run(settings: Run, out_dir: Path | str, method: Method, rows: Measurements | None = None) -> dict[str, float]:
    """Trains and evaluates, as `fit` does; mAP over every frame, and by Charades' v1_localize."""
    among = processes(settings.device)
    videos = among.from_first(lambda: data(settings))
    train, test = (videos.splits[name].clips[: settings.max_clips or None] for name in ("train", "test"))
    classes, size = len(videos.splits["train"].classes), SIZE[settings.backbone]
    prepared = method(settings, classes)
    flip = settings.flip if settings.flip is not None else prepared.recipe["flip"]
    windows = Windows(train, classes, prepared.frames, settings.stride, size, seed=settings.seed, flip=flip)
    whole = Whole(test, classes, settings.stride, size)

    def tested(model: nn.Module) -> Tested:
        model.to(settings.device).eval()
        mine = range(among.rank, len(whole), among.size)
        loader = DataLoader(Subset(whole, mine), batch_size=None, num_workers=settings.workers)
        found = []
        for place, read in zip(mine, progress(loader, desc="testing"), strict=True):
            if not isinstance(read, VideoError):
                frames, labels = read
                found.append((place, scores(model, frames, settings), labels))
        found = sorted(among.gathered(found), key=lambda each: each[0])
        if not found:
            raise BadInput(f"dataset {settings.dataset}: no test video can be read")
        _, *pairs = zip(*found, strict=True)
        metrics = {"map": every_frame(*pairs).mean, "localize_v1": localize_v1(*pairs).mean}
        return Tested(metrics, len(whole) - len(found))

    return fit(settings, prepared, videos, windows, classes, out_dir, tested, rows)

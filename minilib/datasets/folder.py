"""Annotated videos as training batches. Broken files among good ones are named, skipped and counted.

Opening a file does not show whether its middle can be decoded, so nothing is checked beforehand: a clip that fails is
left out of its batch, and too many of them end the run.

Axes: b clips, t frames, h and w pixels, v views.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minilib.datasets.annotations import Clip
from minilib.errors import BadInput
from minilib.video import VideoError, crop, read_frames, uniform_indices, views

Sampling = Callable[..., np.ndarray]  # (length, frames, *, clip, clips, rng) to indices, as `uniform_indices`


@dataclass(frozen=True, eq=False)
class VideoDataset(Dataset):
    """Item i is (frames uint8 (t, size, size, 3), label), or the `VideoError` that says why there is none.

    In training the moment and the place of the crop are random, a pure function of (seed, epoch, i); otherwise both
    are central. `flip` is how often a training clip is mirrored, and `mirrored` the class that each class then becomes
    (None: clips of this class are never mirrored), as `mirrored_classes` reads it off the names. `dense_indices` with
    a stride goes in as `functools.partial(dense_indices, stride=8)`.
    """

    clips: Sequence[Clip]
    frames: int = 8
    size: int = 64
    sampling: Sampling = uniform_indices
    train: bool = False
    seed: int = 0
    epoch: int = 0
    flip: float = 0.0
    mirrored: Sequence[int | None] = ()

    def __post_init__(self):
        if self.flip and not self.mirrored:
            raise BadInput(f"flip={self.flip}: say with `mirrored` which class each becomes, left may be a label")

    def at_epoch(self, epoch: int) -> VideoDataset:
        """The same clips, drawn anew."""
        return replace(self, epoch=epoch)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> tuple[Tensor, int] | VideoError:
        clip = self.clips[i]
        rng = np.random.default_rng([self.seed, self.epoch, i]) if self.train else None
        try:
            frames = read_frames(clip.path, lambda length: self.sampling(length, self.frames, rng=rng))
        except VideoError as error:
            return VideoError(str(error))  # without the traceback, which holds half-decoded frames
        frames, label = crop(frames, self.size, 0.5 if rng is None else rng.random()), clip.label
        if rng is not None and self.flip and rng.random() < self.flip and self.mirrored[label] is not None:
            frames, label = frames[:, :, ::-1], self.mirrored[label]
        return torch.from_numpy(np.ascontiguousarray(frames)), label


class Batch(NamedTuple):
    """frames uint8 (b, t, h, w, 3), labels int64 (b,), and what could not be read; b shrinks by those."""

    frames: Tensor
    labels: Tensor
    failures: tuple[str, ...]


def collate(items: Sequence[tuple[Tensor, int] | VideoError]) -> Batch:
    """A batch of the items that were read."""
    good = [item for item in items if not isinstance(item, VideoError)]
    failures = tuple(str(item) for item in items if isinstance(item, VideoError))
    frames = torch.stack([frames for frames, _ in good]) if good else torch.empty(0, dtype=torch.uint8)
    return Batch(frames, torch.tensor([label for _, label in good], dtype=torch.int64), failures)


def video_loader(dataset: VideoDataset, batch_size: int, workers: int = 0) -> DataLoader:
    """A loader of `Batch`; shuffled by (seed, epoch) in training. Videos are opened in the workers only."""
    generator = torch.Generator().manual_seed(hash((dataset.seed, dataset.epoch)) & 0x7FFFFFFF)
    return DataLoader(
        dataset, batch_size, shuffle=dataset.train, num_workers=workers, collate_fn=collate, generator=generator
    )


@dataclass
class GoodBatches:
    """The (frames, labels) of a loader's batches, without what could not be read, and never an empty one.

    Each failure is a warning that names the file, and is kept in `skipped`. More than `max_bad_share` of the dataset
    is `BadInput`.
    """

    loader: DataLoader
    max_bad_share: float = 0.05
    skipped: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.skipped.clear()
        total = len(self.loader.dataset)
        for batch in self.loader:
            for failure in batch.failures:
                self.skipped.append(failure)
                warnings.warn(f"{failure}; skipped, {len(self.skipped)} of {total} so far", stacklevel=2)
            if len(self.skipped) > self.max_bad_share * total:
                raise BadInput(
                    f"{len(self.skipped)} of {total} videos cannot be read, more than max_bad_share = "
                    f"{self.max_bad_share}; the first: {self.skipped[0]}"
                )
            if len(batch.labels):
                yield batch.frames, batch.labels


def read_views(
    path: Path | str, frames: int, size: int, sampling: Sampling = uniform_indices, clips: int = 1, crops: int = 1
) -> np.ndarray:
    """Every test view of one video, uint8 (v, t, size, size, 3), v = clips * crops, crops varying fastest."""

    def pick(length: int) -> np.ndarray:
        return np.concatenate([sampling(length, frames, clip=clip, clips=clips) for clip in range(clips)])

    read = read_frames(path, pick)
    return np.concatenate([views(part, size, crops) for part in np.split(read, clips)])

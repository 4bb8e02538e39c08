"""Annotated videos as training batches and as test views. Broken files among good ones are named, skipped and counted.

Opening a file does not show whether its middle can be decoded, so nothing is checked beforehand: a clip that fails is
left out of its batch, and too many of them end the run.

Axes: b clips, t frames, h and w pixels, v views.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minilib.datasets.annotations import Clip
from minilib.distributed import ALONE, Processes, shared
from minilib.errors import BadInput
from minilib.video import VideoError, crop, read_frames, uniform_indices, views

Sampling = Callable[..., np.ndarray]  # (length, frames, *, clip, clips, rng) to indices, as `uniform_indices`


@dataclass(frozen=True, eq=False)
class VideoDataset(Dataset):
    """Item i is (frames uint8 (t, size, size, 3), label), or the `VideoError` that says why there is none.

    In training the moment and the place of the crop are random, a pure function of (seed, epoch, i); otherwise both
    are central. `flip` is how often a training clip is mirrored, and `mirrored` the class that each class then becomes
    (None: clips of this class are never mirrored), as `mirrored_classes` reads it off the names. change: what else is
    done to a training clip, uint8 (1, t, size, size, 3) -> the same; it draws from torch's generator, which is seeded
    for each clip, so no clip depends on its neighbours or on the process that reads it. `dense_indices` with a stride
    goes in as `functools.partial(dense_indices, stride=8)`.
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
    change: Callable[[Tensor], Tensor] | None = None

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
        clip = torch.from_numpy(np.ascontiguousarray(frames))
        if rng is not None and self.change is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(rng.integers(2**63)))
                clip = self.change(clip[None])[0]
        return clip, label

    def blank(self) -> tuple[Tensor, int]:
        """A black clip for a process that has none, whose loss will not count."""
        return torch.zeros(self.frames, self.size, self.size, 3, dtype=torch.uint8), 0


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


def batched(dataset: Dataset, batches: Sequence[Sequence[int]], workers: int = 0) -> DataLoader:
    """A loader of a `Batch` for each list of places. Videos are opened in the workers only."""
    return DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=collate)


class EpochBatches:
    """step -> (frames, labels) over epochs of a dataset that has `at_epoch` and `blank`, as `VideoDataset`: in a new
    order each epoch if it trains. A function of the step, whatever was asked for before, but that a batch of which
    nothing can be read gives way to the next one.

    Each unreadable video is a warning that names the file, and is kept in `skipped`. More than `max_bad_share` of the
    dataset is BadInput, in all processes. Of several processes each reads its share, and gets as a third tensor the
    weight that makes the mean over the processes the mean over the clips; one without a clip gets a blank one and 0.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        batch: int,
        workers: int = 0,
        max_bad_share: float = 0.05,
        among: Processes = ALONE,
    ):
        self.dataset, self.batch, self.workers = dataset, batch, workers
        self.max_bad_share, self.among = max_bad_share, among.apart()  # a thread may ask for batches
        self.length = max(math.ceil(len(dataset) / batch), 1)
        self.skipped: list[str] = []
        self._next, self._stream = -1, iter(())

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        epoch, place = divmod(step, self.length)
        if step != self._next or place == 0:
            self._stream = self._from(epoch, place)
        self._next = step + 1
        batch = next(self._stream, None)
        if batch is None:  # nothing could be read to the end of the epoch
            self._stream = self._from(epoch, 0)
            batch = next(self._stream, None)
        if batch is None:
            raise BadInput(f"none of {len(self.dataset)} videos can be read; the first: {self.skipped[0]}")
        return batch

    def order(self, epoch: int) -> list[int]:
        """The places of an epoch's clips, one after another."""
        count = len(self.dataset)
        if not self.dataset.train:
            return list(range(count))
        return np.random.default_rng([self.dataset.seed, epoch]).permutation(count).tolist()

    def _from(self, epoch: int, place: int) -> Iterator[tuple[Tensor, ...]]:
        """The epoch's batches from a place on."""
        order, among = self.order(epoch), self.among
        starts = range(place * self.batch, len(order), self.batch)
        mine = [shared(order[start : start + self.batch], among.rank, among.size) for start in starts]
        bad, waiting = 0, 0
        for batch in batched(self.dataset.at_epoch(epoch), mine, self.workers):
            read, failed = among.sums(len(batch.labels), len(batch.failures))
            bad += failed
            self._note(batch.failures, int(bad))
            waiting += 1
            if read:
                for _ in range(waiting):
                    yield self._weighed(batch, read)
                waiting = 0

    def _note(self, failures: Sequence[str], bad: int) -> None:
        total = len(self.dataset)
        for failure in failures:
            if failure not in self.skipped:
                self.skipped.append(failure)
                warnings.warn(f"{failure}; skipped, {bad} of {total} so far", stacklevel=2)
        if bad > self.max_bad_share * total:
            first = f"; the first: {self.skipped[0]}" if self.skipped else ""
            raise BadInput(
                f"{bad} of {total} videos cannot be read, more than max_bad_share = {self.max_bad_share}{first}"
            )

    def _weighed(self, batch: Batch, read: float) -> tuple[Tensor, ...]:
        if self.among.size == 1:
            return batch.frames, batch.labels
        weight = torch.tensor(len(batch.labels) * self.among.size / read)
        batch = batch if len(batch.labels) else collate([self.dataset.blank()])
        return batch.frames, batch.labels, weight


@dataclass(frozen=True, eq=False)
class ViewDataset(Dataset):
    """Item i is (every test view of clip i as `read_views` gives them, i), or the `VideoError` that says why not."""

    clips: Sequence[Clip]
    frames: int
    size: int
    sampling: Sampling = uniform_indices
    views: int = 1
    crops: int = 1

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> tuple[Tensor, int] | VideoError:
        try:
            read = read_views(self.clips[i].path, self.frames, self.size, self.sampling, self.views, self.crops)
        except VideoError as error:
            return VideoError(str(error))
        return torch.from_numpy(read), i


def read_views(
    path: Path | str, frames: int, size: int, sampling: Sampling = uniform_indices, clips: int = 1, crops: int = 1
) -> np.ndarray:
    """Every test view of one video, uint8 (v, t, size, size, 3), v = clips * crops, crops varying fastest."""

    def pick(length: int) -> np.ndarray:
        return np.concatenate([sampling(length, frames, clip=clip, clips=clips) for clip in range(clips)])

    read = read_frames(path, pick)
    return np.concatenate([views(part, size, crops) for part in np.split(read, clips)])

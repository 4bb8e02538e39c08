"""What a training on real videos is asked for, on which videos, and what a paper's study makes ready for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn
from torch.utils.data import Dataset

from minilib.changes import clips_key
from minilib.datasets.annotations import present
from minilib.errors import BadInput
from minilib.manifests import file_hash
from minilib.recipe import DTYPES
from minilib.settings import key
from minilib.training import Objective
from minilib.video import VideoError


@dataclass(frozen=True)
class RealRun:
    """What any training on real videos can be asked for.

    weights: a file, "random", or "" for what the method starts from by itself. max_steps and max_clips cut a run short;
    0 is the whole recipe. batch: clips a step, over all processes; 0 is the recipe's. flip: how often a training clip
    is mirrored, None for the recipe's word. max_bad_share: of the clips that are there, how many may be unreadable
    before the run ends. workers: processes that decode, beside each that trains; a GPU has one at least. compile: by
    torch.compile. fresh: start anew, whatever checkpoint or row is there.
    """

    FIXED: ClassVar[tuple[str, ...]] = ()  # what only its default value makes the paper's
    FILES: ClassVar[tuple[str, ...]] = ("weights",)  # what is a file, "random" or ""; files are known by their content

    dataset: str
    data_root: str = field(compare=False)
    backbone: str = ""
    frames: int = 8
    weights: str = field(default="", compare=False)  # known by its content
    max_steps: int = 0
    max_clips: int = 0
    batch: int = 0
    precision: str = "fp32"
    workers: int = field(default=0, compare=False)
    device: str = field(default="cpu", compare=False)
    seed: int = 0
    flip: float | None = None
    max_bad_share: float = field(default=0.05, compare=False)
    compile: bool = field(default=False, compare=False)
    fresh: bool = field(default=False, compare=False)

    def __post_init__(self):
        for name, least in (("frames", 1), ("max_steps", 0), ("max_clips", 0), ("batch", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise BadInput(f"{name}={getattr(self, name)}: must be {least} or more")
        if self.precision not in DTYPES:
            raise BadInput(f"precision={self.precision!r}: must be one of {', '.join(DTYPES)}")
        if self.flip is not None and not 0 <= self.flip <= 1:
            raise BadInput(f"flip={self.flip}: a share of the clips, from 0 to 1, or None")
        for name in self.FILES:
            if (file := getattr(self, name)) not in ("", "random") and not Path(file).is_file():
                raise BadInput(f"{name} {file}: no such file")

    @property
    def metric(self) -> str:
        """What its rows are called, without the last part (top1)."""
        return f"real/{self.dataset}/{self.backbone}/{self.frames}"

    @property
    def random_start(self) -> bool:
        """Whether the model starts from random weights where its paper's does not."""
        return any(getattr(self, name) == "random" for name in self.FILES)

    @property
    def started_from(self) -> str:
        """The weights in words."""
        given = [file for name in self.FILES if (file := getattr(self, name)) not in ("", "random")]
        said = [f"{Path(file).name} (sha256 {file_hash(file)[:12]})" for file in given]
        said += ["random weights"] if self.random_start else []
        return " and ".join(said) or "the method's usual weights"


@dataclass(frozen=True)
class Prepared:
    """A method ready to train: a name for its files, the model, how many frames of a clip it reads, the recipe's
    entries (lr, weight_decay, betas, batch, epochs, warmup_epochs, sampling, stride, views, rand_augment, flip,
    erasing, smoothing, mixup, cutmix, clip_grad), and its loss where that is not the cross-entropy; a loss of its own
    smooths its labels itself."""

    name: str
    model: nn.Module
    frames: int
    recipe: dict
    objective: Objective | None = None


@dataclass(frozen=True)
class Videos:
    """The splits of a data set as far as they are on the disk, how many clips each lists, and the key of all that."""

    splits: Mapping[str, object]
    listed: Mapping[str, int]
    key: str

    @classmethod
    def of(cls, dataset: str, root: Path | str, listed: Mapping[str, object]) -> Videos:
        """A warning says how many videos are missing."""
        splits = {name: present(split, f"{dataset}, {name}") for name, split in listed.items()}
        counts = {name: len(split) for name, split in listed.items()}
        seen = clips_key(root, *(split.clips for split in splits.values()))
        return cls(splits, counts, key(seen, *(split.classes for split in splits.values())))

    def __str__(self) -> str:
        return ", ".join(f"{len(self.splits[name]):,} of {count:,} {name}" for name, count in self.listed.items())


@dataclass(frozen=True, eq=False)
class Drawn(Dataset):
    """Item i: what `draw` makes of video i, a pure function of (seed, epoch, i); or the `VideoError` that says why
    there is none. flip: how often it is mirrored."""

    videos: Sequence
    seed: int = field(default=0, kw_only=True)
    epoch: int = field(default=0, kw_only=True)
    train: bool = field(default=True, kw_only=True)
    flip: float = field(default=0.0, kw_only=True)

    def at_epoch(self, epoch: int) -> Drawn:
        """The same videos, drawn anew."""
        return replace(self, epoch=epoch)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, i: int) -> tuple | VideoError:
        try:
            return self.draw(self.videos[i], np.random.default_rng([self.seed, self.epoch, i]))
        except VideoError as error:
            return VideoError(str(error))  # without the traceback, which holds half-read frames

    def draw(self, video: object, rng: np.random.Generator) -> tuple:
        """An item of one video."""
        raise NotImplementedError

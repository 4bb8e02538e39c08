"""Localization on real videos: a model that finds and names objects, on ImageNet-VID or YouTube-VIS.

A paper's study says what it trains (`Prepared`); its model has a method `locate`. Sizes are Appendix B.2's of
open-vocabulary localization: the short side is fixed, the long side follows, and all clips of a step are of one video.

Axes: n clips of a video, t frames, s slots, o objects, h and w pixels, k classes.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from minilib.changes import stamp
from minilib.claims import Measurements
from minilib.datasets.annotations import Annotated
from minilib.datasets.imagenet_vid import Snippet, imagenet_vid
from minilib.datasets.youtube_vis import SegmentedVideo, youtube_vis
from minilib.distributed import processes
from minilib.errors import BadInput
from minilib.manifests import resolve
from minilib.metrics.localization import best, cor_loc, dec_rate, dec_rate_released
from minilib.metrics.named_boxes import NamedBoxes, kinds, map50_coco, map50_released, shares
from minilib.progress import progress
from minilib.settings import key
from minilib.study.real_run import Drawn, Prepared, RealRun, Videos
from minilib.study.real_training import Tested, fit, over_seeds
from minilib.training import autocast
from minilib.video import VideoError, dense_indices, fitted_size, resize

__all__ = ["over_seeds"]  # beside what is defined here
DATASETS = {"imagenet_vid": imagenet_vid, "youtube_vis": youtube_vis}
SIZE = {"vit_b16": (224, 16), "small": (96, 8)}  # the short side, and the patch
STRIDES = (1, 2, 4, 8)  # of a training clip, one of them at random, as released
Video = Snippet | SegmentedVideo


@dataclass(frozen=True)
class Run(RealRun):
    """What to train on what. dataset: imagenet_vid or youtube_vis. backbone: vit_b16 or small. weights: a file of a
    video encoder, with or without slots, or "random". patch_clip: a file of its block, or "random". draws: clips of the
    one video of a step (the text has 10, the released code 7); each process has a video of its own. prompt: photo, the
    released code's, photo_of_a, Appendix D's, or synonyms, the released with Appendix D's synonyms."""

    FIXED: ClassVar[tuple[str, ...]] = ("draws", "prompt")
    FILES: ClassVar[tuple[str, ...]] = ("weights", "patch_clip")

    backbone: str = "vit_b16"
    patch_clip: str = field(default="", compare=False)
    draws: int = 10
    prompt: str = "photo"

    def __post_init__(self):
        super().__post_init__()
        if self.draws < 1:
            raise BadInput(f"draws={self.draws}: must be 1 or more")


@dataclass(frozen=True)
class Answer:
    """What a model says of a window: boxes (t, s, 4) of every slot by itself, and of those that are left after joint
    optimisation, with scores (s, k) of the classes."""

    slots: Tensor
    boxes: Tensor
    scores: Tensor


Method = Callable[[Run, Sequence[str]], Prepared]  # what to run, the classes' names


def data(run: Run) -> Videos:
    """The videos of "train" and "val" that have as many frames as a clip."""
    if run.dataset not in DATASETS:
        raise BadInput(f"dataset {run.dataset!r}: choose of {', '.join(DATASETS)}")
    if run.backbone not in SIZE:
        raise BadInput(f"backbone {run.backbone!r}: choose of {', '.join(SIZE)}")
    root = resolve(run.dataset, run.data_root)
    listed = {split: DATASETS[run.dataset](root, split) for split in ("train", "val")}
    splits = {split: long_enough(found, run.frames, f"{run.dataset}, {split}") for split, found in listed.items()}
    seen = [(v.name, len(v), *(stamp(v.frames[at], root) for at in (0, -1))) for s in splits.values() for v in s.clips]
    return Videos(splits, {split: len(found) for split, found in listed.items()}, key(seen, splits["train"].classes))


def long_enough(videos: Annotated, frames: int, what: str) -> Annotated:
    """Those that have so many frames. A warning counts the others; BadInput where all are too short."""
    kept = tuple(video for video in videos.clips if len(video) >= frames)
    if len(kept) < len(videos.clips):
        short = next(video for video in videos.clips if len(video) < frames)
        told = f"{what}: {len(videos.clips) - len(kept)} of {len(videos.clips)} videos have fewer than {frames} frames"
        told += f", the first is {short.name} with {len(short)}"
        if not kept:
            raise BadInput(told)
        warnings.warn(f"{told}; they are left out", stacklevel=2)
    return replace(videos, clips=kept)


def read_fitted(video: Video, frames: Sequence[int], short: int, patch: int) -> Tensor:
    """Those frames at the model's size, uint8 (t, h, w, 3). What cannot be read is `VideoError`."""
    unique, order = np.unique(np.asarray(frames), return_inverse=True)
    try:
        pixels = video.read(unique.tolist())
    except BadInput as error:
        raise VideoError(str(error)) from None
    return torch.from_numpy(resize(pixels, fitted_size(*pixels.shape[1:3], short, patch))[order])


@dataclass(frozen=True, eq=False)
class Draws(Drawn):
    """Item i: clips of video i, uint8 (n, t, h, w, 3), of moments and strides of their own, and a label that means
    nothing."""

    clips: int
    frames: int
    short: int
    patch: int

    def draw(self, video: Video, rng: np.random.Generator) -> tuple[Tensor, int]:
        chosen = [dense_indices(len(video), self.frames, int(rng.choice(STRIDES)), rng=rng) for _ in range(self.clips)]
        clips = read_fitted(video, np.concatenate(chosen), self.short, self.patch)
        clips = clips.unflatten(0, (self.clips, self.frames))
        mirrored = torch.from_numpy(rng.random(self.clips) < self.flip)
        return torch.where(mirrored[:, None, None, None, None], clips.flip(3), clips), 0

    def blank(self) -> tuple[Tensor, int]:
        """Black clips for a process that has none, whose loss will not count."""
        return torch.zeros(self.clips, self.frames, self.short, self.short, 3, dtype=torch.uint8), 0


# --- what is scored --------------------------------------------------------------------------------------------------


def released_groups(length: int, frames: int) -> range:
    """Where the windows of a test video begin: one after another; the released code drops the last one, even where it
    is complete."""
    return range(0, max(length - frames, 0), frames)


def every_group(length: int, frames: int) -> range:
    """The same with the last complete one."""
    return range(0, length - frames + 1, frames)


@dataclass(frozen=True)
class Scored:
    """A window's answer and its truth: boxes (t, o, 4), which are there (t, o), and names (t, o)."""

    answer: Answer
    truth: Tensor
    there: Tensor
    names: Tensor


@torch.no_grad()
def windows(
    model: nn.Module, video: Video, run: Run, groups: Callable[[int, int], range] = released_groups
) -> Iterator[Scored]:
    """Every window of a test video."""
    tracks = video.tracks()
    for start in groups(len(video), run.frames):
        at = list(range(start, start + run.frames))
        frames = read_fitted(video, at, *SIZE[run.backbone])
        with autocast(torch.device(run.device), run.precision):
            answer = model.locate(frames.to(run.device))
        truth = tracks.at(at).resized(tuple(frames.shape[1:3]))
        answer = Answer(answer.slots.cpu(), answer.boxes.cpu(), answer.scores.float().cpu())
        yield Scored(answer, truth.boxes, truth.there, truth.labels.expand(run.frames, -1))


def scores(found: Sequence[Scored]) -> dict[str, float]:
    """CorLoc, DecRate (by the text and as released), mAP50 as released and as COCO has it, and what boxes hold
    (Appendix A.2), all in percent; of what joint optimisation leaves, and, with `slots_`, of all slots by themselves.
    Raises BadInput where no frame has an object."""
    most = max(each.there.shape[1] for each in found)
    truth, there, names = (
        torch.cat([_padded(getattr(each, what), most) for each in found]) for what in ("truth", "there", "names")
    )
    slots, boxes = (torch.cat([getattr(each.answer, what) for each in found]) for what in ("slots", "boxes"))
    each_frame = torch.cat([each.answer.scores.expand(len(each.truth), -1, -1) for each in found])
    named = NamedBoxes(boxes.float(), each_frame, truth, names, there)
    return {
        **_placed(boxes, truth, there, ""),
        **_placed(slots, truth, there, "slots_"),
        "map50_released": map50_released(named),
        "map50_coco": map50_coco(named),
    }


def _placed(boxes: Tensor, truth: Tensor, there: Tensor, prefix: str) -> dict[str, float]:
    """What asks for no names."""
    iou = best(boxes, truth)
    rates = {"cor_loc": cor_loc, "dec_rate": dec_rate, "dec_rate_released": dec_rate_released}
    rated = {f"{prefix}{name}": rate(iou, there) for name, rate in rates.items()}
    held = shares(kinds(boxes, truth, there)).values()
    return rated | {f"{prefix}{kind}": share for kind, share in zip(("so", "po", "go", "bg"), held, strict=True)}


def _padded(values: Tensor, objects: int) -> Tensor:
    """(t, o, ...) with zeros for objects that are not there: (t, objects, ...)."""
    return torch.cat([values, values.new_zeros(len(values), objects - values.shape[1], *values.shape[2:])], 1)


def run(settings: Run, out_dir: Path | str, method: Method, rows: Measurements | None = None) -> dict[str, float]:
    """Trains and evaluates, as `fit` does; the metrics of `scores`."""
    among = processes(settings.device)
    if settings.batch not in (0, among.size):
        raise BadInput(f"batch={settings.batch}: videos differ in size, so each process has one; set draws instead")
    settings = replace(settings, batch=among.size)
    videos = among.from_first(lambda: data(settings))
    train, held = (videos.splits[name].clips[: settings.max_clips or None] for name in ("train", "val"))
    classes = videos.splits["train"].classes
    prepared = method(settings, classes)
    flip = settings.flip if settings.flip is not None else prepared.recipe["flip"]
    draws = Draws(train, settings.draws, prepared.frames, *SIZE[settings.backbone], seed=settings.seed, flip=flip)

    def tested(model: nn.Module) -> Tested:
        model.to(settings.device).eval()
        found = []
        for place in progress(range(among.rank, len(held), among.size), desc="testing"):
            with contextlib.suppress(VideoError):  # counted below
                found.append((place, list(windows(model, held[place], settings))))
        found = sorted(among.gathered(found), key=lambda each: each[0])
        flat = [each for _, scored in found for each in scored]
        if not flat:
            raise BadInput(f"dataset {settings.dataset}: no test video has more than {settings.frames} frames")
        return Tested(scores(flat), len(held) - len(found))

    return fit(settings, prepared, videos, draws, len(classes), out_dir, tested, rows)

"""DiST on the small world: what it reads, what it learns, and three departures that layers of a dozen channels need.

Channels are the paper's fractions of the image model's width, 768 there and 96 here: alpha = 1/2 is 48, beta = 1/8 is
12. Features of the sparse frames that most variants share are cached, so that each costs only what it trains.

Axes: b clips, t sparse frames, g = gamma, d width, e joint embedding, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.cache import cached
from minilib.files import RUNS
from minilib.models.classifier import VideoClassifier
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.initial import init_fan_in
from minilib.models.small_clip import small_clip
from minilib.papers.baselines import EVL, STAdapter
from minilib.papers.baselines.st_adapter import ON_KINETICS, PLACES
from minilib.papers.dist.clip import DiSTRecogniser, class_features
from minilib.papers.dist.method import Branches, Design, DiST, ImageSizes
from minilib.study import Clips, Feed, RandomLabels, WorldTask
from minilib.study.feeds import Kept
from minilib.world import FEW, MOTIONS, SHAPES, TASKS, WorldClips

WIDTH = 96  # of the small CLIP
SMALL = Design(frames=4, gamma=2, integration=WIDTH // 2, temporal=WIDTH // 8)
SCALE = 16.0  # of the cosines, chosen on validation clips; CLIP's own, 63 here, is too sharp for a short recipe
FOLDER = RUNS / "features"
LABELS = 1 << 20  # with a step added, the seed of that step's random labels
TRAIN = {task: FEW * len(TASKS[task]) for task in ("hard appearance", "hard noun")}  # clips; of other tasks 4,096
ORDERED = ("motion", "timing")  # tasks whose classes differ in order, of which no caption of the small CLIP speaks
SAID = {  # motions that the small CLIP has no words for, in words that it has
    "darting right": "disappearing left and appearing right",
    "darting left": "disappearing right and appearing left",
    "pausing on the way right": "moving right and in the centre and moving right",
    "pausing on the way left": "moving left and in the centre and moving left",
    "bobbing up and down": "moving up and moving down",
    "bobbing down and up": "moving down and moving up",
    "sinking fast and rising slowly": "down and moving up",
    "sinking slowly and rising fast": "moving down and up",
}


@dataclass(frozen=True)
class Inputs:
    """Dense frames uint8 (b, g t, h, w, 3), g, and features of the sparse frames where they are cached."""

    frames: Tensor
    gamma: int
    features: FrameFeatures | None = None

    @property
    def sparse(self) -> Tensor:
        """(b, t, h, w, 3)."""
        return self.frames[:, :: self.gamma]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Inputs:
        features = self.features and self.features.to(device, non_blocking)
        return Inputs(self.frames.to(device, non_blocking=non_blocking), self.gamma, features)


def reader(
    source: WorldClips, gamma: int, device: str = "cpu", frames: Callable[[np.ndarray], Tensor] | None = None
) -> Callable[[np.ndarray], Inputs]:
    """Indices (b,) -> `Inputs`, with cached features where several variants read the same sparse frames; `frames`: in
    the place of the source's own."""
    clip, features, frames = small_clip(), None, frames or source.frames
    plain = WorldClips(source.task, source.seed, source.split, source.count, SMALL.frames * gamma)
    if plain.key() == source.key() and gamma in (1, SMALL.gamma):
        sparse = replace(plain, steps=SMALL.frames, every=gamma)
        features = cached(clip, sparse, range(clip.visual.transformer.layers), FOLDER, device=device)

    def read(indices: np.ndarray) -> Inputs:
        return Inputs(frames(indices), gamma, features and features.batch(indices))

    return read


@dataclass(frozen=True)
class DenseTask(WorldTask):
    """Classification of clips with `frames` sparse and gamma times as many dense frames."""

    train: int = 4096
    gamma: int = SMALL.gamma

    def source(self, split: str, seed: int) -> WorldClips:
        shuffle = (1 if split == "train" else 2) if self.control == "frames" else None
        count = self.train if split == "train" else self.test
        return WorldClips(self.labels, seed, split, count, self.gamma * self.frames, shuffle=shuffle)

    def whole(self, split: str, seed: int, device: str = "cpu") -> Feed:
        source = self.source(split, seed)
        if split != "train":
            return Clips(source, reader(source, self.gamma, device))
        frames, labels = Kept(source.frames, len(source)), Kept(source.labels, len(source))
        return Clips(source, reader(source, self.gamma, device, frames), self.train, labels)

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        whole = self.whole(split, seed, device)  # shuffled in its source, dense and sparse frames alike
        return RandomLabels(whole, len(self.classes), LABELS) if self.control == "labels" else whole


def centre(texts: Tensor) -> Tensor:
    """Text features (k, e) without what all of them share, as unit vectors; Eq. 7 takes them as they are."""
    return F.normalize(texts - texts.mean(0), dim=-1)


def whiten(texts: Tensor) -> Tensor:
    """Text features (k, e) as far from one another as k vectors can be, each near its own: centred, then whitened.

    No caption that the small CLIP was trained on says a motion, so to it the twelve names are nearly one and the same
    (cosines up to 1.00), and cosines with them say little. A departure from Eq. 7; a learned classifier did worse on
    validation clips.
    """
    left, _, right = torch.linalg.svd(centre(texts), full_matrices=False)
    return F.normalize(left[:, :-1] @ right[:-1], dim=-1)  # centred features have one dimension less


def classes_of(clip: ImageText, labels: str) -> Tensor:
    """What the videos of a task are compared with, (k, e); of actions the motions, then the nouns (`Actions`)."""
    if labels == "action":
        return torch.cat([classes_of(clip, "motion"), classes_of(clip, "noun")])
    texts = class_features(clip, [SAID.get(name, name) for name in TASKS[labels]])
    return whiten(texts) if labels in ORDERED else centre(texts)


def small_dist(
    clip: ImageText, classes: Tensor, design: Design = SMALL, branches: Callable[..., nn.Module] = Branches
) -> DiSTRecogniser:
    """DiST around the small CLIP, or with other `branches` what is left of it; `classes` (k, e)."""
    net = DiST(ImageSizes.of(clip.visual), design, branches)
    init_fan_in(net)
    return DiSTRecogniser(clip, net, classes, SCALE)


class OnInputs(nn.Module):
    """A recogniser that takes `Inputs`."""

    def __init__(self, recogniser: DiSTRecogniser):
        super().__init__()
        self.recogniser = recogniser

    def forward(self, inputs: Inputs) -> Tensor:
        return self.recogniser(inputs.frames, inputs.features)


class EachFrameAlone(OnInputs):
    """The same parts, but every sparse frame is a clip of its own; the mean of their scores. It cannot see order."""

    def forward(self, inputs: Inputs) -> Tensor:
        frames = inputs.sparse
        features = inputs.features and FrameFeatures(
            *(x.flatten(1, 2).unsqueeze(2) for x in (inputs.features.cls, inputs.features.patches))
        )
        return self.recogniser(frames.flatten(0, 1).unsqueeze(1), features).unflatten(0, frames.shape[:2]).mean(1)


class OnSparse(nn.Module):
    """A classifier of frames, on the sparse ones alone."""

    def __init__(self, classifier: VideoClassifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, inputs: Inputs) -> Tensor:
        return self.classifier(inputs.sparse)


class Actions(nn.Module):
    """Verb and noun at once, as EPIC-Kitchens asks: a model's scores of the motions and of the nouns (b, 12 + 8) are
    added for each action (b, 96), so that its cross-entropy is the sum of both."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> Tensor:
        verb, noun = self.model(inputs).split([len(MOTIONS), len(SHAPES)], 1)
        return (verb[:, :, None] + noun[:, None]).flatten(1)


def outputs(labels: str) -> int:
    """How many scores a model gives on a task."""
    return len(MOTIONS) + len(SHAPES) if labels == "action" else len(TASKS[labels])


def answering(labels: str, model: nn.Module) -> nn.Module:
    """`model`, of `outputs(labels)` scores, as a classifier of the task."""
    return Actions(model) if labels == "action" else model


def dist(feed: Feed, design: Design, labels: str, branches: Callable[..., nn.Module] = Branches) -> nn.Module:
    """DiST, or with other `branches` what is left of it."""
    clip = small_clip()
    return answering(labels, OnInputs(small_dist(clip, classes_of(clip, labels), design, branches)))


def order_blind(feed: Feed, labels: str) -> nn.Module:
    """Everything but time. Its frames lie evenly in the clip: every gamma-th frame from the first is not where every
    gamma-th from the last is, which alone tells a clip from its mirror image."""
    clip = small_clip()
    return EachFrameAlone(small_dist(clip, classes_of(clip, labels), replace(SMALL, frames=1, gamma=1)))


def evl(feed: Feed, labels: str) -> nn.Module:
    """EVL, with its classifier."""
    return answering(
        labels, OnSparse(EVL(small_clip().visual, SMALL.frames, outputs(labels), mlp_dropout=0.0, dropout=0.0))
    )


def st_adapter(feed: Feed, labels: str) -> nn.Module:
    """ST-Adapter, with its classifier; its adapters stand where the authors have them on such data."""
    classes, places = len(TASKS[labels]), PLACES if labels in ORDERED else ON_KINETICS
    return OnSparse(STAdapter(small_clip().visual, SMALL.frames, classes, places, WIDTH // 2, dropout=0.0))


def full_image(feed: Feed, labels: str) -> nn.Module:
    """The image model and a classifier, all of it trained; nothing knows of time."""
    clip = small_clip()
    clip.visual.requires_grad_(True)
    clip.visual.proj.requires_grad_(False)  # the classifier reads what comes before it
    return OnSparse(VideoClassifier(clip.visual, len(TASKS[labels]), dropout=0.0))

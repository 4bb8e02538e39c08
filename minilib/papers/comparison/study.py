"""Image-to-video methods side by side: one image-text model, one budget, one way in for every method.

A method is a function that makes a model of clips; `Method` says besides how it is trained. A reader's own is one more:

    score = variant(Method(mine), MOTION).run(GRID, Trial(seed=0)).score

Parts are those of each paper's own notebook, and so are the rates of the short recipe, set by hand. Claims are
judged under the tuned one, where each method takes the best of the same three rates around its own and of two lengths,
on validation clips. Steps and batch are the same for all. Frozen features are computed in every step, for all alike: no
cache helps anyone.

Axes: b clips, t frames, h and w pixels, k classes, d width of the joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import ClassVar

import torch
from torch import Tensor, nn

from minilib.claims import Measurements
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import ImageText
from minilib.models.small_clip import small_clip
from minilib.papers.dist import small as small_dist
from minilib.papers.object_centric.losses import OnPixels
from minilib.papers.object_centric.method import OnFrames, oca
from minilib.papers.object_centric.study import GRID, LOSSES, RATES, baseline_for
from minilib.papers.victr import small as small_victr
from minilib.papers.victr.baselines import XClip
from minilib.papers.victr.recogniser import Reader
from minilib.papers.victr.variants import Start, victr
from minilib.papers.zeroi2v import merge
from minilib.papers.zeroi2v.study import PROBE, ZERO
from minilib.papers.zeroi2v.variants import Adapted
from minilib.study import Feed, Outcome, Study, Trial, Tuned, Variant, WorldTask, speed
from minilib.study.embedded import Embedded
from minilib.training import Objective, TrainSettings, cross_entropy
from minilib.world import TASKS as CLASSES
from minilib.world import clip_batch

FRAMES = 4
REFERENCE = "st_adapter"  # costs are ratios to it
MERGED = "_merged"  # after a method's name: what it is after its additions were folded away
STANDARD = 64  # clips that say how large embeddings are
MOTION = WorldTask("motion", FRAMES, train=4096)
TASKS = {
    "motion": MOTION,
    "appearance": replace(MOTION, labels="appearance"),
    "noun": replace(MOTION, labels="noun"),
    "few": replace(MOTION, train=192),  # the first clips: sixteen a class on average
    "timing": replace(MOTION, labels="timing"),
    "hard_appearance": replace(MOTION, labels="hard appearance", train=small_dist.TRAIN["hard appearance"]),
    "hard_noun": replace(MOTION, labels="hard noun", train=small_dist.TRAIN["hard noun"]),
}
JUDGED = ("timing", "few", "hard_appearance", "hard_noun")  # off the ceiling


@dataclass(frozen=True)
class Method:
    """build(image-text model, frames, labels of the small world) -> a model of clips uint8 (b, t, h, w, 3) -> scores
    (b, k). lr multiplies the recipe's rate; gamma: how many frames it sees for each one of the others'; merge folds a
    trained model into a cheaper one with the same scores (it counts for costs alone, so no row depends on it)."""

    build: Callable[[ImageText, int, str], nn.Module]
    lr: float = 1.0
    objective: Objective = cross_entropy
    gamma: int = 1
    merge: Callable[[nn.Module], nn.Module] | None = field(default=None, compare=False)


# --- the methods ------------------------------------------------------------------------------------------------------


def adapted(clip: ImageText, frames: int, labels: str, strategy: Adapted) -> nn.Module:
    """The image model under a strategy of ZeroI2V's, and a linear classifier."""
    new = strategy(clip.visual)
    model = VideoClassifier(clip.visual, len(CLASSES[labels]), dropout=0.0)
    return train_only(model, [*new, *model.head.parameters()])


def folded(model: VideoClassifier) -> VideoClassifier:
    """ZeroI2V's model with its adapters multiplied into the image model."""
    model.backbone = merge(model.backbone.eval())
    return model


def baseline(clip: ImageText, frames: int, labels: str, name: str) -> nn.Module:
    """A method that OCA is compared with."""
    like = "motion" if labels in small_dist.ORDERED else labels
    return baseline_for(name, like)(clip.visual, frames, len(CLASSES[labels]))


def object_centric(clip: ImageText, frames: int, labels: str) -> nn.Module:
    """OCA behind its image model."""
    return OnFrames(clip, oca(clip.visual, frames, len(CLASSES[labels])))


def dist(clip: ImageText, frames: int, labels: str) -> nn.Module:
    """DiST, which takes `frames` dense ones."""
    design = replace(small_dist.SMALL, frames=frames // small_dist.SMALL.gamma)
    return small_dist.small_dist(clip, small_dist.classes_of(clip, labels), design)


@torch.no_grad()
def embeddings(clip: ImageText, frames: Tensor) -> Tensor:
    """Each frame in the space of the texts, uint8 (b, t, h, w, 3) -> (b, t, d), without gradient."""
    return clip.eval().frame_embeddings(frames)


class OnEmbeddings(nn.Module):
    """A head that reads names behind the image model that gives it one embedding a frame."""

    def __init__(self, clip: ImageText, reader: Reader):
        super().__init__()
        self.clip, self.reader = clip.requires_grad_(False), reader

    def forward(self, frames: Tensor) -> Tensor:
        return self.reader(embeddings(self.clip, frames))


def conditioned(
    clip: ImageText, frames: int, labels: str, head: Callable[[Start], nn.Module], auxiliary: bool
) -> nn.Module:
    """VicTR or a head that it is compared with; a few training clips say how frames are standardised."""
    pixels, label = clip_batch(labels, 0, "train", range(STANDARD), frames)
    names = tuple(small_dist.SAID.get(name, name) for name in CLASSES[labels])
    build = small_victr.Build(head, names, frames, auxiliary)
    return OnEmbeddings(clip, build(Embedded(embeddings(clip, pixels), label)))


def with_attributes(model: OnEmbeddings, frames: Tensor, labels: Tensor) -> Tensor:
    """VicTR's loss, of classes and attributes."""
    return small_victr.LOSS(model.reader, embeddings(model.clip, frames), labels)


METHODS = {
    "probe": Method(partial(adapted, strategy=PROBE)),
    **{
        name: Method(partial(baseline, name=name), RATES.get(name, 1.0))
        for name in ("full_image", "st_adapter", "aim", "evl")
    },
    "xclip": Method(partial(conditioned, head=XClip, auxiliary=False), lr=0.5),
    "zeroi2v": Method(partial(adapted, strategy=ZERO), merge=folded),
    "dist": Method(dist, lr=0.5, gamma=small_dist.SMALL.gamma),
    "oca": Method(object_centric, objective=OnPixels(LOSSES)),
    "victr": Method(partial(conditioned, head=victr, auxiliary=True), lr=0.5, objective=with_attributes),
}

# --- variants: every method on every task, and on motion for the same seconds ----------------------------------------


def built(feed: Feed, method: Method, labels: str) -> nn.Module:
    """The method's model around the small CLIP."""
    return method.build(small_clip(), FRAMES * method.gamma, labels)


def variant(method: Method, task: WorldTask) -> Variant:
    """A method on a task, with as many frames as it takes."""
    task = replace(task, frames=FRAMES * method.gamma)
    return Variant(partial(built, method=method, labels=task.labels), task, method.objective, method.lr)


def timed(method: Method, device: str, batch: int = 8) -> speed.Timed:
    """A method on motion with a batch of clips. A step is forward and backward, without the optimiser and without the
    making of clips, of which DiST takes twice as many frames."""
    model = built(None, method, "motion").to(device)
    frames, labels = clip_batch("motion", 0, "train", range(batch), FRAMES * method.gamma, device=device)
    folded = method.merge(built(None, method, "motion")).to(device) if method.merge else None
    return speed.Timed(model, frames, labels.to(device), method.objective, frames[:1], folded)


def costs(rows: Measurements, methods: Mapping[str, Method] | None = None, rounds: int = speed.ROUNDS) -> None:
    """Records cost/step, memory, latency and throughput of each method as ratios to ST-Adapter's; work in million
    multiply-adds of a clip, tunable in thousand parameters. What can be merged is there once more, and `MERGED`."""
    each = {name: timed(method, rows.device) for name, method in (methods or METHODS).items()}
    found = speed.training_costs(each, REFERENCE, rows.device, rounds) | speed.counted_costs(each)
    found |= speed.inference_costs(each, REFERENCE, rounds)
    speed.record_rounds(rows, found, "batches of 8 clips of 4 frames, small CLIP")


@dataclass(frozen=True)
class SameSeconds:
    """A method that trains on motion for as long as the reference takes for the recipe: the steps of both are timed
    before, taking turns, and their ratio says how many there are."""

    method: Method
    reference: Method
    rounds: int = 15
    task: WorldTask = MOTION
    timed: ClassVar[bool] = True

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        """Timed anew by each run, so one that stopped begins again. Its number of steps is a metric."""
        calls = {"own": timed(self.method, trial.device).step, "other": timed(self.reference, trial.device).step}
        ratio = median(each["own"] for each in speed.relative(speed.rounds_of(calls, self.rounds), "other"))
        paid = recipe.for_share(1 / ratio)
        outcome = variant(self.method, self.task).run(paid, replace(trial, checkpoint=None))
        return outcome._replace(metrics=outcome.metrics | {"steps": float(paid.steps)})

    def smoke(self) -> SameSeconds:
        return replace(self, rounds=1, task=self.task.smoke())


VARIANTS = {
    **{f"{on}/{name}": variant(method, task) for on, task in TASKS.items() for name, method in METHODS.items()},
    **{f"{on}/control": variant(METHODS[REFERENCE], replace(task, control="labels")) for on, task in TASKS.items()},
    **{f"seconds/{name}": SameSeconds(method, METHODS[REFERENCE]) for name, method in METHODS.items()},
}
SHORT = tuple(name for name in VARIANTS if not name.startswith(("timing/", "hard_")))
CONTROLS = ("timing/probe", "timing/evl", *(f"{on}/{name}" for on in JUDGED for name in (REFERENCE, "control")))
STUDY = Study(
    "image_to_video_compared",
    VARIANTS,
    recipes={"grid": GRID, "tuned": Tuned(replace(GRID, steps=1500), lengths=(0.5, 1.0))},
    grids={
        "grid": tuple(dict.fromkeys((*SHORT, *CONTROLS))),
        "tuned": tuple(f"{on}/{name}" for on in JUDGED for name in METHODS),
    },
    costs=costs,
)

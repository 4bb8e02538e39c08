"""Image-to-video methods side by side: one image-text model, one budget, one way in for every method.

A method is a function that makes a model of clips; `Method` says besides how it is trained. A reader's own method is
one more entry:

    score = run(Method(mine), TASKS["motion"], GRID, seed=0)[2]

Parts and learning rates are those of each paper's own notebook; steps and batch are the same for all. Frozen features
are computed in every step, for all alike: no cache helps anyone.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from minilib import world
from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import ImageText
from minilib.models.small_clip import small_clip
from minilib.papers.dist import arms as dist_arms
from minilib.papers.object_centric import arms as object_centric_arms
from minilib.papers.object_centric.losses import distilled
from minilib.papers.object_centric.method import OnFrames, oca
from minilib.papers.victr import arms as victr_arms
from minilib.papers.victr import runs as victr_runs
from minilib.papers.victr.vocabularies import embed_frames
from minilib.papers.zeroi2v import arms as zeroi2v_arms
from minilib.papers.zeroi2v.heads import Mixing
from minilib.papers.zeroi2v.method import STDHA, merge
from minilib.training import History, Objective, TrainSettings, accuracy, evaluate, train
from minilib.world import clip_batch, held_batches, train_batches

Build = Callable[[ImageText, int, str], nn.Module]  # image-text model, frames, task of the world -> model of clips
FRAMES = 4
CLIPS = 4096  # of training, a seed
TEST_CLIPS = 512
MERGED = "_merged"  # after a method's name: what it is after its additions were folded away
STANDARD = 64  # clips that say how large embeddings are


@dataclass(frozen=True)
class Method:
    """How a model of clips uint8 (b, t, h, w, 3) -> scores (b, k) is made and trained. lr multiplies the recipe's rate;
    objective None is the cross-entropy; gamma: how many frames it sees for each one of the others'; merge folds a
    trained model into a cheaper one with the same scores (it counts for costs alone, so no row depends on it)."""

    build: Build
    lr: float = 1.0
    objective: Objective | None = None
    gamma: int = 1
    merge: Callable[[nn.Module], nn.Module] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Task:
    """Labels of the small world, and how many clips there are to learn them from."""

    labels: str
    clips: int = CLIPS

    @property
    def classes(self) -> Sequence[str]:
        return world.TASKS[self.labels]


TASKS = {
    "motion": Task("motion"),
    "appearance": Task("appearance"),
    "noun": Task("noun"),
    "few": Task("motion", 16 * len(world.MOTIONS)),  # the first clips: sixteen a class on average
}


# --- the methods ------------------------------------------------------------------------------------------------------


def adapted(clip: ImageText, frames: int, task: str, strategy: zeroi2v_arms.Strategy, mixing: Mixing) -> nn.Module:
    """The image model under a strategy of ZeroI2V's arms, and a linear classifier."""
    new = strategy(clip.visual, frames, mixing)
    model = VideoClassifier(clip.visual, len(world.TASKS[task]), dropout=0.0)
    return train_only(model, [*new, *model.head.parameters()])


def folded(model: VideoClassifier) -> VideoClassifier:
    """ZeroI2V's model with its adapters multiplied into the image model."""
    model.backbone = merge(model.backbone.eval())
    return model


def peer(clip: ImageText, frames: int, task: str, arm: object_centric_arms.Arm) -> nn.Module:
    """A method that OCA is compared with."""
    return arm.build(clip.visual, frames, len(world.TASKS[task]))


def object_centric(clip: ImageText, frames: int, task: str) -> nn.Module:
    """OCA behind its image model."""
    return OnFrames(clip, oca(clip.visual, frames, len(world.TASKS[task])))


def dist(clip: ImageText, frames: int, task: str) -> nn.Module:
    """DiST, which takes `frames` dense ones."""
    design = replace(dist_arms.SMALL, frames=frames // dist_arms.SMALL.gamma)
    return dist_arms.dist(clip, design, task).recogniser


class OnEmbeddings(nn.Module):
    """A head of `victr_arms` behind the image model that gives it one embedding a frame."""

    def __init__(self, clip: ImageText, reader: victr_arms.Reader):
        super().__init__()
        self.clip, self.reader = clip.requires_grad_(False), reader

    def forward(self, frames: Tensor) -> Tensor:
        return self.reader(embeddings(self.clip, frames))


@torch.no_grad()
def embeddings(clip: ImageText, frames: Tensor) -> Tensor:
    """Each frame in the space of the texts, uint8 (b, t, h, w, 3) -> (b, t, d), without gradient."""
    return embed_frames(clip.eval(), frames)


def conditioned(clip: ImageText, frames: int, task: str, arm: victr_arms.Arm) -> nn.Module:
    """VicTR or a head that it is compared with; a few training clips say how frames are standardised."""
    head = victr_arms.started(arm.build(frames, len(world.TASKS[task]), scale=victr_arms.SCALE))
    given = embeddings(clip, clip_batch(task, 0, "train", range(STANDARD), frames)[0])
    return OnEmbeddings(clip, victr_arms.Reader(head, victr_arms.names_of(world.TASKS[task]), given, arm.auxiliary))


def with_attributes(model: OnEmbeddings, frames: Tensor, labels: Tensor) -> Tensor:
    """VicTR's loss, of classes and attributes."""
    return victr_runs.loss(model.reader, embeddings(model.clip, frames), labels)


_PEERS = {name: Method(partial(peer, arm=arm), arm.lr) for name, arm in object_centric_arms.PEERS.items()}
METHODS = {
    "probe": Method(partial(adapted, strategy=zeroi2v_arms.probe, mixing=Mixing())),
    "full_image": _PEERS["full_image"],
    "st_adapter": _PEERS["st_adapter"],
    "aim": _PEERS["aim"],
    "evl": _PEERS["evl"],
    "xclip": Method(partial(conditioned, arm=victr_arms.ZERO_SHOT_ARMS["xclip"]), lr=0.5),
    "zeroi2v": Method(partial(adapted, strategy=zeroi2v_arms.adapters, mixing=STDHA), merge=folded),
    "dist": Method(dist, lr=0.5, gamma=dist_arms.SMALL.gamma),
    "oca": Method(object_centric, objective=partial(distilled, losses=object_centric_arms.LOSSES)),
    "victr": Method(partial(conditioned, arm=victr_arms.VICTR), lr=0.5, objective=with_attributes),
}


# --- running them -----------------------------------------------------------------------------------------------------


def build(method: Method, task: Task, seed: int) -> nn.Module:
    """A method's model around the small CLIP at its start."""
    torch.manual_seed(seed)
    return method.build(small_clip(), FRAMES * method.gamma, task.labels)


def run(
    method: Method,
    task: Task,
    recipe: TrainSettings,
    seed: int,
    device: str = "cpu",
    label: str = "training",
    test_clips: int = TEST_CLIPS,
) -> tuple[nn.Module, History, float]:
    """Trains one method; returns the model, its history and its top-1 accuracy on the test clips, in percent."""
    model, frames = build(method, task, seed), FRAMES * method.gamma
    batches = train_batches(task.labels, seed, recipe.batch, frames, limit=task.clips)
    recipe = replace(recipe, lr=method.lr * recipe.lr, seed=seed)
    history = train(model, batches, recipe, len(task.classes), device, label=label, objective=method.objective)
    return model, history, accuracy(*evaluate(model, held_batches(task.labels, 0, test_clips, frames), device))

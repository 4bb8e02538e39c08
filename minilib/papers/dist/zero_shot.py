"""DiST on classes that it was never trained on (Table 5a): held-out objects and held-out motions of the small world.

*Objects*: videos against "a {colour} {shape}"; eight of the 64 pairs are in no training image of the small CLIP and in
no training clip. *Motions*: one mirrored pair of the twelve is left out. What is asked is which of the unseen classes a
clip shows: chance is one in eight, and one in two.

Axes: b clips, t frames, e joint embedding, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minilib.papers.dist.method import DiST, ImageSizes
from minilib.papers.dist.arms import SCALE, SMALL, OfInputs, centred, rescale
from minilib.papers.dist.clip import DiSTRecogniser, class_features
from minilib.papers.dist.head import fused
from minilib.papers.dist.runs import CACHE, CLIPS, Clips
from minilib.models.small_clip import small_clip
from minilib.training import TrainSettings, train
from minilib.world import COLOURS, MOTIONS, SHAPES, WorldClips, clip_scenes, mirror
from minilib.world.vocabulary import held_out_colour

OBJECTS = tuple(f"a {colour} {shape}" for shape in SHAPES for colour in COLOURS)
UNSEEN_OBJECTS = tuple(shape * len(COLOURS) + held_out_colour(shape) for shape in range(len(SHAPES)))
UNSEEN_MOTIONS = (0, mirror(0))  # their words, right and left, are places in the small CLIP's captions


@dataclass(frozen=True)
class ObjectClips(WorldClips):
    """Clips whose label is the acting object's place in OBJECTS."""

    def labels(self, indices) -> Tensor:
        scenes = clip_scenes(self.seed, self.split, indices, combinations=self.combinations)
        return torch.as_tensor(scenes.shape[:, 0] * len(COLOURS) + scenes.colour[:, 0])


@dataclass(frozen=True)
class Task:
    """Names of all classes, which of them training leaves out, and the clips of a (seed, split, count)."""

    texts: Sequence[str]
    unseen: tuple[int, ...]
    clips: Callable[[int, str, int], Clips]

    @property
    def chance(self) -> float:
        return 100 / len(self.unseen)


def _objects(seed: int, split: str, count: int) -> Clips:
    seen = split == "train"
    steps, combinations = SMALL.frames * SMALL.gamma, "seen" if seen else "held_out"
    source = ObjectClips("noun", seed, split, count, steps, combinations=combinations)
    return Clips(source, SMALL.gamma, CACHE if seen else None)


def _motions(seed: int, split: str, count: int) -> Clips:
    kept = UNSEEN_MOTIONS if split != "train" else tuple(m for m in range(len(MOTIONS)) if m not in UNSEEN_MOTIONS)
    return Clips(WorldClips("motion", seed, split, count, SMALL.frames * SMALL.gamma, motions=kept), SMALL.gamma)


ZERO_SHOT = {
    "zeroshot": Task(OBJECTS, UNSEEN_OBJECTS, _objects),
    "zeroshot_motion": Task(MOTIONS, UNSEEN_MOTIONS, _motions),
}


def described(name: str) -> str:
    """What a row of zero-shot is of, in words."""
    task = ZERO_SHOT[name]
    return f"{name}: {SMALL} without {[task.texts[k] for k in task.unseen]}, cosines times {SCALE}"


def run(
    task: Task, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "training", count: int = 0
) -> dict[str, float]:
    """Trains on the seen classes; accuracy among the unseen ones, in percent: of DiST, of the plain image model
    averaged over frames, and of the released code's fusion of both."""
    clip = small_clip().to(device)
    texts = centred(class_features(clip, task.texts))
    torch.manual_seed(seed)
    net = DiST(ImageSizes.of(clip.visual), SMALL)
    rescale(net)
    model = OfInputs(DiSTRecogniser(clip, net, texts, SCALE))
    batches = task.clips(seed, "train", count or CLIPS["train"]).training(seed, recipe.batch)
    train(model, batches, replace(recipe, seed=seed), len(texts), device, label=label)
    right = {"dist": 0, "clip": 0, "fused": 0}
    unseen, seen = texts[list(task.unseen)], 0
    with torch.no_grad():
        for (inputs,), truth in task.clips(0, "test", count or CLIPS["test"]).held():
            inputs, truth = inputs.to(device), truth.to(device)
            video = model.eval().recogniser.parts(inputs.frames, inputs.features)["video"]
            frames = clip.image_features(inputs.sparse)
            for name, share in (("dist", 0.0), ("clip", 1.0), ("fused", 0.5)):
                guess = fused(video, frames, unseen, SCALE, share).argmax(1)
                right[name] += int((torch.as_tensor(task.unseen, device=device)[guess] == truth).sum())
            seen += len(truth)
    return {name: 100 * count / seen for name, count in right.items()}

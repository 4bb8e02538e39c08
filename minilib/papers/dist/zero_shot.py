"""DiST on classes that it was never trained on (Table 5a): held-out objects and held-out motions of the small world.

*Objects*: videos against "a {colour} {shape}"; eight of the 64 pairs are in no training image of the small CLIP and in
no training clip. *Motions*: one mirrored pair of the twelve is left out. What is asked is which of the unseen classes a
clip shows: chance is one in eight, and one in two.

Axes: b clips, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.models.small_clip import small_clip
from minilib.papers.dist.clip import class_features
from minilib.papers.dist.head import fused
from minilib.papers.dist.small import SCALE, DenseTask, Inputs, OnInputs, centre, small_dist
from minilib.study import Feed, top1
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


class Unseen(nn.Module):
    """Scores of unseen classes alone, the others at -inf; of DiST, or with `fraction` of the plain image model's."""

    def __init__(self, model: OnInputs, unseen: Sequence[int], fraction: float = 0.0):
        super().__init__()
        self.recogniser, self.unseen, self.fraction = model.recogniser, list(unseen), fraction

    def forward(self, inputs: Inputs) -> Tensor:
        video = self.recogniser.parts(inputs.frames, inputs.features)["video"]
        frames = self.recogniser.clip.image_features(inputs.sparse)
        scores = fused(video, frames, self.recogniser.classes, SCALE, self.fraction)
        only = torch.full_like(scores, -torch.inf)
        only[:, self.unseen] = scores[:, self.unseen]
        return only


@dataclass(frozen=True)
class UnseenMotions(DenseTask):
    """Trains without a motion and its mirror image and tests on these two, against one another; with `known` it trains
    on them, too, a positive control."""

    known: bool = False
    unseen = UNSEEN_MOTIONS

    @property
    def chance(self) -> float:
        return 100 / len(self.unseen)

    def source(self, split: str, seed: int) -> WorldClips:
        others = tuple(motion for motion in range(len(MOTIONS)) if self.known or motion not in self.unseen)
        count, motions = (self.train, others) if split == "train" else (self.test, self.unseen)
        return WorldClips("motion", seed, split, count, self.gamma * self.frames, motions=motions)

    def score(self, model: nn.Module, feed: Feed, device: str = "cpu") -> float:
        return top1(Unseen(model, self.unseen), feed, device)


@dataclass(frozen=True)
class UnseenObjects(UnseenMotions):
    """The same of pairs of a shape and a colour."""

    unseen = UNSEEN_OBJECTS
    classes = OBJECTS

    def source(self, split: str, seed: int) -> WorldClips:
        count, combinations = (self.train, "seen") if split == "train" else (self.test, "held_out")
        return ObjectClips("noun", seed, split, count, self.gamma * self.frames, combinations=combinations)


def dist(feed: Feed, texts: Sequence[str]) -> OnInputs:
    """DiST against all `texts`, which are centred and no more."""
    clip = small_clip()
    return OnInputs(small_dist(clip, centre(class_features(clip, texts))))


def of_dist(model: OnInputs, feed: Feed, device: str, unseen: Sequence[int]) -> dict[str, float]:
    """Accuracies of the plain image model, averaged over frames, and of the released code's fusion with DiST."""
    return {name: top1(Unseen(model, unseen, part), feed, device) for name, part in (("clip", 1.0), ("fused", 0.5))}

"""What is measured of a pipeline on one clip, and what stands beside it: the ends of the scale, and what must fail.

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from minilib.models.small_diffusion import ddim
from minilib.models.small_diffusion_frames import control_maps
from minilib.papers.object_centric_diffusion.control import ControlPipeline, generate_controlled
from minilib.papers.object_centric_diffusion.masks import MaskSource, from_truth
from minilib.papers.object_centric_diffusion.method import Models, Pipeline, edit, find_object
from minilib.papers.object_centric_diffusion.small import (
    RANDOM,
    Editing,
    edits_of,
    hash_of_controlnet,
    models_of,
    prompts_of,
    scores,
    shortened,
)
from minilib.resume import History
from minilib.study import Outcome, Trial
from minilib.world import Edits, edit_batch


def as_asked(edits: Edits) -> Edits:
    """The edit itself."""
    return edits


def nothing(edits: Edits) -> Edits:
    """The same prompt twice: what comes back is what inversion, sampler and merging leave of the source."""
    return replace(edits, target=edits.source)


@dataclass(frozen=True)
class Edit:
    """A pipeline with an inversion on clips of one kind of edit. size: of the objects; None: all three in turn."""

    kind: str
    pipeline: Pipeline
    mask: MaskSource = from_truth
    size: str | None = None
    change: Callable[[Edits], Edits] = as_asked

    def run(self, recipe: Editing, trial: Trial) -> Outcome:
        edits = self.change(edits_of(self.kind, self.size, trial.seed, recipe.frames))
        models = models_of(recipe.weights, trial.device)
        video = self.edited(edits, models, recipe, trial.seed)
        return Outcome(models.unet, History([], 0.0), scores(models, video, edits))

    def edited(self, edits: Edits, models: Models, recipe: Editing, clip: int) -> Tensor:
        """The edited video, uint8 (t, H, W, 3)."""
        prompts, scheduler = prompts_of(edits), ddim()
        pipeline = replace(shortened(self.pipeline, recipe.most_steps), dtype=recipe.dtype)
        mask = self.mask(models, scheduler, edits, prompts, clip)
        return edit(models, scheduler, edits.source.pixels[0], prompts, pipeline, mask)

    def smoke(self) -> Edit:
        return self


@dataclass(frozen=True)
class Controlled:
    """A pipeline without an inversion, from depth (channel 0 of the ControlNet's maps) or edges (1). controlnet: the
    hash of its weights, so that rows of another one have other keys."""

    kind: str
    pipeline: ControlPipeline
    channel: int = 0
    mask: MaskSource = from_truth
    size: str | None = None
    controlnet: str = field(default_factory=hash_of_controlnet)

    def run(self, recipe: Editing, trial: Trial) -> Outcome:
        edits = edits_of(self.kind, self.size, trial.seed, recipe.frames)
        models = models_of(recipe.weights, trial.device, controlnet=True)
        video = self.edited(edits, models, recipe, trial.seed)
        return Outcome(models.unet, History([], 0.0), scores(models, video, edits))

    def edited(self, edits: Edits, models: Models, recipe: Editing, clip: int) -> Tensor:
        """The generated video, uint8 (t, H, W, 3)."""
        prompts, scheduler, source = prompts_of(edits), ddim(), edits.source
        pipeline = replace(shortened(self.pipeline, recipe.most_steps), dtype=recipe.dtype)
        like = models.encode(source.pixels[0])
        thing = find_object(self.mask(models, scheduler, edits, prompts, clip), like, pipeline)
        maps = control_maps(source.pixels[0], source.mask[0]).to(like)
        maps[:, 1 - self.channel] = 0
        noise = torch.randn((1, *like.shape[1:]), generator=torch.Generator().manual_seed(clip)).to(like)
        found = generate_controlled(models, scheduler, maps, prompts.target, pipeline, thing, noise)
        return models.decode(found)

    def smoke(self) -> Controlled:
        return self


@dataclass(frozen=True)
class Reference:
    """What needs no editing: make(models, edits, clip) -> a video. halfway, halfway_outside:
    the scores at half of its errors."""

    kind: str
    make: Callable[[Models, Edits, int], Tensor]
    size: str | None = None

    def run(self, recipe: Editing, trial: Trial) -> Outcome:
        edits, models = edits_of(self.kind, self.size, trial.seed, recipe.frames), models_of(RANDOM)
        found = scores(models, self.make(models, edits, trial.seed), edits)
        half = {"halfway": 50 + found[""] / 2, "halfway_outside": 50 + found["outside"] / 2}
        return Outcome(models.unet, History([], 0.0), found | half)

    def smoke(self) -> Reference:
        return self


def unedited(models: Models, edits: Edits, clip: int) -> Tensor:
    return edits.source.pixels[0]


def reconstructed_truth(models: Models, edits: Edits, clip: int) -> Tensor:
    """The true edit through the autoencoder: more cannot be reached."""
    return models.decode(models.encode(edits.target.pixels[0]))


def repeated(models: Models, edits: Edits, clip: int) -> Tensor:
    """The true edit's first frame, again and again: it wins temporal consistency."""
    return edits.target.pixels[0][:1].expand_as(edits.target.pixels[0])


def strangers(models: Models, edits: Edits, clip: int) -> Tensor:
    """As many frames of as many other clips: nothing of the background is kept, and nothing is consistent."""
    frames = len(edits.target.pixels[0])
    others = np.arange(frames) + 10_000 + clip * frames
    return edit_batch("colour", "medium", 0, "test", others, 1).target.pixels[:, 0]

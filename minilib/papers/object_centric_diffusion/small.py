"""Edits of the small world by the small diffusion model: which models, which clip, and how good the edit is.

Nothing is trained, so a replicate is a clip: scene, prompts and noise follow from its number.

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.second_clip import second_clip, tokenize_textures
from minilib.models.small_diffusion import (
    FOLDER,
    SmallDiffusion,
    load_part,
    new_autoencoder,
    new_controlnet,
    new_unet,
    small_diffusion,
    weights_file,
)
from minilib.papers.object_centric_diffusion.method import Generation
from minilib.papers.object_centric_diffusion.prompts import Prompts
from minilib.papers.object_centric_diffusion.quality import clip_score, error, temporal_consistency
from minilib.papers.object_centric_diffusion.sampling import Sampling
from minilib.world import Edits, edit_batch
from minilib.world.edits import RADII

RANDOM, PARTS = "random", ("autoencoder", "unet", "controlnet")
MISSING = (
    "the small diffusion model's {} is not shipped: `python -m minilib.models.small_diffusion_training all` trains it, "
    "and weights=random runs everything without"
)


def shipped(controlnet: bool = False) -> bool:
    """Whether the weights that editing needs are there."""
    return all(weights_file(part).is_file() for part in PARTS[: 3 if controlnet else 2])


@lru_cache
def hash_of_weights(parts: tuple[str, ...] = PARTS) -> str:
    """Eight hex digits of shipped weights, of what of them is there: rows of other weights have other keys."""
    digest = hashlib.sha256()
    for part in parts:
        path = weights_file(part)
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:8]


def hash_of_editing() -> str:
    """The same of what edits with an inversion depend on."""
    return hash_of_weights(PARTS[:2])


def hash_of_controlnet() -> str:
    """The same of the ControlNet alone."""
    return hash_of_weights(PARTS[2:])


@lru_cache(maxsize=4)
def models_of(weights: str, device: str = "cpu", controlnet: bool = False) -> SmallDiffusion:
    """The shipped models, or for "random" the shipped autoencoder and other parts with random weights, which draw
    nothing global. Raises BadInput where a part is not shipped."""
    if weights != RANDOM and not shipped(controlnet):
        raise BadInput(MISSING.format("ControlNet" if shipped() else "UNet"))
    with torch.random.fork_rng(devices=[]):
        if weights != RANDOM:
            return small_diffusion(FOLDER, device, controlnet)
        torch.manual_seed(0)
        autoencoder, unet = load_part(new_autoencoder(), weights_file("autoencoder")), new_unet()
        parts = (autoencoder, unet, new_controlnet(unet)) if controlnet else (autoencoder, unet)
        clip = second_clip()
    return SmallDiffusion(clip.to(device), *(part.to(device).eval().requires_grad_(False) for part in parts))


@dataclass(frozen=True)
class Editing:
    """How a variant is measured, in the place of a recipe of training: `frames` a clip, the weights by their hash (or
    "random"), for trial runs the most steps that a pipeline takes, and in which dtype the UNet computes. bfloat16 takes
    two thirds of the time; in four comparisons on validation clips the error, as a part of that of no edit, changed by
    0.010 at most."""

    frames: int = 8
    weights: str = field(default_factory=hash_of_editing)
    most_steps: int | None = None
    dtype: str = "bfloat16"

    @property
    def steps(self) -> int:
        """What the plan counts a run for, in training steps: some ten seconds."""
        return 100

    def at_rate(self, factor: float) -> Editing:
        return self

    def for_share(self, share: float) -> Editing:
        return self

    def smoke(self) -> Editing:
        return Editing(8, RANDOM, 2)


def shortened(pipeline: Generation, most: int | None) -> Generation:
    """The pipeline with at most so many steps; background and object then go at the same rate, or meet at once."""
    sampling = pipeline.sampling
    if most is None or most >= sampling.steps:
        return pipeline
    few = Sampling(most, sampling.gamma, None, sampling.align)
    if sampling.phi is not None:
        few = replace(few, phi=few.apart) if few.apart > 1 else Sampling(most, 1.0)
    return replace(pipeline, sampling=few)


def edits_of(kind: str, size: str | None, clip: int, frames: int = 8) -> Edits:
    """One clip of the test split, before and after an edit; without a size, sizes take turns."""
    return edit_batch(kind, size or tuple(RADII)[clip % len(RADII)], 0, "test", [clip], frames)


def prompts_of(edits: Edits) -> Prompts:
    """Both prompts as the second CLIP reads them: a word is a token."""
    return word_prompts(edits.source.prompts[0], edits.target.prompts[0])


def word_prompts(source: str, target: str) -> Prompts:
    """Any two prompts of the small world's words."""
    return Prompts(source, target, one_token, tokenize_textures([""]).shape[1])


def one_token(word: str) -> int:
    return 1


def scores(models: SmallDiffusion, video: Tensor, edits: Edits) -> dict[str, float]:
    """Of an edited video uint8 (t, H, W, 3), all in percent and all the better the larger.

    "": 100 less the error to the true edit over what the edit touches, before or after. outside: the same over the
    rest. temporal and clip: the chapter's two metrics, which need no truth.
    """
    truth, inside = edits.target.pixels[0], edits.foreground[0]
    return {
        "": 100 - 100 * error(video, truth, inside),
        "outside": 100 - 100 * error(video, truth, ~inside),
        "temporal": 100 * temporal_consistency(models.clip, video),
        "clip": 100 * clip_score(models.clip, video, edits.target.prompts[0]),
    }

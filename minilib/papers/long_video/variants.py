"""What is measured of a long video of the small world, and its rivals.

A replicate is one video of eight chunks: subject, motions and noise follow from its number. All variants share them.

Axes: k chunks, t frames of a chunk, d channels, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from minilib.models.clip import ImageText
from minilib.models.small_diffusion import CHANNELS, LATENT, SmallDiffusion, dpm
from minilib.papers.long_video import quality
from minilib.papers.long_video.method import Chunked, chunk_by_chunk, independent
from minilib.papers.long_video.script import Script, control_maps, rendered, written
from minilib.papers.object_centric_diffusion.quality import clip_score, temporal_consistency
from minilib.papers.object_centric_diffusion.small import RANDOM, hash_of_weights, models_of
from minilib.resume import History
from minilib.study import Outcome, Trial
from minilib.world.draws import Draws
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES, TEXTURES, held_out_colour

STREAM = 12_000_017
GROWTH = (1, 2, 4, 8)  # chunks whose scores are recorded by themselves


@dataclass(frozen=True)
class Length:
    """In the place of a recipe of training: how long videos are, in how many steps, the weights by their hash (or
    "random")."""

    chunks: int = 8
    frames: int = 3
    sampler_steps: int = 6
    weights: str = field(default_factory=hash_of_weights)

    @property
    def steps(self) -> int:
        """What the plan counts a run for, in training steps: some eight seconds."""
        return 100

    def at_rate(self, factor: float) -> Length:
        return self

    def for_share(self, share: float) -> Length:
        return self

    def smoke(self) -> Length:
        return Length(2, 2, 1, RANDOM)


def script_of(number: int, split: str, chunks: int, frames: int) -> Script:
    """A subject and a walk between four corners, a step a chunk: a function of (number, split), and for more chunks the
    same walk and more of it. Shape and colour are a pair that is seen in training."""
    draws = Draws(STREAM, split, np.array([number]))
    shape, shade, ground, column, row = (int(draws.integers(low, high, 1)[0, 0]) for low, high in (
        (0, len(SHAPES)), (1, len(COLOURS)), (0, len(GROUNDS)), (0, 2), (0, 2)))  # fmt: skip
    colour = (held_out_colour(shape) + shade) % len(COLOURS)
    along, steps, at = draws.integers(0, 2, 100)[0], [], [column, row]
    for axis in along[:chunks]:
        steps.append(("right", "left", "down", "up")[2 * axis + at[axis]])
        at[axis] = 1 - at[axis]
    corner = [0.32 + 0.36 * side for side in (column, row)]
    return written(f"a {COLOURS[colour]} {SHAPES[shape]} on {GROUNDS[ground]}", steps, frames, corner)


def noise_of(number: int, chunks: int) -> Tensor:
    """Noise (k, 1, d, h, w) of each chunk, which its frames share."""
    generator = torch.Generator().manual_seed(STREAM + number)
    return torch.randn((chunks, 1, CHANNELS, LATENT, LATENT), generator=generator)


def scores(clip: ImageText, video: Tensor, script: Script) -> dict[str, float]:
    """All in percent, the better the larger. "": the truth reached. temporal and clip: what is used today. fidelity,
    motion, ground: ours. truth1, ground1, ...: of one chunk."""
    frames = video.flatten(0, 1)
    truth = quality.truth_reached(video, script)
    ground = quality.ground_kept(video.cpu(), rendered(script)[1])
    matching = [clip_score(clip, chunk, prompt) for chunk, prompt in zip(video, script.prompts, strict=True)]
    return {
        "": fmean(truth),
        "temporal": 100 * temporal_consistency(clip, frames),
        "clip": 100 * fmean(matching),
        "fidelity": quality.fidelity(video, script),
        "motion": quality.motion(video, script),
        "ground": fmean(ground),
        **{f"truth{chunk}": truth[chunk - 1] for chunk in GROWTH if chunk <= len(truth)},
        **{f"ground{chunk}": ground[chunk - 1] for chunk in GROWTH[1:] if chunk <= len(ground)},
    }


class _Scored:
    """A variant whose result is a video."""

    def run(self, recipe: Length, trial: Trial) -> Outcome:
        script = script_of(trial.seed, trial.split, recipe.chunks, recipe.frames)
        models = models_of(recipe.weights, trial.device, controlnet=True)
        video = self.video(models, script, trial.seed, recipe)
        return Outcome(models.unet, History([], 0.0), scores(models.clip, video, script))

    def smoke(self):
        return self


def one_after_another(models: SmallDiffusion, script: Script, noise: Tensor, how: Chunked) -> Tensor:
    """Each chunk given what those before it left: noise (k, 1, d, h, w) to uint8 (k, t, h, w, 3)."""
    latents = chunk_by_chunk(models, script.prompts, control_maps(script).to(noise), noise, how, dpm)
    return torch.stack([models.decode(each) for each in latents])


def at_once(models: SmallDiffusion, script: Script, noise: Tensor, how: Chunked) -> Tensor:
    """All chunks as one batch, each by itself: noise (k, 1, d, h, w) to uint8 (k, t, h, w, 3)."""
    latents = independent(models, script.prompts, control_maps(script).to(noise), noise, how, dpm)
    return models.decode(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])


def of_one_noise(models: SmallDiffusion, script: Script, noise: Tensor, how: Chunked) -> Tensor:
    """The first chunk's noise for all."""
    return at_once(models, script, noise[:1].expand_as(noise), how)


@dataclass(frozen=True)
class Generated(_Scored):
    """A video by chunks. make: `one_after_another`, `at_once` or `of_one_noise`."""

    how: Chunked
    make: Callable[[SmallDiffusion, Script, Tensor, Chunked], Tensor] = one_after_another

    def video(self, models: SmallDiffusion, script: Script, number: int, recipe: Length) -> Tensor:
        """uint8 (k, t, h, w, 3)."""
        noise = noise_of(number, len(script.prompts)).to(models.device)
        return self.make(models, script, noise, replace(self.how, steps=recipe.sampler_steps))


@dataclass(frozen=True)
class Static(_Scored):
    """The first frame of the first chunk, generated alone, again and again."""

    def video(self, models: SmallDiffusion, script: Script, number: int, recipe: Length) -> Tensor:
        one = Script(script.prompts[:1], script.positions[:1, :1], script.radius)
        frame = at_once(models, one, noise_of(number, 1).to(models.device), Chunked(steps=recipe.sampler_steps))
        return frame.expand(*script.positions.shape[:2], -1, -1, -1)


@dataclass(frozen=True)
class Reference(_Scored):
    """What needs no generation: make(script, number) -> a video, through the autoencoder."""

    make: Callable[[Script, int], Tensor]

    def video(self, models: SmallDiffusion, script: Script, number: int, recipe: Length) -> Tensor:
        made = self.make(script, number)
        return models.decode(models.encode(made.flatten(0, 1))).unflatten(0, made.shape[:2])


def truth(script: Script, number: int) -> Tensor:
    """The script, rendered."""
    return rendered(script, number % len(TEXTURES))[0]


def backward(script: Script, number: int) -> Tensor:
    """The truth from its end: neighbours stay neighbours, so that temporal consistency cannot change."""
    made = truth(script, number)
    return made.flip((0, 1))


def first_frame(script: Script, number: int) -> Tensor:
    """The truth's first frame, again and again."""
    made = truth(script, number)
    return made[:1, :1].expand_as(made)


def strangers(script: Script, number: int) -> Tensor:
    """Each frame of another video."""
    chunks, frames = script.positions.shape[:2]
    others = [script_of(1000 + 100 * number + at, "val", 1, 1) for at in range(chunks * frames)]
    return torch.cat([truth(each, at)[0] for at, each in enumerate(others)]).unflatten(0, (chunks, frames))


@dataclass(frozen=True)
class Ladder:
    """Rendered videos of known quality: the object goes so much of the scripted ways, and in so many frames it is the
    prompted one. Metrics: the rank correlation, in percent, of each score with what is known, over all pairs of levels;
    "motion_temporal" is that of temporal consistency with the part of the ways."""

    levels: tuple[float, ...] = (0.0, 0.5, 1.0)

    def run(self, recipe: Length, trial: Trial) -> Outcome:
        models = models_of(RANDOM, trial.device)
        script = script_of(trial.seed, trial.split, recipe.chunks, recipe.frames)
        found = []
        for moving in self.levels:
            for right in self.levels:
                video = of_quality(script, moving, right, trial.seed)
                found.append({"known_motion": moving, "known_fidelity": right} | scores(models.clip, video, script))
        metrics = {
            f"{known}_{name or 'truth'}": correlation([f[f"known_{known}"] for f in found], [f[name] for f in found])
            for known in ("motion", "fidelity")
            for name in ("", "temporal", "clip", "fidelity", "motion", "known_motion", "known_fidelity")
        }
        return Outcome(models.unet, History([], 0.0), {"": metrics["motion_motion"], **metrics})

    def smoke(self) -> Ladder:
        return Ladder((0.0, 1.0))


def of_quality(script: Script, moving: float, right: float, number: int) -> Tensor:
    """The script rendered with its ways shortened to a part, and in the other part of its frames, which are drawn, with
    an object of another colour and shape: uint8 (k, t, h, w, 3)."""
    start = script.positions[0, 0]
    made = replace(script, positions=start + moving * (script.positions - start))
    other = replace(made, prompts=tuple(mistaken(prompt) for prompt in script.prompts))
    shape = script.positions.shape[:2]
    order = torch.randperm(shape.numel(), generator=torch.Generator().manual_seed(number)).unflatten(0, shape)
    keep = order < round(right * shape.numel())
    pictures = [rendered(each, number % len(TEXTURES))[0] for each in (made, other)]
    return torch.where(keep[..., None, None, None], *pictures)


def mistaken(prompt: str) -> str:
    """The sentence with the colour and the shape three words on."""
    turned = {word: known[(at + 3) % len(known)] for known in (COLOURS, SHAPES) for at, word in enumerate(known)}
    return " ".join(turned.get(word, word) for word in prompt.split())


def correlation(known: list[float], found: list[float]) -> float:
    """Spearman's, in percent; 0 for a score that is always the same, for it knows nothing."""
    return 100 * float(spearmanr(known, found).statistic) if len(set(found)) > 1 else 0.0

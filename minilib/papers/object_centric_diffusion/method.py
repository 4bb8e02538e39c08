"""Object-centric diffusion: fast editing of a video by text (thesis chapter 6), on FateZero's and ControlVideo's ways.

    video -> latents -> inversion, which keeps attention maps -> generation, which blends them -> latents -> video

Two add-ons save work where nothing is edited: most steps run on a crop around the object (`sampling`, Algorithm 1), and
keys and values are merged outside it first (`merging`, Sec. 6.3.2). Both fit any UNet of diffusers as it is.

Axes: t frames, H and W pixels, h and w cells of the latents, n tokens of a sentence, d channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.frame_attention import FrameAttention, Now, Pooling, Span, attached, check_ran, dense, sparse
from minilib.papers.object_centric_diffusion.maps import OUTLINES, Blending, Edited, Kept
from minilib.papers.object_centric_diffusion.merging import MergedKeys, MergingSettings, Plans
from minilib.papers.object_centric_diffusion.prompts import Prompts, replacing
from minilib.papers.object_centric_diffusion.regions import Region, crop_around, latent_mask
from minilib.papers.object_centric_diffusion.sampling import (
    Denoise,
    Sampling,
    object_centric_inversion,
    object_centric_sampling,
)
from minilib.papers.object_centric_diffusion.steps import Ddim, DpmPlusPlus, Solver, inference_times


class Models(Protocol):
    """A latent diffusion model, such as `minilib.models.small_diffusion.SmallDiffusion`."""

    unet: UNet2DConditionModel
    controlnet: ControlNetModel | None

    def encode(self, frames: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...

    def tokens(self, texts: Sequence[str]) -> Tensor: ...


@dataclass(frozen=True)
class Generation:
    """What pipelines with and without an inversion have.

    merging: None keeps all keys. solver: the class of the sampler. attention: the class of the processors. stride: the
    UNet's, of which crops are multiples (2 in the small model, 8 in Stable Diffusion); margin: cells around the object.
    guidance: the small model's, chosen on validation clips, where merged keys left artefacts at 7.5 (`choices`).
    dtype: in which the UNet computes, "float32" or, by autocast, "bfloat16".
    """

    sampling: Sampling
    merging: MergingSettings | Pooling | None
    solver: Callable[[DDIMScheduler], Solver] = DpmPlusPlus
    span: Span = dense
    attention: type[FrameAttention] = FrameAttention
    guidance: float = 3.0
    stride: int = 2
    margin: int = 1
    dtype: str = "float32"

    @property
    def needs_mask(self) -> bool:
        return self.sampling.gamma < 1 or getattr(self.merging, "eta", 1.0) < 1


@dataclass(frozen=True)
class Pipeline(Generation):
    """Editing with an inversion, which is DDIM's whatever the solver, as the thesis names no other. Each of the
    chapter's models is one: FATEZERO, OPTIMIZED, OBJECT_CENTRIC.

    paired: whether generation merges the tokens that inversion merged. half_maps: whether maps are kept in half
    precision. blending: by default that of edits that keep every outline.
    """

    paired: bool = True
    blending: Blending = OUTLINES
    half_maps: bool = True


FATEZERO = Pipeline(Sampling(50, gamma=1.0), None, Ddim, sparse)
OPTIMIZED = Pipeline(Sampling(20, gamma=1.0), MergingSettings())
OBJECT_CENTRIC = Pipeline(Sampling(20, gamma=0.25), MergingSettings(eta=0.5))


@dataclass(frozen=True)
class Object:
    """The mask on the latents' cells, bool (t, h, w), and the crop that holds it."""

    mask: Tensor
    region: Region

    @property
    def masks(self) -> dict[str, Tensor]:
        """The mask within each region that is sampled."""
        return {
            "frame": self.mask,
            "background": self.mask,
            "object": self.region.gather(self.mask[:, None])[:, 0],
        }


def find_object(mask: Tensor | None, latents: Tensor, pipeline: Generation) -> Object:
    """From a mask of pixels bool (t, H, W); the whole frame where the pipeline asks for none."""
    size = tuple(latents.shape[-2:])
    if any(side % pipeline.stride for side in size):
        raise BadInput(f"latents of {size} cells: both have to be multiples of {pipeline.stride}; cut or pad the video")
    if not pipeline.needs_mask:
        everything = torch.ones(len(latents), *size, dtype=torch.bool, device=latents.device)
        return Object(everything, Region(torch.zeros(len(latents), 2, dtype=torch.int64), size))
    if mask is None:
        raise BadInput("this pipeline spares the background: give a mask of the object")
    if len(mask) != len(latents):
        raise BadInput(f"the mask has {len(mask)} frames, the video {len(latents)}")
    cells = latent_mask(mask, size).to(latents.device)
    return Object(cells, crop_around(cells, pipeline.stride, pipeline.margin))


@dataclass(frozen=True)
class Inverted:
    """noise and, where object and background meet, latents (t, d, h, w); the kept maps and the plans of merging."""

    noise: Tensor
    meeting: Tensor
    kept: Kept
    plans: Plans


@torch.no_grad()
def invert(
    models: Models, latents: Tensor, scheduler: DDIMScheduler, prompt: str, pipeline: Pipeline, thing: Object
) -> Inverted:
    """Latents (t, d, h, w) of the source video back to noise, with its prompt and without guidance."""
    now = Now()
    kept = Kept(now, dtype=torch.float16 if pipeline.half_maps else None)
    merged = merged_keys(pipeline, now, thing, None)
    times = inference_times(scheduler, pipeline.sampling.steps)
    with attached(models.unet, len(latents), pipeline.span, now, kept, merged, pipeline.attention) as processors:
        denoise = denoiser(models, models.tokens([prompt]), len(latents), now, dtype=pipeline.dtype)
        noise, meeting = object_centric_inversion(
            denoise, latents, thing.region, times, Ddim(scheduler), pipeline.sampling
        )
    check_ran(processors, pipeline.sampling.steps)
    return Inverted(noise, meeting, kept, merged.plans if isinstance(merged, MergedKeys) else {})


@torch.no_grad()
def generate_edit(
    models: Models,
    inverted: Inverted,
    scheduler: DDIMScheduler,
    prompts: Prompts,
    pipeline: Pipeline,
    thing: Object,
    mapping: Callable[[Prompts], tuple[Tensor, Tensor]] = replacing,
) -> Tensor:
    """The edited latents (t, d, h, w) from what the inversion left."""
    times = inference_times(scheduler, pipeline.sampling.steps)
    words = [p for word in prompts.changed() for p in prompts.find(prompts.source, word)]
    frames, now = len(inverted.noise), inverted.kept.now
    edited = Edited(inverted.kept, pipeline.blending, *mapping(prompts), words, times)
    merged = merged_keys(pipeline, now, thing, inverted.plans if pipeline.paired else None)
    with attached(models.unet, frames, pipeline.span, now, edited, merged, pipeline.attention) as processors:
        tokens = models.tokens(["", prompts.target])
        denoise = denoiser(models, tokens, frames, now, pipeline.guidance, pipeline.dtype)
        latents = object_centric_sampling(
            denoise,
            inverted.noise,
            thing.region,
            times,
            pipeline.solver(scheduler),
            pipeline.sampling,
            inverted.meeting,
        )
    check_ran(processors, pipeline.sampling.steps)
    return latents


def edit(
    models: Models,
    scheduler: DDIMScheduler,
    video: Tensor,
    prompts: Prompts,
    pipeline: Pipeline,
    mask: Tensor | None = None,
    mapping: Callable[[Prompts], tuple[Tensor, Tensor]] = replacing,
) -> Tensor:
    """The edited video, uint8 (t, H, W, 3), of a video of that shape; mask, of the object, bool (t, H, W).

    What cannot be done is BadInput before the first step.
    """
    mapping(prompts)
    latents = models.encode(video)
    thing = find_object(mask, latents, pipeline)
    inverted = invert(models, latents, scheduler, prompts.source, pipeline, thing)
    return models.decode(generate_edit(models, inverted, scheduler, prompts, pipeline, thing, mapping))


def merged_keys(pipeline: Generation, now: Now, thing: Object, paired: Plans | None) -> MergedKeys | Pooling | None:
    """What reduces the pipeline's keys; `paired`: the plans of the inversion."""
    if not isinstance(pipeline.merging, MergingSettings):
        return pipeline.merging
    window, frames = pipeline.merging.window, len(thing.mask)
    if window is not None and (window < 1 or frames % window):
        raise BadInput(f"a window of {window} frames does not divide the video's {frames}: choose one that does")
    return MergedKeys(pipeline.merging, now, paired, thing.masks if pipeline.needs_mask else {})


def computing_in(dtype: str, device: torch.device) -> torch.autocast:
    """The context in which networks compute in bfloat16 where autocast finds that safe, or do not."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")


def denoiser(
    models: Models,
    tokens: Tensor,
    frames: int,
    now: Now,
    guidance: float | None = None,
    dtype: str = "float32",
) -> Denoise:
    """The UNet on a video, of one sentence (1, n, d), or guided: without text and with it, tokens (2, n, d). Its output
    is in the latents' precision."""
    tokens = tokens.repeat_interleave(frames, 0)

    def unet(latents: Tensor, time: int) -> Tensor:
        with computing_in(dtype, latents.device):
            return models.unet(latents, time, tokens).sample.to(latents)

    def denoise(latents: Tensor, time: int, region: str) -> Tensor:
        now.time, now.region, now.size = time, region, tuple(latents.shape[-2:])
        if guidance is None:
            return unet(latents, time)
        without, with_text = unet(torch.cat([latents, latents]), time).chunk(2)
        return without + guidance * (with_text - without)

    return denoise

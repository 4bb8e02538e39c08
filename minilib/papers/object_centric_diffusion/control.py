"""Editing by structure, without inversion: ControlVideo (Zhang et al. 2023), as thesis chapter 6 builds on it.

A ControlNet reads the depth or the edges of each frame, all frames look at each other, all begin at the same noise, and
near the end of the sampling frames are twice smoothed over time. Released code: RIFE interpolates frames there; here
the mean of both neighbours does.

Axes: t frames, k control maps, d channels, h and w cells of the latents, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.frame_attention import Now, attached, check_ran
from minilib.papers.object_centric_diffusion.merging import MergingSettings
from minilib.papers.object_centric_diffusion.method import Generation, Models, Object, computing_in, merged_keys
from minilib.papers.object_centric_diffusion.regions import Region
from minilib.papers.object_centric_diffusion.sampling import Sampling, object_centric_sampling
from minilib.papers.object_centric_diffusion.steps import (
    Ddim,
    Solver,
    Step,
    clean_and_noise,
    inference_times,
)


@dataclass(frozen=True)
class ControlPipeline(Generation):
    """CONTROLVIDEO, OPTIMIZED_CONTROL and OBJECT_CENTRIC_CONTROL are such. As nothing was inverted, the background is
    sampled, too: where gamma is below 1, phi is needed.

    every: steps for which one evaluation of the ControlNet serves (None: the first serves all); the appendix's Table
    6.4 has a reduced rate and a single one. joint_control: whether the ControlNet's frames look at each other as the
    UNet's do, with the same merging; else each looks at itself. smooth: after which part of the steps the frames of two
    steps are smoothed; in the released code these are the steps 30 and 31 of 50, counted from 0, which it counts from
    the end as 20 and 19. None: not at all.
    """

    every: int | None = 1
    joint_control: bool = False
    smooth: float | None = 0.6

    def __post_init__(self):
        if self.smooth is not None and not 0 <= self.smooth < 1:
            raise BadInput(f"smooth={self.smooth:g}: the part of the steps before the smoother lies in [0, 1)")

    @property
    def smoothed(self) -> tuple[int, ...]:
        """The steps whose frames are smoothed: two, or one where no other is left."""
        if self.smooth is None:
            return ()
        first = round(self.smooth * self.sampling.steps)
        return tuple(i for i in (first, first + 1) if i < self.sampling.steps)


CONTROLVIDEO = ControlPipeline(Sampling(50, gamma=1.0), None, Ddim)
OPTIMIZED_CONTROL = ControlPipeline(Sampling(20, gamma=1.0), MergingSettings())
OBJECT_CENTRIC_CONTROL = ControlPipeline(Sampling(20, gamma=0.25, phi=3), MergingSettings(eta=0.5))


@torch.no_grad()
def generate_controlled(
    models: Models,
    scheduler: DDIMScheduler,
    maps: Tensor,
    prompt: str,
    pipeline: ControlPipeline,
    thing: Object,
    noise: Tensor,
) -> Tensor:
    """Latents (t, d, h, w) of a new video with the structure of control maps (t, k, H, W), from noise (1, d, h, w) that
    all frames share."""
    if models.controlnet is None:
        raise BadInput("this model has no ControlNet: load one")
    if len(maps) != len(thing.mask) or maps.shape[2] % noise.shape[2]:
        raise BadInput(f"control maps {tuple(maps.shape)} do not fit {len(thing.mask)} frames of {tuple(noise.shape)}")
    frames, now = len(maps), Now()
    times = inference_times(scheduler, pipeline.sampling.steps)
    merged = merged_keys(pipeline, now, thing, None)
    solver = Smoothed(pipeline.solver(scheduler), scheduler, models, {times[i]: i for i in pipeline.smoothed})
    inside, how = nullcontext(), dict(now=now, reduce=merged, processor=pipeline.attention)
    if pipeline.joint_control:
        inside = attached(models.controlnet, frames, pipeline.span, **how)
    with attached(models.unet, frames, pipeline.span, **how) as processors, inside as helpers:
        denoise = Controlled(models, maps, models.tokens(["", prompt]), pipeline, thing, times, now)
        latents = object_centric_sampling(
            denoise, noise.expand(frames, -1, -1, -1), thing.region, times, solver, pipeline.sampling
        )
    check_ran(processors, pipeline.sampling.steps)
    check_ran(helpers or {})
    return latents


class Controlled:
    """A `Denoise`: the guided UNet with the ControlNet's help, computed anew every so many steps of a region."""

    def __init__(
        self,
        models: Models,
        maps: Tensor,
        tokens: Tensor,
        pipeline: ControlPipeline,
        thing: Object,
        times: Sequence[int],
        now: Now,
    ):
        factor = maps.shape[2] // thing.mask.shape[1]  # pixels a cell
        crop = Region(thing.region.corner * factor, tuple(factor * side for side in thing.region.size)).gather(maps)
        self.maps = {"frame": maps, "background": maps, "object": crop}
        self.tokens, self.order = tokens.repeat_interleave(len(maps), 0), {time: i for i, time in enumerate(times)}
        self.models, self.pipeline, self.now = models, pipeline, now
        self.help: dict[str, tuple[int, list[Tensor], Tensor]] = {}

    def __call__(self, latents: Tensor, time: int, region: str) -> Tensor:
        self.now.time, self.now.region, self.now.size = time, region, tuple(latents.shape[-2:])
        twice = torch.cat([latents, latents])
        down, middle = self.helped(twice, time, region)
        with computing_in(self.pipeline.dtype, twice.device):
            found = self.models.unet(
                twice, time, self.tokens, down_block_additional_residuals=down, mid_block_additional_residual=middle
            ).sample
        without, with_text = found.to(latents).chunk(2)
        return without + self.pipeline.guidance * (with_text - without)

    def helped(self, twice: Tensor, time: int, region: str) -> tuple[list[Tensor], Tensor]:
        last, every = self.help.get(region), self.pipeline.every
        if last is None or (every is not None and self.order[time] - last[0] >= every):
            maps = self.maps[region]
            with computing_in(self.pipeline.dtype, twice.device):
                down, middle = self.models.controlnet(
                    twice, time, self.tokens, controlnet_cond=torch.cat([maps, maps]), return_dict=False
                )
            last = self.help[region] = (self.order[time], down, middle)
        return last[1], last[2]


@dataclass(frozen=True)
class Smoothed:
    """A solver with ControlVideo's interleaved smoother: at `steps`, {time: number of the step}, the clean frames that
    a step foresees are decoded, half of them become the mean of their neighbours, and the step goes on from what they
    encode to, with the same noise. Odd frames in even steps, even frames in odd ones."""

    solver: Solver
    scheduler: DDIMScheduler
    models: Models
    steps: dict[int, int]

    def start(self, times: Sequence[int], begin: int = 0) -> Step:
        inner = self.solver.start(times, begin)

        def step(output: Tensor, time: int, latents: Tensor) -> Tensor:
            if time not in self.steps:
                return inner(output, time, latents)
            level, kind = self.scheduler.alphas_cumprod[time].to(latents), self.scheduler.config.prediction_type
            clean, noise = clean_and_noise(output, latents, level, kind)
            frames = interleaved(self.models.decode(clean), first=1 - self.steps[time] % 2)
            clean = self.models.encode(frames)
            latents = level.sqrt() * clean + (1 - level).sqrt() * noise
            if kind == "v_prediction":
                output = level.sqrt() * noise - (1 - level).sqrt() * clean
            return inner(output, time, latents)

        return step


def interleaved(frames: Tensor, first: int) -> Tensor:
    """uint8 (t, H, W, 3) with every second frame, from `first` on, the mean of its neighbours. Of those with one
    only, as in the released code, frame 0 and an even last one are the mean of it and themselves; an odd one stays."""
    out = frames.clone()
    for t in range(first, len(frames), 2):
        before, after = max(t - 1, 0), min(t + 1, len(frames) - 1)
        if first == 0 or after > t:
            out[t] = ((frames[before].float() + frames[after].float()) / 2).round().to(torch.uint8)
    return out

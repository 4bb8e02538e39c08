"""Long video by chunks (thesis Sec. 7.1.2, a plan without formulas or code): short videos, one after another.

    script: a prompt and positions for each chunk
      | chunk 1: t frames from noise, attention among all of them, positions through the ControlNet
      | chunk 2: the same, and looks at what chunk 1 left behind, or holds its last frames
      | ...
    a video of k chunks

The short-video generator is ControlVideo's idea on an image model: all frames of a chunk look at each other and begin
at the same noise. All frames of a chunk are one batch; chunks follow each other, as each needs the one before.

Axes: k chunks, t frames of a chunk, d channels, h and w cells of the latents, p control maps, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.frame_attention import attached, check_ran, dense
from minilib.papers.long_video.sharing import ChunkAttention, Memory, Seen, SharedMaps, nothing, shared_motion


class Models(Protocol):
    """The small diffusion model, or Stable Diffusion with a ControlNet."""

    unet: nn.Module
    controlnet: nn.Module | None

    def tokens(self, texts: Sequence[str]) -> Tensor: ...


@dataclass(frozen=True)
class Chunked:
    """How a chunk is made. seen: the earlier frames that its frames look at. held: so many last frames of the chunk
    before are held fixed at the head of this one and generated along. maps, motion: the part that earlier attention
    maps and motion features have in this one's, 0 to 1."""

    seen: Seen = nothing
    held: int = 0
    maps: float = 0.0
    motion: float = 0.0
    steps: int = 10
    guidance: float = 7.5

    def __post_init__(self):
        if self.steps < 1 or self.held < 0 or not (0 <= self.maps <= 1 and 0 <= self.motion <= 1):
            raise BadInput(f"{self}: steps is 1 or more, held 0 or more, maps and motion lie between 0 and 1")
        if self.held and (self.maps or self.motion):
            raise BadInput("held frames have no map and no motion in the chunk before: share the one or the other")
        if self.maps and self.seen is not nothing:
            raise BadInput("maps of chunks that look at more and more frames do not fit: share maps, or tokens")


def chunk_by_chunk(
    models: Models,
    prompts: Sequence[str],
    maps: Tensor,
    noise: Tensor,
    how: Chunked,
    scheduler: Callable[[], DPMSolverMultistepScheduler],
) -> Iterator[Tensor]:
    """Latents (t, d, h, w) of one chunk after another, for k prompts, control maps (k, t, p, H, W) and noise
    (k, 1 or t, d, h, w). scheduler makes a new one for each chunk. Raises BadInput before the first step."""
    check(models, prompts, maps, noise, how)
    return _chunks(models, prompts, maps, noise, how, scheduler)


def _chunks(models, prompts, maps, noise, how, scheduler) -> Iterator[Tensor]:
    memory, before = Memory(seen=how.seen), None
    for chunk, prompt in enumerate(prompts):
        memory.chunk, memory.held = chunk, how.held if chunk else 0
        control, held = maps[chunk], None
        if memory.held:
            control, held = torch.cat([maps[chunk - 1, -memory.held :], control]), before[-memory.held :]
        before = sampled(models, [prompt], control[None], noise[chunk : chunk + 1], how, scheduler, memory, held)[0]
        before = before[memory.held :]
        memory.forget(chunk)
        yield before


def independent(
    models: Models,
    prompts: Sequence[str],
    maps: Tensor,
    noise: Tensor,
    how: Chunked,
    scheduler: Callable[[], DPMSolverMultistepScheduler],
) -> Tensor:
    """Latents (k, t, d, h, w) of chunks that know nothing of each other: one batch. As `chunk_by_chunk` where nothing
    is shared."""
    check(models, prompts, maps, noise, how)
    return sampled(models, prompts, maps, noise, how, scheduler, Memory())


@torch.no_grad()
def sampled(
    models: Models,
    prompts: Sequence[str],
    maps: Tensor,
    noise: Tensor,
    how: Chunked,
    scheduler: Callable[[], DPMSolverMultistepScheduler],
    memory: Memory,
    held: Tensor | None = None,
) -> Tensor:
    """Latents (k, t, d, h, w) of k short videos at once, by DPM-Solver++ and guidance without classifier. held: clean
    latents (s, d, h, w) of the s first frames of a single video: they get the noise of each step and stay what they
    are."""
    frames, solver = maps.shape[1], scheduler()
    solver.set_timesteps(how.steps, device=noise.device)
    control, start = maps.flatten(0, 1), noise.expand(-1, frames, -1, -1, -1).flatten(0, 1)
    words = models.tokens(list(prompts)).repeat_interleave(frames, 0)
    tokens = torch.cat([models.tokens([""]).expand(len(words), -1, -1), words])
    twice_control, latents = torch.cat([control, control]), start * solver.init_noise_sigma
    with ExitStack() as stack:
        shares = SharedMaps(memory, how.maps) if how.maps else None
        processors = stack.enter_context(attached(models.unet, frames, dense, memory, shares, processor=ChunkAttention))
        if how.motion:
            stack.enter_context(shared_motion(models.unet.up_blocks[0], frames, memory, how.motion))
        for time in solver.timesteps:
            memory.time, memory.size = int(time), tuple(latents.shape[-2:])
            if held is not None:
                level = solver.alphas_cumprod[int(time)].to(latents)
                latents = torch.cat(
                    [level.sqrt() * held + (1 - level).sqrt() * start[: len(held)], latents[len(held) :]]
                )
            twice = solver.scale_model_input(torch.cat([latents, latents]), time)
            down, middle = models.controlnet(twice, time, tokens, controlnet_cond=twice_control, return_dict=False)
            without, with_text = models.unet(
                twice, time, tokens, down_block_additional_residuals=down, mid_block_additional_residual=middle
            ).sample.chunk(2)
            latents = solver.step(without + how.guidance * (with_text - without), time, latents).prev_sample
    check_ran(processors, how.steps)
    if held is not None:
        latents = torch.cat([held, latents[len(held) :]])
    return latents.unflatten(0, (-1, frames))


def check(models: Models, prompts: Sequence[str], maps: Tensor, noise: Tensor, how: Chunked) -> None:
    """BadInput in one line for what cannot be generated."""
    if models.controlnet is None:
        raise BadInput("this model has no ControlNet, through which motion is prompted: load one")
    if not len(prompts):
        raise BadInput("zero chunks: a long video has one prompt for each of its chunks, one at least")
    if empty := [at for at, prompt in enumerate(prompts, 1) if not prompt.strip()]:
        raise BadInput(f"the prompt of chunk {empty[0]} is empty: say what it shows")
    if maps.ndim != 5 or len(maps) != len(prompts) or not maps.shape[1]:
        raise BadInput(f"control maps {tuple(maps.shape)}: {len(prompts)} prompts need (k, t, p, H, W) with as many k")
    if noise.ndim != 5 or len(noise) != len(prompts) or noise.shape[1] not in (1, maps.shape[1]):
        raise BadInput(f"noise {tuple(noise.shape)}: (k, 1 or t, d, h, w) of {len(prompts)} chunks is needed")
    if how.held and (how.held > maps.shape[1] or noise.shape[1] != 1):
        raise BadInput(f"held={how.held}: at most the {maps.shape[1]} frames of a chunk, which share their noise")

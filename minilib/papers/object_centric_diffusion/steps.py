"""Steps of a sampler between any two times: DDIM forth and back, and DPM-Solver++.

Samplers of diffusers are state: one keeps past outputs and counts its steps. Foreground and background go at rates of
their own, so each begins a stepper of its own.

Axes: t frames, d channels, h and w cells of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from minilib.errors import BadInput

Step = Callable[[Tensor, int, Tensor], Tensor]  # the UNet's output, the time, latents (t, d, h, w) -> the next ones


class Solver(Protocol):
    def start(self, times: Sequence[int], begin: int = 0) -> Step:
        """A sampler through falling times, which begins at `times[begin]` and ends after the last one."""
        ...


def inference_times(scheduler: DDIMScheduler, steps: int) -> list[int]:
    """The falling times of so many steps: 951, ..., 51, 1 of 20."""
    if not 0 < steps <= scheduler.config.num_train_timesteps:
        raise BadInput(f"steps={steps}: between 1 and {scheduler.config.num_train_timesteps}")
    if scheduler.config.timestep_spacing != "leading":
        raise BadInput(
            f"time steps spaced as {scheduler.config.timestep_spacing!r}: inversion needs 'leading', with which "
            "it meets the times of generation"
        )
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.tolist()


def clean_and_noise(output: Tensor, latents: Tensor, level: Tensor, prediction: str) -> tuple[Tensor, Tensor]:
    """What the UNet's output takes noisy latents to be made of. level: the product of alphas; prediction: "epsilon" or
    "v_prediction"."""
    if prediction == "v_prediction":
        clean = level.sqrt() * latents - (1 - level).sqrt() * output
        return clean, level.sqrt() * output + (1 - level).sqrt() * latents
    return (latents - (1 - level).sqrt() * output) / level.sqrt(), output


def move(output: Tensor, latents: Tensor, start: Tensor, end: Tensor, prediction: str) -> Tensor:
    """One deterministic step of DDIM (Song et al. 2021, Eq. 12 with no noise) from a level of noise to another, forth
    or back. start, end: the products of alphas there."""
    clean, noise = clean_and_noise(output, latents, start, prediction)
    return end.sqrt() * clean + (1 - end).sqrt() * noise


@dataclass(frozen=True)
class Ddim:
    """Sampling and inversion. It ends at the least noise of training, as `set_alpha_to_one=False` says."""

    scheduler: DDIMScheduler

    def level(self, time: int, like: Tensor) -> Tensor:
        return self.scheduler.alphas_cumprod[max(time, 0)].to(like)

    def start(self, times: Sequence[int], begin: int = 0) -> Step:
        following = dict(zip(times, [*times[1:], 0], strict=True))

        def step(output: Tensor, time: int, latents: Tensor) -> Tensor:
            levels = (self.level(at, latents) for at in (time, following[time]))
            return move(output, latents, *levels, self.scheduler.config.prediction_type)

        return step

    def invert(self, times: Sequence[int]) -> Step:
        """Back through rising times. The output for time t is computed from latents that stand one step before it:
        this is what makes inversion of first order, and lets the map of time t serve when time t is generated."""
        before = dict(zip(times, [0, *times[:-1]], strict=True))

        def step(output: Tensor, time: int, latents: Tensor) -> Tensor:
            levels = (self.level(at, latents) for at in (before[time], time))
            return move(output, latents, *levels, self.scheduler.config.prediction_type)

        return step


@dataclass(frozen=True)
class DpmPlusPlus:
    """DPM-Solver++ (2M), as the optimised pipelines have it, through the times that it is given: by itself it would
    space them otherwise than DDIM's inversion does. Where it begins anew it has no past output, and its first step is
    of first order."""

    scheduler: DDIMScheduler  # whose noise and kind of prediction it takes over

    def start(self, times: Sequence[int], begin: int = 0) -> Step:
        own = DPMSolverMultistepScheduler.from_config(
            self.scheduler.config, algorithm_type="dpmsolver++", solver_order=2
        )
        own.set_timesteps(timesteps=list(times))
        own.set_begin_index(begin)

        def step(output: Tensor, time: int, latents: Tensor) -> Tensor:
            return own.step(output, torch.tensor(time), latents).prev_sample

        return step

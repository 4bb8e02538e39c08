"""Object-centric sampling: most steps on the object alone (thesis Sec. 6.3.1, Algorithm 1).

Axes: t frames, d channels, h and w cells of the latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.object_centric_diffusion.regions import Region, normalise
from minilib.papers.object_centric_diffusion.steps import Ddim, Solver


class Denoise(Protocol):
    """The UNet's output for latents (t, d, ., .) at a time: of whole frames ("frame"), of the object's crop ("object"),
    or of whole frames for the sake of their background ("background")."""

    def __call__(self, latents: Tensor, time: int, region: str) -> Tensor: ...


@dataclass(frozen=True)
class Sampling:
    """steps: N. gamma: the part of the steps, the last ones, on whole frames; 1 is sampling as usual, 0 recomposes at
    the very end. phi: how many times faster the background is sampled before; None skips it, "for localized editing
    tasks". align: whether the object's latents are normalised by the background's when both meet.

    The thesis gives N = 20, gamma = 0.25, no phi. Departure: its Algorithm 1 normalises; here that is off by default,
    since on the small world's plain colours it gives the object the tint of its ground (see `choices`).
    """

    steps: int = 20
    gamma: float = 0.25
    phi: int | None = None
    align: bool = False

    def __post_init__(self):
        if not 0 <= self.gamma <= 1:
            raise BadInput(f"gamma={self.gamma:g}: the part of the steps on whole frames lies between 0 and 1")
        if self.phi is not None and (self.phi <= 1 or self.apart % self.phi):
            raise BadInput(
                f"phi={self.phi}: above 1, and a divisor of the {self.apart} steps before background and object meet; "
                "None skips the background"
            )

    @property
    def apart(self) -> int:
        """Steps before object and background meet."""
        return self.steps - round(self.gamma * self.steps)

    @property
    def evaluations(self) -> dict[str, int]:
        """How often the UNet runs on each region."""
        behind = 0 if self.phi is None else self.apart // self.phi
        return {"object": self.apart, "background": behind, "frame": self.steps - self.apart}


def object_centric_sampling(
    denoise: Denoise,
    noise: Tensor,
    region: Region,
    times: Sequence[int],
    solver: Solver,
    settings: Sampling,
    behind: Tensor | None = None,
) -> Tensor:
    """Algorithm 1: latents (t, d, h, w) from `noise` of the same shape.

    behind: the background's latents where object and background meet, such as inversion left them; needed, and used,
    where phi is None. As the crop is a rectangle and convolutions need whole frames, the background is sampled on whole
    frames, whose object is then written over.
    """
    apart = settings.apart
    if apart and settings.phi is None and behind is None:
        raise BadInput("without an inversion the background cannot be skipped: set phi")
    latents = noise
    if apart:
        # sampling the foreground latents at normal rate
        step, crop = solver.start(times), region.gather(noise)
        for time in times[:apart]:
            crop = step(denoise(crop, time, "object"), time, crop)
        # sampling the background latents at faster rate, or not at all
        latents = behind
        if settings.phi is not None:
            faster = [*times[: apart : settings.phi], *times[apart:]]
            step, latents = solver.start(faster), noise
            for time in times[: apart : settings.phi]:
                latents = step(denoise(latents, time, "background"), time, latents)
        # normalize, merge and continue sampling
        if settings.align:
            crop = normalise(crop, latents, region.outside(latents))
        latents = region.scatter(latents, crop)
    if apart < len(times):
        step = solver.start(times, begin=apart)
        for time in times[apart:]:
            latents = step(denoise(latents, time, "frame"), time, latents)
    return latents


def object_centric_inversion(
    denoise: Denoise, latents: Tensor, region: Region, times: Sequence[int], solver: Ddim, settings: Sampling
) -> tuple[Tensor, Tensor]:
    """DDIM inversion in the reverse order: whole frames up to where object and background meet, then the crop alone.

    Returns noise (t, d, h, w), which above that time is that of the crop only (and of the background, where phi asks
    for it), and the latents at that time. So each map is kept for the region and time at which it will be used. The
    thesis does not describe this, but its Table 6.6 has inversion fall with the size of the object, too.
    """
    rising, apart = list(reversed(times)), settings.apart
    step = solver.invert(rising)
    for time in rising[: len(rising) - apart]:
        latents = step(denoise(latents, time, "frame"), time, latents)
    meeting, crop = latents, region.gather(latents)
    for time in rising[len(rising) - apart :]:
        crop = step(denoise(crop, time, "object"), time, crop)
    if settings.phi is not None:
        behind = list(reversed([*times[: apart : settings.phi], *times[apart:]]))
        step = solver.invert(behind)
        for time in behind[len(behind) - apart // settings.phi :]:
            latents = step(denoise(latents, time, "background"), time, latents)
    return region.scatter(latents, crop), meeting

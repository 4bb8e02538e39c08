"""A mask from the words themselves (thesis Sec. 6.4.3, "Impact of saliency mask").

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from minilib.models.frame_attention import Now, attached, sparse
from minilib.papers.object_centric_diffusion.maps import BLENDING, Blending, Kept, attended, coarse_maps
from minilib.papers.object_centric_diffusion.method import Models, denoiser
from minilib.papers.object_centric_diffusion.prompts import Prompts
from minilib.papers.object_centric_diffusion.regions import Region
from minilib.papers.object_centric_diffusion.sampling import Sampling, object_centric_inversion
from minilib.papers.object_centric_diffusion.steps import Ddim, inference_times


@torch.no_grad()
def mask_by_words(
    models: Models,
    scheduler: DDIMScheduler,
    video: Tensor,
    prompts: Prompts,
    words: list[str],
    steps: int = 10,
    blending: Blending = BLENDING,
) -> Tensor:
    """Where words of the source prompt attend in a video uint8 (t, H, W, 3): bool (t, H, W), as `find_object` takes.

    A short inversion keeps the cross-attention maps; those of its second half of steps, where there is noise enough for
    words to matter, are averaged and cut off as FateZero cuts its own. How the thesis does it is not said.
    """
    positions = [p for word in words for p in prompts.find(prompts.source, word)]
    latents, now = models.encode(video), Now()
    size = tuple(latents.shape[-2:])
    kept = Kept(now)
    times = inference_times(scheduler, steps)
    with attached(models.unet, len(latents), sparse, now, kept):
        everywhere = Region(torch.zeros(len(latents), 2, dtype=torch.int64), size)
        denoise = denoiser(models, models.tokens([prompts.source]), len(latents), now)
        object_centric_inversion(denoise, latents, everywhere, times, Ddim(scheduler), Sampling(steps, gamma=1.0))
    grid = tuple(-(-side // blending.coarse) for side in size)
    maps = torch.cat([coarse_maps(kept, time, "frame", grid) for time in times[: max(1, steps // 2)]])
    mask = attended(maps, positions, grid, blending)
    return torch.nn.functional.interpolate(mask[:, None].float(), video.shape[1:3], mode="nearest")[:, 0] > 0

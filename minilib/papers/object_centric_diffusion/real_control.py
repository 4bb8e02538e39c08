"""ControlVideo's evaluation with Stable Diffusion: DAVIS clips, their depth as pictures, and the 125 pairs.

Depth is not estimated here: MiDaS, or whatever estimates it, leaves one picture a frame beside DAVIS.

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, DDIMScheduler
from PIL import Image
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.object_centric_diffusion.control import ControlPipeline, generate_controlled
from minilib.papers.object_centric_diffusion.method import find_object
from minilib.papers.object_centric_diffusion.real import (
    Edited,
    StableDiffusion,
    at_large,
    pairs,
    pairs_there,
    video_and_mask,
)
from minilib.papers.object_centric_diffusion.small import shortened
from minilib.video import crop, write_video


def with_controlnet(models: StableDiffusion, folder: Path | str) -> StableDiffusion:
    """The model with a ControlNet from a folder of diffusers; for "random" one with random weights."""
    if str(folder) == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = ControlNetModel.from_unet(models.unet)
    else:
        try:
            made = ControlNetModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadInput(f"controlnet {folder}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    return replace(models, controlnet=made.to(models.unet.device, models.unet.dtype).eval().requires_grad_(False))


def depth_of(data_root: Path | str, video: str, frames: int, pixels: int) -> Tensor:
    """float (t, 3, H, W) in [0, 1] from <data_root>/Depth/480p/<video>/*.png; BadInput where frames are missing."""
    files = sorted((Path(data_root) / "Depth" / "480p" / video).glob("*.png"))[:frames]
    if len(files) < frames:
        raise BadInput(f"data_root {data_root}: Depth/480p/{video} has {len(files)} pictures, {frames} are needed")
    read = []
    for file in files:
        with Image.open(file) as image:
            read.append(np.asarray(image.convert("RGB")))
    return torch.from_numpy(crop(np.stack(read), pixels).copy()).movedim(-1, 1).float() / 255


def generate_davis(
    models: StableDiffusion,
    scheduler: DDIMScheduler,
    data_root: Path | str,
    pipeline: ControlPipeline,
    out_dir: Path | str,
    *,
    frames: int = 8,
    pixels: int = 512,
    max_steps: int = 0,
    max_clips: int = 0,
) -> list[Edited]:
    """The chapter's 125 pairs on the DAVIS videos below data_root, as mp4 files in out_dir. The released ControlVideo
    takes 15 frames; 8, as elsewhere in the chapter, are divided by the window of merging."""
    pipeline, found = shortened(at_large(pipeline), max_steps or None), []
    for pair, source in pairs_there(data_root, pairs("control"), max_clips):
        video, mask = video_and_mask(source, frames, pixels)
        maps, latents = depth_of(data_root, pair.video, frames, pixels), models.encode(video)
        thing = find_object(mask, latents, pipeline)
        noise = torch.randn((1, *latents.shape[1:]), generator=torch.Generator().manual_seed(len(found))).to(latents)
        began = time.perf_counter()
        made = models.decode(
            generate_controlled(models, scheduler, maps.to(latents), pair.target, pipeline, thing, noise)
        )
        seconds, path = time.perf_counter() - began, Path(out_dir) / f"{pair.video}_depth_{len(found)}.mp4"
        write_video(path, torch.cat([video, made], 1).numpy())
        found.append(Edited(pair, seconds, path))
    return found

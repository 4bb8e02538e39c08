"""Stable Diffusion 1.5 from a local folder of diffusers, and the chapter's clips and prompts.

Axes: t frames, H and W pixels, n tokens, d channels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import open_clip
import torch
import yaml
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from minilib.datasets.davis import MaskedVideo, davis
from minilib.errors import BadInput
from minilib.models.small_diffusion import decode, to_signed
from minilib.papers.object_centric_diffusion.maps import BLENDING
from minilib.papers.object_centric_diffusion.method import Generation, edit
from minilib.papers.object_centric_diffusion.prompts import Prompts, refining, replacing
from minilib.papers.object_centric_diffusion.small import shortened
from minilib.video import crop, write_video

CONTEXT, START, END = 77, 49406, 49407
LAYOUT = ("unet", "vae", "text_encoder", "scheduler")


@dataclass(frozen=True)
class StableDiffusion:
    """`Models` of the method. text: transformers' CLIPTextModel."""

    autoencoder: AutoencoderKL
    unet: UNet2DConditionModel
    text: nn.Module
    controlnet: ControlNetModel | None = None

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """uint8 (t, H, W, 3) to latents, a frame at a time: the mean."""
        pixels = to_signed(frames.to(self.unet.device)).to(self.autoencoder.dtype)
        parts = [self.autoencoder.encode(part).latent_dist.mean for part in pixels.split(1)]
        return torch.cat(parts).to(self.unet.dtype) * self.autoencoder.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to uint8 (t, H, W, 3), in single precision, where half overflows."""
        return decode(self.autoencoder, latents.to(self.autoencoder.dtype), batch=1).cpu()

    @torch.no_grad()
    def tokens(self, texts: Sequence[str]) -> Tensor:
        return self.text(word_ids(texts).to(self.unet.device)).last_hidden_state.to(self.unet.dtype)


def pieces(text: str) -> list[int]:
    """The tokens of a text, as CLIP's own vocabulary has them."""
    return open_clip.tokenizer._tokenizer.encode(text)


def word_ids(texts: Sequence[str]) -> Tensor:
    """int64 (k, 77): padded with the end token, as Stable Diffusion's tokeniser does and open_clip's does not."""
    rows = [[START, *pieces(text)[: CONTEXT - 2], END] for text in texts]
    return torch.tensor([row + [END] * (CONTEXT - len(row)) for row in rows])


def tokens_of(word: str) -> int:
    return len(pieces(word))


def clip_prompts(source: str, target: str) -> Prompts:
    """Both prompts, a word of which may be several tokens."""
    return Prompts(source, target, tokens_of, CONTEXT)


# --- loading ---------------------------------------------------------------------------------------------------------


def stable_diffusion(folder: Path | str, device: str = "cpu") -> tuple[StableDiffusion, DDIMScheduler]:
    """From a folder as `save_pretrained` of diffusers writes it; half precision on a GPU, its autoencoder single."""
    folder = Path(folder)
    for part in LAYOUT:
        if not (folder / part).is_dir():
            raise BadInput(f"weights {folder}: no folder {part}; give the diffusers folder of Stable Diffusion 1.5")
    transformers = _transformers()
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    load = dict(local_files_only=True, torch_dtype=dtype)
    try:
        parts = (
            AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True),
            UNet2DConditionModel.from_pretrained(folder / "unet", **load),
            transformers.CLIPTextModel.from_pretrained(folder / "text_encoder", **load),
        )
        noise = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"weights {folder}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    known = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type", "steps_offset")
    return _ready(parts, device), noise_schedule({name: noise[name] for name in known if name in noise})


def random_stable_diffusion(device: str = "cpu") -> tuple[StableDiffusion, DDIMScheduler]:
    """SD-1.5's architecture with random weights: to see that all of it runs. 4 GB of memory."""
    transformers = _transformers()
    sizes = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = (
            AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
            ),
            UNet2DConditionModel(
                cross_attention_dim=768,
                attention_head_dim=8,
                block_out_channels=(320, 640, 1280, 1280),
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            ),
            transformers.CLIPTextModel(transformers.CLIPTextConfig(**sizes)),
        )
    return _ready(parts, device), noise_schedule({})


def noise_schedule(config: dict) -> DDIMScheduler:
    """Stable Diffusion's, in whatever sampler's name its folder has it."""
    stable = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
    return DDIMScheduler(**stable | config, timestep_spacing="leading", clip_sample=False, set_alpha_to_one=False)


def _ready(parts: tuple[nn.Module, ...], device: str) -> StableDiffusion:
    return StableDiffusion(*(part.to(device).eval().requires_grad_(False) for part in parts))


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise BadInput("Stable Diffusion's text encoder needs transformers: install the extra `language`") from error
    return transformers


def at_large(pipeline: Generation) -> Generation:
    """A pipeline for Stable Diffusion's UNet: crops are multiples of 8 cells, with 4 around the object; the maps that
    say where words attend are those of 16 x 16; blending is FateZero's; guidance and the normalisation of Algorithm 1
    are as printed."""
    large = replace(pipeline, stride=8, margin=4, sampling=replace(pipeline.sampling, align=True))
    if not hasattr(large, "blending"):  # by a ControlNet
        return replace(large, guidance=12.5)
    return replace(large, guidance=7.5, blending=replace(BLENDING, coarse=4))


# --- the chapter's clips ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A video by its name in DAVIS, and what to make of it."""

    video: str
    source: str
    target: str
    size: str = ""


def pairs(which: str = "inversion") -> list[Pair]:
    """The chapter's sequence-prompt pairs: "inversion" (18, by size) or "control" (125)."""
    listed = yaml.safe_load((Path(__file__).parent / "prompts.yaml").read_text(encoding="utf-8"))
    return [
        Pair(each["video"], *(text.rstrip(".") for text in (each["source"], target)), each.get("size", ""))
        for each in listed[which]
        for target in each["targets"]
    ]


@dataclass(frozen=True)
class Edited:
    """One edit, and what it took; path: the mp4, the source above the edit."""

    pair: Pair
    seconds: float
    path: Path


def video_and_mask(video: MaskedVideo, frames: int, pixels: int) -> tuple[Tensor, Tensor]:
    """The middle squares of a video's first frames, uint8 (t, H, W, 3), and all its objects, bool (t, H, W)."""
    read, identities = video.read()
    inside = np.repeat(((identities[:frames] > 0) & (identities[:frames] < 255))[..., None] * np.uint8(255), 3, -1)
    mask = torch.from_numpy(crop(inside, pixels).copy()).float().mean(-1) > 127.5
    return torch.from_numpy(crop(read[:frames], pixels).copy()), mask


def pairs_there(data_root: Path | str, wanted: Sequence[Pair], most: int) -> list[tuple[Pair, MaskedVideo]]:
    """Those of the chapter's pairs whose videos are in DAVIS' lists, at most so many (0: all), each with its video."""
    videos = {video.name: video for split in ("train", "val") for video in davis(data_root, split)}
    there = [(pair, videos[pair.video]) for pair in wanted if pair.video in videos]
    if not there:
        raise BadInput(f"data_root {data_root}: none of the chapter's videos is in DAVIS' lists there")
    return there[: most or None]


def edit_davis(
    models: StableDiffusion,
    scheduler: DDIMScheduler,
    data_root: Path | str,
    pipeline: Generation,
    out_dir: Path | str,
    *,
    frames: int = 8,
    pixels: int = 512,
    max_steps: int = 0,
    max_clips: int = 0,
) -> list[Edited]:
    """The chapter's 18 pairs on the DAVIS videos below data_root, as mp4 files in out_dir."""
    pipeline, found = shortened(at_large(pipeline), max_steps or None), []
    for pair, source in pairs_there(data_root, pairs(), max_clips):
        video, mask = video_and_mask(source, frames, pixels)
        prompts = clip_prompts(pair.source, pair.target)
        mapping = replacing if len(pair.source.split()) == len(pair.target.split()) else refining
        began = time.perf_counter()
        made = edit(models, scheduler, video, prompts, pipeline, mask, mapping)
        seconds = time.perf_counter() - began
        path = Path(out_dir) / f"{pair.video}_{len(found)}.mp4"
        write_video(path, torch.cat([video, made], 1).numpy())
        found.append(Edited(pair, seconds, path))
    return found

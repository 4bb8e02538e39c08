"""What the autoencoder, the UNet and the ControlNet of the small diffusion model are taught, and how each is judged.

Axes: b frames, h and w pixels or latent cells, n tokens, d width.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minilib.models.second_clip import second_clip
from minilib.models.small_diffusion import (
    LATENT,
    SIZE,
    ddim,
    encode,
    load_part,
    new_autoencoder,
    new_controlnet,
    new_unet,
    text_tokens,
    to_signed,
    weights_file,
)
from minilib.models.small_diffusion_frames import (
    Frames,
    all_sentences,
    control_maps,
    sentence_rows,
    single_frames,
)

KL = 1e-7  # weight of the latents' divergence, summed, beside a mean over pixels: at 1e-6 a channel of four was lost
OBJECT = 20.0  # weight of a pixel at or beside the object: it covers a fourteenth of the frame and says most
CELL = 4.0  # weight of a latent cell that the object touches
UNTOLD = 0.1  # share of frames without their sentence, for guidance without classifier
HELD = 512  # frames of the validation split that judge


def half(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16)


def drawn(count: int, batch: int, generator: torch.Generator) -> Tensor:
    return torch.randint(count, (batch,), generator=generator, device=generator.device)


def spread(count: int, batch: int, generator: torch.Generator) -> Tensor:
    """`batch` numbers below `count`, one from each of as many equal parts."""
    places = torch.arange(batch, device=generator.device) + torch.rand(
        batch, generator=generator, device=generator.device
    )
    return (places * (count / batch)).long().clamp(max=count - 1)


def plain_attention(device: torch.device) -> AbstractContextManager:
    """On a CPU, attention in its plain form: with heads of 24 channels a third faster a step than the fused one."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def weighted(error: Tensor, weight: Tensor) -> Tensor:
    """The mean of errors (b, c, h, w) with weights (b, 1, h, w)."""
    return (error * weight).sum() / (weight.sum() * error.shape[1])


class AutoencoderTask:
    """Squared error of the frame, more of it at the object, and a trace of divergence. The score is the negative of the
    lower of two peak signal-to-noise ratios, of the whole frame and of the object."""

    def __init__(self, device: torch.device, pool: int):
        self.frames = single_frames("train", pool, device)
        self.held = single_frames("val", HELD, device)[: HELD // 2]
        self.model = new_autoencoder().to(device, memory_format=torch.channels_last)

    def loss(self, model: nn.Module, batch: int, generator: torch.Generator) -> Tensor:
        frames = self.frames[drawn(len(self.frames), batch, generator)]
        pixels = to_signed(frames.pixels).contiguous(memory_format=torch.channels_last)
        with half(pixels.device):
            latent = model.encode(pixels).latent_dist
            noise = torch.randn(latent.mean.shape, generator=generator, device=pixels.device)
            found = model.decode(latent.mean + latent.std * noise).sample
        weight = torch.where(widened(frames.mask)[:, None], OBJECT, 1.0)
        return weighted((found.float() - pixels).square(), weight) + KL * latent.kl().float().mean()

    def score(self, model: nn.Module) -> float:
        return -min(psnr(model, self.held))

    @torch.no_grad()
    def finish(self, model: AutoencoderKL) -> None:
        """Sets the latent scale, 1 / std over the validation frames."""
        model.register_to_config(scaling_factor=1.0)
        model.register_to_config(scaling_factor=1 / encode(model, self.held.pixels).std().item())


@torch.no_grad()
def psnr(model: AutoencoderKL, frames: Frames) -> tuple[float, float]:
    """Peak signal-to-noise ratios in dB of the frames that come back: of all pixels, and of those of the object and one
    pixel around it, into which its edge is blended."""
    parts = [model.decode(model.encode(to_signed(part)).latent_dist.mean).sample for part in frames.pixels.split(64)]
    error = ((torch.cat(parts).clamp(-1, 1) - to_signed(frames.pixels)) / 2).square().mean(1)
    whole, inside = (-10 * part.mean().log10().item() for part in (error, error[widened(frames.mask)]))
    return whole, inside


def widened(mask: Tensor) -> Tensor:
    """Masks bool (b, h, w), wider by one pixel on every side."""
    return F.max_pool2d(mask[:, None].float(), 3, 1, 1)[:, 0] > 0


def touched(mask: Tensor) -> Tensor:
    """The latent cells in which a mask bool (b, h, w) has a pixel, bool (b, 1, h/4, w/4)."""
    return F.max_pool2d(mask[:, None].float(), SIZE // LATENT) > 0


class DenoisingTask:
    """The velocity of each latent at a random time, all times alike: v-prediction, whose error is that of the clean
    latent where noise rules and that of the noise elsewhere. Cells that the object touches weigh more. Sentences name
    the texture half of the time and the place half of the time, and are absent from a tenth."""

    def __init__(self, device: torch.device, pool: int, folder: Path):
        self.autoencoder = load_part(new_autoencoder(), weights_file("autoencoder", folder)).to(device).eval()
        clip, self.scheduler = second_clip().to(device), ddim()
        self.scheduler.alphas_cumprod = self.scheduler.alphas_cumprod.to(device)
        with torch.no_grad():
            texts = all_sentences()
            self.tokens = torch.cat([text_tokens(clip, texts[at : at + 1024]) for at in range(0, len(texts), 1024)])
        self.frames, self.held = (single_frames(split, n, device) for split, n in (("train", pool), ("val", HELD)))
        self.latents, self.held_latents = (encode(self.autoencoder, f.pixels) for f in (self.frames, self.held))
        self.model = new_unet().to(device, memory_format=torch.channels_last)

    def sentences(self, said: Tensor, generator: torch.Generator) -> Tensor:
        """Tokens (b, n, d) of a form drawn for each frame."""
        chance = torch.rand((3, len(said)), generator=generator, device=said.device)
        rows = sentence_rows(said, chance[0] < 0.5, chance[1] < 0.5)
        return self.tokens[torch.where(chance[2] < UNTOLD, len(self.tokens) - 1, rows)]

    def loss(self, model: nn.Module, batch: int, generator: torch.Generator) -> Tensor:
        rows = drawn(len(self.latents), batch, generator)
        return self.error(model, self.latents[rows], self.frames[rows], generator)

    def error(self, model: nn.Module, latents: Tensor, frames: Frames, generator: torch.Generator) -> Tensor:
        device = latents.device
        noise = torch.randn(latents.shape, generator=generator, device=device)
        times = spread(self.scheduler.config.num_train_timesteps, len(latents), generator)
        noisy = self.scheduler.add_noise(latents, noise, times).contiguous(memory_format=torch.channels_last)
        tokens = self.sentences(frames.said, generator)
        with half(device), plain_attention(device):
            found = self.predict(model, noisy, times, tokens, frames, generator)
        error = (found.float() - self.scheduler.get_velocity(latents, noise, times)).square()
        return weighted(error, torch.where(touched(frames.mask), CELL, 1.0))

    def predict(
        self,
        model: nn.Module,
        noisy: Tensor,
        times: Tensor,
        tokens: Tensor,
        frames: Frames,
        generator: torch.Generator,
    ) -> Tensor:
        return model(noisy, times, tokens).sample

    @torch.no_grad()
    def score(self, model: nn.Module) -> float:
        """The loss on the validation frames, four times and noises each, the same ones every time."""
        generator = torch.Generator(self.latents.device).manual_seed(0)
        return sum(self.error(model, self.held_latents, self.held, generator).item() for _ in range(4)) / 4

    def finish(self, model: nn.Module) -> None:
        """Nothing is left to set."""


class ControlTask(DenoisingTask):
    """The same, with the UNet frozen and a ControlNet that reads one of two maps: half of the frames give the order of
    depth, half their edges, and the other map is zero."""

    def __init__(self, device: torch.device, pool: int, folder: Path):
        super().__init__(device, pool, folder)
        self.unet = load_part(self.model, weights_file("unet", folder)).eval().requires_grad_(False)
        self.model = new_controlnet(self.unet).to(device, memory_format=torch.channels_last).requires_grad_(True)

    def predict(
        self,
        model: nn.Module,
        noisy: Tensor,
        times: Tensor,
        tokens: Tensor,
        frames: Frames,
        generator: torch.Generator,
    ) -> Tensor:
        by_depth = torch.rand(len(noisy), generator=generator, device=noisy.device) < 0.5
        kept = torch.stack([by_depth, ~by_depth], 1)[..., None, None]
        maps = (control_maps(frames.pixels, frames.mask) * kept).contiguous(memory_format=torch.channels_last)
        down, middle = model(noisy, times, tokens, controlnet_cond=maps, return_dict=False)
        return self.unet(
            noisy, times, tokens, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample

"""The small world's latent diffusion model: an autoencoder, a UNet that reads the second CLIP's words, a ControlNet.

All three are classes of diffusers, at a size that trains in minutes, and the words come from the frozen text tower of
`minilib.models.second_clip`. What is said about Stable Diffusion's parts holds of these: attention in the same places,
the same noise schedule, the same time steps.

    python -m minilib.models.small_diffusion_training all --minutes 9 --device cuda
    python -m minilib.models.small_diffusion_training unet --minutes 60        # one part; goes on where it was stopped

Axes: b frames, h and w pixels, n tokens of a sentence, d width of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMInverseScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    UNet2DConditionModel,
)
from torch import Tensor, nn

from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.clip import ImageText
from minilib.models.half import save_half
from minilib.models.second_clip import second_clip, tokenize_textures

FOLDER = Path(__file__).parents[1] / "weights"
SIZE, LATENT, CHANNELS = 64, 16, 4  # pixels and latent cells a side, channels of a cell
NOISE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
STEPS = dict(prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1)  # 951, ..., 51, 1 of 20
GUIDANCE = 7.5  # Stable Diffusion's; by an earlier UNet validation frames had their shape named less often at 3 and 12


def weights_file(part: str, folder: Path | str = FOLDER) -> Path:
    """Where the weights of "autoencoder", "unet", "controlnet" or "judge" are kept."""
    return Path(folder) / f"small_diffusion_{part}.safetensors"


def new_autoencoder() -> AutoencoderKL:
    """0.9 million weights: frames (b, 3, 64, 64) in [-1, 1] to latents (b, 4, 16, 16)."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
    )


def new_unet() -> UNet2DConditionModel:
    """3.8 million weights: self-attention and cross-attention at 16x16 and at 8x8, four heads of 24 channels."""
    return UNet2DConditionModel(
        sample_size=LATENT,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(96, 96),
        layers_per_block=1,
        cross_attention_dim=96,
        attention_head_dim=4,  # the number of heads, in spite of its name
        norm_num_groups=8,
    )


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A copy of the UNet's way down that reads two maps at 64x64: the order of depth, and edges."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64), conditioning_channels=2)


def ddim() -> DDIMScheduler:
    return DDIMScheduler(**NOISE, **STEPS, clip_sample=False, set_alpha_to_one=False)


def ddim_inverse() -> DDIMInverseScheduler:
    return DDIMInverseScheduler(**NOISE, **STEPS, clip_sample=False, set_alpha_to_one=False)


def dpm() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ (2M)."""
    return DPMSolverMultistepScheduler(**NOISE, **STEPS, algorithm_type="dpmsolver++", solver_order=2)


def text_tokens(clip: ImageText, texts: Sequence[str]) -> Tensor:
    """The text tower's tokens after its last norm, of every position: (k, n, d) for k sentences.

    The empty sentence is what guidance takes for "no text".
    """
    tower = clip.model
    words = tokenize_textures(texts).to(clip.mean.device)
    found = tower.token_embedding(words) + tower.positional_embedding
    return tower.ln_final(tower.transformer(found, attn_mask=tower.attn_mask))


@dataclass(frozen=True)
class SmallDiffusion:
    """The parts, in evaluation mode, frozen, on one device. `controlnet` is absent where it was not asked for."""

    clip: ImageText
    autoencoder: AutoencoderKL
    unet: UNet2DConditionModel
    controlnet: ControlNetModel | None = None

    @property
    def device(self) -> torch.device:
        return self.unet.device

    def encode(self, frames: Tensor) -> Tensor:
        """uint8 (b, h, w, 3) to latents (b, 4, h/4, w/4) of unit variance: the mean, so that nothing is drawn."""
        return encode(self.autoencoder, frames)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to uint8 (b, h, w, 3)."""
        return decode(self.autoencoder, latents)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """What the UNet attends to, (b, n, d)."""
        return text_tokens(self.clip, texts)


def to_signed(frames: Tensor) -> Tensor:
    """uint8 (b, h, w, 3) to float (b, 3, h, w) in [-1, 1]."""
    return frames.movedim(-1, 1).float() / 127.5 - 1


def to_bytes(pixels: Tensor) -> Tensor:
    """Float (b, 3, h, w) in [-1, 1] to uint8 (b, h, w, 3), rounded."""
    return ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, frames: Tensor, batch: int = 256) -> Tensor:
    """As `SmallDiffusion.encode`."""
    parts = [autoencoder.encode(to_signed(part)).latent_dist.mean for part in frames.split(batch)]
    return torch.cat(parts) * autoencoder.config.scaling_factor


@torch.no_grad()
def decode(autoencoder: AutoencoderKL, latents: Tensor, batch: int = 256) -> Tensor:
    """As `SmallDiffusion.decode`."""
    scaled = latents / autoencoder.config.scaling_factor
    return torch.cat([to_bytes(autoencoder.decode(part).sample) for part in scaled.split(batch)])


@torch.no_grad()
def generate(
    models: SmallDiffusion,
    texts: Sequence[str],
    noise: Tensor,
    control: Tensor | None = None,
    *,
    steps: int = 20,
    guidance: float = GUIDANCE,
) -> Tensor:
    """Frames uint8 (b, 64, 64, 3) for b sentences from noise (b, 4, 16, 16), by DPM-Solver++ and guidance without
    classifier. control: maps (b, 2, 64, 64) for the ControlNet."""
    scheduler = dpm()
    scheduler.set_timesteps(steps, device=models.device)
    tokens = torch.cat([models.tokens([""]).expand(len(texts), -1, -1), models.tokens(texts)])
    latents = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        twice = torch.cat([latents, latents])
        extra = {}
        if control is not None:
            down, mid = models.controlnet(
                twice, t, tokens, controlnet_cond=torch.cat([control, control]), return_dict=False
            )
            extra = dict(down_block_additional_residuals=down, mid_block_additional_residual=mid)
        without, with_text = models.unet(twice, t, tokens, **extra).sample.chunk(2)
        latents = scheduler.step(without + guidance * (with_text - without), t, latents).prev_sample
    return models.decode(latents)


def save_part(module: nn.Module, path: Path | str) -> None:
    """By `save_half`; an autoencoder's latent scale goes with it, in full precision."""
    more = {}
    if isinstance(module, AutoencoderKL):
        more["scaling_factor"] = torch.tensor(module.config.scaling_factor, dtype=torch.float64)
    save_half(module, path, **more)


def load_part(module: nn.Module, path: Path | str) -> nn.Module:
    """`module` with the weights of a file that `save_part` wrote, in single precision."""
    state = read_state(path)
    scale = state.pop("scaling_factor", None)
    if scale is not None:
        module.register_to_config(scaling_factor=float(scale))
    load_strictly(module, {k: v.float() for k, v in state.items()}, path)
    return module


def small_diffusion(
    folder: Path | str = FOLDER, device: torch.device | str = "cpu", controlnet: bool = False
) -> SmallDiffusion:
    """The shipped models. They draw nothing: the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        autoencoder = load_part(new_autoencoder(), weights_file("autoencoder", folder))
        unet = load_part(new_unet(), weights_file("unet", folder))
        control = load_part(new_controlnet(unet), weights_file("controlnet", folder)) if controlnet else None
    parts = [part.to(device).eval().requires_grad_(False) for part in (autoencoder, unet, control) if part is not None]
    return SmallDiffusion(second_clip().to(device), *parts)

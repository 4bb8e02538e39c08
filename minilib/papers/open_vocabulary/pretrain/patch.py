"""Patch-CLIP's block for the small world's second CLIP: pictures alone, of the localization clips.

Departures from Appendix B.3: AdamW for SGD at rate 1, temperature 0.1 for 1, batches of 512; the pictures are reduced
to the 64 pixels that CLIP was trained with, since it cannot read shapes at 96 (55 % against 93 %).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.second_clip import second_clip
from minilib.papers.open_vocabulary.patch_clip import PatchClip, patch_loss
from minilib.papers.open_vocabulary.pretrain.pool import draw

TEMPERATURE = 0.1
CLIP_SIZE = 64


def reduced(frames: Tensor, size: int = CLIP_SIZE) -> Tensor:
    """uint8 (..., h, w, 3) to uint8 (..., size, size, 3), by the mean of areas."""
    lead = frames.shape[:-3]
    small = F.interpolate(frames.flatten(0, -4).movedim(-1, 1).float(), (size, size), mode="area")
    return small.round().to(torch.uint8).movedim(1, -1).unflatten(0, lead)


def contrast(model: PatchClip, clips: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """The loss of one step: one frame each of `batch` clips of the pool."""
    frames = draw(clips, batch, generator)
    frames = frames[torch.arange(batch), torch.randint(frames.shape[1], (batch,), generator=generator)]
    pixels = model.clip.normalise(reduced(frames))
    with torch.autocast(pixels.device.type, torch.bfloat16):
        return patch_loss(model, pixels, TEMPERATURE)


class OnReduced(torch.nn.Module):
    """A reader of patches for frames of any size: (..., h, w, 3) -> (..., r, c, e) of the reduced frames."""

    def __init__(self, reader: torch.nn.Module):
        super().__init__()
        self.reader = reader

    def forward(self, frames: Tensor) -> Tensor:
        return self.reader(reduced(frames))


def new_parts(model: PatchClip) -> torch.nn.ModuleDict:
    """What patch-CLIP trains; the file holds nothing else."""
    return torch.nn.ModuleDict({name: getattr(model, name) for name in ("last_transformer", "ln_last", "vision_emb")})


def small_patch_clip(path: Path | str) -> PatchClip:
    """The second CLIP with the trained block, in evaluation mode, frozen; nothing random is drawn."""
    with torch.random.fork_rng(devices=[]):
        model = PatchClip(second_clip())
    load_strictly(new_parts(model), {name: value.float() for name, value in read_state(path).items()}, path)
    return model.eval().requires_grad_(False)

"""Patch-CLIP's block for the small world's second CLIP: pictures alone, of the localization clips.

Departures from Appendix B.3: AdamW for SGD at rate 1, a temperature below 1, batches of 512; the pictures are reduced
to the 64 pixels that CLIP was trained with, since it cannot read shapes at 96 (55 % against 93 %). `READERS` are tried,
and the one that names the true masks of validation clips best is kept.

Axes: b pictures, h and w pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.half import load_half
from minilib.models.second_clip import second_clip
from minilib.papers.open_vocabulary.patch_clip import OnlyMlp, PatchClip, patch_loss, residual_block
from minilib.papers.open_vocabulary.pretrain.pool import draw

CLIP_SIZE = 64


@dataclass(frozen=True)
class Reader:
    """A patch-CLIP: its new block, the temperature of its loss, and the smallest share of a picture's area that a crop
    has (the paper's is 0.9)."""

    block: Callable[[nn.Module], nn.Module] = residual_block
    temperature: float = 0.1
    smallest: float = 0.9

    def build(self) -> PatchClip:
        return PatchClip(second_clip(), self.block)


READERS = {
    "released": Reader(),
    "warm": Reader(temperature=1.0),
    "crops": Reader(smallest=0.2),
    "alone": Reader(OnlyMlp),
    "alone_crops": Reader(OnlyMlp, smallest=0.2),
    "painted": Reader(),  # goes on where "released" ended, taught by slots, see `painted`
}


def reduced(frames: Tensor, size: int = CLIP_SIZE) -> Tensor:
    """uint8 (..., h, w, 3) to uint8 (..., size, size, 3), by the mean of areas."""
    lead = frames.shape[:-3]
    small = F.interpolate(frames.flatten(0, -4).movedim(-1, 1).float(), (size, size), mode="area")
    return small.round().to(torch.uint8).movedim(1, -1).unflatten(0, lead)


def cropped(frames: Tensor, smallest: float, generator: torch.Generator, size: int = CLIP_SIZE) -> Tensor:
    """A square crop of each picture, uint8 (b, h, w, 3) -> float (b, 3, size, size) in [0, 255]; its share of the area
    lies between `smallest` and 1, its place is anywhere."""
    share, *place = torch.rand(3, len(frames), generator=generator)
    side = (smallest + (1 - smallest) * share).sqrt()
    theta = torch.zeros(len(frames), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, :, 2] = (2 * torch.stack(place, 1) - 1) * (1 - side)[:, None]
    grid = F.affine_grid(theta.to(frames.device), (len(frames), 3, size, size), align_corners=False)
    pixels = frames.movedim(-1, 1).float()
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def crops_for(model: PatchClip, reader: Reader, frames: Tensor, generator: torch.Generator) -> Tensor:
    """A crop of each picture, uint8 (b, h, w, 3), as the model takes it: (b, 3, size, size), where the pictures are."""
    pixels = cropped(frames, reader.smallest, generator)
    return (pixels / 255.0 - model.clip.mean.to(pixels)) / model.clip.std.to(pixels)


def contrast(model: PatchClip, reader: Reader, clips: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """The loss of one step: a crop of one frame each of `batch` clips of the pool."""
    frames = draw(clips, batch, generator)
    frames = frames[torch.arange(batch), torch.randint(frames.shape[1], (batch,), generator=generator)]
    pixels = crops_for(model, reader, frames, generator)
    with torch.autocast(pixels.device.type, torch.bfloat16):
        return patch_loss(model, pixels, reader.temperature)


class OnReduced(nn.Module):
    """A reader of patches for frames of any size: (..., h, w, 3) -> (..., r, c, e) of the reduced frames."""

    def __init__(self, reader: nn.Module):
        super().__init__()
        self.reader = reader

    def forward(self, frames: Tensor) -> Tensor:
        return self.reader(reduced(frames))


def new_parts(model: PatchClip) -> nn.ModuleDict:
    """What patch-CLIP trains; the file holds nothing else."""
    return nn.ModuleDict({name: getattr(model, name) for name in ("last_transformer", "ln_last", "vision_emb")})


def small_patch_clip(path: Path | str, reader: str) -> PatchClip:
    """The second CLIP with a trained block, in evaluation mode, frozen; nothing random is drawn."""
    with torch.random.fork_rng(devices=[]):
        model = READERS[reader].build()
    load_half(new_parts(model), path)
    return model.eval().requires_grad_(False)


def best_reader(folder: Path) -> str | None:
    """Which of READERS that are trained in the folder says most shapes of true masks of validation clips; None without
    one."""
    found = {}
    for name in READERS:
        scores = Path(folder) / f"patch_clip_{name}.json"
        if scores.is_file() and scores.with_suffix(".safetensors").is_file():
            found[name] = json.loads(scores.read_text())["scores"].get("shape", -1.0)
    return max(found, key=found.get) if found else None

"""The small world's masked autoencoders: of clips, and the same of single frames.

Departures from Appendix B.1: 6 layers of width 144 for ViT-B, clips of 8 frames of 96 x 96 pixels in patches of 8, and
minutes for 800 epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from minilib.models.half import load_half
from minilib.models.tubelets import contrasted, normalised, spacetime_positions, tube_mask
from minilib.models.videomae import MaskedAutoencoder, VideoEncoder
from minilib.papers.open_vocabulary.pretrain.pool import FRAMES, draw
from minilib.world.localization import SIZE

PATCH = 8
GRID = SIZE // PATCH


@dataclass(frozen=True)
class Sizes:
    """A small masked autoencoder; `frames` is 1 for images."""

    frames: int = FRAMES
    tubelet: int = 1
    width: int = 144
    layers: int = 6
    heads: int = 6
    decoder_width: int = 96
    decoder_layers: int = 2
    decoder_heads: int = 4
    ratio: float = 0.9
    target: Callable[[Tensor], Tensor] = contrasted

    def build(self) -> MaskedAutoencoder:
        steps, grid = self.frames // self.tubelet, (GRID, GRID)
        encoder = VideoEncoder(
            self.width, self.layers, self.heads, PATCH, self.tubelet, steps, grid, spacetime_positions, last_norm=True
        )
        return MaskedAutoencoder(
            encoder, self.decoder_width, self.decoder_layers, self.decoder_heads, spacetime_positions, self.target
        )


VIDEO = Sizes()
TWO = Sizes(tubelet=2)
IMAGE = Sizes(frames=1, ratio=0.75)  # a frame has no neighbours to copy from: the image autoencoder's usual share
ENCODERS = {"video": VIDEO, "video_two": TWO, "video_normalised": Sizes(target=normalised), "image": IMAGE}


def reconstruction(model: MaskedAutoencoder, sizes: Sizes, clips: Tensor, batch: int, generator: torch.Generator):
    """The loss of one step on a pool (n, t, h, w, 3); a frame model sees one frame of each of `batch` clips."""
    frames = draw(clips, batch, generator)
    if sizes.frames == 1:
        frames = frames[torch.arange(batch), torch.randint(frames.shape[1], (batch,), generator=generator)][:, None]
    pixels = model.encoder.normalise(frames)
    hidden = tube_mask(batch, sizes.frames // sizes.tubelet, GRID * GRID, sizes.ratio, generator)
    with torch.autocast(pixels.device.type, torch.bfloat16):
        return model.loss(pixels, hidden)


def small_autoencoder(path: Path | str, sizes: Sizes = VIDEO) -> MaskedAutoencoder:
    """A trained one, in evaluation mode, frozen; nothing random is drawn."""
    with torch.random.fork_rng(devices=[]):
        model = sizes.build()
    return load_half(model, path).eval().requires_grad_(False)

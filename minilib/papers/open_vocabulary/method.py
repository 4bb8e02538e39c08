"""Video slots (Fan, Bai et al., ICCV 2023, Sec. 3): one slot attention over all tokens of a clip.

    features of a frozen video encoder -> LN, MLP -> slot attention over all u r c tokens -> slots (b s d)
                                       -> broadcast decoder -> features again, and each token's share of each slot

A slot is thereby a tube: the same object in all frames, with no tracking. The loss is the mean squared error to the
features; a token belongs to the slot of its largest alpha (of the decoder, not of the attention).

Axes: b clips, s slots, u steps, r rows and c columns of patches, d slot width, f feature width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.slots import SlotAttention
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder


@dataclass(frozen=True)
class Tubes:
    """slots (b, s, d); masks (b, s, u, r, c), the decoder's alpha, one at each token over the slots; attention, the
    same of slot attention; features (b, u, r, c, f), the reconstruction."""

    slots: Tensor
    masks: Tensor
    attention: Tensor
    features: Tensor

    @property
    def assigned(self) -> Tensor:
        """The slot of each token: int64 (b, u, r, c)."""
        return self.masks.argmax(1)


class VideoSlots(nn.Module):
    """Features (b, u, r, c, f) to `Tubes`.

    By default the released code's sizes: features 768, slots of 128, a residual MLP of 4 times that after the GRU.
    `read` is what the released code calls positional embedding; no position is added in it. The decoder sets how many
    steps there may be; initial slots (`GaussianSlots` as released, or `LearnedQueries`) how many slots.
    """

    def __init__(self, initial: nn.Module, decoder: BroadcastDecoder, features: int = 768, iterations: int = 3):
        super().__init__()
        width = initial.width
        self.read = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, features), nn.ReLU(), nn.Linear(features, width)
        )
        self.attention = SlotAttention(width, initial, iterations, mlp=4)
        self.decoder = decoder

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tubes:
        """`generator` draws Gaussian slots. Raises BadInput for fewer tokens than slots or more steps than learned."""
        if features.ndim != 5:
            raise BadInput(f"features {tuple(features.shape)}: must be (clips, steps, rows, columns, channels)")
        shape = features.shape[1:4]
        slots, attention = self.attention(self.read(features.flatten(1, 3)), generator)
        found, masks = self.decoder(slots, tuple(shape), attention)
        return Tubes(slots, masks.unflatten(2, shape), attention.unflatten(2, shape), found.unflatten(1, shape))


def reconstruction_loss(tubes: Tubes, target: Tensor) -> Tensor:
    """L = MSE(y . alpha, F) (Sec. 3); target (b, u, r, c, f)."""
    return F.mse_loss(tubes.features.float(), target.float())


def clip_features(encoder: VideoEncoder, pixels: Tensor, layer: int = -1) -> Tensor:
    """One block's features of normalised pixels (b, t, 3, h, w): (b, u, r, c, d). An encoder of single frames reads
    each frame by itself."""
    if encoder.positions.steps > 1 or pixels.shape[1] == 1:
        return encoder.features(pixels, (layer,))[0]
    frames = encoder.features(pixels.flatten(0, 1)[:, None], (layer,))[0]
    return frames.unflatten(0, pixels.shape[:2]).squeeze(2)

"""VideoMAE (Tong et al., NeurIPS 2022), as open-vocabulary localization uses it: a video encoder that was never told
what an object is.

    tubelets of pixels -> nine of ten hidden, the same places in every frame -> encoder on what is left (b n' d)
                       -> decoder on all places -> the hidden pixels, each patch at mean 0 and deviation 1

The encoder never computes a hidden token, not even its embedding. Its features are the last block's output *without* a
final norm, as the paper's released code takes them. An image is a clip of one frame: the same class is the masked
autoencoder of single frames.

Axes: b clips, t frames, u = t / tubelet steps, r rows and c columns of patches, n = u r c tokens, m hidden tokens,
d width, p = tubelet * patch * patch pixels of a token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.tubelets import (
    Positions,
    PositionTable,
    gather,
    normalised,
    places,
    spacetime_positions,
    tubelets,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of every released VideoMAE
EPS = 1e-6


class Attention(nn.Module):
    """Fused self-attention; queries and values have a bias, keys have none."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise BadInput(f"width {width}: not a multiple of {heads} heads")
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, EPS), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, EPS), Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """A Conv3d whose stride is its kernel, applied to tokens that are cut out already."""

    def __init__(self, width: int, tubelet: int, patch: int):
        super().__init__()
        self.proj = nn.Conv3d(3, width, (tubelet, patch, patch), stride=(tubelet, patch, patch))

    def forward(self, patches: Tensor) -> Tensor:
        """(..., p * 3) -> (..., d)."""
        return F.linear(patches, self.proj.weight.movedim(1, -1).flatten(1), self.proj.bias)


class VideoEncoder(nn.Module):
    """Pixels (b, t, 3, h, w), normalised by ImageNet's statistics, to features (b, u, r, c, d).

    By default the paper's: ViT-B/16, tubelets of one frame (Sec. 6), a table for 16 frames of 224 x 224.
    last_norm: a norm that pretraining has behind the last block; features never pass it.
    """

    def __init__(
        self,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        patch: int = 16,
        tubelet: int = 1,
        steps: int = 16,
        grid: tuple[int, int] = (14, 14),
        positions: Positions = spacetime_positions,
        last_norm: bool = False,
    ):
        super().__init__()
        self.width, self.patch, self.tubelet = width, patch, tubelet
        self.patch_embed = PatchEmbedding(width, tubelet, patch)
        self.positions = PositionTable(positions, steps, grid, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, EPS) if last_norm else nn.Identity()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 (..., h, w, 3) to float (..., 3, h, w) in the units the model was trained with."""
        return (frames.movedim(-1, -3) / 255.0 - self.mean) / self.std

    def embed(self, patches: Tensor, seen: Tensor | None = None) -> Tensor:
        """Patches (b, u, r, c, p * 3), all or those at `seen` (b, n'), to tokens before the first block, (b, n', d)."""
        place = self.positions(*patches.shape[1:4])
        flat = patches.flatten(1, 3)
        if seen is None:
            return self.patch_embed(flat) + place
        return self.patch_embed(gather(flat, seen)) + place[seen]

    def features(self, pixels: Tensor, layers: tuple[int, ...] = (-1,)) -> list[Tensor]:
        """What the given blocks put out, counted from 0 or from the end, each (b, u, r, c, d); later ones do not run.

        Raises BadInput for a block that is not there and for sizes that tubelets or patches do not divide.
        """
        depth = len(self.blocks)
        if not layers or any(not -depth <= layer < depth for layer in layers):
            raise BadInput(f"layers {tuple(layers)}: the video encoder has blocks 0 to {depth - 1}")
        patches, order, found = tubelets(pixels, self.tubelet, self.patch), [layer % depth for layer in layers], {}
        x = self.embed(patches)
        for at, block in enumerate(self.blocks[: max(order) + 1]):
            x = found[at] = block(x)
        return [found[layer].unflatten(1, patches.shape[1:4]) for layer in order]

    def forward(self, pixels: Tensor) -> Tensor:
        return self.features(pixels)[0]


class Decoder(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, outputs: int):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width, EPS), nn.Linear(width, outputs)

    def forward(self, x: Tensor, last: int) -> Tensor:
        """(b, n, d) to predictions (b, last, p * 3) of the last tokens."""
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, -last:]))


class MaskedAutoencoder(nn.Module):
    """VideoEncoder and a small decoder (Appendix B.1: four layers, width 384) that fills in what was hidden.

    target: what of a hidden token's pixels (..., p * 3) in [0, 1] is asked for; `normalised` is the paper's.
    """

    def __init__(
        self,
        encoder: VideoEncoder,
        width: int = 384,
        layers: int = 4,
        heads: int = 6,
        positions: Positions = spacetime_positions,
        target: Callable[[Tensor], Tensor] = normalised,
    ):
        super().__init__()
        self.encoder, self.asked, table = encoder, target, encoder.positions
        self.encoder_to_decoder = nn.Linear(encoder.width, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = PositionTable(positions, table.steps, table.grid, width)
        self.decoder = Decoder(width, layers, heads, encoder.tubelet * encoder.patch**2 * 3)
        self.apply(_start)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """The hidden tokens' pixels, in order, (b, m, p * 3), as `target` has them. hidden: bool (b, n), True where
        hidden; one on the CPU spares a GPU the waiting. Raises BadInput for a mask of another size, or one that hides
        more in some clips than in others."""
        patches = tubelets(pixels, self.encoder.tubelet, self.encoder.patch)
        if hidden.shape != (len(patches), patches[0, ..., 0].numel()):
            raise BadInput(f"mask {tuple(hidden.shape)}: the clips have {tuple(patches.shape[:4])} tokens")
        return self.predict(patches, places(~hidden).to(pixels.device), places(hidden).to(pixels.device))

    def predict(self, patches: Tensor, seen: Tensor, gone: Tensor) -> Tensor:
        """`forward` of patches (b, u, r, c, p * 3): those at `seen` (b, n') are read, those at `gone` (b, m) asked."""
        x = self.encoder.embed(patches, seen)
        for block in self.encoder.blocks:
            x = block(x)
        x, place = self.encoder_to_decoder(self.encoder.norm(x)), self.positions(*patches.shape[1:4])
        whole = torch.cat([x + place[seen], (self.mask_token + place[gone]).to(x.dtype)], 1)
        return self.decoder(whole, gone.shape[1])

    def target(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """What `forward` should answer."""
        cut = tubelets(pixels * self.encoder.std + self.encoder.mean, self.encoder.tubelet, self.encoder.patch)
        return self.asked(gather(cut.flatten(1, 3), places(hidden).to(pixels.device)))

    def loss(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Mean squared error over the hidden tokens."""
        return F.mse_loss(self(pixels, hidden).float(), self.target(pixels, hidden))


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""EVL: a light decoder that reads a frozen image model (Lin et al.; ECCV 2022).

    last N blocks, frozen, no gradient:  tokens Y_i,  attention maps between neighbouring frames
    Y_i + temporal convolution(Y_i) + temporal position + temporal cross-attention(maps)     Sec. 3.3
    one query -> attends to all tokens of all frames -> MLP            (one such layer for each i)     Sec. 3.2

No gradient ever enters the image model, so nothing of it is kept for the backward pass.

Follows the structure of the released code, with fused attention in the decoder; the neighbour maps depend on frozen
weights only and are made without gradient. ViT-B/16, 8 frames x 3 views, N = 4: 454.4 G multiply-adds. The 29 M new
parameters that comparisons print beside it are the decoder *without* cross-attention tables, with a classifier
(28.7 M); the multiply-adds are those with the tables, which make it 32.9 M.

Axes: b clips, t frames, n patches, d = h c width, h heads, c channels of a head, o relative positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.frozen import FrozenImageModel, TemporalConv, attend, embed, project

# --- Sec. 3.3: what happens between frames ---------------------------------------------------------------------------


def offset_index(height: int, width: int) -> Tensor:
    """Which of the o = (2 height - 1)(2 width - 1) relative positions patch q has to patch k, (n, n)."""
    position = torch.arange(height * width)
    row, column = position // width, position % width
    down = row[:, None] - row[None] + height - 1
    return down * (2 * width - 1) + column[:, None] - column[None] + width - 1


def neighbour_maps(q: Tensor, k: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Attention of each frame's patches to those of the frame before, and of the frame after, mean over heads.

    q, k (b t, h, 1 + n, c) of the image model's own attention -> two of (b, t - 1, n, n).
    """
    q = q[:, :, 1:].unflatten(0, (-1, frames)) * q.shape[-1] ** -0.5
    k = k[:, :, 1:].unflatten(0, (-1, frames))
    before, after = q[:, 1:] @ k[:, :-1].mT, q[:, :-1] @ k[:, 1:].mT
    return before.softmax(-1).mean(2), after.softmax(-1).mean(2)


class TemporalCrossAttention(nn.Module):
    """Turns the neighbour maps into features: how much attention went to each relative position, times a learned table.

    maps: two of (b, t - 1, n, n) -> (b, t, 1 + n, d), zero for class tokens and where a frame has no neighbour. Both
    tables (o, d) start at zero.
    """

    def __init__(self, grid: tuple[int, int], width: int):
        super().__init__()
        self.register_buffer("index", offset_index(*grid), persistent=False)
        offsets = (2 * grid[0] - 1) * (2 * grid[1] - 1)
        self.before, self.after = (nn.Parameter(torch.zeros(offsets, width)) for _ in range(2))

    def read(self, weights: Tensor, table: Tensor) -> Tensor:
        """weights (b, t - 1, n, n), table (o, d) -> (b, t - 1, n, d)."""
        return torch.einsum("btqk,qkd->btqd", weights, F.embedding(self.index, table))

    def forward(self, maps: tuple[Tensor, Tensor]) -> Tensor:
        before, after = self.read(maps[0], self.before), self.read(maps[1], self.after)
        return F.pad(before, (0, 0, 1, 0, 1, 0)) + F.pad(after, (0, 0, 1, 0, 0, 1))


# --- Sec. 3.2: the decoder -------------------------------------------------------------------------------------------


class DecoderLayer(nn.Module):
    """The query x (b, 1, d) attends to the tokens y (b, m, d) and goes through an MLP; both with residual."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_tokens, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        hidden = 4 * width
        self.mlp = nn.Sequential(nn.Linear(width, hidden), QuickGELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        for linear in (self.q, self.k, self.v, self.out, self.mlp[0], self.mlp[3]):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        y = self.norm_tokens(y)
        qkv = self.q(self.norm_query(x)), self.k(y), self.v(y)
        q, k, v = (tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2) for tokens in qkv)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


class EVL(FrozenImageModel):
    """layers: N decoder layers, one for each of the last N blocks. The three temporal parts can be left out."""

    def __init__(
        self,
        visual: nn.Module,
        frames: int,
        classes: int,
        layers: int = 4,
        temporal_conv: bool = True,
        temporal_position: bool = True,
        cross_attention: bool = True,
        mlp_dropout: float = 0.5,
        dropout: float = 0.5,
    ):
        super().__init__(visual, frames, classes, dropout)
        if not 1 <= layers <= len(self.blocks):
            raise BadInput(f"layers {layers}: the image model has {len(self.blocks)} blocks")
        heads, d = self.blocks[0].attn.num_heads, self.width
        self.query = nn.Parameter(torch.zeros(1, 1, d))  # as released
        self.decoder = nn.ModuleList(DecoderLayer(d, heads, mlp_dropout) for _ in range(layers))
        self.conv = nn.ModuleList(TemporalConv(d) for _ in range(layers if temporal_conv else 0))
        self.position = nn.Parameter(torch.zeros(layers, frames, d)) if temporal_position else None
        tables = layers if cross_attention else 0
        self.cross = nn.ModuleList(TemporalCrossAttention(visual.grid_size, d) for _ in range(tables))
        self.norm = nn.LayerNorm(d)

    @torch.no_grad()
    def taps(self, pixels: Tensor) -> list[tuple[Tensor, tuple[Tensor, Tensor] | None]]:
        """Of each of the last N blocks: tokens (b, t, 1 + n, d), and the neighbour maps where they are used."""
        x, out = embed(self.backbone, pixels), []
        first = len(self.blocks) - len(self.decoder)
        for i, block in enumerate(self.blocks):
            q, k, v = project(block.attn, block.ln_1(x))
            x = x + block.ls_1(attend(block.attn, q, k, v))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
            if i >= first:
                maps = neighbour_maps(q, k, self.frames) if len(self.cross) else None
                out.append((x.unflatten(0, (-1, self.frames)), maps))
        return out

    def queries(self, pixels: Tensor) -> list[Tensor]:
        """The query after each layer of the decoder, (b, d) each."""
        x, out = self.query.expand(len(pixels), -1, -1), []
        for i, (tokens, maps) in enumerate(self.taps(pixels)):
            y = tokens
            if len(self.conv):
                y = y + self.conv[i](tokens)
            if self.position is not None:
                y = y + self.position[i, :, None]
            if len(self.cross):
                y = y + self.cross[i](maps)
            x = self.decoder[i](x, y.flatten(1, 2))
            out.append(x[:, 0])
        return out

    def clip_features(self, pixels: Tensor) -> Tensor:
        return self.norm(self.queries(pixels)[-1])

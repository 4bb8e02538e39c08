"""ZeroI2V: zero-cost adaptation of an image transformer to video (Li, Zhu, Wang; ECCV 2024).

Two ideas. Some attention heads read the keys and values of *another frame* (spatio-temporal dual-headed attention,
STDHA, Sec. 3.2): no parameter, no computation. And linear adapters around every projection (Sec. 3.3) are multiplied
into the frozen weights after training (Eq. 11): what is left is a plain ViT whose heads look sideways in time.

    x -> LN -> [adapter q k v] -> project -> mix frames -> attention -> project -> [adapter o] -> + x
      -> LN -> [adapter up]    -> MLP                                           -> [adapter down] -> + x

`attach` does this to the blocks of an open_clip ViT, a timm ViT or a timm Swin, `detach` undoes it, `merge` multiplies
the adapters in. Defaults are the released code's; the text's choices, where it makes others, are settings.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head, d = h c, r bottleneck.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.zeroi2v.heads import HeadRelocation, Mixing

PLACES = ("qkv", "q", "k", "v", "o", "up", "down")
STDHA = HeadRelocation()  # the default of Table 11: one head a frame back, one ahead
FOUR, SIX = ("qkv", "o", "up", "down"), ("q", "k", "v", "o", "up", "down")

# --- Sec. 3.3: adapters ----------------------------------------------------------------------------------------------


class Adapter(nn.Module):
    """x + s U act(D x) with biases; linear when `activation` is the identity, and only then mergeable (Eq. 11).

    The released code scales by s = 0.5 (Kinetics, UCF101, HMDB51) or 1 (Something-Something v2) and drops 0.1 in the
    bottleneck; the text has neither. U starts at zero, so the first step is the image model.
    """

    def __init__(self, width: int, bottleneck: int, scale: float = 0.5, dropout: float = 0.1, activation=nn.Identity):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.activation, self.dropout, self.scale = activation(), nn.Dropout(dropout), scale
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.up(self.dropout(self.activation(self.down(x))))

    def affine(self) -> tuple[Tensor, Tensor]:
        """(A, a) with forward(x) = A x + a in evaluation mode: A = I + s U D, a = s (U b_D + b_U)."""
        if not isinstance(self.activation, nn.Identity):
            raise BadInput(f"an adapter with {type(self.activation).__name__} is not linear and cannot be merged")
        matrix = torch.eye(self.up.out_features, device=self.up.weight.device, dtype=self.up.weight.dtype)
        matrix = matrix + self.scale * self.up.weight @ self.down.weight
        return matrix, self.scale * (self.up.weight @ self.down.bias + self.up.bias)


def merge_before(weight: Tensor, bias: Tensor, adapter: Adapter) -> tuple[Tensor, Tensor]:
    """Weights of `linear(adapter(x))`: W A, b + W a."""
    matrix, shift = adapter.affine()
    return weight @ matrix, bias + weight @ shift


def merge_after(weight: Tensor, bias: Tensor, adapter: Adapter) -> tuple[Tensor, Tensor]:
    """Weights of `adapter(linear(x))`, Eq. 11 with the biases that it leaves out: A W, A b + a."""
    matrix, shift = adapter.affine()
    return matrix @ weight, matrix @ bias + shift


def check_clips(rows: int, frames: int) -> None:
    """Raises BadInput unless a batch of `rows` frames is whole clips."""
    if rows % frames:
        raise BadInput(f"{rows} frames in the batch are not whole clips of {frames}")


# --- the two halves of a block ---------------------------------------------------------------------------------------


class VideoAttention(nn.Module):
    """Stands in for a block's attention, whose own weights it keeps using; x (b t w, n, d) -> the same."""

    def __init__(self, inner: nn.Module, frames: int, mixing: Mixing, windows: int = 1):
        super().__init__()
        self.inner, self.frames, self.mixing, self.windows = inner, frames, mixing, windows
        self.heads = inner.num_heads
        self.adapters = nn.ModuleDict()
        mixing.check(self.heads, self.out.in_features // self.heads, frames)

    @property
    def into(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Weight (3 d, d) and bias (3 d) of the joint projection to Q, K, V, whatever the library calls them."""
        inner = self.inner
        named = isinstance(inner, nn.MultiheadAttention)
        return (inner.in_proj_weight, inner.in_proj_bias) if named else (inner.qkv.weight, inner.qkv.bias)

    @property
    def out(self) -> nn.Linear:
        return self.inner.out_proj if isinstance(self.inner, nn.MultiheadAttention) else self.inner.proj

    def project(self, x: Tensor) -> Tensor:
        """Q, K, V of all tokens, (b t w, n, 3 d), each through its own adapter where there is one (Eq. 3)."""
        weight, bias = self.into
        if "qkv" in self.adapters:
            x = self.adapters["qkv"](x)
        own = [part for part in "qkv" if part in self.adapters]
        if not own:
            return F.linear(x, weight, bias)
        sources = [self.adapters[part](x) if part in own else x for part in "qkv"]
        return torch.cat(
            [F.linear(s, w, b) for s, w, b in zip(sources, weight.chunk(3), bias.chunk(3), strict=True)], -1
        )

    def attend(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Eq. 7-9: project, let heads read other frames, attend within what was read, project back."""
        rows, n, d = x.shape
        check_clips(rows // self.windows, self.frames)
        grid = (-1, self.frames, self.windows, n)
        x = self.mixing.inputs(x.view(*grid, d)).view(rows, n, d)
        qkv = self.mixing(self.project(x).view(*grid, 3, self.heads, d // self.heads))
        q, k, v = qkv.view(rows, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (b t w, h, n, c)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(rows, n, d)
        x = self.out(x)
        return self.adapters["o"](x) if "o" in self.adapters else x

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor | tuple[Tensor, None]:
        """Called as the replaced module was: by open_clip (q, k, v, ...), timm's ViT (x, ...) or Swin (x, mask)."""
        if isinstance(self.inner, nn.MultiheadAttention):
            return self.attend(x), None
        if not hasattr(self.inner, "relative_position_bias_table"):
            return self.attend(x, kwargs.get("attn_mask"))
        bias, mask = self.inner._get_rel_pos_bias(), kwargs.get("mask")
        if mask is not None:  # (w, n, n), repeated for every frame
            bias = (bias + mask[:, None]).repeat(len(x) // len(mask), 1, 1, 1)
        return self.attend(x, bias)


class VideoMlp(nn.Module):
    """Stands in for a block's MLP: adapter, MLP, adapter; x (b t, n, d) -> the same."""

    def __init__(self, inner: nn.Module, frames: int, mixing: Mixing):
        super().__init__()
        self.inner, self.frames, self.mixing = inner, frames, mixing
        self.adapters = nn.ModuleDict()

    @property
    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        inner = self.inner
        return (inner.c_fc, inner.c_proj) if hasattr(inner, "c_fc") else (inner.fc1, inner.fc2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixing.inputs(x.unflatten(0, (-1, self.frames))).flatten(0, 1)
        if "up" in self.adapters:
            x = self.adapters["up"](x)
        x = self.inner(x)
        return self.adapters["down"](x) if "down" in self.adapters else x


class TemporalEmbedding(nn.Module):
    """Adds a zero-initialised (1, t, d) to all tokens of a frame before the first norm; not in the text."""

    def __init__(self, inner: nn.Module, frames: int, width: int):
        super().__init__()
        self.inner, self.embedding = inner, nn.Parameter(torch.zeros(1, frames, width))

    def forward(self, x: Tensor) -> Tensor:
        frames = self.embedding.shape[1]
        check_clips(len(x), frames)
        return self.inner((x.unflatten(0, (-1, frames)) + self.embedding[:, :, None]).flatten(0, 1))


# --- attaching, detaching, merging -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adaptation:
    """What `attach` builds. places: which projections get an adapter; `adapter(width, bottleneck)` makes one."""

    frames: int
    mixing: Mixing = STDHA
    places: tuple[str, ...] = FOUR
    ratio: float = 0.25
    adapter: Callable[[int, int], nn.Module] = Adapter
    temporal_embedding: bool = True


def blocks(backbone: nn.Module) -> list[nn.Module]:
    """The transformer blocks of an open_clip ViT, a timm ViT or a timm Swin, in order."""
    if hasattr(backbone, "transformer"):
        return list(backbone.transformer.resblocks)
    if hasattr(backbone, "layers"):
        return [block for stage in backbone.layers for block in stage.blocks]
    if hasattr(backbone, "blocks"):
        return list(backbone.blocks)
    raise BadInput(f"{type(backbone).__name__} has no transformer blocks that are known here (open_clip, timm, Swin)")


def attach(backbone: nn.Module, settings: Adaptation, mixings: list[Mixing] | None = None) -> nn.Module:
    """Changes `backbone` in place so that it takes (b t, 3, h, w) and mixes each t frames; returns it.

    `mixings` gives one per block where they differ (Swin's stages, Table 11). All checks come before any change.
    """
    places = settings.places
    unknown = [place for place in places if place not in PLACES]
    if unknown or ("qkv" in places and {"q", "k", "v"} & set(places)):
        raise BadInput(f"adapter places {places}: choose of {PLACES}, and either 'qkv' or its three parts")
    if any(isinstance(block.attn, VideoAttention) for block in blocks(backbone)):
        raise BadInput("the backbone is attached already: detach it first")
    mixings = mixings or [settings.mixing] * len(blocks(backbone))
    made = []
    for block, mixing in zip(blocks(backbone), mixings, strict=True):
        windows = 1
        if hasattr(block, "window_size"):
            windows = (block.input_resolution[0] // block.window_size[0]) * (
                block.input_resolution[1] // block.window_size[1]
            )
        attention = VideoAttention(block.attn, settings.frames, mixing, windows)
        mlp = VideoMlp(block.mlp, settings.frames, mixing)
        width = attention.out.in_features
        for place in places:
            owner = mlp if place in ("up", "down") else attention
            owner.adapters[place] = settings.adapter(width, max(round(settings.ratio * width), 1))
        made.append((block, attention, mlp))
    for block, attention, mlp in made:
        block.attn, block.mlp = attention, mlp
    norm = _first_norm(backbone)
    if settings.temporal_embedding and norm:
        setattr(backbone, norm, TemporalEmbedding(getattr(backbone, norm), settings.frames, width))
    return backbone


def _first_norm(backbone: nn.Module) -> str | None:
    return next((name for name in ("ln_pre", "norm_pre") if hasattr(backbone, name)), None)


def detach(backbone: nn.Module) -> nn.Module:
    """Undoes `attach` exactly; what was trained in the attached parts is dropped."""
    for block in blocks(backbone):
        block.attn, block.mlp = block.attn.inner, block.mlp.inner
    norm = _first_norm(backbone)
    if norm and isinstance(getattr(backbone, norm), TemporalEmbedding):
        setattr(backbone, norm, getattr(backbone, norm).inner)
    return backbone


@torch.no_grad()
def merge(backbone: nn.Module) -> nn.Module:
    """A copy of an attached backbone in which every adapter is multiplied into its neighbour (Eq. 11).

    Same parameters as the plain ViT, plus the temporal embedding (t d numbers), which is no weight of a projection.
    """
    backbone = copy.deepcopy(backbone)
    for block in blocks(backbone):
        attention, mlp = block.attn, block.mlp
        weight, bias = attention.into
        thirds = zip("qkv", weight.chunk(3), bias.chunk(3), strict=True)
        for part, rows, shift in [("qkv", weight, bias), *thirds]:  # views: what is copied into them stays
            if part in attention.adapters:
                new = merge_before(rows, shift, attention.adapters[part])
                rows.copy_(new[0]), shift.copy_(new[1])
        for adapters, place, linear, how in (
            (attention.adapters, "o", attention.out, merge_after),
            (mlp.adapters, "up", mlp.linears[0], merge_before),
            (mlp.adapters, "down", mlp.linears[1], merge_after),
        ):
            if place in adapters:
                new = how(linear.weight, linear.bias, adapters[place])
                linear.weight.copy_(new[0]), linear.bias.copy_(new[1])
        attention.adapters, mlp.adapters = nn.ModuleDict(), nn.ModuleDict()
    return backbone

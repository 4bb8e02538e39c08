"""ZeroI2V: zero-cost adaptation of an image transformer to video (Li, Zhu, Wang; ECCV 2024).

Two ideas. Some attention heads read the keys and values of *another frame* (`stdha`, Sec. 3.2): no parameter, no
computation. And linear adapters around every projection (`adapters`, Sec. 3.3) are multiplied into the frozen weights
after training (Eq. 11): what is left is a plain ViT whose heads look sideways in time.

    x -> LN -> [adapter q k v] -> project -> STDHA -> attention -> project -> [adapter o] -> + x
      -> LN -> [adapter up]    -> MLP                                      -> [adapter down] -> + x

`attach` does this to the blocks of an open_clip ViT, a timm ViT or a timm Swin, `detach` undoes it, `merge` multiplies
the adapters in. Defaults are the released code's; the text's choices, where it makes others, are settings.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head, d = h c width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.zeroi2v.adapters import Adapter, merge_after, merge_before
from minilib.papers.zeroi2v.stdha import STDHA

PLACES = ("qkv", "q", "k", "v", "o", "up", "down")
DEFAULT = STDHA()
FOUR, SIX = ("qkv", "o", "up", "down"), ("q", "k", "v", "o", "up", "down")


def check_clips(rows: int, frames: int) -> None:
    """Raises BadInput unless a batch of `rows` frames is whole clips."""
    if rows % frames:
        raise BadInput(f"{rows} frames in the batch are not whole clips of {frames}")


# --- the two halves of a block ---------------------------------------------------------------------------------------


class VideoAttention(nn.Module):
    """Stands in for a block's attention, whose own weights it keeps using; x (b t w, n, d) -> the same."""

    def __init__(self, inner: nn.Module, frames: int, mixing: STDHA, windows: int = 1):
        super().__init__()
        self.inner, self.frames, self.mixing, self.windows = inner, frames, mixing, windows
        self.heads = inner.num_heads
        self.adapters = nn.ModuleDict()
        mixing.check(self.heads, frames)

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

    def mixed(self, x: Tensor) -> Tensor:
        """Q, K and V as the heads read them: (3, b t w, h, n, c)."""
        rows, n, d = x.shape
        check_clips(rows // self.windows, self.frames)
        qkv = self.project(x).view(-1, self.frames, self.windows, n, 3, self.heads, d // self.heads)
        return self.mixing(qkv).view(rows, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    def attend(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Eq. 7-9: project, let heads read other frames, attend within what was read, project back."""
        q, k, v = self.mixed(x)
        return self.project_back(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))

    def project_back(self, heads: Tensor) -> Tensor:
        """What the heads found, (b t w, h, n, c), through the last projection and its adapter: (b t w, n, d)."""
        x = self.out(heads.transpose(1, 2).flatten(2))
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

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.adapters = inner, nn.ModuleDict()

    @property
    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        inner = self.inner
        return (inner.c_fc, inner.c_proj) if hasattr(inner, "c_fc") else (inner.fc1, inner.fc2)

    def forward(self, x: Tensor) -> Tensor:
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
    mixing: STDHA = DEFAULT
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


def windows(block: nn.Module) -> int:
    """How many windows Swin's block cuts a frame into; 1 for a ViT's."""
    if not hasattr(block, "window_size"):
        return 1
    return (block.input_resolution[0] // block.window_size[0]) * (block.input_resolution[1] // block.window_size[1])


def attach(backbone: nn.Module, settings: Adaptation, mixings: list[STDHA] | None = None) -> nn.Module:
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
        attention = VideoAttention(block.attn, settings.frames, mixing, windows(block))
        mlp = VideoMlp(block.mlp)
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
        thirds = zip("qkv", weight.chunk(3), bias.chunk(3), strict=True)  # views: what is copied into them stays
        targets = [
            *[(attention.adapters, *third, merge_before) for third in [("qkv", weight, bias), *thirds]],
            (attention.adapters, "o", attention.out.weight, attention.out.bias, merge_after),
            (mlp.adapters, "up", mlp.linears[0].weight, mlp.linears[0].bias, merge_before),
            (mlp.adapters, "down", mlp.linears[1].weight, mlp.linears[1].bias, merge_after),
        ]
        for adapters, place, weight, bias, merged in targets:
            if place in adapters:
                new_weight, new_bias = merged(weight, bias, adapters[place])
                weight.copy_(new_weight)
                bias.copy_(new_bias)
        attention.adapters, mlp.adapters = nn.ModuleDict(), nn.ModuleDict()
    return backbone

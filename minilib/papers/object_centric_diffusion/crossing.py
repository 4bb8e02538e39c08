"""From how many keys on merging pays, and what a step costs on Stable Diffusion's shapes.

At the small model's 2,048 keys merging half of them for one frame's queries costs more than it saves, beside fused
attention; so its quality is judged there, and its speed here. The matching is counted in.

Axes: n queries of a frame, m keys of a video, d channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor

from minilib.models.frame_attention import Now, attached, dense
from minilib.models.token_merging import token_merging
from minilib.papers.object_centric_diffusion.merging import MergedKeys, MergingSettings
from minilib.study.speed import Rounds, rounds_of

SHAPES = (  # keys, width, queries of a frame; the last are of Stable Diffusion's widest level
    (512, 64, 256),
    (2048, 64, 256),
    (2048, 128, 1024),
    (8192, 128, 1024),
    (8192, 320, 4096),
)


def attention_rounds(device: str, rounds: int, shapes: tuple[tuple[int, int, int], ...] = SHAPES) -> dict[str, Rounds]:
    """One frame's queries among the keys of a video: fused, with the map stored, and fused with half of the keys
    merged, matching and all. Names are "<way>_<keys>_<width>_<queries>"."""
    calls = {}
    for keys, width, queries in shapes:
        tokens, query = torch.randn(1, keys, width, device=device), torch.randn(1, queries, width, device=device)
        for way in (fused, stored, merged):
            calls[f"{way.__name__}_{named(keys, width, queries)}"] = Attend(way, query, tokens)
    return {"attention": rounds_of(calls, rounds)}


def named(keys: int, width: int, queries: int) -> str:
    """A shape in the names of rows."""
    return f"{keys}_{width}_{queries}"


@dataclass(frozen=True)
class Attend:
    """One way of attention for queries (1, n, d) and tokens (1, m, d) of a video of two frames."""

    way: Callable[[Tensor, Tensor], Tensor]
    query: Tensor
    tokens: Tensor

    @torch.no_grad()
    def __call__(self) -> Tensor:
        return self.way(self.query, self.tokens)


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (8, -1)).transpose(1, 2)


def fused(query: Tensor, tokens: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(heads(query), heads(tokens), heads(tokens))


def stored(query: Tensor, tokens: Tensor) -> Tensor:
    weights = (heads(query) @ heads(tokens).mT * (query.shape[-1] // 8) ** -0.5).softmax(-1)
    return weights.half().to(weights) @ heads(tokens)


def merged(query: Tensor, tokens: Tensor) -> Tensor:
    side = int((tokens.shape[1] // 2) ** 0.5)
    plan = token_merging(tokens, (2, side, side), (2, 2, 2), tokens.shape[1] // 2, torch.Generator().manual_seed(0))
    return fused(query, plan.merge(tokens))


def stack() -> UNet2DConditionModel:
    """The upper two levels of SD-1.5's UNet with one block each, random weights: its widths, heads and attention."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = UNet2DConditionModel(
            block_out_channels=(320, 640),
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            layers_per_block=1,
            cross_attention_dim=768,
            attention_head_dim=8,
        )
    return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class StackStep:
    """One evaluation on 8 frames of side x side cells that all look at all, with merged keys or without."""

    net: UNet2DConditionModel
    settings: MergingSettings | None
    side: int = 32

    @torch.no_grad()
    def __call__(self) -> Tensor:
        at = Now(0, (self.side, self.side))
        reduce = None if self.settings is None else MergedKeys(self.settings, at)
        inputs = torch.zeros(8, 4, self.side, self.side), 0, torch.zeros(8, 77, 768)
        with attached(self.net, 8, dense, at, reduce=reduce):
            return self.net(*(x.to(self.net.device) if isinstance(x, Tensor) else x for x in inputs)).sample


def stack_rounds(device: str, rounds: int, side: int = 32) -> dict[str, Rounds]:
    """A step on SD-1.5's shapes: all keys, and merged."""
    net = stack().to(device)
    kinds = {"all_keys": None, "merged": MergingSettings()}
    return {"step": rounds_of({name: StackStep(net, each, side) for name, each in kinds.items()}, rounds)}

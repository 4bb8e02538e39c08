"""What ZeroI2V's ablations train in place of linear adapters (Table 3).

A *strategy* attaches something to an image model and returns what trains beside the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from minilib.errors import BadInput
from minilib.papers.zeroi2v.adapters import Adapter
from minilib.papers.zeroi2v.method import Adaptation, VideoAttention, attach, blocks, new_parameters
from minilib.papers.zeroi2v.operators import ShiftedClsToken

# --- what is added ----------------------------------------------------------------------------------------------------


class PlainAdapter(Adapter):
    """An adapter as the text has it: no scale and no dropout."""

    def __init__(self, width: int, bottleneck: int):
        super().__init__(width, bottleneck, scale=1.0, dropout=0.0)


class GeluAdapter(PlainAdapter):
    """x + U gelu(D x), which cannot be merged."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.up(F.gelu(self.down(x)))

    def affine(self) -> tuple[Tensor, Tensor]:
        raise BadInput("an adapter with GELU is not linear and cannot be merged")


class LowRank(nn.Module):
    """LoRA (Eq. 10) on the given rows of a weight (o, i): W + U D for each block of rows; no bias.

    As a parametrisation, so torch merges it (`remove_parametrizations`) and everything reads the summed weight.
    """

    def __init__(self, rows: list[slice], width: int, rank: int):
        super().__init__()
        self.rows = rows
        self.down = nn.ParameterList(nn.Parameter(torch.empty(rank, width)) for _ in rows)
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(row.stop - row.start, rank)) for row in rows)
        for down in self.down:
            nn.init.kaiming_uniform_(down, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        weight = weight.clone()
        for row, up, down in zip(self.rows, self.up, self.down, strict=True):
            weight[row] = weight[row] + up @ down
        return weight


class SharedLowRank(nn.Module):
    """One U D added to Q, K and V alike."""

    def __init__(self, width: int, rank: int):
        super().__init__()
        self.one = LowRank([slice(0, width)], width, rank)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.one.up[0] @ self.one.down[0]).repeat(3, 1)


class Slices(nn.Module):
    """A free difference on some rows (dim 0) or columns (dim 1) of a weight: for 'only tuning temporal head'."""

    def __init__(self, dim: int, places: Tensor, shape: torch.Size):
        super().__init__()
        self.dim, self.delta = dim, nn.Parameter(torch.zeros(shape))
        self.register_buffer("places", places, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        return weight.index_add(self.dim, self.places, self.delta)


def _into(attention: VideoAttention) -> tuple[nn.Module, str]:
    named = isinstance(attention.inner, nn.MultiheadAttention)
    return (attention.inner, "in_proj_weight") if named else (attention.inner.qkv, "weight")


def add_lora(backbone: nn.Module, places: tuple[str, ...], rank: int) -> nn.Module:
    """LoRA of `rank` on the weights of an attached backbone: places of q, k, v, o, up, down, and 'qkv' for one shared
    by the three (one D, one U that all three add), which the counts of Table 3 force for its 17 and 25 M rows."""
    for block in blocks(backbone):
        attention, mlp = block.attn, block.mlp
        owner, name = _into(attention)
        width = attention.out.in_features
        rows = [slice(i * width, (i + 1) * width) for i, part in enumerate("qkv") if part in places]
        if rows:
            parametrize.register_parametrization(owner, name, LowRank(rows, width, rank))
        if "qkv" in places:
            parametrize.register_parametrization(owner, name, SharedLowRank(width, rank))
        for place, linear in (("o", attention.out), ("up", mlp.linears[0]), ("down", mlp.linears[1])):
            if place in places:
                whole = [slice(0, linear.out_features)]
                parametrize.register_parametrization(linear, "weight", LowRank(whole, linear.in_features, rank))
    return backbone


def tune_temporal_heads(backbone: nn.Module) -> nn.Module:
    """Frees the rows of Q, K, V and the columns of O that belong to the temporal heads of an attached backbone.
    Raises BadInput where it has none."""
    for block in blocks(backbone):
        attention = block.attn
        owner, name = _into(attention)
        width, heads = attention.out.in_features, len(attention.mixing.offsets)
        if not heads:
            raise BadInput("tuning temporal heads: the backbone has none")
        columns = torch.arange(heads * width // attention.heads)  # temporal heads come first
        rows = torch.cat([columns + i * width for i in range(3)])
        parametrize.register_parametrization(owner, name, Slices(0, rows, torch.Size((len(rows), width))))
        columns_of_o = Slices(1, columns, torch.Size((width, len(columns))))
        parametrize.register_parametrization(attention.out, "weight", columns_of_o)
    return backbone


# --- strategies -------------------------------------------------------------------------------------------------------


def trained(visual: nn.Module) -> list[nn.Parameter]:
    """What trains beside the classifier, as in the released code: what was added, and `ln_post`."""
    return [*new_parameters(visual), *visual.ln_post.parameters()]


@dataclass(frozen=True)
class Adapted:
    """What is attached, with everything new trained: ZeroI2V, or without temporal heads its image twin."""

    settings: Adaptation

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        attach(visual, self.settings)
        return trained(visual)


@dataclass(frozen=True)
class ClsTokenShifted(Adapted):
    """The class token shifted before every MHSA and MLP."""

    divisor: int = 12

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        attach(visual, self.settings)
        for block in blocks(visual):
            block.ln_1 = ShiftedClsToken(block.ln_1, self.settings.frames, self.divisor)
            block.ln_2 = ShiftedClsToken(block.ln_2, self.settings.frames, self.divisor)
        return trained(visual)


@dataclass(frozen=True)
class Lora(Adapted):
    """Low-rank differences (Eq. 10) at `lora_places`."""

    lora_places: tuple[str, ...] = ()
    rank: int = 24

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        add_lora(attach(visual, self.settings), self.lora_places, self.rank)
        return trained(visual)


class OnlyTemporalHeads(Adapted):
    """Only the slices of Q, K, V, O that belong to temporal heads."""

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        tune_temporal_heads(attach(visual, self.settings))
        return trained(visual)


class FullFineTuning(Adapted):
    """Every parameter of the image model."""

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        attach(visual, self.settings)
        return list(visual.parameters())


class LinearProbe(Adapted):
    """Nothing but the linear classifier on the frames' mean."""

    def __call__(self, visual: nn.Module) -> list[nn.Parameter]:
        attach(visual, self.settings)
        return []

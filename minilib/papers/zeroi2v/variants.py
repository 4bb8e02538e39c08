"""What ZeroI2V's ablations need beside the method: other zero-cost operators (Table 1a), other strategies (Table 3).

Everything here is passed into the method's own `attach` or applied to a backbone; nothing in `zeroi2v.py` knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from minilib.errors import BadInput
from minilib.papers.zeroi2v.heads import Border, Mixing, Move, from_frame
from minilib.papers.zeroi2v.method import VideoAttention, blocks

# --- Table 1(a): zero-cost operators ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChannelShift(Mixing):
    """Temporal channel shift (Table 1a): the first c // divisor channels of *every* head read the frame before, the
    next as many the frame after. R_c = 2 / divisor, up to the division's remainder."""

    divisor: int = 12
    parts: Literal["kv", "qkv"] = "kv"
    border: Border = "own"

    def moves(self, heads: int, channels: int) -> list[Move]:
        fold = max(channels // self.divisor, 1)
        return [Move(-1, channels=slice(0, fold)), Move(1, channels=slice(fold, 2 * fold))]


@dataclass(frozen=True)
class ClsTokenShift(Mixing):
    """[cls] token shift (Table 1a). The text shifts the token's channels before MHSA and MLP (`before=True`); the
    released code has only a shift of token 0 inside attention, on K and V."""

    divisor: int = 12
    before: bool = True
    parts: Literal["kv", "qkv"] = "kv"
    border: Border = "own"

    def moves(self, heads: int, channels: int) -> list[Move]:
        shift = ChannelShift(self.divisor).moves(heads, channels)
        return [] if self.before else [move._replace(tokens=slice(0, 1)) for move in shift]

    def inputs(self, x: Tensor) -> Tensor:
        if not self.before:
            return x
        fold = max(x.shape[-1] // self.divisor, 1)
        cls = x[..., :1, :]
        back, ahead = (
            from_frame(cls[..., :fold], -1, self.border),
            from_frame(cls[..., fold : 2 * fold], 1, self.border),
        )
        return torch.cat([torch.cat([back, ahead, cls[..., 2 * fold :]], -1), x[..., 1:, :]], -2)


# --- Table 3: other ways to adapt ------------------------------------------------------------------------------------


class LowRank(nn.Module):
    """LoRA (Eq. 10) on the given rows of a weight (o, i): W + sum of U_j D_j over blocks of rows; no bias.

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


class Slices(nn.Module):
    """A free difference on some rows or columns of a weight: for 'only tuning temporal head' (Table 3)."""

    def __init__(self, index: tuple, shape: torch.Size):
        super().__init__()
        self.index, self.delta = index, nn.Parameter(torch.zeros(shape))

    def forward(self, weight: Tensor) -> Tensor:
        weight = weight.clone()
        weight[self.index] = weight[self.index] + self.delta
        return weight


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


class SharedLowRank(nn.Module):
    """One U D added to Q, K and V alike."""

    def __init__(self, width: int, rank: int):
        super().__init__()
        self.one = LowRank([slice(0, width)], width, rank)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.one.up[0] @ self.one.down[0]).repeat(3, 1)


def tune_temporal_heads(backbone: nn.Module) -> nn.Module:
    """Frees the rows of Q, K, V and the columns of O that belong to the temporal heads of an attached backbone."""
    for block in blocks(backbone):
        attention = block.attn
        owner, name = _into(attention)
        width = attention.out.in_features
        channels = width // attention.heads
        heads = [
            h
            for m in attention.mixing.moves(attention.heads, channels)
            for h in range(*m.heads.indices(attention.heads))
        ]
        if not heads:
            raise BadInput("tuning temporal heads: the backbone has none")
        columns = torch.tensor([h * channels + c for h in sorted(set(heads)) for c in range(channels)])
        rows = torch.cat([columns + i * width for i in range(3)])
        shape = torch.Size((len(rows), width))
        parametrize.register_parametrization(owner, name, Slices((rows,), shape))
        shape = torch.Size((width, len(columns)))
        parametrize.register_parametrization(attention.out, "weight", Slices((slice(None), columns), shape))
    return backbone


def new_parameters(backbone: nn.Module) -> list[nn.Parameter]:
    """What a strategy has added to an attached backbone: adapters, low-rank factors, free slices."""
    parts = (parametrize.ParametrizationList, nn.ModuleDict)
    owners = [m for m in backbone.modules() if isinstance(m, parts)]
    found = {id(p): p for m in owners for n, p in m.named_parameters() if not n.endswith("original")}
    return list(found.values())


# --- the authors' checkpoints ----------------------------------------------------------------------------------------

_PLACE = {
    "T_Adapter_in": ("attn", "qkv"),
    "T_Adapter_in_q": ("attn", "q"),
    "T_Adapter_in_k": ("attn", "k"),
    "T_Adapter_in_v": ("attn", "v"),
    "S_Adapter": ("attn", "o"),
    "MLP_Adapter": ("mlp", "up"),
    "MLP_Adapter_out": ("mlp", "down"),
}
_LAYER = {"D_fc1": "down", "D_fc2": "up"}


def released_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released ZeroI2V checkpoint to the names of `VideoClassifier` over an attached open_clip ViT."""
    renamed = {}
    for key, value in state.items():
        parts = key.removeprefix("backbone.").split(".")
        if parts[0] == "cls_head":
            parts = ["head", parts[-1]]
        elif parts[0] == "temporal_embedding":
            parts = ["backbone", "ln_pre", "embedding"]
        elif parts[0] == "ln_pre":
            parts = ["backbone", "ln_pre", "inner", *parts[1:]]
        elif parts[:2] == ["transformer", "resblocks"]:
            block, rest = parts[:3], parts[3:]
            if rest[0] in _PLACE and rest[1] in _LAYER:
                half, place = _PLACE[rest[0]]
                rest = [half, "adapters", place, _LAYER[rest[1]], *rest[2:]]
            elif rest[0] in ("attn", "mlp"):
                rest = [rest[0], "inner", *rest[1:]]
            parts = ["backbone", *block, *rest]
        else:
            parts = ["backbone", *parts]
        renamed[".".join(parts)] = value
    return renamed

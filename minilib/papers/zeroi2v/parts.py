"""What stands in for the parts of an image transformer's block while ZeroI2V is attached to it.

Each holds the part that it stands for as `inner` and keeps using that part's own weights.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head, d = h c width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.zeroi2v.adapters import merge_after, merge_before
from minilib.papers.zeroi2v.stdha import STDHA


def check_clips(rows: int, frames: int) -> None:
    """Raises BadInput unless a batch of `rows` frames is whole clips; while a graph is traced nobody can ask."""
    if not torch.jit.is_tracing() and rows % frames:
        raise BadInput(f"{rows} frames in the batch are not whole clips of {frames}")


class VideoAttention(nn.Module):
    """Stands in for a block's attention, whose own weights it keeps using; x (b t w, n, d) -> the same."""

    def __init__(self, inner: nn.Module, frames: int, mixing: STDHA, windows: int = 1):
        super().__init__()
        self.inner, self.frames, self.mixing, self.windows = inner, frames, mixing, windows
        self.heads, self.training = inner.num_heads, inner.training
        self.adapters = nn.ModuleDict().train(inner.training)
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

    def forward(self, x: Tensor, *same: Tensor, mask: Tensor | None = None, **other) -> Tensor | tuple[Tensor, None]:
        """Called as the replaced module was: by open_clip (q, k, v, ...), timm's ViT (x, ...) or Swin (x, mask)."""
        for name in ("attn_mask", "key_padding_mask", "is_causal"):
            if other.get(name) is not None and other[name] is not False:
                raise BadInput(f"{name}: heads that read other frames know no mask, call the model without it")
        if isinstance(self.inner, nn.MultiheadAttention):
            return self.attend(x), None
        if not hasattr(self.inner, "relative_position_bias_table"):
            return self.attend(x)
        bias = self.inner._get_rel_pos_bias()
        if mask is not None:  # (w, n, n), repeated for every frame
            bias = (bias + mask[:, None]).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        return self.attend(x, bias)


class VideoMlp(nn.Module):
    """Stands in for a block's MLP: adapter, MLP, adapter; x (b t, n, d) -> the same."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.training = inner, inner.training
        self.adapters = nn.ModuleDict().train(inner.training)

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
    """Adds a zero-initialised (1, t, d) to all tokens of a frame before the first norm; not in the text. `like` is a
    weight (.., d) of the blocks that read it."""

    def __init__(self, inner: nn.Module, frames: int, like: Tensor):
        super().__init__()
        self.inner, self.training = inner, inner.training
        self.embedding = nn.Parameter(like.new_zeros(1, frames, like.shape[-1]))

    def forward(self, x: Tensor) -> Tensor:
        frames = self.embedding.shape[1]
        check_clips(x.shape[0], frames)
        return self.inner((x.unflatten(0, (-1, frames)) + self.embedding[:, :, None]).flatten(0, 1))


def neighbours(attention: VideoAttention, mlp: VideoMlp) -> dict[str, tuple]:
    """By place: who holds the adapter, weight and bias of the layer beside it, and how it is multiplied in."""
    weight, bias = attention.into
    biases = bias.chunk(3) if bias is not None else (None,) * 3
    thirds = zip("qkv", weight.chunk(3), biases, strict=True)  # views: what is copied into them stays
    up, down = mlp.linears
    return {
        "qkv": (attention, weight, bias, merge_before),
        **{place: (attention, *third, merge_before) for place, *third in thirds},
        "o": (attention, attention.out.weight, attention.out.bias, merge_after),
        "up": (mlp, up.weight, up.bias, merge_before),
        "down": (mlp, down.weight, down.bias, merge_after),
    }


def under_plain_names(wrapper: nn.Module) -> None:
    """From now on `wrapper` holds its inner module's tensors as its own, so that they go by the library's names."""
    if "inner" not in wrapper._modules:
        return  # they do
    inner = wrapper._modules.pop("inner")
    inner._parameters.update(wrapper._parameters)  # a temporal embedding is one more
    for table in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
        wrapper.__dict__[table] = inner.__dict__[table]
    wrapper.__dict__["inner"] = inner  # beside the tables, not in them

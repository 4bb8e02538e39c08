"""Attention over the frames of a video, for any UNet of diffusers: its self-attention looks at other frames, its maps
can be read and replaced, its keys and values reduced.

Processors are attached for as long as a `with` block lasts; then those that were there come back. Attention is fused
unless a map is asked for.

Axes: b videos (or halves of a guided batch), t frames, n tokens of a frame, s frames that a frame looks at, m keys
after reduction, c heads, d channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from minilib.errors import BadInput

Span = Callable[[int], list[list[int]]]  # frames -> for each of t frames the s frames whose tokens it looks at


def own_frame(frames: int) -> list[list[int]]:
    """Plain self-attention: each frame looks at itself."""
    return [[t] for t in range(frames)]


def first_frame(frames: int) -> list[list[int]]:
    """Text2Video-Zero's: each frame looks at the first."""
    return [[0]] * frames


def sparse(frames: int) -> list[list[int]]:
    """FateZero's: each frame looks at the one before (the first at itself) and at the first."""
    return [[max(t - 1, 0), 0] for t in range(frames)]


def dense(frames: int) -> list[list[int]]:
    """ControlVideo's: each frame looks at all."""
    return [list(range(frames))] * frames


@dataclass
class Now:
    """Where a sampler stands; the attached processors read it. size: rows and columns of the latents that go through
    the UNet; region names what part of the frame they are."""

    time: int = -1
    size: tuple[int, int] = (0, 0)
    region: str = "frame"


class Maps(Protocol):
    """Who reads attention maps and may replace them: of every video of a batch, or with a number `videos` of so many,
    the last ones (1 under guidance: the half with text). The others stay fused."""

    def wants(self, layer: str, cross: bool, queries: int) -> bool:
        """Whether to compute the map of a layer, whose frames have so many queries."""
        ...

    def __call__(self, layer: str, cross: bool, probabilities: Tensor) -> Tensor:
        """The map to use in place of probabilities (b, t, c, n, m)."""
        ...


class Reduction(Protocol):
    """Who makes fewer keys and values of the tokens of s frames."""

    def __call__(self, layer: str, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """(b, s * n, d) to (b, m, d); grid is s frames, rows and columns."""
        ...


class FrameAttention:
    """One layer's processor: self-attention over the frames of `span`, cross-attention frame by frame.

    frames: how many a video has; the batch is whole videos. `reduce` acts on the tokens from which keys and values are
    made: for a mean that is the same as to reduce both, and cheaper. Only what diffusers calls `attn1` and `attn2` is
    meant; layers with a group norm or keys of their own are BadInput when called.
    """

    def __init__(
        self, layer: str, frames: int, span: Span, now: Now, maps: Maps | None = None, reduce: Reduction | None = None
    ):
        self.layer, self.frames, self.now, self.maps, self.reduce = layer, frames, now, maps, reduce
        self.span, self.calls = span(frames), 0
        self.shared = all(seen == self.span[0] for seen in self.span)  # then they share their keys

    def check(self, attn: Attention, hidden_states: Tensor, attention_mask: Tensor | None) -> None:
        """Raises BadInput for a layer, a batch or a mask that this processor would read wrongly."""
        if attn.group_norm is not None or attn.spatial_norm is not None or attn.added_kv_proj_dim is not None:
            raise BadInput(f"{self.layer}: this kind of attention is not one of a transformer block")
        if attention_mask is not None or len(hidden_states) % self.frames:
            raise BadInput(
                f"{self.layer}: a batch of {len(hidden_states)} without masks, whole videos of {self.frames} frames, "
                "is all that it takes"
            )

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        self.check(attn, hidden_states, attention_mask)
        self.calls += 1
        cross = encoder_hidden_states is not None
        hidden = hidden_states.unflatten(0, (-1, self.frames))
        if cross:
            words = encoder_hidden_states.unflatten(0, (-1, self.frames))
            keys, values = attn.to_k(words), attn.to_v(words)
        else:
            keys, values = self.keys_and_values(attn, hidden)
        queries, keys, values = (split(x, attn.heads) for x in (attn.to_q(hidden), keys, values))
        if self.maps is not None and self.maps.wants(self.layer, cross, hidden.shape[2]):
            first = max(len(queries) - getattr(self.maps, "videos", len(queries)), 0)
            weights = (queries[first:] @ keys[first:].mT * attn.scale).softmax(-1)
            out = self.maps(self.layer, cross, weights) @ values[first:]
            if first:
                out = torch.cat([fused(queries[:first], keys[:first], values[:first], attn.scale), out])
        else:
            out = fused(queries, keys, values, attn.scale)
        out = attn.to_out[0](out.transpose(2, 3).flatten(3).flatten(0, 1))
        out = attn.to_out[1](out) / attn.rescale_output_factor
        return out + hidden_states if attn.residual_connection else out

    def keys_and_values(self, attn: Attention, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the frames that each frame (or, where all see the same, every frame) looks at, (b, t or 1, m, c * d)
        for tokens (b, t, n, d)."""
        span = torch.tensor(self.span[:1] if self.shared else self.span, device=hidden.device)
        if self.reduce is None:  # each frame is projected once, however many look at it
            return tuple(x[:, span].flatten(2, 3) for x in (attn.to_k(hidden), attn.to_v(hidden)))
        grid = (span.shape[1], *self.rows_and_columns(hidden.shape[2]))
        tokens = self.reduce(self.layer, hidden[:, span].flatten(2, 3).flatten(0, 1), grid)
        tokens = tokens.unflatten(0, (-1, len(span)))
        return attn.to_k(tokens), attn.to_v(tokens)

    def rows_and_columns(self, tokens: int) -> tuple[int, int]:
        """The layer's own resolution, some power of two below that of the latents."""
        rows, columns = self.now.size
        while rows * columns > tokens:
            rows, columns = -(-rows // 2), -(-columns // 2)
        if rows * columns != tokens:
            raise BadInput(f"{self.layer}: {tokens} tokens are no halving of latents of {self.now.size}")
        return rows, columns


def fused(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Attention without a map: queries (b, t, c, n, d), keys and values (b, t, c, m, d), or of one frame that all
    share, (b, 1, c, m, d)."""
    frames = queries.shape[1]
    if keys.shape[1] < frames:
        folded = queries.transpose(1, 2).flatten(2, 3)
        out = F.scaled_dot_product_attention(folded, keys[:, 0], values[:, 0], scale=scale)
        return out.unflatten(2, (frames, -1)).transpose(1, 2)
    out = F.scaled_dot_product_attention(*(x.flatten(0, 1) for x in (queries, keys, values)), scale=scale)
    return out.unflatten(0, (-1, frames))


def split(x: Tensor, heads: int) -> Tensor:
    """(b, t, n, c * d) to heads (b, t, c, n, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(2, 3)


def layers(unet: nn.Module, kind: str) -> list[str]:
    """Names of a UNet's self-attentions ("attn1") or cross-attentions ("attn2"), without temporal ones."""
    return [name for name in unet.attn_processors if name.endswith(f".{kind}.processor") and "temp" not in name]


@contextmanager
def attached(
    unet: nn.Module,
    frames: int,
    span: Span,
    now: Now | None = None,
    maps: Maps | None = None,
    reduce: Reduction | None = None,
    processor: type[FrameAttention] = FrameAttention,
) -> Iterator[dict[str, FrameAttention]]:
    """While it lasts, self- and cross-attention of a UNet run through `FrameAttention`, which is yielded by layer.

    `maps` reads both kinds, `reduce` acts on self-attention, which is of the class `processor`. Afterwards the
    processors that were there before run again, in case of an error, too.
    """
    before, now = dict(unet.attn_processors), now or Now()
    ours = {name: processor(name, frames, span, now, maps, reduce) for name in layers(unet, "attn1")}
    ours |= {name: FrameAttention(name, frames, own_frame, now, maps) for name in layers(unet, "attn2")}
    unet.set_attn_processor({**before, **ours})
    try:
        yield ours
    finally:
        unet.set_attn_processor(before)


def check_ran(processors: dict[str, FrameAttention], calls: int = 1) -> None:
    """BadInput unless every processor ran at least so often: a pipeline's other switches may have replaced them."""
    silent = [name for name, processor in processors.items() if processor.calls < calls]
    if silent:
        raise BadInput(f"{silent[0]} never ran ({len(silent)} such layers): something else replaced the processors")


@dataclass(frozen=True)
class Pooling:
    """The simple baselines of the appendix's Tables 6.3 and 6.4: keys and values are averages or maxima of `size`
    tokens. pool: `torch.nn.functional.avg_pool2d` or `max_pool2d`. What does not fill a window is left out."""

    pool: Callable[[Tensor, tuple[int, int]], Tensor]
    size: tuple[int, int]

    def __call__(self, layer: str, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        maps = tokens.unflatten(1, grid).flatten(0, 1).movedim(-1, 1)
        size = tuple(min(part, side) for part, side in zip(self.size, grid[1:], strict=True))
        pooled = self.pool(maps, size).flatten(2).mT
        return pooled.unflatten(0, (-1, grid[0])).flatten(1, 2)

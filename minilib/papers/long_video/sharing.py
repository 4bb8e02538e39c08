"""What a chunk is given of those before it: tokens to look at, attention maps, motion features (thesis Sec. 7.1.2).

The thesis plans "to share information among chunks in the form of motion features and attention maps" and says no more.
All three are read off the UNet while a chunk is generated and used at the same step of a later one; nothing is trained.

Axes: b videos (or halves of a guided batch), t frames of a chunk, n tokens, m keys, c heads, d channels, h and w cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.frame_attention import FrameAttention, Now

Seen = Callable[[int, int], list[tuple[int, int]]]  # number of a chunk, its frames -> earlier (chunk, frame)
LARGEST = 64  # tokens of a frame whose maps are kept; FateZero keeps those of up to 32 x 32 of 64 x 64


def nothing(chunk: int, frames: int) -> list[tuple[int, int]]:
    """Each chunk by itself."""
    return []


def dense_memory(chunk: int, frames: int) -> list[tuple[int, int]]:
    """All frames of the first chunk and of the one before."""
    return [(earlier, t) for earlier in sorted({0, chunk - 1}) for t in range(frames)] if chunk else []


def sparse_memory(chunk: int, frames: int) -> list[tuple[int, int]]:
    """The very first frame and the last one, as FateZero's frames look at the first and the one before."""
    return sorted({(0, 0), (chunk - 1, frames - 1)}) if chunk else []


def own_memory(chunk: int, frames: int) -> list[tuple[int, int]]:
    """Its own frames once more: attention to everything twice is attention to everything once. A negative control."""
    return [(chunk, t) for t in range(frames)]


@dataclass
class Memory(Now):
    """Where the sampler stands, and what chunks left behind: (chunk, time, layer) -> tensor. held: how many frames of
    the chunk before are generated along; they are not kept twice."""

    chunk: int = 0
    seen: Seen = nothing
    held: int = 0
    kept: dict[tuple[int, int, str], Tensor] = field(default_factory=dict)

    def keep(self, layer: str, value: Tensor) -> None:
        self.kept[self.chunk, self.time, layer] = value

    def of(self, chunk: int, layer: str) -> Tensor:
        """What that chunk left at this time; BadInput where it was at other times than this one."""
        try:
            return self.kept[chunk, self.time, layer]
        except KeyError:
            raise BadInput(f"{layer}: chunk {chunk} left nothing at time {self.time}: same steps for all") from None

    def forget(self, before: int) -> None:
        """All that lies between the first chunk and this one."""
        for place in [place for place in self.kept if 0 < place[0] < before]:
            del self.kept[place]


class ChunkAttention(FrameAttention):
    """Self-attention of a chunk's frames to one another and to the earlier frames that its memory names."""

    now: Memory

    def keys_and_values(self, attn: Attention, hidden: Tensor) -> tuple[Tensor, Tensor]:
        own, memory = super().keys_and_values(attn, hidden), self.now
        if memory.seen is nothing:
            return own
        memory.keep(self.layer, hidden[:, memory.held :])
        seen = memory.seen(memory.chunk, self.frames - memory.held)
        if not seen:
            return own
        earlier = torch.stack([memory.of(chunk, self.layer)[:, t] for chunk, t in seen], 1).flatten(1, 2)[:, None]
        return tuple(
            torch.cat([x, to(earlier).expand(-1, x.shape[1], -1, -1)], 2)
            for x, to in zip(own, (attn.to_k, attn.to_v), strict=True)
        )


@dataclass(frozen=True)
class SharedMaps:
    """Self-attention maps are mixed with those that the chunk before had at this step, frame by frame. strength: the
    part of the earlier ones, which have been mixed themselves. Only of frames of at most LARGEST tokens."""

    memory: Memory
    strength: float

    def wants(self, layer: str, cross: bool, queries: int) -> bool:
        return not cross and queries <= LARGEST

    def __call__(self, layer: str, cross: bool, probabilities: Tensor) -> Tensor:
        memory = self.memory
        if memory.chunk:
            before = memory.of(memory.chunk - 1, f"{layer} map")
            probabilities = self.strength * before + (1 - self.strength) * probabilities
        memory.keep(f"{layer} map", probabilities)
        return probabilities


@contextmanager
def shared_motion(block: nn.Module, frames: int, memory: Memory, strength: float) -> Iterator[None]:
    """While it lasts, the mean feature of each frame differs from that of its chunk's first frame as it did in the
    chunk before, or goes that way by `strength`. block: of the UNet, (b * t, d, h, w).

    Yatim et al. (the thesis' [226]) call these differences of spatial means the motion features and approach them by
    gradients through the UNet in each step; here the mean is set, which costs nothing.
    """

    def moved(module: nn.Module, inputs: tuple, out: Tensor) -> Tensor:
        means = out.unflatten(0, (-1, frames)).mean((-2, -1))  # (b, t, d)
        change = means - means[:, :1]
        if memory.chunk:
            wanted = memory.of(memory.chunk - 1, "motion")
            out = out + strength * (wanted - change).flatten(0, 1)[..., None, None]
            change = (1 - strength) * change + strength * wanted
        memory.keep("motion", change)
        return out

    handle = block.register_forward_hook(moved)
    try:
        yield
    finally:
        handle.remove()

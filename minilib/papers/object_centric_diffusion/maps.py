"""Attention maps of the inversion, kept and used again (FateZero, Qi et al. 2023, as thesis chapter 6 builds on it).

Inversion keeps every map of up to so many queries; generation blends them into its own. That storage is what the
thesis' optimisations shrink: fewer steps, fewer keys, smaller crops. The released code has more switches, which its
settings leave off or which belong to single examples: weights for words, blending of latents, plain self-attention in
narrow layers.

Axes: b halves of a guided batch (without text, with text), t frames, c heads, n queries, m keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.models.frame_attention import Now

LARGEST = 1024  # queries of a map that is kept, of a frame: 32 x 32 in Stable Diffusion


@dataclass
class Kept:
    """Maps as they come, by time, region and layer: (t, c, n, m) in `dtype`. Give it to `attached` while inverting.

    None are kept of whole frames that are run for the sake of their background, where nothing is edited.
    """

    videos: ClassVar[int] = 1
    now: Now
    largest: int = LARGEST
    dtype: torch.dtype | None = None
    maps: dict[tuple[int, str, str], Tensor] = field(default_factory=dict)

    def wants(self, layer: str, cross: bool, queries: int) -> bool:
        return queries <= self.largest and self.now.region != "background"

    def __call__(self, layer: str, cross: bool, probabilities: Tensor) -> Tensor:
        kept = probabilities[-1]
        self.maps[self.now.time, self.now.region, layer] = kept if self.dtype is None else kept.to(self.dtype)
        return probabilities

    @property
    def bytes(self) -> int:
        """What they take."""
        return sum(x.numel() * x.element_size() for x in self.maps.values())


@dataclass(frozen=True)
class Blending:
    """How much of the source's attention an edit keeps.

    cross, own: the parts of the steps, from the first on, in which cross-attention and self-attention are replaced.
    threshold: above which part of a frame's largest attention to the changed words a place counts as edited; there
    self-attention is the edit's own (2 for nowhere: all of it is the source's). coarse: the maps that tell are those
    whose sides are the latents' divided by this; 4 in Stable Diffusion, where that is 16 x 16.
    """

    cross: float = 0.8
    own: float = 0.8
    threshold: float = 0.3
    coarse: int = 1


BLENDING = Blending()  # FateZero's
# For edits that keep every outline, such as colours: with FateZero's the small model draws objects upright and in
# their usual size. On two large and two small validation clips FateZero's left 0.65 and 0.61 of no edit's error, this
# 0.32 and 0.44. With cross-attention for half of the steps it was 0.32 and 0.45, but 0.56, not 0.12, on a third large.
OUTLINES = Blending(cross=0.2, own=1.0, threshold=2.0)


class Edited:
    """Puts kept maps into the generation's half with text. Give it to `attached` while generating.

    mapper (n, m) and taken (m,): as `prompts.replacing` or `refining` made them; words: the positions of the changed
    words in the source prompt; times: the sampler's.
    """

    videos = 1

    def __init__(
        self, kept: Kept, blending: Blending, mapper: Tensor, taken: Tensor, words: list[int], times: list[int]
    ):
        self.kept, self.blending, self.mapper, self.taken, self.words = kept, blending, mapper, taken, words
        self.progress = {time: i / len(times) for i, time in enumerate(times)}
        self.masks: dict[tuple[int, str], Tensor] = {}

    @property
    def now(self) -> Now:
        return self.kept.now

    def wants(self, layer: str, cross: bool, queries: int) -> bool:
        share = self.blending.cross if cross else self.blending.own
        there = (self.now.time, self.now.region, layer) in self.kept.maps
        return there and self.progress[self.now.time] < share

    def __call__(self, layer: str, cross: bool, probabilities: Tensor) -> Tensor:
        source = self.kept.maps[self.now.time, self.now.region, layer].to(probabilities)
        own = probabilities[-1]
        if cross:
            edit = torch.where(self.taken.to(own.device), source @ self.mapper.to(own), own)
        else:
            edit = torch.where(self.edited_places(own.shape[2])[:, None, :, None], own, source)
        return torch.cat([probabilities[:-1], edit[None]])

    def edited_places(self, queries: int) -> Tensor:
        """Where the source's cross-attention to the changed words is strong, bool (t, n), at a layer's resolution."""
        key = (self.now.time, self.now.region)
        if key not in self.masks:
            grid = self.grid(self.blending.coarse)
            self.masks[key] = attended(coarse_maps(self.kept, *key, grid), self.words, grid, self.blending)
        mask, factor = self.masks[key], 1
        while self.grid(factor)[0] * self.grid(factor)[1] > queries:
            factor *= 2
        return F.interpolate(mask[:, None].float(), self.grid(factor), mode="nearest")[:, 0].flatten(1) > 0

    def grid(self, factor: int) -> tuple[int, int]:
        return -(-self.now.size[0] // factor), -(-self.now.size[1] // factor)


def coarse_maps(kept: Kept, time: int, region: str, grid: tuple[int, int]) -> Tensor:
    """All cross-attention maps kept at a time for a region, of layers with such a grid of queries: (l, t, c, n, m)."""
    found = [
        value.float()
        for (at, where, layer), value in kept.maps.items()
        if (at, where) == (time, region) and ".attn2." in layer and value.shape[2] == grid[0] * grid[1]
    ]
    return torch.stack(found)


def attended(maps: Tensor, words: list[int], grid: tuple[int, int], blending: Blending) -> Tensor:
    """The mask of FateZero from cross-attention maps (l, t, c, n, m): averaged over layers, heads and words, widened by
    a maximum over 3 x 3, divided by each frame's largest value, cut off at the threshold. bool (t, *grid)."""
    strength = maps.mean((0, 2))[..., words].mean(-1).unflatten(1, grid)
    strength = F.max_pool2d(strength[:, None], 3, 1, 1)[:, 0]
    return strength / strength.amax((1, 2), keepdim=True) > blending.threshold

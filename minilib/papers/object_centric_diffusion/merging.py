"""Merged keys and values for every self-attention of an editing pipeline (thesis Sec. 6.2.1, 6.3.2 and 6.6.1).

Axes: b videos, t frames, n tokens of a frame, d channels, h and w cells of the latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.errors import BadInput
from minilib.models.frame_attention import Now
from minilib.models.token_merging import Merging, token_merging

Plans = dict[tuple[int, str, str], Merging]


@dataclass(frozen=True)
class MergingSettings:
    """What is kept, and how it is chosen.

    keep: the part of all keys that is left; 1/32 gives the storage of the memory Table 6.5, while the text says 1/16.
    caps: {side of a frame's tokens, as a part of the latents': tokens a frame that are left at least}; 16 at a quarter
    and 4 at an eighth are the thesis' 16 x 16 and 8 x 8. window: frames among which a source looks for its destination
    (s_t; None for all, the global search). cell: frames, rows and columns from which one destination is drawn.
    resample: whether each frame (or layer of cells in time) draws places of its own, or all have the same.

    The thesis gives no s_t: 2 is the smallest window that merges over time and divides its clips of 8 frames. Nor does
    it give the cells: at 1/32, cells of 2 x 2 would make more destinations than tokens are kept; of 8 x 8, half of what
    is kept are destinations and the other half is unmerged, which is what eta distributes.
    """

    keep: float = 1 / 32
    caps: tuple[tuple[int, int], ...] = ((4, 16), (8, 4))
    window: int | None = 2
    cell: tuple[int, int, int] = (1, 8, 8)
    resample: bool = True
    eta: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.keep <= 1:
            raise BadInput(f"keep={self.keep:g}: the part of the keys that is left is above 0 and at most 1")
        if not 0 <= self.eta <= 1:
            raise BadInput(f"eta={self.eta:g}: it lies between 0 (merge foreground last) and 1 (treat all alike)")

    def kept(self, grid: tuple[int, int, int], latents: tuple[int, int]) -> int:
        """Tokens that are left of a grid of frames, rows and columns, in UNets that read latents of so many cells."""
        frames, rows, columns = grid
        factor = round(latents[0] / rows)
        least = dict(self.caps).get(factor, 1) * frames
        windows = frames // (self.window or frames)
        kept = max(round(self.keep * frames * rows * columns), least)
        return min(-(-kept // windows) * windows, frames * rows * columns)


@dataclass
class MergedKeys:
    """The reduction to give to `attached`: plans a merge for each layer and time, and keeps the plans.

    With `paired`, the plans of the inversion, generation merges the same tokens: only then do the kept maps belong to
    the keys that it has. mask: the object on the latents' cells, bool (t, h, w), of the region that is being sampled.
    """

    settings: MergingSettings
    now: Now
    paired: Plans | None = None
    masks: dict[str, Tensor] = field(default_factory=dict)
    plans: Plans = field(default_factory=dict)
    generator: torch.Generator = None

    def __post_init__(self):
        self.generator = self.generator or torch.Generator().manual_seed(self.settings.seed)

    def __call__(self, layer: str, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        return self.planned(layer, tokens, grid).merge(tokens)

    def planned(self, layer: str, tokens: Tensor, grid: tuple[int, int, int]) -> Merging:
        """The plan for a layer's tokens (b, s * n, d) now: the inversion's where there is one, else a new one."""
        key = (self.now.time, self.now.region, layer)
        plan = self.paired.get(key) if self.paired is not None else None
        if plan is None:
            plan = self.plans[key] = self.plan(tokens, grid)
        return plan

    def plan(self, tokens: Tensor, grid: tuple[int, int, int]) -> Merging:
        settings, mask = self.settings, self.masks.get(self.now.region)
        window = settings.window or grid[0]
        cell = tuple(min(part, side) for part, side in zip(settings.cell, (window, *grid[1:]), strict=True))
        inside = None
        if mask is not None and settings.eta < 1:
            if len(mask) != grid[0]:
                raise BadInput(f"eta={settings.eta:g} needs frames that look at all {len(mask)}, not at {grid[0]}")
            inside = F.adaptive_max_pool2d(mask[:, None].float(), grid[1:]).flatten()[None] > 0
        return token_merging(
            tokens,
            grid,
            cell,
            settings.kept(grid, self.now.size),
            self.generator,
            window=window,
            resample=settings.resample,
            foreground=inside,
            eta=settings.eta,
        )

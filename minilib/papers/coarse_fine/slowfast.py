"""SlowFast for detection: two X3D streams joined as in SlowFast (Feichtenhofer et al. 2019); see Table 3.3f.

There is no released code. The thesis says "fusion connections similar to that of SlowFast"; temporal convolutions with
the ratio as kernel and stride, c -> c at res2 to res5, and 432 -> classes at the logits, meet its 54.31 G.

Axes: b clips, c channels, t fine frames, n coarse frames, h and w places, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.x3d import Size
from minilib.papers.coarse_fine.fusion import Levels, resize
from minilib.papers.coarse_fine.grid import Pooled


class Lateral(nn.Module):
    """Fine features at the coarse frames that stand beside them, (b, c, t, h, w) -> (b, c', n, h, w)."""

    def __init__(self, into: int, outer: int, ratio: int):
        super().__init__()
        self.conv = nn.Conv3d(into, outer, (ratio, 1, 1), (ratio, 1, 1), bias=False)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x = self.conv(x)
        if x.shape[2] == frames:
            return x
        rows = F.interpolate(x.flatten(3), (frames, x[0, 0, 0].numel()), mode="bilinear", align_corners=True)
        return rows.unflatten(3, x.shape[3:])  # a grid has one frame more than there are intervals


class Sums:
    """The context of lateral connections: they are added."""

    def __init__(self, maps: Sequence[Tensor], late: Tensor):
        self.maps, self.late = maps, late

    def modulate(self, level: int, x: Tensor) -> Tensor:
        return x + resize(self.maps[level], x.shape[3:])

    def scores(self, logits: Tensor) -> Tensor:
        return logits + self.late.flatten(2).transpose(1, 2)


class SlowFastFusion(nn.Module):
    """In place of `MultiStageFusion`: no masks, no Gaussians, no mixing. Padding counts as frames. Raises BadInput for
    fewer fine frames than the ratio."""

    def __init__(self, size: Size, classes: int, ratio: int = 4):
        super().__init__()
        self.ratio = ratio
        self.levels = nn.ModuleList(Lateral(c, c, ratio) for c in size.outer)
        self.late = Lateral(size.conv5, classes, ratio)

    def forward(self, levels: Levels, pooled: Pooled, valid: Tensor) -> Sums:
        frames = pooled.x.shape[2]
        if valid.shape[1] < self.ratio:
            raise BadInput(
                f"{valid.shape[1]} fine frames are fewer than the ratio {self.ratio} of the lateral connections"
            )
        maps = [each(x, frames) for each, x in zip(self.levels, levels[:4], strict=True)]
        return Sums(maps, self.late(levels[4].mean((3, 4), keepdim=True), frames))

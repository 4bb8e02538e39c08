"""Tubelets of a video: where they are, which are hidden, and the pixels in them.

Axes: b clips, t frames, u = t / tubelet steps, r rows and c columns of patches, n = u r c tokens, m hidden tokens,
d width, p = tubelet * patch * patch pixels of a token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput

Positions = Callable[[int, int, int, int], Tensor]  # (u, r, c, d) -> (u r c, d)


# --- positions -------------------------------------------------------------------------------------------------------


def waves(places: Tensor, width: int) -> Tensor:
    """sin and cos in turn, wave lengths from 2 pi to 10000 * 2 pi: places (n,) -> (n, width)."""
    rate = 10000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = places.double()[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).float()


def flat_positions(steps: int, rows: int, columns: int, width: int) -> Tensor:
    """VideoMAE's own table: all tokens in one row, numbered frame by frame. Width must be even."""
    return waves(torch.arange(steps * rows * columns), width)


def spacetime_positions(steps: int, rows: int, columns: int, width: int) -> Tensor:
    """The paper's table (Sec. 6 "3D trigonometric function"): a third of the channels each for time, row and column."""
    if width % 6:
        raise BadInput(f"width {width}: a table for time, row and column needs a multiple of 6")
    grid = torch.meshgrid(torch.arange(steps), torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([waves(axis.flatten(), width // 3) for axis in grid], 1)


class PositionTable(nn.Module):
    """A fixed table made for (u, r, c), read at other sizes: the first steps, and bicubic in space, as released."""

    def __init__(self, positions: Positions, steps: int, grid: tuple[int, int], width: int):
        super().__init__()
        self.steps, self.grid = steps, tuple(grid)
        self.register_buffer("table", positions(steps, *grid, width), persistent=False)

    def forward(self, steps: int, rows: int, columns: int) -> Tensor:
        """(u r c, d). Raises BadInput for more steps than the table has."""
        if steps > self.steps:
            raise BadInput(f"{steps} steps of tubelets: the table of positions has {self.steps}")
        table = self.table.view(self.steps, *self.grid, -1)[:steps]
        if (rows, columns) != self.grid:
            table = F.interpolate(table.movedim(-1, 1), (rows, columns), mode="bicubic", align_corners=False)
            table = table.movedim(1, -1)
        return table.flatten(0, 2)


# --- masks and pixels ------------------------------------------------------------------------------------------------


def tube_mask(
    batch: int, steps: int, patches: int, ratio: float = 0.9, generator: torch.Generator | None = None
) -> Tensor:
    """True where hidden, bool (b, u n): of each clip int(ratio * patches) places, the same at every step.

    Drawn on the generator's device. Raises BadInput for a ratio that hides nothing or everything.
    """
    count = int(ratio * patches)
    if not 0 < count < patches:
        raise BadInput(f"ratio {ratio} hides {count} of {patches} patches: at least one must be hidden and one seen")
    where = "cpu" if generator is None else generator.device
    order = torch.rand(batch, patches, generator=generator, device=where).argsort(1).argsort(1)
    return (order < count).repeat(1, steps)


def places(chosen: Tensor) -> Tensor:
    """Where a mask (b, n) is True, in order: int64 (b, m). Raises BadInput if clips differ in their number."""
    counts = chosen.sum(1)
    if (counts != counts[0]).any():
        raise BadInput(f"{counts.min()} to {counts.max()} hidden tokens a clip: all clips of a batch must hide as many")
    return chosen.nonzero()[:, 1].view(len(chosen), -1)


def gather(tokens: Tensor, at: Tensor) -> Tensor:
    """tokens (b, n, d) at places (b, m): (b, m, d)."""
    return tokens.gather(1, at[..., None].expand(-1, -1, tokens.shape[-1]))


def tubelets(pixels: Tensor, tubelet: int, patch: int) -> Tensor:
    """Pixels (b, t, 3, h, w) cut up: (b, u, r, c, p * 3), colours last. Raises BadInput where sizes do not divide."""
    t, _, h, w = pixels.shape[1:]
    if t % tubelet or not t:
        raise BadInput(f"{t} frames: tubelets of {tubelet} frames need a multiple")
    if h % patch or w % patch:
        raise BadInput(f"frames of {h} x {w} pixels: patches of {patch} need multiples")
    cut = pixels.unflatten(4, (-1, patch)).unflatten(3, (-1, patch)).unflatten(1, (-1, tubelet))
    return cut.permute(0, 1, 4, 6, 2, 5, 7, 3).flatten(4)  # b u tt 3 r p c p -> b u r c (tt p p 3)


def normalised(patches: Tensor, eps: float = 1e-6) -> Tensor:
    """The target: each colour of each token at mean 0 and deviation 1, (..., p * 3) -> the same."""
    cut = patches.unflatten(-1, (-1, 3))
    return ((cut - cut.mean(-2, keepdim=True)) / (cut.var(-2, keepdim=True).sqrt() + eps)).flatten(-2)


def contrasted(patches: Tensor) -> Tensor:
    """A target that keeps colours, one deviation for all tokens: (..., p * 3) -> the same. `normalised` throws away the
    one thing that the small world's objects have and its grounds lack, and asks for the grounds' faint noise."""
    return (patches - 0.45) / 0.25

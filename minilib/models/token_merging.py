"""Token merging in volumes of space and time: which tokens of a video are averaged into which others.

One function makes the whole plan and returns `merge` and `unmerge`, as `tomesd` does for one image (Bolya and Hoffman
2023), whose choice of tokens this equals where both do the same. Here a cell may reach over frames, each frame may draw
destinations of its own, a source may be held to its window of frames, and foreground can be spared (thesis
"Object-Centric Diffusion", Sec. 6.3.2 and 6.6.1).

Axes: b videos, n = t * h * w tokens of a video, w windows, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minilib.errors import BadInput

Grid = tuple[int, int, int]  # frames, rows, columns


@dataclass(frozen=True)
class Merging:
    """A plan: unmerged, merged and destination tokens, int64 (b, w, .), indices into a window's tokens; into, the
    destination of each merged one, indices into `destination`."""

    unmerged: Tensor
    merged: Tensor
    destination: Tensor
    into: Tensor

    @property
    def kept(self) -> int:
        """Tokens that are left of a video."""
        return self.unmerged.shape[1] * (self.unmerged.shape[2] + self.destination.shape[2])

    def merge(self, x: Tensor) -> Tensor:
        """(b, n, d) to (b, kept, d), window by window: the unmerged tokens, then the destinations, each the mean of
        itself and all that are merged into it. A plan of fewer videos fits any multiple of them."""
        x = x.unflatten(1, (self.unmerged.shape[1], -1))
        means = take(x, self.destination).scatter_reduce(2, rows(self.into, x), take(x, self.merged), "mean")
        return torch.cat([take(x, self.unmerged), means], 2).flatten(1, 2)

    def unmerge(self, x: Tensor) -> Tensor:
        """(b, kept, d) to (b, n, d): every merged token gets its destination's value."""
        x = x.unflatten(1, (self.unmerged.shape[1], -1))
        unmerged, means = x.split([self.unmerged.shape[2], self.destination.shape[2]], 2)
        tokens = sum(part.shape[2] for part in (self.unmerged, self.merged, self.destination))
        out = x.new_empty(*x.shape[:2], tokens, x.shape[-1])
        for index, values in (
            (self.unmerged, unmerged),
            (self.destination, means),
            (self.merged, take(means, self.into)),
        ):
            out.scatter_(2, rows(index, values), values)
        return out.flatten(1, 2)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Tokens (b, w, k, d) of x (b, w, n, d) at index (b or 1 or a divisor of b, w, k)."""
    return x.gather(2, rows(index, x))


def rows(index: Tensor, x: Tensor) -> Tensor:
    """An index (., w, k) for every video and channel of x (b, w, ., d); the videos of a plan recur."""
    return index.repeat(len(x) // len(index), 1, 1)[..., None].expand(-1, -1, -1, x.shape[-1])


@torch.no_grad()
def token_merging(
    metric: Tensor,
    grid: Grid,
    cell: Grid,
    keep: int,
    generator: torch.Generator,
    *,
    window: int | None = None,
    resample: bool = True,
    foreground: Tensor | None = None,
    eta: float = 1.0,
) -> Merging:
    """The plan for tokens whose likeness is the cosine of their metric (b, n, d), n = t * h * w of `grid`.

    One destination is drawn in each whole cell, the same for all videos: with `resample` anew for every cell, else the
    same place in all frames. What the cells do not cover stays a source. A source may be merged into any destination of
    its window of so many frames (by default of all frames), and so many of the likeliest are that each window keeps an
    equal part of `keep` tokens. The likeness, (cosine + 1) / 2, of a source in the foreground, bool (b or 1, n), is
    multiplied by eta (Sec. 6.3.2): the smaller it is, the later are such tokens merged.

    tomesd caps the number of merged tokens silently at what the cells allow; here that is BadInput, as are a window
    that does not divide the frames, cells larger than it, and eta outside [0, 1]. The thesis does not say whether the
    likeliest are counted over the video or over a window; by window each has its share of the tokens that are kept, and
    the caps of Sec. 6.6.1, so many tokens a frame, hold everywhere.
    """
    window = window or grid[0]
    check(metric, grid, cell, keep, window, eta)
    windows, per_window = grid[0] // window, (window, *grid[1:])
    source, destination = cells(grid, cell, window, resample, generator, metric.device)
    tokens = torch.nn.functional.normalize(metric.unflatten(1, (windows, -1)), dim=-1)
    likeness = (take(tokens, source) @ take(tokens, destination).mT + 1) / 2
    if foreground is not None:
        inside = foreground.to(metric.device).unflatten(1, (windows, -1))[..., None]
        likeness = torch.where(take(inside, source), eta * likeness, likeness)
    best, into = likeness.max(-1)
    order = best.argsort(-1, descending=True)
    merged = per_window[0] * per_window[1] * per_window[2] - keep // windows
    source = source.expand(len(order), -1, -1).gather(2, order)
    into = into.gather(2, order)[..., :merged]
    return Merging(source[..., merged:], source[..., :merged], destination.expand(len(order), -1, -1), into)


def cells(
    grid: Grid, cell: Grid, window: int, resample: bool, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Sources and destinations, int64 (1, w, .), indices into the tokens of each window."""
    whole = tuple(size // part for size, part in zip((window, *grid[1:]), cell, strict=True))
    windows = grid[0] // window
    drawn = windows * whole[0] if resample else 1
    place = torch.randint(
        cell[0] * cell[1] * cell[2], (drawn, *whole[1:]), generator=generator, device=generator.device
    ).to(device)
    place = place.expand(windows * whole[0], -1, -1).unflatten(0, (windows, whole[0]))
    t, y, x = (torch.arange(size, device=device) * part for size, part in zip(whole, cell, strict=True))
    t = t[:, None, None] + place // (cell[1] * cell[2])
    y = y[:, None] + place // cell[2] % cell[1]
    x = x + place % cell[2]
    destination = ((t * grid[1] + y) * grid[2] + x).flatten(1)
    taken = torch.zeros(windows, window * grid[1] * grid[2], dtype=torch.int8, device=device)
    order = taken.scatter_(1, destination, 1).argsort(dim=1, stable=True)
    return order[None, :, : order.shape[1] - destination.shape[1]], destination[None]


def check(metric: Tensor, grid: Grid, cell: Grid, keep: int, window: int, eta: float) -> None:
    """BadInput for a plan that cannot be made."""
    frames, rows, columns = grid
    if metric.shape[1] != frames * rows * columns:
        raise BadInput(f"{metric.shape[1]} tokens are not {frames} x {rows} x {columns}: give the grid that they fill")
    if not 0 < window <= frames or frames % window:
        raise BadInput(f"a window of {window} frames does not divide {frames} frames: choose one that does")
    if any(not 0 < part <= size for part, size in zip(cell, (window, rows, columns), strict=True)):
        raise BadInput(f"a cell of {cell} tokens does not fit into {(window, rows, columns)}: make it smaller")
    if not 0 <= eta <= 1:
        raise BadInput(f"eta={eta:g}: it lies between 0 (merge foreground last) and 1 (treat all alike)")
    windows = frames // window
    least = windows * (window // cell[0]) * (rows // cell[1]) * (columns // cell[2])
    if not least <= keep <= metric.shape[1] or keep % windows:
        raise BadInput(
            f"{keep} of {metric.shape[1]} tokens cannot be kept: cells of {cell} keep {least} or more, "
            f"and each of {windows} windows as many as another"
        )

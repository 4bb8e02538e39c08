"""Random numbers of one clip, the same in whatever batch it stands. Axes: b indices."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "val", "test")


class Draws:
    """Uniform numbers that depend on (seed, split, index) alone, whatever batch an index stands in."""

    def __init__(self, seed: int, split: str, indices: np.ndarray, count: int = 128):
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {SPLITS}")
        key = SPLITS.index(split) << 48
        rows = [np.random.Generator(np.random.Philox(key=[seed, key + int(i)])).random(count) for i in indices]
        self._table, self._next = np.stack(rows), 0

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """The next numbers of every index: float (b, *shape) in [low, high)."""
        count = int(np.prod(shape))
        block = self._table[:, self._next : self._next + count]
        self._next += count
        return low + (high - low) * block.reshape(len(block), *shape)

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        return np.floor(self.uniform(low, high, *shape)).astype(np.int64)

    def order(self, length: int) -> np.ndarray:
        """A random order of `range(length)` for every index: int (b, length)."""
        return self.uniform(0, 1, length).argsort(1)

    def among(self, fits: np.ndarray, count: int = 1) -> np.ndarray:
        """For every index `count` different values at random of those n that fit, bool (b, n): int (b, count)."""
        return np.where(fits, self.uniform(0, 1, fits.shape[1]), 2).argsort(1)[:, :count]

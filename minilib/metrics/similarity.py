"""Linear centred kernel alignment (CKA; Kornblith et al., ICML 2019): how alike two layers see the same inputs.

    CKA(X, Y) = HSIC(X X', Y Y') / sqrt(HSIC(X X', X X') HSIC(Y Y', Y Y'))

In minibatches (Nguyen et al., ICLR 2021, Eq. 2 and 3): HSIC is replaced by the unbiased HSIC_1 of Song et al. (2012),
and each of the three is averaged over batches. So the batch size does not shift the value, and the features of a layer
need not lie in memory all at once.

Axes: b inputs of a batch, p and q features of two layers, i and j layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from minilib.errors import BadInput

LEAST = 4  # inputs in a batch: HSIC_1 divides by b - 3


def _grams(layers: Sequence[Tensor]) -> Tensor:
    """Linear kernels (i, b, b) of features (b, ...) in float64, their diagonals zero as HSIC_1 wants them."""
    sizes = {len(x) for x in layers}
    if len(sizes) != 1:
        raise BadInput(f"batches of {sorted(sizes)} inputs: all layers must see the same inputs")
    (size,) = sizes
    if size < LEAST:
        raise BadInput(f"a batch of {size} inputs: the unbiased estimator needs {LEAST}; use larger batches")
    flat = [x.detach().flatten(1).double() for x in layers]
    flat = [x - x.mean(0) for x in flat]  # HSIC_1 does not change by it, but rounds less
    return torch.stack([(x @ x.T).fill_diagonal_(0) for x in flat])


def hsic(k: Tensor, l: Tensor) -> Tensor:
    """HSIC_1 of every pair of kernels with zero diagonals, (i, b, b) and (j, b, b): (i, j). Nguyen et al., Eq. 3."""
    b = k.shape[-1]
    rows_k, rows_l = k.sum(2), l.sum(2)
    trace = k.flatten(1) @ l.flatten(1).T  # the kernels are symmetric
    totals = torch.outer(rows_k.sum(1), rows_l.sum(1))
    return (trace + totals / ((b - 1) * (b - 2)) - 2 / (b - 2) * rows_k @ rows_l.T) / (b * (b - 3))


def _own(k: Tensor) -> Tensor:
    """HSIC_1 of each kernel with itself (i,)."""
    return hsic(k, k).diagonal()


class LinearCKA:
    """Adds up batches; `compute()` at any time. Every batch counts the same: leave a smaller last one out.

    The features of an input are all of a row: averages over tokens are the caller's to take, before.
    """

    def __init__(self):
        self._sums: tuple[Tensor, Tensor, Tensor] | None = None

    def update(self, x: Tensor | Sequence[Tensor], y: Tensor | Sequence[Tensor]) -> LinearCKA:
        """Features of one batch, (b, p) and (b, q), or lists of them, one a layer, of any widths.

        Raises BadInput for fewer than four inputs and where the two sides have seen different numbers of them.
        """
        x, y = ([side] if isinstance(side, Tensor) else list(side) for side in (x, y))
        grams = _grams([*x, *y])
        k, l = grams[: len(x)], grams[len(x) :]
        new = (hsic(k, l), _own(k), _own(l))
        if self._sums is not None and self._sums[0].shape != new[0].shape:
            raise BadInput(f"{new[0].shape[0]} and {new[0].shape[1]} layers, before there were other numbers of them")
        self._sums = new if self._sums is None else tuple(a + b for a, b in zip(self._sums, new, strict=True))
        return self

    def compute(self) -> Tensor:
        """float64 (i, j): 1 for features that are the same up to rotation and scale, about 0 for unrelated ones.

        It may fall below 0 (to -1), as the estimator is unbiased. Features that are the same for all inputs have no
        CKA: nan, or noise. Raises BadInput before the first batch.
        """
        if self._sums is None:
            raise BadInput("CKA of nothing: call update with a batch first")
        cross, own_x, own_y = self._sums
        return cross / torch.outer(own_x, own_y).sqrt()


def cka_matrix(batches: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]]) -> Tensor:
    """CKA of every layer of one model with every layer of another, (i, j), over batches of both models' features."""
    cka = LinearCKA()
    for x, y in batches:
        cka.update(x, y)
    return cka.compute()

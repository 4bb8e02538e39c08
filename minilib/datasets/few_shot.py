"""A few clips of every class, drawn at random: what few-shot recognition is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilib.errors import BadInput


def few_shot(labels: Sequence[int], k: int, seed: int, names: Sequence[str] | None = None) -> np.ndarray:
    """Indices of k clips of each class that `labels` has, in ascending order; a function of (labels, k, seed), and the
    draw for a smaller k is part of that for a larger one. A class of fewer than k clips is BadInput."""
    labels = np.asarray(labels)
    if k < 1 or not len(labels):
        raise BadInput(f"few-shot: k = {k} of {len(labels)} clips; at least one of each is needed")
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        own = order[labels[order] == label]
        if len(own) < k:
            name = f"{names[label]!r}" if names is not None else f"{label}"
            raise BadInput(f"few-shot: class {name} has {len(own)} clips, fewer than k = {k}; take a smaller k")
        chosen.append(own[:k])
    return np.sort(np.concatenate(chosen))

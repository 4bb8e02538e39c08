"""Sentences about detection pretraining, made from what was measured: they cannot say what it does not bear out.

Axes: n clips, t frames, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from torch import Tensor


def fell(losses: Sequence[float]) -> str:
    """Whether a loss is lower in the last third of the steps than in the first."""
    third = max(len(losses) // 3, 1)
    before, after = fmean(losses[:third]), fmean(losses[-third:])
    verb = "falls" if after < before else "does not fall"
    return f"The loss {verb}: {before:.2f} in the first third of {len(losses)} steps, {after:.2f} in the last."


def busy(truth: Tensor, chance: float) -> str:
    """How many frames of (n, t, k) have several actions, and what random scores reach."""
    share = 100 * float((truth.sum(-1) > 1).float().mean())
    return f"Of all test frames {share:.0f} % have several actions; random scores would reach about {chance:.0f} % mAP."


def order(found: Mapping[str, Sequence[float]], chance: float) -> str:
    """Starts by their mean score, best first, and which of them stay at chance, within a point of it."""
    means = {name.removeprefix("control/").replace("_", " "): fmean(values) for name, values in found.items()}
    names = sorted(means, key=means.get, reverse=True)
    text = "From best to worst: " + ", ".join(f"{name} {means[name]:.1f}" for name in names) + "."
    low = [name for name in names if means[name] < chance + 1]
    return f"{text} At chance, {chance:.1f}: {', '.join(low)}." if low else f"{text} None is at chance, {chance:.1f}."


def quiet(name: str, found: Tensor, labels: Tensor) -> str:
    """Mean probability (n, t, k) where a motion goes on, of all motions where nothing does, and their ratio."""
    loud, low = float(found[labels > 0].mean()), float(found[labels.sum(-1) == 0].mean())
    said = "hardly tells the two apart" if loud < 1.5 * low else "is quieter between actions"
    levels = f"{loud:.3f} where a motion goes on, {low:.3f} where nothing does"
    return f"{name}: {levels}, a ratio of {loud / low:.1f}: it {said}."

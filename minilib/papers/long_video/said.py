"""Sentences and numbers about long videos, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.words import number, several
from minilib.papers.long_video.variants import correlation

Rows = Mapping[str, Mapping[int, float]]


def prefers(metric: str, moving: float, static: float) -> str:
    """Which of two videos a metric takes for the better one."""
    chosen = "the one that moves" if moving > static else "the static one" if static > moving else "neither"
    said = f"{metric} is {number(moving)} % for the video that moves, {number(static)} % for the static one"
    return f"{said}: it prefers {chosen}."


def agreement(rows: Rows, names: Sequence[str], metric: str, known: str = "") -> tuple[float, Sample] | None:
    """Spearman's rank correlation of a metric with the truth over all variants and videos, and the sample of the
    correlations within each video, 0 where the metric is the same for all; None where fewer than two videos have all
    variants."""
    found = {part: [rows.get(f"{name}/{part}".rstrip("/"), {}) for name in names] for part in (metric, known)}
    seeds = sorted(set.intersection(*(set(each) for part in found.values() for each in part)))
    if len(seeds) < 2:
        return None
    values = {part: [[each[seed] for each in variants] for seed in seeds] for part, variants in found.items()}
    flat = [[value for video in values[part] for value in video] for part in (metric, known)]
    within = [correlation(b, a) / 100 for a, b in zip(values[metric], values[known], strict=True)]
    return correlation(flat[1], flat[0]) / 100, Sample.of(within)


def agrees(metric: str, found: tuple[float, Sample] | None) -> str:
    """How a metric's ranks go with those of the truth."""
    if found is None:
        return f"{metric}: not measured yet."
    over_all, within = found
    low, high = within.interval(EFFECT)
    text = f"{metric}: {over_all:+.2f} over all, {within.mean:+.2f} within a video (98 % interval {low:+.2f} to "
    word = "with" if low > 0 else "against" if high < 0 else "not clearly with"
    return f"{text}{high:+.2f}, {several(within.n, 'videos')}), {word} the truth."

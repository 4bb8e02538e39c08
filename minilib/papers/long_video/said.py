"""Sentences and numbers about long videos, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilib.claims.chosen import pairs_of
from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.table import Table
from minilib.claims.words import in_words, number, several
from minilib.papers.long_video.variants import correlation

Rows = Mapping[str, Mapping[int, float]]
Differences = Mapping[str, Mapping[str, Sample | None]]  # variant -> metric -> its paired differences


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


# --- paired differences ----------------------------------------------------------------------------------------------


def measured(rows: Rows, labels: Mapping[str, str]) -> str:
    """How many videos each variant has; labels: metric -> the variant's name on the page."""
    counts = {label: len(rows.get(name, {})) for name, label in labels.items()}
    found = sorted({count for count in counts.values() if count})
    if not found:
        return "No video is measured yet; `python -m minilib.study long_video` measures them."
    text = several(found[0], "videos") if len(found) == 1 else f"{found[0]} to {found[-1]} videos"
    text = f"Measured: {text} by each variant."
    if awaited := [label for label, count in counts.items() if not count]:
        text += f" Not measured yet: {'; '.join(awaited)} (`python -m minilib.study long_video` measures them)."
    return text


def differences(found: Differences, first: str) -> Table:
    """Means with their 98 % intervals, a line a variant and a column a metric."""
    metrics = list(dict.fromkeys(metric for each in found.values() for metric in each))
    lines = [(label, *(_interval(each.get(metric)) for metric in metrics)) for label, each in found.items()]
    return Table((first, *metrics), tuple(lines))


def _interval(sample: Sample | None) -> str:
    if sample is None:
        return "not measured"
    mean, low, high = (
        number(end, "+") if abs(end) >= 0.0005 else "0.000" for end in (sample.mean, *sample.interval(EFFECT))
    )
    return f"{mean} ({low} to {high})"


def clear(found: Differences) -> str:
    """Which of these intervals leave out zero, and how many would by luck."""
    samples = {(label, metric): each for label, row in found.items() for metric, each in row.items() if each}
    if not samples:
        return "Nothing is compared yet."
    off = {key: s for key, s in samples.items() if s.interval(EFFECT)[0] > 0 or s.interval(EFFECT)[1] < 0}
    count = several(len(samples), "intervals")
    if not off:
        return f"Of {count} none leaves out zero: whatever differs is smaller than what so few videos can show."
    said = "; ".join(f"{label}, *{metric}*, {number(s.mean, '+')}" for (label, metric), s in off.items())
    verb = "leaves" if len(off) == 1 else "leave"
    return f"Of {count}, {in_words(len(off))} {verb} out zero: {said}. (At 98 %, one in fifty does so by luck.)"


def unchanged(rows: Rows, control: str, metric: str, what: str) -> str:
    """Whether a control that must change nothing changes anything, in any video."""
    if not (pairs := pairs_of(rows.get(control, {}), rows.get(metric, {}))):
        return f"{what}: not measured yet."
    most, count = max(abs(a - b) for a, b in pairs.values()), several(len(pairs), "videos")
    if most < 0.001:
        return f"{what} differ by less than 0.001 points in each of {count}: rounding, and nothing else."
    return f"**{what} differ by up to {number(most)} points** over {count}: something other than sharing is at work."

"""Sentences about Coarse-Fine's results, made from what was measured: they cannot say what it does not bear out.

Axes: b clips, n grid points, t frames, h and w places, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.claims.said import paired
from minilib.claims.words import several

FOLLOWS = 0.5  # a correlation from which sampling is said to follow what happens


def _holes(points: Tensor, start: float, end: float) -> tuple[int, float]:
    """How many of the points (n,) lie in a stretch [start, end] of frames, and the longest part of it without one."""
    within = points[(points >= start) & (points <= end)]
    edges = torch.cat([within.new_tensor([start]), within, within.new_tensor([end])])
    return len(within), float(edges.diff().max())


def inside(points: Tensor, start: float, end: float) -> str:
    """The points of a grid, increasing, within a stretch, and the longest hole there."""
    count, hole = _holes(points, start, end)
    return f"{several(count, 'points')} in the shade, none for up to {hole:.1f} frames there"


def huddle(name: str, points: Tensor, start: float, end: float) -> str:
    """`inside` of a rule, and whether it leaves less than two frames of the stretch without a look."""
    covers = "it covers the stretch" if _holes(points, start, end)[1] <= 2 else "it leaves holes"
    return f"{name} has {inside(points, start, end)}: {covers}"


def points(name: str, found: Mapping[float, float]) -> str:
    """Contrast of a perfect head -> correlation of the sampling with the truth: the best, and what the surest has."""
    best, surest = max(found, key=found.get), max(found)
    text = f"{name} reaches {found[best]:.2f}"
    if best == surest or found[best] - found[surest] < 0.05:
        return f"{text} and keeps {found[surest]:.2f} when the head is surest."
    return f"{text} at a confidence of {best:.2f}, and falls to {found[surest]:.2f} at {surest:.2f}: sureness costs it."


def returned(peaks: Mapping[str, float]) -> str:
    """What is left of a score of 1 after each way back to all frames."""
    listed = ", ".join(f"{name} {peak:.2f}" for name, peak in peaks.items())
    return f"Of a score of 1 this much comes back at its place: {listed}."


def shift(before: Tensor, shift_alone: Tensor) -> str:
    """How large the shift of an untrained fusion is beside the coarse features that it changes."""
    size = float(shift_alone.abs().mean() / before.abs().mean())
    text = f"Before any training the shift alone is {size:.1f} times as large as the coarse features"
    return f"{text}: training has to calm it." if size > 0.5 else f"{text}: it is a nudge."


def live(
    found: Mapping[str, Sequence[float]],
    rows: Mapping[str, Mapping[int, float]],
    one: tuple[str, str],
    other: tuple[str, str],
    longer: tuple[str, str] = ("", ""),
) -> str:
    """Whether two networks, (variant, name) each, stand live as in longer trainings; `longer` are the two metrics of
    those, or else the same variants' tuned rows."""
    a, b = (fmean(found[name]) for name, _ in (one, other))
    text = f"Live {one[1]} has {a:.1f} and {other[1]} {b:.1f}: {a - b:+.1f} points."
    metrics = longer if any(longer) else (f"tuned/{one[0]}", f"tuned/{other[0]}")
    longest = paired(rows, *metrics, least=1)
    if longest is None:
        return f"{text} Rows of longer trainings, which could bear that out, are not measured yet."
    agrees = "the same sign" if longest.mean * (a - b) > 0 else "another sign: so few seeds decide nothing"
    where = "of longer trainings" if not any(longer) else "of longer trainings at a ratio of 1/8"
    return f"{text} In {several(longest.n, 'seeds')} {where} it is {longest.mean:+.1f}, {agrees}."


def sampling(correlations: Mapping[str, float]) -> str:
    """Which trained grids agree with where things happen, each with its correlation."""
    listed = ", ".join(f"{name} {value:+.2f}" for name, value in correlations.items())
    pointing = [name for name, value in correlations.items() if value >= FOLLOWS]
    if not (names := ", ".join(pointing)):
        return f"correlations {listed}. None reaches {FOLLOWS:+.1f}, which this page calls following."
    return f"correlations {listed}. With {FOLLOWS:+.1f} or more, these follow what happens: {names}."


def grids(lines: Mapping[str, Sequence[float]]) -> str:
    """The same from rows, row -> a value a seed, those that are measured."""
    known = {name: values for name, values in lines.items() if values}
    if not known:
        return "No row says yet how well the grids of longer trainings point."
    listed = "; ".join(
        f"{name} {fmean(values):+.2f} ({several(len(values), 'seeds')})" for name, values in known.items()
    )
    return f"From the rows, correlations: {listed}."


def mask(level: str, mask: Tensor, frames: Tensor) -> str:
    """What a mask (t, h, w) lets through where frames uint8 (t, h', w', 3) change most, a tenth of all places, and
    elsewhere; neighbours in time are compared."""
    change = frames.float().diff(dim=0).abs().mean(-1)
    change = F.adaptive_avg_pool2d(change[:, None], mask.shape[1:])[:, 0]
    most = change >= change.flatten().quantile(0.9)
    moving, rest = float(mask[1:][most].mean()), float(mask[1:][~most].mean())
    if max(moving, rest) < 1.1 * min(moving, rest):
        said = "it does not tell what moves from what rests"
    else:
        said = "it keeps what moves" if moving > rest else "it keeps what rests"
    return f"{level}: the mask lets {moving:.2f} through where the picture changes most, {rest:.2f} elsewhere: {said}."


def bars(name: str, found: Tensor, truth: Tensor) -> str:
    """Of the frames (t, k) at which an action goes on, for how many its own class scores highest of all; and how often
    something scores as high between actions. `found` are probabilities, truth 0 or 1."""
    during = truth.sum(1) > 0
    if not during.any() or during.all():
        return f"{name}: this clip has no frames to compare."
    right = truth[during].gather(1, found[during].argmax(1, keepdim=True)).mean()
    level = float((found * truth).sum() / truth.sum())  # the mean probability of what goes on
    loud = float((found[~during].amax(1) >= level).double().mean())
    return (
        f"{name}: the highest score is right in {100 * float(right):.0f} % of the frames with an action; in "
        f"{100 * loud:.0f} % of those without one something scores as high as a true action does on average."
    )


def tradeoff(costs: Mapping[str, float], scores: Mapping[str, float]) -> str:
    """The network with the highest mean, the cheapest, and their distance."""
    known = [name for name in scores if name in costs]
    if len(known) < 2:
        return "Not measured yet: there is nothing to weigh."
    best, cheapest = max(known, key=scores.get), min(known, key=costs.get)
    if best == cheapest:
        return f"{best} has the highest mean and is the cheapest of them."
    times, points_ = costs[best] / costs[cheapest], scores[best] - scores[cheapest]
    return (
        f"{best} has the highest mean: {points_:.1f} points above {cheapest}, the cheapest, at {times:.1f} times its "
        "work."
    )


def overcount(printed: float, runs: float) -> str:
    """By how much a table's count is off what runs."""
    off = 100 * (printed / runs - 1)
    way = "too high" if off > 0 else "too low"
    return f"Printed {printed:.2f}, what runs {runs:.2f}: the table is {abs(off):.0f} % {way}."


def controls(rows: Mapping[str, Mapping[int, float]], learned: str, noise: str) -> str:
    """A learned grid beside one from noise, two metrics of the rows."""
    sample = paired(rows, learned, noise, least=1)
    if sample is None:
        return "Whether places matter at all would be told by the grid from noise, which is not measured yet."
    way = "above" if sample.mean > 0 else "below"
    return f"The learned grid is {abs(sample.mean):.1f} points {way} the one from noise ({several(sample.n, 'seeds')})."

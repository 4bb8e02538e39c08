"""Sentences about OCA's results, made from rows: they cannot say what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from minilib.claims.intervals import EFFECT, Sample
from minilib.claims.words import number, several

Rows = Mapping[str, Mapping[int, float]]
REFINED = "_crf"  # a metric of masks ends so once a random field has drawn them to the edges


def refined(masks: Mapping[str, str], rows: Rows) -> str:
    """What the random field adds to masks, label -> metric of their J&F, over the seeds that both have; and whether the
    one that gains most gains clearly more than `masks`' last, the reference, whose masks know no picture."""
    gains: dict[str, dict[int, float]] = {}
    for label, metric in masks.items():
        plain, drawn = rows.get(metric, {}), rows.get(metric + REFINED, {})
        if seeds := sorted(plain.keys() & drawn.keys()):
            gains[label] = {seed: drawn[seed] - plain[seed] for seed in seeds}
    if not gains:
        return "What the random field adds is not measured yet."
    mean = {label: fmean(each.values()) for label, each in gains.items()}
    text = "The random field changes J&F by so many points: "
    text += ", ".join(f"{label} {number(value, '+')}" for label, value in mean.items())
    text += f" ({several(min(map(len, gains.values())), 'seeds')})."
    most, reference = max(mean, key=mean.get), list(masks)[-1]
    if reference not in gains or most == reference:
        return text
    seeds = sorted(gains[most].keys() & gains[reference].keys())
    if len(seeds) < 2:
        return text
    low, _ = Sample.of([gains[most][s] - gains[reference][s] for s in seeds]).interval(EFFECT)
    if low > 0:
        return f"{text} It gives {most} more than {reference}: the masks before it count, and not the colours alone."
    return f"{text} These seeds do not say that it gives {most} more than {reference}: the colours may be all of it."

"""Counts as rows: whatever can be counted without training is recorded once, and again only where it comes out anew."""

from __future__ import annotations

from collections.abc import Mapping

from minilib.claims import Measurements


def record_counts(rows: Measurements, counted: Mapping[str, float]) -> None:
    """Appends a row for each count {metric: value} that is not there with this value."""
    known = rows.seeds_of(rows.scale)
    for metric, value in counted.items():
        if known.get(metric, {}).get(0) != value:
            rows.record(metric, value)

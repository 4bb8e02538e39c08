"""Why an ordering is open, each reason in one phrase, the gravest first: a claim of several pairs may have several."""

from __future__ import annotations

from collections.abc import Collection

UNMEASURED, FEW, OLD = "not measured yet", "too few seeds", "rows of older rules"
APART, ROOM = "measured on different machines", "no room on the task"
UNVOUCHED, CONTROL = "a control is missing", "a control fails"  # with the former stand missing chance and oracle
NO_HALF, HALF = "half the training is missing", "half the training disagrees"
MORE = "more seeds would decide"
REASONS = (UNMEASURED, FEW, OLD, APART, ROOM, UNVOUCHED, CONTROL, NO_HALF, HALF, MORE)
MENDED = tuple(each for each in REASONS if each != ROOM)  # what further rows, that is computing time, can mend


def gravest(reasons: Collection[str]) -> str:
    """The first of `REASONS` that is among these; "" where none is."""
    return next((each for each in REASONS if each in reasons), "")

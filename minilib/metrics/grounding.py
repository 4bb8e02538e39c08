"""How well an answer is found in time: overlaps of a found span with the true ones, as NExT-GQA measures them.

IoU = both / either, IoP = both / found: the share of what was found that is right. Of several true spans the best
counts, for each of the two by itself. A found moment without length has IoU 0, and IoP 1 inside a true span.

Departure from the released evaluation: a question without a found span counts as 0 and is not passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from minilib.errors import BadInput

Span = tuple[float, float]  # from one second to another


@dataclass(frozen=True)
class GroundingScore:
    """All in percent of the questions. iou_03: how many have an IoU of 0.3 or more, and so on; grounded_accuracy: how
    many are answered rightly and have an IoP of 0.5 or more ("Acc@GQA")."""

    iou: float
    iou_03: float
    iou_05: float
    iop: float
    iop_03: float
    iop_05: float
    grounded_accuracy: float


def overlap(found: Span, truth: Span) -> tuple[float, float]:
    """(IoU, IoP) of two spans, each between 0 and 1."""
    if found[0] == found[1]:
        return 0.0, float(truth[0] <= found[0] <= truth[1])
    both = max(0.0, min(found[1], truth[1]) - max(found[0], truth[0]))
    length = found[1] - found[0]
    return both / (length + truth[1] - truth[0] - both), both / length


def grounding(
    found: Sequence[Span | None], truths: Sequence[Sequence[Span]], answered: Sequence[bool]
) -> GroundingScore:
    """The scores over questions: each one's found span (None where a reply names none), its true spans, and whether
    its answer is right."""
    if not len(found) == len(truths) == len(answered) or not found:
        raise BadInput(f"grounding: {len(found)} spans, {len(truths)} truths, {len(answered)} answers; give one each")
    for at, (span, spans) in enumerate(zip(found, truths, strict=True)):
        wrong = [each for each in (span, *spans) if each is not None and not each[0] <= each[1]]
        if wrong or not spans:
            raise BadInput(f"grounding, question {at}: " + (f"{wrong[0]} is no span" if wrong else "no true span"))
    pairs = [
        [(0.0, 0.0)] if span is None else [overlap(span, truth) for truth in spans]
        for span, spans in zip(found, truths, strict=True)
    ]
    iou, iop = ([max(pair[kind] for pair in each) for each in pairs] for kind in (0, 1))
    grounded = [right and best >= 0.5 for right, best in zip(answered, iop, strict=True)]
    shares = [[best >= at for best in each] for each in (iou, iop) for at in (0.3, 0.5)]
    iou_03, iou_05, iop_03, iop_05 = (_percent(share) for share in shares)
    return GroundingScore(_percent(iou), iou_03, iou_05, _percent(iop), iop_03, iop_05, _percent(grounded))


def _percent(values: Sequence[float]) -> float:
    return 100 * fmean(values)

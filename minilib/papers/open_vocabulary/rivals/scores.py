"""Rivals by the metrics of everything else: boxes and names, frame by frame where slots know nothing of other frames.

Axes: b clips, t frames, s slots, r and c patches, e joint embedding, k names, p prompts of a name.
"""

from __future__ import annotations

from dataclasses import fields

from torch import Tensor

from minilib.papers.open_vocabulary.rivals.method import SlotMasks, linked, pooled
from minilib.papers.open_vocabulary.small import apart, localization_scores, together
from minilib.world.localization import Localization

GRID = (12, 12)  # patches on which everybody's masks are compared


def frame_by_frame(truth: Localization) -> Localization:
    """Each frame as a clip of its own: (b t) clips of one frame."""
    frames = truth.frames.shape[1]
    split = {each.name: getattr(truth, each.name) for each in fields(truth) if each.name != "names"}
    parts = {name: value.flatten(0, 1)[:, None] for name, value in split.items()}
    return Localization(names=truth.names.repeat_interleave(frames, 0), **parts)


def box_scores(seen: SlotMasks, truth: Localization, patches: Tensor, names: Tensor, targets: int) -> dict[str, float]:
    """`localization_scores` before ("apart ...") and after ("joint ...") joint optimisation, in percent.

    patches (b, t, r', c', e), names (k, p, e), the first `targets` of which are looked for. Masks finer than GRID are
    pooled to it.
    """
    if seen.masks.shape[-1] > GRID[1]:
        seen = pooled(seen, GRID)
    assigned, slots, size = seen.assigned, seen.masks.shape[2], truth.frames.shape[2]
    if not seen.tubes:
        truth, assigned, patches = frame_by_frame(truth), *(x.flatten(0, 1)[:, None] for x in (assigned, patches))
    found = {
        "apart": apart(assigned, slots, patches, names, size),
        "joint": together(assigned, slots, patches, names, size, targets),
    }
    return {f"{how} {what}": x for how, each in found.items() for what, x in localization_scores(each, truth).items()}


def scores_of(seen: SlotMasks, truth: Localization, patches: Tensor, names: Tensor, targets: int) -> dict[str, float]:
    """`box_scores`, and of slots that know one frame only those of their tubes ("linked ...") as well."""
    found = box_scores(seen, truth, patches, names, targets)
    if seen.tubes:
        return found
    tubes = box_scores(linked(seen), truth, patches, names, targets)
    return found | {f"linked {name}": value for name, value in tubes.items()}

"""The small world's words for open-vocabulary localization, and what a model's tubes score on its clips.

Axes: b clips, t frames, s slots, u steps, r rows and c columns of patches, k names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch.nn.functional as F
from torch import Tensor

from minilib.metrics.localization import best, cor_loc, dec_rate, overlaps
from minilib.metrics.named_boxes import NamedBoxes, kinds, map50_released, shares
from minilib.papers.open_vocabulary.joint import Joined, joint_optimisation, mask_boxes
from minilib.papers.open_vocabulary.naming import SCALE, Vocabulary, cosines, fitting, slot_sums
from minilib.papers.open_vocabulary.naming import best as best_prompt
from minilib.world.localization import Localization
from minilib.world.vocabulary import COLOURS, GROUNDS, PLACES, SHAPES, SIZES, TEXTURES


def sentences(name: str, count: int = 512) -> Sequence[str]:
    """Sentences of the kind that the second CLIP was taught, with this shape, ground, colour or texture: `count` of
    them, spread over all."""
    words = (SIZES, COLOURS, TEXTURES, SHAPES, PLACES, GROUNDS)
    parts = list(product(*((name,) if name in each else each for each in words)))
    chosen = [parts[1009 * i % len(parts)] for i in range(count)]
    return [f"a {z} {c} {t} {s} {p} on {g}" for z, c, t, s, p, g in chosen]


WORLD = Vocabulary(SHAPES, GROUNDS, sentences)  # as in the text: backgrounds have names, too
OBJECTS = Vocabulary(SHAPES, (), sentences, fitting)  # for slots that are kept by their content
LIKENESS = 0.9  # of slots that are merged; of 0.5 to 0.9 the best on validation clips


@dataclass(frozen=True)
class Found:
    """Boxes int64 (b, t, s, 4) in pixels, those of slots that are no group without area; names int64 (b, s); cosines
    (b, s, k); weights (b, s) of the scores of each slot's boxes, or None where all weigh the same."""

    boxes: Tensor
    names: Tensor
    cosines: Tensor
    weights: Tensor | None = None


def frame_boxes(assigned: Tensor, slots: int, frames: int, size: int) -> Tensor:
    """Boxes of every slot in every frame: assigned (b, u, r, c) to int64 (b, t, s, 4)."""
    masks = F.one_hot(assigned, slots).movedim(-1, 2).bool()
    return mask_boxes(masks, size // assigned.shape[-1]).repeat_interleave(frames // assigned.shape[1], 1)


def apart(
    assigned: Tensor,
    slots: int,
    patches: Tensor,
    names: Tensor,
    size: int,
    over: Callable[[Tensor], Tensor] = best_prompt,
) -> Found:
    """Without joint optimisation: each slot by itself with its best name of all."""
    cosine = cosines(slot_sums(patches, assigned, slots), names, over)
    return Found(frame_boxes(assigned, slots, patches.shape[1], size), cosine.argmax(-1), cosine)


def together(
    assigned: Tensor, slots: int, patches: Tensor, names: Tensor, size: int, targets: int, threshold: float = 0.0
) -> Found:
    """With joint optimisation as released: slots of interest, merged where they touch and share a name."""
    joined = joint_optimisation(assigned, slots, patches, names, targets, threshold)
    return joined_boxes(joined, patches.shape[1], size)


def joined_boxes(joined: Joined, frames: int, size: int) -> Found:
    """Boxes of the groups that joint optimisation leaves."""
    boxes = frame_boxes(joined.tokens, joined.groups.shape[1], frames, size)
    return Found(boxes * joined.groups[:, None, :, None], joined.names, joined.cosines)


def localization_scores(found: Found, truth: Localization) -> dict[str, float]:
    """CorLoc, DecRate and the mean best IoU in percent, and how many of the objects that are found have their name."""
    iou = best(found.boxes, truth.boxes).flatten(0, 1)
    there = truth.there.flatten(0, 1)
    every = overlaps(found.boxes, truth.boxes)  # (b, t, s, o)
    named = found.names.gather(1, every.mean(1).argmax(1))  # (b, o): of the slot that fits best over all frames
    right = (named == truth.names)[:, None].expand_as(truth.there).flatten(0, 1)
    hits = there & (iou > 0.5)
    return {
        "iou": 100 * float(iou[there].mean()),
        "cor_loc": cor_loc(iou, there),
        "dec_rate": dec_rate(iou, there),
        "named": 100 * float(right[hits].float().mean()) if hits.any() else 0.0,
    }


def named_boxes(found: Found, truth: Localization, targets: int = len(SHAPES)) -> NamedBoxes:
    """Every frame's boxes, each once for every name that is looked for, as released: with the soft-max of its
    cosines, times the slot's weight where it has one."""
    frames = found.boxes.shape[1]
    scores = (SCALE * found.cosines[..., :targets]).softmax(-1)
    if found.weights is not None:
        scores = scores * found.weights[..., None]
    return NamedBoxes(
        found.boxes.flatten(0, 1),
        scores.repeat_interleave(frames, 0),
        truth.boxes.flatten(0, 1),
        truth.names.repeat_interleave(frames, 0),
        truth.there.flatten(0, 1),
    )


def all_scores(found: Found, truth: Localization, targets: int = len(SHAPES)) -> dict[str, float]:
    """`localization_scores`, mAP50 by the released rules, boxes a frame, and the kinds of boxes (Table 4), in
    percent."""
    boxes = named_boxes(found, truth, targets)
    kind = kinds(boxes.found, boxes.truth, boxes.there)
    return {
        **localization_scores(found, truth),
        "map50": map50_released(boxes),
        "boxes": float(boxes.real.float().sum(1).mean()),
        **(shares(kind) if bool((kind >= 0).any()) else {}),
    }

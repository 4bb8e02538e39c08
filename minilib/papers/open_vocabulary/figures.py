"""Pictures of open-vocabulary localization: slots in colours, boxes with names, and where it fails, found by rule.

Axes: b clips, t frames, s slots, o objects, h and w pixels, u steps, r and c patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import ImageColor
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from minilib import plots
from minilib.clips import enlarged
from minilib.metrics.localization import best, overlaps
from minilib.metrics.named_boxes import GO, KINDS, kinds
from minilib.papers.open_vocabulary.small import Found
from minilib.world.localization import Localization
from minilib.world.vocabulary import SHAPES

PALETTE = torch.tensor([ImageColor.getrgb(colour) for colour in plots.COLOURS], dtype=torch.uint8)


def coloured(frames: Tensor, ids: Tensor, kept: Sequence[int] | None = None, strength: float = 0.6) -> Tensor:
    """Frames uint8 (t, h, w, 3) under the colours of ids int64 (u, r, c), in that shape; with `kept` only those, and
    the rest grey."""
    shape = (len(frames) // len(ids), frames.shape[1] // ids.shape[1], frames.shape[2] // ids.shape[2])
    for axis, times in enumerate(shape):
        ids = ids.repeat_interleave(times, axis)
    colour = PALETTE[ids % len(PALETTE)].float()
    out = (1 - strength) * frames.float() + strength * colour
    if kept is not None:
        inside = torch.isin(ids, torch.as_tensor(list(kept), dtype=ids.dtype))[..., None]
        out = torch.where(inside, out, frames.float().mean(-1, keepdim=True).mul(0.5).add(90).expand_as(out))
    return out.round().to(torch.uint8)


def with_boxes(frames: Tensor, boxes: Tensor, names: Sequence[str], colours: Sequence[int], scale: int = 2) -> Tensor:
    """Frames uint8 (t, h, w, 3), `scale` times as large, with boxes (t, s, 4) and a name in each."""
    out = []
    for picture, box in zip(enlarged(frames, scale).movedim(-1, 1), scale * boxes, strict=True):
        seen = [s for s, (left, _, right, _) in enumerate(box.tolist()) if right > left]
        if seen:
            inks = [plots.COLOURS[colours[s] % len(plots.COLOURS)] for s in seen]
            ends = box[seen] - box.new_tensor([0, 0, 1, 1])
            labels = [names[s] or None for s in seen]
            picture = draw_bounding_boxes(
                picture,
                ends,
                labels,
                inks,
                width=2,
                label_colors=inks,
                label_background_colors="white",
                fill_labels=True,
            )
        out.append(picture.movedim(0, -1))
    return torch.stack(out)


def slot_boxes(found: Found, clip: int) -> tuple[Tensor, list[str], list[int]]:
    """Boxes (t, s, 4) of a clip's slots that have any, their names, and their numbers as colours."""
    slots = [
        s
        for s in range(found.boxes.shape[2])
        if bool((found.boxes[clip, :, s, 2:] > found.boxes[clip, :, s, :2]).any())
    ]
    names = [SHAPES[int(found.names[clip, s])] if int(found.names[clip, s]) < len(SHAPES) else "" for s in slots]
    return found.boxes[clip][:, slots], names, slots


# --- what slots hold and where it fails, by rule ---------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One example: clip, frame, slot and object (None where there is none)."""

    clip: int
    frame: int
    slot: int
    object: int | None = None


def first_of_kind(found: Found, truth: Localization) -> dict[str, Case]:
    """Figure 5: the first box of each kind, in the order of clips, frames and slots."""
    kind = torch.stack([kinds(b, t, h) for b, t, h in zip(found.boxes, truth.boxes, truth.there, strict=True)])
    return {name: Case(*map(int, (kind == k).nonzero()[0])) for k, name in enumerate(KINDS) if bool((kind == k).any())}


def failures(before: Found, after: Found, truth: Localization) -> dict[str, list[Case]]:
    """Figures 9-12 by rule, object by object, where it is seen in the first frame of its clip.

    localization: the best box after joint optimisation has the object's name, and an IoU of 0.2 to 0.5. removal: a box
    before found it, none after does, and none after covers a group. instances: after joint optimisation its best box
    covers a group of objects, before it was found. naming: it is found after, under another name.
    """
    out: dict[str, list[Case]] = {"localization": [], "removal": [], "instances": [], "naming": []}
    was, now = best(before.boxes, truth.boxes), best(after.boxes, truth.boxes)  # (b, t, o)
    slot = overlaps(after.boxes, truth.boxes).argmax(2)
    for clip in range(len(truth.frames)):
        kind = kinds(after.boxes[clip], truth.boxes[clip], truth.there[clip])
        for o in truth.there[clip, 0].nonzero().flatten().tolist():
            s = int(slot[clip, 0, o])
            right = int(after.names[clip, s]) == int(truth.names[clip, o])
            case, iou = Case(clip, 0, s, o), float(now[clip, 0, o])
            if iou > 0.5:
                out["naming"] += [] if right else [case]
            elif float(was[clip, 0, o]) > 0.5:
                out["instances" if int(kind[0, s]) == GO else "removal"].append(case)
            elif right and iou > 0.2:
                out["localization"].append(case)
    return out


def steadiness(assigned: Tensor, ids: Tensor) -> float:
    """Percent of neighbouring frames in which an object's patches belong mostly to the same slot as before.

    assigned int64 (b, t, r, c) and identities (b, t, r, c) on the same patches, 0 the ground.
    """
    same, asked, slots = 0, 0, int(assigned.max()) + 1
    won = F.one_hot(assigned, slots)
    for o in range(1, int(ids.max()) + 1):
        mine = (ids == o)[..., None]
        seen = mine.flatten(2).any(2)
        main = (won * mine).flatten(2, 3).sum(2).argmax(-1)  # (b, t)
        both = seen[:, 1:] & seen[:, :-1]
        same += int(((main[:, 1:] == main[:, :-1]) & both).sum())
        asked += int(both.sum())
    return 100 * same / max(asked, 1)

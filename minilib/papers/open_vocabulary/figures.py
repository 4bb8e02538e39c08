"""Pictures of open-vocabulary localization: slots in colours, boxes with names, and where it fails, found by rule.

Axes: b clips, t frames, s slots, o objects, h and w pixels, u steps, r and c patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from minilib import plots
from minilib.clips import enlarged
from minilib.metrics.localization import FOUND, best, overlaps
from minilib.metrics.named_boxes import GO, KINDS, kinds
from minilib.papers.open_vocabulary.small import Found
from minilib.world.localization import Localization
from minilib.world.vocabulary import SHAPES

PALETTE = torch.tensor([ImageColor.getrgb(colour) for colour in plots.COLOURS], dtype=torch.uint8)
FAINT = plots.COLOURS[7]  # yellow, which nobody can read on white


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
    """Frames uint8 (t, h, w, 3), `scale` times as large, with boxes (t, s, 4) and a name at each, where no other name
    stands if there is such a place."""
    out, font = [], ImageFont.load_default(13)
    for picture, found in zip(enlarged(frames, scale).movedim(-1, 1), scale * boxes, strict=True):
        seen = [s for s, (left, _, right, _) in enumerate(found.tolist()) if right > left]
        inks = [plots.COLOURS[colours[s] % len(plots.COLOURS)] for s in seen]
        if seen:
            picture = draw_bounding_boxes(picture, found[seen] - found.new_tensor([0, 0, 1, 1]), colors=inks, width=2)
        image = Image.fromarray(picture.movedim(0, -1).contiguous().numpy())
        draw, taken = ImageDraw.Draw(image), []
        for s, ink in zip(seen, inks, strict=True):
            if names[s]:
                width, height = (int(side) + 4 for side in draw.textbbox((0, 0), names[s], font)[2:])
                at = _free(found[s].tolist(), (width, height), image.size, taken)
                taken.append((*at, at[0] + width, at[1] + height))
                draw.rectangle(taken[-1], fill="white")
                draw.text((at[0] + 2, at[1] + 1), names[s], ink if ink != FAINT else "black", font)
        out.append(torch.from_numpy(np.array(image)))
    return torch.stack(out)


def _free(box: Sequence[float], label: tuple[int, int], size: tuple[int, int], taken: Sequence[tuple]) -> tuple:
    """Where a label (width, height) goes: above its box, below, or inside, the first place without another one."""
    (left, top, right, bottom), (width, height) = map(int, box), label
    places = [(x, y) for y in (top - height, bottom, top + 2, bottom - height - 2) for x in (left, right - width)]
    inside = [(min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height)) for x, y in places]

    def covered(x: int, y: int) -> int:
        return sum(
            max(min(x + width, r) - max(x, l), 0) * max(min(y + height, b) - max(y, t), 0) for l, t, r, b in taken
        )

    return min(inside, key=lambda at: covered(*at))  # the first of those that cover least


def slot_boxes(found: Found, clip: int, words: Sequence[str] = SHAPES) -> tuple[Tensor, list[str], list[int]]:
    """Boxes (t, s, 4) of a clip's slots that have any, their names among `words`, and their numbers as colours."""
    slots = [
        s
        for s in range(found.boxes.shape[2])
        if bool((found.boxes[clip, :, s, 2:] > found.boxes[clip, :, s, :2]).any())
    ]
    names = [words[int(found.names[clip, s])] if int(found.names[clip, s]) < len(words) else "" for s in slots]
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


def named_right(found: Found, truth: Localization) -> tuple[int, int]:
    """Of the objects that one slot's boxes find, in the mean over frames: how many have their name, and how many there
    are."""
    iou, slot = overlaps(found.boxes, truth.boxes).mean(1).max(1)  # (b, o)
    hits = (iou > FOUND) & truth.there.any(1)
    return int((found.names.gather(1, slot) == truth.names)[hits].sum()), int(hits.sum())


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

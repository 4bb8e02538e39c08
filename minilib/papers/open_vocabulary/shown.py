"""What the page shows of the shipped models: one group of eight clips from frames to named boxes, and their words.

Axes: b clips, t frames, u steps, r and c patches, s slots, o objects, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minilib.metrics.localization import FOUND, overlaps
from minilib.metrics.named_boxes import KINDS, kinds
from minilib.models.slots import slot_step
from minilib.papers.open_vocabulary import naming, pipelines, proposals
from minilib.papers.open_vocabulary.figures import coloured, slot_boxes, with_boxes
from minilib.papers.open_vocabulary.joint import Joined, joint_optimisation
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.naming import Vocabulary
from minilib.papers.open_vocabulary.pipelines import OURS, boxed, content_of, names_of, patches_of, proposed
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.proposals import Proposal
from minilib.papers.open_vocabulary.small import OBJECTS, Found, joined_boxes, sentences
from minilib.world.localization import Localization, localization_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, PLACES, SHAPES, SIZES, TEXTURES

Which = tuple[int, str, str]  # group, split, combinations


@dataclass(frozen=True)
class Walk:
    """A group on its way: slots, boxes with names before (`apart`) and after joint optimisation (`after`), which slots
    are kept, bool (b, s), and the group of each token."""

    clips: Localization
    slots: Proposal
    apart: Found
    kept: Tensor
    joined: Joined
    after: Found

    def panels(self, clip: int) -> dict[str, Tensor]:
        """Input, slots, named, merged: each (t, h, w, 3), twice the size of the frames."""
        frames, ids = self.clips.frames[clip], self.slots.assigned[clip]
        kept = self.kept[clip].nonzero().flatten().tolist()
        groups = self.joined.groups[clip].nonzero().flatten().tolist()
        nothing = self.apart.boxes[clip][:, :0]
        names = [SHAPES[int(self.apart.names[clip, s])] for s in kept]
        boxes, words, numbers = slot_boxes(self.after, clip)
        return {
            "input": with_boxes(frames, nothing, [], []),
            "slots": with_boxes(coloured(frames, ids), nothing, [], []),
            "kept, and named": with_boxes(coloured(frames, ids, kept), self.apart.boxes[clip][:, kept], names, kept),
            "merged": with_boxes(coloured(frames, self.joined.tokens[clip], groups), boxes, words, numbers),
        }

    def mended(self) -> Tensor:
        """Clips in which slots merge and every object is found and rightly named, bool (b,)."""
        iou, slot = overlaps(self.after.boxes, self.clips.boxes).mean(1).max(1)  # (b, o)
        right = (self.after.names.gather(1, slot) == self.clips.names) & (iou > FOUND)
        there = self.clips.there.any(1)
        return (right | ~there).all(1) & (self.joined.groups.sum(1) < self.kept.sum(1))


def walk(which: Which, vocabulary: Vocabulary = OBJECTS) -> Walk:
    """The shipped models on a group, by this suite's rules."""
    clips, slots = clips_of(*which), proposed(proposals.video_slots, *which)
    patches, content, names = patches_of(pipelines.patch_clip, *which), content_of(*which), names_of(vocabulary)
    targets, over = len(vocabulary.targets), vocabulary.over
    cosine = naming.cosines(naming.slot_sums(patches, slots.assigned, slots.slots), names, over)
    inside = naming.slot_means(content[..., None], slots.assigned, slots.slots)[..., 0]
    joined = joint_optimisation(
        slots.assigned,
        slots.slots,
        patches,
        names,
        targets,
        offsets=OURS.offsets,
        content=content,
        over=over,
        likeness=OURS.likeness,
    )
    apart, _ = boxed(clips, slots, patches, vocabulary, None)
    after = joined_boxes(joined, clips.frames.shape[1], clips.frames.shape[2])
    return Walk(clips, slots, apart, naming.wanted(cosine, targets, content=inside), joined, after)


def first_mended(first: Walk, split: str, most: int = 8) -> tuple[Walk, int]:
    """The first group with a clip that is `Walk.mended`, and the clip; the last of `most` groups where none has one.
    first: the walk of group 0."""
    found = first
    for group in range(1, most):
        if bool(found.mended().any()):
            break
        found = walk((group, split, "seen"))
    return found, int(found.mended().int().argmax())


@torch.no_grad()
def rounds(model: VideoSlots, features: Tensor, seed: int, count: int = 3) -> list[Tensor]:
    """The slot of each token, (b, u, r, c), by the masks of each round of slot attention."""
    attention = model.attention
    keys, values = attention.read(attention.norm_input(model.read(features.flatten(1, 3))))
    slots, found = attention.initial(len(features), torch.Generator().manual_seed(seed)), []
    for _ in range(count):
        slots, masks = slot_step(slots, keys, values, attention.query, attention.update)
        found.append(masks.argmax(1).view(features.shape[:-1]))
    return found


@torch.no_grad()
def frame_by_frame(model: VideoSlots, features: Tensor, seed: int) -> Tensor:
    """The same slots for each frame by itself, drawn anew: (b, u, r, c)."""
    steps = features.shape[1]
    return torch.cat([proposals.slots_of(model, features[:, t : t + 1], seed + t).assigned for t in range(steps)], 1)


def on_ground(found: Found, slots: Proposal, clips: Localization) -> dict[str, float]:
    """Of the boxes of each kind (Appendix A.2), percent whose slot has more than half of its patches on the ground."""
    truth = proposals.truth(clips, 0).assigned == 0
    owner = F.one_hot(slots.assigned, slots.slots).movedim(-1, 2).float()  # (b, t, s, r, c)
    share = (owner * truth[:, :, None]).sum((3, 4)) / owner.sum((3, 4)).clamp(min=1)
    kind = torch.stack([kinds(b, t, h) for b, t, h in zip(found.boxes, clips.boxes, clips.there, strict=True)])
    return {
        name: 100 * float((share > 0.5)[kind == k].float().mean())
        for k, name in enumerate(KINDS)
        if bool((kind == k).any())
    }


# --- words -----------------------------------------------------------------------------------------------------------


def fewer(name: str) -> Sequence[str]:
    """A quarter of the sentences with a word, for words of which nothing depends."""
    return sentences(name, 128)


def of_pair(name: str, count: int = 32) -> list[str]:
    """Sentences about a shape in a colour, spread over all."""
    colour, shape = name.split()
    parts = list(product(SIZES, TEXTURES, PLACES, GROUNDS))
    chosen = [parts[101 * i % len(parts)] for i in range(count)]
    return [f"a {size} {colour} {texture} {shape} {place} on {ground}" for size, texture, place, ground in chosen]


PAIRS = Vocabulary(tuple(f"{c} {s}" for c, s in product(COLOURS, SHAPES)), (), of_pair, naming.fitting)
WORDS = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES, "ground": GROUNDS}


@dataclass(frozen=True)
class Told:
    """What is true of n objects and what two readers say of their true masks: kind of word -> int64 (n,)."""

    truth: dict[str, Tensor]
    patch_clip: dict[str, Tensor]
    vanilla: dict[str, Tensor]

    @property
    def count(self) -> int:
        return len(next(iter(self.truth.values())))

    def right(self, kinds_of_words: Sequence[str]) -> dict[str, tuple[float, float, float]]:
        """Kind -> percent right of patch-CLIP, of CLIP's own patches, and chance."""

        def share(said: dict[str, Tensor], kind: str) -> float:
            return 100 * float((said[kind] == self.truth[kind]).float().mean())

        return {
            kind: (share(self.patch_clip, kind), share(self.vanilla, kind), 100 / len(WORDS[kind]))
            for kind in kinds_of_words
        }


def told(which: Which) -> Told:
    """Of a group's objects that cover six patches a frame or more in the mean: their shape, colour and texture, and the
    ground under them."""
    clips, scenes = clips_of(*which), localization_scenes(*which[:2], np.arange(pipelines.CLIPS), combinations=which[2])
    masks = proposals.truth(clips, 0)
    large = F.one_hot(masks.assigned, masks.slots).flatten(1, -2).sum(1)[:, 1:] >= 6 * clips.frames.shape[1]
    known = {
        "shape": scenes.shape,
        "colour": scenes.colour,
        "texture": scenes.texture,
        "ground": scenes.ground[:, None],
    }
    truth = {kind: torch.as_tensor(value).expand_as(large)[large].long() for kind, value in known.items()}
    said = []
    for reader in (pipelines.patch_clip, pipelines.vanilla):
        sums = naming.slot_sums(patches_of(reader, *which), masks.assigned, masks.slots)[:, 1:]
        words = {kind: Vocabulary(each, (), fewer, naming.fitting) for kind, each in WORDS.items()}
        cosines = {kind: naming.cosines(sums, names_of(each), each.over) for kind, each in words.items()}
        said.append({kind: cosine.argmax(-1)[large] for kind, cosine in cosines.items()})
    return Told(truth, *said)


def together(parts: Sequence[Told]) -> Told:
    """Several groups as one."""
    names = ("truth", "patch_clip", "vanilla")
    return Told(*({kind: torch.cat([getattr(part, name)[kind] for part in parts]) for kind in WORDS} for name in names))


def _cosines(reader: pipelines.Reader, vocabulary: Vocabulary, which: Which, clip: int) -> Tensor:
    """Of the shipped slots of a clip with all names, (s, k)."""
    slots = proposed(proposals.video_slots, *which)
    sums = naming.slot_sums(patches_of(reader, *which), slots.assigned, slots.slots)
    return naming.cosines(sums, names_of(vocabulary), vocabulary.over)[clip]


def sure(reader: pipelines.Reader, which: Which, clip: int, chosen: Sequence[int]) -> list[str]:
    """'star 92 %' for each slot: its nearest shape, and the soft-max over shapes."""
    share = (naming.SCALE * _cosines(reader, OBJECTS, which, clip)).softmax(-1)
    return [f"{SHAPES[int(share[s].argmax())]} {100 * float(share[s].max()):.0f} %" for s in chosen]


def any_slot(vocabulary: Vocabulary, which: Which, clip: int) -> tuple[list[str], list[int]]:
    """Figure 8: the nearest word of every slot that owns a patch, between underscores where its cosine is below the
    median of those slots; and the slots."""
    cosine, slots = _cosines(pipelines.patch_clip, vocabulary, which, clip), proposed(proposals.video_slots, *which)
    there = F.one_hot(slots.assigned[clip], slots.slots).flatten(0, 2).sum(0).nonzero().flatten()
    best, word = cosine[there].max(-1)
    names = [vocabulary.names[int(k)] for k in word]
    return [f"_{name}_" if low else name for name, low in zip(names, best < best.median(), strict=True)], there.tolist()


def pairs_said(seen: Walk, scenes_of: Which) -> tuple[int, int, int, int]:
    """Of the objects that boxes of PAIRS find in all frames: how many have the right shape, the right colour, both, and
    how many there are."""
    scenes = localization_scenes(*scenes_of[:2], np.arange(pipelines.CLIPS), combinations=scenes_of[2])
    iou = overlaps(seen.after.boxes, seen.clips.boxes).mean(1)  # (b, s, o)
    best, slot = iou.max(1)
    found = (best > FOUND) & seen.clips.there.all(1)
    name = seen.after.names.gather(1, slot)[found]
    colour = name // len(SHAPES) == torch.as_tensor(scenes.colour)[found]
    shape = name % len(SHAPES) == torch.as_tensor(scenes.shape)[found]
    return int(shape.sum()), int(colour.sum()), int((shape & colour).sum()), len(name)

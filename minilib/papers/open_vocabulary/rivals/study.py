"""The rivals as a study's variants: what stands in which cell of Tables 1 and 2, how it is trained, how it is tested.

Slots of features learn by `encoded_loss`, slots of pixels by `pictured_loss`: both explain the same clips, and paint a
quarter of the tokens, or of the frames, in each step. Slots of object-centric adaptation learn from the clips and
labels of their own page. The recipe is one, and each chooses among the same rates. All have eight slots; where features
are read, the decoder is this suite's. A seed trains on clips of its own and is tested on groups of eight of its own, by
the boxes, names and rules of all else.

Axes: b clips, t frames, r and c patches.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from minilib.models.small_clip import small_clip
from minilib.papers.object_centric.losses import Objective, OnPixels
from minilib.papers.object_centric.method import oca
from minilib.papers.open_vocabulary.fresh import FIRST
from minilib.papers.open_vocabulary.live import GROUPS, tested
from minilib.papers.open_vocabulary.pipelines import (
    OURS,
    Rules,
    Shipped,
    boxed,
    content_of,
    outcome,
    patch_clip,
    patches_of,
    proposed,
)
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.encoders import GRID
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED, Grouping
from minilib.papers.open_vocabulary.pretrain.painted import painted
from minilib.papers.open_vocabulary.proposals import Proposal, localizer, video_slots
from minilib.papers.open_vocabulary.rivals.adapted import AdaptedSlots
from minilib.papers.open_vocabulary.rivals.clips import EncodedClips, TrainingClips, encoder_of
from minilib.papers.open_vocabulary.rivals.crops import View, crop_patches, whole
from minilib.papers.open_vocabulary.rivals.method import (
    FeatureSlots,
    SlotMasks,
    encoded_loss,
    linked,
    pooled,
)
from minilib.papers.open_vocabulary.rivals.pixels import PixelSlots, SAVi, pictured_loss
from minilib.papers.open_vocabulary.small import OBJECTS
from minilib.study import Feed, Outcome, Row, Trial, Tuned, Variant, WorldTask
from minilib.training import TrainSettings
from minilib.world import FEW, TASKS

RECIPE = Tuned(TrainSettings(steps=1000, batch=8, lr=1e-3, warmup=50, precision="bf16"))

# --- how they are tested ----------------------------------------------------------------------------------------------


class Looks(Protocol):
    """A model that is tested: uint8 (b, t, h, w, 3) to the masks of its slots."""

    def look(self, frames: Tensor, generator: torch.Generator | None = None) -> SlotMasks: ...


def proposal(seen: SlotMasks) -> Proposal:
    """The slot of each place; masks of pixels on the patches' grid."""
    if seen.masks.shape[-1] > GRID:
        seen = pooled(seen, (GRID, GRID))
    return Proposal(seen.assigned, seen.masks.shape[2], per_frame=not seen.tubes)


def scored(looks: list[SlotMasks], groups: list[tuple[int, str, str]], rules: Rules | None) -> dict[str, float]:
    """The mean over groups of what boxes and names score, after joint optimisation or without."""
    parts = []
    for seen, which in zip(looks, groups, strict=True):
        content = content_of(*which) if rules is not None else None
        patches = patches_of(patch_clip, *which)
        parts.append(boxed(clips_of(*which), proposal(seen), patches, OBJECTS, rules, content))
    return tested(parts)


@torch.no_grad()
def scores_on_test(model: Looks, seed: int, split: str) -> dict[str, float]:
    """After joint optimisation under their bare names, DecRate as the score; before it under "apart/". Of slots that
    know one frame also those of their tubes, `linked`: "linked/" and "linked_apart/". The groups are fresh, as those of
    the controls are."""
    groups = [(FIRST + GROUPS * seed + number, split, "seen") for number in range(GROUPS)]
    looks = [model.look(clips_of(*which).frames, torch.Generator().manual_seed(which[0])) for which in groups]
    ways = {"": (looks, OURS), "apart/": (looks, None)}
    if not looks[0].tubes:
        tubes = [linked(seen) for seen in looks]
        ways |= {"linked/": (tubes, OURS), "linked_apart/": (tubes, None)}
    found = {}
    for way, (seen, rules) in ways.items():
        scores = scored(seen, groups, rules)
        dec_rate = scores.pop("")
        found |= {f"{way}dec_rate" if way else "": dec_rate} | {f"{way}{name}": x for name, x in scores.items()}
    return found


@dataclass(frozen=True)
class Learner(Variant):
    """Learns from the clips of `task`, and is tested on those of the localization task. step_seconds: of one core, as
    far as is known; plans go by it until a run was timed."""

    step_seconds: float = field(default=0.8, compare=False)

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        inputs = self.task.feed("train", trial.seed, trial.device)
        model, history = self.trained(inputs, recipe, trial)
        return Outcome(model, history, scores_on_test(model.cpu().eval(), trial.seed, trial.split))


@dataclass(frozen=True)
class Cropped:
    """The shipped slots, named by what CLIP says of their crops (Sec. 4)."""

    view: View = whole
    rules: Rules | None = OURS

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        which = trial.seed, trial.split, "seen"
        clips, found = clips_of(*which), proposed(video_slots, *which)
        assigned = found.assigned.repeat_interleave(clips.frames.shape[1] // found.assigned.shape[1], 1)
        patches = crop_patches(clips.frames, assigned, found.slots, localizer().clip, self.view)
        content = None if self.rules is None else content_of(*which)
        return outcome(*boxed(clips, found, patches, OBJECTS, self.rules, content), False)

    def smoke(self) -> Cropped:
        return self


# --- variants ---------------------------------------------------------------------------------------------------------

IMAGE, VIDEO = TRIED["image"], TRIED["normalised"]
GROUPINGS = {
    "dinosaur": replace(IMAGE, per_frame=True),
    "image_tubes": IMAGE,
    "video_frames": replace(VIDEO, per_frame=True),
    "video_tubes": VIDEO,
}
OCA_FRAMES = 4


def on_encoder(feed: Feed, grouping: Grouping) -> FeatureSlots:
    """Slots on a shipped encoder."""
    return FeatureSlots(grouping, encoder_of(grouping))


def on_pixels(feed: Feed, model: type[PixelSlots]) -> nn.Module:
    return model()


def adapted(feed: Feed, classes: int) -> AdaptedSlots:
    """Notebook 04's model on the first small CLIP."""
    clip = small_clip()
    return AdaptedSlots(clip, oca(clip.visual, OCA_FRAMES, classes))


APPEARANCE = "hard appearance"  # what notebook 04's slots are taught for masks
CLASSES = len(TASKS[APPEARANCE])
PIXELS = {"slot_attention": PixelSlots, "savi": SAVi}
TRAINED = {
    **{
        name: Learner(partial(on_encoder, grouping=each), EncodedClips(grouping=each), encoded_loss, step_seconds=0.25)
        for name, each in GROUPINGS.items()
    },
    **{
        name: Learner(partial(on_pixels, model=model), TrainingClips(), pictured_loss, step_seconds=0.4)
        for name, model in PIXELS.items()
    },
    "oca": Learner(
        partial(adapted, classes=CLASSES),
        WorldTask(APPEARANCE, OCA_FRAMES, FEW * CLASSES),
        OnPixels(Objective(reasoning=0.1)),
    ),
}
CROPS = {
    "crops": Cropped(),
    "crops_apart": Cropped(rules=None),
    "crops_painted": Cropped(painted),
    "crops_painted_apart": Cropped(painted, None),
}

# --- tables -----------------------------------------------------------------------------------------------------------

OURS_PRINTED = "t3.ivid.joint.patch"
ONE = {  # Table 1 prints them, most likely, without joint optimisation: DINOSAUR's 48.04 is Table 2's 62.12
    "Slot Attention": ("slot_attention/apart", "t1.ivid.slot_attention"),
    "SAVi": ("savi/apart", "t1.ivid.savi"),
    "DINOSAUR": ("dinosaur/apart", "t1.ivid.dinosaur"),
    "ours": ("video_tubes", OURS_PRINTED),
    "slots of notebook 04": ("oca/apart", None),
}
TWO = {
    "images, slots of a frame": ("dinosaur", "t2.image.frames"),
    "images, slots of a clip": ("image_tubes", "t2.image.video"),
    "videos, slots of a frame": ("video_frames", "t2.video.frames"),
    "videos, slots of a clip": ("video_tubes", OURS_PRINTED),
}
METRICS = ("cor_loc", "dec_rate", "map50")


def rows(cells: dict[str, tuple[str, str | None]], metric: str) -> dict[str, Row]:
    """One column of a table; the DecRate after joint optimisation is the score itself."""
    part = {name: "" if metric == "dec_rate" and "/" not in name else f"/{metric}" for name, _ in cells.values()}
    return {
        label: Row(name + part[name], printed and f"{printed}.{metric}") for label, (name, printed) in cells.items()
    }


TABLES = {f"{name}.{metric}": rows(cells, metric) for name, cells in (("t1", ONE), ("t2", TWO)) for metric in METRICS}

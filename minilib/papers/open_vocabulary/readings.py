"""What else can be asked of the shipped slots and of patches, without training a network.

Slots that settle and are scored by how solid they are; controls that emit as many boxes as ours; other prompts; COCO's
mAP; what patches are called under the true masks, and what a linear reader finds in the same patches (Sec. 4).

Axes: b clips, t frames, s slots, r and c patches, n objects or patches, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline as Steps
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from minilib.metrics.named_boxes import map50_coco
from minilib.papers.open_vocabulary import proposals
from minilib.papers.open_vocabulary.naming import Vocabulary, cosines, mean, photo, photo_of_a, slot_means, slot_sums
from minilib.papers.open_vocabulary.pipelines import (
    SETTLED,
    WEIGHED,
    Pipeline,
    Reader,
    Shipped,
    content_of,
    eq_alone,
    names_of,
    outcome,
    patch_clip,
    patches_of,
    proposed,
    vanilla,
)
from minilib.papers.open_vocabulary.pipelines import test_clips as clips_of
from minilib.papers.open_vocabulary.pretrain.encoders import GRID
from minilib.papers.open_vocabulary.proposals import Proposer, settled_slots
from minilib.papers.open_vocabulary.small import OBJECTS, Found, named_boxes, sentences
from minilib.resume import History
from minilib.study import Outcome, Trial
from minilib.study.study import Runnable
from minilib.world.localization import Localization, patch_masks
from minilib.world.vocabulary import SHAPES


@dataclass(frozen=True)
class Reading:
    """Nothing of it can be made smaller."""

    def smoke(self) -> Reading:
        return self


def scored(metrics: dict[str, float]) -> Outcome:
    return Outcome(None, History([], 0.0), metrics)


# --- boxes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AsMany(Reading):
    """A control that emits in each clip as many tubes of boxes as ours: of its own, before joint optimisation, those
    with the most content, by which ours are kept."""

    proposer: Proposer

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        which = trial.seed, trial.split, "seen"
        ours, _ = Pipeline().found(trial.seed, trial.split)
        found, clips = Pipeline(self.proposer, rules=None).found(trial.seed, trial.split)
        own = proposed(self.proposer, *which)
        content = slot_means(content_of(*which)[..., None], own.assigned, own.slots)[..., 0]
        return outcome(first_of(found, content, tubes(ours).sum(-1)), clips, False)


def tubes(found: Found) -> Tensor:
    """Which slots have a box in any frame, bool (b, s)."""
    return (found.boxes[..., 2:] > found.boxes[..., :2]).all(-1).any(1)


def first_of(found: Found, worth: Tensor, count: Tensor) -> Found:
    """The boxes of the `count` (b,) slots of each clip that have boxes and are worth most, (b, s)."""
    worth = torch.where(tubes(found), worth, -torch.inf)
    order = worth.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return replace(found, boxes=found.boxes * (order < count[:, None])[:, None, :, None])


@dataclass(frozen=True)
class ByCoco(Reading):
    """A pipeline's mAP50 by COCO's rules, by pycocotools; the released rules are the metric `map50` of the same."""

    pipeline: Pipeline

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        return scored({"": map50_coco(named_boxes(*self.pipeline.found(trial.seed, trial.split)))})


# --- names of true masks ----------------------------------------------------------------------------------------------

LEAST = 16  # patches over all frames that an object needs


@dataclass(frozen=True)
class Objects:
    """What patches say of objects: features (n, e) of the mean patch of each, names int64 (n,); and of the patches that
    lie in them, patch_features (n', e) and patch_names (n',)."""

    features: Tensor
    names: Tensor
    patch_features: Tensor
    patch_names: Tensor


def objects_in(clips: Localization, patches: Tensor) -> Objects:
    """The objects of clips under their true masks, read by patches (b, t, r, c, e)."""
    count, cells = clips.names.shape[1], patch_masks(clips.ids, GRID, clips.names.shape[1])
    assigned, slots = cells.int().argmax(2), 1 + count
    seen = cells[:, :, 1:].flatten(3).sum((1, 3)) > LEAST
    means = F.normalize(slot_sums(patches, assigned, slots)[:, 1:], dim=-1)
    inside = patch_masks(clips.ids, patches.shape[2], count)[:, :, 1:] & seen[:, None, :, None, None]
    label = clips.names.gather(1, inside.int().argmax(2).flatten(1)).view(patches.shape[:-1])
    lies = inside.any(2)
    return Objects(means[seen], clips.names[seen], F.normalize(patches[lies], dim=-1), label[lies])


@lru_cache(maxsize=256)
def objects_of(reader: Reader, seed: int, split: str) -> Objects:
    """The objects of a group of clips."""
    return objects_in(clips_of(seed, split), patches_of(reader, seed, split, "seen"))


def called_rightly(objects: Objects) -> dict[str, float]:
    """The share of objects whose shape is the best of the words, in percent; `patch`: of their patches, one by one."""
    words, parts = names_of(OBJECTS), {}
    for part, features, names in (
        ("", objects.features, objects.names),
        ("patch", objects.patch_features, objects.patch_names),
    ):
        best = cosines(features[None], words, OBJECTS.over)[0].argmax(-1)
        parts[part] = 100 * float((best == names).float().mean())
    return parts


@dataclass(frozen=True)
class NamedMasks(Reading):
    """`called_rightly` by a reader."""

    reader: Reader = patch_clip

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        return scored(called_rightly(objects_of(self.reader, trial.seed, trial.split)))


def as_they_are(names: np.ndarray) -> np.ndarray:
    return names


def exchanged(names: np.ndarray) -> np.ndarray:
    """Names of other objects, drawn."""
    return np.random.default_rng(0).permutation(names)


@dataclass(frozen=True)
class LinearReader(Reading):
    """Logistic regression from patches to shapes, of the true masks of `groups` groups of training clips: how much of
    shape is there, whether or not words reach it. Scores as `NamedMasks`; control: labels `exchanged`."""

    reader: Reader = vanilla
    labels: Callable[[np.ndarray], np.ndarray] = as_they_are
    groups: int = 64

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        objects = objects_of(self.reader, trial.seed, trial.split)
        of_objects, of_patches = fitted(self)
        return scored({
            "": 100 * of_objects.score(objects.features.numpy(), objects.names.numpy()),
            "patch": 100 * of_patches.score(objects.patch_features.numpy(), objects.patch_names.numpy()),
        })  # fmt: skip

    def smoke(self) -> LinearReader:
        return replace(self, groups=2)


@lru_cache(maxsize=4)
def fitted(linear: LinearReader) -> tuple[Steps, Steps]:
    """The linear reader of objects, and that of single patches."""
    groups = [objects_of(linear.reader, number, "train") for number in range(linear.groups)]
    parts = (("features", "names"), ("patch_features", "patch_names"))
    found = []
    for features, names in parts:
        x, y = (torch.cat([getattr(group, part) for group in groups]).numpy() for part in (features, names))
        found.append(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, linear.labels(y)))
    return found[0], found[1]


def both_photos(name: str) -> list[str]:
    """With an article and without."""
    return photo(name) + photo_of_a(name)


# --- variants, for fresh groups ---------------------------------------------------------------------------------------

ALL_THREE = Pipeline(settled_slots, rules=SETTLED)
READINGS: dict[str, Runnable] = {
    "settled": ALL_THREE,
    "settled_vanilla": replace(ALL_THREE, reader=vanilla),
    "ten_iterations": Pipeline(settled_slots),
    "half_content": Pipeline(rules=replace(WEIGHED, least=SETTLED.least)),
    "solid": Pipeline(rules=replace(WEIGHED, weigh=SETTLED.weigh)),
    **{f"as_many/{each.__name__}": AsMany(each) for each in proposals.CONTROLS},
    "coco/ours": ByCoco(Pipeline()),
    "coco/ours_vanilla": ByCoco(Pipeline(reader=vanilla)),
    "coco/apart": ByCoco(Pipeline(rules=None)),
    "coco/settled": ByCoco(ALL_THREE),
    "prompt/photo": Pipeline(vocabulary=Vocabulary(SHAPES)),
    "prompt/photo_of_a": Pipeline(vocabulary=Vocabulary(SHAPES, (), photo_of_a)),
    "prompt/both_photos": Pipeline(vocabulary=Vocabulary(SHAPES, (), both_photos)),
    "prompt/best": Pipeline(vocabulary=Vocabulary(SHAPES, (), sentences)),
    "prompt/mean": Pipeline(vocabulary=Vocabulary(SHAPES, (), sentences, mean)),
    "masks/vanilla": NamedMasks(vanilla),
    "masks/eq_alone": NamedMasks(eq_alone),
    "masks/patch_clip": NamedMasks(),
    "linear/vanilla": LinearReader(),
    "linear/patch_clip": LinearReader(patch_clip),
    "linear/exchanged": LinearReader(labels=exchanged),
}

"""Clips that nothing was looked at on before, and negative controls that are quiet enough for them.

The first controls compared our boxes of the next clip with those of the one after it, and words that mean the next
shape with words that mean the third. Boxes that lie right by chance are few and come in clips, and two fixed wrong
words are not equally wrong, for a circle is taken for a square more often than for a star. Both are mended by the same
means. Each side is the mean of three ways to be wrong, and the two sides are the same three ways in opposite
directions: if one has the boxes of clip i on clip j, the other has those of j on i. Turning the order of the clips, or
of the names, exchanges the sides, and that order is drawn: so both have the same distribution, and the true difference
is nothing. (Both sides of a claim with boxes of other clips would be no such control: who has more boxes finds more by
chance, too. Nor would two readers with wrong words: the better reader is further off.)

On eleven groups of validation clips, points either way of the 96 % interval that 64 groups would give: DecRate 0.8,
CorLoc 1.8, single objects 2.2, mAP50 0.5, shapes 1.8. The fixed words had 2.4 (mAP50) and 3.6 (shapes) there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from minilib.papers.open_vocabulary.pipelines import (
    OURS,
    Pipeline,
    Shipped,
    boxed,
    content_of,
    outcome,
    patch_clip,
    patches_of,
    proposed,
    test_clips,
)
from minilib.papers.open_vocabulary.proposals import Proposal, video_slots
from minilib.papers.open_vocabulary.small import OBJECTS, Found
from minilib.resume import History
from minilib.study import Outcome, Trial
from minilib.study.study import Runnable
from minilib.world.vocabulary import SHAPES

FIRST = 1000  # the group of replicate 0; groups 0 to 255 have rows of before
AHEAD, BEHIND = (1, 2, 3), (-1, -2, -3)  # of eight; the fourth is as far ahead as behind


@dataclass(frozen=True)
class Fresh:
    """Another variant on groups that no trial has used."""

    variant: Runnable

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        return self.variant.run(recipe, replace(trial, seed=FIRST + trial.seed))

    def smoke(self) -> Fresh:
        return Fresh(self.variant.smoke())


# --- negative controls -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OtherBoxes:
    """Our slots of other clips, as many places later in the group as each of `later` says: the mean of each score."""

    later: tuple[int, ...]

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        which = trial.seed, trial.split, "seen"
        clips, own = test_clips(*which), proposed(video_slots, *which)
        patches, content = patches_of(patch_clip, *which), content_of(*which)
        others = [Proposal(own.assigned.roll(-later, 0), own.slots) for later in self.later]
        found = [boxed(clips, other, patches, OBJECTS, OURS, content) for other in others]
        return mean([outcome(*each, shares=True) for each in found])

    def smoke(self) -> OtherBoxes:
        return self


@dataclass(frozen=True)
class OtherWords:
    """Ours under words that mean other shapes, as many places later in a drawn order as each of `later` says: the mean
    of each score. Other words for the same names change no mask, for names are asked only whether they are the same."""

    later: tuple[int, ...]

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        found, clips = Pipeline().found(trial.seed, trial.split)
        order = np.random.default_rng(trial.seed).permutation(len(SHAPES))
        return mean([outcome(renamed(found, order, later), clips, shares=False) for later in self.later])

    def smoke(self) -> OtherWords:
        return self


def renamed(found: Found, order: np.ndarray, later: int) -> Found:
    """What each name stood for stands under the name so many places later in `order`."""
    to = torch.empty(len(order), dtype=torch.int64)
    to[order] = torch.as_tensor(np.roll(order, -later))
    return Found(found.boxes, to[found.names], found.cosines[..., to.argsort()])


def mean(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean of each metric."""
    return Outcome(
        None, History([], 0.0), {name: fmean(each.metrics[name] for each in outcomes) for name in outcomes[0].metrics}
    )


CONTROLS = {
    "boxes_of_later_clips": OtherBoxes(AHEAD),
    "boxes_of_earlier_clips": OtherBoxes(BEHIND),
    "words_of_later_shapes": OtherWords(AHEAD),
    "words_of_earlier_shapes": OtherWords(BEHIND),
}

"""What is compared in the small world: something that proposes, something that names, and how both are joined.

Nothing here is trained. A replicate is a group of eight test clips, drawn by its number, which all pipelines share.

Axes: b clips, t frames, r and c patches, k names, e joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.metrics.named_boxes import KINDS
from minilib.papers.open_vocabulary.joint import IN_FRAME, RELEASED, joint_optimisation, solidity
from minilib.papers.open_vocabulary.localize import LESS_CONTENT
from minilib.papers.open_vocabulary.naming import CONTENT, Vocabulary
from minilib.papers.open_vocabulary.patch_clip import VanillaPatches
from minilib.papers.open_vocabulary.pretrain.patch import OnReduced
from minilib.papers.open_vocabulary.proposals import Proposal, Proposer, localizer, truth, video_slots
from minilib.papers.open_vocabulary.small import (
    LIKENESS,
    OBJECTS,
    Found,
    all_scores,
    apart,
    frame_boxes,
    joined_boxes,
    sentences,
)
from minilib.resume import History
from minilib.study import Outcome, Trial
from minilib.world.localization import Localization, frame_by_frame, localization_batch
from minilib.world.vocabulary import SHAPES

CLIPS = 8  # of a replicate
KEPT = 64  # replicates whose patches stay in memory

# --- names -----------------------------------------------------------------------------------------------------------

Reader = Callable[[], nn.Module]  # makes what gives frames (..., h, w, 3) their patches (..., r, c, e)


def patch_clip() -> nn.Module:
    """The shipped patch-CLIP."""
    return localizer().reader


def vanilla() -> nn.Module:
    """CLIP's own patch tokens."""
    return OnReduced(VanillaPatches(localizer().clip))


def eq_alone() -> nn.Module:
    """The other shipped block, whose weights say where the content is: Eq. 1-3 alone taught it, no slots, and it has no
    attention."""
    return OnReduced(localizer().content.reader.model)


@lru_cache(maxsize=8)
def names_of(vocabulary: Vocabulary) -> Tensor:
    return vocabulary.features(localizer().clip)


def next_shape(name: str) -> list[str]:
    """Sentences about the next shape of the list: words that mean something else."""
    return list(sentences(SHAPES[(SHAPES.index(name) + 1) % len(SHAPES)]))


def third_shape(name: str) -> list[str]:
    """Sentences about the third one after it."""
    return list(sentences(SHAPES[(SHAPES.index(name) + 3) % len(SHAPES)]))


# --- clips, looked at once a process ---------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def test_clips(seed: int, split: str, combinations: str = "seen") -> Localization:
    """Eight clips of the localization task."""
    return localization_batch(seed, split, np.arange(CLIPS), combinations=combinations)


@lru_cache(maxsize=16 * KEPT)
def proposed(proposer: Proposer, seed: int, split: str, combinations: str) -> Proposal:
    return proposer(test_clips(seed, split, combinations), seed)


@lru_cache(maxsize=3 * KEPT)
@torch.no_grad()
def patches_of(reader: Reader, seed: int, split: str, combinations: str) -> Tensor:
    return reader()(test_clips(seed, split, combinations).frames)


@lru_cache(maxsize=3 * KEPT)
def content_of(seed: int, split: str, combinations: str) -> Tensor:
    """Eq. 1's weights, (b, t, r, c)."""
    return localizer().content(test_clips(seed, split, combinations).frames)


# --- pipelines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """Joint optimisation: which places are neighbours, lambda, whether slots are kept by Eq. 1's weights, and how alike
    slots must be to be merged."""

    offsets: tuple[tuple[int, int, int], ...] = IN_FRAME
    threshold: float = 0.0
    content: bool = False
    likeness: float | None = None
    least: ClassVar[float] = CONTENT
    weigh: ClassVar[Callable[[Tensor, int], Tensor] | None] = None


@dataclass(frozen=True)
class Weighed(Rules):
    """Also how much content is asked for, and what weighs the scores of a group: the group of each token (b, u, r, c)
    and their number to (b, s)."""

    least: float = CONTENT
    weigh: Callable[[Tensor, int], Tensor] | None = None


TEXT, AS_RELEASED, OURS = Rules(), Rules(RELEASED), Rules(content=True, likeness=LIKENESS)
WEIGHED = Weighed(content=True, likeness=LIKENESS)  # the same as OURS
SETTLED = replace(WEIGHED, least=LESS_CONTENT, weigh=solidity)


def boxed(
    clips: Localization,
    proposal: Proposal,
    patches: Tensor,
    vocabulary: Vocabulary,
    rules: Rules | None,
    content: Tensor | None = None,
) -> tuple[Found, Localization]:
    """Boxes with names and the truth that they are compared with: patches (b, t, r', c', e), content (b, t, r', c');
    frame by frame where slots know one frame alone."""
    names, size, assigned, slots = names_of(vocabulary), clips.frames.shape[2], proposal.assigned, proposal.slots
    if proposal.per_frame:
        clips, assigned, patches = frame_by_frame(clips), *(x.flatten(0, 1)[:, None] for x in (assigned, patches))
        content = None if content is None else content.flatten(0, 1)[:, None]
    if rules is None:
        return apart(assigned, slots, patches, names, size, vocabulary.over), clips
    joined = joint_optimisation(
        assigned,
        slots,
        patches,
        names,
        len(vocabulary.targets),
        rules.threshold,
        rules.offsets,
        content if rules.content else None,
        vocabulary.over,
        rules.likeness,
        rules.least,
    )
    found = joined_boxes(joined, patches.shape[1], size)
    return (found if rules.weigh is None else replace(found, weights=rules.weigh(joined.tokens, slots))), clips


@dataclass(frozen=True)
class Shipped:
    """The recipe of what is not trained."""

    def at_rate(self, factor: float) -> Shipped:
        return self

    def for_share(self, share: float) -> Shipped:
        return self

    def smoke(self) -> Shipped:
        return self


@dataclass(frozen=True)
class Pipeline:
    """proposer: whose masks; reader and vocabulary: whose names; rules: of joint optimisation, None for slots as they
    are; shares: also count the kinds of slots (Table 4)."""

    proposer: Proposer = video_slots
    reader: Reader = patch_clip
    vocabulary: Vocabulary = OBJECTS
    rules: Rules | None = OURS
    combinations: str = "seen"
    shares: bool = False

    def found(self, seed: int, split: str = "test") -> tuple[Found, Localization]:
        """Boxes with names on a replicate's clips, and the truth; frame by frame where slots know one frame alone."""
        which = seed, split, self.combinations
        content = content_of(*which) if self.rules is not None and self.rules.content else None
        proposal, patches = proposed(self.proposer, *which), patches_of(self.reader, *which)
        return boxed(test_clips(*which), proposal, patches, self.vocabulary, self.rules, content)

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        return outcome(*self.found(trial.seed, trial.split), self.shares)

    def smoke(self) -> Pipeline:
        return self


@dataclass(frozen=True)
class Oracle:
    """The true masks on the same patches, each with its name and apart from all others: what no slots could exceed."""

    def found(self, seed: int, split: str = "test") -> tuple[Found, Localization]:
        clips, masks = test_clips(seed, split), proposed(truth, seed, split, "seen")
        boxes = frame_boxes(masks.assigned, masks.slots, *clips.frames.shape[1:3])[:, :, 1:]
        return Found(boxes, clips.names, F.one_hot(clips.names, len(SHAPES)).float()), clips

    def run(self, recipe: Shipped, trial: Trial) -> Outcome:
        return outcome(*self.found(trial.seed, trial.split), False)

    def smoke(self) -> Oracle:
        return self


SHORT = dict(zip(KINDS, ("so", "po", "go", "bg"), strict=True))


def outcome(found: Found, clips: Localization, shares: bool) -> Outcome:
    """The score is DecRate; more metrics beside it."""
    scores = all_scores(found, clips)
    kept = {SHORT.get(name, name): value for name, value in scores.items() if shares or name not in KINDS}
    return Outcome(None, History([], 0.0), {"": kept.pop("dec_rate"), **kept})

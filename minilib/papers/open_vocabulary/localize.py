"""Objects of a video, found and named (Appendix B.4): slots, names, joint optimisation, one window of frames at a time.

Axes: t frames, h and w pixels, u steps, r rows and c columns of patches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.joint import RELEASED, joint_optimisation, mask_boxes, solidity
from minilib.papers.open_vocabulary.method import VideoSlots, clip_features
from minilib.papers.open_vocabulary.naming import CONTENT, Vocabulary

WINDOW, SHARED = 8, 2  # frames of a window, and how many of them the next one reads again
LINKED = 0.3  # IoU of masks in shared frames from which on two tubes of a name are one
ITERATIONS = 10  # of slots that settle
LESS_CONTENT = 0.5  # of uniform, of settled slots that are kept
OTHER_NAME = 0.5  # what such an IoU counts where the two windows name it differently


@dataclass(frozen=True)
class Tube:
    """One object: name, score (the cosine with its name), masks bool (t, h, w), boxes int64 (t, 4) as x0, y0, x1, y1,
    ends exclusive, zeros where it is not seen."""

    name: str
    score: float
    masks: Tensor
    boxes: Tensor


@dataclass(frozen=True)
class Localizer:
    """What `localize` needs. reader: frames (..., h, w, 3) to patch features (..., r, c, e); clip: for the words;
    layer: the block of the encoder whose features the slots read; content: frames to the content (..., r, c) of each
    patch, by which slots are kept (see `wanted`), or None where names alone say so, as in the text and as released;
    likeness and offsets: of slots that are merged (see `joint_optimisation`); least: the content that is asked for;
    weigh: of the groups' scores, the group of each token and their number to (b, s), or None for the cosine alone."""

    encoder: VideoEncoder
    slots: VideoSlots
    reader: nn.Module
    clip: ImageText
    layer: int = -1
    content: nn.Module | None = None
    likeness: float | None = None
    offsets: tuple[tuple[int, int, int], ...] = RELEASED
    least: float = CONTENT
    weigh: Callable[[Tensor, int], Tensor] | None = None


def settled(localizer: Localizer, iterations: int = ITERATIONS) -> Localizer:
    """This suite's: the same models, whose slots iterate longer than they were trained to, need less content to be
    kept, and are scored by how solid their tubes are as well. More is found, and ranked better; nothing is trained.
    All three were chosen on validation clips (`chosen`)."""
    if iterations < 1:
        raise BadInput(f"{iterations} iterations of slot attention: at least one is needed")
    slots = copy.deepcopy(localizer.slots)
    slots.attention.iterations = iterations
    return replace(localizer, slots=slots, least=LESS_CONTENT, weigh=solidity)


@torch.no_grad()
def localize(
    video: Tensor,
    vocabulary: Vocabulary | Sequence[str],
    localizer: Localizer,
    threshold: float = 0.0,
    seed: int = 287,
) -> list[Tube]:
    """Tubes of a video, uint8 (t, h, w, 3), best score first. A list of words is a vocabulary without backgrounds, in
    the released prompt.

    Windows of 8 frames are read one after another, each with the last frames of the one before it. In these frames
    the tubes of both are compared and linked one to one by name and overlap (`linked`), never by the number of a slot;
    each window has a vote on the name. `seed` draws the initial slots of every window, as released. Raises BadInput for
    a video of fewer than 8 frames, for sizes that the patches do not divide, and for words that are none.
    """
    if not isinstance(vocabulary, Vocabulary):
        vocabulary = Vocabulary(vocabulary)
    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != torch.uint8 or 0 in video.shape[1:3]:
        raise BadInput(f"video {tuple(video.shape)}, {video.dtype}: must be uint8 (frames, height, width, 3)")
    frames = len(video)
    if frames < WINDOW:
        raise BadInput(f"a video of {frames} frames: at least {WINDOW} are needed")
    names = vocabulary.features(localizer.clip)
    tracks, known = [], 0  # frames that windows have told of
    for start in sorted({*range(0, frames - WINDOW + 1, WINDOW - SHARED), frames - WINDOW}):
        found = _window(video[start : start + WINDOW], vocabulary, names, localizer, threshold, seed)
        tracks = linked(tracks, [Track.of(tube, start, frames) for tube in found], start, known)
        known = start + WINDOW
    return sorted((track.tube() for track in tracks), key=lambda tube: -tube.score)


def foreground(tubes: list[Tube], name: str | None = None) -> Tensor:
    """All pixels of the tubes, or of those with one name: bool (t, h, w). Raises BadInput where there is none."""
    chosen = [tube.masks for tube in tubes if name in (None, tube.name)]
    if not chosen:
        raise BadInput(f"no tube is named {name!r}" if name else "there is no tube")
    return torch.stack(chosen).any(0)


def _window(
    frames: Tensor, vocabulary: Vocabulary, names: Tensor, localizer: Localizer, threshold: float, seed: int
) -> list[Tube]:
    """The tubes of 8 frames."""
    frames = frames.to(names.device)[None]
    features = clip_features(localizer.encoder, localizer.encoder.normalise(frames), localizer.layer)
    tubes = localizer.slots(features, torch.Generator().manual_seed(seed))
    count, targets = tubes.masks.shape[1], len(vocabulary.targets)
    content = None if localizer.content is None else localizer.content(frames)
    patches = localizer.reader(frames)
    joined = joint_optimisation(
        tubes.assigned,
        count,
        patches,
        names,
        targets,
        threshold,
        localizer.offsets,
        content=content,
        over=vocabulary.over,
        likeness=localizer.likeness,
        least=localizer.least,
    )
    weights = None if localizer.weigh is None else localizer.weigh(joined.tokens, count)
    found, patch = [], localizer.encoder.patch
    for group in joined.groups[0].nonzero().flatten().tolist():
        masks = (joined.tokens[0] == group).repeat_interleave(localizer.encoder.tubelet, 0)
        name = int(joined.names[0, group])
        large = masks.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
        score = float(joined.cosines[0, group, name] * (1 if weights is None else weights[0, group]))
        found.append(Tube(vocabulary.names[name], score, large.cpu(), mask_boxes(masks, patch).cpu()))
    return found


@dataclass(frozen=True)
class Track:
    """A tube that windows are still added to: masks (t, h, w) and boxes (t, 4) of all frames of the video, and each
    window's name and score."""

    masks: Tensor
    boxes: Tensor
    votes: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, tube: Tube, start: int, frames: int) -> Track:
        """A window's tube among all frames."""
        masks = torch.zeros(frames, *tube.masks.shape[1:], dtype=torch.bool)
        boxes = torch.zeros(frames, 4, dtype=tube.boxes.dtype)
        masks[start : start + WINDOW], boxes[start : start + WINDOW] = tube.masks, tube.boxes
        return cls(masks, boxes, ((tube.name, tube.score),))

    @property
    def scores(self) -> dict[str, list[float]]:
        """By name, the one with the largest sum first."""
        found: dict[str, list[float]] = {}
        for name, score in self.votes:
            found.setdefault(name, []).append(score)
        return dict(sorted(found.items(), key=lambda each: -sum(each[1])))

    @property
    def name(self) -> str:
        return next(iter(self.scores))

    def tube(self) -> Tube:
        return Tube(self.name, fmean(self.scores[self.name]), self.masks, self.boxes)

    def since(self, first: int) -> Track:
        """Without the frames before `first`."""
        new = torch.arange(len(self.masks)) >= first
        return Track(self.masks & new[:, None, None], self.boxes * new[:, None], self.votes)

    def then(self, later: Track) -> Track:
        """Both as one; no frame is seen by both."""
        return Track(self.masks | later.masks, self.boxes + later.boxes, self.votes + later.votes)


def linked(tracks: list[Track], found: list[Track], start: int, known: int) -> list[Track]:
    """Tracks of the frames before `known`, and those of the window that begins at `start`, linked one to one so that
    the sum of their likeness is largest: the IoU of masks in frames `start` to `known`, which counts half where the
    names differ, for the same pixels of the same frames are one object whatever it is called. Of the shared frames the
    earlier window tells; what nobody continues stays as it is, and what continues nothing is new.
    """
    pairs: dict[int, int] = {}
    if tracks and found:
        old, new = (torch.stack([each.masks[start:known] for each in of]).flatten(1).float() for of in (tracks, found))
        both = old @ new.T
        iou = both / (old.sum(1)[:, None] + new.sum(1) - both).clamp(min=1)
        same = torch.tensor([[a.name == b.name for b in found] for a in tracks])
        likeness = torch.where(same, iou, OTHER_NAME * iou)
        likeness[likeness < LINKED] = 0  # or two pairs that are no links could outweigh one that is
        at, to = linear_sum_assignment(likeness.numpy(), maximize=True)
        pairs = {n: o for o, n in zip(at.tolist(), to.tolist(), strict=True) if likeness[o, n] > 0}
    out = list(tracks)
    for number, each in enumerate(found):
        fresh = each.since(known)
        if number in pairs:
            out[pairs[number]] = out[pairs[number]].then(fresh)
        elif fresh.masks.any():
            out.append(fresh)
    return out

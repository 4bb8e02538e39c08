"""Objects of a video, found and named (Appendix B.4): slots, names, joint optimisation, one window of frames at a time.

Axes: t frames, h and w pixels, u steps, r rows and c columns of patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.joint import joint_optimisation, mask_boxes
from minilib.papers.open_vocabulary.method import VideoSlots, clip_features
from minilib.papers.open_vocabulary.naming import Vocabulary

WINDOW = 8  # frames
LINKED = 0.3  # IoU of a tube's last box and the first box of its continuation, at least


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
    likeness: of slots that are merged (see `joint_optimisation`)."""

    encoder: VideoEncoder
    slots: VideoSlots
    reader: nn.Module
    clip: ImageText
    layer: int = -1
    content: nn.Module | None = None
    likeness: float | None = None


@torch.no_grad()
def localize(
    video: Tensor, vocabulary: Vocabulary, localizer: Localizer, threshold: float = 0.0, seed: int = 287
) -> list[Tube]:
    """Tubes of a video, uint8 (t, h, w, 3), best score first.

    Windows of 8 frames are read one after another (the last one may overlap the one before it), and their tubes are
    linked by name and overlap, never by the number of a slot. `seed` draws the initial slots of every window, as
    released. Raises BadInput for a video of fewer than 8 frames, and for sizes that the patches do not divide.
    """
    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != torch.uint8:
        raise BadInput(f"video {tuple(video.shape)}, {video.dtype}: must be uint8 (frames, height, width, 3)")
    frames = len(video)
    if frames < WINDOW:
        raise BadInput(f"a video of {frames} frames: at least {WINDOW} are needed")
    names = vocabulary.features(localizer.clip)
    tubes: list[Tube] = []
    open_ends: list[int] = []  # of `tubes`: what went up to the frame before this window
    for start in sorted({*range(0, frames - WINDOW + 1, WINDOW), frames - WINDOW}):
        found = _window(video[start : start + WINDOW], vocabulary, names, localizer, threshold, seed)
        first = start if start % WINDOW == 0 else frames - frames % WINDOW  # the first frame that is new
        fresh = [_shifted(tube, start, first, frames) for tube in found]
        tubes, open_ends = _linked(tubes, open_ends, [tube for tube in fresh if tube.masks.any()], first)
    return sorted(tubes, key=lambda tube: -tube.score)


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
        content=content,
        over=vocabulary.over,
        likeness=localizer.likeness,
    )
    found, patch = [], localizer.encoder.patch
    for group in joined.groups[0].nonzero().flatten().tolist():
        masks = (joined.tokens[0] == group).repeat_interleave(localizer.encoder.tubelet, 0)
        name = int(joined.names[0, group])
        large = masks.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
        score = float(joined.cosines[0, group, name])
        found.append(Tube(vocabulary.names[name], score, large.cpu(), mask_boxes(masks, patch).cpu()))
    return found


def _shifted(tube: Tube, start: int, first: int, frames: int) -> Tube:
    """A window's tube among all frames of the video; of frames before `first` another window has told already."""
    masks = torch.zeros(frames, *tube.masks.shape[1:], dtype=torch.bool)
    boxes = torch.zeros(frames, 4, dtype=tube.boxes.dtype)
    masks[first : start + WINDOW] = tube.masks[first - start :]
    boxes[first : start + WINDOW] = tube.boxes[first - start :]
    return Tube(tube.name, tube.score, masks, boxes)


def _linked(tubes: list[Tube], open_ends: list[int], fresh: list[Tube], first: int) -> tuple[list[Tube], list[int]]:
    """Tubes so far and those of the window that begins at frame `first`: each continues the open one of its name whose
    last box fits its first box best, or is a new one."""
    tubes, ends, free = list(tubes), [], set(open_ends)
    for tube in fresh:
        fits = {
            at: float(box_iou(tubes[at].boxes[first - 1][None].float(), tube.boxes[first][None].float()).nan_to_num())
            for at in free
            if tubes[at].name == tube.name
        }
        best = max(fits, key=fits.get, default=None)
        if best is not None and fits[best] >= LINKED:
            old = tubes[best]
            tubes[best] = Tube(old.name, max(old.score, tube.score), old.masks | tube.masks, old.boxes + tube.boxes)
            free.remove(best)
            ends.append(best)
        else:
            tubes.append(tube)
            ends.append(len(tubes) - 1)
    return tubes, ends

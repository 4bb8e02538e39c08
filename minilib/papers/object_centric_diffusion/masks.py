"""Where the object's mask comes from: the truth, slots, the words, and what must fail (thesis Sec. 6.4.3, Table 6.4).

A source is a function (models, scheduler, edits, prompts, clip) -> mask bool (t, H, W) of the clip that is edited.

Axes: t frames, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from minilib.papers.object_centric_diffusion.method import Models
from minilib.papers.object_centric_diffusion.prompts import Prompts
from minilib.papers.object_centric_diffusion.saliency import mask_by_words
from minilib.world import Edits

MaskSource = Callable[[Models, DDIMScheduler, Edits, Prompts, int], Tensor]


def from_truth(models: Models, scheduler: DDIMScheduler, edits: Edits, prompts: Prompts, clip: int) -> Tensor:
    """The object as it is seen in the source video: the thesis' "human-labeled masks"."""
    return edits.source.mask[0]


def from_words(models: Models, scheduler: DDIMScheduler, edits: Edits, prompts: Prompts, clip: int) -> Tensor:
    """Where the noun of the source prompt, its third word from the end, attends: "cross-attention maps"."""
    mask = mask_by_words(models, scheduler, edits.source.pixels[0], prompts, [prompts.source.split()[-3]])
    return usable(mask)


def from_slots(models: Models, scheduler: DDIMScheduler, edits: Edits, prompts: Prompts, clip: int) -> Tensor:
    """All that the open-vocabulary localizer (notebook 09) takes for an object, in the place of Grounded-SAM. It
    reads 8 frames or more."""
    from minilib.papers.open_vocabulary.localize import foreground, localize
    from minilib.papers.open_vocabulary.small import WORLD

    tubes = localize(edits.source.pixels[0], WORLD, localizer())
    return usable(foreground(tubes) if tubes else torch.zeros_like(edits.source.mask[0]))


@cache
def localizer():
    """The shipped one, read once a process."""
    from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer

    return small_localizer()


def usable(mask: Tensor) -> Tensor:
    """The mask, or where it is empty or full, which no pipeline takes, the middle of the frame: a guess that knows
    nothing."""
    if mask.any() and not mask.all():
        return mask
    middle, (height, width) = torch.zeros_like(mask), mask.shape[1:]
    middle[:, height // 4 : -(height // 4), width // 4 : -(width // 4)] = True
    return middle


# --- negative controls -----------------------------------------------------------------------------------------------


def moved(models: Models, scheduler: DDIMScheduler, edits: Edits, prompts: Prompts, clip: int) -> Tensor:
    """A random mask of the same area: the true one moved by half a frame and a bit, around the edges, so that it lies
    where the object does not."""
    mask = edits.source.mask[0]
    generator = torch.Generator().manual_seed(clip)
    shift = [int(torch.randint(3 * side // 8, 5 * side // 8, (), generator=generator)) for side in mask.shape[1:]]
    return mask.roll(shift, (1, 2))


def inverted(models: Models, scheduler: DDIMScheduler, edits: Edits, prompts: Prompts, clip: int) -> Tensor:
    """The background in the object's place."""
    return ~edits.source.mask[0]

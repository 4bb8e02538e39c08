"""How good a long video is, where the truth is known: fidelity and motion content apart, and what is lost from chunk to
chunk.

The thesis asks for "metrics that can faithfully evaluate video generations, both in terms of fidelity and motion
content"; these are ours. A tracker that knows the grounds' colours finds the object, a classifier that reads pixels
names it, and the script says where it should be.

Axes: k chunks, t frames of a chunk, f frames, h and w pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import max_pool2d

from minilib.models.small_diffusion import load_part, weights_file
from minilib.models.small_diffusion_frames import ATTRIBUTES
from minilib.models.small_diffusion_judge import Judge, named_rightly
from minilib.papers.long_video.script import WORDS, Script, rendered
from minilib.world.render import GROUND_RGB
from minilib.world.vocabulary import TEXTURES

FAR = 30.0  # of 255: what is farther from all colours of the ground is no ground; the closest object's are at 48
STRAY = 12  # pixels: a smaller patch is no object
SHORTEST = 0.1  # of the frame's width: a prompted motion is no shorter


def stands_out(frames: Tensor, grounds: Tensor) -> Tensor:
    """The largest connected patch of each frame that does not have the colours of its ground: bool (f, h, w), empty
    where none is large enough. frames uint8 (f, h, w, 3), grounds int (f,), indices into GROUNDS.

    A ground's colours lie on the line between its darkest and its lightest.
    """
    low, high = torch.tensor(GROUND_RGB, dtype=torch.float32)[grounds.cpu()].unbind(1)
    line, pixels = (high - low)[:, None, None], frames.cpu().float() - low[:, None, None]
    along = ((pixels * line).sum(-1) / line.square().sum(-1)).clamp(0, 1)
    far = (pixels - along[..., None] * line).norm(dim=-1) > FAR
    within_frames = np.zeros((3, 3, 3), int)
    within_frames[1] = 1
    patches, _ = ndimage.label(far.numpy(), within_frames)
    sizes = np.bincount(patches.ravel())
    sizes[0] = 0  # the ground
    size = sizes[patches]
    largest = size.max((1, 2), keepdims=True)
    return torch.from_numpy((size == largest) & (largest >= STRAY))


def centres(mask: Tensor) -> Tensor:
    """Mean positions (..., 2) of masks bool (..., h, w), from the left and from the top in frame widths; nan where a
    mask is empty."""
    height, width = mask.shape[-2:]
    column, row = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / width
    count = mask.sum((-2, -1))
    return torch.stack([(mask.sum(-2) * column).sum(-1), (mask.sum(-1) * row).sum(-1)], -1) / count[..., None]


def gone(found: Tensor, wanted: Tensor) -> Tensor:
    """How much of the prompted motion happens, float (k,) from 0 to 1: of the way from the first to the last frame of
    each chunk of `wanted` (k, t, 2) the part that is left after the miss of that of `found`. Where the object should
    stay, a step of SHORTEST is a whole miss. An object that was lost goes nowhere."""
    way, right = (positions[:, -1] - positions[:, 0] for positions in (found, wanted))
    miss = (way - right).norm(dim=-1) / right.norm(dim=-1).clamp(min=SHORTEST)
    return (1 - miss).clamp(min=0).nan_to_num(0.0)


def rms(difference: Tensor, where: Tensor) -> float:
    """Root mean square of a difference of bytes (..., 3) over the pixels of a mask, in percent of the full range."""
    return 100 * (difference.float()[where] / 255).square().mean().sqrt().item() if where.any() else 0.0


@cache
def judge() -> Judge:
    """The shipped classifier of the small diffusion model's frames, read once."""
    with torch.random.fork_rng(devices=[]):
        return load_part(Judge(), weights_file("judge")).eval().requires_grad_(False)


def fidelity(video: Tensor, script: Script) -> float:
    """In how many percent of the frames uint8 (k, t, h, w, 3) the judge names the colour, the shape and the ground of
    the chunk's prompt: the mean of the three."""
    said = torch.zeros(video.shape[:2].numel(), len(ATTRIBUTES), dtype=torch.int64)
    said[:, [list(ATTRIBUTES).index(kind) for kind in WORDS]] = script.said.repeat_interleave(video.shape[1], 0)
    named = named_rightly(judge(), video.flatten(0, 1).cpu(), said)
    return 100 * sum(named[kind] for kind in WORDS) / len(WORDS)


def motion(video: Tensor, script: Script) -> float:
    """How many percent of the prompted motions happen, the mean over chunks: 0 for a static video."""
    grounds = script.said[:, 2].repeat_interleave(video.shape[1], 0)
    found = centres(stands_out(video.flatten(0, 1), grounds)).unflatten(0, video.shape[:2])
    _, mask = rendered(script)
    return 100 * gone(found, centres(mask)).mean().item()


def ground_kept(video: Tensor, mask: Tensor) -> list[float]:
    """For each chunk: 100 less the difference of its frames from the very first frame, where the script has the object
    in neither, a pixel around it left out. video uint8 (k, t, h, w, 3), mask bool (k, t, h, w)."""
    free = max_pool2d((mask | mask[0, 0]).float(), 3, 1, 1) == 0
    return [100 - rms(chunk - video[0, 0].int(), where) for chunk, where in zip(video.int(), free, strict=True)]


def truth_reached(video: Tensor, script: Script) -> list[float]:
    """For each chunk: 100 less the error of what stands where the script has the object. As no prompt names a texture,
    the truth is the nearest of the four videos with one texture throughout; tracker and judge have no part in this."""
    found = []
    for texture in range(len(TEXTURES)):
        pixels, mask = rendered(script, texture)
        found.append([100 - rms(a.int() - b.int(), m) for a, b, m in zip(video.cpu(), pixels, mask, strict=True)])
    return max(found, key=sum)

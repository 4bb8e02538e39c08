"""Clips rendered once, by as many processes as there are, and drawn from again and again.

Axes: b clips, t frames, h and w pixels.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minilib.files import whole_file
from minilib.processes import die_with
from minilib.world.localization import SIZE, localization_batch

FRAMES = 8
AT_ONCE = 64  # clips a task of a worker


def _begin(parent: int) -> None:
    die_with(parent)
    torch.set_num_threads(1)


def _rendered(seed: int, split: str, first: int, last: int, frames: int, size: int) -> np.ndarray:
    return localization_batch(seed, split, np.arange(first, last), frames, size).frames.numpy()


def pool(
    folder: Path, count: int, seed: int = 0, split: str = "train", frames: int = FRAMES, size: int = SIZE, jobs: int = 1
) -> np.ndarray:
    """The first `count` clips of a split, uint8 (count, t, h, w, 3), mapped from a file that is made if need be.

    Other processes that are given the same folder read the same file.
    """
    path = Path(folder) / f"pool_{split}_{seed}_{count}x{frames}x{size}.npy"
    if not path.is_file():
        starts = range(0, count, AT_ONCE)
        tasks = [(seed, split, start, min(start + AT_ONCE, count), frames, size) for start in starts]
        with whole_file(path) as part, ExitStack() as stack:
            out = np.lib.format.open_memmap(part, "w+", np.uint8, (count, frames, size, size, 3))
            if jobs > 1:
                context, parent = get_context("spawn"), (os.getpid(),)
                workers = stack.enter_context(ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=parent))
                rendered = workers.map(_rendered, *zip(*tasks, strict=True))
            else:
                rendered = starmap(_rendered, tasks)
            for start, block in zip(starts, rendered, strict=True):
                out[start : start + len(block)] = block
            out.flush()
    return np.load(path, mmap_mode="r")


def draw(clips: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """`batch` clips of the pool, uint8 (b, t, h, w, 3), on its device; all of them as they are, mirrored or backwards.
    Names and boxes would not survive that; pixels do not mind."""
    chosen = torch.randint(len(clips), (batch,), generator=generator)
    mirrored, backwards = torch.rand(2, generator=generator) < 0.5
    frames = clips[chosen.to(clips.device)]
    turned = [axis for axis, flip in ((1, backwards), (3, mirrored)) if flip]
    return frames.flip(turned) if turned else frames

"""A video file of one's own, edited: an mp4, a mask or a word that finds it, two prompts -> an edited mp4.

Axes: t frames, h and w pixels of the file, s pixels a side of what the model reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.object_centric_diffusion.method import Models, Pipeline, edit
from minilib.papers.object_centric_diffusion.prompts import Prompts, refining, replacing
from minilib.papers.object_centric_diffusion.saliency import mask_by_words
from minilib.video import crop, read_frames, write_video

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class Editor:
    """A model, how it makes prompts of two sentences, and its frames: `size` pixels a side, `window` at once."""

    models: Models
    scheduler: DDIMScheduler
    prompts: Callable[[str, str], Prompts]
    pipeline: Pipeline
    size: int = 64
    window: int = 8


def edit_file(editor: Editor, video: Path | str, edited: Path | str, source: str, target: str, mask: str = "") -> int:
    """Writes `edited` and returns how many frames it has.

    mask: a file (an mp4, or a picture for all frames) or a folder of pictures, bright where the object is; or a word of
    the source prompt, whose attention finds it; needed where the pipeline spares the background. What is read is the
    middle square of the video, at the model's size. Every window of frames is edited by itself, the last one reaching
    back into the one before; a video of fewer frames is one window, which the pipeline's window of merging has to
    divide. Raises BadInput before the first step for files that cannot be read, masks that do not fit or have a window
    without an object or a background, and prompts that cannot be mapped.
    """
    if not Path(edited).parent.is_dir():
        raise BadInput(f"edited {edited}: the folder {Path(edited).parent} does not exist, make it first")
    frames = torch.from_numpy(crop(read_frames(video, _all), editor.size).copy())
    prompts = editor.prompts(source, target)
    mapping = replacing if len(source.split()) == len(target.split()) else refining
    mapping(prompts)
    editor.models.tokens([source, target])  # words that the text model does not know
    where = None
    if editor.pipeline.needs_mask:
        if not mask:
            raise BadInput("this pipeline spares the background: give `mask`, a file, a folder or a word of the prompt")
        where = read_mask(mask, len(frames), editor.size) if Path(mask).exists() else None
        if where is None:
            prompts.find(source, mask)
    out, last = torch.empty_like(frames), max(len(frames) - editor.window, 0)
    parts = [slice(start, start + editor.window) for start in (*range(0, last, editor.window), last)]
    if where is not None:
        _check_windows(where, parts, mask)
    for part in parts:
        inside = where[part] if where is not None else None
        if inside is None and editor.pipeline.needs_mask:
            inside = mask_by_words(editor.models, editor.scheduler, frames[part], prompts, [mask])
        out[part] = edit(editor.models, editor.scheduler, frames[part], prompts, editor.pipeline, inside, mapping)
    write_video(edited, out.cpu().numpy(), fps=8)
    return len(out)


def read_mask(path: Path | str, frames: int, size: int) -> Tensor:
    """bool (t, s, s) of a mask's file or folder, cut as the video is; a pixel brighter than the middle is object."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        pixels = [_picture(file) for file in files]
        if len({each.shape for each in pixels}) > 1:
            raise BadInput(f"mask {path}: its pictures have several sizes")
        found = np.stack(pixels) if pixels else np.zeros((0, 1, 1, 3), np.uint8)
    elif path.suffix.lower() in PICTURES:
        found = np.repeat(_picture(path)[None], frames, 0)
    else:
        found = read_frames(path, _all)
    if len(found) != frames:
        raise BadInput(f"mask {path}: {len(found)} frames, the video has {frames}")
    return torch.from_numpy(crop(found, size).copy()).float().mean(-1) > 127.5


def _check_windows(where: Tensor, parts: list[slice], name: str) -> None:
    """BadInput for a window of a mask bool (t, s, s) in which there is nothing to edit, or nothing beside it."""
    for part in parts:
        if not where[part].any() or where[part].all():
            word = "full" if where[part].any() else "empty"
            raise BadInput(f"mask {name}: {word} in frames {part.start} to {min(part.stop, len(where)) - 1}, a window")


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise BadInput(f"mask {path}: cannot be read as a picture") from error


def _all(length: int) -> list[int]:
    return list(range(length))

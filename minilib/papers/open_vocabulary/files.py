"""`localize` on a video file: what was found, where in its own pixels, as json and drawn over its frames.

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.open_vocabulary.localize import WINDOW, Localizer, Tube, localize
from minilib.papers.open_vocabulary.naming import Vocabulary
from minilib.plots import COLOURS
from minilib.video import fitted_size, read_frames, resize

MOST = 128  # frames of a video, unless more are asked for
TINT = 0.45


@dataclass(frozen=True)
class Seen:
    """Tubes of a video file, masks and boxes in its own pixels. numbers: which of its frames were read; frames uint8
    (t, h, w, 3); fps: how many of them pass in a second."""

    path: Path
    numbers: tuple[int, ...]
    frames: np.ndarray
    fps: float
    tubes: tuple[Tube, ...]

    def summary(self) -> dict:
        """As plain data: of each tube name, score, and by frame its box x0, y0, x1, y1, null where it is not seen."""
        return {
            "video": self.path.name,
            "height": self.frames.shape[1],
            "width": self.frames.shape[2],
            "frames": list(self.numbers),
            "tubes": [
                {
                    "name": tube.name,
                    "score": round(tube.score, 4),
                    "boxes": [box if box[2] > box[0] else None for box in tube.boxes.tolist()],
                }
                for tube in self.tubes
            ],
        }


def read_numbers(length: int, most: int = MOST) -> np.ndarray:
    """All frames, or so many as evenly spread as whole numbers allow: int (t,)."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(int)


def localize_file(
    path: Path | str,
    vocabulary: Vocabulary,
    localizer: Localizer,
    short: int = 224,
    threshold: float = 0.0,
    most: int = MOST,
) -> Seen:
    """The tubes of a video file. The model sees its frames with a short side of `short` pixels (Appendix B.2).

    Raises BadInput for a file that cannot be read, and for a video of fewer than 8 frames.
    """
    path, chosen = Path(path), []

    def pick(length: int) -> np.ndarray:
        if length < WINDOW:
            raise BadInput(f"video {path}: {length} frames, at least {WINDOW} are needed")
        chosen[:] = read_numbers(length, max(most, WINDOW)).tolist()
        return np.array(chosen)

    frames = read_frames(path, pick)
    size = frames.shape[1:3]
    small = resize(frames, fitted_size(*size, short, localizer.encoder.patch))
    found = localize(torch.from_numpy(small), vocabulary, localizer, threshold)
    step = (chosen[-1] - chosen[0]) / (len(chosen) - 1)
    return Seen(path, tuple(chosen), frames, frame_rate(path) / step, tuple(at_size(tube, size) for tube in found))


def move(localizer: Localizer, device: str) -> None:
    """All of its parts to a device."""
    for part in (getattr(localizer, field.name) for field in fields(localizer)):
        if isinstance(part, nn.Module):
            part.to(device)


def frame_rate(path: Path) -> float:
    """Frames a second; 25 where the file does not say."""
    with av.open(f"file:{path}") as container:
        return float(container.streams.best("video").average_rate or 25)


def at_size(tube: Tube, size: Sequence[int]) -> Tube:
    """The tube in frames of another size (h, w): boxes rounded outwards, masks by the nearest pixel."""
    (h, w), (rows, columns) = tube.masks.shape[1:], size
    scale = torch.tensor([columns / w, rows / h] * 2)
    ends = tube.boxes * scale
    boxes = torch.cat([ends[:, :2].floor(), ends[:, 2:].ceil()], 1).long()
    row, column = (torch.arange(new) * old // new for new, old in ((rows, h), (columns, w)))
    return Tube(tube.name, tube.score, tube.masks[:, row[:, None], column], boxes)


def drawn(seen: Seen) -> np.ndarray:
    """The frames with each tube in a colour of its own, its box and its name: uint8 (t, h, w, 3), sides even."""
    colours = [ImageColor.getrgb(COLOURS[at % len(COLOURS)]) for at in range(len(seen.tubes))]
    height, width = (side - side % 2 for side in seen.frames.shape[1:3])
    font = ImageFont.load_default(max(height // 18, 10))
    out = []
    for t, frame in enumerate(seen.frames):
        picture = frame.astype(float)
        for tube, colour in zip(seen.tubes, colours, strict=True):
            picture[tube.masks[t].numpy()] *= 1 - TINT
            picture[tube.masks[t].numpy()] += TINT * np.array(colour)
        image = Image.fromarray(picture.round().astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for tube, colour in zip(seen.tubes, colours, strict=True):
            _frame(pen, tube.boxes[t], f"{tube.name} {tube.score:.2f}", colour, font, image.size)
        out.append(np.asarray(image)[:height, :width])
    return np.stack(out)


def _frame(
    pen: ImageDraw.ImageDraw,
    box: Tensor,
    words: str,
    colour: tuple[int, ...],
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """A box with its name on a plate that stays within the picture."""
    x0, y0, x1, y1 = box.tolist()
    if x1 <= x0:
        return
    pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=max(size[1] // 160, 1))
    _, _, wide, high = pen.textbbox((0, 0), words, font=font)
    left, top = min(x0, max(size[0] - wide - 2, 0)), max(y0 - high - 2, 0)
    pen.rectangle((left, top, left + wide + 2, top + high + 2), fill=colour)
    ink = (0, 0, 0) if sum(colour) > 3 * 128 else (255, 255, 255)
    pen.text((left + 1, top), words, fill=ink, font=font)

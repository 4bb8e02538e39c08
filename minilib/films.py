"""Clips that play on the page: strips of frames side by side, as an animated picture that needs no player.

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minilib.errors import BadInput

TITLE = 15  # pixels above each panel
GAP = 4  # pixels between panels


def strips(panels: Mapping[str, np.ndarray], scale: int = 2) -> list[Image.Image]:
    """Frame by frame the clips uint8 (t, h, w, 3) beside each other, each under its title and `scale` times as large.
    Raises BadInput for clips of different sizes."""
    clips = {title: np.asarray(clip) for title, clip in panels.items()}
    shapes = {clip.shape for clip in clips.values()}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 4 or shape[-1] != 3:
        raise BadInput(f"film: clips of {sorted(shapes)}, must be of one size (frames, height, width, 3)")
    height, width = shape[1] * scale, shape[2] * scale
    font, found = ImageFont.load_default(11), []
    for t in range(shape[0]):
        strip = Image.new("RGB", (len(clips) * (width + GAP) - GAP, height + TITLE), "white")
        for k, (title, clip) in enumerate(clips.items()):
            left = k * (width + GAP)
            ImageDraw.Draw(strip).text((left, 0), title, "black", font)
            strip.paste(Image.fromarray(clip[t]).resize((width, height), Image.Resampling.NEAREST), (left, TITLE))
        found.append(strip)
    return found


class Film:
    """A clip that plays over and over, `wait` milliseconds a frame."""

    def __init__(self, frames: list[Image.Image], words: str, wait: int = 350, quality: int = 45):
        buffer = io.BytesIO()
        options = dict(save_all=True, append_images=frames[1:], duration=wait, loop=0, quality=quality)
        frames[0].save(buffer, "WEBP", **options)
        self.data, self.words = buffer.getvalue(), words

    def _repr_html_(self) -> str:
        code = base64.b64encode(self.data).decode()
        return f'<img alt="{escape(self.words)}" src="data:image/webp;base64,{code}">'

    def __repr__(self) -> str:
        return f"a clip that plays: {self.words}"


def film(panels: Mapping[str, np.ndarray], scale: int = 2) -> Film:
    """Clips uint8 (t, h, w, 3) by their titles, side by side."""
    return Film(strips(panels, scale), ", ".join(panels))

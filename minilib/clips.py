"""Clips that play inside a page: one small animated WebP for panels side by side, with maps laid over.

    play({"forward": clip, "backward": clip.flip(0)}, alt="a ball rolls right; played backward it rolls left")

Readers who asked their system for less motion get one still frame. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from minilib.errors import BadInput

MOST_BYTES = 90_000  # of one picture: a page has half a megabyte for everything
GAP = 4  # pixels between panels


@dataclass(frozen=True, repr=False)
class Playing:
    """Panels that play in step, each under its title. `webp` and `still` are files; `alt` says what is seen."""

    titles: tuple[str, ...]
    webp: bytes
    still: bytes
    width: int  # pixels on the page
    alt: str

    def _repr_html_(self) -> str:
        row = "".join(f'<span style="flex:1;text-align:center">{escape(title)}</span>' for title in self.titles)
        plays, still = (base64.b64encode(data).decode() for data in (self.webp, self.still))
        return (
            f'<figure style="margin:0;width:{self.width}px;max-width:100%">'
            f'<figcaption style="display:flex;font-size:13px;line-height:1.3;color:inherit">{row}</figcaption><picture>'
            f'<source media="(prefers-reduced-motion: reduce)" srcset="data:image/webp;base64,{still}">'
            f'<img src="data:image/webp;base64,{plays}" alt="{escape(self.alt)}" '
            f'style="width:100%;image-rendering:pixelated"></picture></figure>'
        )

    def __repr__(self) -> str:
        return f"a clip that plays: {self.alt}"  # notebooks store this beside the HTML


def play(panels: Mapping[str, Tensor], alt: str, fps: float = 2.5, size: int = 180, quality: int = 65) -> Playing:
    """Clips uint8 (t, h, w, 3) of one length, side by side in step, by title; `size` pixels wide each on the page.
    `quality` is WebP's, 0 to 100: a page with many clips takes less.

    Raises BadInput for clips of different shapes, no `alt`, or more bytes than a page can spare.
    """
    clips = list(panels.values())
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) != 1 or any(clip.dtype != torch.uint8 or clip.ndim != 4 for clip in clips):
        raise BadInput(f"play: panels must be uint8 (t, h, w, 3) of one shape, these are {sorted(shapes)}")
    if not alt.strip():
        raise BadInput("play: alt must say what is seen, for those who cannot see it")
    t, height, _, _ = clips[0].shape
    white = torch.full((t, height, GAP, 3), 255, dtype=torch.uint8)
    joined = torch.cat([part for clip in clips for part in (white, clip.cpu())][1:], 2)
    pictures = [Image.fromarray(frame.numpy()) for frame in joined]
    webp, still = io.BytesIO(), io.BytesIO()
    pictures[0].save(
        webp, "webp", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, lossless=False,
        quality=quality, method=6,
    )  # fmt: skip
    pictures[t // 2].save(still, "webp", quality=quality, method=6)
    if len(webp.getvalue()) > MOST_BYTES:
        raise BadInput(f"play: {len(webp.getvalue()):,} bytes, more than {MOST_BYTES:,}: show fewer or smaller frames")
    return Playing(tuple(panels), webp.getvalue(), still.getvalue(), size * len(clips), alt)


def enlarged(clip: Tensor, times: int) -> Tensor:
    """Every pixel of uint8 (t, h, w, 3) so many times as large, so that what is laid over has finer edges."""
    return clip.repeat_interleave(times, 1).repeat_interleave(times, 2)


def with_maps(clip: Tensor, maps: Tensor, top: float | None = None, strength: float = 0.65) -> Tensor:
    """The clip uint8 (t, h, w, 3) under maps (t, rows, columns): dark at 0, bright at `top` or else their largest."""
    top = top or float(maps.max()) or 1.0
    shown = interpolate(maps[:, None].float().cpu(), clip.shape[1:3], mode="bilinear")[:, 0].div(top).clamp(0, 1)
    colours = torch.from_numpy(colormaps["inferno"](shown.numpy())[..., :3]) * 255
    return ((1 - strength) * clip.cpu() + strength * colours).round().to(torch.uint8)

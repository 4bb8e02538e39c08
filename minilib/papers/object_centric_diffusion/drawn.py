"""Object-centric diffusion as a diagram: most steps on the object's crop, and fewer keys where nothing is edited."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minilib import diagrams as draw
from minilib.models.small_diffusion import LATENT, SIZE
from minilib.papers.object_centric_diffusion.method import OBJECT_CENTRIC
from minilib.papers.object_centric_diffusion.regions import crop_around, latent_mask
from minilib.world import edit_batch

IDEA = (
    "Left: a frame with a white rectangle around its object; fifteen steps see the rectangle alone and change its "
    "colour; it is put back into the frame, and five steps see the whole. Right: the frame as a grid of tokens; over "
    "the object they stay, of the ground few do."
)
SHOWN = 3  # the frame of the clip that is drawn


def idea() -> Figure:
    """Left: sampling. Right: merging."""
    axis = draw.canvas(18, 6.2)
    clip = edit_batch("colour", "small", 0, "test", [0], 8)
    before, after = (video.pixels[0, SHOWN] for video in (clip.source, clip.target))
    mask = latent_mask(clip.source.mask[0], (LATENT, LATENT))
    region, cell = crop_around(mask), SIZE // LATENT
    top, left = (region.corner[SHOWN] * cell).tolist()
    height, width = (side * cell for side in region.size)
    place = (slice(top, top + height), slice(left, left + width))
    apart, whole = OBJECT_CENTRIC.sampling.apart, OBJECT_CENTRIC.sampling.steps - OBJECT_CENTRIC.sampling.apart

    draw.label(axis, (5.9, 5.9), "1. Most steps see the object's crop alone", 10)
    source = picture(axis, 1.6, 3.7, before, 2.4, "source video")
    corner = (source.left[0] + left / SIZE * 2.4, source.top[1] - (top + height) / SIZE * 2.4)
    axis.add_patch(
        Rectangle(corner, width / SIZE * 2.4, height / SIZE * 2.4, fill=False, edgecolor="white", linewidth=2, zorder=5)
    )
    gathered = picture(axis, 4.7, 3.7, before[place], 1.1, "gather")
    changed = picture(axis, 7.3, 3.7, after[place], 1.1, "")
    edited = picture(axis, 10.3, 3.7, after, 2.4, "scatter")
    draw.arrow(axis, source.right, gathered.left)
    draw.arrow(axis, gathered.right, changed.left, f"{apart} steps", draw.BACK)
    draw.arrow(axis, changed.right, edited.left)
    draw.label(axis, (10.6, 1.95), f"then {whole} steps on the whole frame", 9)
    draw.arrow(axis, source.bottom, (9.1, 2.7), "", draw.FAINT, 0.25)
    draw.label(axis, (5, 1.1), "the background stands as inversion left it", 9, draw.FAINT)

    draw.label(axis, (15.1, 5.9), "2. Keys are merged outside it first", 10)
    grid = picture(axis, 15.1, 3.6, before, 3.4, "")
    side = 8  # tokens a row, of the lower resolution
    inside = torch.nn.functional.max_pool2d(mask[SHOWN][None].float(), LATENT // side)[0].flatten().nonzero()[:, 0]
    draw.tokens(axis, grid, side, side, inside.tolist(), draw.BACK)
    draw.label(axis, (15.1, 1.4), "tokens of the object stay, the others are averaged", 9)
    axis.set_ylim(0.8, 6.2)
    return axis.figure


def picture(axis, x: float, y: float, pixels: torch.Tensor, size: float, title: str) -> draw.Box:
    """One picture uint8 (h, w, 3) in a square, with a title above it."""
    at = draw.Box(x, y, size, size)
    extent = (at.left[0], at.right[0], at.bottom[1], at.top[1])
    limits = axis.get_xlim(), axis.get_ylim()
    axis.imshow(pixels.cpu().numpy(), extent=extent, zorder=2, interpolation="nearest")
    axis.set(xlim=limits[0], ylim=limits[1], aspect="equal")
    draw.label(axis, (x, at.top[1] + 0.25), title, 8, draw.FAINT)
    return at

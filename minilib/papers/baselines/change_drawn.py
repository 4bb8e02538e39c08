"""The probe on change as a picture: what changes between two frames, where its centre is, and what reads it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from minilib import diagrams as draw
from minilib.models.small_clip import small_clip
from minilib.papers.baselines.change_probe import moments
from minilib.world import MOTIONS, clip_scenes, render

IDEA = (
    "Above, five frames of an object that moves left. Below, between each two of them, how much the image model's view "
    "of each patch changes, bright where much, with a circle around the centre of the change: the circles move left. "
    "On the right, centres and spreads go into one linear layer, whose answer is left."
)
SIDE = 8  # patches of the small CLIP along a frame


def changes(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Of clips uint8 (b, t, h, w, 3): how much each patch changes, as a share (b, t - 1, 8, 8), and its moments
    (b, t - 1, 4)."""
    with torch.no_grad():
        patches = small_clip().eval().frame_features(frames, [-2]).patches[0]
    change = patches.diff(dim=1).norm(dim=-1)
    return (change / change.sum(-1, keepdim=True)).unflatten(-1, (SIDE, SIDE)), moments(patches, (SIDE, SIDE))


def leftward(frames: int) -> Tensor:
    """One clip of an object that moves left, uint8 (1, t, h, w, 3)."""
    scene = clip_scenes(3, "val", [1], motions=(MOTIONS.index("moving left"),))
    return render(scene, np.linspace(0, 1, frames))


def idea() -> Figure:
    """Frames, the maps of change between them, and the layer that reads where their centres go."""
    axis = draw.canvas(19.4, 6.6)
    clip = leftward(5)
    maps, track = changes(clip)
    shown = draw.frames(axis, 1.2, 5.1, clip[0], 1.9, 0.6)
    draw.box(axis, 6.2, 3.55, "frozen image model: a vector for each patch of each frame", 11.9, 0.5, "frozen")
    for k, (before, after) in enumerate(pairwise(shown)):
        place = draw.Box((before.x + after.x) / 2, 1.5, 1.9, 1.9)
        for frame in (before, after):
            draw.arrow(axis, (frame.x, 3.3), (place.x + 0.25 * (frame.x - place.x), place.top[1]), colour=draw.FAINT)
        extent = (place.left[0], place.right[0], place.bottom[1], place.top[1])
        axis.imshow(maps[0, k], extent=extent, vmin=0, zorder=2, interpolation="nearest")
        across, down = track[0, k, :2].tolist()
        centre = (place.x + across * place.width / 2, place.y - down * place.height / 2)
        axis.add_patch(Circle(centre, 0.28, fill=False, edgecolor=draw.BACK, linewidth=2, zorder=5))
        draw.label(axis, (place.x, 0.3), f"change {k + 1}", 8, draw.FAINT)
    axis.set(xlim=(0, 19.4), ylim=(0, 6.6), aspect="equal")
    numbers = draw.box(axis, 14.2, 1.5, "centre and spread\nof each change,\nand how they go on", 3.4, 1.9)
    draw.arrow(axis, (10.95, 1.5), numbers.left)
    layer = draw.box(axis, 14.2, 4.3, "one linear layer", 3.4, 0.9, "trained")
    draw.arrow(axis, numbers.top, layer.bottom)
    answer = draw.box(axis, 17.9, 4.3, "“left”", 1.6, 0.9)
    draw.arrow(axis, layer.right, answer.left)
    draw.legend(axis, 13.0, 5.9, (draw.FROZEN, "frozen"), (draw.TRAINED, "trained"))
    return axis.figure

"""Detection pretraining as pictures: clips that are made of clips, over the weights of their labels.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from minilib.papers.coarse_fine.drawn import timed
from minilib.papers.detection_pretraining.cutmix import TransientView, TransientWindow
from minilib.papers.detection_pretraining.figures import augmented, weighted_strips
from minilib.papers.detection_pretraining.method import Augmentation, VolumeFreeze, unchanged
from minilib.papers.detection_pretraining.mixes import VolumeMixUp, Windows, released_ramp, thesis_ramp
from minilib.plots import COLOURS
from minilib.world import LONG_MOTIONS, clip_batch
from minilib.world.pictures import strip

IDEA = (
    "Four strips of sixteen frames, and under each the weights of its labels. A clip keeps one label throughout; "
    "frozen frames turn to background; in MixUp one label fades into another and back; in CutMix two share every frame."
)
CLASSES = len(LONG_MOTIONS)
MADE = {  # title -> augmentation, and the seed with which the first clip's partner is the second
    "a clip and its label, given to every frame": (unchanged, 0),
    "Volume Freeze": (VolumeFreeze(), 0),
    "Volume MixUp": (VolumeMixUp(), 0),
    "Volume CutMix, transient view": (TransientView(), 1),
    "Volume CutMix, transient window": (TransientWindow(), 0),
}


def pair() -> tuple[Tensor, Tensor]:
    """Two clips uint8 (2, 16, 32, 32, 3) of one object each, and their labels (2,)."""
    return clip_batch("motion", 0, "val", [1, 9], 16, size=32, motions=tuple(range(CLASSES)))


def made(augmentation: Augmentation, draw: int) -> tuple[Tensor, Tensor]:
    """The first clip of the pair after an augmentation, and its label weights (t, k + 1)."""
    torch.manual_seed(draw)
    clips, weights = augmented(*pair(), CLASSES, augmentation)
    return clips[0], weights[0]


def idea() -> Figure:
    """What each augmentation makes of a clip, and what becomes of its label."""
    shown = {title: made(*how) for title, how in MADE.items() if title != "Volume CutMix, transient window"}
    return weighted_strips(shown, LONG_MOTIONS)


def films() -> dict[str, Tensor]:
    """The pair and what is made of it, over the weights of both labels and of the background."""
    (first, second), labels = pair()
    alone = {k: torch.zeros(3, len(first)) for k in (0, 1)}
    for k, weights in alone.items():
        weights[k] = 1
    shown = {"clip 1": timed(first, alone[0]), "clip 2": timed(second, alone[1])}
    for title, how in list(MADE.items())[1:]:
        clip, weights = made(*how)
        name = title.split(",")[-1].strip().removeprefix("Volume ")
        shown[name] = timed(clip, weights[:, [*labels.tolist(), CLASSES]].T)
    return shown


def fading(r: int, end: int = 11) -> Figure:
    """Clip 1 until frame `end`, clip 2 from after frame `r` on: the mixed frames, and both weights in both forms."""
    clips, _ = pair()
    frames = clips.shape[1]
    windows = Windows(*(torch.tensor([border]) for border in (0, end, r, frames)))
    figure, axes = plt.subplots(2, 1, figsize=(7.4, 2.6), height_ratios=(0.75, 2))
    for ramp, line, form in ((released_ramp, "o-", "released"), (thesis_ramp, "x:", "printed")):
        weights = ramp(windows, frames)
        for k, weight in enumerate(weights):
            axes[1].plot(range(1, frames + 1), weight[0], line, color=COLOURS[k], label=f"clip {k + 1}, {form}")
        if ramp is released_ramp:
            mixed = sum(w[0, :, None, None, None] * clip for w, clip in zip(weights, clips, strict=True))
    axes[0].imshow(strip(mixed.round().byte()), aspect="auto")
    axes[0].set_axis_off()
    axes[1].set(xlabel="frame", ylabel="weight", xlim=(0.5, frames + 0.5))
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure

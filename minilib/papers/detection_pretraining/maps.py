"""Pictures of augmented clips: the frames, and beneath each the weight of every label it has.

Axes: b clips, t frames, c channels, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from minilib.papers.detection_pretraining.method import Augmentation, frame_labels, targets
from minilib.plots import COLOURS
from minilib.world.pictures import GAP, strip

REST = "#999999"  # of the background


def augmented(frames: Tensor, labels: Tensor, classes: int, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Clips uint8 (b, t, h, w, 3) and labels (b,) as an augmentation makes them: clips alike, and label weights
    (b, t, k + 1), the last for the background."""
    clips, known = augmentation(frames.float().movedim(-1, 1), frame_labels(labels, frames.shape[1]))
    return clips.movedim(1, -1).round().clamp(0, 255).byte(), targets(known, classes + 1, classes)


def weighted_strips(shown: Mapping[str, tuple[Tensor, Tensor]], names: Sequence[str]) -> Figure:
    """Title -> (frames (t, h, w, 3), weights (t, k + 1)): each clip as a strip, its label weights stacked beneath.

    `names` are the k classes; those that occur, and the background, are in the legend.
    """
    frames, _ = next(iter(shown.values()))
    steps, width = frames.shape[0], frames.shape[2]
    figure, axes = plt.subplots(
        2 * len(shown), 1, figsize=(8.6, 1.3 * len(shown) + 0.3), height_ratios=[1.25, 0.75] * len(shown), sharex=True
    )
    middles = (width - 1) / 2 + np.arange(steps) * (width + GAP)
    occur = torch.stack([weights.amax(0) for _, weights in shown.values()]).amax(0).nonzero().flatten().tolist()
    inks = {k: COLOURS[i % 7] for i, k in enumerate(occur)} | {len(names): REST}
    for (title, (clip, weights)), picture, bars in zip(shown.items(), axes[::2], axes[1::2], strict=True):
        picture.imshow(strip(clip), aspect="auto")
        picture.set_title(title)
        picture.set_axis_off()
        bottom = np.zeros(steps)
        for k in occur:
            bars.bar(middles, weights[:, k], width, bottom, color=inks[k])
            bottom += weights[:, k].numpy()
        bars.set_ylim(0, 1.05)
        bars.set_ylabel("weight")
        bars.set_xticks([])
    axes[-1].set_xticks(middles, range(1, steps + 1))
    axes[-1].set_xlabel("frame")
    handles = [plt.Rectangle((0, 0), 1, 1, color=inks[k]) for k in occur]
    figure.legend(handles, [[*names, "background"][k] for k in occur], loc="outside lower center", ncols=len(occur))
    return figure

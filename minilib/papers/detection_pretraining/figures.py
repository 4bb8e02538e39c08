"""Pictures of augmented clips, with the weight of every label beneath each frame; and the thesis' tables.

Axes: b clips, t frames, c channels, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from minilib.metrics.detection import actions_per_frame, detection_score, near_boundary
from minilib.papers.detection_pretraining.method import Augmentation, frame_labels, targets
from minilib.plots import COLOURS
from minilib.study import Feed, Row
from minilib.study.detection import probabilities
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


def by_frames(model: nn.Module, feed: Feed, device: str) -> dict[str, float]:
    """mAP over frames of one action or of several, and within a frame of a start or stop or elsewhere (Table 4.4e)."""
    found, labels = probabilities(model, feed, device), feed.source.rendered.labels
    near, actions = torch.stack([near_boundary(each) for each in labels]), actions_per_frame(labels)
    chosen = {"single": actions == 1, "several": actions > 1, "boundary": near, "inside": ~near}
    return {name: detection_score(found[which], labels[which]).mean for name, which in chosen.items()}


# --- tables ----------------------------------------------------------------------------------------------------------

TABLES = {
    "4.2a": {
        "classification": Row("cls", "map.t42a.cls"),
        "Volume Freeze": Row("vf", "map.t42a.vf"),
        "Volume MixUp": Row("vm", "map.t42a.vm"),
        "Volume CutMix": Row("vc", "map.t42a.vc"),
        "joint training": Row("joint", "map.t42a.joint"),
        "ensemble of the three": Row("ensemble", "map.t42a.ensemble"),
    },
    "4.2b": {
        "slow, cls.": Row("slow/cls", "t42b.slow.cls"),
        "slow, VC": Row("slow/vc", "t42b.slow.vc"),
        "SlowFast, cls.": Row("slowfast/cls", "map.t42b.slowfast.cls"),
        "SlowFast, VC": Row("slowfast/vc", "map.t42b.slowfast.vc"),
        "coarse, cls.": Row("coarse/cls", "t42b.coarse.cls"),
        "coarse, VC": Row("coarse/vc", "t42b.coarse.vc"),
        "Coarse-Fine, cls.": Row("coarse_fine/cls", "map.t42b.coarse_fine.cls"),
        "Coarse-Fine, VC": Row("coarse_fine/vc", "map.t42b.coarse_fine.vc"),
        "coarse VC, fine cls.": Row("coarse_fine/vc_cls", "map.t42b.coarse_fine.vc_cls"),
        "coarse ensemble, fine cls.": Row("coarse_fine/ensemble_cls", "map.t42b.coarse_fine.ensemble_cls"),
        "both ensembles": Row("coarse_fine/ensemble", "map.t42b.coarse_fine.ensemble"),
    },
    "4.1": {  # Charades' own protocol there, 25 frames a video and weighted classes
        f"{title}, {how}": Row(f"{stream}/{name}".lstrip("/"), f"map.t41.{stream or 'x3d'}.{name}")
        for title, stream in (("X3D", ""), ("SlowFast", "slowfast"), ("Coarse-Fine", "coarse_fine"))
        for how, name in (("cls.", "cls"), ("joint", "joint"), ("ensemble", "ensemble"))
    },
    "4.3": {
        "classification": Row("crowded/cls", "map.t43.x3d.cls"),
        "joint training": Row("crowded/joint", "map.t43.x3d.joint"),
        "ensemble of the three": Row("crowded/ensemble", "map.t43.x3d.ensemble"),
        "no pretraining": Row("crowded/control/no_pretraining"),
        "and labels of other clips": Row("crowded/control/shuffled_labels"),
    },
    "4.4a": {
        "classification": Row("cls", "map.t42a.cls"),
        "one frozen segment": Row("vf", "map.t42a.vf"),
        "two": Row("vf_two", "map.t44a.vf_two"),
    },
    "4.4b": {
        "hard boundaries": Row("vm_hard", "map.t44b.vm_hard"),
        "seamless": Row("vm", "map.t42a.vm"),
        "seamless, of features": Row("vm_manifold", "map.t44b.vm_manifold"),
    },
    "4.4c": {
        "transient window": Row("vc_window", "map.t44c.vc_window"),
        "transient view": Row("vc", "map.t42a.vc"),
    },
    "4.4d": {
        "from scratch, cls.": Row("scratch_cls", "map.t44d.scratch_cls"),
        "from scratch, det.": Row("scratch_det", "map.t44d.scratch_det"),
        "from the checkpoint, cls.": Row("cls", "map.t42a.cls"),
        "from the checkpoint, det.": Row("joint", "map.t44d.checkpoint_det"),
    },
    "controls": {
        "joint training": Row("joint"),
        "the same, labels of other clips": Row("control/wrong_labels"),
        "classification": Row("cls"),
        "no pretraining": Row("control/no_pretraining"),
        "and labels of other clips in fine-tuning": Row("control/shuffled_labels"),
    },
}
FRAMES = {"single": "one action", "several": "several actions", "inside": "inside", "boundary": "near a boundary"}
GAINS = {  # metrics that the claims file derives
    "4.4e": {
        f"{name.upper()}, {title}": Row(f"gain/{name}/{what}", f"t44e.{name}.{what}")
        for name in ("vf", "vm", "vc")
        for what, title in FRAMES.items()
    },
    "4.5a": {
        f"{name}, {what}": Row(f"gain/{name}/{what}", f"t45a.{name}.{what}")
        for what in ("coarse", "slow")
        for name in ("cls", "vf", "vm", "vc")
    },
    "4.5b": {
        f"{name}, sigma = T/{width}": Row(f"gain/{name}/sigma_{width}", f"t45b.{name}.sigma_{width}")
        for name in ("cls", "vc")
        for width in (16, 8)
    },
}

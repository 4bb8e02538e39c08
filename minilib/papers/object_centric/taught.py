"""Slots that begin where they should end: taught the true masks, before OCA's losses are let loose on them.

A measurement of this suite, not of the paper. If slots stay on their objects from such a start, the losses can keep
objects and only fail to find them; if they leave, the losses do not ask for objects.

Axes: b clips, t frames, s slots, o objects (the ground is one), n patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from minilib.claims.intervals import EFFECT
from minilib.claims.said import paired
from minilib.claims.words import number, several
from minilib.metrics.proposals import true_patches
from minilib.models.small_clip import small_clip
from minilib.papers.object_centric.method import ObjectCentric, oca
from minilib.study import Clips
from minilib.world.segmentation import LARGE, segmentation_batch

CLIPS, BATCH, EPOCHS, RATE = 512, 16, 13, 2e-3  # of the lesson; a feed of fewer clips makes it shorter
LOSSES = {
    "taught/no_losses": "the classification alone",
    "taught/only_obj": "object distillation besides",
    "taught/oca": "both losses besides",
}
OTHERS = {"k-means of the same features": "jf_kmeans", "the truth, rounded to patches": "jf_true"}
TEACHING = 1 << 20  # added to a seed: the lesson's clips are no clips of the task


def mask_loss(masks: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of the true shares of each patch, truth (b, t, o, n), with the masks (b, t, s, n) of the slots that
    fit them best, one for each object and the same in all frames of a clip (Hungarian matching)."""
    logs = masks.clamp_min(1e-6).log()
    fit = -torch.einsum("bton,btsn->bos", truth, logs)
    pairs = [linear_sum_assignment(each) for each in fit.detach().cpu().numpy()]
    total = sum(each[torch.as_tensor(o), torch.as_tensor(s)].sum() for each, (o, s) in zip(fit, pairs, strict=True))
    return total / truth.sum()


def teach(model: ObjectCentric, seed: int, frames: int, clips: int = CLIPS) -> None:
    """Trains the slots of `model`, in place, on true masks of so many clips of large objects."""
    clip = small_clip()
    pixels, ids = segmentation_batch(seed + TEACHING, "train", np.arange(clips), frames, scale=LARGE)
    truth = true_patches(ids, clip.visual.grid_size)
    with torch.no_grad():
        patches = torch.cat([model.joint(clip.frame_features(part, [-1]))[1] for part in pixels.split(64)])
    optimizer, steps = torch.optim.AdamW(model.decompose.parameters(), RATE), EPOCHS * clips // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    draws = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(clips, (BATCH,), generator=draws)
        loss = mask_loss(model.decompose(patches[chosen])[1], truth[chosen])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


def taught(feed: Clips, classes: int, frozen: bool) -> ObjectCentric:
    """OCA around the small CLIP with slots that know the true masks; `frozen`: what makes masks stays as it is."""
    source = feed.source
    model = oca(small_clip().visual, source.steps, classes)
    teach(model, source.seed, source.steps, min(CLIPS, len(source)))
    if frozen:
        model.decompose.requires_grad_(False)
        model.fuse.requires_grad_(False)
    return model


def became(rows: Mapping[str, Mapping[int, float]], recipe: str = "grid") -> str:
    """What training made of slots that were taught the true masks, as one sentence from rows of J&F."""
    metrics = {name: f"{recipe}/hard_appearance/{name}/jf" for name in ("taught/frozen", *LOSSES)}
    metrics["untrained"] = f"{recipe}/hard_appearance/control/random_slots/jf"
    others = {name: f"{recipe}/hard_appearance/oca/{metric}" for name, metric in OTHERS.items()}
    if not all(rows.get(metric) for metric in metrics.values()):
        return "What becomes of slots that were taught the true masks is not measured yet."
    jf = {name: fmean(rows[metric].values()) for name, metric in metrics.items()}
    seeds = min(len(rows[metric]) for metric in metrics.values())
    ends = ", ".join(f"{number(jf[name])} with {losses}" for name, losses in LOSSES.items())
    beside = {"never trained": jf["untrained"]}
    beside |= {name: fmean(rows[metric].values()) for name, metric in others.items() if rows.get(metric)}
    listed = "; ".join(f"{name}: {number(value)}" for name, value in beside.items())
    text = (
        f"Taught the true masks, the slots begin at a J&F of {number(jf['taught/frozen'])}; trained on, they end at "
        f"{ends} ({listed}; {several(seeds, 'seeds')}). "
    )
    sample = paired(rows, metrics["taught/only_obj"], metrics["taught/no_losses"])
    low, high = (0.0, 0.0) if sample is None else sample.interval(EFFECT)
    if low <= 0 <= high:
        return f"{text}What the object distillation does to them these seeds do not say."
    return (
        f"{text}With the object distillation they end clearly {'lower' if high < 0 else 'higher'} than without losses."
    )

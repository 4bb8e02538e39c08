"""Coarse-Fine Networks for temporal activity detection (thesis of K. Kahatapitiya, Chapter 3; CVPR 2021).

    fine    all frames  -> X3D -> its five levels ---------- fusion: scale and shift ----------.
    coarse  all frames  -> stem, res2 -> Grid Pool -> res3 -> res4 -> res5 -> logits -> Grid Unpool -> scores

The Coarse stream looks at a quarter of the frames, at learned places; Multi-stage Fusion tells it what lies between.
`CoarseStream` takes any pooling and any fusion or none, so every ablation of Table 3.3 is another argument: `variants`.
The released code trains the coarse stream on stored fine features (`released`); the text trains both together, which
`CoarseFine` does as it is.

Axes: b clips, t frames of the coarse clip, u frames of the whole video, h and w pixels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.x3d import X3D
from minilib.papers.coarse_fine.fusion import Levels
from minilib.papers.coarse_fine.grid import GridPool, Pooled

CHARADES_MEAN, CHARADES_STD = (0.413, 0.368, 0.338), (0.131, 0.125, 0.132)  # of the released code's input


class Alone:
    """The context of a coarse stream without a fine one."""

    def modulate(self, level: int, x: Tensor) -> Tensor:
        return x

    def scores(self, logits: Tensor) -> Tensor:
        return logits


class CoarseStream(nn.Module):
    """An X3D whose time axis is reduced after res2 and restored at the logits; fine levels come in between.

    `pool(channels)` makes the pooling, `fusion(size, classes)` the fusion. Alone it is the "Coarse-only" network.
    """

    def __init__(
        self,
        backbone: X3D,
        pool: Callable[[int], nn.Module] = GridPool,
        fusion: Callable[..., nn.Module] | None = None,
    ):
        super().__init__()
        self.backbone, self.pool = backbone, pool(backbone.size.outer[0])
        self.fusion = fusion(backbone.size, backbone.classes) if fusion else None

    @property
    def classes(self) -> int:
        return self.backbone.classes

    def normalise(self, frames: Tensor) -> Tensor:
        return self.backbone.normalise(frames)

    def before(self, clips: Tensor) -> Tensor:
        """res2 of all frames (b, c, t, h, w), which is what the pooling sees."""
        net = self.backbone
        return net.stages[0](net.stem(net.pixels(clips)))

    def sampled(self, clips: Tensor) -> tuple[Tensor, Pooled]:
        """`before`, and what the pooling takes of it."""
        before = self.before(clips)
        return before, self.pool(before)

    def finish(self, pooled: Pooled, frames: int, levels: Levels | None = None, start=0, valid=None) -> Tensor:
        """From the pooled features to scores (b, t, k); see `forward`."""
        context = self._context(pooled, levels, start, valid)
        x = pooled.x
        for i, stage in enumerate(self.backbone.stages[1:]):
            x = stage(context.modulate(i, x))
        x = context.modulate(len(self.backbone.stages) - 1, x)
        logits = context.scores(self.backbone.head(x))
        return self.pool.unpool(logits, pooled, frames)

    def _context(self, pooled: Pooled, levels: Levels | None, start, valid: Tensor | None):
        if (levels is None) != (self.fusion is None):
            raise BadInput(
                "this coarse stream has a fusion and needs fine levels: give levels="
                if levels is None
                else "this coarse stream has no fusion: build it with one to give it fine levels"
            )
        if levels is None:
            return Alone()
        if valid is None:
            valid = torch.ones(len(pooled.x), levels[0].shape[2], dtype=torch.bool, device=pooled.x.device)
        if not isinstance(start, Tensor):
            start = torch.full((1,), float(start), device=pooled.x.device)  # no copy that a GPU would be waited for
        start = start.to(pooled.centres.device, pooled.centres.dtype).view(-1, 1)
        return self.fusion(levels, pooled._replace(centres=pooled.centres + start), valid)

    def forward(self, clips: Tensor, levels: Levels | None = None, start=0, valid: Tensor | None = None) -> Tensor:
        """Scores (b, t, k) before the sigmoid for uint8 (b, t, h, w, 3) or normalised (b, 3, t, h, w).

        levels: the fine stream's, of the whole video, (b, c, u, ...) each. start: the clip's first frame within it, a
        number or (b,). valid: (b, u), False where the video is padded. t need not divide by the pooling's ratio. Raises
        BadInput where levels and fusion do not go together.
        """
        before, pooled = self.sampled(clips)
        return self.finish(pooled, before.shape[2], levels, start, valid)


class CoarseFine(nn.Module):
    """Both streams end to end. Where `fine` is frozen, no gradient is computed in it."""

    def __init__(self, coarse: CoarseStream, fine: X3D):
        super().__init__()
        if coarse.fusion is None:
            raise BadInput("the coarse stream has no fusion: build it with fusion=MultiStageFusion or another")
        if coarse.backbone.size != fine.size:
            raise BadInput(f"the two streams differ in size: {coarse.backbone.size} and {fine.size}")
        self.coarse, self.fine = coarse, fine

    @property
    def classes(self) -> int:
        return self.coarse.classes

    def normalise(self, frames: Tensor) -> Tensor:
        return self.coarse.normalise(frames)

    def forward(self, clips: Tensor, whole: Tensor | None = None, start=0, valid: Tensor | None = None) -> Tensor:
        """Scores (b, t, k) of `clips`; `whole` is the video (b, u, ...) that they are cut out of at `start`.

        Without it both streams see the clips.
        """
        levels = self.fine.features(clips if whole is None else whole)
        return self.coarse(clips, levels, start, valid)


# --- the loss (Sec. 3.3.1) --------------------------------------------------------------------------------------------


def detection_loss(scores: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """(L_cls + L_loc) / 2: binary cross-entropy of the clip (largest score over time) and of every valid frame.

    scores (b, t, k) before the sigmoid, labels (b, t, k) in [0, 1], valid (b, t) bool. Detection pretraining's script
    on Charades averages over padded frames too: leave `valid` out for that.
    """
    if scores.shape != labels.shape:
        raise BadInput(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)} differ in shape: need (b, t, k)")
    labels = labels.to(scores.dtype)
    if valid is None:
        valid = torch.ones_like(scores[..., 0], dtype=torch.bool)
    seen = valid[..., None]
    each = F.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    localisation = (each * seen).sum() / (seen.sum() * scores.shape[2]).clamp(min=1)
    # the code takes the largest of sigmoid x valid: the same frame, as padding has probability 0
    best = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).amax(1)
    return (F.binary_cross_entropy_with_logits(best, (labels * seen).amax(1)) + localisation) / 2


def detection(model: nn.Module, clips: Tensor, labels: Tensor) -> Tensor:
    """`detection_loss` as an objective of `minilib.training.train`."""
    return detection_loss(model(clips), labels)

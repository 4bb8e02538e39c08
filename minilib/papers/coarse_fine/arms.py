"""Coarse-Fine's ablations as data: one *arm* a table row, a network that is built from other parts.

Names are those of `claims/coarse_fine.yaml`, there with "grid/" before them. Nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from minilib.models.x3d import X3D, Size
from minilib.papers.coarse_fine import fusion
from minilib.papers.coarse_fine.baselines import SlowFastFusion
from minilib.papers.coarse_fine.grid import (
    AveragePool,
    GridPool,
    KeepAll,
    MaxPool,
    NoiseHead,
    Striding,
    released_strides,
)
from minilib.papers.coarse_fine.losses import WithAuxiliary, detection, flow, reconstruction
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream

MULTI = fusion.MultiStageFusion
LITTLE = Size((1, 1, 2, 1), (16, 24, 48, 72), (8, 12, 24, 36), 8, 72, 64)  # learns in half a minute on a core
DEEP = replace(LITTLE, blocks=(2, 2, 4, 2))  # as X3D-L is to X3D-M


@dataclass(frozen=True)
class Arm:
    """`pool` None is a plain X3D; without `fuse` the coarse stream is alone. dense: twice the frames, half the stride.
    control: "frames" shuffles them in training and test."""

    pool: Callable[[int], nn.Module] | None = GridPool
    fuse: Callable[..., nn.Module] | None = None
    objective: Callable[[nn.Module, Tensor, Tensor], Tensor] = detection
    size: Size = LITTLE
    dense: bool = False
    control: str | None = None

    def build(self, classes: int, seed: int) -> nn.Module:
        """The network with the seed's random weights."""
        torch.manual_seed(seed)
        net = X3D(self.size, classes, dropout=0.0)
        if self.pool is None:
            return net
        coarse = CoarseStream(net, self.pool, self.fuse)
        return CoarseFine(coarse, X3D(self.size, classes, dropout=0.0)) if self.fuse else coarse


_SIXTEENTH = partial(GridPool, strides=released_strides(8))
_fine_fine = partial(Arm, KeepAll)
_with = partial(partial, MULTI)

ARMS = {
    # Table 3.2
    "x3d": Arm(None),
    "x3d_l": Arm(None, size=DEEP),
    "slowfast": Arm(Striding, SlowFastFusion),
    "fine_fine": _fine_fine(MULTI),
    "coarse_fine": Arm(fuse=MULTI),
    # Table 3.3(a) to (c): fusion, in Fine-Fine networks
    "fine_fine_late": _fine_fine(_with(mixing=None)),
    "fine_fine_one_to_one": _fine_fine(_with(mixing=fusion.OneToOne)),
    "fine_fine_c": _fine_fine(_with(average=fusion.over_time_and_space)),
    "fine_fine_chw": _fine_fine(_with(average=fusion.over_time)),
    "fine_fine_late_no_mask": _fine_fine(_with(mixing=None, mask=fusion.NoMask)),
    "fine_fine_no_mask": _fine_fine(_with(mask=fusion.NoMask)),
    # Table 3.3(d) and (e): pooling, in coarse-only networks
    "grid_pool": Arm(),
    "grid_eighth": Arm(partial(GridPool, ratio=8)),
    "grid_sixteenth": Arm(_SIXTEENTH),
    "dense_grid_pool": Arm(dense=True),
    "dense_grid_sixteenth": Arm(_SIXTEENTH, dense=True),
    "max_pool": Arm(MaxPool),
    "average_pool": Arm(AveragePool),
    "striding": Arm(Striding),
    # Table 3.3(f)
    "slowfast_grid": Arm(fuse=SlowFastFusion),
    "slowfast_fusion": Arm(Striding, MULTI),
    # Table 3.4, and what must fail
    "grid_pool_reconstruction": Arm(objective=WithAuxiliary(reconstruction)),
    "grid_pool_flow": Arm(objective=WithAuxiliary(flow)),
    "control/noise_grid": Arm(partial(GridPool, head=NoiseHead)),
    "control/shuffled_frames": Arm(control="frames"),
}

"""Every number of Tables 3.2 and 3.3 that can be counted, from networks of the real size on the meta device.

`count_all()` gives {metric: value} in the thesis' units: 10^9 multiply-adds ("GFLOPs") of 128 frames at 224 x 224 with
157 classes, 10^6 parameters. The convention that meets the tables: convolutions only; the last linear layer, the
aggregation over Gaussians, norms and interpolation are free. The fine stream counts with its head, which fusion never
uses.

The table's own Coarse-Fine adds the fusion of a *Fine-Fine* network, at 128 coarse frames: 73.37. The released code
runs it on the 33 frames that Grid Pool leaves: 60.93, under names ending in `.run`. Only with these do the thesis'
other two figures, "1/75" and 0.49 TFLOPs on MultiTHUMOS, come out.
"""

from __future__ import annotations

from functools import cache, partial

import torch
from torch import nn

from minilib.cost import convolutions, parameters
from minilib.models.x3d import X3D, X3D_L, X3D_M
from minilib.papers.coarse_fine import variants
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool, Pooled
from minilib.papers.coarse_fine.method import CoarseStream
from minilib.papers.coarse_fine.slowfast import SlowFastFusion

CLASSES, FRAMES, SIDE = 157, 128, 224
I3D_TGM = 4446.66  # the thesis' count of I3D + TGM, flow included, which it compares with


def clip(frames: int = FRAMES, side: int = SIDE) -> torch.Tensor:
    return torch.empty(1, 3, frames, side, side, device="meta")


def x3d(size=X3D_M) -> X3D:
    with torch.device("meta"):
        return X3D(size, CLASSES)


def coarse(pool=GridPool, fusion=None) -> CoarseStream:
    with torch.device("meta"):
        return CoarseStream(X3D(X3D_M, CLASSES), pool, fusion)


@cache
def levels() -> list[torch.Tensor]:
    """The fine stream's features of 128 frames, as shapes."""
    with torch.no_grad():
        return x3d().eval().features(clip())


@cache
def single() -> float:
    """One X3D-M."""
    return convolutions(x3d(), clip())


@cache
def alone(pool, frames: int = FRAMES) -> float:
    """A coarse-only network."""
    return convolutions(coarse(pool), clip(frames))


@cache
def both(pool, fusion) -> float:
    """Two streams at the shapes they really run at."""
    return single() + convolutions(coarse(pool, fusion), clip(), levels())


def fused_at_128() -> float:
    """What Multi-stage Fusion costs on 128 coarse frames."""
    return both(variants.KeepAll, MultiStageFusion) - 2 * single()


def millions(*models: nn.Module) -> float:
    """Parameters of all, in 10^6."""
    return sum(parameters(model) for model in models) / 1e6


def table_32() -> dict[str, float]:
    """Computation and parameters of the rows whose networks are known, and what the text derives from them."""
    run = both(GridPool, MultiStageFusion)
    printed = alone(GridPool) + single() + fused_at_128()
    fine_fine = both(variants.KeepAll, MultiStageFusion)
    return {
        "t32.x3d.gflops": single(),
        "t32.x3d.params": millions(x3d()),
        "t32.x3d_l.gflops": convolutions(x3d(X3D_L), clip(side=312)),
        "t32.x3d_l.params": millions(x3d(X3D_L)),
        "t32.fine_fine.gflops": fine_fine,
        "t32.fine_fine.params": millions(coarse(variants.KeepAll, MultiStageFusion), x3d()),
        "t32.coarse_fine.gflops": printed,
        "t32.coarse_fine.gflops.run": run,
        "t32.coarse_fine.params": millions(coarse(GridPool, MultiStageFusion), x3d()),
        "t32.slowfast.gflops": both(variants.Striding, SlowFastFusion),
        "t32.slowfast.params": millions(coarse(variants.Striding, SlowFastFusion), x3d()),
        "t32.reduction": 100 * (1 - printed / fine_fine),
        "t32.reduction.run": 100 * (1 - run / fine_fine),
        "t32.times_less": I3D_TGM / printed,
        "t32.times_less.run": I3D_TGM / run,
        "f35.coarse_fine": 8 * printed / 1e3,  # 1024 frames
        "f35.coarse_fine.run": 8 * run / 1e3,
        "f35.i3d_tgm": 8 * I3D_TGM / 1e3,
    }


def table_33() -> dict[str, float]:
    """Ablations (a) to (f); what Table 3.2 has, too, stands there."""
    fused = partial(both, variants.KeepAll)
    sixteenth, eighth = partial(GridPool, strides=variants.released_strides(8)), partial(GridPool, ratio=8)
    return {
        "t33a.late": fused(partial(MultiStageFusion, mixing=None)),
        "t33a.one_to_one": fused(partial(MultiStageFusion, mixing=variants.OneToOne)),
        "t33b.c": 2 * single() + _fused_once((1, 1, 1, 1, 1)),
        "t33b.chw": 2 * single() + fused_at_128() / FRAMES,
        "t33c.late.none": fused(partial(MultiStageFusion, mixing=None, mask=variants.NoMask)),
        "t33c.multi_stage.none": fused(partial(MultiStageFusion, mask=variants.NoMask)),
        "t33d.128.eighth": alone(sixteenth),
        "t33d.128.eighth.true": alone(eighth),
        "t33d.128.quarter": alone(GridPool),
        "t33d.256.eighth": alone(sixteenth, 256),
        "t33d.256.eighth.true": alone(eighth, 256),
        "t33d.256.quarter": alone(GridPool, 256),
        "t33e.max": alone(variants.MaxPool),
        "t33e.average": alone(variants.AveragePool),
        "t33e.stride": alone(variants.Striding),
        "t33f.grid": both(GridPool, SlowFastFusion),
        "t33f.fusion": alone(variants.Striding) + single() + fused_at_128(),
        "t33f.fusion.run": both(variants.Striding, MultiStageFusion),
    }


def _fused_once(sides: tuple[int, ...]) -> float:
    """The fusion's convolutions where the fine levels have one frame and so many places a side."""
    model = coarse(variants.KeepAll, MultiStageFusion).fusion
    inputs = [
        torch.empty(1, c, 1, s, s, device="meta") for c, s in zip((*X3D_M.outer, X3D_M.conv5), sides, strict=True)
    ]
    places = torch.zeros(1, 1, device="meta")
    valid = torch.ones(1, 1, dtype=torch.bool, device="meta")

    class Once(nn.Module):
        def forward(self):
            context = model(inputs, Pooled(inputs[0], places, places), valid)
            for level, x in enumerate(inputs[:4]):
                context.modulate(level, x)

    return convolutions(Once())


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    return table_32() | table_33()

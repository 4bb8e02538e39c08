"""Every number of Tables 3.2 and 3.3 that can be counted, from networks of the real size on the meta device.

`count_all()` gives {measure: value} in the thesis' units: 10^9 multiply-adds ("GFLOPs") of 128 frames at 224 x 224 with
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
from torch.utils.flop_counter import FlopCounterMode

from minilib.cost import multiply_adds, parameters
from minilib.models.x3d import X3D, X3D_L, X3D_M
from minilib.papers.coarse_fine import fusion, grid
from minilib.papers.coarse_fine.baselines import SlowFastFusion
from minilib.papers.coarse_fine.method import CoarseStream

CLASSES, FRAMES, SIDE = 157, 128, 224
I3D_TGM = 4446.66  # the thesis' count of I3D + TGM, flow included, which it compares with
MULTI = fusion.MultiStageFusion
LATE = partial(MULTI, mixing=None)
ONE_TO_ONE = partial(MULTI, mixing=fusion.OneToOne)
NO_MASK = partial(MULTI, mask=fusion.NoMask)
LATE_NO_MASK = partial(NO_MASK, mixing=None)


def clip(frames: int = FRAMES, side: int = SIDE) -> torch.Tensor:
    return torch.empty(1, 3, frames, side, side, device="meta")


def convolutions(model: nn.Module, *inputs) -> float:
    """10^9 multiply-adds of the convolutions alone."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(*inputs)
    return counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0) / 2e9


def x3d(size=X3D_M) -> X3D:
    with torch.device("meta"):
        return X3D(size, CLASSES)


def coarse(pool=grid.GridPool, fuse=None) -> CoarseStream:
    with torch.device("meta"):
        return CoarseStream(X3D(X3D_M, CLASSES), pool, fuse)


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
def both(pool, fuse) -> float:
    """Two streams at the shapes they really run at."""
    return single() + convolutions(coarse(pool, fuse), clip(), levels())


def fused_at_128(fuse) -> float:
    """What a fusion costs on 128 coarse frames."""
    return both(grid.KeepAll, fuse) - 2 * single()


def mega(model: nn.Module) -> float:
    return parameters(model) / 1e6


# --- one function a table --------------------------------------------------------------------------------------------


def table_32() -> dict[str, float]:
    """Computation and parameters of the rows whose networks are known, and what the text derives from them."""
    run = both(grid.GridPool, MULTI)
    printed = alone(grid.GridPool) + single() + fused_at_128(MULTI)
    fine_fine = both(grid.KeepAll, MULTI)
    return {
        "t32.x3d.gflops": single(),
        "t32.x3d.params": mega(x3d()),
        "t32.x3d_l.gflops": convolutions(x3d(X3D_L), clip(side=312)),
        "t32.x3d_l.params": mega(x3d(X3D_L)),
        "t32.fine_fine.gflops": fine_fine,
        "t32.fine_fine.params": mega(coarse(grid.KeepAll, MULTI)) + mega(x3d()),
        "t32.coarse_fine.gflops": printed,
        "t32.coarse_fine.gflops.run": run,
        "t32.coarse_fine.params": mega(coarse(grid.GridPool, MULTI)) + mega(x3d()),
        "t32.slowfast.gflops": both(grid.Striding, SlowFastFusion),
        "t32.slowfast.params": mega(coarse(grid.Striding, SlowFastFusion)) + mega(x3d()),
        "t32.reduction": 100 * (1 - printed / fine_fine),
        "t32.reduction.run": 100 * (1 - run / fine_fine),
        "t32.times_less": I3D_TGM / printed,
        "t32.times_less.run": I3D_TGM / run,
        "f35.coarse_fine": 8 * printed / 1e3,  # 1024 frames
        "f35.coarse_fine.run": 8 * run / 1e3,
        "f35.i3d_tgm": 8 * I3D_TGM / 1e3,
    }


def table_33() -> dict[str, float]:
    """Ablations (a) to (f)."""
    fine_fine, grid_alone = partial(both, grid.KeepAll), alone(grid.GridPool)
    multi, late = fine_fine(MULTI), fine_fine(LATE)
    slowfast, eighth = both(grid.Striding, SlowFastFusion), partial(grid.GridPool, ratio=8)
    released = partial(grid.GridPool, strides=grid.released_strides(8))
    return {
        "t33a.late": late,
        "t33a.one_to_one": fine_fine(ONE_TO_ONE),
        "t33a.multi_stage": multi,
        "t33b.c": 2 * single() + _fused_once((1, 1, 1, 1, 1)),
        "t33b.chw": 2 * single() + fused_at_128(MULTI) / FRAMES,
        "t33b.cthw": multi,
        "t33c.late.none": fine_fine(LATE_NO_MASK),
        "t33c.late.mask": late,
        "t33c.multi_stage.none": fine_fine(NO_MASK),
        "t33c.multi_stage.mask": multi,
        "t33d.128.eighth": alone(released),
        "t33d.128.eighth.true": alone(eighth),
        "t33d.128.quarter": grid_alone,
        "t33d.256.eighth": alone(released, 256),
        "t33d.256.eighth.true": alone(eighth, 256),
        "t33d.256.quarter": alone(grid.GridPool, 256),
        "t33e.max": alone(grid.MaxPool),
        "t33e.average": alone(grid.AveragePool),
        "t33e.stride": alone(grid.Striding),
        "t33e.grid": grid_alone,
        "t33f.slowfast": slowfast,
        "t33f.grid": both(grid.GridPool, SlowFastFusion),
        "t33f.fusion": alone(grid.Striding) + single() + fused_at_128(MULTI),
        "t33f.fusion.run": both(grid.Striding, MULTI),
        "t33f.both": grid_alone + single() + fused_at_128(MULTI),
        "t33f.both.run": both(grid.GridPool, MULTI),
    }


def _fused_once(sides: tuple[int, ...]) -> float:
    """The fusion's convolutions where the fine levels have one frame and so many places a side."""
    model = coarse(grid.KeepAll, MULTI).fusion
    inputs = [
        torch.empty(1, c, 1, s, s, device="meta") for c, s in zip((*X3D_M.outer, X3D_M.conv5), sides, strict=True)
    ]
    places = torch.zeros(1, 1, device="meta")
    valid = torch.ones(1, 1, dtype=torch.bool, device="meta")

    class Once(nn.Module):
        def forward(self):
            context = model(inputs, grid.Pooled(inputs[0], places, places), valid)
            for level, x in enumerate(inputs[:4]):
                context.modulate(level, x)

    return convolutions(Once())


def everything() -> dict[str, float]:
    """Beside the tables: all products counted, as `minilib.cost` does, at the shapes that run."""
    fine = multiply_adds(x3d().eval(), clip())
    out = {"all_products.x3d": fine / 1e9}
    for name, pool in (("fine_fine", grid.KeepAll), ("coarse_fine", grid.GridPool)):
        out[f"all_products.{name}"] = (fine + multiply_adds(coarse(pool, MULTI).eval(), clip(), levels())) / 1e9
    return out


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    return table_32() | table_33() | everything()


if __name__ == "__main__":
    for measure, value in count_all().items():
        print(f"{measure:30s} {value:.4f}")

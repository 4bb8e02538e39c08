"""Coarse-Fine's experiments on the small world's detection task: variants, recipes and tables.

Three stages, as in the thesis. Short clips of one motion stand for Kinetics, and long ones in which much happens teach
what they leave open. Then one X3D a seed learns the task itself. Every variant starts from it and trains for the same
number of steps: as the plain X3D, as the coarse stream, and beside it as the fine stream, which stays frozen with its
levels stored, as released.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from minilib.models.x3d import SMALLER, X3D, ClipHead, Size
from minilib.papers.coarse_fine import variants
from minilib.papers.coarse_fine.figures import TABLES, sampling
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream, detection
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.study import Study, Tuned, Variant
from minilib.study.detection import Detection, OnLevels, ShortClips, StartedClips
from minilib.study.stages import Stage
from minilib.training import Objective, TrainSettings
from minilib.world import Rhythm

# --- networks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """Builds an X3D (`pool` None), a coarse stream alone (`fusion` None), or a coarse stream on stored fine levels."""

    pool: Callable[[int], nn.Module] | None = GridPool
    fusion: Callable[..., nn.Module] | None = None
    size: Size = SMALLER

    def new(self, classes: int) -> X3D | CoarseStream | CoarseFine:
        """The whole network with random weights, both streams where there are two."""
        net = X3D(self.size, classes, dropout=0.0)
        if self.pool is None:
            return net
        coarse = CoarseStream(net, self.pool, self.fusion)
        return CoarseFine(coarse, X3D(self.size, classes, dropout=0.0)) if self.fusion else coarse

    def started(self, feed: StartedClips) -> nn.Module:
        """The same with the feed's weights in every X3D."""
        model = self.new(len(feed.source.names))
        for module in model.modules():
            if isinstance(module, X3D) and feed.start is not None:
                module.load_state_dict(feed.start)
        return model

    def __call__(self, feed: StartedClips) -> nn.Module:
        model = self.started(feed)
        return OnLevels(model.coarse) if self.fusion else model


class EndToEnd(Network):
    """Both streams train together, as in the text."""

    def __call__(self, feed: StartedClips) -> nn.Module:
        return self.started(feed)


@dataclass(frozen=True)
class Classifier:
    """Builds an X3D that scores whole clips."""

    size: Size

    def __call__(self, feed: StartedClips) -> X3D:
        return X3D(self.size, len(ShortClips(SHORT).classes), ClipHead, dropout=0.0)


# --- stages and variants ---------------------------------------------------------------------------------------------

SHORT = 8  # frames of a short clip: things are then about as fast, in pixels a frame, as in 64 frames of a long one
CROWDED = Rhythm(rests=(0.02, 0.03), objects=(1, 2))  # hardly a frame without an action

CLASSIFY = TrainSettings(steps=300, batch=32, lr=1e-2, warmup=10)
CROWD = TrainSettings(steps=120, batch=8, lr=1e-2, warmup=10)
GRID = TrainSettings(steps=50, batch=8, lr=5e-3, warmup=5)  # of the X3D on the task, and of every variant
CORE = replace(GRID, steps=120)  # the live comparison
LONG = replace(GRID, steps=300, warmup=15)


def x3d_on_task(size: Size = SMALLER, control: str | None = None) -> Stage:
    """An X3D after short clips, crowded ones, and the task's. control: as in `Detection`; wrong labels are so in all
    three."""
    labels = "labels" if control == "labels" else None
    short = Stage(Variant(Classifier(size), ShortClips(SHORT, control=labels)), CLASSIFY, "X3D, short clips")
    crowded = Detection(train=1024, rhythm=CROWDED, control=labels, start=short)
    crowd = Stage(Variant(Network(None, size=size), crowded, detection), CROWD, "X3D, crowded clips")
    task = Detection(control=control, start=crowd)
    return Stage(Variant(Network(None, size=size), task, detection), GRID, "X3D, long clips")


def single(
    pool: Callable[[int], nn.Module] | None = GridPool,
    objective: Objective = detection,
    size: Size = SMALLER,
    frames: int = 64,
    control: str | None = None,
) -> Variant:
    """An X3D or a coarse stream alone; frames: 128 are twice as many at half the stride."""
    task = Detection(frames=frames, control=control, start=x3d_on_task(size, control))
    fixed = pool in (None, variants.Striding, variants.AveragePool, variants.MaxPool)
    return Variant(Network(pool, size=size), task, objective, also=None if fixed else sampling)


def double(pool: Callable[[int], nn.Module] = GridPool, fusion: Callable[..., nn.Module] = MultiStageFusion) -> Variant:
    """A coarse stream beside a frozen fine one."""
    stage = x3d_on_task()
    also = sampling if pool is GridPool else None
    return Variant(Network(pool, fusion), Detection(start=stage, fine=stage), detection, also=also)


SIXTEENTH = partial(GridPool, strides=variants.released_strides(8))
MULTI = MultiStageFusion
VARIANTS = {
    # Table 3.2
    "x3d": single(None),
    "x3d_l": single(None, size=replace(SMALLER, blocks=(2, 2, 4, 2))),  # as X3D-L is to X3D-M
    "slowfast": double(variants.Striding, SlowFastFusion),
    "fine_fine": double(variants.KeepAll),
    "coarse_fine": double(),
    # Table 3.3(a) to (c): fusion, in Fine-Fine networks
    "fine_fine_late": double(variants.KeepAll, partial(MULTI, mixing=None)),
    "fine_fine_one_to_one": double(variants.KeepAll, partial(MULTI, mixing=variants.OneToOne)),
    "fine_fine_c": double(variants.KeepAll, partial(MULTI, average=variants.over_time_and_space)),
    "fine_fine_chw": double(variants.KeepAll, partial(MULTI, average=variants.over_time)),
    "fine_fine_late_no_mask": double(variants.KeepAll, partial(MULTI, mixing=None, mask=variants.NoMask)),
    "fine_fine_no_mask": double(variants.KeepAll, partial(MULTI, mask=variants.NoMask)),
    # Table 3.3(d) and (e): pooling, in coarse-only networks
    "grid_pool": single(),
    "grid_eighth": single(partial(GridPool, ratio=8)),
    "grid_sixteenth": single(SIXTEENTH),
    "dense_grid_pool": single(frames=128),
    "dense_grid_sixteenth": single(SIXTEENTH, frames=128),
    "max_pool": single(variants.MaxPool),
    "average_pool": single(variants.AveragePool),
    "striding": single(variants.Striding),
    # Table 3.3(f)
    "slowfast_grid": double(GridPool, SlowFastFusion),
    "slowfast_fusion": double(variants.Striding),
    # Table 3.4, and what must fail
    "grid_pool_reconstruction": single(objective=variants.WithAuxiliary(variants.reconstruction)),
    "grid_pool_flow": single(objective=variants.WithAuxiliary(variants.flow)),
    "control/noise_grid": single(partial(GridPool, head=variants.NoiseHead)),
    "control/shuffled_frames": single(control="frames"),
    "control/shuffled_labels": single(control="labels"),
}
LIVE = {
    "inverse_grid": single(partial(GridPool, grid=variants.inverse_grid)),
    "end_to_end": Variant(EndToEnd(fusion=MULTI), Detection(start=x3d_on_task()), detection, also=sampling),
}
TUNED = ("coarse_fine", "x3d", "x3d_l", "slowfast", "grid_pool", "striding", "fine_fine", "fine_fine_late")

STUDY = Study(
    "coarse_fine",
    VARIANTS | LIVE,
    recipes={"core": CORE, "grid": GRID, "tuned": Tuned(LONG)},
    grids={"core": ("x3d", "striding", "grid_pool", "coarse_fine", *LIVE), "grid": tuple(VARIANTS), "tuned": TUNED},
    tables=TABLES,
)

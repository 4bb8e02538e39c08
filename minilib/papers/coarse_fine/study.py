"""Coarse-Fine's experiments on the small world's detection task: variants, recipes and tables.

Three stages, as in the thesis. Short clips of one motion stand for Kinetics, and long ones in which much happens teach
what they leave open. Then one X3D a seed learns the task itself. Every variant starts from it and trains for the same
number of steps: as the plain X3D, as the coarse stream, and beside it as the fine stream, which stays frozen with its
levels stored, as released.

The thesis' sigma, an eighth of the clip, is half an action of Charades and a whole one here; half an action here is a
sixteenth. At a quarter of the frames an even grid meets every action; at an eighth it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from minilib.models.x3d import SMALLER, X3D, ClipHead, Size
from minilib.papers.coarse_fine import rates, variants
from minilib.papers.coarse_fine.figures import TABLES, sampling
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream, detection
from minilib.papers.coarse_fine.oracle import OracleStream, ToldDetection
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.study import Study, Tuned, Variant
from minilib.study.detection import Detection, OnLevels, ShortClips, StartedClips
from minilib.study.noise import again
from minilib.study.stages import Stage
from minilib.training import Objective, TrainSettings
from minilib.world import SPARSE, Rhythm

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


class FastFusion(Network):
    """The fusion learns at ten times the rate of the rest, as in both text and code."""

    def __call__(self, feed: StartedClips) -> nn.Module:
        return rates.FastFusion(self.started(feed).coarse)


class Oracle(Network):
    """A coarse stream alone that is told where things happen."""

    def __call__(self, feed: StartedClips) -> nn.Module:
        return OracleStream(self.started(feed))


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
BRIEF = Rhythm(actions=(0.04, 0.06), rests=(0.12, 0.4), objects=(1, 2))  # actions as long as the stride of 4, or less

CLASSIFY = TrainSettings(steps=400, batch=32, lr=5e-3, warmup=20)
CROWD = TrainSettings(steps=200, batch=8, lr=5e-3, warmup=20)
TASK = TrainSettings(steps=100, batch=8, lr=3e-3, warmup=10)  # the X3D on the task, before every variant
GRID = TrainSettings(steps=60, batch=8, lr=3e-3, warmup=6)  # short and wide; the live comparison, too
LONG = TrainSettings(steps=200, batch=16, lr=3e-3, warmup=15)

MULTI = partial(MultiStageFusion, width=1 / 16)  # sigma: half an action


def x3d_on_task(size: Size = SMALLER, control: str | None = None, rhythm: Rhythm = SPARSE) -> Stage:
    """An X3D after short clips, crowded ones, and the task's. control: as in `Detection`; wrong labels are so in all
    three."""
    labels = "labels" if control == "labels" else None
    short = Stage(Variant(Classifier(size), ShortClips(SHORT, control=labels)), CLASSIFY, "X3D, short clips")
    crowded = Detection(train=1024, rhythm=CROWDED, control=labels, start=short)
    crowd = Stage(Variant(Network(None, size=size), crowded, detection), CROWD, "X3D, crowded clips")
    task = Detection(rhythm=rhythm, control=control, start=crowd)
    return Stage(Variant(Network(None, size=size), task, detection), TASK, "X3D, long clips")


def learned(pool: Callable[[int], nn.Module] | None) -> bool:
    """Whether a pooling is a grid whose places a head chooses."""
    made = pool.func if isinstance(pool, partial) else pool
    return made is not None and issubclass(made, GridPool)


def single(
    pool: Callable[[int], nn.Module] | None = GridPool,
    objective: Objective = detection,
    size: Size = SMALLER,
    frames: int = 64,
    control: str | None = None,
    rhythm: Rhythm = SPARSE,
) -> Variant:
    """An X3D or a coarse stream alone; frames: 128 are twice as many at half the stride."""
    task = Detection(frames=frames, rhythm=rhythm, control=control, start=x3d_on_task(size, control, rhythm))
    return Variant(Network(pool, size=size), task, objective, also=sampling if learned(pool) else None)


def double(
    pool: Callable[[int], nn.Module] = GridPool,
    fusion: Callable[..., nn.Module] = MULTI,
    network: type[Network] = Network,
    rhythm: Rhythm = SPARSE,
) -> Variant:
    """A coarse stream beside a frozen fine one."""
    stage = x3d_on_task(rhythm=rhythm)
    task = Detection(rhythm=rhythm, start=stage, fine=stage)
    return Variant(network(pool, fusion), task, detection, also=sampling if learned(pool) else None)


def oracle(pool: Callable[[int], nn.Module]) -> Variant:
    """A coarse stream alone whose grid knows the truth."""
    return Variant(Oracle(pool), ToldDetection(start=x3d_on_task()), detection)


EIGHTH, SIXTEENTH = partial(GridPool, ratio=8), partial(GridPool, strides=variants.released_strides(8))
ONE_STEP = partial(variants.OneStep, ratio=8)
POINTING = partial(ONE_STEP, grid=variants.inverse_grid)  # the released rule cannot point: figures
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
    "grid_eighth": single(EIGHTH),
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
TRAINED = {
    # Table 3.3(e) at a ratio of 1/8, and what in Grid Pool is in the way
    "striding_eighth": single(partial(variants.Striding, ratio=8)),
    "max_eighth": single(partial(variants.MaxPool, ratio=8)),
    "grid_eighth_one_step": single(ONE_STEP),
    "grid_eighth_taught": single(POINTING, variants.Taught()),
    "grid_eighth_oracle": oracle(POINTING),
    "grid_eighth_oracle_two_step": oracle(partial(GridPool, ratio=8, grid=variants.inverse_grid)),
    # other Gaussians, sigma = T/8 and T/32, and the thesis' rates
    "sigma_8": double(fusion=MultiStageFusion),
    "sigma_32": double(fusion=partial(MULTI, width=1 / 32)),
    "fast_fusion": double(network=FastFusion),
    # actions too brief for every fourth frame
    "brief/x3d": single(None, rhythm=BRIEF),
    "brief/grid_pool": single(rhythm=BRIEF),
    "brief/coarse_fine": double(rhythm=BRIEF),
    "brief/sigma_32": double(fusion=partial(MULTI, width=1 / 32), rhythm=BRIEF),
    "brief/control/shuffled_frames": single(control="frames", rhythm=BRIEF),
    "brief/control/shuffled_labels": single(control="labels", rhythm=BRIEF),
}
HEADLINE = ("coarse_fine", "x3d", "x3d_l", "slowfast", "grid_eighth", "striding_eighth", "fine_fine", "fine_fine_late")
AGAIN = {f"again/{name}": again((VARIANTS | TRAINED)[name]) for name in ("x3d", "grid_eighth", "coarse_fine")}

STUDY = Study(
    "coarse_fine",
    VARIANTS | LIVE | TRAINED | AGAIN,
    recipes={"core": GRID, "grid": GRID, "long": LONG, "tuned": Tuned(LONG)},
    grids={
        "core": ("x3d", "striding", "grid_pool", "coarse_fine", *LIVE),
        "grid": tuple(VARIANTS),
        "long": ("x3d", "coarse_fine", "grid_eighth", *TRAINED, *AGAIN),
        "tuned": HEADLINE,
    },
    tables=TABLES,
)

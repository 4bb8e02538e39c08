"""Detection pretraining's experiments: fine-tuning on long clips in which several things happen, after any pretext.

An X3D, or a slow or coarse stream, starts from a pretext's weights with a new last layer. Networks of two streams start
from fine-tuned X3Ds: training in two stages. An ensemble averages the probabilities of several networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from minilib.models.x3d import SMALLER, X3D
from minilib.papers.coarse_fine import CoarseStream, GridPool, MultiStageFusion, detection
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.papers.coarse_fine.variants import Striding
from minilib.papers.detection_pretraining.figures import TABLES, by_frames
from minilib.papers.detection_pretraining.pretexts import CLASSES, PRETEXTS
from minilib.resume import History
from minilib.study import Feed, Study, Trial, Tuned, Variant
from minilib.study.detection import Detection, Ensemble, OnLevels, StartedClips
from minilib.study.noise import again
from minilib.study.stages import Stage
from minilib.training import TrainSettings
from minilib.world import BUSY, Rhythm

MEETING = Rhythm(actions=(0.12, 0.25), rests=(0.1, 0.4), objects=(2, 3))  # frames of no, one and several actions

TUNE = TrainSettings(steps=80, batch=8, lr=3e-3, warmup=8)
JOIN = TrainSettings(steps=60, batch=8, lr=3e-3, warmup=6)

# --- fine-tuning -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """Builds an X3D (`pool` None) or a slow or coarse stream, alone or, with `fusion`, on stored fine levels."""

    pool: Callable[[int], nn.Module] | None = None
    fusion: Callable[..., nn.Module] | None = None

    def __call__(self, feed: StartedClips) -> nn.Module:
        net = X3D(SMALLER, CLASSES, dropout=0.0)
        if self.fusion is None:
            body = {name.removeprefix("net."): x for name, x in (feed.start or {}).items() if "head.fc2." not in name}
            net.load_state_dict(net.state_dict() | body)
            start_at_fractions(net, feed.source.rendered.labels)
        elif feed.start is not None:
            net.load_state_dict(feed.start)
        if self.pool is None:
            return net
        stream = CoarseStream(net, self.pool, self.fusion)
        return OnLevels(stream) if self.fusion else stream


@torch.no_grad()
def start_at_fractions(net: X3D, labels: Tensor) -> None:
    """The last layer's bias gives each class its fraction of frames in labels (n, t, k); a short recipe would spend
    itself on finding that most classes are absent most of the time."""
    net.head.fc2.bias.copy_(labels.mean((0, 1)).logit(eps=1e-3))


@dataclass(frozen=True)
class TwoStages:
    """tune: fine-tuning of one stream; join: the second stage of two."""

    tune: TrainSettings
    join: TrainSettings

    @property
    def steps(self) -> int:
        """Those of one stream; the plan's estimates go by them."""
        return self.tune.steps

    def at_rate(self, factor: float) -> TwoStages:
        return TwoStages(self.tune.at_rate(factor), self.join.at_rate(factor))

    def for_share(self, share: float) -> TwoStages:
        return TwoStages(self.tune.for_share(share), self.join.for_share(share))

    def smoke(self) -> TwoStages:
        return TwoStages(self.tune.smoke(), self.join.smoke())


@dataclass(frozen=True)
class Member(Variant):
    """One network, fine-tuned by the recipe of the stage that it is in."""

    def trained(self, inputs: Feed, recipe: TwoStages, trial: Trial) -> tuple[nn.Module, History]:
        own = recipe.join if self.task.fine else recipe.tune
        return super().trained(inputs, own, trial)


GRID = TwoStages(TUNE, JOIN)

# --- variants --------------------------------------------------------------------------------------------------------

AUGMENTED = ("vf", "vm", "vc")  # what ensembles are made of


def member(
    start: str | None,
    pool: Callable[[int], nn.Module] | None = None,
    fusion: Callable[..., nn.Module] | None = None,
    fine: str | None = None,
    control: str | None = None,
    rhythm: Rhythm = MEETING,
) -> Member:
    """start: the pretext of an X3D or of a coarse stream; None is random weights. fine: that of a fine stream."""
    stage = start and (tuned(start) if fusion else PRETEXTS[start])
    task = Detection(rhythm=rhythm, control=control, start=stage, fine=fine and tuned(fine))
    also = by_frames if pool is None and rhythm is MEETING and start in ("cls", *AUGMENTED) else None
    return Member(Stream(pool, fusion), task, detection, also=also)


def tuned(name: str) -> Stage:
    """The X3D fine-tuned after a pretext."""
    return Stage(replace(member(name), also=None), GRID, f"fine-tuning, {name}")


def slowfast(name: str) -> Member:
    """SlowFast_det, both streams of one pretext."""
    return member(name, Striding, SlowFastFusion, name)


def coarse_fine(name: str, fine: str, width: float = 1 / 8) -> Member:
    """Coarse-Fine; `width` is sigma of its Gaussians as a fraction of the clip."""
    return member(name, GridPool, partial(MultiStageFusion, width=width), fine)


MIXED = tuple(coarse_fine(name, "cls") for name in AUGMENTED)
VARIANTS = {
    **{name: member(name) for name in PRETEXTS},
    "control/no_pretraining": member(None),
    "control/shuffled_labels": member(None, control="labels"),
    "ensemble": Ensemble(tuple(map(member, AUGMENTED))),
    # Table 4.3
    **{f"crowded/{name}": member(name, rhythm=BUSY) for name in ("cls", "joint")},
    "crowded/ensemble": Ensemble(tuple(member(name, rhythm=BUSY) for name in AUGMENTED)),
    "crowded/control/no_pretraining": member(None, rhythm=BUSY),
    "crowded/control/shuffled_labels": member(None, control="labels", rhythm=BUSY),
    # Tables 4.1, 4.2(b) and 4.5(a)
    **{f"slow/{name}": member(name, Striding) for name in ("cls", *AUGMENTED)},
    **{f"coarse/{name}": member(name, GridPool) for name in ("cls", *AUGMENTED)},
    **{f"slowfast/{name}": slowfast(name) for name in ("cls", "vc", "joint")},
    "slowfast/ensemble": Ensemble(tuple(map(slowfast, AUGMENTED))),
    **{f"coarse_fine/{name}": coarse_fine(name, name) for name in ("cls", "vc", "joint")},
    "coarse_fine/vc_cls": coarse_fine("vc", "cls"),
    "coarse_fine/ensemble_cls": Ensemble(MIXED),
    "coarse_fine/ensemble": Ensemble((*MIXED, *(coarse_fine(name, name) for name in AUGMENTED))),
    # Table 4.5(b); sigma = T/8 is Coarse-Fine itself
    **{f"sigma_{w}/{name}": coarse_fine(name, name, 1 / w) for w in (16, 32) for name in ("cls", "vc")},
}
AGAIN = {f"again/{name}": again(member(name)) for name in ("cls", "joint")}
LONG = TwoStages(
    TrainSettings(steps=200, batch=16, lr=3e-3, warmup=15), TrainSettings(steps=150, batch=16, lr=3e-3, warmup=12)
)
HEADLINE = ("cls", "joint", *AUGMENTED, "ensemble", "coarse_fine/cls", "coarse_fine/joint")

STUDY = Study(
    "detection_pretraining",
    VARIANTS | AGAIN,
    recipes={"core": GRID, "grid": GRID, "long": LONG, "tuned": Tuned(LONG)},
    grids={
        "core": ("control/no_pretraining", "cls", "vf", "joint"),
        "grid": tuple(VARIANTS),
        "long": ("cls", "joint", *AGAIN),
        "tuned": (*HEADLINE, *(f"coarse/{name}" for name in ("cls", *AUGMENTED))),
    },
    tables=TABLES,
)

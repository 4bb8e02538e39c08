"""Detection pretraining's tables as data: what a backbone learns from short clips, and which networks start from it.

A *pretext* makes pretrained weights. A *member* is one network fine-tuned from them: an X3D, a slow or coarse stream
alone, or two streams. An *arm*, one row of a table, is one member or an ensemble of them. `detection_pretraining_runs`
trains them; names are those of `claims/detection_pretraining.yaml`, there with "grid/" before them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from minilib.papers.coarse_fine.baselines import SlowFastFusion
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool, Striding
from minilib.papers.detection_pretraining import mixes
from minilib.papers.detection_pretraining.cutmix import TransientView, TransientWindow
from minilib.papers.detection_pretraining.joint import JointBatch
from minilib.papers.detection_pretraining.method import Augmentation, Labels, VolumeFreeze


@dataclass(frozen=True)
class WrongLabels:
    """A negative control: clips as the augmentation makes them, each with the labels of the next in its batch."""

    augmentation: Augmentation

    def __call__(self, clips: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        clips, labels = self.augmentation(clips, labels)
        return clips, Labels(*(torch.roll(part, 1, 1) for part in labels))


@dataclass(frozen=True)
class Pretext:
    """`augmentation` None is classification of whole clips, which the thesis compares with. scratch: from random
    weights and for longer, else from the classification checkpoint. manifold: features are mixed, not the input."""

    augmentation: Augmentation | None = None
    scratch: bool = False
    manifold: bool = False


CHECKPOINT = "scratch_cls"  # what every pretext that is not from scratch starts from
JOINT = JointBatch((VolumeFreeze(), mixes.VolumeMixUp(), TransientView()))
PRETEXTS = {
    # Table 4.4(d)
    "scratch_cls": Pretext(scratch=True),
    "scratch_det": Pretext(JOINT, scratch=True),
    # Table 4.2(a)
    "cls": Pretext(),
    "vf": Pretext(VolumeFreeze()),
    "vm": Pretext(mixes.VolumeMixUp()),
    "vc": Pretext(TransientView()),
    "joint": Pretext(JOINT),
    # Table 4.4(a) to (c)
    "vf_two": Pretext(VolumeFreeze(segments=2)),
    "vm_hard": Pretext(mixes.VolumeMixUp(ramp=mixes.hard_ramp)),
    "vm_manifold": Pretext(mixes.VolumeMixUp(), manifold=True),
    "vc_window": Pretext(TransientWindow()),
    # what must fail
    "control/wrong_labels": Pretext(WrongLabels(JOINT)),
}


@dataclass(frozen=True)
class Member:
    """One fine-tuned network. `pretext`: of the network, or of its coarse stream; None is random weights.

    pool: None is a plain X3D, which is also the fine stream. fusion: joins the coarse stream to a fine one of the
    pretext `fine`.
    """

    pretext: str | None
    pool: Callable[[int], nn.Module] | None = None
    fusion: Callable[..., nn.Module] | None = None
    fine: str | None = None


slow, coarse = partial(Member, pool=Striding), partial(Member, pool=GridPool)


def slowfast(pretext: str) -> Member:
    """SlowFast_det, both streams of one pretext."""
    return slow(pretext, fusion=SlowFastFusion, fine=pretext)


def coarse_fine(pretext: str, fine: str, width: float = 1 / 8) -> Member:
    """Coarse-Fine; `width` is sigma of its Gaussians as a share of the clip."""
    return coarse(pretext, fusion=partial(MultiStageFusion, width=width), fine=fine)


AUGMENTED = ("vf", "vm", "vc")  # what ensembles are made of
_mixed = tuple(coarse_fine(name, "cls") for name in AUGMENTED)

# no weights, then the two long pretexts first: runs side by side then wait for nobody's checkpoint
ARMS: dict[str, tuple[Member, ...]] = {
    "scratch_cls": (Member("scratch_cls"),),
    "control/no_pretraining": (Member(None),),
    "scratch_det": (Member("scratch_det"),),
    **{name: (Member(name),) for name in PRETEXTS if not name.startswith("scratch")},
    "ensemble": tuple(map(Member, AUGMENTED)),
    # Tables 4.1 and 4.2(b)
    "slow/cls": (slow("cls"),),
    "slow/vc": (slow("vc"),),
    "coarse/cls": (coarse("cls"),),
    "coarse/vc": (coarse("vc"),),
    **{f"slowfast/{name}": (slowfast(name),) for name in ("cls", "vc", "joint")},
    "slowfast/ensemble": tuple(map(slowfast, AUGMENTED)),
    **{f"coarse_fine/{name}": (coarse_fine(name, name),) for name in ("cls", "vc", "joint")},
    "coarse_fine/vc_cls": (coarse_fine("vc", "cls"),),
    "coarse_fine/ensemble_cls": _mixed,
    "coarse_fine/ensemble": _mixed + tuple(coarse_fine(name, name) for name in AUGMENTED),
}

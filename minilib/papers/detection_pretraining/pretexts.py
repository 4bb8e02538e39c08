"""Pretexts: what a backbone learns from short clips with one label each, before it is fine-tuned.

Most start from a classification checkpoint and go on with clips that it has not seen; two are from scratch and longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from minilib.models.x3d import SMALLER, X3D, ClipHead, FrameHead
from minilib.papers.detection_pretraining.cutmix import TransientView, TransientWindow
from minilib.papers.detection_pretraining.method import Augmentation, DetectionPretraining, JointBatch, VolumeFreeze
from minilib.papers.detection_pretraining.mixes import VolumeMixUp, where_it_weighs
from minilib.papers.detection_pretraining.variants import Manifold, WrongLabels, hard_ramp
from minilib.study import Variant
from minilib.study.detection import ShortClips, StartedClips
from minilib.study.stages import Stage
from minilib.training import TrainSettings
from minilib.world import LONG_MOTIONS

CLASSES = len(LONG_MOTIONS)  # short and long clips show the same ten motions; the last layer is new all the same
PRETRAIN = TrainSettings(steps=200, batch=16, lr=5e-3, warmup=20)
SCRATCH = replace(PRETRAIN, steps=3 * PRETRAIN.steps)


@dataclass(frozen=True)
class PretextNetwork:
    """Builds an X3D with a class for the background; `manifold` is an augmentation of its features."""

    head: type[FrameHead]
    manifold: Augmentation | None = None

    def __call__(self, feed: StartedClips) -> nn.Module:
        net = X3D(SMALLER, CLASSES + 1, self.head, dropout=0.0)
        if feed.start is not None:
            net.load_state_dict(feed.start)
        return Manifold(net, self.manifold) if self.manifold else net


def pretext(augmentation: Augmentation | None = None, scratch: bool = False, manifold: bool = False) -> Stage:
    """Weights after learning what `augmentation` makes of short clips, or (None) the classification of whole clips;
    from scratch and for longer, else from the classification checkpoint and on clips that it has not seen."""
    task = ShortClips(16) if scratch else ShortClips(16, skip=SCRATCH.steps, start=pretext(scratch=True))
    recipe = SCRATCH if scratch else PRETRAIN
    if augmentation is None:
        return Stage(Variant(PretextNetwork(ClipHead), task), recipe, "pretraining")
    network = PretextNetwork(FrameHead, augmentation if manifold else None)
    objective = DetectionPretraining(None if manifold else augmentation, CLASSES, background=CLASSES)
    return Stage(Variant(network, task, objective), recipe, "pretraining")


JOINT = JointBatch((VolumeFreeze(), VolumeMixUp(), TransientView()))
PRETEXTS = {
    # Table 4.4(d)
    "scratch_cls": pretext(scratch=True),
    "scratch_det": pretext(JOINT, scratch=True),
    # Table 4.2(a)
    "cls": pretext(),
    "vf": pretext(VolumeFreeze()),
    "vm": pretext(VolumeMixUp()),
    "vc": pretext(TransientView()),
    "joint": pretext(JOINT),
    # Table 4.4(a) to (c)
    "vf_two": pretext(VolumeFreeze(segments=2)),
    "vm_hard": pretext(VolumeMixUp(ramp=hard_ramp, visible=where_it_weighs)),
    "vm_manifold": pretext(VolumeMixUp(), manifold=True),
    "vc_window": pretext(TransientWindow()),
    # what must fail
    "control/wrong_labels": pretext(WrongLabels(JOINT)),
}

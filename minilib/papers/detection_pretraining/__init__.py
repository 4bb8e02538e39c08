"""Detection pretraining from clips with one label: freeze, mix, cut."""

from minilib.papers.detection_pretraining.cutmix import TransientView, TransientWindow
from minilib.papers.detection_pretraining.method import DetectionPretraining, JointBatch, VolumeFreeze
from minilib.papers.detection_pretraining.mixes import VolumeMixUp

__all__ = ["DetectionPretraining", "JointBatch", "TransientView", "TransientWindow", "VolumeFreeze", "VolumeMixUp"]

"""Detection pretraining from clips with one label: freeze, mix, cut."""

from minilib.papers.detection_pretraining.method import DetectionPretraining, VolumeFreeze

__all__ = ["DetectionPretraining", "VolumeFreeze"]

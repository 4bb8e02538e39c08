"""Coarse-Fine networks: a learned grid looks densely where something happens."""

from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.grid import GridPool
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream, detection, detection_loss

__all__ = ["CoarseFine", "CoarseStream", "GridPool", "MultiStageFusion", "detection", "detection_loss"]

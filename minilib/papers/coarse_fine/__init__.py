"""Coarse-Fine networks: a learned grid looks densely where something happens."""

from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream

__all__ = ["CoarseFine", "CoarseStream"]

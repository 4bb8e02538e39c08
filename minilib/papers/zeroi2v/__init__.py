"""ZeroI2V: attention heads that read other frames, linear adapters that fold away."""

from minilib.papers.zeroi2v.adapters import Adapter
from minilib.papers.zeroi2v.method import FOUR, SIX, Adaptation, attach, blocks, detach, merge, new_parameters
from minilib.papers.zeroi2v.stdha import STDHA

__all__ = ["FOUR", "SIX", "STDHA", "Adaptation", "Adapter", "attach", "blocks", "detach", "merge", "new_parameters"]

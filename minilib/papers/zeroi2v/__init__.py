"""ZeroI2V: attention heads that read other frames, linear adapters that fold away."""

from minilib.papers.zeroi2v.method import Adaptation, Adapter, attach, blocks, detach, merge

__all__ = ["Adaptation", "Adapter", "attach", "blocks", "detach", "merge"]

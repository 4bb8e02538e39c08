"""The methods that ZeroI2V and DiST are compared with, on the same frozen image model and behind one constructor:
`Method(visual, frames, classes, **settings)` with `visual` an open_clip ViT."""

from minilib.papers.baselines.aim import AIM
from minilib.papers.baselines.evl import EVL
from minilib.papers.baselines.st_adapter import STAdapter

__all__ = ["AIM", "EVL", "STAdapter"]

"""DiST: a light temporal encoder beside an image model that is never trained."""

from minilib.papers.dist.method import Branches, Design, DiST, ImageSizes

__all__ = ["Branches", "Design", "DiST", "ImageSizes"]

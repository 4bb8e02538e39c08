"""OCA: frames taken apart into slots, and what changes from one to the other."""

from minilib.papers.object_centric.method import ObjectCentric, OnFrames, oca

__all__ = ["ObjectCentric", "OnFrames", "oca"]

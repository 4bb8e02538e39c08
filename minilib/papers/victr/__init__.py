"""VicTR: texts that are conditioned on the video, in every layer."""

from minilib.papers.victr.method import VicTR

__all__ = ["VicTR"]

"""The image-to-video methods side by side."""

from minilib.papers.comparison.study import METHODS, STUDY, Method, costs, variant

__all__ = ["METHODS", "STUDY", "Method", "costs", "variant"]

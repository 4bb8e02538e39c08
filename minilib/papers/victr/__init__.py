"""VicTR: texts that are conditioned on the video, in every layer."""

from minilib.papers.victr.classifier import multi_label, victr_loss
from minilib.papers.victr.method import VicTR
from minilib.papers.victr.recogniser import Attributes, Reader, VideoRecogniser, names_of

__all__ = ["Attributes", "Reader", "VicTR", "VideoRecogniser", "multi_label", "names_of", "victr_loss"]

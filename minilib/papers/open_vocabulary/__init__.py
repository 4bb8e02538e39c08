"""Open-vocabulary localization: objects found in video by slots, and named by a CLIP that speaks about patches."""

from minilib.papers.open_vocabulary.localize import Localizer, Tube, foreground, localize
from minilib.papers.open_vocabulary.masks import masks
from minilib.papers.open_vocabulary.method import VideoSlots, clip_features, reconstruction_loss
from minilib.papers.open_vocabulary.naming import Vocabulary
from minilib.papers.open_vocabulary.patch_clip import PatchClip

__all__ = [
    "Localizer",
    "PatchClip",
    "Tube",
    "VideoSlots",
    "Vocabulary",
    "clip_features",
    "foreground",
    "localize",
    "masks",
    "reconstruction_loss",
]

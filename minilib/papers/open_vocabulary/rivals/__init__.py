"""What open-vocabulary localization is compared with: Slot Attention and SAVi in pixels, DINOSAUR, the other ways of
reading features (Tables 1 and 2), crops given to CLIP (Sec. 4), and the slots of object-centric adaptation."""

from minilib.papers.open_vocabulary.rivals.crops import crop_patches
from minilib.papers.open_vocabulary.rivals.method import FeatureSlots, SlotMasks, explanation_loss, linked
from minilib.papers.open_vocabulary.rivals.pixels import PixelSizes, PixelSlots, SAVi

__all__ = [
    "FeatureSlots",
    "PixelSizes",
    "PixelSlots",
    "SAVi",
    "SlotMasks",
    "crop_patches",
    "explanation_loss",
    "linked",
]

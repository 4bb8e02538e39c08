"""What open-vocabulary localization costs at its real size, counted on the meta device. The paper prints none of it.

`count_all()` gives {metric: value}: 10^6 parameters, and 10^9 multiply-adds of 8 frames of 224 x 224, LayerNorms free.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minilib.cost import multiply_adds, parameters, tunable_parameters
from minilib.models.clip import VIT_B16, without_words
from minilib.models.slots import GaussianSlots, ProjectedSlotAttention
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.patch_clip import PatchClip

SLOTS, FRAMES, GRID, WIDTH = 15, 8, 14, 768
UNUSED = 0.135e6  # the classifier and last norm that the released encoder carries and never uses


class _Patches(nn.Module):
    """Everything that patch-CLIP runs on a frame: both last blocks, since training needs the class token too."""

    def __init__(self, model: PatchClip):
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.patches(self.model.read(pixels)[1])


def video() -> dict[str, float]:
    """The video encoder and what is trained on it. Slot attention in the order in which the papers write it."""
    with torch.device("meta"):
        encoder = VideoEncoder()
        slots = VideoSlots(GaussianSlots(SLOTS, 128), BroadcastDecoder())
        pixels = torch.empty(1, FRAMES, 3, 16 * GRID, 16 * GRID)
        tokens = torch.empty(1, FRAMES * GRID * GRID, WIDTH)
        start = torch.empty(1, SLOTS, 128)
    slots.attention.__class__ = ProjectedSlotAttention
    grouping = nn.Sequential(slots.read, slots.attention)
    shape = (FRAMES, GRID, GRID)
    return {
        "encoder.parameters": parameters(encoder) / 1e6,
        "trained.parameters": tunable_parameters(slots) / 1e6,
        "parameters": (parameters(encoder) + parameters(slots) + UNUSED) / 1e6,
        "encoder.macs": multiply_adds(encoder, pixels, layer_norm_cost=0) / 1e9,
        "grouping.macs": multiply_adds(grouping, tokens, layer_norm_cost=0) / 1e9,
        "decoder.macs": multiply_adds(slots.decoder, start, shape, None, layer_norm_cost=0) / 1e9,
    }


def patch_clip() -> dict[str, float]:
    """Patch-CLIP of ViT-B/16; its text tower is not counted."""
    with torch.device("meta"):
        model = PatchClip(without_words(VIT_B16))
        pixels = torch.empty(1, 3, 224, 224)
    trained = tunable_parameters(model)
    others = (GRID * GRID + 1) * model.clip.visual.proj.numel()  # the released code projects patches, too, in vain
    return {
        "patch_clip.trained": trained / 1e6,
        "patch_clip.parameters": (parameters(model.clip.visual) + trained) / 1e6,
        "patch_clip.macs": (multiply_adds(_Patches(model), pixels, layer_norm_cost=0) + others) / 1e9,
    }


def count_all() -> dict[str, float]:
    """Every number that can be counted; seconds on one core."""
    found = video() | patch_clip()
    return found | {"macs": found["encoder.macs"] + found["grouping.macs"] + found["decoder.macs"]}

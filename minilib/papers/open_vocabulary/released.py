"""The authors' trained weights from local files: slots with their video encoder, and patch-CLIP's block.

The released model draws its slots from one Gaussian, seeded right before the call: pass a generator with that seed.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.clip import ImageText
from minilib.models.slots import GaussianSlots
from minilib.models.videomae import VideoEncoder
from minilib.models.videomae_weights import released_encoder
from minilib.papers.open_vocabulary.decoder import ChunkedDecoder
from minilib.papers.open_vocabulary.localize import Localizer
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.papers.open_vocabulary.patch_clip import PatchClip

SLOTS = 15
NAMES = (  # theirs and ours
    ("grouping.positional_embedding.", "read."),
    ("grouping.slot_attention.ff_mlp.module.", "attention.mlp."),
    ("grouping.slot_attention.", "attention."),
    ("conditioning.slots_mu", "attention.initial.mean"),
    ("conditioning.slots_logsigma", "attention.initial.log_sigma"),
    ("decoder.", "decoder."),
)
PATCH_PARTS = ("last_transformer.", "ln_last.", "vision_emb.")


def released_slots(path: Path | str, slots: int = SLOTS) -> tuple[VideoEncoder, VideoSlots]:
    """The video encoder and the slots of a file of object-centric-vol, in evaluation mode.

    Raises BadInput for a file of another kind, and names what is missing or misshapen.
    """
    encoder, state = released_encoder(path), read_state(path)
    own = {ours + name[len(theirs) :]: value.float() for name, value in state.items() for theirs, ours in _first(name)}
    own |= {name: value.flatten() for name, value in own.items() if name.startswith("attention.initial.")}
    place, last = own.get("decoder.pos_embed"), own.get("decoder.decoder.6.weight")
    if place is None or last is None:
        raise BadInput(f"weights {path}: an encoder, but no slots with a decoder of four layers")
    steps, tokens, width = place.shape
    side = round(tokens**0.5)
    decoder = ChunkedDecoder(encoder.width, width, steps, (side, side), last.shape[1])
    model = VideoSlots(GaussianSlots(slots, width), decoder, encoder.width)
    load_strictly(model, own, path)
    return encoder, model.eval()


def _first(name: str) -> list[tuple[str, str]]:
    """The first pair of NAMES that a tensor's name begins with, if there is one."""
    return [pair for pair in NAMES if name.startswith(pair[0])][:1]


def released_patch_clip(path: Path | str, clip: ImageText) -> PatchClip:
    """Patch-CLIP of a released file on the CLIP that it was trained with, in evaluation mode; the file may hold that
    CLIP as well, which is not read."""
    state: dict[str, Tensor] = {k: v.float() for k, v in read_state(path).items() if k.startswith(PATCH_PARTS)}
    if not state:
        raise BadInput(f"weights {path}: not patch-CLIP's, it has no {PATCH_PARTS[0]}*")
    model = PatchClip(clip)
    load_strictly(model, {f"clip.{k}": v for k, v in clip.state_dict().items()} | state, path)
    return model.eval()


class InImageNetStatistics(nn.Module):
    """Patch-CLIP as the released code tests it: on frames in ImageNet's statistics, those of the video encoder, though
    it was trained in CLIP's. Frames uint8 (..., h, w, 3) -> patches (..., r, c, e)."""

    def __init__(self, reader: PatchClip, encoder: VideoEncoder):
        super().__init__()
        self.reader, self.normalise = reader, encoder.normalise

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        return self.reader.of_pixels(self.normalise(frames.flatten(0, -4))).unflatten(0, frames.shape[:-3])


def released_localizer(slots: Path | str, patch_clip: Path | str, clip: ImageText) -> Localizer:
    """For `localize`, of the authors' two files and the CLIP that belongs to them, frozen, in evaluation mode."""
    encoder, grouping = released_slots(slots)
    reader = InImageNetStatistics(released_patch_clip(patch_clip, clip), encoder)
    for part in (encoder, grouping, reader):
        part.eval().requires_grad_(False)
    return Localizer(encoder, grouping, reader, clip.eval())

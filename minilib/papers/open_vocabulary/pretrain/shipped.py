"""The shipped small models, together."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from minilib.errors import BadInput
from minilib.models.half import load_half
from minilib.models.second_clip import second_clip
from minilib.papers.open_vocabulary.joint import IN_FRAME
from minilib.papers.open_vocabulary.localize import Localizer
from minilib.papers.open_vocabulary.patch_clip import Content
from minilib.papers.open_vocabulary.pretrain.driver import WEIGHTS
from minilib.papers.open_vocabulary.pretrain.encoders import small_autoencoder
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED
from minilib.papers.open_vocabulary.pretrain.patch import OnReduced, small_patch_clip
from minilib.papers.open_vocabulary.small import LIKENESS


def small_localizer(folder: Path = WEIGHTS) -> Localizer:
    """For `localize`, in evaluation mode, frozen; nothing random is drawn. Raises BadInput where none was shipped."""
    try:
        chosen = json.loads((folder / "open_vocabulary.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder}: open_vocabulary.json cannot be read; train and ship the small models") from error
    grouping, path = TRIED[chosen["slots"]], folder / "video_slots.safetensors"
    with torch.random.fork_rng(devices=[]):  # the start of the weights, which the files then replace
        clip, slots = second_clip(), grouping.build()
    encoder = small_autoencoder(folder / "video_encoder.safetensors", grouping.sizes).encoder
    load_half(slots, path)
    reader = small_patch_clip(folder / "patch_clip.safetensors", chosen["reader"])
    content = OnReduced(Content(small_patch_clip(folder / "patch_content.safetensors", chosen["content"])))
    return Localizer(
        encoder,
        slots.eval().requires_grad_(False),
        OnReduced(reader),
        clip,
        grouping.layer,
        content,
        LIKENESS,
        IN_FRAME,
    )

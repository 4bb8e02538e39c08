"""Full fine-tuning of the image model: every weight trains, and a clip is the mean of its frames."""

from __future__ import annotations

from torch import nn

from minilib.models.classifier import VideoClassifier


def full_image(visual: nn.Module, frames: int, classes: int) -> VideoClassifier:
    """The open_clip tower `visual` with all that it has set free; `frames` is ignored."""
    return VideoClassifier(visual.requires_grad_(True), classes, dropout=0.0)

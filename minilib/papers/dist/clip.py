"""DiST with its frozen image model: from frames to scores.

Which frames go through how much of the image model is one function, `sparse_taps`. The released graph, whose GFLOPs
are printed, is the other, `released_taps`: it embeds all g t frames and keeps every g-th only afterwards. Both give the
same numbers.

Axes: b clips, t sparse frames, g = gamma, n patches, d width, e joint embedding, k texts, l layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.frozen import block_tokens, embed
from minilib.papers.dist.head import check_texts, similarity
from minilib.papers.dist.method import DiST

Taps = Callable[[nn.Module, Tensor, int], FrameFeatures]  # image model, dense pixels (b, g t, 3, h, w), g


@torch.no_grad()
def sparse_taps(visual: nn.Module, dense: Tensor, gamma: int) -> FrameFeatures:
    """Every gamma-th frame, from the first, through the image model: (l, b, t, ...)."""
    return block_tokens(visual, embed(visual, dense[:, ::gamma]), len(dense))


@torch.no_grad()
def released_taps(visual: nn.Module, dense: Tensor, gamma: int) -> FrameFeatures:
    """The same from all frames' patch embeddings, g - 1 of g of which are made for nothing."""
    x = embed(visual, dense).unflatten(0, dense.shape[:2])[:, ::gamma]
    return block_tokens(visual, x.flatten(0, 1), len(dense))


class DiSTRecogniser(nn.Module):
    """Frames to scores of classes, (b, k), the temperature in them, so that their cross-entropy is the loss of Eq. 7.

    frames: uint8 (b, g t, h, w, 3), or pixels that are normalised already, float (b, g t, 3, h, w). `classes` (k, e)
    are text features, or a parameter to learn where no text can say what a class is. The image model is frozen by this,
    also for others who hold it, and stays in evaluation mode.
    """

    def __init__(
        self, clip: ImageText, net: DiST, classes: Tensor, logit_scale: float | None = None, taps: Taps = sparse_taps
    ):
        super().__init__()
        self.clip, self.net, self.taps = clip.eval().requires_grad_(False), net, taps
        self.scale = clip.logit_scale.item() if logit_scale is None else logit_scale
        if isinstance(classes, nn.Parameter):
            self.classes = classes
        else:
            self.register_buffer("classes", classes, persistent=False)

    def train(self, mode: bool = True) -> DiSTRecogniser:
        super().train(mode)
        self.clip.eval()
        return self

    def normalise(self, frames: Tensor) -> Tensor:
        return self.clip.normalise(frames)

    def no_weight_decay(self) -> set[str]:
        """Names of tokens and positions, which the optimiser shall not shrink, as it does not shrink biases."""
        return {name for name, _ in self.named_parameters() if name.endswith(("cls_token", "positional_embedding"))}

    def parts(self, frames: Tensor, features: FrameFeatures | None = None) -> dict[str, Tensor | list[Tensor]]:
        """What `DiST.parts` gives; `features` of the sparse frames where they are known already."""
        pixels, gamma = frames if frames.is_floating_point() else self.normalise(frames), self.net.design.gamma
        if pixels.ndim != 5 or pixels.shape[1] % gamma:
            raise BadInput(
                f"frames of shape {tuple(frames.shape)}: clips have five axes, and a number of frames that divides by "
                f"gamma={gamma}"
            )
        return self.net.parts(features or self.taps(self.clip.visual, pixels, gamma), pixels)

    def forward(self, frames: Tensor, features: FrameFeatures | None = None) -> Tensor:
        return similarity(self.parts(frames, features)["video"], self.classes, self.scale)


@torch.no_grad()
def class_features(clip: ImageText, texts: Sequence[str]) -> Tensor:
    """Texts as classes (k, e), encoded as they are, without a prompt (the released code). Raises BadInput for texts
    that are empty or repeated."""
    check_texts(texts)
    return clip.text_features(texts)

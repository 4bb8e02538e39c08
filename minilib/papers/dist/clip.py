"""DiST with its frozen image model: from frames to scores, and the released checkpoints.

Which frames go through how much of the image model is one function, `sparse_taps`. The released graph, whose GFLOPs
are printed, is the other, `released_taps`: it embeds all g t frames and keeps every g-th only afterwards. Both give the
same numbers.

Axes: b clips, t sparse frames, g = gamma, n patches, d width, e joint embedding, k texts, l layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.clip import FrameFeatures, ImageText
from minilib.errors import BadInput
from minilib.papers.dist.method import DiST
from minilib.papers.dist.head import check_texts, similarity
from minilib.papers.baselines.frozen import embed, self_attention

Taps = Callable[[nn.Module, Tensor, int], FrameFeatures]  # image model, dense pixels (b, g t, 3, h, w), g


def _feed_forward(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """mlp(x), where no gradient will want its hidden tokens: four times the width, they are changed in place."""
    if not isinstance(mlp.gelu, QuickGELU):
        return mlp(x)
    slope = 1.702
    hidden = F.silu(mlp.c_fc(x).mul_(slope), inplace=True)  # x sigmoid(s x) = silu(s x) / s
    out = torch.addmm(mlp.c_proj.bias, hidden.flatten(0, 1), mlp.c_proj.weight.T, alpha=1 / slope)
    return out.view_as(x)


def _blocks(visual: nn.Module, x: Tensor, clips: int) -> FrameFeatures:
    """Tokens after every block, of tokens (b t, 1 + n, d) before the first one."""
    blocks = visual.transformer.resblocks
    lead = (len(blocks), clips, len(x) // clips)
    cls, patches = x.new_empty(*lead, x.shape[2]), x.new_empty(*lead, x.shape[1] - 1, x.shape[2])
    for at, block in enumerate(blocks):
        x = x + block.ls_1(self_attention(block.attn, block.ln_1(x)))
        x = x + block.ls_2(_feed_forward(block.mlp, block.ln_2(x)))
        # each by itself and whole, so that the layers that read them need no copy, and keep none for the backward pass
        cls[at], patches[at] = x[:, 0].view_as(cls[at]), x[:, 1:].unflatten(0, lead[1:])
    return FrameFeatures(cls, patches)


@torch.no_grad()
def sparse_taps(visual: nn.Module, dense: Tensor, gamma: int) -> FrameFeatures:
    """Every gamma-th frame, from the first, through the image model: (l, b, t, ...)."""
    return _blocks(visual, embed(visual, dense[:, ::gamma]), len(dense))


@torch.no_grad()
def released_taps(visual: nn.Module, dense: Tensor, gamma: int) -> FrameFeatures:
    """The same from all frames' patch embeddings, g - 1 of g of which are made for nothing."""
    x = embed(visual, dense).unflatten(0, dense.shape[:2])[:, ::gamma]
    return _blocks(visual, x.flatten(0, 1), len(dense))


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
        kept = ("cls_token", "positional_embedding")
        return {name for name, _ in self.named_parameters() if name.endswith(kept)}

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
    """Texts as classes (k, e), encoded as they are, without a prompt (the released code).

    Raises BadInput for texts that are empty or repeated.
    """
    check_texts(texts)
    return clip.text_features(texts)


# --- released checkpoints --------------------------------------------------------------------------------------------

HEAD = ("adapooling_nets", "proj", "proj_spatial_cls_token", "ln_post", "aggregated")


def released_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a released checkpoint that are DiST's, in the names that `DiST` has here.

    They are found by what follows `dist_net.`, whatever stands before it; OpenAI's own tensors beside them are left.
    """
    tensors = {name.split("dist_net.", 1)[1]: value for name, value in read_state(path).items() if "dist_net." in name}
    if not tensors:
        raise BadInput(f"weights {path}: no tensor's name has dist_net. in it, so this is no DiST checkpoint")
    return {("head." if name.startswith(HEAD) else "branches.") + name: v.float() for name, v in tensors.items()}


def load_released(net: DiST, path: Path | str) -> None:
    """Copies a released checkpoint into `net`; a missing, foreign or misshapen tensor is BadInput, and nothing changes.

    The released code also has a Phi after the last block, whose output it never reads. Its two tensors must be there
    and fit, and are dropped.
    """
    state, last = released_state(path), net.sizes.depth - 1
    shapes = {"weight": (net.design.temporal, net.design.integration), "bias": (net.design.temporal,)}
    for name, shape in shapes.items():
        key = f"branches.integration2temporal_nets.{last}.linear_fuse.{name}"
        if key not in state:
            raise BadInput(f"weights {path}: {key} is missing (the released code's unused last Phi)")
        if tuple(state[key].shape) != shape:
            raise BadInput(f"weights {path}: {key} is {tuple(state[key].shape)}, the model has {shape}")
        del state[key]
    load_strictly(net, state, path)

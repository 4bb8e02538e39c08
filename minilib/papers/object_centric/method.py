"""OCA: image-to-video adaptation from an object-centric perspective (Qian, Ding, Lin; ECCV 2024).

The frozen image model looks at every frame once. A video is then what its objects do: slots take each frame apart, and
only the differences of a slot's states between two frames are read.

    patches -> temporal fusion -> slot attention -> interaction among slots -> changes over delta -> mean -> linear
    (b t n d)    (b t n d)         (b t s d)           (b t s d)               (b p s d)            (b d)   (b k)

There is no released code. What the text leaves open is passed in, and the defaults are those that meet the paper's
printed parameters best (`object_centric_counts`): the width is that of CLIP's joint space, slots have no MLP.

Axes: b clips, t frames, n patches, s slots, p state changes of one slot, d channels, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.slots import LearnedQueries, SlotAttention


class JointSpace(nn.Module):
    """Eq. 1: class tokens p (b, t, d) and patches f (b, t, n, d) of the last block, in the space of CLIP's sentences.

    CLIP itself projects only the class token. The paper does not name its D; projecting the patches too makes the
    cosine of Eq. 7 one between like things. Frozen.
    """

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.norm = nn.LayerNorm(visual.ln_post.normalized_shape, eps=visual.ln_post.eps)
        self.norm.load_state_dict(visual.ln_post.state_dict())
        self.register_buffer("matrix", visual.proj.detach().clone())
        self.requires_grad_(False)

    @property
    def width(self) -> int:
        return self.matrix.shape[1]

    def forward(self, features: FrameFeatures) -> tuple[Tensor, Tensor]:
        return self.norm(features.cls[-1]) @ self.matrix, self.norm(features.patches[-1]) @ self.matrix


# --- Sec. 3.1: object decomposition ----------------------------------------------------------------------------------


class TemporalFusion(nn.Module):
    """The text's "lightweight temporal fusion block", of which it says no more: each channel gets its own weighted sum
    of three neighbouring frames, x (b, t, n, d) -> the same. The printed parameters leave room for no more than this.

    It starts as the identity. Three products do what a depth-wise convolution would, in half of a CPU's time.
    """

    def __init__(self, width: int):
        super().__init__()
        self.before, self.own, self.after = (nn.Parameter(torch.zeros(width)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        out = x + self.own * x
        out[:, 1:] += self.before * x[:, :-1]
        out[:, :-1] += self.after * x[:, 1:]
        return out


def slot_tokens(width: int, slots: int = 8, iterations: int = 3) -> SlotAttention:
    """Eq. 2-4: N learned queries, slot attention in each frame by itself, no MLP."""
    return SlotAttention(width, LearnedQueries(slots, width), iterations)


class MeanToken(nn.Identity):
    """N = 1 of Table 7: a frame is the mean of its patches, (b, t, n, d) -> (b, t, 1, d); no masks, sizes ignored."""

    def forward(self, patches: Tensor) -> tuple[Tensor, None]:
        return patches.mean(-2, keepdim=True), None


class PatchTokens(nn.Identity):
    """N = None of Table 7: every patch is a token, (b, t, n, d) -> the same; no masks, sizes ignored."""

    def forward(self, patches: Tensor) -> tuple[Tensor, None]:
        return patches, None


# --- Sec. 3.2: object-time interaction -------------------------------------------------------------------------------


class Interaction(nn.Module):
    """Eq. 5, Phi_oi: a Transformer encoder layer (pre-norm, GELU) among the slots of a frame, (b, t, s, d) -> the same.

    ratio: hidden width of its feed-forward network by d; 8/3 is what the printed 4.1 M of Table 7 asks for.
    """

    def __init__(self, width: int, heads: int = 8, ratio: float = 8 / 3):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            width, heads, round(ratio * width), 0.0, "gelu", batch_first=True, norm_first=True
        )

    def forward(self, slots: Tensor) -> Tensor:
        return self.layer(slots.flatten(0, 1)).view_as(slots)


class StateChanges(nn.Module):
    """Eq. 6, Phi_ti: an MLP on a slot's states at t and t + delta, side by side. (b, t, s, d) -> (b, p, s, d).

    deltas: one interval, or several ("All" of Table 8 is range(1, frames)), whose changes stand one after another; a
    quarter of the clip where not given (Sec. 4.1). The text has channels 2D-D-D; the printed parameters of ViT-B ask
    for 2D-2D-D, `ratio` 2.
    """

    def __init__(self, width: int, frames: int, deltas: Iterable[int] | None = None, ratio: float = 2.0):
        super().__init__()
        deltas = (max(frames // 4, 1),) if deltas is None else tuple(deltas)
        wrong = [delta for delta in deltas if not 1 <= delta < frames]
        if wrong or not deltas:
            raise BadInput(f"delta {wrong or '()'}: in clips of {frames} frames choose of 1 to {frames - 1}")
        first = torch.cat([torch.arange(frames - delta) for delta in deltas])
        last = torch.cat([torch.arange(delta, frames) for delta in deltas])
        self.frames = frames
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("last", last, persistent=False)
        hidden = round(ratio * width)
        self.mlp = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, states: Tensor) -> Tensor:
        if states.shape[1] != self.frames:
            raise BadInput(f"a clip of {states.shape[1]} frames: the state changes are set up for {self.frames}")
        return self.mlp(torch.cat([states[:, self.first], states[:, self.last]], -1))


class TemporalAttention(nn.Module):
    """Phi_ta of Table 12, as in TimeSformer: each slot attends over its own frames. (b, t, s, d) -> the same.

    Learned times, and in the attention's residual branch TimeSformer's extra linear layer after the attention's own.
    """

    def __init__(self, width: int, frames: int, heads: int = 8, ratio: float = 8 / 3):
        super().__init__()
        self.times = nn.Parameter(nn.init.trunc_normal_(torch.empty(frames, 1, width), std=0.02))
        self.block = Block(width, heads, ratio, qkv_bias=True)
        self.block.attn.proj = nn.Sequential(self.block.attn.proj, nn.Linear(width, width))

    def forward(self, states: Tensor) -> Tensor:
        x = (states + self.times).transpose(1, 2)  # (b, s, t, d)
        return self.block(x.flatten(0, 1)).view_as(x).transpose(1, 2)


# --- the whole -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What one forward pass makes. cls (b, t, d), slots and states (b, t, s, d), masks (b, t, s, n) or None where there
    are no slots, changes (b, p, s, d), video (b, d), logits (b, k)."""

    cls: Tensor
    slots: Tensor
    masks: Tensor | None
    states: Tensor
    changes: Tensor
    video: Tensor
    logits: Tensor


class ObjectCentric(nn.Module):
    """Everything that OCA trains, on features of the last block: FrameFeatures (1, b, t, ...) -> logits (b, k).

    Any part can be `nn.Identity()` (`decompose` returns tokens and masks); `change` then passes states on as they are.
    """

    def __init__(
        self,
        joint: JointSpace,
        fuse: nn.Module,
        decompose: nn.Module,
        interact: nn.Module,
        change: nn.Module,
        classes: int,
    ):
        super().__init__()
        self.joint, self.fuse, self.decompose, self.interact, self.change = joint, fuse, decompose, interact, change
        self.head = nn.Linear(joint.width, classes)

    def parts(self, features: FrameFeatures) -> Parts:
        """All intermediates by name."""
        cls, patches = self.joint(features)
        slots, masks = self.decompose(self.fuse(patches))
        states = self.interact(slots)
        changes = self.change(states)
        video = changes.mean((1, 2))
        return Parts(cls, slots, masks, states, changes, video, self.head(video))

    def forward(self, features: FrameFeatures) -> Tensor:
        return self.parts(features).logits


class OnFrames(nn.Module):
    """The image model without gradient, then the trained part: uint8 (b, t, h, w, 3) -> logits (b, k)."""

    def __init__(self, clip: ImageText, trained: ObjectCentric):
        super().__init__()
        self.clip, self.trained = clip.requires_grad_(False), trained

    def train(self, mode: bool = True) -> OnFrames:
        super().train(mode)
        self.clip.eval()
        return self

    @torch.no_grad()
    def features(self, frames: Tensor) -> FrameFeatures:
        """The last block's tokens."""
        return self.clip.frame_features(frames, [-1])

    def forward(self, frames: Tensor) -> Tensor:
        return self.trained(self.features(frames))


Make = Callable[..., nn.Module]  # makes one part from its sizes; nn.Identity takes any and does nothing


def oca(
    visual: nn.Module,
    frames: int,
    classes: int,
    fuse: Make = TemporalFusion,
    tokens: Make = slot_tokens,
    interact: Make = Interaction,
    change: Make = StateChanges,
) -> ObjectCentric:
    """The trained part for an open_clip tower, by default the paper's: 8 slots, delta = T / 4 (Sec. 4.1).

    fuse, tokens and interact are made of the width d, change of d and the clip's frames.
    """
    joint = JointSpace(visual)
    d = joint.width
    return ObjectCentric(joint, fuse(d), tokens(d), interact(d), change(d, frames), classes)

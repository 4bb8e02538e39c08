"""VicTR: video-conditioned text representations for activity recognition (thesis, chapter 5).

The image model gives one embedding a frame, the text model one a name. A small transformer lets every name look at
every frame: each clip gets text embeddings of its own, and the class is the one whose text lies nearest to the video.

    frames, names -> boost: a token for each frame and name, the name's embedding times sigmoid(w affinity)   Sec. 5.3.1
    L times:  attention over the video and text tokens of a frame, then over the frames of a token            Sec. 5.3.2
              text tokens pooled over time, and again weighted by their affinity to each frame; MLP           Sec. 5.3.3
    pool over time -> map to 256 -> cosine of video and text, and of text and groups of attributes            Sec. 5.3.4

The text of one clip is t x n tokens, of which `tokens` makes no more at once than the sum needs. No official
code exists; where the text is silent, a comment says what is done here and why.

Axes: b clips, t frames, n names (classes, then attributes), d width, h heads, c channels of a head, k groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.victr.classifier import AffinityClassifier, Embeddings, Scores, affinity
from minilib.papers.victr.tokens import Mlp, Tokens, Weighted, joined, recomputed, spans

# --- attention, Sec. 5.3.2 -------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """MSA(LN(z)) over the last but one axis: z (..., n, d) -> the same; the residual is left to the caller."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if heads < 1 or width % heads:
            raise BadInput(f"width {width} does not divide into {heads} heads")
        self.norm, self.project, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.heads = heads

    def normed(self, z: Tensor) -> Tensor:
        return self.norm(z)

    def forward(self, z: Tensor) -> Tensor:
        qkv = self.project(self.normed(z)).view(-1, z.shape[-2], 3, self.heads, z.shape[-1] // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (..., h, n, c)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(z.shape))


class TemporalAttention(Attention):
    """Attention over the frames of each token, z (..., t, d).

    Where the order of the frames comes in is not said. Here an embedding (t, d) is added after the norm, in every
    layer: added once at the start it would not outlive the first pooling of the text. Truncated normal, 0.02, as
    X-CLIP's.
    """

    def __init__(self, width: int, heads: int, frames: int):
        super().__init__(width, heads)
        self.position = nn.Parameter(torch.empty(frames, width))
        nn.init.trunc_normal_(self.position, std=0.02)

    def normed(self, z: Tensor) -> Tensor:
        return self.norm(z) + self.position

    def pooled(self, z: Tensor) -> Tensor:
        """`self(z).mean(-2)` for z (b, n, t, d), in which V and the output matrix meet one token instead of t.

        mean_t sum_s A[t, s] V x[s] = V sum_s (mean_t A[t, s]) x[s], head by head.
        """
        x, d = self.normed(z), z.shape[-1]
        (weight, values), (bias, shift) = (part.split([2 * d, d]) for part in (self.project.weight, self.project.bias))
        q, k = F.linear(x, weight, bias).unflatten(-1, (2, self.heads, -1)).movedim(-3, 0)
        scores = q.transpose(-3, -2) @ k.movedim(-3, -1) * (d // self.heads) ** -0.5  # (b, n, h, t, t)
        read = scores.softmax(-1).mean(-2) @ x  # (b, n, h, d)
        value = torch.einsum("bnhd,hcd->bnhc", read, values.unflatten(0, (self.heads, -1)))
        return self.out(value.flatten(-2) + shift)


class DividedAttention(nn.Module):
    """Among the tokens of a frame, then among the frames of a token; separate weights, which video and text share."""

    def __init__(self, width: int, heads: int, frames: int):
        super().__init__()
        self.cross, self.temporal = Attention(width, heads), TemporalAttention(width, heads, frames)

    def _crossed(self, tokens: Tokens) -> Tensor:
        parts = (z + self.cross(z) for z in (tokens.at(span) for span in spans(tokens.steps, tokens.numbers)))
        return joined(parts, tokens.steps, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        """Every token after both attentions, (b, t, 1 + n, d)."""
        z = self._crossed(tokens)
        return z + self.temporal(z.transpose(1, 2)).transpose(1, 2)

    def pooled(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The same with the text's mean over time: video (b, t, d), text (b, n, d)."""
        z = self._crossed(tokens)
        video, text = z[:, :, 0], z[:, :, 1:].transpose(1, 2)
        spread = (text[:, span] for span in spans(text.shape[1], text.numel()))
        parts = (recomputed(self._pooled_text, part, text.numel()) for part in spread)
        return video + self.temporal(video), joined(parts, text.shape[1], 1)

    def _pooled_text(self, z: Tensor) -> Tensor:
        return z.mean(2) + self.temporal.pooled(z)


# --- weighting, Sec. 5.3.1 and 5.3.3 ---------------------------------------------------------------------------------


class AffinityWeighting(nn.Module):
    """SigAffinity: sigmoid(w cos(video, text)), one learned w here and one in each layer.

    The start of w is not given; at 10 the cosines -1 to 1 fill the interval 0 to 1.
    """

    def __init__(self, scale: float = 10.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def boost(self, video: Tensor, text: Tensor) -> Tokens:
        """Token boosting: frames (b, t, d) and names (b or 1, n, d) as tokens for every frame and name.

        The norm before the next attention undoes the weight of a token that is nothing but weight times embedding,
        LN(a e) = LN(e): in the first cross-modal attention it acts through the residual alone.
        """
        return Weighted(video, text, torch.sigmoid(self.scale * affinity(video, text)))

    def forward(self, attention: nn.Module, tokens: Tokens) -> Tokens:
        """Attention, then the text pooled over time (by its mean: the kind of pooling is not given) and re-weighted."""
        return self.boost(*attention.pooled(tokens))


class Layer(nn.Module):
    """attention, weighting, MLP. What the parts are is the caller's: `variants` has others for the ablations."""

    def __init__(self, attention: nn.Module, weighting: nn.Module, mlp: Mlp):
        super().__init__()
        self.attention, self.weighting, self.mlp = attention, weighting, mlp

    def forward(self, tokens: Tokens) -> Tokens:
        return self.weighting(self.attention, tokens).through(self.mlp)


# --- the head ---------------------------------------------------------------------------------------------------------


class VicTR(nn.Module):
    """The video head. frames (b, t, d); names (n, d), or (b, n, d) where each clip has its own; attributes (m, d) in
    groups of the given sizes -> `Scores`. t is fixed by `frames`; n, m and k may change from call to call.

    attention(width, heads, frames), weighting() and classifier(width) make the parts; blocks and heads as Sec. 5.4.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        frames: int,
        layers: int = 4,
        attention: Callable[[int, int, int], nn.Module] = DividedAttention,
        weighting: Callable[[], nn.Module] = AffinityWeighting,
        classifier: Callable[[int], nn.Module] = AffinityClassifier,
    ):
        super().__init__()
        if layers < 1 or frames < 1:
            raise BadInput(f"{layers} layers, {frames} frames: VicTR needs at least one of each")
        self.boosting, self.frames, self.width = weighting(), frames, width
        self.layers = nn.ModuleList(
            Layer(attention(width, heads, frames), weighting(), Mlp(width)) for _ in range(layers)
        )
        self.classifier = classifier(width)
        for part in self.modules():  # as X-CLIP; not given
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(
        self, frames: Tensor, names: Tensor, attributes: Tensor | None = None, groups: Sequence[int] = ()
    ) -> Scores:
        self._check(frames, names, attributes, groups)
        names = names if names.ndim == 3 else names[None]
        text = names if attributes is None else torch.cat([names, attributes.expand(len(names), -1, -1)], 1)
        tokens = self.boosting.boost(frames, text)
        for layer in self.layers:
            tokens = layer(tokens)
        video, text = tokens.pooled()
        text, others = text.split([names.shape[1], text.shape[1] - names.shape[1]], 1)
        means = [group.mean(1) for group in others.split(list(groups), 1)] if groups else None
        return self.classifier(Embeddings(frames, names, video, text, torch.stack(means, 1) if means else None))

    def _check(self, frames: Tensor, names: Tensor, attributes: Tensor | None, groups: Sequence[int]) -> None:
        if frames.ndim != 3 or frames.shape[1:] != (self.frames, self.width):
            raise BadInput(f"frames {tuple(frames.shape)}: this head takes (clips, {self.frames}, {self.width})")
        if names.shape[-1] != self.width or names.ndim not in (2, 3) or not names.shape[-2]:
            raise BadInput(f"names {tuple(names.shape)}: needs one embedding of {self.width} or more")
        if names.ndim == 3 and len(names) not in (1, len(frames)):
            raise BadInput(f"names of {len(names)} clips and frames of {len(frames)}: give as many, or one set for all")
        if attributes is not None and attributes.shape[1:] != (self.width,):
            raise BadInput(f"attributes {tuple(attributes.shape)}: needs (attributes, {self.width})")
        count = 0 if attributes is None else len(attributes)
        if sum(groups) != count or any(size < 1 for size in groups):
            raise BadInput(f"groups of {list(groups)} attributes do not add up to the {count} that are given")

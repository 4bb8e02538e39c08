"""The heads that VicTR is compared with, on the same frame and text embeddings and called alike.

Where the originals train the image model, here only what comes after it is trained, as for VicTR.

Axes: b clips, t frames, n names, d width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.papers.victr.classifier import AffinityClassifier, Embeddings, Scores, affinity
from minilib.papers.victr.method import TemporalAttention
from minilib.papers.victr.tokens import Mlp
from minilib.papers.victr.variants import Start


def _each(names: Tensor) -> Tensor:
    """Names (n, d) or (b or 1, n, d) with the axis of clips."""
    return names if names.ndim == 3 else names[None]


class Probe(nn.Module):
    """A linear classifier of the frames' mean: no text, no time."""

    def __init__(self, start: Start):
        super().__init__()
        self.linear = nn.Linear(start.width, start.classes)

    def forward(self, frames: Tensor, names: Tensor, attributes: Tensor | None = None, groups: Sequence[int] = ()):
        return Scores(self.linear(frames.mean(1)), None)


class TemporalBlock(nn.Module):
    """z + attention over frames, then z + MLP(LN(z)), for z (b, t, d)."""

    def __init__(self, width: int, heads: int, frames: int):
        super().__init__()
        self.attention, self.norm, self.mlp = TemporalAttention(width, heads, frames), nn.LayerNorm(width), Mlp(width)

    def forward(self, z: Tensor) -> Tensor:
        z = z + self.attention(z)
        return z + self.mlp(self.norm(z))


class TemporalTransformer(nn.Module):
    """ActionCLIP's and CLIP4clip's video head: blocks over frames, added to the frames, and the mean; the text stays as
    it is. The released heads have six and four blocks."""

    def __init__(self, start: Start, layers: int):
        super().__init__()
        self.blocks = nn.Sequential(*(TemporalBlock(start.width, start.heads, start.frames) for _ in range(layers)))
        self.classifier = AffinityClassifier(start.width, scale=start.scale, bias=start.bias)

    def video(self, frames: Tensor) -> Tensor:
        """The frames after the blocks, (b, t, d)."""
        return frames + self.blocks(frames)

    def forward(self, frames: Tensor, names: Tensor, attributes: Tensor | None = None, groups: Sequence[int] = ()):
        names = _each(names)
        return self.classifier(Embeddings(frames, names, self.video(frames).mean(1), names, None))


class XClip(TemporalTransformer):
    """X-CLIP: one block over frames, and prompts: every name attends to the video's tokens and is moved a little.

    Its prompts read patches averaged over time; here, where a frame is one embedding, they read the frames. The step's
    size starts at 0.1: at the released 1e-4 a recipe as short as ours would never use it. The attention between frames
    inside the image model is left out. prompts: how many layers of them.
    """

    def __init__(self, start: Start, prompts: int = 2):
        super().__init__(start, 1)
        width, heads = start.width, start.heads
        self.attend = nn.ModuleList(nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(prompts))
        self.mlps = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), Mlp(width)) for _ in range(prompts))
        self.norm, self.read = nn.LayerNorm(width), nn.LayerNorm(width)
        self.step = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, frames: Tensor, names: Tensor, attributes: Tensor | None = None, groups: Sequence[int] = ()):
        names, tokens = _each(names).expand(len(frames), -1, -1), self.video(frames)
        text, read = names, self.read(tokens)
        for attend, mlp in zip(self.attend, self.mlps, strict=True):
            text = text + attend(self.norm(text), read, read, need_weights=False)[0]
            text = text + mlp(text)
        return self.classifier(Embeddings(frames, names, tokens.mean(1), names + self.step * text, None))


class Hitchhiker(nn.Module):
    """CLIP Hitchhiker's: for every name its own mean of the frames, weighted by softmax(affinity / temperature)."""

    def __init__(self, start: Start, sharpness: float = 10.0):
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(sharpness).log())
        self.classifier = AffinityClassifier(start.width, scale=start.scale, bias=start.bias)

    def forward(self, frames: Tensor, names: Tensor, attributes: Tensor | None = None, groups: Sequence[int] = ()):
        names = _each(names)
        x, y = self.classifier.map(frames), self.classifier.map(names)
        weight = (self.log_sharpness.exp() * affinity(x, y)).softmax(1)  # (b, t, n)
        video = torch.einsum("btn,btd->bnd", weight, x)
        cosine = (F.normalize(video, dim=-1) * F.normalize(y, dim=-1)).sum(-1)
        return Scores(self.classifier.biased(self.classifier.log_scale.exp() * cosine), None)

"""What VicTR's ablations put in the place of its parts (thesis, Tables 5.5 and 5.6), and the direct reading.

`ablations(classes)[arm]` is what to give `VicTR` for a row of the tables; "no_aux" is the full head, called without
attributes.

Axes: b clips, t frames, n names, d width.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.papers.victr.classifier import AffinityClassifier, Embeddings, Scores
from minilib.papers.victr.method import AffinityWeighting, TemporalAttention
from minilib.papers.victr.tokens import Dense, Tokens, Weighted


class NoWeighting(nn.Module):
    """Table 5.6, "No Affinity weighting": every frame starts with the same text, and each layer's text tokens go to
    the MLP as attention leaves them; without a weight to give, pooling would only erase time."""

    def boost(self, video: Tensor, text: Tensor) -> Tokens:
        return Weighted(video, text, video.new_ones(*video.shape[:2], text.shape[1]))

    def forward(self, attention: nn.Module, tokens: Tokens) -> Tokens:
        return Dense(attention(tokens))


class DirectWeighting(AffinityWeighting):
    """The equations word by word: a copy of the text for every frame in every step. For counting and comparing."""

    def boost(self, video: Tensor, text: Tensor) -> Tokens:
        return Dense(super().boost(video, text).at(slice(None)))

    def forward(self, attention: nn.Module, tokens: Tokens) -> Tokens:
        z = attention(tokens)
        return self.boost(z[:, :, 0], z[:, :, 1:].mean(1))


class JointAttention(TemporalAttention):
    """Table 5.6, "w/ joint-attention": one attention over all t (1 + n) tokens in the place of the two."""

    def normed(self, z: Tensor) -> Tensor:
        frames, width = self.position.shape
        return (self.norm(z).unflatten(1, (frames, -1)) + self.position[:, None]).view(len(z), -1, width)

    def forward(self, tokens: Tokens) -> Tensor:
        z = tokens.at(slice(None))
        return z + super().forward(z.flatten(1, 2)).view_as(z)

    def pooled(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        z = self(tokens)
        return z[:, :, 0], z[:, :, 1:].mean(1)


class VisualClassifier(AffinityClassifier):
    """Table 5.6, "Visual Classifier": a linear map of the video embedding alone, for a fixed number of classes."""

    def __init__(self, width: int, classes: int, **how):
        super().__init__(width, **how)
        self.linear = nn.Linear(width, classes)

    def logits(self, e: Embeddings) -> Tensor:
        if e.text.shape[1] != self.linear.out_features:
            raise BadInput(f"{e.text.shape[1]} names: this visual classifier has {self.linear.out_features} classes")
        return self.biased(self.linear(e.video))


class TextClassifier(AffinityClassifier):
    """Table 5.6, "Text Classifier": one number from each class's text embedding, by a linear map that all share."""

    def __init__(self, width: int, **how):
        super().__init__(width, **how)
        self.linear = nn.Linear(width, 1)

    def logits(self, e: Embeddings) -> Tensor:
        return self.biased(self.linear(e.text)[..., 0])


class ClipVisual(AffinityClassifier):
    """Table 5.5, "w/ CLIP Visual emb.": the frames' mean in the place of the video embedding."""

    def logits(self, e: Embeddings) -> Tensor:
        return super().logits(replace(e, video=e.frames.mean(1)))


class ClipText(AffinityClassifier):
    """Table 5.5, "w/ CLIP Text emb.": the names as the text model gives them, whatever the video."""

    def forward(self, e: Embeddings) -> Scores:
        return super().forward(replace(e, text=e.names))


def ablations(classes: int, **how) -> dict[str, dict]:
    """Arm -> what to give `VicTR` beside width, heads and frames; `how` goes to every classifier (scale, bias)."""
    build = {arm: {"classifier": partial(AffinityClassifier, **how)} for arm in ("victr", "no_aux")}
    build["clip_visual"] = {"classifier": partial(ClipVisual, **how)}
    build["clip_text"] = {"classifier": partial(ClipText, **how)}
    build["no_affinity"] = build["victr"] | {"weighting": NoWeighting}
    build["joint"] = build["victr"] | {"attention": JointAttention}
    build["text_classifier"] = {"classifier": partial(TextClassifier, **how)}
    build["visual_classifier"] = {"classifier": partial(VisualClassifier, classes=classes, **how)}
    return build

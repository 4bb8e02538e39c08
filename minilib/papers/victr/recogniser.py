"""VicTR behind an image-text model: vocabularies become embeddings, and frames are compared with names.

Axes: b clips, t frames, h and w pixels, n classes, m attributes, d width of the joint space.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.papers.victr.classifier import Scores

PROMPT = "a photo of {}."  # Sec. 5.2; the small world's tokeniser knows no full stop, its prompt is "{}"


def check_names(names: Sequence[str], what: str) -> tuple[str, ...]:
    """The names as they are; none, an empty one, or one that appears twice is BadInput."""
    names = tuple(names)
    if not names:
        raise BadInput(f"{what}: the vocabulary is empty, give at least one name")
    for place, name in enumerate(names):
        if not name.strip():
            raise BadInput(f"{what}: name {place} is empty")
        if name in names[:place]:
            raise BadInput(f"{what}: {name!r} is there twice (names {names.index(name)} and {place})")
    return names


@dataclass(frozen=True)
class Attributes:
    """Auxiliary semantics: the attributes of each group. A name may appear in two groups, but not twice in one."""

    groups: dict[str, tuple[str, ...]]

    def __post_init__(self):
        check_names(tuple(self.groups), "groups of attributes")
        for group, names in self.groups.items():
            check_names(names, f"attributes {group!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for group in self.groups.values() for name in group)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(group) for group in self.groups.values())


@torch.no_grad()
def embed(clip: ImageText, names: Sequence[str], prompt: str = PROMPT) -> Tensor:
    """Text embeddings (n, d), not normalised: Affinity does that. A name that does not fit the text model's context
    is BadInput."""
    texts = [prompt.format(name) for name in check_names(names, "names")]
    return clip.model.encode_text(clip.tokenize(texts).to(clip.mean.device))


def embed_groups(clip: ImageText, attributes: Attributes, prompt: str = PROMPT) -> Tensor:
    """Text embeddings (m, d) of all attributes, group after group."""
    return torch.cat([embed(clip, names, prompt) for names in attributes.groups.values()])


@dataclass(frozen=True)
class Names:
    """Names (n, d) and attributes (m, d) as heads read them, and the sizes of the attributes' groups."""

    classes: Tensor
    attributes: Tensor | None = None
    groups: tuple[int, ...] = ()


def names_of(
    clip: ImageText, classes: Sequence[str], attributes: Attributes | None = None, prompt: str = PROMPT
) -> Names:
    """A vocabulary as the text model gives it."""
    own = embed(clip, classes, prompt)
    return Names(own) if attributes is None else Names(own, embed_groups(clip, attributes, prompt), attributes.sizes)


class Reader(nn.Module):
    """A head and what it reads: frames (b, t, d) against names -> logits (b, n). frames: of the training clips, by
    which each channel gets mean 0 and standard deviation 1; None leaves them as they are."""

    def __init__(self, head: nn.Module, names: Names, frames: Tensor | None = None):
        super().__init__()
        self.head, self.groups = head, names.groups
        self.register_buffer("names", names.classes)
        self.register_buffer("attributes", names.attributes)
        self.register_buffer("mean", torch.tensor(0.0) if frames is None else frames.mean((0, 1)))
        self.register_buffer("std", torch.tensor(1.0) if frames is None else frames.std((0, 1)))

    def standard(self, frames: Tensor) -> Tensor:
        return (frames - self.mean) / self.std

    def scores(self, frames: Tensor, names: Tensor | None = None) -> Scores:
        """Class logits and auxiliary logits, for the loss; `names` in the place of its own."""
        return self.head(self.standard(frames), self.names if names is None else names, self.attributes, self.groups)

    def forward(self, frames: Tensor) -> Tensor:
        return self.scores(frames).logits

    def reading(self, names: Tensor) -> Reader:
        """The same model, its weights shared, with other names, as zero-shot recognition needs."""
        other = copy(self)
        other._buffers = self._buffers | {"names": names.to(self.names)}
        return other


class VideoRecogniser(nn.Module):
    """The image model on every frame, then a reader: frames uint8 (b, t, h, w, 3), or what `normalise` made of them, ->
    logits (b, n). The text tower was asked once and is not part of it, as X-CLIP does; what else trains is the
    caller's choice."""

    def __init__(self, clip: ImageText, reader: Reader):
        super().__init__()
        self.clip, self.reader = clip, reader

    def normalise(self, frames: Tensor) -> Tensor:
        """So that a training loop can mix clips before the image model sees them."""
        return self.clip.normalise(frames)

    def scores(self, frames: Tensor) -> Scores:
        return self.reader.scores(self.clip.frame_embeddings(frames))

    def forward(self, frames: Tensor) -> Tensor:
        return self.scores(frames).logits

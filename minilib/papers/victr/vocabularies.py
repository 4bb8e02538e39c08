"""The names that VicTR reads: classes, groups of auxiliary attributes, their embeddings, and frames against names.

Axes: b clips, t frames, h and w pixels, n classes, m attributes, d width of the joint space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.papers.victr.classifier import Scores
from minilib.papers.victr.method import VicTR
from minilib.world.scenes import MAX_OBJECTS
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

PUBLISHED = Path(__file__).parent / "vocabularies.yaml"
PROMPT = "a photo of {}."  # Sec. 5.2; the small world's tokeniser knows no full stop, its prompt is "{}"
COUNTS = ("one", "two", "three", "four")[:MAX_OBJECTS]


def check_names(names: Sequence[str], what: str) -> tuple[str, ...]:
    """The names as they are; none, an empty one, or one that is there twice is BadInput."""
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
    """Auxiliary semantics: the attributes of each group. A name may stand in two groups, but not twice in one."""

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


def attributes(dataset: str) -> Attributes:
    """The thesis' lists for "charades" and "kinetics400" (Sec. 5.6.1)."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    if dataset not in published:
        raise BadInput(f"attributes of {dataset!r}: the thesis has {', '.join(published)}")
    return Attributes({group: tuple(names) for group, names in published[dataset].items()})


def world_attributes() -> Attributes:
    """The small world's: what shapes, colours and grounds there are, and how many objects can be seen."""
    counts = tuple(f"{count} object{'s' * (count != 'one')}" for count in COUNTS)
    return Attributes({"shapes": SHAPES, "colours": COLOURS, "grounds": GROUNDS, "objects": counts})


@torch.no_grad()
def embed(clip: ImageText, names: Sequence[str], prompt: str = PROMPT) -> Tensor:
    """Text embeddings (n, d), not normalised: Affinity does that. A name that does not fit the text model's context
    is BadInput."""
    texts = [prompt.format(name) for name in check_names(names, "names")]
    return clip.model.encode_text(clip.tokenize(texts).to(clip.mean.device))


def embed_frames(clip: ImageText, frames: Tensor) -> Tensor:
    """Each frame in the space of the texts, not normalised: uint8 (b, t, h, w, 3), or what `normalise` made of it,
    -> (b, t, d)."""
    pixels = frames if frames.is_floating_point() else clip.normalise(frames)
    return clip.model.encode_image(pixels.flatten(0, 1)).unflatten(0, frames.shape[:2])


class VideoRecogniser(nn.Module):
    """Frames against names: the image model on every frame, then `head`. The text tower is frozen and asked once, as
    X-CLIP does; what else trains is the caller's choice.

    frames: uint8 (b, t, h, w, 3), or embeddings (b, t, d) that `frame_embeddings` gave -> logits (b, n).
    """

    def __init__(
        self,
        clip: ImageText,
        head: VicTR,
        classes: Sequence[str],
        attributes: Attributes | None = None,
        prompt: str = PROMPT,
    ):
        super().__init__()
        self.clip, self.head, self.prompt = clip, head, prompt
        self.groups = () if attributes is None else attributes.sizes
        self.register_buffer("names", embed(clip, classes, prompt), persistent=False)
        others = None if attributes is None else embed_groups(clip, attributes, prompt)
        self.register_buffer("attributes", others, persistent=False)

    def read(self, classes: Sequence[str]) -> VideoRecogniser:
        """Other classes from now on, as zero-shot recognition needs; returns itself."""
        self.names = embed(self.clip, classes, self.prompt)
        return self

    def frame_embeddings(self, frames: Tensor) -> Tensor:
        """(b, t, d) of uint8 (b, t, h, w, 3), not normalised."""
        return embed_frames(self.clip, frames)

    def scores(self, frames: Tensor) -> Scores:
        """Class logits and auxiliary logits, for the loss."""
        frames = frames if frames.ndim == 3 else self.frame_embeddings(frames)
        return self.head(frames, self.names, self.attributes, self.groups)

    def forward(self, frames: Tensor) -> Tensor:
        return self.scores(frames).logits


def embed_groups(clip: ImageText, attributes: Attributes, prompt: str = PROMPT) -> Tensor:
    """Text embeddings (m, d) of all attributes, group after group."""
    return torch.cat([embed(clip, names, prompt) for names in attributes.groups.values()])

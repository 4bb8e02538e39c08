"""How heads start on the small world: names that are whitened, first weights, and the loss.

Axes: b clips, t frames, n names, m attributes, d width, c directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.initial import init_fan_in
from minilib.models.small_clip import small_clip
from minilib.papers.victr.classifier import victr_loss
from minilib.papers.victr.method import TemporalAttention
from minilib.papers.victr.recogniser import Attributes, Names, Reader, names_of
from minilib.papers.victr.variants import Start
from minilib.papers.victr.vocabularies import world_attributes
from minilib.study.embedded import Embedded

WIDTH, HEADS = 96, 6  # of the small CLIP's joint space


@dataclass(frozen=True)
class Whitening:
    """Text embeddings (..., d) in the directions in which `fitted` texts differ, all directions alike: length sqrt(d).

    No caption that the small CLIP was trained on says a motion, so the names of motions are nearly one and the same to
    it. A departure from the paper, which takes the embeddings as they are. Of 18 to 40 directions all keep held-out
    combinations distinct.
    """

    mean: Tensor
    directions: Tensor  # (c, d), orthonormal
    sizes: Tensor  # (c,)

    @classmethod
    def fitted(cls, texts: Tensor, components: int = 24) -> Whitening:
        _, sizes, directions = torch.linalg.svd(texts - texts.mean(0), full_matrices=False)
        kept = min(components, len(texts) - 1)  # centred texts have one dimension less
        return cls(texts.mean(0), directions[:kept], sizes[:kept])

    def __call__(self, texts: Tensor) -> Tensor:
        parts = F.normalize((texts - self.mean) @ self.directions.mT / self.sizes, dim=-1)
        return parts @ self.directions * texts.shape[-1] ** 0.5


def texts_of(names: Sequence[str]) -> Tensor:
    """Text embeddings of unit length; the small CLIP's captions have no prompt."""
    return F.normalize(names_of(small_clip(), names, prompt="{}").classes, dim=-1)


@cache
def whitened(classes: tuple[str, ...], components: int = 24) -> tuple[Names, Whitening]:
    """The names of classes and of what can be seen, whitened together: grounds, and how many objects there are (shapes
    would cost as much again). The whitening serves other names, too."""
    groups = world_attributes().groups
    seen = Attributes({name: groups[name] for name in ("grounds", "objects")})
    raw = names_of(small_clip(), classes, seen, "{}")
    own, others = F.normalize(raw.classes, dim=-1), F.normalize(raw.attributes, dim=-1)
    whitening = Whitening.fitted(torch.cat([own, others]), components)
    return Names(whitening(own), whitening(others), seen.sizes), whitening


def other_names(names: Sequence[str], classes: tuple[str, ...], components: int = 24) -> Tensor:
    """Names (n, d) by the whitening that was fitted to `classes`."""
    return whitened(classes, components)[1](texts_of(names))


def confined(names: Tensor, directions: int) -> Tensor:
    """Names (n, d) as they look in so many random directions, always the same, and as long as before."""
    drawn = torch.randn(names.shape[-1], directions, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(drawn).Q  # (d, c)
    return F.normalize(names @ basis, dim=-1) @ basis.mT * names.shape[-1] ** 0.5


@dataclass(frozen=True)
class Build:
    """A reader at its start. head(start) makes the head; auxiliary: whether it reads attributes; `bias` for losses that
    need one; position: standard deviation of the temporal positions; directions: what the names of classes are confined
    to, None leaves them as far from each other as they are.

    The thesis has four layers, which cost twice as much. CLIP's temperature of 100 is too sharp for a short recipe, and
    at X-CLIP's 0.02 for positions, meant for many epochs, it hardly gets to the order of the frames.
    """

    head: Callable[[Start], nn.Module]
    classes: tuple[str, ...]
    frames: int
    auxiliary: bool = True
    bias: float | None = None
    layers: int = 2
    scale: float = 16.0
    position: float = 0.5
    components: int = 24
    directions: int | None = None

    def __call__(self, train_inputs: Embedded) -> Reader:
        head = self.head(Start(WIDTH, HEADS, self.frames, len(self.classes), self.layers, self.scale, self.bias))
        init_fan_in(head)
        for part in head.modules():
            if isinstance(part, TemporalAttention):
                nn.init.trunc_normal_(part.position, std=self.position)
        names, _ = whitened(self.classes, self.components)
        if self.directions is not None:
            names = replace(names, classes=confined(names.classes, self.directions))
        return Reader(head, names if self.auxiliary else Names(names.classes), train_inputs.frames)


@dataclass(frozen=True)
class Loss:
    """Of classes and attributes; the weight of the attributes' was chosen on validation clips."""

    entropy: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    weight: float = 0.1

    def __call__(self, model: Reader, frames: Tensor, labels: Tensor) -> Tensor:
        return victr_loss(model.scores(frames), labels, self.entropy, self.weight)


LOSS = Loss()

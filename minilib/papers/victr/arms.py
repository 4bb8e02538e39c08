"""VicTR's ablations on the small world as data: one *arm* a table row, and the names that its heads read.

Axes: b clips, t frames, n names, m attributes, d width, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.papers.dist.arms import rescale
from minilib.papers.victr.baselines import Hitchhiker, Probe, TemporalTransformer, XClip
from minilib.papers.victr.classifier import Scores
from minilib.papers.victr.clips import image_model
from minilib.papers.victr.method import TemporalAttention, VicTR
from minilib.papers.victr.parts import ablations
from minilib.papers.victr.vocabularies import Attributes, embed, embed_groups, world_attributes

WIDTH, HEADS, LAYERS = 96, 6, 2  # of the small CLIP's joint space; the paper's four blocks cost twice as much
SCALE = 16.0  # start of the temperature; CLIP's 100 is too sharp for a short recipe
POSITION = 0.5  # deviation of the temporal positions at the start
COMPONENTS = 24  # directions of the names that are kept; of 18 to 40 all keep held-out combinations apart

# --- names -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whitening:
    """Text embeddings (..., d) in the directions in which `fitted` texts differ, all directions alike: length sqrt(d).

    No caption that the small CLIP was trained on says a motion, so the names of motions are nearly one and the same to
    it. A departure from the paper, which takes the embeddings as they are.
    """

    mean: Tensor
    directions: Tensor  # (c, d), orthonormal
    sizes: Tensor  # (c,)

    @classmethod
    def fitted(cls, texts: Tensor, components: int = COMPONENTS) -> Whitening:
        _, sizes, directions = torch.linalg.svd(texts - texts.mean(0), full_matrices=False)
        kept = min(components, len(texts) - 1)  # centred texts have one dimension less
        return cls(texts.mean(0), directions[:kept], sizes[:kept])

    def __call__(self, texts: Tensor) -> Tensor:
        parts = F.normalize((texts - self.mean) @ self.directions.mT / self.sizes, dim=-1)
        return parts @ self.directions * texts.shape[-1] ** 0.5


def visible() -> Attributes:
    """Auxiliary semantics: places, and how many objects there are. Shapes would cost as much again."""
    groups = world_attributes().groups
    return Attributes({name: groups[name] for name in ("grounds", "objects")})


@dataclass(frozen=True)
class Names:
    """Names (n, d) and attributes (m, d) as heads read them, and the sizes of the attributes' groups."""

    classes: Tensor
    attributes: Tensor
    groups: tuple[int, ...]
    whitening: Whitening

    def read(self, texts: Sequence[str]) -> Tensor:
        """Other names with the same whitening."""
        return self.whitening(texts_of(texts))


def texts_of(names: Sequence[str]) -> Tensor:
    """Text embeddings of unit length; the small CLIP's captions have no prompt."""
    return F.normalize(embed(image_model(), names, "{}"), dim=-1)


@cache
def names_of(classes: tuple[str, ...]) -> Names:
    """The names of classes and of what can be seen, whitened together."""
    seen = visible()
    own, others = texts_of(classes), F.normalize(embed_groups(image_model(), seen, "{}"), dim=-1)
    whitening = Whitening.fitted(torch.cat([own, others]))
    return Names(whitening(own), whitening(others), seen.sizes, whitening)


class Reader(nn.Module):
    """A head and what it reads: frames (b, t, d), standardised, against names -> logits (b, n)."""

    def __init__(self, head: nn.Module, names: Names, frames: Tensor, auxiliary: bool = True):
        super().__init__()
        self.head, self.groups = head, names.groups if auxiliary else ()
        self.register_buffer("names", names.classes)
        self.register_buffer("attributes", names.attributes if auxiliary else None)
        self.register_buffer("mean", frames.mean((0, 1)))
        self.register_buffer("deviation", frames.std((0, 1)))

    def standard(self, frames: Tensor) -> Tensor:
        """Each channel with mean 0 and deviation 1 on the training clips."""
        return (frames - self.mean) / self.deviation

    def scores(self, frames: Tensor, names: Tensor | None = None) -> Scores:
        return self.head(self.standard(frames), self.names if names is None else names, self.attributes, self.groups)

    def forward(self, frames: Tensor) -> Tensor:
        return self.scores(frames).logits


# --- arms ------------------------------------------------------------------------------------------------------------

Build = Callable[..., nn.Module]  # frames, classes, **how (of the classifier) -> a head


def victr(arm: str, frames: int, classes: int, **how) -> nn.Module:
    """VicTR as a row of Tables 5.5 and 5.6 has it."""
    return VicTR(WIDTH, HEADS, frames, LAYERS, **ablations(classes, **how)[arm])


def probe(frames: int, classes: int, **how) -> nn.Module:
    return Probe(WIDTH, frames, classes)


def transformer(layers: int, frames: int, classes: int, **how) -> nn.Module:
    return TemporalTransformer(WIDTH, HEADS, frames, layers, **how)


def xclip(frames: int, classes: int, **how) -> nn.Module:
    return XClip(WIDTH, HEADS, frames, **how)


def hitchhiker(frames: int, classes: int, **how) -> nn.Module:
    return Hitchhiker(WIDTH, **how)


@torch.no_grad()
def started(head: nn.Module) -> nn.Module:
    """Weights as large as a layer's inputs ask for and positions that can be seen beside the tokens: at X-CLIP's 0.02,
    meant for hundreds of channels and many epochs, a short recipe hardly gets to the order of the frames."""
    rescale(head)
    for part in head.modules():
        if isinstance(part, TemporalAttention):
            nn.init.trunc_normal_(part.position, std=POSITION)
    return head


@dataclass(frozen=True)
class Arm:
    """One row of a table. control: how the data are damaged."""

    build: Build
    auxiliary: bool = True
    control: str | None = None


def _rows(*names: str) -> dict[str, Arm]:
    return {name: Arm(partial(victr, name), name != "no_aux") for name in names}


VICTR = Arm(partial(victr, "victr"))
CORE_ARMS = _rows("victr", "clip_text") | {"probe": Arm(probe, False)}
GRID_ARMS = (
    CORE_ARMS
    | _rows("no_aux", "clip_visual")
    | {
        "control/shuffled_frames": Arm(VICTR.build, control="frames"),
        "control/shuffled_labels": Arm(VICTR.build, control="labels"),
    }
)
LONG_ARMS = _rows(*ablations(1)) | {
    "actionclip": Arm(partial(transformer, 6), False),
    "clip4clip": Arm(partial(transformer, 4), False),
    "hitchhiker": Arm(hitchhiker, False),
}
ZERO_SHOT_ARMS = _rows("victr", "clip_text") | {
    "xclip": Arm(xclip, False),
    "actionclip": LONG_ARMS["actionclip"],
}

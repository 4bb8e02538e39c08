"""DiST's ablations on the small world as data: one *arm* a table row, and the tables that arms make up.

An arm says which model is built and on what it is trained. `dist_experiments.py` runs them. Channels are the paper's
fractions of the image model's width, 768 there and 96 here: alpha = 1/2 is 48, beta = 1/8 is 12.

Axes: b clips, t sparse frames, g = gamma, l layers, n patches, d width, k classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.classifier import VideoClassifier
from minilib.models.clip import FrameFeatures, ImageText
from minilib.papers.dist import variants
from minilib.papers.dist.method import Branches, Design, DiST, ImageSizes
from minilib.papers.dist.clip import DiSTRecogniser, class_features
from minilib.papers.baselines import EVL, STAdapter
from minilib.world import TASKS

WIDTH = 96  # of the small CLIP
SMALL = Design(frames=4, gamma=2, integration=WIDTH // 2, temporal=WIDTH // 8)
SCALE = 16.0  # of the cosines, chosen on validation clips; CLIP's own, 63 here, is too sharp for a short recipe


@dataclass(frozen=True)
class Inputs:
    """Dense frames uint8 (b, g t, h, w, 3), g, and features of the sparse frames where they are cached."""

    frames: Tensor
    gamma: int
    features: FrameFeatures | None = None

    @property
    def sparse(self) -> Tensor:
        """(b, t, h, w, 3)."""
        return self.frames[:, :: self.gamma]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Inputs:
        features = self.features and self.features.to(device, non_blocking)
        return Inputs(self.frames.to(device, non_blocking=non_blocking), self.gamma, features)


def centred(texts: Tensor) -> Tensor:
    """Text features (k, e) without what all of them share, as unit vectors; Eq. 7 takes them as they are."""
    return F.normalize(texts - texts.mean(0), dim=-1)


def apart(texts: Tensor) -> Tensor:
    """Text features (k, e) as far from one another as k vectors can be, each near its own: centred, then whitened.

    No caption that the small CLIP was trained on says a motion, so to it the twelve names are nearly one and the same
    (cosines up to 1.00), and cosines with them say little. A departure from Eq. 7; a learned classifier did worse on
    validation clips.
    """
    left, _, right = torch.linalg.svd(centred(texts), full_matrices=False)
    return F.normalize(left[:, :-1] @ right[:-1], dim=-1)  # centred features have one dimension less


def classes_of(clip: ImageText, task: str) -> Tensor:
    """What the videos of a task are compared with, (k, e)."""
    return (apart if task == "motion" else centred)(class_features(clip, TASKS[task]))


# --- models: clip, design, task -> scores of Inputs ------------------------------------------------------------------


class OfInputs(nn.Module):
    """A recogniser that takes `Inputs`."""

    def __init__(self, recogniser: DiSTRecogniser):
        super().__init__()
        self.recogniser = recogniser

    def forward(self, inputs: Inputs) -> Tensor:
        return self.recogniser(inputs.frames, inputs.features)


class EachFrameAlone(OfInputs):
    """The same parts, but every sparse frame is a clip of its own; the mean of their scores. It cannot see order."""

    def forward(self, inputs: Inputs) -> Tensor:
        frames = inputs.sparse
        features = inputs.features and FrameFeatures(
            *(x.flatten(1, 2).unsqueeze(2) for x in (inputs.features.cls, inputs.features.patches))
        )
        return self.recogniser(frames.flatten(0, 1).unsqueeze(1), features).unflatten(0, frames.shape[:2]).mean(1)


class OnSparse(nn.Module):
    """A classifier of frames, on the sparse ones alone."""

    def __init__(self, classifier: VideoClassifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, inputs: Inputs) -> Tensor:
        return self.classifier(inputs.sparse)


def dist(clip: ImageText, design: Design, task: str, branches=Branches, wrapper: type[nn.Module] = OfInputs):
    """DiST, or with other `branches` what is left of it."""
    net = DiST(ImageSizes.of(clip.visual), design, branches)
    rescale(net)
    return wrapper(DiSTRecogniser(clip, net, classes_of(clip, task), SCALE))


def order_blind(clip: ImageText, design: Design, task: str) -> nn.Module:
    """Everything but time. Its frames should lie evenly in the clip: every gamma-th frame from the first is not where
    every gamma-th from the last is, which alone tells a clip from its mirror image."""
    return dist(clip, replace(design, frames=1, gamma=1), task, wrapper=EachFrameAlone)


def peer(clip: ImageText, design: Design, task: str, method: Callable[..., VideoClassifier]) -> nn.Module:
    """ST-Adapter or EVL, with its classifier."""
    return OnSparse(method(clip.visual, design.frames, len(TASKS[task])))


def full_image(clip: ImageText, design: Design, task: str) -> nn.Module:
    """The image model and a classifier, all of it trained; nothing knows of time."""
    clip.visual.requires_grad_(True)
    clip.visual.proj.requires_grad_(False)  # the classifier reads what comes before it
    return OnSparse(VideoClassifier(clip.visual, len(TASKS[task]), dropout=0.0))


@torch.no_grad()
def rescale(net: DiST) -> None:
    """Draws weight matrices with 1 / sqrt(inputs) as their deviation. The released 0.02 suits hundreds of channels; in
    layers of a dozen it leaves next to no signal, and a short recipe never recovers from that."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv3d | nn.ConvTranspose2d):
            fan = module.weight.shape[0] if isinstance(module, nn.ConvTranspose2d) else module.weight[0].numel()
            nn.init.trunc_normal_(module.weight, std=fan**-0.5)


@dataclass(frozen=True)
class Arm:
    """One row of a table. lr multiplies the recipe's rate; `control` damages the data."""

    model: Callable[[ImageText, Design, str], nn.Module] = dist
    design: Design = SMALL
    task: str = "motion"
    lr: float = 1.0
    control: str | None = None


def _design(**changes) -> Arm:
    return Arm(design=replace(SMALL, **changes))


LAST = 3  # of the small CLIP's blocks, from 0
EVL_ARM = Arm(partial(peer, method=partial(EVL, mlp_dropout=0.0, dropout=0.0)))
ST_ARM = Arm(partial(peer, method=partial(STAdapter, bottleneck=WIDTH // 2, dropout=0.0)))

CORE_ARMS = {
    "order_blind": Arm(order_blind, replace(SMALL, gamma=1)),
    "integration_only": _design(psi_at=(), phi_at=()),
    "dist": Arm(),
}
ABLATIONS = CORE_ARMS | {
    # Table 1(a): what is left when a part is taken away, and EVL
    "spatial_only": Arm(partial(dist, branches=variants.SpatialOnly)),
    "temporal_only": Arm(partial(dist, branches=variants.LateFusion)),
    "evl": EVL_ARM,
    # Table 1(b): without Psi in every block the two branches still meet, once, after the last
    "no_interaction": _design(psi_at=(LAST,), phi_at=()),
    "to_temporal_only": _design(psi_at=(LAST,)),
    "to_integration_only": _design(phi_at=()),
    # Table 1(c)
    "tblock_tada": _design(t_block=variants.TAdaConv),
    "tblock_c3d": _design(t_block=variants.C3D),
    "tblock_joint": _design(t_block=variants.JointTransformer),
    # Tables 1(d) to 1(f); gamma = 2, alpha = 1/2 and beta = 1/8 are `dist`
    "gamma1": _design(gamma=1),
    "gamma4": _design(gamma=4),
    "gamma8": _design(gamma=8),
    "alpha_1_8": _design(integration=WIDTH // 8),
    "alpha_1_4": _design(integration=WIDTH // 4),
    "alpha_1": _design(integration=WIDTH),
    "beta_1_12": _design(temporal=WIDTH // 12),
    "beta_1_6": _design(temporal=WIDTH // 6),
    "beta_1_4": _design(temporal=WIDTH // 4),
    # Table 4 and 6: more frames, and what DiST is compared with
    "t8": _design(frames=8),
    "st_adapter": ST_ARM,
    "full_image": Arm(full_image, lr=0.1),
}
MOTION_ONLY = {
    # Table 2
    "down_avg": _design(psi=variants.AveragePooling),
    "down_max": _design(psi=variants.MaxPooling),
    "up_trilinear": _design(phi=variants.Trilinear),
    "up_deconv": _design(phi=variants.Deconvolution),
    # what must fail
    "control/shuffled_frames": Arm(control="frames"),
    "control/shuffled_labels": Arm(control="labels"),
}
ARMS = (
    ABLATIONS
    | MOTION_ONLY
    | {
        f"appearance/{name}": replace(arm, task="appearance")
        for name, arm in ABLATIONS.items()
        if name != "order_blind"
    }
    | {f"noun/{name}": replace(ABLATIONS[name], task="noun") for name in ("dist", "evl", "st_adapter")}
)

"""DiST: disentangled spatial and temporal learning for image-to-video transfer (Qing et al.; ICCV 2023).

Three parts, two of them trained. The image model is frozen and runs once on t sparse frames; a light *temporal encoder*
reads g t dense frames; an *integration branch* takes both in after every block and guides the encoder in return.

    sparse frames -> [block 1 .. L, frozen]   X_l ----------+-- FC --+                    no gradient goes back up here
                                                            |        |
    dense frames  -> stem -> T-Block -> Z_l --- Psi ------->+        v
                        ^                                   Y_(l-1) -+-> Yhat_l -> I-Block -> Y_l
                        +------------- Phi(Y_(l-1) + FC X_l) <-------+

Defaults are the released code's. `Design` takes classes, so that every alternative of Tables 1 and 2 is one of them
(`variants`). Parameters bear the released checkpoints' names.

Axes: b clips, t sparse frames, g = gamma, n = h w patches, m = 1 + n tokens (class token first), d width of the image
model, i channels of the integration branch, c channels of the temporal encoder, e joint embedding, l layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.clip import FrameFeatures
from minilib.models.foreign import open_clip_vit
from minilib.papers.dist.head import Head
from minilib.papers.dist.parts import IBlock, R2Plus1D, ToIntegration, ToTemporal


@dataclass(frozen=True)
class ImageSizes:
    """What must be known of the image model: d, its blocks, patches a frame, pixels a patch, e."""

    width: int = 768
    depth: int = 12
    grid: tuple[int, int] = (14, 14)
    patch: tuple[int, int] = (16, 16)
    embed: int = 512

    @classmethod
    def of(cls, visual: nn.Module) -> ImageSizes:
        """The sizes of an open_clip ViT that still has its projection, or of the one within a CLIP."""
        visual = open_clip_vit(visual)
        if visual.proj is None:
            raise BadInput(
                f"{type(visual).__name__} has lost its projection `proj`, of which DiST starts: load it again"
            )
        width, embed = visual.proj.shape
        return cls(width, visual.transformer.layers, tuple(visual.grid_size), tuple(visual.patch_size), embed)


@dataclass(frozen=True)
class Design:
    """t, gamma and the channels i and c (the paper's alpha d and beta d), pooling layers (released: 2 for
    Something-Something v2, 4 for Kinetics-400), and the parts. `psi_at`, `phi_at`: after which blocks they stand; None
    is everywhere. No Psi at all means no temporal encoder."""

    frames: int = 8
    gamma: int = 2
    integration: int = 384
    temporal: int = 96
    pooling: int = 2
    t_block: Callable[[int], nn.Module] = R2Plus1D
    i_block: Callable[[int], nn.Module] = IBlock
    psi: type[nn.Module] = ToIntegration
    phi: type[nn.Module] = ToTemporal
    psi_at: tuple[int, ...] | None = None
    phi_at: tuple[int, ...] | None = None

    def check(self, depth: int) -> None:
        """Raises BadInput for sizes below one and for layers that do not exist."""
        for name in ("frames", "gamma", "integration", "temporal", "pooling"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: DiST needs at least 1")
        wrong = [at for at in (*(self.psi_at or ()), *(self.phi_at or ())) if not 0 <= at < depth]
        if wrong:
            raise BadInput(f"layer {wrong[0]}: the image model has blocks 0 to {depth - 1}")


def released_init(module: nn.Module) -> None:
    """trunc-normal 0.02, biases zero, output layers included."""
    if isinstance(module, nn.Linear | nn.Conv3d | nn.ConvTranspose2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class Branches(nn.Module):
    """Temporal encoder and integration branch. features of all L blocks, dense pixels (b, g t, 3, h, w) -> what is
    pooled (b, t, m, i), and by name the maps Z_l (b, g t, h, w, c) and tokens Y_l (b, t, m, i) of every block."""

    def __init__(self, sizes: ImageSizes, design: Design):
        super().__init__()
        every, i, c = range(sizes.depth), design.integration, design.temporal
        psi_at = every if design.psi_at is None else design.psi_at
        # the released code makes a last Phi, too, whose output nothing reads: it is left out here
        phi_at = every[:-1] if design.phi_at is None else design.phi_at
        parts = (design.frames, design.gamma, c, i)
        self.input_linears = nn.ModuleList(nn.Linear(sizes.width, i) for _ in every)
        self.integration_nets = nn.ModuleList(design.i_block(i) for _ in every)
        self.temporal2integration_nets = nn.ModuleDict({str(at): design.psi(*parts) for at in psi_at})
        if psi_at:
            self.temporal_stem = nn.Conv3d(3, c, (5, *sizes.patch), (1, *sizes.patch), (2, 0, 0))
            self.temporal_nets = nn.ModuleList(design.t_block(c) for _ in every)
            self.integration2temporal_nets = nn.ModuleDict({str(at): design.phi(*parts) for at in phi_at})
        self.apply(released_init)

    def forward(self, features: FrameFeatures, dense: Tensor) -> tuple[Tensor, dict[str, list[Tensor]]]:
        named: dict[str, list[Tensor]] = {"temporal": [], "integrated": []}
        z = self.temporal_stem(dense.transpose(1, 2)).movedim(1, -1) if self.temporal2integration_nets else None
        y = 0.0  # Y_0
        for at, linear in enumerate(self.input_linears):
            x = torch.cat([linear(features.cls[at]).unsqueeze(2), linear(features.patches[at])], 2)
            yhat = y = y + x
            if z is not None:
                z = self.temporal_nets[at](z)
                named["temporal"].append(z)
                if str(at) in self.temporal2integration_nets:
                    yhat = yhat + self.temporal2integration_nets[str(at)](z)  # Eq. 4, upper line
                if str(at) in self.integration2temporal_nets:
                    z = z + self.integration2temporal_nets[str(at)](y).view_as(z)  # Eq. 6, and the sum in Eq. 3
            y = self.integration_nets[at](yhat)
            named["integrated"].append(y)
        return y + yhat, named  # the text pools Y_L alone


class DiST(nn.Module):
    """Frozen features and dense pixels to a video's place in the joint space, (b, e), not normalised.

    `forward(features, dense)`: features, of all blocks, of t frames; dense (b, g t, 3, h, w), normalised, of which
    every g-th frame from the first is a sparse one. Raises BadInput where the two do not fit.
    """

    def __init__(
        self, sizes: ImageSizes, design: Design, branches: Callable[[ImageSizes, Design], nn.Module] = Branches
    ):
        super().__init__()
        design.check(sizes.depth)
        self.sizes, self.design = sizes, design
        self.branches = branches(sizes, design)
        self.head = Head(sizes.width, design.integration, sizes.embed, design.frames, design.pooling)

    def check(self, features: FrameFeatures, dense: Tensor) -> None:
        """Raises BadInput, in one line, for features or frames of another number or size."""
        t, gamma = self.design.frames, self.design.gamma
        layers, clips, steps = features.cls.shape[:3]
        if layers != self.sizes.depth:
            raise BadInput(f"features of {layers} layers: DiST reads every block, and there are {self.sizes.depth}")
        if dense.shape[1] % gamma:
            raise BadInput(f"{dense.shape[1]} dense frames do not divide by gamma={gamma}: give {gamma * t}")
        if steps != t or tuple(dense.shape[:2]) != (clips, gamma * t):
            raise BadInput(
                f"{steps} sparse and {dense.shape[1]} dense frames of {clips} and {len(dense)} clips: this model takes "
                f"{t} and {gamma * t} of the same clips"
            )
        size = tuple(patches * side for patches, side in zip(self.sizes.grid, self.sizes.patch, strict=True))
        if tuple(dense.shape[2:]) != (3, *size):
            raise BadInput(f"dense frames of shape {tuple(dense.shape[2:])}: the image model's are {(3, *size)}")

    def parts(self, features: FrameFeatures, dense: Tensor) -> dict[str, Tensor | list[Tensor]]:
        """`video`, what forward returns, and of every block the maps `temporal` and the tokens `integrated`."""
        self.check(features, dense)
        pooled, named = self.branches(features, dense)
        return {"video": self.head(pooled, features.cls[-1]), **named}

    def forward(self, features: FrameFeatures, dense: Tensor) -> Tensor:
        return self.parts(features, dense)["video"]

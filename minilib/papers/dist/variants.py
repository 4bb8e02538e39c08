"""DiST's alternatives (Tables 1 and 2), each a class that takes the default's place in `Design` or in `DiST`.

The paper names them and gives no structure. What is chosen where it is silent stands in each docstring.

Axes: b clips, t frames, n = h w patches, i integration channels, c temporal channels, h heads; z is (b, t, h, w, c).
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.clip import FrameFeatures
from minilib.papers.dist.method import Design, ImageSizes, weights_init
from minilib.papers.dist.head import Mlp, quick_gelu
from minilib.papers.dist.parts import ToIntegration, ToTemporal, over_space, over_time

# --- Table 1(c): T-Blocks --------------------------------------------------------------------------------------------


class C3D(nn.Module):
    """act(z + conv(LN z)) with one 3x3x3 convolution; one, because two would cost more than the printed 168.2 G."""

    def __init__(self, channels: int):
        super().__init__()
        self.ln, self.conv = nn.LayerNorm(channels), nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        return quick_gelu(z + self.conv(self.ln(z).movedim(-1, 1)).movedim(1, -1))


class Routing(nn.Module):
    """TAdaConv's weights of each input channel in each frame, z (b, t, h, w, c) -> (b, t, c), one at the start.

    The mean over patches, and over the clip, through two convolutions over time with a bottleneck of a quarter (at
    least four). LayerNorm stands for that paper's BatchNorm, whose statistics a small batch does not have, and a gain
    from zero for its last layer's start at zero, so that it survives any start of the layers.
    """

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // 4, 4)
        self.clip, self.ln = nn.Linear(channels, channels), nn.LayerNorm(hidden)
        self.down = nn.Conv3d(channels, hidden, (3, 1, 1), padding=(1, 0, 0))
        self.up = nn.Conv3d(hidden, channels, (3, 1, 1), padding=(1, 0, 0))
        self.gain = nn.Parameter(torch.zeros(channels))

    def forward(self, z: Tensor) -> Tensor:
        frames = z.mean((2, 3))
        frames = (frames + self.clip(frames.mean(1, keepdim=True))).unsqueeze(2)  # (b, t, 1, c)
        return 1 + self.gain * over_time(self.up, F.relu(self.ln(over_time(self.down, frames)))).squeeze(2)


class TAdaConv(nn.Module):
    """act(z + conv_t(LN z)): a 1x3x3 convolution whose weights are calibrated for every frame.

    A weight W[o, i] scaled by a_t[i] is W on inputs scaled by a_t: so one shared convolution does it, and no weights
    are made for each frame. With `routing=None` it is the still convolution; the printed 162.0 G fit both.
    """

    def __init__(self, channels: int, routing: type[nn.Module] | None = Routing):
        super().__init__()
        self.ln, self.conv = nn.LayerNorm(channels), nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        self.routing = routing(channels) if routing else None

    def forward(self, z: Tensor) -> Tensor:
        x = self.ln(z)
        if self.routing is not None:
            x = x * self.routing(x)[:, :, None, None]
        return quick_gelu(z + over_space(self.conv, x))


class JointTransformer(nn.Module):
    """A pre-norm transformer block over all patches of all frames; heads of 32 channels, MLP ratio 4.

    Convolutions know where a patch lies and attention does not; the paper names no embedding, so places enter through
    a depth-wise 3x3x3 convolution. The attention alone makes it dearer than printed.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.heads = max(channels // 32, 1)
        self.place = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.ln_1, self.ln_2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = Mlp(channels, 4 * channels)

    def forward(self, z: Tensor) -> Tensor:
        x = (z + self.place(z.movedim(-1, 1)).movedim(1, -1)).flatten(1, 3)  # (b, t n, c)
        q, k, v = self.qkv(self.ln_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return (x + self.mlp(self.ln_2(x))).view_as(z)


# --- Table 2(a): Psi -------------------------------------------------------------------------------------------------


class AveragePooling(ToIntegration):
    """The mean of every g frames, then a linear layer."""

    def fuse(self, channels: int, integration: int) -> nn.Module:
        return nn.Linear(channels, integration)

    def reduce(self, z: Tensor) -> Tensor:
        return self.linear_fuse(z.unflatten(1, (-1, self.gamma)).mean(2))


class MaxPooling(AveragePooling):
    """The largest of every g frames, by channel, then a linear layer."""

    def reduce(self, z: Tensor) -> Tensor:
        return self.linear_fuse(z.unflatten(1, (-1, self.gamma)).amax(2))


# --- Table 2(b): Phi -------------------------------------------------------------------------------------------------


class Trilinear(ToTemporal):
    """Linear between neighbouring frames: on maps of equal size trilinear interpolation is that."""

    def upsample(self, y: Tensor) -> Tensor:
        b, t, n, c = y.shape
        lines = F.interpolate(y.flatten(2).transpose(1, 2), scale_factor=self.gamma, mode="linear")
        return lines.transpose(1, 2).reshape(b, self.gamma * t, n, c)


class Deconvolution(ToTemporal):
    """A transposed convolution over time of g + 2 frames, so that, as the text says, neighbours mix."""

    def __init__(self, frames: int, gamma: int, channels: int, integration: int):
        super().__init__(frames, gamma, channels, integration)
        self.deconv = nn.ConvTranspose2d(channels, channels, (gamma + 2, 1), (gamma, 1), (1, 0))

    def upsample(self, y: Tensor) -> Tensor:
        return self.deconv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


# --- Table 1(a): without the integration branch ----------------------------------------------------------------------


class LateFusion(nn.Module):
    """In place of `Branches`: FC(X_L), plus Psi(Z_L) where there is a temporal encoder; they meet in the pooling alone.

    The paper does not say how it classifies without the integration branch. This keeps its pooling and projection.
    """

    def __init__(self, sizes: ImageSizes, design: Design, encoder: bool = True):
        super().__init__()
        i, c = design.integration, design.temporal
        self.input_linear = nn.Linear(sizes.width, i)
        self.temporal_nets = nn.ModuleList(design.t_block(c) for _ in range(sizes.depth if encoder else 0))
        if encoder:
            self.temporal_stem = nn.Conv3d(3, c, (5, *sizes.patch), (1, *sizes.patch), (2, 0, 0))
            self.temporal2integration = design.psi(design.frames, design.gamma, c, i)
        self.apply(weights_init)

    def forward(self, features: FrameFeatures, dense: Tensor) -> tuple[Tensor, dict[str, list[Tensor]]]:
        x = self.input_linear(torch.cat([features.cls[-1].unsqueeze(2), features.patches[-1]], 2))
        named: dict[str, list[Tensor]] = {"temporal": [], "integrated": []}
        if not self.temporal_nets:
            return x, named
        z = self.temporal_stem(dense.transpose(1, 2)).movedim(1, -1)
        for block in self.temporal_nets:
            z = block(z)
            named["temporal"].append(z)
        return x + self.temporal2integration(z), named


SpatialOnly = partial(LateFusion, encoder=False)  # the image model's last tokens, pooled

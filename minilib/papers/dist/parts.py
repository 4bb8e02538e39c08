"""The parts of DiST: T-Block, I-Block, and the two interactions Psi and Phi (Sec. 3.2 and 3.3).

Defaults are the released code's; where they depart from the equations stands in each docstring. `dist_variants` has the
alternatives of Tables 1 and 2, `dist` puts the parts together. Parameters bear the released checkpoints' names.

Axes: b clips, t sparse frames, g = gamma, n = h w patches, m = 1 + n tokens (class token first), i channels of the
integration branch, c channels of the temporal encoder.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.papers.dist.head import Mlp, quick_gelu

# --- convolutions on tokens: channels stay last, so a map is an image in channels-last order and nothing is copied ----


def over_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A Conv3d with a (k, 1, 1) kernel; x (b, t, n, c) -> (b, t', n, c')."""
    weight, stride, padding = conv.weight[..., 0], conv.stride[:2], conv.padding[:2]
    return F.conv2d(x.permute(0, 3, 1, 2), weight, conv.bias, stride, padding).permute(0, 2, 3, 1)


def over_space(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A Conv3d with a (1, k, k) kernel; x (b, t, h, w, c) -> (b, t, h, w, c')."""
    maps = x.flatten(0, 1).permute(0, 3, 1, 2)
    maps = F.conv2d(maps, conv.weight[:, :, 0], conv.bias, padding=conv.padding[1:])
    return maps.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def pointwise(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A Conv3d with a (1, 1, 1) kernel; x (..., c) -> (..., c')."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)


# --- Sec. 3.2: the temporal encoder ----------------------------------------------------------------------------------


class TemporalPair(nn.Module):
    """Weights of R(2+1)D: three frames, then three by three patches."""

    def __init__(self, channels: int):
        super().__init__()
        self.c_fc1 = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.c_fc2 = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))


class R2Plus1D(nn.Module):
    """The T-Block of Eq. 3, z (b, g t, h, w, c) -> the same: act(z + space(act(time(LN z)))).

    The text names R(2+1)D only. That time comes first, the residual, and the activation after it are the released
    code's.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.ln, self.temporal_net = nn.LayerNorm(channels), TemporalPair(channels)

    def forward(self, z: Tensor) -> Tensor:
        moved = over_time(self.temporal_net.c_fc1, self.ln(z).flatten(2, 3))
        return quick_gelu(z + over_space(self.temporal_net.c_fc2, quick_gelu(moved).view_as(z)))


# --- Sec. 3.3: the integration branch --------------------------------------------------------------------------------


class TemporalFeedForward(nn.Module):
    """FC(act(TConv(x))) of Eq. 4 at a quarter of the channels, x (b, t, m, i) -> the same.

    The layer that reduces the channels before TConv is the released code's.
    """

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // 4, 1)
        self.c_fc1 = nn.Conv3d(channels, hidden, 1)
        self.c_fc2 = nn.Conv3d(hidden, hidden, (3, 1, 1), padding=(1, 0, 0))
        self.c_proj = nn.Conv3d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(self.c_proj, quick_gelu(over_time(self.c_fc2, pointwise(self.c_fc1, x))))


class IBlock(nn.Module):
    """Eq. 4, lower line, yhat (b, t, m, i) -> y: one MLP on each token, one that looks a frame back and ahead.

    As in the released code the two paths have a LayerNorm each (the text writes one), class tokens go through both, and
    y has no residual.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.ln, self.ln_temporal = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.ffn, self.temporal_ffn = Mlp(channels, channels), TemporalFeedForward(channels)

    def forward(self, yhat: Tensor) -> Tensor:
        return self.ffn(self.ln(yhat)) + self.temporal_ffn(self.ln_temporal(yhat))


class ToIntegration(nn.Module):
    """Psi of Eq. 5, z (b, g t, h, w, c) -> (b, t, m, i): fewer frames, more channels, a class token.

    The class token, one for each frame, is put *first* (the text appends it), where the image model has its own.
    """

    def __init__(self, frames: int, gamma: int, channels: int, integration: int):
        super().__init__()
        self.cls_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, frames, integration), std=0.02))
        self.gamma = gamma
        self.linear_fuse = self.fuse(channels, integration)

    def fuse(self, channels: int, integration: int) -> nn.Module:
        """What takes c to i channels; here it takes g frames to one as well."""
        kernel = (self.gamma, 1, 1)
        return nn.Conv3d(channels, integration, kernel, kernel)

    def reduce(self, z: Tensor) -> Tensor:
        """(b, g t, n, c) -> (b, t, n, i)."""
        return over_time(self.linear_fuse, z)

    def forward(self, z: Tensor) -> Tensor:
        token = self.cls_token.transpose(1, 2).expand(len(z), -1, -1, -1)  # (b, t, 1, i)
        return torch.cat([token, self.reduce(z.flatten(2, 3))], 2)


class ToTemporal(nn.Module):
    """Phi of Eq. 6, y (b, t, m, i) -> (b, g t, n, c): no class token, fewer channels, each frame g times (nearest)."""

    def __init__(self, frames: int, gamma: int, channels: int, integration: int):
        super().__init__()
        self.linear_fuse, self.gamma = nn.Linear(integration, channels), gamma

    def upsample(self, y: Tensor) -> Tensor:
        """(b, t, n, c) -> (b, g t, n, c)."""
        return y.repeat_interleave(self.gamma, 1)

    def forward(self, y: Tensor) -> Tensor:
        return self.upsample(self.linear_fuse(y[:, :, 1:]))

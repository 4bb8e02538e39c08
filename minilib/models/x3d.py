"""X3D (Feichtenhofer 2020): a residual network of depth-wise 3D convolutions that never reduces the time axis.

    stem -> 4 stages of bottleneck blocks -> conv5 -> mean over space -> fc1 -> fc2, for every frame

Within a block, squeeze-and-excitation averages over the whole clip: the output of a frame depends on all of them. Sizes
and names follow the X3D of the released Coarse-Fine code, whose two departures from the public X3D are stated where
they stand. Its "sub-batch" norm (statistics of parts of a batch) is a plain batch norm here; `x3d_weights`
puts the statistics together.

Axes: b clips, t frames, h and w pixels or places, c channels, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import make_divisible
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.x3d_convolution import FastConv3d

MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)  # the public Kinetics checkpoints'
SPATIAL_STRIDE = 32


@dataclass(frozen=True)
class Size:
    """Blocks, inner (bottleneck) and outer channels of the four stages; channels of stem, conv5 and fc1."""

    blocks: tuple[int, int, int, int] = (3, 5, 11, 7)
    inner: tuple[int, int, int, int] = (54, 108, 216, 432)
    outer: tuple[int, int, int, int] = (24, 48, 96, 192)
    stem: int = 24
    conv5: int = 432
    hidden: int = 2048


X3D_M = Size()  # 224 x 224, 16 frames; on Charades the whole video
X3D_L = Size(blocks=(5, 10, 25, 15))  # the same widths; the thesis counts it at 312 x 312
SMALL = Size((1, 2, 2, 1), (32, 48, 72, 108), (16, 24, 36, 48), 16, 108, 128)  # the small world, 64 x 64
SMALLER = Size((1, 1, 2, 1), (16, 24, 48, 72), (8, 12, 24, 36), 8, 72, 64)  # 32 x 32: learns in half a minute on a core
TINY = Size((2, 1, 1, 1), (8, 8, 8, 8), (8, 8, 8, 8), 8, 8, 8)  # tests


Convolution = type[nn.Conv3d]


class Stem(nn.Module):
    """1x3x3 convolution with stride 2 in space, then depth-wise 5x1x1; one norm and one ReLU for both.

    Table 3.1 of the thesis writes 3x1 for the second; with 5x1 its 37.96 G multiply-adds come out, and the code has it.
    """

    def __init__(self, channels: int, conv: Convolution):
        super().__init__()
        self.conv1_s = conv(3, channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv1_t = conv(channels, channels, (5, 1, 1), padding=(2, 0, 0), groups=channels, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1_t(self.conv1_s(x))), inplace=True)


class SqueezeExcite(nn.Module):
    """x times a gate for each channel, made of the channels' means over the whole clip; x (b, c, t, h, w)."""

    def __init__(self, channels: int, conv: Convolution):
        super().__init__()
        reduced = make_divisible(channels / 16, 8)
        self.fc1, self.fc2 = conv(channels, reduced, 1), conv(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)))).sigmoid()


class Block(nn.Module):
    """1x1x1, depth-wise 3x3x3, in every second block the gate, Swish, 1x1x1, each with its norm, plus the shortcut."""

    def __init__(self, into: int, inner: int, outer: int, index: int, conv: Convolution):
        super().__init__()
        stride = (1, 1, 1) if index else (1, 2, 2)  # the first block of a stage halves the resolution
        self.conv1, self.bn1 = conv(into, inner, 1, bias=False), nn.BatchNorm3d(inner)
        self.conv2 = conv(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm3d(inner)
        self.gate = nn.Identity() if index % 2 else SqueezeExcite(inner, conv)
        self.conv3, self.bn3 = conv(inner, outer, 1, bias=False), nn.BatchNorm3d(outer)
        self.downsample = nn.Sequential()
        if index == 0:  # the public X3D has no norm in that of the first stage, whose width does not change
            self.downsample.append(conv(into, outer, 1, stride, bias=False)).append(nn.BatchNorm3d(outer))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.silu(self.gate(self.bn2(self.conv2(y))))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


def stage(blocks: int, into: int, inner: int, outer: int, conv: Convolution) -> nn.Sequential:
    """One stage, (b, into, t, h, w) -> (b, outer, t, h / 2, w / 2)."""
    return nn.Sequential(*(Block(outer if i else into, inner, outer, i, conv) for i in range(blocks)))


class FrameHead(nn.Module):
    """Class scores of every frame: conv5, mean over space, fc1, dropout, fc2; (b, c, t, h, w) -> (b, t, k)."""

    def __init__(self, size: Size, classes: int, conv: Convolution, dropout: float = 0.5):
        super().__init__()
        self.conv5, self.bn5 = conv(size.outer[-1], size.conv5, 1, bias=False), nn.BatchNorm3d(size.conv5)
        self.fc1, self.dropout = conv(size.conv5, size.hidden, 1, bias=False), nn.Dropout(dropout)
        self.fc2 = nn.Linear(size.hidden, classes)

    def features(self, x: Tensor) -> Tensor:
        """What fc1 will see before it is averaged, (b, c, t, h, w)."""
        return F.relu(self.bn5(self.conv5(x)), inplace=True)

    def classify(self, features: Tensor) -> Tensor:
        pooled = F.relu(self.fc1(features.mean((3, 4), keepdim=True)))
        return self.fc2(self.dropout(pooled.flatten(2).transpose(1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))


class ClipHead(FrameHead):
    """Class scores of the clip, (b, k): the mean over space and time before fc1, as in the public X3D."""

    def classify(self, features: Tensor) -> Tensor:
        return super().classify(features.mean((2, 3, 4), keepdim=True))[:, 0]


class X3D(nn.Module):
    """Frames uint8 (b, t, h, w, 3), or pixels that are normalised already (b, 3, t, h, w), to what the head gives.

    `conv=nn.Conv3d` builds it of the plain convolution. Raises BadInput where a clip has other axes or frames
    smaller than the network's stride.
    """

    def __init__(
        self,
        size: Size = X3D_M,
        classes: int = 400,
        head: type[FrameHead] = FrameHead,
        dropout: float = 0.5,
        conv: Convolution = FastConv3d,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
    ):
        super().__init__()
        self.size, into = size, (size.stem, *size.outer[:3])
        self.stem = Stem(size.stem, conv)
        self.stages = nn.ModuleList(
            stage(*each, conv) for each in zip(size.blocks, into, size.inner, size.outer, strict=True)
        )
        self.head = head(size, classes, conv, dropout)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    @property
    def classes(self) -> int:
        return self.head.fc2.out_features

    def set_classes(self, classes: int) -> X3D:
        """Puts a new last layer in place, for fine-tuning on other classes."""
        self.head.fc2 = nn.Linear(self.head.fc2.in_features, classes).to(self.head.fc2.weight.device)
        return self

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 (b, t, h, w, 3) -> float (b, 3, t, h, w); in memory the channels stay last, which is the fast way."""
        return ((frames / 255 - self.mean) / self.std).movedim(-1, 1)

    def pixels(self, clips: Tensor) -> Tensor:
        """Either input as (b, 3, t, h, w)."""
        clips = clips if clips.is_floating_point() else self.normalise(clips)
        if clips.ndim != 5 or clips.shape[1] != 3:
            raise BadInput(f"clips of shape {tuple(clips.shape)}: need uint8 (b, t, h, w, 3) or float (b, 3, t, h, w)")
        if min(clips.shape[2], min(clips.shape[3:]) // SPATIAL_STRIDE) < 1:
            raise BadInput(
                f"clips of {clips.shape[2]} frames of {clips.shape[3]}x{clips.shape[4]}: X3D needs a frame, and at "
                f"least its stride of {SPATIAL_STRIDE} pixels"
            )
        return clips

    def features(self, clips: Tensor) -> list[Tensor]:
        """The outputs of the four stages and of conv5, each (b, c, t, h, w)."""
        x, levels = self.stem(self.pixels(clips)), []
        for each in self.stages:
            x = each(x)
            levels.append(x)
        return [*levels, self.head.features(x)]

    def forward(self, clips: Tensor) -> Tensor:
        return self.head.classify(self.features(clips)[-1])

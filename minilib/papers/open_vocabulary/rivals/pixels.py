"""Slots that explain pixels: Slot Attention (Locatello et al., NeurIPS 2020) frame by frame, and SAVi (Kipf et al.,
ICLR 2022), whose slots go on from one frame to the next.

    pixels -> convolutions + positions -> LN, MLP -> slot attention -> spatial broadcast decoder -> pixels and alpha

SAVi: slots of frame t - 1 -> predictor (self-attention among slots) -> slot attention on frame t (corrector). It was
made for a hint in the first frame (boxes); the paper's comparison gives none, so its first slots are learned.

Departures: everything is small. Frames of 48 x 48 pixels (64 to 128 there), 32 channels, slots of 64; the first
convolution of the encoder has stride 2. SAVi explains pixels here, as in the paper's Table 1; its authors' small model
explains optical flow.

Axes: b pictures or clips, t frames, s slots, n = r c tokens, d slot width, f channels, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.slots import GaussianSlots, LearnedQueries, SlotAttention
from minilib.papers.open_vocabulary.pretrain.patch import reduced
from minilib.papers.open_vocabulary.rivals.method import (
    PAINTED,
    Explained,
    Rival,
    SlotMasks,
    check_frames,
    explanation_loss,
)

KERNEL = 5
HALVINGS = 3  # how often the decoder doubles its grid


@dataclass(frozen=True)
class PixelSizes:
    """side: of the frames that are explained, in pixels; slots of `width`; channels of all convolutions."""

    side: int = 48
    slots: int = 8
    width: int = 64
    channels: int = 32

    def __post_init__(self):
        if self.side % 2**HALVINGS:
            raise BadInput(f"side {self.side}: the decoder doubles its grid {HALVINGS} times, take a multiple of 8")


class Places(nn.Module):
    """Adds a linear map of (y, x, 1 - y, 1 - x) to a picture, (b, f, h, w) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.project = nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        lines = (torch.linspace(0, 1, size, device=x.device) for size in x.shape[2:])
        place = torch.stack(torch.meshgrid(*lines, indexing="ij"))
        return x + self.project(torch.cat([place, 1 - place])[None])


class FrameEncoder(nn.Module):
    """Pictures (b, 3, h, w) to tokens (b, n, d) on a grid of half the side; every frame by itself."""

    def __init__(self, sizes: PixelSizes):
        super().__init__()
        widths = [3, *[sizes.channels] * 4]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, KERNEL, 2 if a == 3 else 1, KERNEL // 2), nn.ReLU()]
        self.convolutions, self.places = nn.Sequential(*layers), Places(sizes.channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(sizes.channels), nn.Linear(sizes.channels, sizes.width), nn.ReLU(),
            nn.Linear(sizes.width, sizes.width),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        return self.mlp(self.places(self.convolutions(pixels)).flatten(2).transpose(1, 2))


class SpatialBroadcastDecoder(nn.Module):
    """Slots (b, s, d) to pixels (b, 3, h, w) and masks (b, s, h, w): each slot paints a whole picture, and a soft-max
    over slots says whose pixel it is."""

    def __init__(self, sizes: PixelSizes):
        super().__init__()
        self.grid, f = sizes.side // 2**HALVINGS, sizes.channels
        self.places = Places(sizes.width)
        widths = [sizes.width, *[f] * HALVINGS]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.ConvTranspose2d(a, b, KERNEL, 2, KERNEL // 2, output_padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers, nn.Conv2d(f, 4, 3, padding=1))

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        grid = slots.flatten(0, 1)[..., None, None].expand(-1, -1, self.grid, self.grid)
        out = self.convolutions(self.places(grid)).unflatten(0, slots.shape[:2])
        masks = out[:, :, 3].softmax(1)
        return (masks[:, :, None] * out[:, :, :3]).sum(1), masks


def _start(module: nn.Module) -> None:
    """Weights as they start in the authors' library. With torch's own, every layer halves what passes it, and a frame's
    masks hardly depend on the frame."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class PixelSlots(Rival):
    """Slot Attention on each frame by itself: uint8 (b, t, h, w, 3) to `Explained`.

    As its authors have it: Gaussian slots, three iterations, a residual MLP after the GRU.
    """

    tubes = False

    def __init__(self, sizes: PixelSizes = PixelSizes()):
        super().__init__()
        self.sizes, self.encoder = sizes, FrameEncoder(sizes)
        self.attention = self.corrector()
        self.decoder = SpatialBroadcastDecoder(sizes)
        self.apply(_start)
        self.to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU

    def corrector(self) -> SlotAttention:
        return SlotAttention(self.sizes.width, GaussianSlots(self.sizes.slots, self.sizes.width), 3, mlp=2)

    def read(self, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
        """Tokens (b, t, n, d) to slots (b, t, s, d)."""
        return self.attention(tokens, generator)[0]

    def forward(
        self, frames: Tensor, generator: torch.Generator | None = None, painted: Tensor | slice = slice(None)
    ) -> Explained:
        """`generator` draws Gaussian slots; painted: which frames the decoder paints, all are read."""
        check_frames(frames)
        pixels = reduced(frames, self.sizes.side).movedim(-1, 2) / 127.5 - 1
        slots = self.read(self.encoder(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2]), generator)
        slots, pixels = slots[:, painted], pixels[:, painted]
        found, masks = (out.unflatten(0, pixels.shape[:2]) for out in self.decoder(slots.flatten(0, 1)))
        return Explained(SlotMasks(masks, self.tubes), found, pixels)


def pictured_loss(model: PixelSlots, frames: Tensor, labels: Tensor, painted: int = PAINTED) -> Tensor:
    """`explanation_loss` at one in `painted` frames, (b, t, h, w, 3), drawn anew each time. Slots that go on from frame
    to frame read all frames; slots of a frame by itself, which know no other, only what is painted."""
    some = torch.randperm(frames.shape[1], device=frames.device)[: max(frames.shape[1] // painted, 1)]
    if not model.tubes:
        return explanation_loss(model, frames[:, some], labels)
    return explanation_loss(model, frames, labels, painted=some)


class SAVi(PixelSlots):
    """Slots that go on from frame to frame; decoded as corrected, one iteration a frame, as released.

    Without a hint the first slots are learned (released: `ParamStateInit`), and a GRU without MLP corrects them.
    """

    tubes = True

    def __init__(self, sizes: PixelSizes = PixelSizes(), heads: int = 4):
        super().__init__(sizes)
        self.predictor = nn.TransformerEncoderLayer(sizes.width, heads, 2 * sizes.width, 0.0, batch_first=True)

    def corrector(self) -> SlotAttention:
        initial = LearnedQueries(self.sizes.slots, self.sizes.width)
        nn.init.normal_(initial.queries)
        return SlotAttention(self.sizes.width, initial, iterations=1)

    def read(self, tokens: Tensor, generator: torch.Generator | None) -> Tensor:
        keys, values = self.attention.read(self.attention.norm_input(tokens))
        slots, states = self.attention.initial(len(tokens)), []
        for at in range(tokens.shape[1]):  # a frame's slots start from those of the frame before
            slots, _ = self.attention.attend(slots, keys[:, at], values[:, at])
            states.append(slots)
            slots = self.predictor(slots)
        return torch.stack(states, 1)

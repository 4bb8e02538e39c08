"""Slots on a frozen encoder of the small world, and the few settings that are tried for them on validation clips.

Departures from Appendix B.2: batches of different clips, AdamW at 1e-3 with a cosine, slots of 66 and 384 hidden
channels, features normalised token by token, masks of slot attention (`AttendedDecoder`; "released" has the paper's),
and the decoder's positions begin as sine waves as strong as the slots, not at 0.02.

Axes: b clips, t frames, u steps, r rows and c columns of patches, f channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib.models.slots import GaussianSlots, LearnedQueries
from minilib.models.tubelets import spacetime_positions, tubelets
from minilib.models.videomae import VideoEncoder
from minilib.papers.open_vocabulary.decoder import AttendedDecoder, BroadcastDecoder
from minilib.papers.open_vocabulary.method import Tubes, VideoSlots, clip_features, reconstruction_loss
from minilib.papers.open_vocabulary.pretrain.encoders import GRID, IMAGE, TWO, VIDEO, Sizes
from minilib.papers.open_vocabulary.pretrain.pool import draw

CELL = 4  # pixels that a colour of `colours` is the mean of


def colours(frames: Tensor, steps: int) -> Tensor:
    """Mean colours of 2 x 2 cells a patch and frame, uint8 (b, t, h, w, 3) -> (b, u, r, c, f)."""
    pixels = (frames.movedim(-1, 2).float() / 255 - 0.45) / 0.25
    small = F.avg_pool2d(pixels.flatten(0, 1), CELL).unflatten(0, pixels.shape[:2])
    return tubelets(small, frames.shape[1] // steps, 2)


def features_alone(features: Tensor, frames: Tensor) -> Tensor:
    """The paper's target, each token at mean 0 and deviation 1."""
    return F.layer_norm(features, features.shape[-1:])


def with_colours(features: Tensor, frames: Tensor) -> Tensor:
    """Beside the features the mean colours of the patch, with as much weight in all."""
    shades = colours(frames, features.shape[1])
    weight = (features.shape[-1] / shades.shape[-1]) ** 0.5
    return torch.cat([features_alone(features, frames), weight * shades], -1)


def with_changes(features: Tensor, frames: Tensor) -> Tensor:
    """Beside the features how the patch's mean colours change until the next step: motion as a target."""
    shades = colours(frames, features.shape[1])
    changes = F.pad(shades.diff(dim=1), (0, 0, 0, 0, 0, 0, 0, 1))
    weight = (features.shape[-1] / shades.shape[-1]) ** 0.5
    return torch.cat([features_alone(features, frames), weight * changes], -1)


@dataclass(frozen=True)
class Grouping:
    """What slots are trained on, and how.

    encoder: the name of its weights; layer: whose features; per_frame: slots of each frame by itself.
    """

    encoder: str = "video"
    sizes: Sizes = VIDEO
    layer: int = 3
    slots: int = 8
    initial: Callable[[int, int], nn.Module] = GaussianSlots
    target: Callable[[Tensor, Tensor], Tensor] = features_alone
    decoder: type[BroadcastDecoder] = AttendedDecoder
    per_frame: bool = False
    width: int = 66
    hidden: int = 384
    layers: int = 4
    frames: int = 8

    @property
    def steps(self) -> int:
        return self.frames // self.sizes.tubelet

    def build(self) -> VideoSlots:
        frames = torch.zeros(1, self.frames, GRID * 8, GRID * 8, 3, dtype=torch.uint8)
        asked = self.target(torch.zeros(1, self.steps, GRID, GRID, self.sizes.width), frames).shape[-1]
        steps = 1 if self.per_frame else self.steps
        decoder = self.decoder(asked, self.width, steps, (GRID, GRID), self.hidden, self.layers)
        with torch.no_grad():
            decoder.pos_embed.copy_(spacetime_positions(steps, GRID, GRID, self.width).view_as(decoder.pos_embed))
        return VideoSlots(self.initial(self.slots, self.width), decoder, self.sizes.width)

    def features(self, encoder: VideoEncoder, frames: Tensor) -> Tensor:
        """uint8 (b, t, h, w, 3) to (b, u, r, c, d), without gradient."""
        with torch.no_grad(), torch.autocast(frames.device.type, torch.bfloat16):
            return clip_features(encoder, encoder.normalise(frames), self.layer).float()

    def tubes(self, model: VideoSlots, features: Tensor, generator: torch.Generator | None = None) -> Tubes:
        """Slots of a clip, or with `per_frame` of each step: then the clips are (b u) of one step each."""
        return model(features.flatten(0, 1)[:, None] if self.per_frame else features, generator)

    def loss(
        self, model: VideoSlots, encoder: VideoEncoder, clips: Tensor, batch: int, generator: torch.Generator
    ) -> Tensor:
        frames = draw(clips, batch, generator)
        features = self.features(encoder, frames)
        asked = self.target(features, frames)
        with torch.autocast(frames.device.type, torch.bfloat16):
            tubes = self.tubes(model, features, generator)
        return reconstruction_loss(tubes, asked.flatten(0, 1)[:, None] if self.per_frame else asked)

    def assigned(self, model: VideoSlots, features: Tensor, generator: torch.Generator) -> Tensor:
        """The slot of each token, int64 (b, u, r, c)."""
        found = self.tubes(model, features, generator).assigned
        return found.view(features.shape[:-1]) if self.per_frame else found


TRIED = {
    "middle": Grouping(),
    "last": Grouping(layer=-1),
    "five": Grouping(slots=5),
    "twelve": Grouping(slots=12),
    "learned": Grouping(initial=LearnedQueries),
    "colours": Grouping(target=with_colours),
    "changes": Grouping(target=with_changes),
    "released": Grouping(decoder=BroadcastDecoder),
    "two": Grouping(encoder="video_two", sizes=TWO),
    "normalised": Grouping(encoder="video_normalised"),
    "image": Grouping(encoder="image", sizes=IMAGE),
    "image_frames": Grouping(encoder="image", sizes=IMAGE, per_frame=True),
}

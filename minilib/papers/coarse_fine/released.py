"""Files as the released code has them: the coarse stream's checkpoint, and the fine stream's levels of each video.

    conv1_s ... layer1..4 ... fc2   the coarse X3D, see `minilib.models.x3d_weights`
    pool_1.{conv1, bn1, conv2, bn2, conv3}   the confidence head
    rw2..rw5.{at1, at2, fc1..fc4}   masks and heads of res2 to res5;  rw6: those of conv5, for the logits
    mix2..mix5.{conv_at, conv_at2}   the mixing before res3, res4, res5 and conv5

The fine stream is a file of its own, in the X3D's layout: `load_x3d`. Which of a mixing's two convolutions makes the
shift and which the scale is taken from the order of the heads, shift first; the file does not say.

Axes: b videos of a batch, u frames of the whole video, c channels, h and w places.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor

from minilib.errors import BadInput
from minilib.files import write_whole
from minilib.models.checkpoints import load_strictly, read_state, renamed
from minilib.models.x3d import X3D, X3D_M, Size
from minilib.models.x3d_weights import from_released
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.method import CHARADES_MEAN, CHARADES_STD, CoarseStream

OWN = (
    (r"^pool_1\.", "pool.head."),
    (r"^rw6\.", "fusion.late."),
    (r"^rw(\d)\.", lambda found: f"fusion.levels.{int(found[1]) - 2}."),
    (r"^mix(\d)\.", lambda found: f"fusion.mixings.{int(found[1]) - 2}."),
    (r"\.(at[12])\.", r".mask.\1."),
    (r"^(?=stem|stages|head)", "backbone."),
)


def coarse_stream(classes: int = 157, size: Size = X3D_M) -> CoarseStream:
    """The coarse stream as released: Grid Pool with ratio 4, all of the fusion, Charades' normalisation."""
    return CoarseStream(X3D(size, classes, mean=CHARADES_MEAN, std=CHARADES_STD), fusion=MultiStageFusion)


def load_released(model: CoarseStream, path: Path | str) -> CoarseStream:
    """Loads the checkpoint strictly; raises BadInput naming what does not fit."""
    load_strictly(model, renamed(from_released(read_state(path), path), OWN), path)
    return model


# --- stored levels of the fine stream ---------------------------------------------------------------------------------


@torch.no_grad()
def stored_levels(fine: X3D, video: Tensor, side: int = 7, cap: int = 128) -> list[Tensor]:
    """The five levels of one un-augmented video (1, u, ...) as the released code has them: of the whole video, each
    averaged to side x side, then cut to the first `cap` frames; float32 (c, u, side, side).

    Cut first, they would differ: squeeze-and-excitation sees all frames of its input.
    """
    fine.eval()
    return [F.adaptive_avg_pool3d(x, (x.shape[2], side, side))[0, :, :cap].float() for x in fine.features(video)]


def save_levels(path: Path | str, levels: list[Tensor]) -> Path:
    """One video's levels as a safetensors file."""
    return write_whole(path, save({f"level{i}": x.contiguous() for i, x in enumerate(levels)}))


def load_levels(paths: list[Path | str], device: torch.device | str = "cpu") -> tuple[list[Tensor], Tensor]:
    """A batch of stored videos, padded at the end to the longest: levels (b, c, u, h, w), and valid (b, u)."""
    videos = []
    for path in paths:
        if not Path(path).is_file():
            raise BadInput(f"fine features {path}: no such file; store them with `save_levels` first")
        videos.append([tensor for _, tensor in sorted(load_file(path, str(device)).items())])
    lengths = torch.tensor([video[0].shape[1] for video in videos], device=device)
    frames = int(lengths.max())
    padded = [[F.pad(x.float(), (0, 0, 0, 0, 0, frames - x.shape[1])) for x in video] for video in videos]
    levels = [torch.stack(level) for level in zip(*padded, strict=True)]
    return levels, torch.arange(frames, device=device) < lengths[:, None]

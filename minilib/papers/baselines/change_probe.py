"""A probe on where things change: for a dozen videos, which can train no method that has time to learn. Of no paper.

    frozen patches of the last block but one, y (b, t, n, d)
    how much each changes from one frame to the next, |y' - y|, as a share of its frame: a map (b, t - 1, n)
    of each map: its centre, its spread, its size against the others'; and how these go on from map to map
    beside them what is there, the mean of the frames' class tokens; then one linear layer

Nothing but the linear layer learns. It tells motions by where they are and where they go, and what is seen as a linear
probe does; what moves which way among several things it cannot tell.

Axes: b clips, t frames, n patches, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.frozen import FrozenImageModel, block_tokens, embed

MOMENTS = 4  # across, down, spread, size
MOVES, SEEN = 5.0, 0.6  # how large the two parts are, chosen on validation clips: the larger is learned first


def moments(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Of patches (b, t, n, d) on a grid: where they change between frames, in units of half the frame, (b, t - 1, 4):
    centre across and down, spread around it, and by how much more than on average in the clip, as a share of that."""
    change = patches.diff(dim=1).norm(dim=-1) + 1e-6
    size = change.sum(-1, keepdim=True)
    share = change / size
    down, across = torch.meshgrid(*(torch.linspace(-1, 1, side, device=share.device) for side in grid), indexing="ij")
    at = torch.stack([across.flatten(), down.flatten()], -1)  # (n, 2)
    centre = share @ at
    spread = (share * (at - centre[:, :, None]).square().sum(-1)).sum(-1, keepdim=True).sqrt()
    return torch.cat([centre, spread, size / size.mean(1, keepdim=True) - 1], -1)


class ChangeProbe(FrozenImageModel):
    """frames uint8 (b, t, h, w, 3) -> scores (b, k); t is 2 or more."""

    def __init__(self, visual: nn.Module, frames: int, classes: int):
        super().__init__(visual, frames, classes, dropout=0.0)
        if frames < 2:
            raise BadInput(f"frames {frames}: a change needs two")
        self.head = nn.Linear(self.head.in_features + MOMENTS * (2 * frames - 3), classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @torch.no_grad()
    def clip_features(self, pixels: Tensor) -> Tensor:
        """(b, d + 4 (t - 1) + 4 (t - 2)). What moves is the larger part, so that a few videos teach it before what
        happens to be there."""
        tokens = block_tokens(self.backbone, embed(self.backbone, pixels), len(pixels))
        seen = self.backbone.ln_post(tokens.cls[-1]).mean(1)
        moved = moments(tokens.patches[-2], self.backbone.grid_size)
        steps = moved.diff(dim=1)
        return torch.cat([SEEN / seen.shape[1] ** 0.5 * seen, MOVES * moved.flatten(1), MOVES * steps.flatten(1)], 1)

"""The broadcast decoder of slots (Sec. 3): each slot paints the whole clip, and all of them compete for each token.

    slot + position -> MLP -> features y and a score alpha, for each slot and token -> soft-max over slots -> sum

That is K times the tokens at the width of the hidden layers: 15 slots x 8 x 196 tokens x 1024 channels take 96 MB a
layer and clip. `ChunkedDecoder` decodes some slots at a time, keeps of them no more than what is summed, and decodes
them again on the way back.

Axes: b clips, s slots, u steps, r rows and c columns of patches, n = u r c tokens, d slot width, f feature width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minilib.errors import BadInput


class BroadcastDecoder(nn.Module):
    """Slots (b, s, d) to features (b, n, f) and masks (b, s, n) that sum to one at each token.

    By default the released code's: four linear layers with 1024 hidden channels (the text says a 2-layer MLP), learned
    positions at 0.02, resized bicubic in space; a clip of fewer steps takes the first ones.
    """

    scores = 1  # channels beside the features: whose token it is

    def __init__(
        self,
        features: int = 768,
        width: int = 128,
        steps: int = 8,
        grid: tuple[int, int] = (14, 14),
        hidden: int = 1024,
        layers: int = 4,
    ):
        super().__init__()
        self.steps, self.grid = steps, tuple(grid)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(steps, grid[0] * grid[1], width))
        widths = [width, *[hidden] * (layers - 1)]
        inner = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
        self.decoder = nn.Sequential(*inner, nn.Linear(widths[-1], features + self.scores))

    def positions(self, steps: int, rows: int, columns: int) -> Tensor:
        """(u r c, d). Raises BadInput for more steps than were learned."""
        if steps > self.steps:
            raise BadInput(f"{steps} steps: the decoder's positions were learned for {self.steps}")
        table = self.pos_embed[:steps]
        if (rows, columns) != self.grid:
            table = table.unflatten(1, self.grid).movedim(-1, 1)
            table = F.interpolate(table, (rows, columns), mode="bicubic", align_corners=False)
            table = table.movedim(1, -1).flatten(1, 2)
        return table.flatten(0, 1)

    def painted(self, slots: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """What each slot would put at each token: features (b, s, n, f) and scores (b, s, n)."""
        out = self.decoder(slots[:, :, None] + place)
        return out[..., :-1], out[..., -1]

    def forward(self, slots: Tensor, shape: tuple[int, int, int], attention: Tensor) -> tuple[Tensor, Tensor]:
        """shape (u, r, c); attention (b, s, n), slot attention's own masks, which this decoder has no use for."""
        y, scores = self.painted(slots, self.positions(*shape))
        masks = scores.softmax(1)
        return (masks[..., None] * y).sum(1), masks


class ChunkedDecoder(BroadcastDecoder):
    """The same parameters, outputs and gradients, `chunk` slots at a time.

    Soft-max over slots is a ratio of sums, so chunks add up: each gives its mean of features and the logarithm of its
    sum of weights, and these are combined as if they were slots.
    """

    chunk = 2

    def painted(self, slots: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        first, *rest = self.decoder
        hidden = _meeting(first, slots, place)
        for layer in rest:
            hidden = layer(hidden)
        return hidden[..., :-1], hidden[..., -1]

    def forward(self, slots: Tensor, shape: tuple[int, int, int], attention: Tensor) -> tuple[Tensor, Tensor]:
        place = self.positions(*shape)
        parts = [  # nothing in a part is drawn, so no random state is kept for its second pass
            checkpoint(self._part, some, place, use_reentrant=False, preserve_rng_state=False)
            for some in slots.split(self.chunk, 1)
        ]
        sums, totals, scores = zip(*parts, strict=True)
        features = _combined(sums, totals)
        return features, torch.cat(scores, 1).softmax(1)

    def _part(self, slots: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, scores = self.painted(slots, place)
        return (scores.softmax(1)[..., None] * y).sum(1), scores.logsumexp(1), scores


class AttendedDecoder(BroadcastDecoder):
    """This suite's: slots paint features, and slot attention itself says where.

    A decoder's score depends on slot and place alone, so a slot must first remember its outline before any mask can be
    of use; with minutes of training it never does. Slot attention has seen each token, its masks are sharp from the
    first step on, and the loss then teaches them directly.
    """

    scores = 0

    def forward(self, slots: Tensor, shape: tuple[int, int, int], attention: Tensor) -> tuple[Tensor, Tensor]:
        return self.features_at(self.positions(*shape), slots, attention), attention

    def features_at(self, place: Tensor, slots: Tensor, attention: Tensor) -> Tensor:
        """Features (b, n, f) of the tokens with these positions (n, d) and attention (b, s, n), all or some."""
        first, *inner, last = self.decoder
        hidden = _meeting(first, slots, place)
        for layer in inner:
            hidden = layer(hidden)
        # masks sum to one over the slots, so what is linear may as well come after the sum, once a token and not a slot
        return last(torch.einsum("bsn,bsnf->bnf", attention.to(hidden.dtype), hidden))


def _meeting(first: nn.Linear, slots: Tensor, place: Tensor) -> Tensor:
    """The first layer of the sums of slots (b, s, d) and places (n, d): it is linear, so it meets both by themselves,
    and their sum (b, s, n, hidden) is what must be made."""
    return first(slots)[:, :, None] + F.linear(place, first.weight)


def _combined(sums: tuple[Tensor, ...], totals: tuple[Tensor, ...]) -> Tensor:
    """Means (b, n, f) of chunks with the logarithms of their weights (b, n): the mean of all, (b, n, f)."""
    shares = torch.stack(totals).softmax(0)
    out = shares[0][..., None] * sums[0]
    for share, part in zip(shares[1:], sums[1:], strict=True):
        out = out + share[..., None] * part
    return out

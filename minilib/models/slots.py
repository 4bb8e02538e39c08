"""Slot attention (Locatello et al., NeurIPS 2020): slots compete for the tokens of a frame and become its objects.

    queries from the slots -> soft-max over *slots* at every token -> weighted mean of the tokens -> GRU -> (+ MLP)

Every frame of a batch goes through one call. Slots start as learned queries (object-centric adaptation, Sec. 3.1) or as
draws from a learned Gaussian (open-vocabulary localization, Sec. 3). Where the papers are silent, the choices are those
of the object-centric-learning-framework: LayerNorm on tokens and slots, projections without bias, one head.

Axes: b clips or frames, n tokens, s slots, d slot width, c feature width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minilib.errors import BadInput

EPS = 1e-8  # in the weighted mean: a slot that wins no token takes the mean of all


def slot_step(
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    query: Callable[[Tensor], Tensor],
    update: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """One iteration: slots (b, s, d), keys (b, n, k), values (b, n, v) to the new slots and the masks (b, s, n).

    `query` maps slots to queries (b, s, k), scaled already; `update(means, slots)` maps the weighted means (b, s, v) of
    the values to new slots. The masks are the soft-max over slots, before it is normalised over tokens: at every token
    they sum to one (OCA, Eq. 2; the mean is Eq. 3).
    """
    masks = torch.bmm(query(slots), keys.transpose(1, 2)).softmax(1)
    weights = masks + EPS
    means = torch.bmm(weights, values) / weights.sum(2, keepdim=True)
    return update(means, slots), masks


def _check_slots(slots: int, width: int) -> None:
    if slots < 1 or width < 1:
        raise BadInput(f"{slots} slots of width {width}: needs at least one slot and one channel")


class LearnedQueries(nn.Module):
    """Initial slots that are parameters, the same for every frame: slot i looks for the same thing everywhere."""

    def __init__(self, slots: int, width: int):
        super().__init__()
        _check_slots(slots, width)
        self.slots, self.width = slots, width
        self.queries = nn.Parameter(nn.init.trunc_normal_(torch.empty(slots, width), std=0.02))

    def forward(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """(b, s, d); `generator` is not used."""
        return self.queries.expand(batch, -1, -1)


class GaussianSlots(nn.Module):
    """Initial slots drawn from one Gaussian with learned mean and log sigma (d,), also in evaluation mode."""

    def __init__(self, slots: int, width: int):
        super().__init__()
        _check_slots(slots, width)
        self.slots, self.width = slots, width
        bound = (3 / width) ** 0.5  # Xavier's of a (1, 1, d) tensor, as the released code has it
        self.mean = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.log_sigma = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """(b, s, d); drawn on the generator's device, so that a CPU generator gives the same slots everywhere."""
        where = self.mean.device if generator is None else generator.device
        noise = torch.randn(batch, self.slots, self.width, generator=generator, device=where, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, noise.to(self.mean.device), self.log_sigma.exp())


def residual_mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


class SlotAttention(nn.Module):
    """Tokens (..., n, c) to slots (..., s, d) and masks (..., s, n) of the last iteration.

    Keys and values are never made: q (W_k x) = (W_k' q) x and sum_n w_n (W_v x_n) = W_v sum_n w_n x_n. So W_k and W_v
    meet the s slots in each iteration and not the n tokens once, which is less work wherever iterations * s < n, and
    the backward pass keeps no projected tokens. `ProjectedSlotAttention` is the same function in the papers' order.

    initial: `LearnedQueries` or `GaussianSlots`; it sets the number of slots and their width.
    mlp: hidden width, as a multiple of d, of a residual LN-MLP after the GRU; None, as in OCA, for none.
    """

    def __init__(self, features: int, initial: nn.Module, iterations: int = 3, mlp: float | None = None):
        super().__init__()
        if iterations < 1 or features < 1:
            raise BadInput(f"{iterations} iterations over {features} channels: needs at least one of each")
        width = initial.width
        self.features, self.initial, self.iterations, self.scale = features, initial, iterations, width**-0.5
        self.norm_input, self.norm_slots = nn.LayerNorm(features), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = (nn.Linear(features, width, bias=False) for _ in "kv")
        self.gru = nn.GRUCell(width, width)
        self.mlp = None if mlp is None else residual_mlp(width, int(mlp * width))

    def forward(self, tokens: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """`generator` draws Gaussian slots. Raises BadInput for tokens of another width, or fewer than slots."""
        count, width = tokens.shape[-2:]
        if width != self.features:
            raise BadInput(f"tokens {tuple(tokens.shape)}: the slots read features of width {self.features}")
        if count < self.initial.slots:
            raise BadInput(f"{self.initial.slots} slots for {count} tokens: use at most as many slots as tokens")
        keys, values = self.read(self.norm_input(tokens.reshape(-1, count, width)))
        found = self.attend(self.initial(len(keys), generator), keys, values)
        return tuple(out.unflatten(0, tokens.shape[:-2]) if tokens.ndim > 2 else out[0] for out in found)

    def attend(self, slots: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All iterations from slots (b, s, d) on what `read` made of tokens: the new slots, and the masks (b, s, n)."""
        for _ in range(self.iterations):
            slots, masks = slot_step(slots, keys, values, self.query, self.update)
        return slots, masks

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What plays the keys and the values: the tokens (b, n, c) themselves."""
        return tokens, tokens

    def query(self, slots: Tensor) -> Tensor:
        """(b, s, d) to (b, s, c): the scaled queries times the keys' weights."""
        return self.scale * self.to_q(self.norm_slots(slots)) @ self.to_k.weight

    def update(self, means: Tensor, slots: Tensor) -> Tensor:
        """Weighted means of the tokens (b, s, c) and slots (b, s, d) to new slots (b, s, d)."""
        return self.recur(self.to_v(means), slots)

    def recur(self, inputs: Tensor, slots: Tensor) -> Tensor:
        """The GRU, a slot's old value being its state, and the MLP if there is one."""
        slots = self.gru(inputs.flatten(0, 1), slots.flatten(0, 1)).view_as(inputs)
        return slots if self.mlp is None else slots + self.mlp(slots)


class ProjectedSlotAttention(SlotAttention):
    """The same parameters and outputs with every token's key and value made: what the papers' multiply-adds count."""

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.to_k(tokens), self.to_v(tokens)

    def query(self, slots: Tensor) -> Tensor:
        return self.scale * self.to_q(self.norm_slots(slots))

    def update(self, means: Tensor, slots: Tensor) -> Tensor:
        return self.recur(means, slots)

"""What only ablations need: the parts that Tables 7 and 12 put in the place of OCA's, and this suite's controls.

Each entry of `DESIGNS` makes the trained part like `oca`: open_clip tower, frames, classes -> model.

Axes: b clips, t frames, n patches, s slots, d channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from minilib.papers.object_centric.method import StateChanges, oca, slot_tokens


class MeanToken(nn.Identity):
    """N = 1 of Table 7: a frame is the mean of its patches, (b, t, n, d) -> (b, t, 1, d); no masks, sizes ignored."""

    def forward(self, patches: Tensor) -> tuple[Tensor, None]:
        return patches.mean(-2, keepdim=True), None


class PatchTokens(nn.Identity):
    """N = None of Table 7: every patch is a token, (b, t, n, d) -> the same; no masks, sizes ignored."""

    def forward(self, patches: Tensor) -> tuple[Tensor, None]:
        return patches, None


class TemporalAttention(nn.Module):
    """Phi_ta of Table 12, as in TimeSformer: each slot attends over its own frames. (b, t, s, d) -> the same.

    Learned times, and in the attention's residual branch TimeSformer's extra linear layer after the attention's own.
    """

    def __init__(self, width: int, frames: int, heads: int = 8, ratio: float = 8 / 3):
        super().__init__()
        self.times = nn.Parameter(nn.init.trunc_normal_(torch.empty(frames, 1, width), std=0.02))
        self.block = Block(width, heads, ratio, qkv_bias=True)
        self.block.attn.proj = nn.Sequential(self.block.attn.proj, nn.Linear(width, width))

    def forward(self, states: Tensor) -> Tensor:
        x = (states + self.times).transpose(1, 2)  # (b, s, t, d)
        return self.block(x.flatten(0, 1)).view_as(x).transpose(1, 2)


class OrderBlind(StateChanges):
    """Changes from each frame to itself: the same parameters, and frames never meet before the final mean."""

    def forward(self, states: Tensor) -> Tensor:
        return self.mlp(torch.cat([states, states], -1))


def frozen_slots(width: int) -> nn.Module:
    """Slot attention that stays as it starts: the control for everything that slots are said to learn."""
    return slot_tokens(width).requires_grad_(False)


Design = Callable[[nn.Module, int, int], nn.Module]  # tower, frames, classes -> model
DELTAS = {f"delta{delta}": (delta,) for delta in range(1, 8)} | {"all_deltas": tuple(range(1, 8))}
DESIGNS = {
    "oca": oca,
    "order_blind": partial(oca, fuse=nn.Identity, change=OrderBlind),  # the twin without temporal modelling
    **dict.fromkeys(("no_losses", "only_obj", "only_temp"), oca),  # Table 5: the losses beside the classification
    # Tables 6 and 8: at eight frames; `oca` has four frames and delta 1
    **{name: partial(oca, change=partial(StateChanges, deltas=deltas)) for name, deltas in DELTAS.items()},
    # Table 7: the number of tokens a frame; one needs no interaction, `oca` has eight
    "slots1": partial(oca, tokens=MeanToken, interact=nn.Identity),
    "slots4": partial(oca, tokens=partial(slot_tokens, slots=4)),
    "slots16": partial(oca, tokens=partial(slot_tokens, slots=16)),
    "tokens": partial(oca, tokens=PatchTokens),
    # Table 12: interaction among slots (oi), state changes (ti), temporal attention (ta); `oca` has oi and ti
    "no_interaction": partial(oca, interact=nn.Identity, change=nn.Identity),
    "oi": partial(oca, change=nn.Identity),
    "ti": partial(oca, interact=nn.Identity),
    "ta": partial(oca, interact=nn.Identity, change=TemporalAttention),
    "oi_ta": partial(oca, change=TemporalAttention),
    "control/random_slots": partial(oca, tokens=frozen_slots),
}
WITHOUT_MASKS = ("slots1", "tokens")
# What stands on the timing task, at eight frames, where `oca` has delta 2; `four_frames` is `oca` at four
TIMING = {
    "oca": oca,
    "four_frames": oca,
    **{name: DESIGNS[name] for name in DELTAS if name != "delta2"},
    **{name: DESIGNS[name] for name in ("order_blind", "no_interaction", "oi", "ti", "ta", "oi_ta")},
}
ON_TIMING = {6: {"oca": "four_frames", "delta2": "oca"}, 8: {"delta2": "oca"}, 12: {}}  # tables there: other names
ROWS = {  # the paper's tables: variant -> the row's label, and its name in the claims file
    5: {
        "no_losses": ("classification alone", "no_losses"),
        "only_obj": ("+ object distillation", "only_obj"),
        "only_temp": ("+ temporal reasoning", "only_temp"),
        "oca": ("+ both", "both"),
    },
    6: {"oca": ("4 frames, delta 1", "4.1"), **{f"delta{d}": (f"8 frames, delta {d}", f"8.{d}") for d in (2, 4)}},
    7: {
        "slots1": ("N = 1, the mean", "1"),
        "slots4": ("N = 4", "4"),
        "oca": ("N = 8", "8"),
        "slots16": ("N = 16", "16"),
        "tokens": ("None, all patches", "none"),
    },
    8: {f"delta{d}": (f"delta {d}", str(d)) for d in range(1, 8)} | {"all_deltas": ("all deltas", "all")},
    12: {
        "no_interaction": ("slots alone", "none"),
        "oi": ("interaction", "oi"),
        "ti": ("state changes", "ti"),
        "ta": ("temporal attention", "ta"),
        "oca": ("interaction, state changes", "oi_ti"),
        "oi_ta": ("interaction, temporal attention", "oi_ta"),
    },
}

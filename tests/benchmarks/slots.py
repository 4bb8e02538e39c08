"""Slot attention read straightforwardly: frame after frame, each with its keys and values made once."""

import torch
from torch import Tensor

from minilib.models.slots import EPS, LearnedQueries, SlotAttention

FRAMES, TOKENS, SLOTS, WIDTH = 8, 196, 8, 512  # ViT-B/16 at 224 pixels, OCA's default number of slots


def per_frame(attention: SlotAttention, clip: Tensor) -> tuple[Tensor, Tensor]:
    """The same function of frames (b, n, c) as `attention`, with the papers' equations one frame at a time."""
    outs = []
    for frame in clip:
        frame = attention.norm_input(frame)
        keys, values, slots = attention.to_k(frame), attention.to_v(frame), attention.initial.queries
        for _ in range(attention.iterations):
            queries = attention.to_q(attention.norm_slots(slots))
            masks = (queries @ keys.T * attention.scale).softmax(0)
            weights = masks + EPS
            slots = attention.gru(weights / weights.sum(1, keepdim=True) @ values, slots)
        outs.append((slots, masks))
    slots, masks = zip(*outs, strict=True)
    return torch.stack(slots), torch.stack(masks)


def pair(device: str) -> tuple[SlotAttention, Tensor]:
    """The module and frames that both readings get, after a check that they agree."""
    torch.manual_seed(0)
    attention = SlotAttention(WIDTH, LearnedQueries(SLOTS, WIDTH)).to(device)
    clip = torch.randn(FRAMES, TOKENS, WIDTH, device=device)
    torch.testing.assert_close(attention(clip), per_frame(attention, clip), atol=1e-3, rtol=1e-3)
    return attention, clip


def training_step(reading, clip: Tensor) -> None:
    sum(out.square().sum() for out in reading(clip)).backward()

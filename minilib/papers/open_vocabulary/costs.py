"""What slots and their decoder take at the real size, 8 x 196 tokens: one call beside the released graph frame by
frame, and the decoder in chunks of slots beside the direct reading. Weights are random.

Axes: n tokens, f features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from minilib.claims import Measurements
from minilib.cost import peak_training_memory
from minilib.models.slots import EPS, LearnedQueries
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder, ChunkedDecoder
from minilib.papers.open_vocabulary.method import VideoSlots
from minilib.study.speed import ROUNDS, Rounds, record_rounds, relative, rounds_of

FRAMES, GRID, SLOTS, WIDTH, FEATURES = 8, 14, 15, 128, 768


class Grouping(torch.nn.Module):
    """Features (b, n, f) to slots and masks: what stands before the decoder. Starts are learned, so readings agree."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        slots = VideoSlots(LearnedQueries(SLOTS, WIDTH), BroadcastDecoder(steps=1, hidden=8, layers=2))
        self.read, self.attention = slots.read, slots.attention

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.attention(self.read(features))


def released(grouping: Grouping, features: Tensor) -> tuple[Tensor, Tensor]:
    """The same function of tokens (n, f) in the order of the released graph: keys and values made of every token."""
    attention = grouping.attention
    tokens = attention.norm_input(grouping.read(features))
    keys, values, slots = attention.to_k(tokens), attention.to_v(tokens), attention.initial.queries
    for _ in range(attention.iterations):
        masks = (attention.to_q(attention.norm_slots(slots)) @ keys.T * attention.scale).softmax(0)
        weights = masks + EPS
        slots = attention.gru(weights / weights.sum(1, keepdim=True) @ values, slots)
        slots = slots + attention.mlp(slots)
    return slots, masks


def groupings(device: str) -> dict[str, Callable[[], tuple[Tensor, Tensor]]]:
    """Readings of one clip's features: "video", one slot attention over all tokens; "frames", slots of each frame, all
    frames in one call; "released", the released graph over all tokens, and "loop", frame after frame, which are both
    checked to agree."""
    grouping = Grouping().to(device)
    clip = torch.randn(FRAMES, GRID * GRID, FEATURES, device=device)

    def video():
        return grouping(clip.flatten(0, 1)[None])

    def frames():
        return grouping(clip)

    def loop():
        return tuple(torch.stack(each) for each in zip(*(released(grouping, frame) for frame in clip), strict=True))

    def whole():
        return tuple(x[None] for x in released(grouping, clip.flatten(0, 1)))

    torch.testing.assert_close(frames(), loop(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(video(), whole(), atol=1e-3, rtol=1e-3)
    return {"video": video, "frames": frames, "released": whole, "loop": loop}


def backwards(reading: Callable[[], tuple[Tensor, Tensor]]) -> None:
    sum(out.square().sum() for out in reading()).backward()


def decoders(device: str) -> dict[str, Callable[[], None]]:
    """A training step of the released decoder on one clip, directly and in chunks of slots, of the same weights."""
    torch.manual_seed(0)
    direct, chunked = (kind(FEATURES, WIDTH).to(device) for kind in (BroadcastDecoder, ChunkedDecoder))
    chunked.load_state_dict(direct.state_dict())
    slots = torch.randn(1, SLOTS, WIDTH, device=device, requires_grad=True)
    target = torch.randn(1, FRAMES * GRID * GRID, FEATURES, device=device)

    def step(decoder):
        def run():
            features, _ = decoder(slots, (FRAMES, GRID, GRID), None)
            torch.nn.functional.mse_loss(features, target).backward()
            grads = [p.grad for p in decoder.parameters()]
            decoder.zero_grad(set_to_none=True)
            slots.grad = None
            return grads

        return run

    steps = {"direct": step(direct), "chunked": step(chunked)}
    torch.testing.assert_close(steps["chunked"](), steps["direct"](), atol=1e-5, rtol=1e-3)
    return steps


def slot_rounds(device: str, rounds: int) -> dict[str, Rounds]:
    """{"slots.forward", "slots.step"}: seconds of the other readings as ratios to those of "loop"."""
    readings = groupings(device)
    forward = {name: torch.inference_mode()(reading) for name, reading in readings.items()}
    steps = {name: partial(backwards, reading) for name, reading in readings.items()}
    return {
        f"slots.{what}": relative(rounds_of(calls, rounds), "loop")
        for what, calls in (("forward", forward), ("step", steps))
    }


def decoder_rounds(device: str, rounds: int) -> dict[str, Rounds]:
    """{"decoder.memory", "decoder.step"} of the decoder in chunks as ratios to the direct one; memory is taken once."""
    steps = decoders(device)
    peak = {name: peak_training_memory(step, device).peak for name, step in steps.items()}
    memory = {name: value / peak["direct"] for name, value in peak.items()}
    return {
        "decoder.memory": [memory] * rounds,
        "decoder.step": relative(rounds_of(steps, rounds, warmup=0), "direct"),  # 600 G multiply-adds
    }


def record_costs(rows: Measurements, rounds: int = ROUNDS) -> None:
    """All rows "cost/<what>.<name>"; one to two minutes on two cores."""
    rounds = rounds if rows.scale != "smoke" else 1
    found = slot_rounds(rows.device, rounds) | decoder_rounds(rows.device, rounds)
    record_rounds(rows, found, {"frames": FRAMES, "grid": GRID, "slots": SLOTS, "width": WIDTH, "features": FEATURES})

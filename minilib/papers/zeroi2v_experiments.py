"""ZeroI2V's ablations on the small world: one *arm* a table row, measured with paired seeds.

An arm is data: a task, how frames are mixed, what is trained. The seed sets the clips that an arm is trained on, the
start of everything new and the order of the batches, and is shared by all arms; evaluation clips are always the same.

    python -m minilib.papers.zeroi2v_experiments --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from minilib.claims.rows import Row, append_rows, environment, read_rows
from minilib.classifier import VideoClassifier, train_only
from minilib.cost import parameters
from minilib.papers import zeroi2v_variants as variants
from minilib.papers.peers.st_adapter import SpatioTemporalAdapter
from minilib.papers.zeroi2v import FOUR, SIX, Adaptation, Adapter, HeadRelocation, Mixing, attach, blocks
from minilib.small_clip import small_clip
from minilib.training import TrainSettings, accuracy, evaluate, train
from minilib.world import TASKS, held_batches, shuffled, train_batches

EXPERIMENT = 1  # raise it when an arm's meaning changes: older rows are stale then
ROWS = Path("results/rows/zeroi2v.jsonl")
GRID = TrainSettings(steps=300, batch=32, lr=3e-3, warmup=30)  # the short recipe of the wide grids
CORE = replace(GRID, steps=900)  # the live comparison
TEST_CLIPS = 1024
STDHA = HeadRelocation(((-1, 1), (1, 1)))

Strategy = Callable[[nn.Module, int, Mixing], list[nn.Parameter]]  # attaches, and returns what trains beside the head


def adapters(visual, frames, mixing, places=FOUR, ratio=0.25, adapter=partial(Adapter, scale=1.0, dropout=0.0)):
    """Adapters at `places`, the temporal embedding and `ln_post`: ZeroI2V, and without mixing its image twin."""
    attach(visual, Adaptation(frames, mixing, places, ratio, adapter))
    return [*variants.new_parameters(visual), visual.ln_pre.embedding, *visual.ln_post.parameters()]


def st_adapters(visual, frames, mixing, places=FOUR, ratio=0.25):
    """ST-Adapters where the linear ones stand."""
    return adapters(visual, frames, mixing, places, ratio, partial(SpatioTemporalAdapter, frames=frames))


def lora(visual, frames, mixing, places, rank):
    """Low-rank differences (Eq. 10) in place of adapters."""
    adapters(visual, frames, mixing, places=())
    variants.add_lora(visual, places, rank)
    return [*variants.new_parameters(visual), visual.ln_pre.embedding, *visual.ln_post.parameters()]


def temporal_heads_only(visual, frames, mixing):
    """Only the slices of Q, K, V, O that belong to temporal heads."""
    adapters(visual, frames, mixing, places=())
    variants.tune_temporal_heads(visual)
    return [*variants.new_parameters(visual), visual.ln_pre.embedding, *visual.ln_post.parameters()]


def full(visual, frames, mixing):
    """Every parameter of the image model."""
    attach(visual, Adaptation(frames, mixing, places=()))
    return list(visual.parameters())


def probe(visual, frames, mixing):
    """Nothing but the linear classifier on the frames' mean."""
    attach(visual, Adaptation(frames, mixing, places=(), temporal_embedding=False))
    return []


@dataclass(frozen=True)
class Arm:
    """One row of a table. lr multiplies the recipe's rate; `limit` trains on so many clips; `control` damages data."""

    strategy: Strategy = adapters
    mixing: Mixing = STDHA
    task: str = "motion"
    frames: int = 4
    lr: float = 1.0
    limit: int | None = None
    control: str | None = None


def _hr(*offsets: tuple[int, float], **how) -> HeadRelocation:
    return HeadRelocation(offsets, **how)


def _width(bottleneck: int, places: tuple[str, ...] = FOUR, **how) -> Strategy:
    """Linear adapters (or other ones) with the paper's bottleneck width, scaled from its 768 channels to ours."""
    return partial(adapters, places=places, ratio=bottleneck / 768, **how)


_GELU = partial(Adapter, scale=1.0, dropout=0.0, activation=nn.GELU)
_UP, _UP_O = ("qkv", "up"), ("qkv", "o", "up")
_BACK, _AHEAD, _BACK2, _AHEAD2, _BACK3, _AHEAD3 = (-1, 1), (1, 1), (-2, 1), (2, 1), (-3, 1), (3, 1)

CORE_ARMS = {
    "probe": Arm(probe, Mixing()),
    "adapters": Arm(mixing=Mixing()),
    "zeroi2v": Arm(),
    "full": Arm(full, lr=0.1),
}
ARMS = CORE_ARMS | {
    "full_image": Arm(full, Mixing(), lr=0.1),
    # Table 1(a): a quarter of the channels, which heads of eight channels can express for every operator
    "cls_shift": Arm(mixing=variants.ClsTokenShift(8)),
    "cls_shift_inside": Arm(mixing=variants.ClsTokenShift(8, before=False)),
    "shift_qkv": Arm(mixing=variants.ChannelShift(8, parts="qkv")),
    "shift_kv": Arm(mixing=variants.ChannelShift(8)),
    "hr_qkv": Arm(mixing=_hr((-1, 1.5), (1, 1.5), parts="qkv")),
    "hr_kv": Arm(mixing=_hr((-1, 1.5), (1, 1.5))),
    # Table 1(b): the number k of temporal heads; k = 2 is `zeroi2v`
    "k1": Arm(mixing=_hr((-1, 0.5), (1, 0.5))),
    "k4": Arm(mixing=_hr((-1, 2), (1, 2))),
    "k6": Arm(mixing=_hr((-1, 3), (1, 3))),
    # Table 1(c): the temporal receptive field; four frames stand for the paper's eight, eight for its sixteen
    "t4_rf2": Arm(mixing=_hr(_AHEAD)),
    "t4_rf4": Arm(mixing=_hr(_BACK, _AHEAD, _AHEAD2)),
    "t4_rf5": Arm(mixing=_hr(_BACK, _AHEAD, _BACK2, _AHEAD2)),
    "t8_rf3": Arm(mixing=_hr(_BACK, _AHEAD), frames=8),
    "t8_rf4": Arm(mixing=_hr(_BACK, _AHEAD, _AHEAD2), frames=8),
    "t8_rf5": Arm(mixing=_hr(_BACK, _AHEAD, _BACK2, _AHEAD2), frames=8),
    "t8_rf6": Arm(mixing=_hr(_BACK, _AHEAD, _BACK2, _AHEAD2, _AHEAD3), frames=8),
    "t8_rf7": Arm(mixing=_hr(_BACK, _AHEAD, _BACK2, _AHEAD2, _BACK3, _AHEAD3), frames=8),
    # Table 2: the bottleneck ratio; 0.25 is `zeroi2v`
    "ratio_0.0625": Arm(partial(adapters, ratio=0.0625)),
    "ratio_0.125": Arm(partial(adapters, ratio=0.125)),
    "ratio_0.5": Arm(partial(adapters, ratio=0.5)),
    # Table 3: strategies, named by kind, number of adapters (or LoRA's places) and the paper's width
    "temporal_heads_only": Arm(temporal_heads_only),
    "st_4_192": Arm(st_adapters),
    "st_2_384": Arm(partial(st_adapters, places=_UP, ratio=0.5)),
    "lora_qv_192": Arm(partial(lora, places=("q", "v"), rank=24)),
    "lora_qkvo_192": Arm(partial(lora, places=("q", "k", "v", "o"), rank=24)),
    "lora_so_mlp_192": Arm(partial(lora, places=("qkv", "o", "up", "down"), rank=24)),
    "lora_so_mlp_128": Arm(partial(lora, places=("qkv", "o", "up", "down"), rank=16)),
    "lora_all_192": Arm(partial(lora, places=SIX, rank=24)),
    "lora_all_128": Arm(partial(lora, places=SIX, rank=16)),
    "gelu_4_96": Arm(_width(96, adapter=_GELU)),
    "gelu_2_192": Arm(_width(192, _UP, adapter=_GELU)),
    "gelu_3_192": Arm(_width(192, _UP_O, adapter=_GELU)),
    "gelu_4_192": Arm(_width(192, adapter=_GELU)),
    "linear_4_96": Arm(_width(96)),
    "linear_2_192": Arm(_width(192, _UP)),
    "linear_3_192": Arm(_width(192, _UP_O)),
    "linear_6_192": Arm(_width(192, SIX)),
    "linear_6_128": Arm(_width(128, SIX)),
    # appearance, few clips, and what must fail
    "appearance/probe": Arm(probe, Mixing(), task="appearance"),
    "appearance/adapters": Arm(mixing=Mixing(), task="appearance"),
    "appearance/zeroi2v": Arm(task="appearance"),
    "few/probe": Arm(probe, Mixing(), limit=192),
    "few/adapters": Arm(mixing=Mixing(), limit=192),
    "few/zeroi2v": Arm(limit=192),
    "few/st_adapter": Arm(st_adapters, limit=192),
    "control/shuffled_frames": Arm(control="frames"),
    "control/shuffled_labels": Arm(control="labels"),
}


def settings_key(arm: Arm, recipe: TrainSettings) -> str:
    """A short hash of all that makes a row but the seed."""
    text = f"{arm} {replace(recipe, seed=0)} {TEST_CLIPS}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()[:12]


def build(arm: Arm, seed: int) -> VideoClassifier:
    """The small CLIP under an arm's strategy, with what trains unfrozen."""
    torch.manual_seed(seed)
    visual = small_clip().visual
    new = arm.strategy(visual, arm.frames, arm.mixing)
    model = VideoClassifier(visual, len(TASKS[arm.task]), dropout=0.0)
    return train_only(model, [*new, *model.head.parameters()])


def run(arm: Arm, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "training"):
    """Trains one arm; returns the model, its history and its top-1 accuracy on the test clips, in percent."""
    model = build(arm, seed)
    batches = train_batches(arm.task, seed, recipe.batch, arm.frames, limit=arm.limit)
    if arm.control:
        batches = _damaged(batches, arm.control, len(TASKS[arm.task]))
    recipe = replace(recipe, lr=recipe.lr * arm.lr, seed=seed)
    history = train(model, batches, recipe, len(TASKS[arm.task]), device, label=label)
    change = shuffled if arm.control == "frames" else (lambda frames: frames)
    score, truth = evaluate(model, held_batches(arm.task, 0, TEST_CLIPS, arm.frames, change=change), device)
    return model, history, accuracy(score, truth)


def _damaged(batches, control: str, classes: int):
    def at(step: int):
        frames, label = batches(step)
        if control == "frames":
            return shuffled(frames, seed=step), label
        generator = torch.Generator().manual_seed(step)
        return frames, torch.randint(classes, label.shape, generator=generator)

    return at


def measure(name: str, seed: int, recipe: TrainSettings = GRID, threads: int = 1, prefix: str = "grid") -> Row:
    """Runs one arm of the grid and makes its row."""
    torch.set_num_threads(threads)
    began = time.perf_counter()
    _, _, value = run(ARMS[name], recipe, seed, label=name)
    seconds = time.perf_counter() - began
    return Row(
        measure=f"{prefix}/{name}", value=value, seed=seed, settings=settings_key(ARMS[name], recipe),
        experiment=EXPERIMENT, device="cpu", dtype="float32", threads=threads, seconds=round(seconds, 1),
        peak_memory=None, **environment(),
    )  # fmt: skip

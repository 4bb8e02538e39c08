"""ZeroI2V's ablations on the small world as data: one *arm* a table row, and the tables that arms make up.

An arm says how frames are mixed, what is trained, and on what task. `zeroi2v_experiments.py` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter
from minilib.papers.zeroi2v import variants
from minilib.papers.zeroi2v.heads import HeadRelocation, Mixing
from minilib.papers.zeroi2v.method import FOUR, SIX, STDHA, Adaptation, Adapter, attach

Strategy = Callable[[nn.Module, int, Mixing], list[nn.Parameter]]  # attaches, and returns what trains beside the head


LINEAR = partial(Adapter, scale=1.0, dropout=0.0)
GELU = partial(Adapter, scale=1.0, dropout=0.0, activation=nn.GELU)


def _temporal(mixing: Mixing) -> bool:
    """An image twin, whose heads stay in their frame, gets no temporal embedding either: nothing tells it the order."""
    return type(mixing) is not Mixing


def _new(visual) -> list[nn.Parameter]:
    """What trains beside the classifier, as in the released code."""
    embedding = [p for name, p in visual.ln_pre.named_parameters() if name == "embedding"]
    return [*variants.new_parameters(visual), *embedding, *visual.ln_post.parameters()]


def adapters(visual, frames, mixing, places=FOUR, ratio=0.25, adapter=LINEAR):
    """Adapters at `places`, the temporal embedding and `ln_post`: ZeroI2V, and without mixing its image twin."""
    attach(visual, Adaptation(frames, mixing, places, ratio, adapter, _temporal(mixing)))
    return _new(visual)


def st_adapters(visual, frames, mixing, places=FOUR, ratio=0.25):
    """ST-Adapters where the linear ones stand."""
    return adapters(visual, frames, mixing, places, ratio, partial(SpatioTemporalAdapter, frames=frames))


def lora(visual, frames, mixing, places, rank):
    """Low-rank differences (Eq. 10) in place of adapters."""
    adapters(visual, frames, mixing, places=())
    variants.add_lora(visual, places, rank)
    return _new(visual)


def temporal_heads_only(visual, frames, mixing):
    """Only the slices of Q, K, V, O that belong to temporal heads."""
    adapters(visual, frames, mixing, places=())
    variants.tune_temporal_heads(visual)
    return _new(visual)


def full(visual, frames, mixing):
    """Every parameter of the image model."""
    attach(visual, Adaptation(frames, mixing, places=(), temporal_embedding=_temporal(mixing)))
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
    "gelu_4_96": Arm(_width(96, adapter=GELU)),
    "gelu_2_192": Arm(_width(192, _UP, adapter=GELU)),
    "gelu_3_192": Arm(_width(192, _UP_O, adapter=GELU)),
    "gelu_4_192": Arm(_width(192, adapter=GELU)),
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


# The paper's tables: row -> (measure, the paper's top-1 on Something-Something v2)
TABLE_1A = {
    "[cls] shift, before MHSA and MLP": ("grid/cls_shift", 61.4),
    "[cls] shift, inside": ("grid/cls_shift_inside", None),
    "shift QKV": ("grid/shift_qkv", 64.5),
    "shift KV": ("grid/shift_kv", 64.0),
    "relocate QKV": ("grid/hr_qkv", 64.8),
    "relocate KV (STDHA)": ("grid/hr_kv", 65.8),
    "relocate KV, a sixth": ("grid/zeroi2v", 66.0),
}
TABLE_1B = {
    f"k = {k}": (f"grid/{arm}", paper)
    for k, arm, paper in ((1, "k1", 64.8), (2, "zeroi2v", 66.0), (4, "k4", 65.6), (6, "k6", 65.6))
}
TABLE_1C = {
    "4 frames {1}": ("grid/t4_rf2", 64.7),
    "4 frames {±1}": ("grid/zeroi2v", 66.0),
    "4 frames {±1, 2}": ("grid/t4_rf4", 65.5),
    "4 frames {±1, ±2}": ("grid/t4_rf5", 65.7),
    "8 frames {±1}": ("grid/t8_rf3", 67.2),
    "8 frames {±1, 2}": ("grid/t8_rf4", 67.3),
    "8 frames {±1, ±2}": ("grid/t8_rf5", 67.8),
    "8 frames {±1, ±2, 3}": ("grid/t8_rf6", 67.6),
    "8 frames {±1, ±2, ±3}": ("grid/t8_rf7", 67.3),
}
TABLE_2 = {
    f"ratio {ratio}": (f"grid/{arm}", paper)
    for ratio, arm, paper in (
        ("0.0625", "ratio_0.0625", 64.2),
        ("0.125", "ratio_0.125", 65.0),
        ("0.25", "zeroi2v", 66.0),
        ("0.5", "ratio_0.5", 65.8),
    )
}
TABLE_3 = {
    "full fine-tuning": ("grid/full", 63.2),
    "linear probe": ("grid/probe", 20.0),
    "only temporal heads": ("grid/temporal_heads_only", 59.6),
    "ST-Adapter 4 x 192": ("grid/st_4_192", 66.2),
    "ST-Adapter 2 x 384": ("grid/st_2_384", 65.8),
    "LoRA Q V, 192": ("grid/lora_qv_192", 64.2),
    "LoRA Q K V O, 192": ("grid/lora_qkvo_192", 65.0),
    "LoRA shared O MLP, 192": ("grid/lora_so_mlp_192", 64.3),
    "LoRA shared O MLP, 128": ("grid/lora_so_mlp_128", 65.6),
    "LoRA all, 192": ("grid/lora_all_192", 65.0),
    "LoRA all, 128": ("grid/lora_all_128", 65.5),
    "GELU 4 x 96": ("grid/gelu_4_96", 65.6),
    "GELU 2 x 192": ("grid/gelu_2_192", 64.6),
    "GELU 3 x 192": ("grid/gelu_3_192", 66.1),
    "GELU 4 x 192": ("grid/gelu_4_192", 66.1),
    "linear 4 x 96": ("grid/linear_4_96", 65.0),
    "linear 2 x 192": ("grid/linear_2_192", 64.4),
    "linear 3 x 192": ("grid/linear_3_192", 65.2),
    "linear 4 x 192": ("grid/zeroi2v", 66.0),
    "linear 6 x 192": ("grid/linear_6_192", 66.3),
    "linear 6 x 128": ("grid/linear_6_128", 66.2),
}
CONTRAST = {
    "motion: probe": ("grid/probe", None),
    "motion: adapters": ("grid/adapters", None),
    "motion: ZeroI2V": ("grid/zeroi2v", 67.7),
    "motion: full, image model": ("grid/full_image", 44.0),
    "appearance: probe": ("grid/appearance/probe", None),
    "appearance: adapters": ("grid/appearance/adapters", None),
    "appearance: ZeroI2V": ("grid/appearance/zeroi2v", None),
    "few clips: probe": ("few/probe", None),
    "few clips: adapters": ("few/adapters", None),
    "few clips: ZeroI2V": ("few/zeroi2v", None),
    "few clips: ST-Adapter": ("few/st_adapter", None),
    "shuffled frames": ("grid/control/shuffled_frames", None),
    "shuffled labels": ("grid/control/shuffled_labels", None),
}

"""ZeroI2V's experiments on the small world: the variants of its tables, and the recipes that train them.

python -m minilib.study zeroi2v --plan
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from minilib.models.classifier import VideoClassifier, train_only
from minilib.models.clip import ImageText
from minilib.models.second_clip import second_clip
from minilib.models.small_clip import small_clip
from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter
from minilib.papers.zeroi2v import FOUR, SIX, STDHA, Adaptation, Adapter
from minilib.papers.zeroi2v import variants as v
from minilib.papers.zeroi2v.costs import costs
from minilib.papers.zeroi2v.counts import PLACES, TWO
from minilib.papers.zeroi2v.operators import ChannelShift, ClsTokenHeads, Relocation
from minilib.study import Feed, Row, Study, Tuned, Variant, WorldTask
from minilib.study.feeds import pair_metric
from minilib.training import TrainSettings
from minilib.world import FEW as SIXTEEN
from minilib.world import TASKS

GRID = TrainSettings(steps=200, batch=16, lr=3e-3, warmup=20)  # the short recipe of the wide grids
LIVE = replace(GRID, steps=500, warmup=50)  # what the notebook trains while its reader waits
CORE = replace(GRID, steps=1000, warmup=100)
MOTION, TIMING, ACTION = WorldTask("motion"), WorldTask("timing"), WorldTask("action")
FEW = replace(MOTION, train=192)  # sixteen clips a class on average
HARD = WorldTask("hard appearance", train=SIXTEEN * len(TASKS["hard appearance"]))

ZEROI2V = Adaptation(frames=4, adapter=v.PlainAdapter)
TWIN = replace(
    ZEROI2V, mixing=STDHA(()), temporal_embedding=False
)  # the image model: nothing shows the order of frames
BARE, BARE_TWIN = replace(ZEROI2V, places=()), replace(TWIN, places=())
ST_ADAPTERS = replace(ZEROI2V, adapter=partial(SpatioTemporalAdapter, frames=ZEROI2V.frames))

# --- variants --------------------------------------------------------------------------------------------------------


def classifier(
    feed: Feed, strategy: v.Adapted, classes: int, clip: Callable[[], ImageText] = small_clip
) -> VideoClassifier:
    """A small CLIP under a strategy, with what trains unfrozen."""
    backbone = clip().visual
    new = strategy(backbone)
    model = VideoClassifier(backbone, classes, dropout=0.0)
    return train_only(model, [*new, *model.head.parameters()])


def trained(strategy: v.Adapted, task: WorldTask = MOTION, lr: float = 1.0) -> Variant:
    """A strategy on a task, with clips as long as the strategy wants them."""
    task = replace(task, frames=strategy.settings.frames)
    return Variant(partial(classifier, strategy=strategy, classes=len(task.classes)), task, lr=lr)


def on_second(variant: Variant) -> Variant:
    """The variant on the second CLIP, which captions alone have taught: a claim must not hang on one image model."""
    return replace(variant, build=partial(variant.build, clip=second_clip))


def mixed(mixing: STDHA, frames: int = 4, task: WorldTask = MOTION) -> Variant:
    """ZeroI2V with other offsets or another operator."""
    return trained(v.Adapted(replace(ZEROI2V, mixing=mixing, frames=frames)), task)


def adapters(name: str, adapter: type[Adapter] = v.PlainAdapter) -> Variant:
    """Adapters of "<number>_<width in the paper's 768 channels>"."""
    number, width = name.split("_")
    return trained(v.Adapted(replace(ZEROI2V, places=PLACES[number], ratio=int(width) / 768, adapter=adapter)))


def in_pairs(variant: Variant) -> Variant:
    """The variant, scored within mirrored pairs of motions as well."""
    return replace(variant, also=pair_metric)


def shuffled(task: WorldTask) -> Variant:
    """ZeroI2V on shuffled frames, which must be at half within pairs; that within three points takes many clips."""
    return in_pairs(trained(ZERO, replace(task, test=4096, control="frames")))


ZERO, IMAGE, PROBE = v.Adapted(ZEROI2V), v.Adapted(TWIN), v.LinearProbe(BARE_TWIN)
THREE_LEVELS = {"probe": PROBE, "adapters": IMAGE, "zeroi2v": ZERO}
SHIFTED = replace(TWIN, temporal_embedding=True)
OFFSETS = {2: (1,), 3: (-1, 1), 4: (-1, 1, 2), 5: (-1, 1, -2, 2), 6: (-1, 1, -2, 2, 3), 7: (-1, 1, -2, 2, -3, 3)}
LORA = {"qv_192": ("q", "v"), "qkvo_192": ("q", "k", "v", "o"), "so_mlp_192": FOUR, "so_mlp_128": FOUR}
LORA |= {"all_192": SIX, "all_128": SIX}
STRATEGIES = {  # Table 3: kind, number of adapters (or LoRA's places) and the paper's width; linear 4_96 is ratio_0.125
    "st_4_192": trained(v.Adapted(ST_ADAPTERS)),
    "st_2_384": trained(v.Adapted(replace(ST_ADAPTERS, places=TWO, ratio=0.5))),
    **{f"lora_{name}": trained(v.Lora(BARE, at, int(name[-3:]) // 8)) for name, at in LORA.items()},  # 768 / 8 = 96
    **{f"gelu_{name}": adapters(name, v.GeluAdapter) for name in ("4_96", "2_192", "3_192", "4_192")},
    **{f"linear_{name}": adapters(name) for name in ("2_192", "3_192", "6_192", "6_128")},
}
CONTRASTS = {  # appearance, few clips, and what must fail
    **{f"hard_appearance/{name}": trained(each, HARD) for name, each in THREE_LEVELS.items()},
    **{f"few/{name}": trained(each, FEW) for name, each in THREE_LEVELS.items()},
    "few/st_adapter": trained(v.Adapted(ST_ADAPTERS), FEW),
    "control/shuffled_frames": shuffled(MOTION),
    "control/shuffled_labels": trained(ZERO, replace(MOTION, control="labels")),
    "timing/control/shuffled_frames": shuffled(TIMING),
    "timing/control/shuffled_labels": trained(ZERO, replace(TIMING, control="labels")),
    "action/control/shuffled_labels": trained(ZERO, replace(ACTION, control="labels")),
}
VARIANTS = {
    "probe": trained(PROBE),
    "adapters": trained(IMAGE),
    "zeroi2v": in_pairs(trained(ZERO)),
    "full": trained(v.FullFineTuning(BARE), lr=0.1),  # a tenth of the rate, as in Sec. 6.1.2
    "full_image": trained(v.FullFineTuning(BARE_TWIN), lr=0.1),
    # Table 1(a): a sixth of the channels where heads of eight channels can express it, or a quarter
    "cls_shift": trained(v.ClsTokenShifted(SHIFTED, divisor=12)),
    "cls_shift_quarter": trained(v.ClsTokenShifted(SHIFTED, divisor=8)),
    "cls_shift_inside": mixed(ClsTokenHeads()),
    "hr_qkv": mixed(Relocation(queries=True)),
    "shift_qkv": mixed(ChannelShift(divisor=8, queries=True)),
    "shift_kv": mixed(ChannelShift(divisor=8)),
    "hr_kv": mixed(Relocation(heads=1.5)),
    # Table 1(b): the number k of temporal heads, where verb and noun compete for heads
    "action/k1": mixed(Relocation(heads=0.5), task=ACTION),
    "action/k2": trained(ZERO, ACTION),
    "action/k4": mixed(STDHA((-1, -1, 1, 1)), task=ACTION),
    "action/k6": mixed(STDHA((-1, -1, -1, 1, 1, 1)), task=ACTION),
    # Table 1(c): receptive fields, where events are short; four frames stand for the paper's eight, eight for sixteen
    **{f"timing/t4_rf{field}": mixed(STDHA(OFFSETS[field]), task=TIMING) for field in (2, 4, 5)},
    "timing/t4_rf3": in_pairs(trained(ZERO, TIMING)),
    **{f"timing/t8_rf{field}": mixed(STDHA(OFFSETS[field]), 8, TIMING) for field in (3, 4, 5, 6, 7)},
    # Table 2: the bottleneck ratio; 0.25 is `zeroi2v`
    **{f"ratio_{ratio}": trained(v.Adapted(replace(ZEROI2V, ratio=ratio))) for ratio in (0.0625, 0.125, 0.5)},
    # Table 3: all have temporal heads
    "probe_stdha": trained(v.LinearProbe(replace(BARE, temporal_embedding=False))),
    "temporal_heads_only": trained(v.OnlyTemporalHeads(BARE)),
    **STRATEGIES,
    **CONTRASTS,
}
SHOWN = ("probe", "adapters", "zeroi2v")  # what the notebook trains
SECOND = ("zeroi2v", "full_image", "full", "control/shuffled_frames", "control/shuffled_labels")
VARIANTS |= {f"second/{name}": on_second(VARIANTS[name]) for name in SECOND}
LONG = tuple(name for name in VARIANTS if name.startswith("timing/"))  # 200 steps are still near chance
HEADLINES = ("zeroi2v", "full_image", "full", "few/zeroi2v", "few/st_adapter")
ON_SECOND = tuple(f"second/{name}" for name in SECOND[:3])

# --- tables ----------------------------------------------------------------------------------------------------------

NOT_PRINTED = {"probe", "adapters", "cls_shift_inside", "cls_shift_quarter", "shift_qkv", "few/adapters"}
NOT_PRINTED |= {f"second/{name}" for name in SECOND}
NOT_PRINTED |= {name for name in CONTRASTS if name.startswith("hard_appearance/") or "control/" in name}
PRINTED = {"action/k2": "zeroi2v", "timing/t4_rf3": "zeroi2v"}  # rows that several tables share
WORDS = {  # of variants' names, for pictures
    "zeroi2v": "ZeroI2V",
    "cls_shift_inside": "[cls] shift inside",
    "cls_shift": "[cls] shift",
    "hr_qkv": "relocate QKV",
    "hr_kv": "relocate KV",
    "shift_qkv": "shift QKV",
    "shift_kv": "shift KV",
    "full_image": "full fine-tuning, image model",
    "probe_stdha": "linear probe",
    "st_adapter": "ST-Adapter",
    "st_": "ST-Adapter ",
    "lora_": "LoRA ",
    "gelu_": "GELU ",
    **{
        f"timing/t{t}_rf{n}": f"{t} frames, {', '.join(f'{o:+d}' for o in OFFSETS[n])}" for t in (4, 8) for n in OFFSETS
    },
    **{f"action/k{k}": f"k = {k}" for k in (1, 2, 4, 6)},
    "_": " ",
    "/": ": ",
}


def label(name: str) -> str:
    """A variant's name as a picture shows it."""
    for short, word in WORDS.items():
        name = name.replace(short, word)
    return name


def table(*names: str) -> dict[str, Row]:
    """label -> a variant's row, with its printed number where the paper has that setting."""
    return {label(name): Row(name, None if name in NOT_PRINTED else f"top1.{number(name)}") for name in names}


def number(name: str) -> str:
    """A variant's name in the keys of printed numbers, which do not say the task."""
    return PRINTED.get(name, name.removeprefix("action/").removeprefix("timing/"))


TABLES = {
    "Table 1(a), a sixth of the channels": table("cls_shift", "cls_shift_inside", "hr_qkv", "zeroi2v"),
    "Table 1(a), a quarter of the channels": table("cls_shift_quarter", "shift_qkv", "shift_kv", "hr_kv"),
    "Table 1(b), verb and noun": table("action/k1", "action/k2", "action/k4", "action/k6"),
    "Table 1(c), timing": table(
        *(f"timing/t4_rf{n}" for n in (2, 3, 4, 5)), *(f"timing/t8_rf{n}" for n in range(3, 8))
    ),
    "Table 2": table("ratio_0.0625", "ratio_0.125", "zeroi2v", "ratio_0.5"),
    "Table 3": table("full", "probe_stdha", "temporal_heads_only", *STRATEGIES, "ratio_0.125", "zeroi2v"),
    "Contrast, few clips, controls": table("probe", "adapters", "zeroi2v", "full_image", *CONTRASTS),
    "On the second image model": table(*(f"second/{name}" for name in SECOND)),
}

STUDY = Study(
    "zeroi2v",
    VARIANTS,
    recipes={"live": LIVE, "core": CORE, "grid": GRID, "tuned": Tuned(replace(CORE, steps=1500))},
    grids={
        "core": LONG,
        "grid": tuple(name for name in VARIANTS if name not in (*LONG, *ON_SECOND[1:])),
        "tuned": (*HEADLINES, *ON_SECOND),
    },
    tables=TABLES,
    costs=costs,
)

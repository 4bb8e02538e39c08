"""DiST's experiments: the variants of its tables on the small world, their recipes, and what is timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from minilib.claims import Measurements
from minilib.models.clip import VIT_B16, Architecture, build
from minilib.papers.baselines import EVL, STAdapter
from minilib.papers.dist import figures, small, variants, zero_shot
from minilib.papers.dist.clip import DiSTRecogniser
from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.papers.dist.small import SMALL, WIDTH, DenseTask
from minilib.study import Feed, Row, Study, Tuned, Variant
from minilib.study.feeds import pair_metric
from minilib.study.speed import ROUNDS, Timed, inference_costs, record_rounds, training_costs
from minilib.training import TrainSettings, cross_entropy

DESIGNS = {
    "dist": SMALL,
    "integration_only": replace(SMALL, psi_at=(), phi_at=()),
    # Table 1(b): without Psi in every block the two branches still meet, once, after the last, which is 3 of 0 to 3
    "no_interaction": replace(SMALL, psi_at=(3,), phi_at=()),
    "to_temporal_only": replace(SMALL, psi_at=(3,)),
    "to_integration_only": replace(SMALL, phi_at=()),
    "tblock_tada": replace(SMALL, t_block=variants.TAdaConv),
    "tblock_c3d": replace(SMALL, t_block=variants.C3D),
    "tblock_joint": replace(SMALL, t_block=variants.JointTransformer),
    **{f"gamma{gamma}": replace(SMALL, gamma=gamma) for gamma in (1, 4, 8)},
    **{f"alpha_1{part}": replace(SMALL, integration=WIDTH // by) for part, by in (("_8", 8), ("_4", 4), ("", 1))},
    **{f"beta_1_{by}": replace(SMALL, temporal=WIDTH // by) for by in (12, 6, 4)},
    "t8": replace(SMALL, frames=8),
}
TABLE_2 = {
    "down_avg": replace(SMALL, psi=variants.AveragePooling),
    "down_max": replace(SMALL, psi=variants.MaxPooling),
    "up_trilinear": replace(SMALL, phi=variants.Trilinear),
    "up_deconv": replace(SMALL, phi=variants.Deconvolution),
}


DEFAULT = "timing"  # in the place of Something-Something v2
PREFIX = {on: f"{on.replace(' ', '_')}/" for on in (DEFAULT, "hard appearance", "hard noun", "action")}


def designed(design: Design, labels: str = DEFAULT, control: str | None = None) -> Variant:
    """DiST of that design on a task of the small world; `control` damages the data."""
    return Variant(partial(small.dist, design=design, labels=labels), task_of(labels, design, control))


def task_of(labels: str, design: Design = SMALL, control: str | None = None) -> DenseTask:
    """The clips that such a design reads."""
    train = small.TRAIN.get(labels, DenseTask.train)
    return DenseTask(labels, design.frames, train=train, gamma=design.gamma, control=control)


def ablations(labels: str) -> dict[str, Variant]:
    """What Tables 1, 4 and 6 compare, on one task."""
    task = task_of(labels)
    return {name: designed(design, labels) for name, design in DESIGNS.items()} | {
        "spatial_only": Variant(partial(small.dist, design=SMALL, labels=labels, branches=variants.SpatialOnly), task),
        "temporal_only": Variant(partial(small.dist, design=SMALL, labels=labels, branches=variants.LateFusion), task),
        "evl": Variant(partial(small.evl, labels=labels), task),
        "st_adapter": Variant(partial(small.st_adapter, labels=labels), task),
        "full_image": Variant(partial(small.full_image, labels=labels), task, lr=0.1),
        "control/shuffled_labels": designed(SMALL, labels, "labels"),
    }


def looked_at(model: nn.Module, feed: Feed, device: str) -> dict[str, float]:
    """Figure 5 in numbers, and accuracy within mirrored pairs."""
    return pair_metric(model, feed, device) | figures.of_dist(model, feed, device)


def unseen(task: zero_shot.UnseenMotions) -> dict[str, Variant]:
    """Table 5(a) on one set of unseen classes."""
    build = partial(zero_shot.dist, texts=task.classes)
    return {
        "dist": Variant(build, task, also=partial(zero_shot.of_dist, unseen=task.unseen)),
        "control/shuffled_labels": Variant(build, replace(task, control="labels")),
    }


def on(labels: str, made: Mapping[str, Variant], *names: str) -> dict[str, Variant]:
    """Variants under the names that they have on a task; `names`: only these."""
    return {PREFIX[labels] + name: made[name] for name in names or made}


TIMING, MIRROR = ablations(DEFAULT), zero_shot.UnseenMotions("motion")
SHUFFLED = designed(SMALL, control="frames")
TIMING |= {name: designed(design) for name, design in TABLE_2.items()} | {
    "dist": replace(TIMING["dist"], also=looked_at),
    "evl": replace(TIMING["evl"], also=figures.of_evl),
    "order_blind": Variant(partial(small.order_blind, labels=DEFAULT), task_of(DEFAULT, replace(SMALL, gamma=1))),
    # within three points of half: 512 clips would be too few to see it
    "control/shuffled_frames": replace(SHUFFLED, task=replace(SHUFFLED.task, test=4096), also=pair_metric),
}
OTHERS = ("dist", "evl", "st_adapter", "control/shuffled_labels")
VARIANTS = {
    **on(DEFAULT, TIMING),
    **on("hard appearance", ablations("hard appearance")),
    **on("hard noun", ablations("hard noun"), *OTHERS),
    **on("action", ablations("action"), "dist", "evl", "control/shuffled_labels"),
    **{f"zeroshot/{name}": variant for name, variant in unseen(zero_shot.UnseenObjects("noun")).items()},
    **{f"zeroshot_motion/{name}": variant for name, variant in unseen(MIRROR).items()},
    "zeroshot_motion/known": Variant(partial(zero_shot.dist, texts=MIRROR.classes), replace(MIRROR, known=True)),
}
HEADLINE = (
    *(f"timing/{name}" for name in ("dist", "integration_only", "temporal_only", "evl", "st_adapter")),
    *(f"hard_appearance/{name}" for name in ("dist", "integration_only", "temporal_only")),
)

# --- tables: label -> variant; the paper's numbers are found by table and variant in the claims file -----------------


def table(prefix: str, rows: Mapping[str, str]) -> dict[str, Row]:
    """Rows of variants whose printed numbers are "<prefix>.<variant>", but for the default, which has its own."""
    paper = {"dist": "top1.t4.b16.8"}
    return {label: Row(PREFIX[DEFAULT] + v, paper.get(v, f"{prefix}.{v}")) for label, v in rows.items()}


def of_appearance(row: Row) -> Row:
    """The same row of Kinetics-400's stand-in."""
    return Row(PREFIX["hard appearance"] + row.variant.removeprefix(PREFIX[DEFAULT]), f"{row.paper}.k400")


# fmt: off
TABLE_1 = {
    "1a": table("t1a", {"EVL": "evl", "image model only": "spatial_only", "+ temporal encoder": "temporal_only",
                        "+ integration branch": "integration_only", "+ both (DiST)": "dist"}),
    "1b": table("t1b", {"no interaction": "no_interaction", "integration to temporal": "to_temporal_only",
                        "temporal to integration": "to_integration_only", "both": "dist"}),
    "1c": table("t1c", {"TAdaConv": "tblock_tada", "C3D": "tblock_c3d", "joint transformer": "tblock_joint",
                        "R(2+1)D": "dist"}),
    "1d": table("t1d", {"γ = 1": "gamma1", "γ = 2": "dist", "γ = 4": "gamma4", "γ = 8": "gamma8"}),
    "1e": table("t1e", {"α = 1/8": "alpha_1_8", "α = 1/4": "alpha_1_4", "α = 1/2": "dist", "α = 1": "alpha_1"}),
    "1f": table("t1f", {"β = 1/12": "beta_1_12", "β = 1/8": "dist", "β = 1/6": "beta_1_6", "β = 1/4": "beta_1_4"}),
}
TABLES = {
    **TABLE_1,
    "2": table("t2", {"Ψ: average pooling": "down_avg", "Ψ: max pooling": "down_max", "Φ: deconvolution": "up_deconv",
                      "Φ: trilinear": "up_trilinear", "convolution and nearest": "dist"}),
    "4": {
        "ST-Adapter": Row("timing/st_adapter"), "EVL": Row("timing/evl"),
        "image model, fully trained": Row("timing/full_image"),
        "DiST": Row("timing/dist", "top1.t4.b16.8"), "DiST, twice the frames": Row("timing/t8", "top1.t4.b16.16"),
        "DiST, each frame alone": Row("timing/order_blind"),
        "DiST, shuffled frames": Row("timing/control/shuffled_frames"),
        "DiST, shuffled labels": Row("timing/control/shuffled_labels"),
    },
    "pairs": {"DiST": Row("timing/dist/pairs"), "DiST, shuffled frames": Row("timing/control/shuffled_frames/pairs")},
    "appearance": {
        **{label: of_appearance(row) for rows in TABLE_1.values() for label, row in rows.items()
           if row.variant != "timing/dist"},
        "DiST": Row("hard_appearance/dist", "top1.t6.b16.8"),
        "DiST, twice the frames": Row("hard_appearance/t8", "top1.t6.b16.16"),
        "ST-Adapter": Row("hard_appearance/st_adapter"),
        "image model, fully trained": Row("hard_appearance/full_image"),
        "DiST, shuffled labels": Row("hard_appearance/control/shuffled_labels"),
    },
    "5b": {"ST-Adapter": Row("hard_noun/st_adapter", "t5b.noun.st_adapter"),
           "EVL": Row("hard_noun/evl", "t5b.noun.evl"), "DiST": Row("hard_noun/dist", "t5b.noun.b16")},
    "5b, action": {"EVL": Row("action/evl", "t5b.action.evl"), "DiST": Row("action/dist", "t5b.action.b16")},
    "f5a": {"EVL": Row("timing/evl/cka"), "integrated": Row("timing/dist/cka/integrated"),
            "temporal": Row("timing/dist/cka/temporal")},
    "f5b": {"temporal encoder": Row("timing/dist/moving/temporal"), "CLIP": Row("timing/dist/moving/spatial"),
            "a uniform map": Row("timing/dist/moving/uniform")},
    **{f"5a, {what}": {"image model": Row(f"{name}/dist/clip"), "DiST": Row(f"{name}/dist"),
                       "fused": Row(f"{name}/dist/fused")}
       for what, name in (("objects", "zeroshot"), ("motions", "zeroshot_motion"))},
}
# fmt: on

# --- what is timed: Table 3 ------------------------------------------------------------------------------------------

CLASSES, CLIPS = 10, 2  # with one clip, the frozen weights, which all methods hold, are half of the memory


def timed(frames: int, device: str, architecture: Architecture = VIT_B16) -> dict[str, Timed]:
    """DiST, ST-Adapter and EVL around image models with random weights: none of these numbers depends on them."""
    dist, st_adapter, evl = (build(architecture, tokenize=lambda texts: None) for _ in range(3))
    net = DiST(ImageSizes.of(dist.visual), Design(frames))
    for clip in (st_adapter, evl):
        clip.visual.proj = None
    models = {
        "dist": DiSTRecogniser(dist, net, torch.randn(CLASSES, architecture.embed_dim)),
        "st_adapter": STAdapter(st_adapter.visual, frames, CLASSES, ("attention", "mlp")),
        # Table 3 is of Something-Something v2, where EVL's decoder has a layer for every block
        "evl": EVL(evl.visual, frames, CLASSES, layers=architecture.vision["layers"]),
    }
    size, labels = architecture.vision["image_size"], torch.zeros(CLIPS, dtype=torch.long, device=device)
    dense = torch.randn(CLIPS, net.design.gamma * frames, 3, size, size, device=device)
    pixels = dict.fromkeys(models, dense[:, :: net.design.gamma].contiguous()) | {"dist": dense}
    return {
        name: Timed(model.to(device), pixels[name], labels, cross_entropy, pixels[name][:1])
        for name, model in models.items()
    }


def costs(rows: Measurements, frames: int = 8, rounds: int = ROUNDS, architecture: Architecture = VIT_B16) -> None:
    """Rows cost/memory.*, cost/step.* and cost/latency.*, relative to DiST."""
    methods = timed(frames, rows.device, architecture)
    latency = inference_costs(methods, "dist", rounds)["latency"]
    found = {**training_costs(methods, "dist", rows.device, rounds), "latency": latency}
    record_rounds(rows, found, {"frames": frames, "clips": CLIPS, "image model": architecture.vision})


GRID = TrainSettings(steps=300, batch=32, lr=2e-3, warmup=30)  # the short recipe of the wide grids
CORE = replace(GRID, steps=600, warmup=60)  # the live comparison
LONG = replace(GRID, steps=800, batch=64, warmup=80)  # what judges: on a GPU a step of 64 clips takes no longer
LIVE = tuple(f"timing/{name}" for name in ("order_blind", "integration_only", "dist"))
STUDY = Study(
    "dist",
    VARIANTS,
    recipes={"core": CORE, "grid": GRID, "tuned": Tuned(LONG)},
    grids={"core": LIVE, "grid": tuple(VARIANTS), "tuned": HEADLINE},
    tables=TABLES,
    costs=costs,
)

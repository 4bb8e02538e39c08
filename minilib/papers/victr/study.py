"""VicTR's experiments: motions in short clips, long clips, and classes that nobody trained.

python -m minilib.study victr --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from minilib.papers.victr.baselines import Hitchhiker, Probe, TemporalTransformer, XClip
from minilib.papers.victr.classifier import multi_label
from minilib.papers.victr.small import LOSS, Build, Loss
from minilib.papers.victr.unseen import (
    FRAMES,
    HELD,
    SEEN,
    FewShot,
    FewShotProbe,
    Questions,
    Text,
    ZeroShot,
    description,
    name,
    words,
)
from minilib.papers.victr.variants import HEADS as ABLATIONS
from minilib.study import Row, Study, Tuned, Variant
from minilib.study.embedded import Longer, LongMotions, Motions
from minilib.training import TrainSettings
from minilib.world.questions import ONCE

GRID = TrainSettings(steps=200, batch=16, lr=1.5e-3, warmup=20)  # the short recipe of the wide grids
CORE = replace(GRID, steps=600, warmup=60)  # the live comparison
LONG = replace(GRID, steps=1500, warmup=150)  # to a plateau
TUNING = FewShot(TrainSettings(steps=100, batch=16, lr=1e-3, warmup=10))
PROBE_RATE = 20 / 3  # of the recipe's rate, 1e-2: it starts from nothing
ASKED = (  # what an object does: among others, and alone in its clip, where nothing needs to be told apart
    ("questions", Questions()),
    ("questions_one", Questions(rhythm=replace(ONCE, objects=(1, 1)))),
)
DIRECTIONS = (3, 5)  # to which ten names are confined that otherwise stand at right angles
LOG_ODDS = -1.2  # about one motion in four happens in a long clip

# --- variants --------------------------------------------------------------------------------------------------------

HEADS = ABLATIONS | {
    "probe": Probe,
    "xclip": XClip,
    "actionclip": partial(TemporalTransformer, layers=6),
    "clip4clip": partial(TemporalTransformer, layers=4),
    "hitchhiker": Hitchhiker,
}
PLAIN = ("no_aux", "probe", "xclip", "actionclip", "clip4clip", "hitchhiker")  # without auxiliary text
SHORT_ROWS = ("victr", "clip_text", "probe", "no_aux", "clip_visual", "xclip")
LONG_ROWS = (*ABLATIONS, "actionclip", "clip4clip", "hitchhiker")
ZERO_SHOT_ROWS = ("victr", "clip_text", "xclip", "actionclip")
CONTROLS = {"control/shuffled_frames": "frames", "control/shuffled_labels": "labels"}


def short(head: str, control: str | None = None) -> Variant:
    """A head on motions in short clips."""
    task = Motions(control=control)
    return Variant(Build(HEADS[head], task.classes, task.frames, head not in PLAIN), task, LOSS)


def long(head: str, control: str | None = None, directions: int | None = None) -> Longer:
    """A head on long clips."""
    task = LongMotions(control=control)
    build = Build(HEADS[head], task.classes, task.frames, head not in PLAIN, LOG_ODDS, directions=directions)
    return Longer(build, task, Loss(multi_label))


def unseen(head: str, text: Text = name, asked: bool = False, control: str | None = None) -> ZeroShot:
    """A head on classes that it was not trained on; asked: few-shot and questions, too."""
    build = Build(HEADS[head], words(SEEN, text), FRAMES, head not in PLAIN)
    splits = tuple(words(split, text) for split in HELD)
    few = TUNING if asked and not control else None
    return ZeroShot(build, splits, few, ASKED if asked else (), control)


VARIANTS = {
    **{each: short(each) for each in SHORT_ROWS},
    **{each: short("victr", control) for each, control in CONTROLS.items()},
    **{f"long/{each}": long(each) for each in LONG_ROWS},
    **{f"long/{each}": long("victr", control) for each, control in CONTROLS.items()},
    **{f"long/directions{n}/{each}": long(each, directions=n) for n in DIRECTIONS for each in ("victr", "clip_text")},
    **{f"zeroshot/{each}": unseen(each, asked=each in ("victr", "xclip")) for each in ZERO_SHOT_ROWS},
    **{f"zeroshot/{each}": unseen("victr", asked=True, control=control) for each, control in CONTROLS.items()},
    **{f"zeroshot/rich/{each}": unseen(each, description) for each in ("victr", "clip_text")},
    "few/probe": FewShotProbe(Build(Probe, words(HELD[0]), FRAMES, auxiliary=False), TUNING, PROBE_RATE),
}

# --- tables ----------------------------------------------------------------------------------------------------------

LABELS = {
    "victr": "VicTR",
    "no_aux": "no auxiliary text",
    "clip_visual": "CLIP's visual embedding",
    "clip_text": "CLIP's text embedding",
    "no_affinity": "no affinity weighting",
    "joint": "joint attention",
    "text_classifier": "text classifier",
    "visual_classifier": "visual classifier",
    "actionclip": "ActionCLIP",
    "clip4clip": "CLIP4clip",
    "hitchhiker": "Hitchhiker",
    "xclip": "X-CLIP",
}


def table(variant: str, paper: str, *names: str) -> dict[str, Row]:
    """Rows of some variants, whose names go into the places of {}."""
    return {LABELS[each]: Row(variant.format(each), paper.format(each)) for each in names}


CHARADES = {"VicTR": Row("long/victr", "map.t5.4.charades.b16")}
TABLES = {
    **{
        f"5.1 {k}": {
            "linear classifier": Row(f"few/probe/few{k}"),
            "X-CLIP": Row(f"zeroshot/xclip/few{k}", f"t5.1.hmdb51.k{k}.xclip"),
            "VicTR": Row(f"zeroshot/victr/few{k}", f"top1.t5.1.hmdb51.k{k}"),
        }
        for k in TUNING.shots
    },
    "5.2": table("zeroshot/{}", "t5.2.hmdb51.{}", "actionclip", "xclip")
    | {"VicTR": Row("zeroshot/victr", "top1.t5.2.hmdb51")},
    "5.2 std": table("zeroshot/{}/std", "t5.2.hmdb51.{}.std", "actionclip", "xclip")
    | {"VicTR": Row("zeroshot/victr/std", "top1.t5.2.hmdb51.std")},
    "5.4": table("long/{}", "t5.4.charades.{}", "clip4clip", "actionclip", "hitchhiker") | CHARADES,
    "5.5 short": table("{}", "top1.t5.5.k400.{}", "victr", "no_aux", "clip_visual", "clip_text"),
    "5.5 long": CHARADES | table("long/{}", "map.t5.5.charades.{}", "no_aux", "clip_visual", "clip_text"),
    "5.5 directions": {  # ours: a test of the mechanism
        f"{shown}, {LABELS[each]}": Row(f"{where}/{each}")
        for shown, where in (
            *((f"{n} directions", f"long/directions{n}") for n in DIRECTIONS),
            ("all directions", "long"),
        )
        for each in ("clip_text", "victr")
    },
    "5.6": CHARADES
    | table("long/{}", "map.t5.6.charades.{}", "no_affinity", "joint", "text_classifier", "visual_classifier"),
    "5.7": {
        "names, CLIP's text": Row("zeroshot/clip_text", "top1.t5.7.hmdb51.names.clip_text"),
        "names, VicTR": Row("zeroshot/victr", "top1.t5.2.hmdb51"),
        "descriptions, CLIP's text": Row("zeroshot/rich/clip_text", "top1.t5.7.hmdb51.rich.clip_text"),
        "descriptions, VicTR": Row("zeroshot/rich/victr", "top1.t5.7.hmdb51.rich.victr"),
    },
    "5.8": {
        "X-CLIP": Row("zeroshot/xclip/questions", "t5.8.next_qa.xclip"),
        "VicTR": Row("zeroshot/victr/questions", "top1.t5.8.next_qa"),
    },
    "5.8 one": {  # a task of its own
        "X-CLIP": Row("zeroshot/xclip/questions_one"),
        "VicTR": Row("zeroshot/victr/questions_one"),
    },
    "controls": {
        "VicTR": Row("victr"),
        "linear classifier, frames' mean": Row("probe"),
        "VicTR, shuffled frames": Row("control/shuffled_frames"),
        "VicTR, shuffled labels": Row("control/shuffled_labels"),
    },
}

AT_LENGTH = tuple(  # classes that nobody trained are found only after a thousand steps
    each for each in VARIANTS if each.startswith(("zeroshot/", "few/", "long/directions"))
)
STUDY = Study(
    "victr",
    VARIANTS,
    recipes={"core": CORE, "grid": GRID, "tuned": Tuned(LONG)},
    grids={
        "core": ("victr", "clip_text", "probe"),
        "grid": tuple(each for each in VARIANTS if each not in AT_LENGTH),
        "tuned": (
            *("victr", "clip_text", "no_aux"),
            *(f"long/{each}" for each in ("victr", "clip_text", "hitchhiker", "actionclip", "clip4clip")),
            *AT_LENGTH,
        ),
    },
    tables=TABLES,
)

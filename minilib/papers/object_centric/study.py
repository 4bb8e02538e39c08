"""OCA's study: its variants on the small world, recipes and tables.

The image model is frozen and its views are fixed, so its features are made once a seed and kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from minilib import world
from minilib.cache import cached
from minilib.files import RUNS
from minilib.models.clip import FrameFeatures
from minilib.models.small_clip import small_clip
from minilib.papers.baselines import AIM, EVL, STAdapter, full_image
from minilib.papers.baselines.st_adapter import PLACES
from minilib.papers.object_centric.full_size import measure_costs
from minilib.papers.object_centric.losses import Objective
from minilib.papers.object_centric.masks import masks_and_changes, masks_and_references, slot_masks
from minilib.papers.object_centric.variants import DELTAS, DESIGNS, ROWS, WITHOUT_MASKS, Design
from minilib.study import Clips, Feed, Row, ShuffledFrames, Study, Tuned, Variant, WorldTask
from minilib.training import TrainSettings

GRID = TrainSettings(steps=300, batch=16, lr=3e-3, warmup=40)
RECIPES = {"core": replace(GRID, steps=700), "grid": GRID, "tuned": Tuned(replace(GRID, steps=1500))}
LOSSES = Objective(reasoning=0.1)  # of 1 and 0.1 the better on validation clips; Eq. 10 gives no scale to its sums
FRAMES, CLIPS, TEST_CLIPS = 4, 4096, 512
FEATURES = RUNS / "features"

# --- tasks -----------------------------------------------------------------------------------------------------------


def shuffled(features: FrameFeatures, seed: int) -> FrameFeatures:
    """The frames of each clip in a random order of its own. Frames are looked at one by one, so this is what the
    features of a shuffled clip would be."""
    return FrameFeatures(*(world.shuffled(x.movedim(0, 2), seed).movedim(2, 0) for x in vars(features).values()))


@dataclass(frozen=True)
class FeatureTask(WorldTask):
    """The small world's clips as tokens of the small CLIP's last block."""

    def whole(self, split: str, seed: int, device: str = "cpu") -> Feed:
        source = self.source(split, seed)
        return Clips(source, cached(small_clip(), source, [-1], FEATURES, device=device).batch, self.train)

    def feed(self, split: str, seed: int, device: str = "cpu") -> Feed:
        mixed = self.control == "frames"
        return ShuffledFrames(self.whole(split, seed, device), shuffled) if mixed else super().feed(split, seed, device)


# --- variants --------------------------------------------------------------------------------------------------------


def on_small_clip(feed: Feed, make: Design, frames: int, classes: int) -> nn.Module:
    """A model around the small CLIP's image tower."""
    return make(small_clip().visual, frames, classes)


OBJECTIVES = {
    "no_losses": replace(LOSSES, distillation=0, reasoning=0),
    "only_obj": replace(LOSSES, reasoning=0),
    "only_temp": replace(LOSSES, distillation=0),
}
ALSO = {  # what is scored beside accuracy
    **{f"appearance/{name}": slot_masks for name in DESIGNS if name not in WITHOUT_MASKS},
    "appearance/control/random_slots": masks_and_changes,
    "appearance/oca": masks_and_references,
    "oca": masks_and_changes,
}
BASELINES = {
    "st_adapter": partial(STAdapter, bottleneck=48, dropout=0.0),
    "aim": partial(AIM, dropout=0.0),
    "evl": partial(EVL, dropout=0.0, mlp_dropout=0.0),
    "full_image": full_image,
}
ON_MOTION = BASELINES | {"st_adapter": partial(STAdapter, places=PLACES, bottleneck=48, dropout=0.0)}
RATES = {"full_image": 0.1}
PREFIX = {"motion": "", "appearance": "appearance/", "noun": "noun/"}
SHARES = (5, 10, 25, 50)  # Figure 4: per cent of the training clips; with 100 they are the variants of `appearance`
FEW = ("oca", "st_adapter", "aim", "full_image")


def baseline_for(name: str, labels: str) -> Callable[..., nn.Module]:
    """A baseline as its authors have it on such data: make(visual, frames, classes)."""
    return (ON_MOTION if labels == "motion" else BASELINES)[name]


def variant(design: str, labels: str = "motion", train: int = CLIPS, control: str | None = None) -> Variant:
    """OCA or an ablation of it on cached features, or a baseline, which trains through the image model, on pixels."""
    if design in BASELINES:
        task = WorldTask(labels, FRAMES, train, TEST_CLIPS)
        build = partial(on_small_clip, make=baseline_for(design, labels), frames=FRAMES, classes=len(task.classes))
        return Variant(build, task, lr=RATES.get(design, 1.0))
    task = FeatureTask(labels, 2 * FRAMES if design in DELTAS else FRAMES, train, TEST_CLIPS, control)
    build = partial(on_small_clip, make=DESIGNS[design], frames=task.frames, classes=len(task.classes))
    also = ALSO.get(PREFIX[labels] + design) if (train, control) == (CLIPS, None) else None
    return Variant(build, task, OBJECTIVES.get(design, LOSSES), also=also)


VARIANTS = {
    **{PREFIX[on] + name: variant(name, on) for on in ("motion", "appearance") for name in DESIGNS},
    **{PREFIX[on] + name: variant(name, on) for on in PREFIX for name in BASELINES},
    "noun/oca": variant("oca", "noun"),
    "control/shuffled_frames": variant("oca", control="frames"),
    **{f"{PREFIX[on]}control/shuffled_labels": variant("oca", on, control="labels") for on in PREFIX},
    **{f"few/{p}/{name}": variant(name, "appearance", CLIPS * p // 100) for p in SHARES for name in FEW},
}
GRIDS = {
    "core": ("oca", "order_blind", "appearance/oca"),
    "grid": tuple(VARIANTS),
    "tuned": ("oca", "no_losses", "tokens", "st_adapter", "aim", "evl", "appearance/oca"),
}

# --- tables ----------------------------------------------------------------------------------------------------------

NAMES = {"oca": "OCA", "st_adapter": "ST-Adapter", "aim": "AIM", "evl": "EVL", "full_image": "full fine-tuning"}
OTHER_MASKS = {
    "slots frozen as they start": "appearance/control/random_slots/jf",
    "k-means of the same features": "appearance/oca/jf_kmeans",
    "a fixed grid of boxes": "appearance/oca/jf_boxes",
}
NOUNS = {"oca": "t3.noun.b16", "st_adapter": "t3.noun.st_adapter.b16", "evl": "t3.noun.evl.b16"}


def table(number: int, data: str, metric: str = "{}", without: tuple[str, ...] = ()) -> dict[str, Row]:
    """One of the paper's tables: top-1 on ssv2 or k400, or J&F on davis. metric: the name of a variant's."""
    rows = {name: row for name, row in ROWS[number].items() if name not in without}
    return {label: Row(metric.format(name), f"t{number}.{row}.{data}") for name, (label, row) in rows.items()}


TABLES = {
    **{f"t{number}.motion": table(number, "ssv2") for number in ROWS},
    **{f"t{number}.appearance": table(number, "k400", "appearance/{}") for number in ROWS},
    **{f"t{number}.masks": table(number, "davis", "appearance/{}/jf", WITHOUT_MASKS) for number in ROWS if number != 6},
    **{f"baselines.{on}": {words: Row(PREFIX[on] + name) for name, words in NAMES.items()} for on in PREFIX},
    "t3": {label: Row(f"noun/{name}", NOUNS.get(name)) for name, label in NAMES.items()},
    "controls": {
        "OCA": Row("oca"),
        "its order-blind twin": Row("order_blind"),
        "shuffled frames": Row("control/shuffled_frames"),
        "shuffled labels": Row("control/shuffled_labels"),
        "slots frozen as they start": Row("control/random_slots"),
    },
    "t4": {
        "slots, trained on appearance": Row("appearance/oca/jf", "t4.davis.k400.jf"),
        "slots, trained on motion": Row("oca/jf", "t4.davis.ssv2.jf"),
        **{label: Row(metric) for label, metric in OTHER_MASKS.items()},
        "the truth, rounded to patches": Row("appearance/oca/jf_true"),
        "refined: trained on appearance": Row("appearance/oca/jf_crf", "t4.davis.k400_crf.jf"),
        "refined: trained on motion": Row("oca/jf_crf"),
        **{f"refined: {label}": Row(f"{metric}_crf") for label, metric in OTHER_MASKS.items()},
    },
}
STUDY = Study("object_centric", VARIANTS, RECIPES, GRIDS, TABLES, measure_costs)

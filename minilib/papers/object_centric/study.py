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
from minilib.papers.object_centric.taught import taught
from minilib.papers.object_centric.variants import DELTAS, DESIGNS, ON_TIMING, ROWS, TIMING, WITHOUT_MASKS, Design
from minilib.study import Clips, Feed, Row, ShuffledFrames, Study, Tuned, Variant, WorldTask
from minilib.study.feeds import Kept, pair_metric
from minilib.training import TrainSettings

GRID = TrainSettings(steps=300, batch=16, lr=3e-3, warmup=40)
LONG = replace(GRID, steps=800, batch=64, warmup=80)  # what judges: on a GPU a step of 64 clips takes no longer
RECIPES = {"core": replace(GRID, steps=700), "grid": GRID, "tuned": Tuned(LONG)}
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
        features = cached(small_clip(), source, [-1], FEATURES, device=device)
        return Clips(source, features.batch, self.train, Kept(source.labels, len(source)))

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


def masks_and_pairs(model: nn.Module, feed: Clips, device: str) -> dict[str, float]:
    """What is scored of a model of motions: its masks, state changes, and accuracy within mirrored pairs."""
    return masks_and_changes(model, feed, device) | pair_metric(model, feed, device)


HARD = "hard_appearance/"
ALSO = {  # what is scored beside accuracy
    **{HARD + name: slot_masks for name in DESIGNS if name not in WITHOUT_MASKS},
    HARD + "control/random_slots": masks_and_changes,
    HARD + "oca": masks_and_references,
    "oca": masks_and_pairs,
    "timing/oca": pair_metric,
}
BASELINES = {
    "st_adapter": partial(STAdapter, bottleneck=48, dropout=0.0),
    "aim": partial(AIM, dropout=0.0),
    "evl": partial(EVL, dropout=0.0, mlp_dropout=0.0),
    "full_image": full_image,
}
ON_MOTION = BASELINES | {"st_adapter": partial(STAdapter, places=PLACES, bottleneck=48, dropout=0.0)}
RATES = {"full_image": 0.1}
PREFIX = {"motion": "", "timing": "timing/", "hard appearance": HARD, "hard noun": "hard_noun/"}
TRAIN = {labels: world.FEW * len(world.TASKS[labels]) for labels in ("hard appearance", "hard noun")}
SHARES = (5, 10, 25, 50, 100)  # Figure 4: per cent of the training clips, of plain appearance
FEW = ("oca", "st_adapter", "aim", "full_image")
MOTION = (
    *("oca", "order_blind", "no_losses", "only_obj", "only_temp", "slots1", "slots4", "slots16", "tokens"),
    *("control/random_slots", "delta1", "delta2", "delta4", "delta7"),  # the deltas: what steady motion says of them
)


def baseline_for(name: str, labels: str) -> Callable[..., nn.Module]:
    """A baseline as its authors have it on such data: make(visual, frames, classes)."""
    return (ON_MOTION if labels == "motion" else BASELINES)[name]


def frames_of(design: str, labels: str) -> int:
    """Eight where intervals are compared, and on the timing task; else four."""
    dense = design in DELTAS or (labels == "timing" and design != "four_frames")
    return 2 * FRAMES if dense else FRAMES


def variant(design: str, labels: str = "motion", train: int = 0, control: str | None = None) -> Variant:
    """OCA or an ablation of it on cached features, or a baseline, which trains through the image model, on pixels.
    train: learn from so many clips, by default the task's."""
    clips = train or TRAIN.get(labels, CLIPS)
    if design in BASELINES:
        task = WorldTask(labels, FRAMES, clips, TEST_CLIPS)
        build = partial(on_small_clip, make=baseline_for(design, labels), frames=FRAMES, classes=len(task.classes))
        return Variant(build, task, lr=RATES.get(design, 1.0))
    task = FeatureTask(labels, frames_of(design, labels), clips, TEST_CLIPS, control)
    make = TIMING[design] if labels == "timing" else DESIGNS[design]
    build = partial(on_small_clip, make=make, frames=task.frames, classes=len(task.classes))
    also = None if train or control else ALSO.get(PREFIX.get(labels, labels) + design)
    return Variant(build, task, OBJECTIVES.get(design, LOSSES), also=also)


def shuffled_frames(labels: str) -> Variant:
    """The negative control of order, on so many test clips that it is known within three points of half."""
    plain = variant("oca", labels, control="frames")
    return replace(plain, task=replace(plain.task, test=4096), also=pair_metric)


def from_masks(losses: str, frozen: bool = False) -> Variant:
    """OCA on hard appearance whose slots were taught the true masks before."""
    plain = variant(losses, "hard appearance")
    build = partial(taught, classes=len(plain.task.classes), frozen=frozen)
    return replace(plain, build=build, also=slot_masks)


VARIANTS = {
    **{name: variant(name) for name in MOTION},
    **{f"timing/{name}": variant(name, "timing") for name in TIMING},
    **{HARD + name: variant(name, "hard appearance") for name in DESIGNS if name != "order_blind"},
    **{PREFIX[on] + name: variant(name, on) for on in PREFIX if on != "timing" for name in BASELINES},
    "hard_noun/oca": variant("oca", "hard noun"),
    "control/shuffled_frames": shuffled_frames("motion"),
    "timing/control/shuffled_frames": shuffled_frames("timing"),
    **{f"{PREFIX[on]}control/shuffled_labels": variant("oca", on, control="labels") for on in PREFIX},
    "appearance/control/shuffled_labels": variant("oca", "appearance", control="labels"),
    **{f"few/{p}/{name}": variant(name, "appearance", CLIPS * p // 100) for p in SHARES for name in FEW},
    f"{HARD}taught/frozen": from_masks("oca", frozen=True),
    **{f"{HARD}taught/{losses}": from_masks(losses) for losses in ("oca", "only_obj", "no_losses")},
}
GRIDS = {
    "core": ("oca", "order_blind", f"{HARD}oca"),
    "grid": tuple(VARIANTS),
    "tuned": ("oca", "no_losses", "tokens", "st_adapter", "aim", "evl", f"{HARD}oca"),
}

# --- tables ----------------------------------------------------------------------------------------------------------

NAMES = {"oca": "OCA", "st_adapter": "ST-Adapter", "aim": "AIM", "evl": "EVL", "full_image": "full fine-tuning"}
REFERENCES = {  # beside every J&F: as many clusters as slots, slots that never learned, what patches can hold at all
    "untrained slots": f"{HARD}control/random_slots/jf",
    "k-means of the same features": f"{HARD}oca/jf_kmeans",
    "the truth, rounded to patches": f"{HARD}oca/jf_true",
}
OTHER_MASKS = {label: metric for label, metric in REFERENCES.items() if not metric.endswith("true")} | {
    "a fixed grid of boxes": f"{HARD}oca/jf_boxes",
}
NOUNS = {"oca": "t3.noun.b16", "st_adapter": "t3.noun.st_adapter.b16", "evl": "t3.noun.evl.b16"}
FROM_MASKS = {
    "frozen": "taught, then frozen",
    "no_losses": "taught, then classification",
    "only_obj": "taught, then + object distillation",
    "oca": "taught, then + both losses",
}


def table(number: int, data: str, metric: str = "{}", without: tuple[str, ...] = ()) -> dict[str, Row]:
    """One of the paper's tables: top-1 on ssv2 or k400, or J&F on davis. metric: the name of a variant's."""
    rows = {name: row for name, row in ROWS[number].items() if name not in without}
    return {label: Row(metric.format(name), f"t{number}.{row}.{data}") for name, (label, row) in rows.items()}


def on_timing(number: int) -> dict[str, Row]:
    """A table on the timing task, where some variants have another name."""
    names = ON_TIMING[number]
    return {
        label: Row(f"timing/{names.get(name, name)}", f"t{number}.{row}.ssv2")
        for name, (label, row) in ROWS[number].items()
    }


TABLES = {
    **{f"t{number}.motion": table(number, "ssv2") for number in ROWS if number not in ON_TIMING},
    **{f"t{number}.timing": on_timing(number) for number in ON_TIMING},
    "t8.motion": {f"delta {delta}": Row(f"delta{delta}") for delta in (1, 2, 4, 7)},
    **{f"t{number}.appearance": table(number, "k400", HARD + "{}") for number in ROWS},
    **{f"t{number}.masks": table(number, "davis", HARD + "{}/jf", WITHOUT_MASKS) for number in ROWS if number != 6},
    **{
        f"baselines.{on}": {words: Row(PREFIX[on] + name) for name, words in NAMES.items()}
        for on in PREFIX
        if on != "timing"
    },
    "t3": {label: Row(f"hard_noun/{name}", NOUNS.get(name)) for name, label in NAMES.items()},
    "controls": {
        "OCA": Row("oca"),
        "its order-blind twin": Row("order_blind"),
        "shuffled frames": Row("control/shuffled_frames"),
        "shuffled labels": Row("control/shuffled_labels"),
        "slots frozen as they start": Row("control/random_slots"),
    },
    "pairs": {
        "motion: OCA": Row("oca/pairs"),
        "motion: shuffled frames": Row("control/shuffled_frames/pairs"),
        "timing: OCA": Row("timing/oca/pairs"),
        "timing: shuffled frames": Row("timing/control/shuffled_frames/pairs"),
    },
    "t4": {
        "slots, trained on appearance": Row(f"{HARD}oca/jf", "t4.davis.k400.jf"),
        "slots, trained on motion": Row("oca/jf", "t4.davis.ssv2.jf"),
        **{label: Row(metric) for label, metric in OTHER_MASKS.items()},
        "the truth, rounded to patches": Row(REFERENCES["the truth, rounded to patches"]),
        "refined: trained on appearance": Row(f"{HARD}oca/jf_crf", "t4.davis.k400_crf.jf"),
        "refined: trained on motion": Row("oca/jf_crf"),
        **{f"refined: {label}": Row(f"{metric}_crf") for label, metric in OTHER_MASKS.items()},
    },
    "taught": {label: Row(f"{HARD}taught/{name}/jf") for name, label in FROM_MASKS.items()}
    | {label: Row(metric) for label, metric in REFERENCES.items()},
}
STUDY = Study("object_centric", VARIANTS, RECIPES, GRIDS, TABLES, measure_costs)

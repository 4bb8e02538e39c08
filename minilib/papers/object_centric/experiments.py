"""Running OCA's arms on the small world, with paired seeds.

The image model is frozen and the views are fixed, so its features are made once a seed, kept on disk, and shared by all
arms. The seed sets the clips that an arm is trained on, the start of everything new and the order of the batches;
evaluation clips are always the same.

    python -m minilib.papers.object_centric.experiments --seeds 5 --jobs 2     measures what results/rows lacks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilib import world
from minilib.cache import CachedFeatures, cached, feature_batches, held_feature_batches
from minilib.claims import Measurements
from minilib.files import ROOT
from minilib.grids import command_line, in_words, measure_all, random_labels
from minilib.models.clip import FrameFeatures, ImageText
from minilib.models.crf import refine
from minilib.models.slots import SlotAttention
from minilib.models.small_clip import small_clip
from minilib.papers.object_centric.arms import ARMS, CLIPS, Arm
from minilib.papers.object_centric.masks import boxes, change_norms, clusters, enlarge, percent, proposals, score
from minilib.papers.object_centric.method import ObjectCentric, Parts
from minilib.training import Batches, History, TrainSettings, accuracy, evaluate, train
from minilib.world import MOTIONS, TASKS, WorldClips, held_batches, train_batches
from minilib.world.segmentation import segmentation_batch

GRID = TrainSettings(steps=300, batch=16, lr=3e-3, warmup=40)  # the short recipe of the wide grids
CORE = replace(GRID, steps=700)  # the live comparison
TEST_CLIPS = 512
MASKED_CLIPS = 64  # of the segmentation task
MASKED = ("oca", *(name for name in ARMS if name.startswith("appearance/")))  # arms whose masks are scored
FEATURES = ROOT / "runs" / "features"


@dataclass(frozen=True)
class Sizes:
    """How many clips there are to train on, of which an arm may take fewer, and to test on."""

    train: int = CLIPS
    test: int = TEST_CLIPS


FULL = Sizes()


@cache
def image_model() -> ImageText:
    return small_clip()


@cache
def features(clips: WorldClips, device: str = "cpu") -> CachedFeatures:
    """Tokens of the last block of all clips, from disk where they have been made before."""
    return cached(image_model(), clips, [-1], FEATURES, device=device)


def described(arm: Arm, recipe: TrainSettings) -> str:
    """All that makes a row but the seed, in words: what its settings hash is taken of."""
    return in_words(arm, replace(recipe, seed=0), f"{TEST_CLIPS} test clips, {MASKED_CLIPS} with masks")


def build(arm: Arm, seed: int) -> nn.Module:
    """An arm's model at its start; what trains the image model too gets one of its own."""
    torch.manual_seed(seed)
    visual = (small_clip() if arm.on_frames else image_model()).visual
    return arm.build(visual, arm.frames, len(TASKS[arm.task]))


def shuffled(features: FrameFeatures, seed: int) -> FrameFeatures:
    """The frames of each clip in a random order of its own. Frames are looked at one by one, so this is what the
    features of a shuffled clip would be."""
    return FrameFeatures(
        *(world.shuffled(x.movedim(0, 2), seed).movedim(2, 0) for x in (features.cls, features.patches))
    )


def batches(arm: Arm, seed: int, batch: int, device: str = "cpu", sizes: Sizes = FULL) -> Batches:
    """step -> (features, labels) of an arm's training clips, damaged where it is a control."""
    clips = WorldClips(arm.task, seed, "train", sizes.train, arm.frames)
    whole = features(clips, device)
    first = CachedFeatures(whole.cls[: arm.limit], whole.patches[: arm.limit])  # one cache serves every limit
    given = feature_batches(first, clips, seed, batch)
    damage: dict[str | None, Callable] = {
        None: lambda step, x, label: (x, label),
        "frames": lambda step, x, label: (shuffled(x, step), label),
        "labels": lambda step, x, label: (x, random_labels(label, len(TASKS[arm.task]), step)),
    }
    return lambda step: damage[arm.control](step, *given(step))


def held(arm: Arm, device: str = "cpu", sizes: Sizes = FULL) -> Iterator[tuple[list[FrameFeatures], Tensor]]:
    """The test clips of an arm as `training.evaluate` wants them; shuffled where training was."""
    clips = WorldClips(arm.task, 0, "test", sizes.test, arm.frames)
    for views, label in held_feature_batches(features(clips, device), clips):
        yield [shuffled(view, 0) for view in views] if arm.control == "frames" else views, label


def run(
    arm: Arm,
    recipe: TrainSettings,
    seed: int,
    device: str = "cpu",
    label: str = "training",
    sizes: Sizes = FULL,
) -> tuple[nn.Module, History, float]:
    """Trains one arm; returns the model, its history and its top-1 accuracy on the test clips, in percent."""
    model, classes = build(arm, seed), len(TASKS[arm.task])
    recipe = replace(recipe, lr=arm.lr * recipe.lr, seed=seed)
    if arm.on_frames:
        given = train_batches(arm.task, seed, recipe.batch, arm.frames, limit=arm.limit)
        tests = held_batches(arm.task, 0, sizes.test, arm.frames)
    else:
        given, tests = batches(arm, seed, recipe.batch, device, sizes), held(arm, device, sizes)
    history = train(model, given, recipe, classes, device, label=label, objective=arm.objective)
    return model, history, accuracy(*evaluate(model, tests, device))


@cache
def segmentation(frames: int) -> tuple[Tensor, Tensor, FrameFeatures]:
    """The test clips of the segmentation task: frames, identities, features of the last block."""
    pixels, truth = segmentation_batch(0, "test", np.arange(MASKED_CLIPS), frames)
    with torch.no_grad():
        return pixels, truth, image_model().frame_features(pixels, [-1])


@torch.no_grad()
def parsed(model: ObjectCentric, frames: int, device: str = "cpu") -> tuple[Parts, Tensor]:
    """What a model makes of the segmentation clips, and its soft masks (b, t, s, h, w)."""
    pixels, _, given = segmentation(frames)
    parts = model.to(device).eval().parts(given.to(device))
    return parts, enlarge(parts.masks.cpu(), image_model().visual.grid_size, pixels.shape[2:4])


def mask_rows(name: str, arm: Arm, model: ObjectCentric, device: str = "cpu") -> dict[str, float]:
    """Zero-shot J&F of an arm's masks under the name of its measure: seg/<arm> if trained on appearance (the paper's
    Kinetics), else seg/motion/<arm>. For OCA itself the norms of Table 11 too, its masks refined by a random field, and
    what they are compared with, bare and refined."""
    task, short = ("", name.removeprefix("appearance/")) if arm.task == "appearance" else ("motion/", name)
    pixels, truth, given = segmentation(arm.frames)
    parts, soft = parsed(model, arm.frames, device)
    answer = proposals(soft)
    jf = lambda answer: percent(score(truth, answer))["jf"]  # noqa: E731
    rows = {f"seg/{task}{short}": jf(answer)}
    if short in ("oca", "control/random_slots"):
        rows[f"seg/{task}crf/{short}"] = jf(proposals(refine(pixels, soft)))
    if short == "oca":
        at = "norm/appearance" if arm.task == "appearance" else "norm"
        rows[f"{at}/foreground"], rows[f"{at}/background"] = change_norms(parts.changes.cpu(), truth, answer)
    if name == "appearance/oca":
        patches = model.joint(given.to(device))[1].cpu()
        drawn = boxes(4, 4, truth.shape[2:]).long() - 1
        others = {
            "kmeans": enlarge(clusters(patches, parts.masks.shape[2]), image_model().visual.grid_size, truth.shape[2:]),
            "control/boxes": F.one_hot(drawn).movedim(-1, 0).float().expand(*truth.shape[:2], -1, -1, -1),
        }
        rows |= {f"seg/{what}": jf(proposals(each)) for what, each in others.items()}
        rows |= {f"seg/crf/{what}": jf(proposals(refine(pixels, each))) for what, each in others.items()}
    return rows


def measure(name: str, seed: int, measurements: Measurements, recipe: TrainSettings = GRID) -> float:
    """The accuracy of one arm of the grid with one seed: a row that is there, or the run that makes it and the rows of
    its masks."""
    arm = ARMS[name]
    settings, known = described(arm, recipe), f"grid/{name}"
    value = measurements.find(known, seed, settings)
    if value is not None:
        return value
    model, history, value = run(arm, recipe, seed, measurements.device, name)
    if isinstance(model, ObjectCentric) and isinstance(model.decompose, SlotAttention) and name in MASKED:
        for row, jf in mask_rows(name, arm, model, measurements.device).items():
            measurements.record(row, jf, seed, settings)
    measurements.record(known, value, seed, settings, history.seconds)
    return value


def recipe(scale: str) -> tuple[TrainSettings, Sizes]:
    """The live comparison's recipe, or for smoke a few steps that only show that everything runs."""
    return (CORE, FULL) if scale == "small" else (replace(GRID, steps=4, warmup=1, batch=8), Sizes(64, 64))


def contrasts(measurements: Measurements, seeds: list[int]) -> None:
    """What OCA is ahead of ST-Adapter with a tenth of the clips and with all (Figure 4), and chance, as rows."""
    for seed in seeds:
        for share, where in ((10, "few/10"), (100, "appearance")):
            ours, theirs = (measure(f"{where}/{name}", seed, measurements) for name in ("oca", "st_adapter"))
            measurements.measured_or_run(f"contrast/few/{share}", lambda a=ours, b=theirs: a - b, seed)
        measurements.measured_or_run("grid/chance", lambda: 100 / len(MOTIONS), seed)


measure_grid = partial(measure_all, measure, names=tuple(ARMS), after=contrasts)

if __name__ == "__main__":
    command_line("object_centric", tuple(ARMS), measure, after=contrasts)

"""VicTR on classes that it was never trained on (Tables 5.1, 5.2, 5.7 and 5.8).

A class is a shape and a motion, "star moving right". Each shape is trained without three of the five pairs of mirrored
motions, one pair a *split*; a spin, which cannot be told of every shape, is never held out. One model is trained for
all three splits, as one Kinetics model serves all splits in the paper, and asked which of a split's 16 classes a clip
shows: chance is one in 16. Then the same model
- is tuned on k clips of each class of the first split (few-shot);
- answers what an object does, in clips of several objects, of which it sees four frames at a time (questions).

Training sets a clip against the classes of its own batch: all of them at once would cost several times as much.

Axes: b clips, t frames, n names, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from minilib.datasets.few_shot import few_shot
from minilib.grids import in_words
from minilib.papers.victr.arms import GRID_ARMS, SCALE, Arm, Names, Reader, names_of, started
from minilib.papers.victr.classifier import victr_loss
from minilib.papers.victr.clips import ASKED, FRAMES, Embedded, QuestionClips, embedded
from minilib.papers.victr.runs import AUXILIARY, COMMON, Sizes, logits, loss
from minilib.training import TrainSettings, accuracy, train
from minilib.world import MOTIONS, SHAPES, Question, WorldClips, clip_scenes

PAIRS = tuple(pair for pair, name in enumerate(MOTIONS[::2]) if not name.startswith("spinning"))
SPLITS = 3
SHOTS = (2, 4, 8, 16)
SIZES = Sizes(4096, 2048)
VIEWS = range(0, 9, 2)  # where four neighbouring frames of the twelve of a question's clip begin

ALL = tuple((shape, motion) for shape in range(len(SHAPES)) for motion in range(len(MOTIONS)))
HELD = tuple(
    tuple((shape, 2 * PAIRS[(shape + 2 * split) % len(PAIRS)] + way) for shape in range(len(SHAPES)) for way in (0, 1))
    for split in range(SPLITS)
)
CHANCE = 100 / (2 * len(SHAPES))  # percent: every split has a pair of motions of each shape
SEEN = tuple(each for each in ALL if not any(each in split for split in HELD))

ENDS = {  # what is seen at the start and at the end: "star left and star right moving right"
    "moving right": ("{} left", "{} right"), "moving down": ("{} top", "{} bottom"),
    "growing": ("small {}", "large {}"), "spinning clockwise": ("{}", "{}"),
    "appearing": ("one object", "one object and one {}"), "coming together": ("two {} apart", "two {} together"),
}  # fmt: skip


def name(shape: int, motion: int) -> str:
    """Of a class."""
    return f"{SHAPES[shape]} {MOTIONS[motion]}"


def description(shape: int, motion: int) -> str:
    """What the frames of such a clip look like, first and last, in words that the small CLIP's captions have."""
    first, last = ENDS[MOTIONS[motion & ~1]][:: -1 if motion & 1 else 1]
    return f"{first} and {last} {MOTIONS[motion]}".replace("{}", SHAPES[shape])


Text = Callable[[int, int], str]  # shape, motion -> how a class is put into words
TEXTS: dict[str, Text] = {"names": name, "rich": description}


def seen_names(text: Text) -> Names:
    """Of the classes that are trained on; their whitening serves every other text."""
    return names_of(tuple(text(*each) for each in SEEN))


def classes_of(seed: int, split: str, count: int) -> Tensor:
    """The place in ALL of every clip's class, (n,)."""
    scenes = clip_scenes(seed, split, np.arange(count))
    return torch.as_tensor(scenes.shape[:, 0] * len(MOTIONS) + scenes.motion[:, 0, 0])


def only(seed: int, split: str, count: int, classes: tuple[tuple[int, int], ...], device: str = "cpu") -> Embedded:
    """The clips of some classes, labelled with their places there. The same clips as those of the motion task."""
    whole = embedded(WorldClips("motion", seed, split, count, FRAMES), device)
    place = torch.full((len(ALL),), -1)
    place[[ALL.index(each) for each in classes]] = torch.arange(len(classes))
    label = place[classes_of(seed, split, count)]
    return Embedded(whole.frames, label)[label >= 0]


def among_batch(model: Reader, frames: Tensor, labels: Tensor) -> Tensor:
    """The loss against the classes that occur in the batch."""
    classes, place = labels.unique(return_inverse=True)
    return victr_loss(model.scores(frames, model.names[classes]), place, weight=AUXILIARY)


def build(arm: Arm, names: Names, clips: Embedded, seed: int) -> Reader:
    """An arm at its start, reading some names."""
    torch.manual_seed(seed)
    return Reader(started(arm.build(FRAMES, len(names.classes), scale=SCALE)), names, clips.frames, arm.auxiliary)


def pretrained(
    arm: Arm, text: Text, recipe: TrainSettings, seed: int, device: str = "cpu", label: str = "", sizes: Sizes = SIZES
) -> Reader:
    """Trained on the seen classes."""
    clips, names = only(seed, "train", sizes.train, SEEN, device), seen_names(text)
    model, recipe = build(arm, names, clips, seed), replace(recipe, seed=seed)
    train(model, clips.batches(seed, recipe.batch), recipe, len(SEEN), device, label=label, objective=among_batch)
    return model


def reading(model: Reader, names: Tensor) -> Reader:
    """The same model, its weights shared, with other names."""
    other = copy(model)
    other._buffers = model._buffers | {"names": names.to(model.names)}
    return other


def zero_shot(model: Reader, text: Text, device: str = "cpu", sizes: Sizes = SIZES, split: str = "test") -> list[float]:
    """Accuracy among the classes of each split, in percent."""
    out = []
    for held in HELD:
        clips = only(0, split, sizes.test, held, device)
        names = seen_names(text).read([text(*each) for each in held])
        out.append(accuracy(logits(reading(model, names), clips.frames, device), clips.labels))
    return out


def few_shots(
    model: Reader,
    recipe: TrainSettings,
    seed: int,
    device: str = "cpu",
    sizes: Sizes = SIZES,
    shots: Sequence[int] = SHOTS,
    split: str = "test",
) -> dict[int, float]:
    """Accuracy in percent among the first split's classes after tuning a copy of `model` on k clips of each, by k."""
    pool, held = only(seed, "train", sizes.train, HELD[0], device), only(0, split, sizes.test, HELD[0], device)
    names, out = [name(*each) for each in HELD[0]], {}
    own = reading(model, seen_names(name).read(names))
    for k in shots:
        clips, tuned = pool[torch.as_tensor(few_shot(pool.labels.tolist(), k, seed, names))], deepcopy(own)
        given = clips.batches(seed, recipe.batch)
        train(tuned, given, replace(recipe, seed=seed), len(HELD[0]), device, label=f"{k} clips", objective=loss)
        out[k] = accuracy(logits(tuned, held.frames, device), held.labels)
    return out


def unread(seed: int, device: str = "cpu", sizes: Sizes = SIZES) -> Reader:
    """The linear classifier for `few_shots`, which reads no text and is not pretrained."""
    clips = only(seed, "train", sizes.train, SEEN, device)
    return build(GRID_ARMS["probe"], names_of(tuple(name(*each) for each in HELD[0])), clips, seed)


def statements(question: Question) -> list[str]:
    """Each answer as the name of a class, "star moving right": no class that was trained on says a colour, and the
    objects of a clip differ in shape."""
    shape = question.subject.split()[-1]
    return [f"{shape} {answer}" for answer in question.answers]


@torch.no_grad()
def answers(model: Reader, device: str = "cpu", count: int = ASKED, split: str = "test") -> float:
    """How many questions are answered right, in percent: the answer whose statement the clip's views are nearest to."""
    source = QuestionClips(0, split, count)
    clips, asked = embedded(source, device), [statements(question) for question in source.questions]
    every = sorted({statement for each in asked for statement in each})
    names = seen_names(name).read(every).to(device)
    choice = torch.tensor([[every.index(statement) for statement in each] for each in asked])
    right, model = 0, model.to(device).eval()
    for part, which, label in zip(*(x.split(64) for x in (clips.frames, choice, clips.labels)), strict=True):
        views = [part[:, start : start + FRAMES].to(device) for start in VIEWS]
        score = sum(model.scores(view, names[which.to(device)]).logits.softmax(-1) for view in views)
        right += int((score.argmax(-1).cpu() == label).sum())
    return 100 * right / count


def described(arm: Arm, what: str, recipe: TrainSettings, tuning: TrainSettings) -> str:
    """All that makes a row but the seed, in words."""
    recipes = replace(recipe, seed=0), replace(tuning, seed=0)
    return in_words(arm, what, *recipes, SIZES, ENDS, HELD, f"{ASKED} questions in {VIEWS}", COMMON)

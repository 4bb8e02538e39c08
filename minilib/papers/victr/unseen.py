"""VicTR on classes that it was never trained on (Tables 5.1, 5.2, 5.7 and 5.8).

A class is a shape and a motion, "star moving right". Each shape is trained without three of the five pairs of mirrored
motions, one pair a *split*; a spin, which not every shape shows, is never held out. One model is trained for all three
splits, as one Kinetics model serves all splits in the paper, and asked which of a split's 16 classes a clip shows:
chance is one in 16. Then the same model
- is tuned on k clips of each class of the first split (few-shot);
- answers what an object does, in clips of several objects, and of one alone, where nothing needs to be told apart
  (questions).

Axes: b clips, t frames, n names, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from statistics import mean, pstdev

import numpy as np
import torch

from minilib.datasets.few_shot import few_shot
from minilib.papers.victr.recogniser import Reader
from minilib.papers.victr.small import LOSS, Build, Loss, other_names
from minilib.resume import History
from minilib.study import Outcome, Trial, top1
from minilib.study.embedded import Embedded, embedded
from minilib.study.study import CHECKPOINT_EVERY
from minilib.training import TrainSettings, train
from minilib.world import MOTIONS, SHAPES, Question, Rhythm, WorldClips, clip_scenes
from minilib.world.busy_clips import QuestionClips
from minilib.world.questions import ONCE

Class = tuple[int, int]  # shape, motion
PAIRS = tuple(pair for pair, name in enumerate(MOTIONS[::2]) if not name.startswith("spinning"))
SPLITS = 3
FRAMES = 4

ALL = tuple((shape, motion) for shape in range(len(SHAPES)) for motion in range(len(MOTIONS)))
HELD = tuple(
    tuple((shape, 2 * PAIRS[(shape + 2 * split) % len(PAIRS)] + way) for shape in range(len(SHAPES)) for way in (0, 1))
    for split in range(SPLITS)
)
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


def words(classes: Sequence[Class], text: Text = name) -> tuple[str, ...]:
    """Classes put into words."""
    return tuple(text(*each) for each in classes)


def clips_of(classes: Sequence[Class], seed: int, split: str, count: int, device: str = "cpu") -> Embedded:
    """Of the first `count` clips of the motion task those of some classes, labelled with their places there."""
    scenes = clip_scenes(seed, split, np.arange(count))
    place = torch.full((len(ALL),), -1)
    place[[ALL.index(each) for each in classes]] = torch.arange(len(classes))
    label = place[scenes.shape[:, 0] * len(MOTIONS) + scenes.motion[:, 0, 0]]
    whole = embedded(WorldClips("motion", seed, split, count, FRAMES), device)
    return Embedded(whole.frames, label)[label >= 0]


def statements(question: Question) -> list[str]:
    """Each answer as the name of a class, "star moving right": no class that was trained on says a colour, and the
    objects of a clip differ in shape."""
    shape = question.subject.split()[-1]
    return [f"{shape} {answer}" for answer in question.answers]


# --- what a trained model is asked -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FewShot:
    """Tunes copies of a model on k clips of each class of the first split, for each k of `shots`."""

    recipe: TrainSettings
    shots: tuple[int, ...] = (2, 4, 8, 16)
    objective: Loss = LOSS

    def __call__(self, model: Reader, pool: Embedded, test: Embedded, seed: int, device: str) -> dict[str, float]:
        """{"few<k>": accuracy in percent} on the clips `test`; the k clips are drawn from `pool`."""
        names, recipe, out = words(HELD[0]), self.recipe.with_seed(seed), {}
        own = model.reading(other_names(names, words(SEEN)))
        for k in self.shots:
            chosen = few_shot(pool.labels.tolist(), k, seed, names)
            clips, tuned = pool[torch.as_tensor(chosen)], deepcopy(own)
            batches = clips.batches(seed, recipe.batch)
            train(tuned, batches, recipe, len(names), device, label=f"{k} clips", objective=self.objective)
            out[f"few{k}"] = top1(tuned, test, device)
        return out

    def smoke(self) -> FewShot:
        return replace(self, recipe=self.recipe.smoke(), shots=(1,))


@dataclass(frozen=True)
class Questions:
    """Asks a question about each of `count` clips of a rhythm. The model sees frames as in training, FRAMES over the
    whole clip: what it knows of motions is how they look at this distance."""

    count: int = 1024
    rhythm: Rhythm = ONCE

    @torch.no_grad()
    def __call__(self, model: Reader, seed: int, split: str, device: str) -> float:
        """How many are answered right, in percent: the answer whose statement the clip is nearest to."""
        source = QuestionClips(seed, split, self.count, FRAMES, self.rhythm)
        clips, asked = embedded(source, device), [statements(question) for question in source.questions]
        every = sorted({statement for each in asked for statement in each})
        names = other_names(every, words(SEEN)).to(device)
        choice = torch.tensor([[every.index(statement) for statement in each] for each in asked])
        right, model = 0, model.to(device).eval()
        for (frames, label), which in zip(clips.test(64), choice.split(64), strict=True):
            logits = model.scores(frames.to(device), names[which.to(device)]).logits
            right += int((logits.argmax(-1).cpu() == label).sum())
        return 100 * right / self.count

    def smoke(self) -> Questions:
        return replace(self, count=8)


# --- variants --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ZeroShot:
    """Trained on the seen classes, which `build` reads; `splits` holds the words for those of each split. Metrics: the
    mean accuracy over the splits, and `std` their standard deviation; few-shot accuracies and those of each kind of
    `questions` where asked for. train, test: how many clips, of which each use takes those of its classes."""

    build: Build
    splits: tuple[tuple[str, ...], ...]
    few: FewShot | None = None
    questions: tuple[tuple[str, Questions], ...] = ()
    control: str | None = None
    objective: Loss = LOSS
    train: int = 4096
    test: int = 2048

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        seed, split, device = trial.seed, trial.split, trial.device
        clips = clips_of(SEEN, seed, "train", self.train, device).damaged(self.control, len(SEEN), seed)
        held = [clips_of(classes, seed, split, self.test, device) for classes in HELD]
        torch.manual_seed(seed)
        model = self.build(clips)
        history = train(
            model,
            clips.batches(seed, recipe.batch),
            recipe.with_seed(seed),
            len(SEEN),
            device,
            trial.checkpoint,
            every=CHECKPOINT_EVERY,
            label=trial.label,
            objective=self.objective,
        )
        names = [other_names(each, self.build.classes, self.build.components) for each in self.splits]
        control = "frames" if self.control == "frames" else None
        tests = [test.damaged(control, len(HELD[0]), seed) for test in held]
        accuracies = [top1(model.reading(own), test, device) for own, test in zip(names, tests, strict=True)]
        metrics = {"": mean(accuracies), "std": pstdev(accuracies)}
        if self.few and split == "test":
            pool = clips_of(HELD[0], seed, "train", self.train, device)
            metrics |= self.few(model, pool, held[0], seed, device)
        if split == "test":
            metrics |= {kind: questions(model, seed, split, device) for kind, questions in self.questions}
        return Outcome(model, history, metrics)

    def smoke(self) -> ZeroShot:
        questions = tuple((kind, each.smoke()) for kind, each in self.questions)
        return replace(self, train=400, test=100, few=self.few and self.few.smoke(), questions=questions)


@dataclass(frozen=True)
class FewShotProbe:
    """The linear classifier after tuning on few clips: it reads no text, is not pretrained, and takes of the recipe
    the rate alone, `lr` times. The score is that of the most clips."""

    build: Build
    few: FewShot
    lr: float = 1.0
    train: int = 4096
    test: int = 2048

    def run(self, recipe: TrainSettings, trial: Trial) -> Outcome:
        seed, split, device = trial.seed, trial.split, trial.device
        seen = clips_of(SEEN, seed, "train", self.train, device)
        pool, test = (clips_of(HELD[0], seed, *of, device) for of in (("train", self.train), (split, self.test)))
        torch.manual_seed(seed)
        model = self.build(seen)
        tuning = replace(self.few, recipe=replace(self.few.recipe, lr=self.lr * recipe.lr))
        few = tuning(model, pool, test, seed, device)
        return Outcome(model, History([], 0.0), {"": few[f"few{self.few.shots[-1]}"], **few})

    def smoke(self) -> FewShotProbe:
        return replace(self, few=self.few.smoke(), train=400, test=100)

"""Questions about a clip with five answers each, like NExT-QA: "what does the red star do?"

Colour and shape in the question mean one object of the clip; one answer is something that it does, and the four
others are things that it never does, taken first from what other objects do. So it does not help to know what goes on
without knowing who does it. Every object acts once, so without the clip all five answers are almost equally likely.

Axes: b clips, a answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilib.errors import BadInput
from minilib.world.draws import Draws
from minilib.world.long import LONG_MOTIONS, Rhythm, long_scenes
from minilib.world.scenes import Scenes
from minilib.world.vocabulary import COLOURS, SHAPES, SPINNABLE

ANSWERS = 5
STREAM = 3_000_003
SPINS = tuple(LONG_MOTIONS.index(f"spinning {way}") for way in ("clockwise", "anticlockwise"))
ONCE = Rhythm(actions=(0.3, 0.4), rests=(0.25, 0.5))  # one action an object: of two, the second often undoes the
# first, and which answers are offered would then say which is right


@dataclass(frozen=True)
class Question:
    """text "what does the red star do?"; answers, of which `right` is the index of the true one; `target`, the object
    it is about. statements: each answer as a sentence about that object, for models that match clip and text."""

    text: str
    answers: tuple[str, ...]
    right: int
    target: int
    subject: str

    def __post_init__(self):
        if not 0 <= self.right < len(self.answers):
            raise BadInput(f"question {self.text!r}: right answer {self.right}, there are 0 to {len(self.answers) - 1}")
        if len(set(self.answers)) != len(self.answers):
            raise BadInput(f"question {self.text!r}: two of its answers are the same")

    @property
    def statements(self) -> tuple[str, ...]:
        return tuple(f"a {self.subject} {answer}" for answer in self.answers)


def question_clips(
    seed: int, split: str, indices, *, rhythm: Rhythm = ONCE, combinations: str = "seen"
) -> tuple[Scenes, list[Question]]:
    """Clips and one question about each; functions of (seed, split, index) alone."""
    if rhythm.events > len(LONG_MOTIONS) - len(SPINS) - (ANSWERS - 1):
        raise BadInput(
            f"up to {rhythm.events} actions an object leave no {ANSWERS - 1} wrong answers: make them longer"
        )
    indices = np.atleast_1d(indices)
    scenes = long_scenes(seed, split, indices, rhythm=rhythm, combinations=combinations)
    draws = Draws(seed + STREAM, split, indices, count=16 + len(LONG_MOTIONS))
    who, which = draws.uniform(0, 1, 1)[:, 0], draws.uniform(0, 1, 1)[:, 0]
    place = draws.integers(0, ANSWERS, 1)[:, 0]
    order = draws.order(len(LONG_MOTIONS))
    drawn = zip(who, which, place, order, strict=True)
    return scenes, [_ask(scenes, row, *numbers) for row, numbers in enumerate(drawn)]


def _ask(scenes: Scenes, row: int, who: float, which: float, place: int, order: np.ndarray) -> Question:
    """who and which in [0, 1) choose object and action; `order` of all motions breaks ties among wrong answers."""
    target = int(who * scenes.present[row].sum())
    done = [set(motions[motions >= 0].tolist()) for motions in scenes.motion[row]]
    right = sorted(done[target])[int(which * len(done[target]))]
    others = set().union(*(motions for o, motions in enumerate(done) if o != target))
    spins = scenes.shape[row, target] in SPINNABLE
    possible = [m for m in order.tolist() if m not in done[target] and (spins or m not in SPINS)]
    wrong = sorted(possible, key=lambda m: m not in others)[: ANSWERS - 1]
    motions = [*wrong[:place], right, *wrong[place:]]
    subject = f"{COLOURS[scenes.colour[row, target]]} {SHAPES[scenes.shape[row, target]]}"
    answers = tuple(LONG_MOTIONS[motion] for motion in motions)
    return Question(f"what does the {subject} do?", answers, int(place), target, subject)

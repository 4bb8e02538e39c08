"""A script of motion: from the words of a prompt, or by hand, to a prompt and positions for each chunk, and to what the
ControlNet reads.

    "a red star on sand : moving right , moving down"
      | steps: by rule, or by a language model that is asked to split the prompt
      | a prompt and the object's places, frame by frame, for each chunk
      | control maps

The thesis: "a meta text prompt can be expanded and sub-divided into multiple steps based on an LLM".

Axes: k chunks, t frames of a chunk, f = k t frames, h and w pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from minilib.errors import BadInput
from minilib.papers.language_repository.models import LanguageModel
from minilib.papers.language_repository.prompts import parse_list
from minilib.world.draws import Draws
from minilib.world.render import render
from minilib.world.scenes import LOG_RADIUS, MAX_OBJECTS, OPACITY, Scenes, X, Y, blank_scenes
from minilib.world.vocabulary import COLOURS, GROUNDS, SHAPES

MOVES = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
STAYS = ("still", "staying", "waiting")
STEP = 0.36  # of the frame's width, a chunk: at four frames a chunk more than a patch a frame
START = (0.32, 0.32)  # from the left, from the top
RADIUS = 0.16
WORDS = {"colour": COLOURS, "shape": SHAPES, "ground": GROUNDS}
ASK = """Split the description of a video into {count} steps, one a line, numbered. Each says how the object moves:
right, left, down, up, or still. Description: {text}
"""


@dataclass(frozen=True)
class Script:
    """prompts: a sentence a chunk, each naming a colour, a shape and a ground. positions: float (k, t, 2), the object's
    centre from the left and from the top in frame widths. radius: the object's, in frame widths."""

    prompts: tuple[str, ...]
    positions: Tensor
    radius: float = RADIUS

    def __post_init__(self):
        if not self.prompts or self.positions.ndim != 3 or len(self.positions) != len(self.prompts):
            raise BadInput(f"a script of {len(self.prompts)} prompts and positions {tuple(self.positions.shape)}")
        for prompt in self.prompts:
            named(prompt)
        outside = (self.positions < self.radius) | (self.positions > 1 - self.radius)
        if outside.any():
            chunk, t, _ = outside.nonzero()[0].tolist()
            x, y = self.positions[chunk, t].tolist()
            raise BadInput(
                f"chunk {chunk + 1}, frame {t + 1}: an object of radius {self.radius:g} at ({x:.2f}, {y:.2f}) leaves "
                "the frame; keep its centre within"
            )

    @property
    def said(self) -> Tensor:
        """int64 (k, 3): colour, shape and ground of each chunk, indices into WORDS."""
        return torch.tensor([named(prompt) for prompt in self.prompts])


def named(prompt: str) -> list[int]:
    """Indices of the colour, the shape and the ground that a sentence names."""
    words = prompt.split()
    if not words:
        raise BadInput("an empty prompt: name a colour, a shape and a ground, as in 'a red star on sand'")
    found = {kind: [each for each in words if each in known] for kind, known in WORDS.items()}
    for kind, names in found.items():
        if len(names) != 1:
            raise BadInput(f"prompt {prompt!r} names {len(names)} words for a {kind}: one of {', '.join(WORDS[kind])}")
    return [WORDS[kind].index(names[0]) for kind, names in found.items()]


# --- from words ------------------------------------------------------------------------------------------------------


def by_rule(text: str) -> tuple[str, list[str]]:
    """A meta prompt as its subject and its steps: "SUBJECT : STEP , STEP then STEP"."""
    subject, _, rest = text.partition(":")
    steps = [step.strip() for step in re.split(r",|\bthen\b", rest) if step.strip()]
    if not steps:
        raise BadInput(f"meta prompt {text!r}: steps stand behind a colon, as in 'a red star on sand : moving right'")
    return subject.strip(), steps


def by_model(text: str, subject: str, count: int, model: LanguageModel, most: int = 200) -> tuple[str, list[str]]:
    """The same by a language model, which is asked for `count` steps; the subject is given."""
    reply = model.complete(ASK.format(count=count, text=text), most)
    steps = parse_list(reply, count)
    if None in steps:
        raise BadInput(f"the language model's reply has no step {steps.index(None) + 1} of {count}: {reply[:80]!r}")
    return subject, steps


def written(
    subject: str, steps: Sequence[str], frames: int, start: Sequence[float] = START, step: float = STEP
) -> Script:
    """A script of one chunk of `frames` frames for each step. Along a step the object goes `step` frame widths, evenly;
    a colour, a shape or a ground that a step names replaces that of the prompt from then on."""
    if frames < 1:
        raise BadInput(f"frames={frames} in a chunk: one at least")
    prompts, directions, prompt = [], [], subject
    for text in steps:
        words = re.findall(r"[a-z]+", text.lower())
        going = [MOVES[word] for word in words if word in MOVES] or [(0, 0) for word in words if word in STAYS]
        if len(going) != 1:
            raise BadInput(f"step {text!r}: one direction of {', '.join(MOVES)}, or {STAYS[0]}")
        for known in WORDS.values():
            for word in (word for word in words if word in known):
                prompt = " ".join(word if each in known else each for each in prompt.split())
        prompts.append(prompt)
        directions.append(going[0])
    moves = step * torch.tensor(directions, dtype=torch.float32)[:, None].expand(-1, frames, -1) / frames
    path = torch.tensor(start, dtype=torch.float32) + moves.flatten(0, 1).cumsum(0)
    return Script(tuple(prompts), path.unflatten(0, (-1, frames)))


def by_hand(prompts: Sequence[str], positions: Tensor, frames: int, radius: float = RADIUS) -> Script:
    """A script of positions (f, 2) cut into chunks of `frames` frames, one prompt each."""
    if not 1 <= frames <= len(positions):
        raise BadInput(f"a chunk of {frames} frames of a script of {len(positions)}: chunks are no longer than it")
    if len(positions) % frames:
        raise BadInput(f"a script of {len(positions)} frames is no whole number of chunks of {frames}")
    return Script(tuple(prompts), positions.unflatten(0, (-1, frames)), radius)


# --- to pictures -----------------------------------------------------------------------------------------------------


def scenes(script: Script, texture: int = 0, offset: Sequence[float] = (0.0, 0.0)) -> Scenes:
    """One still scene for each of the f frames; the ground lies at `offset`, and stays there."""
    colour, shape, ground = script.said.repeat_interleave(script.positions.shape[1], 0).numpy().T
    count, first = len(ground), np.arange(MAX_OBJECTS) == 0
    base = np.zeros((count, MAX_OBJECTS, 5))
    base[:, 0, [X, Y]] = script.positions.flatten(0, 1)
    base[:, 0, LOG_RADIUS], base[:, 0, OPACITY] = np.log(script.radius), 1
    return replace(
        blank_scenes(Draws(0, "train", np.arange(count)), count, "all"),
        shape=np.outer(shape, first),
        colour=np.outer(colour, first),
        texture=np.full((count, MAX_OBJECTS), texture),
        present=np.tile(first, (count, 1)),
        base=base,
        ground=ground,
        offset=np.tile(np.asarray(offset, float), (count, 1)),
    )


def rendered(script: Script, texture: int = 0, offset: Sequence[float] = (0.0, 0.0), size: int = 64):
    """What the script describes, if the object has this texture: pixels uint8 (k, t, h, w, 3), and where the object is,
    bool (k, t, h, w)."""
    pixels, ids = render(scenes(script, texture, offset), [0.0], size, ids=True)
    shape = script.positions.shape[:2]
    return pixels[:, 0].unflatten(0, shape), (ids[:, 0] == 1).unflatten(0, shape)


def control_maps(script: Script, size: int = 64) -> Tensor:
    """What the small ControlNet reads, float (k, t, 2, h, w): 1 in the order of depth where the object is; no edges,
    for those of the ground are not scripted."""
    _, mask = rendered(script, size=size)
    return torch.stack([mask, torch.zeros_like(mask)], 2).float()

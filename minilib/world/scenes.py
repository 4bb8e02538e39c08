"""Scene descriptions: what is there, where, and how it changes. No pixel is made here.

Axes: b scenes, o objects, e events of one object, t times. Lengths are in frame widths, angles in radians,
times in [0, 1] over the clip. A pose has five numbers: x, y, log radius, angle, opacity.

Every change is an *event*: a difference of pose, added linearly between its start and its end. That one idea
carries all motions, a clip played backwards (`Scenes.reversed`), several actions one after another, and edits
(the same events on another shape).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from minilib.world.draws import Draws
from minilib.world.vocabulary import COLOURS, GROUNDS, MOTIONS, PLACES, SHAPES, SPINNABLE, TEXTURES, held_out_colour

X, Y, LOG_RADIUS, ANGLE, OPACITY = range(5)
COMBINATIONS = ("seen", "held_out", "all")
MAX_OBJECTS = 4


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes as arrays; object 0 is the one that acts and lies on top of the others.

    shape, colour, texture: int (b, o); present: bool (b, o); base: float (b, o, 5), the pose before any event;
    motion: int (b, o, e), -1 where there is no event; start, end: float (b, o, e); delta: float (b, o, e, 5);
    ground, offset: int (b,), float (b, 2); drift: float (b, 2), how far the camera moves over the clip.
    """

    shape: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    present: np.ndarray
    base: np.ndarray
    motion: np.ndarray
    start: np.ndarray
    end: np.ndarray
    delta: np.ndarray
    ground: np.ndarray
    offset: np.ndarray
    drift: np.ndarray

    def __len__(self) -> int:
        return len(self.ground)

    def __getitem__(self, index) -> Scenes:
        index = [index] if np.ndim(index) == 0 and not isinstance(index, slice) else index
        return Scenes(*(getattr(self, field.name)[index] for field in fields(self)))

    def progress(self, times: np.ndarray) -> np.ndarray:
        """How far each event has come at `times` (t,): float (b, o, e, t) in [0, 1]."""
        span = np.maximum(self.end - self.start, 1e-6)[..., None]
        return np.clip((times - self.start[..., None]) / span, 0.0, 1.0)

    def pose(self, times: np.ndarray) -> np.ndarray:
        """Poses at `times` (t,) in [0, 1], camera drift included: float (b, o, t, 5)."""
        pose = self.base[:, :, None] + np.einsum("boet,boec->botc", self.progress(times), self.delta)
        pose[..., :2] += self.drift[:, None, None] * (times - 0.5)[:, None]
        return pose

    def active(self, times: np.ndarray) -> np.ndarray:
        """Whether object o is in the middle of event e at `times` (t,): bool (b, o, e, t)."""
        progress = self.progress(times)
        return (progress > 0) & (progress < 1) & (self.motion >= 0)[..., None]

    def reversed(self) -> Scenes:
        """The same scenes played backwards: each event becomes its mirror image, exactly."""
        return replace(
            self,
            base=self.base + self.delta.sum(2),
            delta=-self.delta,
            motion=np.where(self.motion >= 0, self.motion ^ 1, -1),
            start=1 - self.end,
            end=1 - self.start,
            drift=-self.drift,
        )


def _colours(draws: Draws, shape: np.ndarray, combinations: str) -> np.ndarray:
    if combinations not in COMBINATIONS:
        raise ValueError(f"combinations {combinations!r} is none of {COMBINATIONS}")
    low, high = {"seen": (1, 8), "held_out": (0, 1), "all": (0, 8)}[combinations]
    return (held_out_colour(shape) + draws.integers(low, high, shape.shape[1])) % len(COLOURS)


def give_shapes(scenes: Scenes, o: int, shape: np.ndarray) -> None:
    """Gives object o other shapes, in place; its colour moves along, so that it stays on its side of the split."""
    shade = scenes.colour[:, o] - held_out_colour(scenes.shape[:, o])
    scenes.shape[:, o] = shape
    scenes.colour[:, o] = (held_out_colour(shape) + shade) % len(COLOURS)


def blank_scenes(draws: Draws, size: int, combinations: str) -> Scenes:
    """Scenes in which nothing happens yet: appearance is drawn, poses are zero."""
    shape = draws.integers(0, len(SHAPES), MAX_OBJECTS)
    return Scenes(
        shape=shape,
        colour=_colours(draws, shape, combinations),
        texture=draws.integers(0, len(TEXTURES), MAX_OBJECTS),
        present=np.zeros((size, MAX_OBJECTS), bool),
        base=np.zeros((size, MAX_OBJECTS, 5)),
        motion=np.full((size, MAX_OBJECTS, 1), -1),
        start=np.zeros((size, MAX_OBJECTS, 1)),
        end=np.ones((size, MAX_OBJECTS, 1)),
        delta=np.zeros((size, MAX_OBJECTS, 1, 5)),
        ground=draws.integers(0, len(GROUNDS), 1)[:, 0],
        offset=draws.uniform(0, 1, 2),
        drift=np.zeros((size, 2)),
    )


def image_scenes(
    seed: int,
    split: str,
    indices,
    *,
    objects: int | None = None,
    combinations: str = "seen",
    alike: int = 1,
    also_places: bool = False,
) -> Scenes:
    """Still scenes of one or two objects (`objects` fixes how many) in different places: data for the small CLIP.

    With `alike` = m, each m neighbouring indices share everything but one thing about object 0, which differs in all
    of them (m <= 4): its shape, or with `also_places` in every other group its place. Only this tells them apart.
    """
    indices = np.atleast_1d(indices)
    draws = Draws(seed + 1_000_003, split, indices // alike)  # another stream than the clips of the same seed
    scenes = blank_scenes(draws, len(indices), combinations)
    by_place = also_places & (indices // alike % 2 == 1)
    if alike > 1:  # the shapes that go with the colour in training, in a random order
        turn = draws.order(len(SHAPES) - 1)[np.arange(len(indices)), np.where(by_place, 0, indices % alike)]
        scenes.shape[:, 0] = (1 + turn - scenes.colour[:, 0]) % len(SHAPES)
    count = draws.integers(1, 3, 1) if objects is None else np.full((len(indices), 1), objects)
    order = draws.order(len(PLACES))
    place = order[:, :MAX_OBJECTS]
    place[by_place, 0] = order[by_place, (MAX_OBJECTS + indices % alike)[by_place]]
    scenes.present[:] = np.arange(MAX_OBJECTS) < count
    centres = np.stack([place % 3, place // 3], -1) * 0.31 + 0.19
    scenes.base[..., :2] = centres + draws.uniform(-0.07, 0.07, MAX_OBJECTS, 2)
    large = draws.integers(0, 2, MAX_OBJECTS)
    radius = np.where(large, draws.uniform(0.18, 0.22, MAX_OBJECTS), draws.uniform(0.125, 0.145, MAX_OBJECTS))
    scenes.base[..., LOG_RADIUS] = np.log(radius)
    scenes.base[..., ANGLE] = draws.uniform(-0.5, 0.5, MAX_OBJECTS)
    scenes.base[..., OPACITY] = 1
    return scenes


def clip_scenes(
    seed: int, split: str, indices, *, combinations: str = "seen", motions: tuple[int, ...] = tuple(range(len(MOTIONS)))
) -> Scenes:
    """Clips of one motion each, by one object (two that come together or part) among up to two bystanders.

    A motion is drawn as the first of its pair and then, half of the time, played backwards. So the bag of frames
    of a class and that of its mirror image are the same by construction, and only order tells them apart.
    """
    indices = np.atleast_1d(indices)
    size, rows = len(indices), np.arange(len(indices))
    draws = Draws(seed, split, indices)
    scenes = blank_scenes(draws, size, combinations)
    motion = np.asarray(motions)[draws.integers(0, len(motions), 1)[:, 0]]
    kind = motion & ~1
    is_kind = {name: kind == MOTIONS.index(name) for name in MOTIONS[::2]}
    spin, pair = is_kind["spinning clockwise"], is_kind["coming together"]

    spinnable = np.asarray(SPINNABLE)[draws.integers(0, len(SPINNABLE), 1)[:, 0]]
    give_shapes(scenes, 0, np.where(spin, spinnable, scenes.shape[:, 0]))

    # bystanders: small, still, underneath
    bystanders = draws.integers(0, 3, 1)
    slot = np.arange(MAX_OBJECTS)
    scenes.present[:] = (slot == 0) | ((slot >= 2) & (slot < 2 + bystanders)) | ((slot == 1) & pair[:, None])
    scenes.base[..., :2] = draws.uniform(0.1, 0.9, MAX_OBJECTS, 2)
    scenes.base[..., LOG_RADIUS] = np.log(draws.uniform(0.06, 0.085, MAX_OBJECTS))
    scenes.base[..., ANGLE] = draws.uniform(-0.6, 0.6, MAX_OBJECTS)
    scenes.base[..., OPACITY] = 1

    # the actor: the pose in the middle of its motion, and the whole change
    middle = np.zeros((size, 5))
    delta = np.zeros((size, 5))
    middle[:, :2] = draws.uniform(0.35, 0.65, 2)
    middle[:, LOG_RADIUS] = np.log(draws.uniform(0.13, 0.19, 1)[:, 0])
    middle[:, ANGLE] = draws.uniform(-0.4, 0.4, 1)[:, 0]
    middle[:, OPACITY] = 1
    travel = draws.uniform(0.5, 0.62, 1)[:, 0]
    swell = draws.uniform(0.85, 1.05, 1)[:, 0]
    turn = draws.uniform(1.5, 1.75, 1)[:, 0]
    along = draws.uniform(0, 2 * np.pi, 1)[:, 0]
    delta[:, X] = travel * is_kind["moving right"]
    delta[:, Y] = travel * is_kind["moving down"]
    delta[:, LOG_RADIUS] = swell * is_kind["growing"]
    delta[:, ANGLE] = turn * spin
    delta[:, OPACITY] = is_kind["appearing"]
    middle[:, OPACITY] -= 0.5 * is_kind["appearing"]

    # a pair shares its shape and closes in on its common middle from both sides
    direction = np.stack([np.cos(along), np.sin(along)], -1) * pair[:, None]
    middle[:, :2] += 0.22 * direction
    delta[:, :2] -= 0.24 * direction
    middle[:, LOG_RADIUS] -= 0.25 * pair
    partner = middle.copy()
    partner[:, :2] -= 0.44 * direction
    partner_delta = delta.copy()
    partner_delta[:, :2] += 0.48 * direction
    give_shapes(scenes, 1, np.where(pair, scenes.shape[:, 0], scenes.shape[:, 1]))

    start, end = draws.uniform(0.0, 0.12, 1), draws.uniform(0.88, 1.0, 1)
    scenes.base[:, 0] = middle - delta / 2
    scenes.delta[:, 0, 0] = delta
    scenes.base[pair, 1] = (partner - partner_delta / 2)[pair]
    scenes.delta[pair, 1, 0] = partner_delta[pair]
    for actor, who in ((0, rows), (1, rows[pair])):
        scenes.motion[who, actor, 0] = kind[who]
        scenes.start[who, actor], scenes.end[who, actor] = start[who], end[who]
    scenes.drift[:] = draws.uniform(-0.06, 0.06, 2)

    return choose((motion & 1).astype(bool), scenes.reversed(), scenes)


def choose(mask: np.ndarray, yes: Scenes, no: Scenes) -> Scenes:
    """Per scene the one or the other, as `np.where`."""
    return Scenes(
        *(
            np.where(mask.reshape(-1, *[1] * (getattr(no, f.name).ndim - 1)), getattr(yes, f.name), getattr(no, f.name))
            for f in fields(no)
        )
    )

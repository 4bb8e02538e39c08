"""Clips in which the moment matters: half of them move steadily, half hold something short or uneven.

The steady ones are the first eight of `MOTIONS`. Along x there are also darts (the whole way within a quarter of the
clip) and pauses on the way: they begin and end as steady motion does, so only frames in between tell them from it.
Along y there are bobs (to one side and back, then to the other side and back, all within a quarter of the clip) and
returns (there and back within half of the clip, one leg three times as fast as the other): they end where they began.
Frames compared over too long an interval miss what is short; over too short an interval steady motion is too small to
be noticed.

As in `clip_scenes` each clip is drawn as the first of its pair and then, half of the time, played backwards. So a
class and its mirror image hold the same frames, and every class has another one as its mirror image.

Axes: b scenes, o objects, e events of one object.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minilib.world.draws import Draws
from minilib.world.scenes import Scenes, choose, clip_scenes
from minilib.world.vocabulary import MOTIONS, TIMINGS

STREAM, MOMENTS = 4_000_003, 5_000_003
STEADY = 8  # classes: the first of TIMINGS and of MOTIONS alike
QUARTER = 0.25  # of the clip: darts and bobs happen within it, returns within two of them
PATHS = {"darting right": "moving right", "pausing on the way right": "moving right"}  # all others: down


def timing_scenes(
    seed: int,
    split: str,
    indices,
    *,
    combinations: str = "seen",
    motions: tuple[int, ...] = tuple(range(len(TIMINGS))),
) -> Scenes:
    """Clips of one change each, by object 0 among up to two bystanders; `motion` and `motions` index TIMINGS."""
    indices = np.atleast_1d(indices)
    draws = Draws(seed + MOMENTS, split, indices)
    motion = np.asarray(motions)[draws.integers(0, len(motions), 1)[:, 0]]
    moment, length = draws.uniform(0, 1, 2).T
    first = motion & ~1
    names = np.asarray(TIMINGS)[first]
    paths = [name if name in MOTIONS[:STEADY] else PATHS.get(name, "moving down") for name in names]

    scenes = clip_scenes(seed + STREAM, split, indices, combinations=combinations, motions=(0,))
    for path in range(2, STEADY, 2):
        along = clip_scenes(seed + STREAM, split, indices, combinations=combinations, motions=(path,))
        scenes = choose(np.asarray(paths) == MOTIONS[path], along, scenes)
    scenes = _in_parts(scenes, first, *_parts(names, scenes.start[:, 0, 0], scenes.end[:, 0, 0], moment, length))
    return choose((motion & 1).astype(bool), scenes.reversed(), scenes)


def _parts(names, start, end, moment, length) -> tuple[np.ndarray, np.ndarray]:
    """Of each change its three parts, one after another: which share of the whole way each goes, (b, 3), and the times
    at which they begin and end, (b, 4). moment and length are uniform in [0, 1)."""
    span, one, none = end - start, np.ones_like(start), np.zeros_like(start)
    begin, there = (0.03 + (0.94 - width) * moment for width in (QUARTER, 2 * QUARTER))
    dart = begin + 0.12 + 0.08 * length
    before, pause = 0.3 + 0.4 * moment, 0.35 + 0.1 * length
    stop = start + before * (span - pause)
    turn, back = there + QUARTER * (0.4 + 0.1 * length), there + QUARTER * (1.6 + 0.4 * length)
    kinds = {
        "darting right": ((one, none, none), (begin, dart, dart, dart)),
        "pausing on the way right": ((before, none, 1 - before), (start, stop, stop + pause, end)),
        "bobbing up and down": (
            (-0.5 * one, one, -0.5 * one),
            [begin + share * QUARTER for share in (0, 0.15, 0.85, 1)],
        ),
        "sinking fast and rising slowly": ((one, -one, none), (there, turn, back, back)),
    }
    share, times = np.stack([one, none, none], -1), np.stack([start, end, end, end], -1)
    for kind, (shares, at) in kinds.items():
        here = (names == kind)[:, None]
        share, times = np.where(here, np.stack(shares, -1), share), np.where(here, np.stack(at, -1), times)
    return share, times


def _in_parts(scenes: Scenes, first: np.ndarray, share: np.ndarray, times: np.ndarray) -> Scenes:
    """The one event of object 0 cut into parts, the steady way of `scenes` kept in its middle."""
    lead = (*scenes.shape.shape, share.shape[1])
    motion, delta = np.full(lead, -1), np.zeros((*lead, 5))
    start, end = np.zeros(lead), np.ones(lead)
    motion[:, 0] = np.where(share != 0, first[:, None], -1)
    delta[:, 0] = share[..., None] * scenes.delta[:, 0, :1]
    start[:, 0], end[:, 0] = times[:, :-1], times[:, 1:]
    base = scenes.base.copy()
    base[:, 0] += np.where(share[:, :1] < 0, -share[:, :1], 0) * scenes.delta[:, 0, 0]  # bobs begin in the middle
    return replace(scenes, base=base, motion=motion, start=start, end=end, delta=delta)

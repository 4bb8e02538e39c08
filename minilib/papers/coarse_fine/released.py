"""The released Coarse-Fine checkpoint: one file with the coarse stream, its Grid Pool and its fusion.

    conv1_s ... layer1..4 ... fc2   the coarse X3D, see `minilib.models.x3d_weights`
    pool_1.{conv1, bn1, conv2, bn2, conv3}   the confidence head
    rw2..rw5.{at1, at2, fc1..fc4}   masks and heads of res2 to res5;  rw6: those of conv5, for the logits
    mix2..mix5.{conv_at, conv_at2}   the mixing before res3, res4, res5 and conv5

The fine stream is a file of its own, in the X3D's layout: `load_x3d`. Which of a mixing's two convolutions makes the
shift and which the scale is taken from the order of the heads, shift first; the file does not say.
"""

from __future__ import annotations

from pathlib import Path

from minilib.models.checkpoints import load_strictly, read_state
from minilib.models.x3d import X3D, X3D_M, Size
from minilib.models.x3d_weights import State, from_released, renamed
from minilib.papers.coarse_fine.fusion import MultiStageFusion
from minilib.papers.coarse_fine.method import CHARADES_MEAN, CHARADES_STD, CoarseStream

OWN = (
    (r"^pool_1\.", "pool.head."),
    (r"^rw6\.", "fusion.late."),
    (r"^rw(\d)\.", lambda found: f"fusion.levels.{int(found[1]) - 2}."),
    (r"^mix(\d)\.", lambda found: f"fusion.mixings.{int(found[1]) - 2}."),
    (r"\.(at[12])\.", r".mask.\1."),
    (r"^(?=stem|stages|head)", "backbone."),
)


def coarse_stream(classes: int = 157, size: Size = X3D_M) -> CoarseStream:
    """The coarse stream as released: Grid Pool with ratio 4, all of the fusion, Charades' normalisation."""
    return CoarseStream(X3D(size, classes, mean=CHARADES_MEAN, std=CHARADES_STD), fusion=MultiStageFusion)


def own_names(state: State) -> State:
    """The released layout in the names of `CoarseStream`."""
    return renamed(from_released(state), OWN)


def load_released(model: CoarseStream, path: Path | str) -> CoarseStream:
    """Loads the checkpoint strictly; raises BadInput naming what does not fit."""
    load_strictly(model, own_names(read_state(path)), path)
    return model

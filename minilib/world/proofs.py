"""Two facts about the small world's tasks, shown by classifiers on the frozen image model's frame features.

Motion needs the order of the frames: whoever sees them as a bag cannot tell a motion from its mirror image.
Appearance does not: one frame says nearly all that eight say.

Axes: b clips, t frames, d width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minilib.clip import ImageText
from minilib.errors import BadInput
from minilib.notebook import progress
from minilib.world.batches import sample_times
from minilib.world.labels import labels
from minilib.world.render import render
from minilib.world.scenes import Scenes, clip_scenes
from minilib.world.vocabulary import MOTIONS, mirror

BATCH = 64  # clips at a time
CELLS = 4


@dataclass(frozen=True)
class PairScore:
    """One mirrored pair. Accuracies in percent, chance is 50; on reversed clips the truth is the mirrored motion.

    bag: from the mean of the frames' features; ordered: from all of them, side by side in their order.
    bag_keeps: on how many reversed clips the bag's answer is the one it gave to the clip played forwards.
    """

    motions: tuple[str, str]
    bag: float
    bag_reversed: float
    bag_keeps: float
    ordered: float
    ordered_reversed: float


@dataclass(frozen=True)
class OrderProof:
    """The scores of every pair, from `train` and `test` clips of each; `error` is the standard error of a score of
    50 %, in points."""

    pairs: tuple[PairScore, ...]
    train: int
    test: int

    @property
    def error(self) -> float:
        return 50 / np.sqrt(self.test)

    @property
    def farthest(self) -> float:
        """How far from chance the bag comes at most, in points."""
        return max(abs(pair.bag - 50) for pair in self.pairs)


@dataclass(frozen=True)
class FrameProof:
    """Accuracy in percent on the appearance task, by the middle frame and by the mean of all `frames`."""

    one: float
    all: float
    frames: int
    train: int
    test: int

    @property
    def share(self) -> float:
        """What one frame reaches of the score of all, in percent."""
        return 100 * self.one / self.all


@torch.inference_mode()
def clip_features(clip: ImageText, scenes: Scenes, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """What the image model's last layer says of each frame: class tokens (b, t, d), and its patch tokens averaged in
    CELLS x CELLS cells, (b, t, CELLS^2 d), so that places are kept."""
    cls, cells, device = [], [], clip.mean.device
    for start in range(0, len(scenes), BATCH):
        images = render(scenes[start : start + BATCH], sample_times(frames), device=device)
        tokens = clip.frame_features(images, [-1])
        side = round(tokens.patches.shape[-2] ** 0.5)
        maps = tokens.patches[0].flatten(0, 1).movedim(-1, 1).unflatten(-1, (side, side))
        cells.append(F.adaptive_avg_pool2d(maps, CELLS).flatten(1).unflatten(0, images.shape[:2]).cpu())
        cls.append(tokens.cls[0].cpu())
    return torch.cat(cls).numpy(), torch.cat(cells).numpy()


def _fit(features: np.ndarray, labels: np.ndarray, strength: float):
    """Logistic regression on standardised features; `strength` is scikit-learn's C, small for a simpler answer."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(features, labels)


def order_is_needed(
    clip: ImageText, frames: int = 4, train: int = 300, test: int = 1100, seed: int = 0, strength: float = 1e-3
) -> OrderProof:
    """For each mirrored pair a classifier that has only these two motions to tell apart, from a bag and in order.

    `train` and `test` are clips a pair; 1100 put the standard error at 1.5 points. Reversed clips are the same frames
    read backwards, so their features are those of the clip in reverse order.
    """
    if frames < 2 or train < 2 or test < 1:
        raise BadInput(f"order_is_needed: {frames} frames, {train} and {test} clips: at least 2, 2 and 1 are needed")
    scores = []
    for first in progress(range(0, len(MOTIONS), 2), desc="pairs"):
        pair = (first, mirror(first))
        scenes = {
            split: clip_scenes(seed, split, np.arange(n), motions=pair)
            for split, n in (("train", train), ("test", test))
        }
        x, y = clip_features(clip, scenes["train"], frames)[1], scenes["train"].motion[:, 0, 0]
        if len(set(y)) < 2:
            raise BadInput(f"order_is_needed: {train} training clips hold one motion of the pair only; give more")
        forward, truth = clip_features(clip, scenes["test"], frames)[1], scenes["test"].motion[:, 0, 0]
        backward, mirrored = forward[:, ::-1], scenes["test"].reversed().motion[:, 0, 0]

        mean = lambda features: features.mean(1, dtype=np.float64)  # noqa: E731
        flat = lambda features: features.reshape(len(features), -1)  # noqa: E731
        bag, ordered = _fit(mean(x), y, strength), _fit(flat(x), y, strength)
        answer, answer_reversed = bag.predict(mean(forward)), bag.predict(mean(backward))
        percent = lambda agree: 100 * float(np.mean(agree))  # noqa: E731
        scores.append(
            PairScore(
                motions=(MOTIONS[pair[0]], MOTIONS[pair[1]]),
                bag=percent(answer == truth),
                bag_reversed=percent(answer_reversed == mirrored),
                bag_keeps=percent(answer == answer_reversed),
                ordered=percent(ordered.predict(flat(forward)) == truth),
                ordered_reversed=percent(ordered.predict(flat(backward)) == mirrored),
            )
        )
    return OrderProof(tuple(scores), train, test)


def one_frame_is_enough(
    clip: ImageText, frames: int = 8, train: int = 1200, test: int = 800, seed: int = 0, strength: float = 0.1
) -> FrameProof:
    """The appearance task from the middle frame alone and from the mean of all frames, each with its own classifier."""
    if frames < 1 or train < 2 or test < 1:
        raise BadInput(
            f"one_frame_is_enough: {frames} frames, {train} and {test} clips: at least 1, 2 and 1 are needed"
        )
    x, truth = {}, {}
    for split, count in (("train", train), ("test", test)):
        scenes = clip_scenes(seed, split, np.arange(count))
        x[split], truth[split] = clip_features(clip, scenes, frames)[0], labels(scenes, [0.0]).appearance.numpy()
    score = {}
    for name, pooled in (("one", lambda f: f[:, frames // 2]), ("all", lambda f: f.mean(1))):
        model = _fit(pooled(x["train"]), truth["train"], strength)
        score[name] = 100 * model.score(pooled(x["test"]), truth["test"])
    return FrameProof(score["one"], score["all"], frames, train, test)

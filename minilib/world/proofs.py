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
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minilib.errors import BadInput
from minilib.models.clip import ImageText
from minilib.progress import progress
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

    bag: from the mean of the frames' features; ordered: from all of them, side by side in their order; compared: from
    products of neighbouring frames. bag_keeps: on how many reversed clips the bag's answer is the one it gave to the
    clip played forwards.
    """

    motions: tuple[str, str]
    bag: float
    bag_reversed: float
    bag_keeps: float
    ordered: float
    ordered_reversed: float
    compared: float
    compared_reversed: float


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
    if len(np.unique(labels)) < 2:
        raise BadInput(f"a classifier of {len(labels)} training clips, all of one class: give more clips")
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(features, labels)


def _percent(agree: np.ndarray) -> float:
    return 100 * float(np.mean(agree))


def bag(features: np.ndarray) -> np.ndarray:
    """(b, t, d) -> (b, d): the mean, which knows no order; in double precision, so that not even rounding does."""
    return features.mean(1, dtype=np.float64)


def in_order(features: np.ndarray) -> np.ndarray:
    """(b, t, d) -> (b, t d): all frames side by side."""
    return features.reshape(len(features), -1)


def compared(features: np.ndarray) -> np.ndarray:
    """(b, t, d) -> (b, d (d - 1) / 2): for features i and j, the sum over t of x_i(t) x_j(t + 1) - x_j(t) x_i(t + 1).

    For two features that are the sine and the cosine of an angle this is the sine of its change: it tells which way
    something turns, wherever it began. Backwards it has the opposite sign.
    """
    now, after = features[:, :-1], features[:, 1:]
    product = np.einsum("bti,btj->bij", now, after)
    i, j = np.triu_indices(features.shape[-1], 1)
    return (product - product.transpose(0, 2, 1))[:, i, j]


def order_is_needed(
    clip: ImageText, frames: int = 4, train: int = 800, test: int = 1100, seed: int = 0, strength: float = 1e-3
) -> OrderProof:
    """For each mirrored pair, classifiers that have only these two motions to tell apart: from a bag of frames, from
    frames in order, from neighbouring frames compared.

    `train` and `test` are clips a pair; 1100 put the standard error at 1.5 points. Reversed clips are the same frames
    read backwards, so their features are those of the clip in reverse order.
    """
    if frames < 2 or train < 2 or test < 1:
        raise BadInput(f"order_is_needed: {frames} frames, {train} and {test} clips: at least 2, 2 and 1 are needed")
    scores = []
    for first in progress(range(0, len(MOTIONS), 2), desc="pairs"):
        motions = (first, mirror(first))
        known = clip_scenes(seed, "train", np.arange(train), motions=motions)
        new = clip_scenes(seed, "test", np.arange(test), motions=motions)
        whole, cells = zip(clip_features(clip, known, frames), clip_features(clip, new, frames), strict=True)
        whole = _moving_parts(*whole)
        right, mirrored, found = new.motion[:, 0, 0], new.reversed().motion[:, 0, 0], {}
        for view, (given, asked) in ((bag, cells), (in_order, cells), (compared, whole)):
            model = _fit(view(given), known.motion[:, 0, 0], strength)
            found[view] = model.predict(view(asked)), model.predict(view(asked[:, ::-1]))
        score = {view: (_percent(a == right), _percent(b == mirrored)) for view, (a, b) in found.items()}
        keeps = _percent(found[bag][0] == found[bag][1])
        names = tuple(MOTIONS[motion] for motion in motions)
        scores.append(PairScore(names, *score[bag], keeps, *score[in_order], *score[compared]))
    return OrderProof(tuple(scores), train, test)


def _moving_parts(known: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What differs from the clip's mean, as uncorrelated numbers of equal size (whitened), fitted on `known`."""
    known, new = (x.astype(np.float64) - x.mean(1, keepdims=True, dtype=np.float64) for x in (known, new))
    pca = PCA(0.999, whiten=True).fit(known.reshape(-1, known.shape[-1]))
    return tuple(pca.transform(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1) for x in (known, new))


def one_frame_is_enough(
    clip: ImageText, frames: int = 8, train: int = 2000, test: int = 800, seed: int = 0, strength: float = 0.03
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

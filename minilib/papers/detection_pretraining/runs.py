"""Pretraining on short clips and fine-tuning on long ones in the small world, each piece of work done once.

Short clips show one motion, long ones several at once. All weights and predictions are kept on disk under a key of
everything that made them, so any arm can be measured alone and reuses what others have left there.

    member -> pretrained X3D (-> classification checkpoint); two streams -> the fine-tuned X3D of either pretext

Axes: n test clips, t frames, k classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

import minilib.models.x3d
import minilib.training
import minilib.world
from minilib.errors import BadInput
from minilib.files import ROOT, write_whole
from minilib.grids import in_words
from minilib.models.x3d import X3D, ClipHead, FrameHead, Size
from minilib.papers.coarse_fine.arms import LITTLE
from minilib.papers.coarse_fine.losses import detection
from minilib.papers.coarse_fine.method import CoarseStream
from minilib.papers.coarse_fine.runs import LongClips, OnLevels, StoredLevels, batches, predictions
from minilib.papers.detection_pretraining.arms import CHECKPOINT, PRETEXTS, Member
from minilib.papers.detection_pretraining.joint import Manifold
from minilib.papers.detection_pretraining.method import DetectionPretraining
from minilib.training import History, TrainSettings, train
from minilib.world import LONG_MOTIONS, Rhythm, train_batches

CLASSES = len(LONG_MOTIONS)  # short and long clips show the same ten motions; the last layer is new all the same
BACKGROUND = CLASSES  # a class of its own while pretraining
CACHE = ROOT / "runs" / "detection_pretraining"
MEETING = Rhythm(actions=(0.12, 0.25), rests=(0.1, 0.4), objects=(2, 3))  # frames of no, one and several actions

PRETRAIN = TrainSettings(steps=120, batch=16, lr=1e-2, warmup=10)
TUNE = TrainSettings(steps=60, batch=8, lr=5e-3, warmup=6)
JOIN = TrainSettings(steps=40, batch=8, lr=3e-3, warmup=4)

State = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """pretrain: from the checkpoint; from scratch `longer` times its steps. tune: fine-tuning of one stream; join:
    the second stage of two streams. Clips to fine-tune on and to test on; frames of a short clip; pixels a side."""

    pretrain: TrainSettings = PRETRAIN
    tune: TrainSettings = TUNE
    join: TrainSettings = JOIN
    longer: int = 3
    train: int = 512
    test: int = 256
    frames: int = 16
    side: int = 32
    size: Size = LITTLE

    def clips(self, split: str, seed: int) -> LongClips:
        """The detection task; what is evaluated on is the same for every seed."""
        count, seed = (self.train, seed) if split == "train" else (self.test, 0)
        return LongClips(split, count, seed, size=self.side, rhythm=MEETING)


# --- what is kept on disk --------------------------------------------------------------------------------------------


PARTS = (
    *(f"detection_pretraining/{name}" for name in ("method", "arms", "cutmix", "joint", "mixes", "runs")),
    *(f"coarse_fine/{name}" for name in ("method", "fusion", "grid", "losses", "baselines", "runs")),
)


@cache
def code_hash() -> str:
    """SHA-256 of the code that makes weights and predictions: networks, worlds, training and both papers' parts."""
    own = [Path(__file__).parents[1] / f"{name}.py" for name in PARTS]
    world = sorted(Path(minilib.world.__file__).parent.glob("*.py"))
    beside = [Path(minilib.training.__file__), *sorted(Path(minilib.models.x3d.__file__).parent.glob("x3d*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in (*own, *world, *beside))).hexdigest()


def kept(made_of: str, make: Callable[[], State]) -> State:
    """The tensors from the file of what `made_of` says in words, or those of `make`, which are then written there."""
    whole = f"{made_of} code {code_hash()} torch {torch.__version__}"
    path = CACHE / f"{hashlib.sha256(whole.encode()).hexdigest()[:20]}.safetensors"
    if path.exists():
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise BadInput(f"{path}: cannot be read, remove it and it is made anew ({error})") from error
    tensors = {name: x.detach().cpu().contiguous() for name, x in make().items()}
    write_whole(path, safetensors.torch.save(tensors))
    return tensors


# --- pretraining -----------------------------------------------------------------------------------------------------


def pretraining(name: str, recipe: Recipe, seed: int, device: str = "cpu") -> tuple[X3D, History]:
    """An X3D after the pretext `name`: its label for the clip, or for every frame of augmented clips."""
    pretext = PRETEXTS[name]
    torch.manual_seed(seed)
    head = ClipHead if pretext.augmentation is None else FrameHead
    net = X3D(recipe.size, CLASSES + 1, head, dropout=0.0)
    steps, before = recipe.pretrain.steps, recipe.longer * recipe.pretrain.steps
    if pretext.scratch:
        steps, before = before, 0
    else:
        net.load_state_dict(pretrained(CHECKPOINT, recipe, seed, device))
    feed = train_batches(
        "motion", seed, recipe.pretrain.batch, recipe.frames, size=recipe.side, motions=tuple(range(CLASSES))
    )
    model: nn.Module = Manifold(net, pretext.augmentation) if pretext.manifold else net
    objective = DetectionPretraining(None if pretext.manifold else pretext.augmentation, CLASSES, background=BACKGROUND)
    history = train(
        model,
        lambda step: feed(before + step),  # clips that the checkpoint has not seen
        replace(recipe.pretrain, steps=steps, seed=seed),
        CLASSES,
        device,
        label=f"pretraining, {name}",
        objective=None if head is ClipHead else objective,
    )
    return net, history


def pretrained(name: str, recipe: Recipe, seed: int, device: str = "cpu") -> State:
    """The weights after the pretext `name`, from disk where they have been made."""
    pretext = PRETEXTS[name]
    start = "" if pretext.scratch else f"from {PRETEXTS[CHECKPOINT]}"
    made_of = in_words("pretraining", pretext, start, _before(recipe), seed, device)
    return kept(made_of, lambda: pretraining(name, recipe, seed, device)[0].state_dict())


def _before(recipe: Recipe) -> tuple:
    """What of a recipe pretraining depends on."""
    return recipe.pretrain, recipe.longer, recipe.frames, recipe.side, recipe.size


# --- fine-tuning -----------------------------------------------------------------------------------------------------


def build(member: Member, recipe: Recipe, seed: int, device: str = "cpu") -> nn.Module:
    """A member at the start of its fine-tuning, its last layer and its fusion new.

    A single stream starts from pretrained weights, two streams from fine-tuned X3Ds: training in two stages.
    """
    torch.manual_seed(seed)
    net = X3D(recipe.size, CLASSES, dropout=0.0)
    if member.fusion is not None:
        net.load_state_dict(tuned(Member(member.pretext), recipe, seed, device))
    elif member.pretext is not None:
        state = pretrained(member.pretext, recipe, seed, device)
        body = {name: x for name, x in state.items() if not name.startswith("head.fc2.")}
        net.load_state_dict(net.state_dict() | body)
    if member.fusion is None:
        start_at_shares(net, recipe.clips("train", seed).rendered.labels)
    if member.pool is None:
        return net
    stream = CoarseStream(net, member.pool, member.fusion)
    return stream if member.fusion is None else OnLevels(stream)


@torch.no_grad()
def start_at_shares(net: X3D, labels: Tensor) -> None:
    """The last layer's bias gives each class its share of frames in labels (n, t, k); a short recipe would spend itself
    on finding that most classes are absent most of the time."""
    net.head.fc2.bias.copy_(labels.mean((0, 1)).logit(eps=1e-3))


@lru_cache(maxsize=2)
def fine_levels(pretext: str, recipe: Recipe, seed: int, split: str, device: str = "cpu") -> StoredLevels:
    """The levels of a fine-tuned, frozen fine stream."""
    fine = X3D(recipe.size, CLASSES, dropout=0.0)
    fine.load_state_dict(tuned(Member(pretext), recipe, seed, device))
    return StoredLevels(fine, recipe.clips(split, seed), device)


def inputs(member: Member, recipe: Recipe, seed: int, split: str, device: str = "cpu") -> StoredLevels | None:
    """What a member is called with beside frames: None, or the fine stream's levels."""
    return None if member.fusion is None else fine_levels(member.fine, recipe, seed, split, device)


def tuning(
    member: Member, recipe: Recipe, seed: int, device: str = "cpu", label: str = "fine-tuning"
) -> tuple[nn.Module, History]:
    """Fine-tunes one member with every frame's labels."""
    model = build(member, recipe, seed, device)
    settings = replace(recipe.join if member.fusion else recipe.tune, seed=seed)
    feed = batches(recipe.clips("train", seed), settings.batch, seed, inputs(member, recipe, seed, "train", device))
    return model, train(model, feed, settings, CLASSES, device, label=label, objective=detection)


def tuned(member: Member, recipe: Recipe, seed: int, device: str = "cpu") -> State:
    """A fine-tuned member's weights, from disk where they have been made."""
    make = lambda: tuning(member, recipe, seed, device, f"fine-tuning, {member.pretext}")[0].state_dict()  # noqa: E731
    return kept(described(member, recipe, seed, device), make)


def described(member: Member, recipe: Recipe, seed: int, device: str) -> str:
    """All that a member's weights come from, in words."""
    made = [PRETEXTS[name] for name in (CHECKPOINT, member.pretext, member.fine) if name is not None]
    return in_words(member, made, recipe, MEETING, seed, device)


def probabilities(
    members: tuple[Member, ...], recipe: Recipe, seed: int, device: str = "cpu", split: str = "test"
) -> Tensor:
    """What members find in the clips of `split`, (n, t, k): their mean, as in `Ensemble` of the joint module."""

    def one(member: Member) -> State:
        model = build(member, recipe, seed, device)
        model.load_state_dict(tuned(member, recipe, seed, device))
        extra = inputs(member, recipe, seed, split, device)
        return {"probabilities": predictions(model, recipe.clips(split, seed), device, extra)}

    found = [kept(f"{described(m, recipe, seed, device)} on {split}", lambda m=m: one(m)) for m in members]
    return torch.stack([each["probabilities"] for each in found]).mean(0)

"""One training loop for every paper: any model that maps frames to scores, any source of batches.

Batches come from a function of the step, so a run that stopped goes on at the same batch; the checkpoint holds what
trains, the buffers, the optimiser and the random states, and is written whole or not at all.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from torchvision.transforms import v2

from minilib.errors import BadInput
from minilib.progress import progress

Batches = Callable[[int], tuple[Tensor, Tensor]]  # step -> frames uint8 (b, t, h, w, 3), labels int64 (b,)
Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]  # model, its input, labels -> the loss


@dataclass(frozen=True)
class TrainSettings:
    """A recipe. Rates are fractions, `warmup` counts steps, `rand_augment` is (operations, magnitude) or None."""

    steps: int = 400
    batch: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 20
    smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: tuple[int, int] | None = None
    erasing: float = 0.0
    flip: float = 0.0
    clip_grad: float = 1.0
    precision: str = "fp32"
    seed: int = 0

    def key(self) -> str:
        """A short hash of the recipe, to tell runs apart."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def augmentation(settings: TrainSettings) -> Callable[[Tensor], Tensor]:
    """uint8 (b, t, h, w, 3) -> the same, each clip drawn once and all of its frames changed alike."""
    parts: list[nn.Module] = [v2.RandomHorizontalFlip(settings.flip)] if settings.flip else []
    if settings.rand_augment:
        operations, magnitude = settings.rand_augment
        parts.append(v2.RandAugment(operations, magnitude))
    if settings.erasing:
        parts.append(v2.RandomErasing(settings.erasing))
    if not parts:
        return lambda frames: frames
    change = v2.Compose(parts)
    return lambda frames: torch.stack([change(clip) for clip in frames.movedim(-1, 2)]).movedim(2, -1)


def autocast(device: torch.device, precision: str):
    """The context for `precision`: fp32 (none), bf16 or fp16."""
    kinds = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in kinds:
        raise BadInput(f"precision {precision!r} is none of {', '.join(kinds)}")
    return torch.autocast(device.type, kinds[precision]) if kinds[precision] else contextlib.nullcontext()


@dataclass
class History:
    """What a run leaves: loss (step,) and seconds a step; `seconds` in all, of this and earlier parts of the run."""

    loss: list[float]
    seconds: float


def train(
    model: nn.Module,
    batches: Batches,
    settings: TrainSettings,
    classes: int,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    every: int = 0,
    label: str = "training",
    objective: Objective | None = None,
) -> History:
    """Trains in place what requires a gradient; resumes from `checkpoint` if it is there and of the same recipe.

    A model that reads something else than frames gets it from `batches`, as anything with a method `to(device)`. The
    loss is the cross-entropy of the model's scores, or what `objective` makes of model, input and labels.

    Raises BadInput if nothing trains, if the checkpoint is of another recipe, or if the loss is not finite.
    """
    device = torch.device(device)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise BadInput("nothing to train: every parameter is frozen")
    torch.manual_seed(settings.seed)
    model.to(device).train()
    lasting = model.state_dict().keys()
    kept = trained | {n: b for n, b in model.named_buffers() if n in lasting}  # a norm's statistics are learned, too
    optimizer = create_optimizer_v2(
        model, opt="adamw", lr=settings.lr, weight_decay=settings.weight_decay, betas=settings.betas
    )
    schedule = CosineLRScheduler(
        optimizer, settings.steps, warmup_t=settings.warmup, warmup_lr_init=settings.lr / 10, t_in_epochs=False
    )
    mixing = settings.mixup > 0 or settings.cutmix > 0
    mix = Mixup(settings.mixup, settings.cutmix, label_smoothing=settings.smoothing, num_classes=classes)
    hard = nn.CrossEntropyLoss(label_smoothing=settings.smoothing)
    entropy = SoftTargetCrossEntropy() if mixing else hard
    loss_of = objective or (lambda model, frames, target: entropy(model(frames), target))
    change = augmentation(settings)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    history = History([], 0.0)
    start = 0
    if checkpoint is not None and checkpoint.exists():
        start = _resume(checkpoint, settings, kept, optimizer, history)

    began = time.perf_counter()
    earlier = history.seconds
    for step in progress(range(start, settings.steps), desc=label, initial=start, total=settings.steps):
        schedule.step_update(step)
        frames, target = (x.to(device, non_blocking=True) for x in batches(step))
        frames = model.normalise(change(frames)) if hasattr(model, "normalise") else change(frames)
        if mixing:
            if len(frames) % 2:  # clips are mixed in pairs; the last batch of an epoch may be odd
                frames, target = torch.cat([frames, frames[:1]]), torch.cat([target, target[:1]])
            shape = frames.shape
            frames, target = mix(frames.flatten(1, 2), target)
            frames = frames.view(shape)
        with autocast(device, settings.precision):
            loss = loss_of(model, frames, target)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_grad)
        scaler.step(optimizer)
        scaler.update()
        history.loss.append(float(loss.detach()))
        if not math.isfinite(history.loss[-1]):
            raise BadInput(
                f"the loss is {history.loss[-1]:g} at step {step}: try a smaller learning rate than {settings.lr:g}"
            )
        history.seconds = earlier + time.perf_counter() - began
        if checkpoint is not None and every and (step + 1) % every == 0:
            _save(checkpoint, step + 1, settings, kept, optimizer, history)
    if checkpoint is not None:
        _save(checkpoint, settings.steps, settings, kept, optimizer, history)
    return history


def _save(path: Path, step: int, settings: TrainSettings, kept, optimizer, history: History) -> None:
    state = {
        "recipe": settings.key(),
        "step": step,
        "model": {name: p.detach() for name, p in kept.items()},
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "loss": history.loss,
        "seconds": history.seconds,
    }
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state()
    part = path.with_suffix(".part")
    try:
        torch.save(state, part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(f"checkpoint {path}: cannot be written ({error.strerror or error})") from error


def _resume(path: Path, settings: TrainSettings, kept, optimizer, history: History) -> int:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadInput(f"checkpoint {path}: cannot be read, remove it to start anew") from error
    if state["recipe"] != settings.key():
        raise BadInput(f"checkpoint {path} belongs to another recipe: remove it or name another file")
    if state["model"].keys() != kept.keys():
        raise BadInput(f"checkpoint {path} holds other tensors than this model: remove it or name another file")
    with torch.no_grad():
        for name, value in state["model"].items():
            kept[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_rng"])
    history.loss.extend(state["loss"])
    history.seconds = state["seconds"]
    return state["step"]


@torch.no_grad()
def scores(
    model: nn.Module, views: Iterable[Tensor], device: torch.device | str = "cpu", precision: str = "fp32"
) -> Tensor:
    """Soft-max scores (b, k) averaged over views, each uint8 (b, t, h, w, 3)."""
    device = torch.device(device)
    model.to(device).eval()
    with autocast(device, precision):
        each = [F.softmax(model(view.to(device)).float(), -1).cpu() for view in views]
    return torch.stack(each).mean(0)


def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Sequence[Tensor], Tensor]],
    device: torch.device | str = "cpu",
    precision: str = "fp32",
) -> tuple[Tensor, Tensor]:
    """All scores (n, k) and labels (n,) of batches of (views, labels)."""
    pairs = [(scores(model, views, device, precision), label) for views, label in batches]
    return torch.cat([s for s, _ in pairs]), torch.cat([label for _, label in pairs])


def accuracy(score: Tensor, label: Tensor) -> float:
    """Top-1 accuracy in percent."""
    return 100 * (score.argmax(-1) == label).float().mean().item()

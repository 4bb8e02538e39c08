"""One training loop for every paper: any model that maps frames to scores, any source of batches.

Batches come from a function of the step, so a run that stopped goes on at the same batch; the checkpoint holds what
trains, the buffers, the optimiser and the random states, and is written whole or not at all.

Axes: b clips, t frames, h and w pixels, k classes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from minilib.distributed import WithLoss, processes
from minilib.errors import BadInput
from minilib.graphs import Recorded
from minilib.models.checkpoints import bare_model, unwrapped
from minilib.prefetch import ahead
from minilib.progress import progress
from minilib.recipe import TrainSettings, augmentation
from minilib.resume import History, Losses, read_training, resume, save_state

# step -> frames uint8 (b, t, h, w, 3), labels int64 (b,); of several processes, this one's and the weight of its loss
Batches = Callable[[int], tuple[Tensor, ...]]
Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]  # model, its input, labels -> the loss


def autocast(device: torch.device, precision: str):
    """The context for `precision`: fp32 (none), bf16 or fp16."""
    kinds = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in kinds:
        raise BadInput(f"precision {precision!r} is none of {', '.join(kinds)}")
    return torch.autocast(device.type, kinds[precision]) if kinds[precision] else contextlib.nullcontext()


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
    compiled: bool = False,
) -> History:
    """Trains in place what requires a gradient; resumes from `checkpoint` if it is there and of the same recipe.

    Under `accelerate launch` or torchrun all processes train one model, the first writes the checkpoint, and a run goes
    on with any number of them. `compiled`: model and loss as one. Checkpoints have the names of the bare model.

    A model that reads something else than frames gets it from `batches`, as anything with a method `to(device)`. One
    with a method `parameter_groups()` says itself which parameters learn at `lr_scale` times the rate. The loss is the
    cross-entropy of the model's scores, or what `objective` makes of model, input and labels. With `every` the
    checkpoint is written after every so many steps, and always at the end.

    Raises BadInput if nothing trains, if the recipe smooths labels that an objective of its own would not smooth, if
    the checkpoint is of another recipe, or if the loss is not finite; then nothing is written any more.
    """
    device = torch.device(device)
    among = processes(device)
    trained = {unwrapped(name): p for name, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise BadInput("nothing to train: every parameter is frozen")
    mixing = settings.mixup > 0 or settings.cutmix > 0
    if objective is not None and settings.smoothing and not mixing:
        raise BadInput(f"smoothing={settings.smoothing} does not reach a loss of one's own: give it to the objective")
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed % 2**32)  # noqa: NPY002  (timm's Mixup draws from it)
    model.to(device).train()
    bare = bare_model(model)
    normalise = getattr(bare, "normalise", None)
    lasting = model.state_dict().keys()  # a norm learns statistics, too
    kept = trained | {unwrapped(name): b for name, b in model.named_buffers() if name in lasting}
    optimizer = create_optimizer_v2(
        bare,
        opt="adamw",
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        betas=settings.betas,
        param_group_fn=getattr(type(bare), "parameter_groups", None),
        **(dict(fused=True, capturable=True) if device.type == "cuda" else {}),
    )
    schedule = CosineLRScheduler(
        optimizer, settings.steps, warmup_t=settings.warmup, warmup_lr_init=settings.lr / 10, t_in_epochs=False
    )
    mix = Mixup(settings.mixup, settings.cutmix, label_smoothing=settings.smoothing, num_classes=classes)
    loss_of = WithLoss(model, objective or (cross_entropy if mixing else CrossEntropy(settings.smoothing)))
    if compiled:
        loss_of.compile()
    loss_of = among.averaged(loss_of, device)
    change = augmentation(settings)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
    history = History([], 0.0)
    losses = Losses(history, settings.lr, among)
    state = among.from_first(lambda: read_training(checkpoint, settings.key(), kept))
    start = 0 if state is None else resume(state, kept, optimizer, scaler, history)

    began = time.perf_counter() - history.seconds

    def save(step: int) -> None:
        losses.look()
        history.seconds = time.perf_counter() - began
        if checkpoint is not None and among.first:
            save_state(checkpoint, step, settings.key(), kept, optimizer, scaler, history)

    def plain_step(frames: Tensor, target: Tensor, *weight: Tensor) -> Tensor:
        with autocast(device, settings.precision):
            loss = loss_of(frames, target)
        loss = weight[0] * loss if weight else loss
        if device.type == "cpu":
            losses.add(loss)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if settings.clip_grad:
            torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_grad)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    plain = device.type == "cpu" or among.size > 1 or compiled or settings.precision == "fp16"  # its scaler waits
    take_step = plain_step if plain else Recorded(plain_step, optimizer, device)
    steps = range(start, settings.steps)
    bar = progress(steps, desc=label, initial=start, total=settings.steps)
    for step, batch in zip(bar, ahead(batches, steps, device), strict=True):
        schedule.step_update(step)
        among.reseed(settings.seed, step)
        frames, target, *weight = (x.to(device, non_blocking=True) for x in batch)
        frames = change(frames) if normalise is None else normalise(change(frames))
        if mixing:
            if len(frames) % 2:  # clips are mixed in pairs; the last batch of an epoch may be odd
                frames, target = torch.cat([frames, frames[:1]]), torch.cat([target, target[:1]])
            shape = frames.shape
            frames, target = mix(frames.flatten(1, 2), target)
            frames = frames.view(shape)
        loss = take_step(frames, target, *weight)
        if device.type != "cpu":
            losses.add(loss)
        if every and (step + 1) % every == 0 and step + 1 < settings.steps:
            save(step + 1)
    save(settings.steps)
    return history


def cross_entropy(model: nn.Module, frames: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of a model's scores (b, k) with labels (b,) or mixed labels (b, k), as an objective."""
    return F.cross_entropy(model(frames), target)


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of a model's scores (b, k) with labels (b,), smoothed, as an objective."""

    smoothing: float = 0.0

    def __call__(self, model: nn.Module, frames: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(model(frames), target, label_smoothing=self.smoothing)


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

"""OCA's ablations on the small world as data: one *arm* a table row.

An arm says which parts the model has, which losses train it, on what clips and labels. `object_centric_experiments.py`
runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from minilib.models.classifier import VideoClassifier
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.object_centric import method as oc
from minilib.papers.object_centric.losses import Objective

Build = Callable[..., nn.Module]  # visual, frames, classes -> the model
LOSSES = Objective(reasoning=0.1)  # of 1 and 0.1 the better on validation clips; Eq. 10 gives no scale to its sums
CLIPS = 4096  # of training, a seed


@dataclass(frozen=True)
class Arm:
    """One row of a table. limit: trains on so many clips. control: how the data are damaged. on_frames:
    is trained from pixels, not from cached features. lr multiplies the recipe's rate."""

    build: Build = oc.oca
    objective: Objective | None = LOSSES  # None: cross-entropy alone
    task: str = "motion"
    frames: int = 4
    limit: int = CLIPS
    control: str | None = None
    on_frames: bool = False
    lr: float = 1.0


def _part(objective: Objective = LOSSES, **parts) -> Arm:
    """OCA with other parts."""
    return Arm(partial(oc.oca, **parts), objective)


def _every(*deltas: int) -> Arm:
    """Eight frames, and these intervals."""
    return replace(_part(change=partial(oc.StateChanges, deltas=deltas)), frames=8)


def _slots(count: int) -> Arm:
    return _part(tokens=partial(oc.slot_tokens, slots=count))


def frozen_slots(width: int) -> nn.Module:
    """Slot attention that stays as it starts: the control for everything that slots are said to learn."""
    return oc.slot_tokens(width).requires_grad_(False)


def full_image(visual: nn.Module, frames: int, classes: int) -> VideoClassifier:
    """Every weight of the image model, frame by frame."""
    return VideoClassifier(visual.requires_grad_(True), classes, dropout=0.0)


class OrderBlind(oc.StateChanges):
    """Changes from each frame to itself: the same parameters, and frames never meet before the final mean."""

    def forward(self, states: Tensor) -> Tensor:
        return self.mlp(torch.cat([states, states], -1))


CORE_ARMS = {
    "oca": Arm(),
    "order_blind": _part(fuse=nn.Identity, change=OrderBlind),  # the twin without temporal modelling
}
_PEERS = {
    "st_adapter": Arm(partial(STAdapter, bottleneck=48, dropout=0.0)),
    "aim": Arm(partial(AIM, dropout=0.0)),
    "evl": Arm(partial(EVL, dropout=0.0, mlp_dropout=0.0)),
    "full_image": Arm(full_image, lr=0.1),
}
PEERS = {name: replace(arm, objective=None, on_frames=True) for name, arm in _PEERS.items()}
_ABLATIONS = CORE_ARMS | {
    # Table 5: the losses beside the classification
    "no_losses": _part(replace(LOSSES, distillation=0, reasoning=0)),
    "only_obj": _part(replace(LOSSES, reasoning=0)),
    "only_temp": _part(replace(LOSSES, distillation=0)),
    # Tables 6 and 8: eight frames and the interval; `oca` has four frames and delta 1
    **{f"delta{delta}": _every(delta) for delta in range(1, 8)},
    "all_deltas": _every(*range(1, 8)),
    # Table 7: the number of tokens a frame; one needs no interaction, `oca` has eight
    "slots1": _part(tokens=oc.MeanToken, interact=nn.Identity),
    "slots4": _slots(4),
    "slots16": _slots(16),
    "tokens": _part(tokens=oc.PatchTokens),
    # Table 12: interaction among slots (oi), state changes (ti), temporal attention (ta); `oca` has oi and ti
    "no_interaction": _part(interact=nn.Identity, change=nn.Identity),
    "oi": _part(change=nn.Identity),
    "ti": _part(interact=nn.Identity),
    "ta": _part(interact=nn.Identity, change=oc.TemporalAttention),
    "oi_ta": _part(change=oc.TemporalAttention),
    "control/random_slots": _part(tokens=frozen_slots),
}
_CONTROLS = {
    "control/shuffled_frames": Arm(control="frames"),
    "control/shuffled_labels": Arm(control="labels"),
}


def _on(task: str, arms: dict[str, Arm]) -> dict[str, Arm]:
    return {f"{task}/{name}": replace(arm, task=task) for name, arm in arms.items()}


# Figure 4: per cent of the training clips, on the Kinetics-like task; with 100 they are the arms of `appearance`
SHARES = (5, 10, 25, 50)
FEW_METHODS = {"oca": Arm()} | {name: PEERS[name] for name in ("st_adapter", "aim", "full_image")}
_FEW = {
    f"few/{share}/{name}": replace(arm, task="appearance", limit=CLIPS * share // 100)
    for share in SHARES
    for name, arm in FEW_METHODS.items()
}
_OCA = _ABLATIONS | _CONTROLS | _on("appearance", _ABLATIONS) | _on("noun", {"oca": Arm()})
ARMS = _OCA | PEERS | _on("appearance", PEERS) | _on("noun", PEERS) | _FEW

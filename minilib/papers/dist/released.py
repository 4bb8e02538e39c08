"""DiST as the authors released it: its checkpoints, and its training on real videos.

The paper's appendix, which has its training settings, is not at hand: RECIPE is the released configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from minilib.errors import BadInput
from minilib.models.checkpoints import load_strictly, read_state
from minilib.papers.dist.clip import DiSTRecogniser, class_features
from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.study.real import Prepared, Run, image_text

HEAD = ("adapooling_nets", "proj", "proj_spatial_cls_token", "ln_post", "aggregated")  # the head's released names
RECIPE = {
    "lr": 3.2e-4,
    "weight_decay": 1e-4,
    "betas": [0.9, 0.999],
    "batch": 256,
    "epochs": 36,
    "warmup_epochs": 6,
    "sampling": "uniform",
    "views": {"clips": 3, "crops": 1},  # TSN's, on both data sets
    "rand_augment": [4, 7],
    "flip": 0.5,
    "erasing": 0.0,
    "smoothing": 0.1,
    "mixup": 0.8,
    "cutmix": 1.0,
}


def released_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a released checkpoint that are DiST's, in the names that `DiST` has here. They are found by what
    follows `dist_net.`, whatever stands before it; OpenAI's own tensors beside them are left."""
    tensors = {name.split("dist_net.", 1)[1]: value for name, value in read_state(path).items() if "dist_net." in name}
    if not tensors:
        raise BadInput(f"weights {path}: no tensor's name has dist_net. in it, so this is no DiST checkpoint")
    return {("head." if name.startswith(HEAD) else "branches.") + name: v.float() for name, v in tensors.items()}


def load_released(net: DiST, path: Path | str) -> None:
    """Copies a released checkpoint into `net`; a missing, foreign or misshapen tensor is BadInput, and nothing changes.

    The released code also has a Phi after the last block, whose output it never reads. Its two tensors must be there
    and fit, and are dropped.
    """
    state = released_state(path)
    unused = f"branches.integration2temporal_nets.{net.sizes.depth - 1}.linear_fuse"
    for name, *due in (("weight", net.design.temporal, net.design.integration), ("bias", net.design.temporal)):
        found = state.pop(f"{unused}.{name}", None)
        if found is None:
            raise BadInput(f"weights {path}: {unused}.{name} is missing (the released code's unused last Phi)")
        if list(found.shape) != due:
            raise BadInput(f"weights {path}: {unused}.{name} is {tuple(found.shape)}, the model has {tuple(due)}")
    load_strictly(net, state, path)


def released(settings: Run, classes: Sequence[str]) -> Prepared:
    """DiST with two pooling layers, four on Kinetics; the labels' names are the texts. The small CLIP knows no words
    but its own, so there the classes are learned."""
    clip = image_text(settings)
    torch.manual_seed(settings.seed)
    pooling = 4 if settings.dataset == "kinetics400" else 2
    net = DiST(ImageSizes.of(clip.visual), Design(settings.frames, pooling=pooling))
    learned = settings.backbone == "small"
    texts = nn.Parameter(torch.randn(len(classes), net.sizes.embed)) if learned else class_features(clip, classes)
    return Prepared("dist", DiSTRecogniser(clip, net, texts), net.design.gamma * settings.frames, RECIPE)

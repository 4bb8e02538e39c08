"""Coarse-Fine on Charades and MultiTHUMOS: any of its networks by `minilib.study.real_detection`.

Frames, batch and loss are the released code's. It trains with SGD and drops the rate; the suite's loop has AdamW and a
cosine, and the rate is its own. Two streams train end to end, as in the text, and sigma is T/8, as printed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from minilib.errors import BadInput
from minilib.models.x3d import SMALLER, X3D, X3D_M
from minilib.models.x3d_weights import load_body
from minilib.papers.coarse_fine.method import detection
from minilib.papers.coarse_fine.study import VARIANTS, Network
from minilib.study.real_detection import Run
from minilib.study.real_run import Prepared

RECIPE = {"lr": 1e-3, "weight_decay": 1e-5, "batch": 6, "epochs": 100, "warmup_epochs": 2, "flip": 0.5}
BACKBONES = {"x3d_m": X3D_M, "small": SMALLER}
NETWORKS = [name for name in VARIANTS if not name.startswith(("control", "dense"))]


def as_printed(network: Network) -> Network:
    """The network with the thesis' sigma in place of the small world's."""
    fusion = network.fusion
    narrow = isinstance(fusion, partial) and "width" in fusion.keywords
    return replace(network, fusion=partial(fusion, width=1 / 8)) if narrow else network


def prepared(run: Run, classes: int) -> Prepared:
    """The network of a table's row in the size of the backbone, every X3D in it with the weights of a file."""
    if run.network not in NETWORKS:
        raise BadInput(f"network {run.network!r}: choose of {', '.join(NETWORKS)}")
    torch.manual_seed(run.seed)
    model = replace(as_printed(VARIANTS[run.network].build), size=BACKBONES[run.backbone]).new(classes)
    if run.weights:
        for module in model.modules():
            if isinstance(module, X3D):
                load_body(module, run.weights)
    return Prepared(run.network, model, run.frames, RECIPE, detection)

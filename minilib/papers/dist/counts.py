"""Every number of DiST's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {metric: value} in the paper's units (10^9 or 10^12 multiply-adds of one view, 10^6 parameters).
The convention is one multiply-add = one FLOP, plus five an element of every LayerNorm; CLIP's projection into the joint
space is left out of the computation and kept in the parameters, and the text tower is in neither. The published graph
is counted (`released_taps`); `.efficient` is the same table with the image model's stem on the sparse frames only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import torch
from torch import nn

from minilib.cost import multiply_adds, parameters
from minilib.models.clip import TINY, VIT_B16, VIT_L14, Architecture, FrameFeatures, build, without_words
from minilib.papers.baselines import EVL, STAdapter
from minilib.papers.dist import variants
from minilib.papers.dist.clip import DiSTRecogniser, Taps, released_taps, sparse_taps
from minilib.papers.dist.method import Design, DiST, ImageSizes

SSV2, K400 = Design(pooling=2), Design(pooling=4)
CLASSES = {"ssv2": 174, "k400": 400}
LARGE_336 = replace(VIT_L14, vision={**VIT_L14.vision, "image_size": 336})


@cache
def tower(architecture: Architecture) -> nn.Module:
    """The real image tower without weights, its projection included."""
    return without_words(architecture).visual


def net_of(design: Design, architecture: Architecture = VIT_B16) -> DiST:
    """DiST for an image model of the real size, without weights."""
    with torch.device("meta"):
        return DiST(ImageSizes.of(tower(architecture)), design)


@cache
def image_cost(architecture: Architecture, frames: int, gamma: int, taps: Taps) -> int:
    """Multiply-adds of the image model for `frames` sparse frames, by the graph `taps`."""
    side = architecture.vision["image_size"]
    dense = torch.empty(1, gamma * frames, 3, side, side, device="meta")
    return multiply_adds(partial(taps, tower(architecture), dense, gamma))


def giga(design: Design, architecture: Architecture = VIT_B16, taps: Taps = released_taps) -> float:
    """10^9 multiply-adds of one view, the image model's included."""
    net, side, t = net_of(design, architecture), architecture.vision["image_size"], design.frames
    lead, patches, d = (net.sizes.depth, 1, t), net.sizes.grid[0] * net.sizes.grid[1], net.sizes.width
    with torch.device("meta"):
        features = FrameFeatures(torch.empty(*lead, d), torch.empty(*lead, patches, d))
        own = multiply_adds(net, features, torch.empty(1, design.gamma * t, 3, side, side))
    return (own + image_cost(architecture, t, design.gamma, taps)) / 1e9


def params(design: Design, architecture: Architecture) -> float:
    """10^6 parameters of DiST and the image tower."""
    return (parameters(net_of(design, architecture)) + parameters(tower(architecture))) / 1e6


def table_1() -> dict[str, float]:
    """Tables 1(c) to 1(f). TAdaConv without its routing, and with it."""
    rows = {
        "t1c.gflops.tada": replace(SSV2, t_block=partial(variants.TAdaConv, routing=None)),
        "t1c.gflops.tada_routing": replace(SSV2, t_block=variants.TAdaConv),
        "t1c.gflops.c3d": replace(SSV2, t_block=variants.C3D),
        "t1c.gflops.joint": replace(SSV2, t_block=variants.JointTransformer),
        **{f"t1d.gflops.gamma{gamma}": replace(SSV2, gamma=gamma) for gamma in (1, 2, 4, 8)},
        **{f"t1e.gflops.dim{dim}": replace(SSV2, integration=dim) for dim in (96, 192, 768)},
        **{f"t1f.gflops.dim{dim}": replace(SSV2, temporal=dim) for dim in (64, 128, 192)},
    }
    efficient = {f"{name}.efficient": giga(rows[name], taps=sparse_taps) for name in rows if name.startswith("t1d")}
    return {name: giga(design) for name, design in rows.items()} | efficient


def tables_4_and_6() -> dict[str, float]:
    """Computation (10^12) and parameters of the models compared with others; L/14 keeps 384 and 96 channels."""
    out = {}
    for table, design in (("t4", SSV2), ("t6", K400)):
        for name, architecture in (("b16", VIT_B16), ("l14", VIT_L14)):
            for frames in (8, 16, 32):
                out[f"{table}.tflops.{name}.{frames}"] = giga(replace(design, frames=frames), architecture) / 1e3
            out[f"{table}.params.{name}"] = params(design, architecture)
    out["t6.tflops.l14_336.32"] = giga(replace(K400, frames=32), LARGE_336) / 1e3
    out["t6.params.l14_336"] = params(K400, LARGE_336)
    return out


def baselines() -> dict[str, float]:
    """ST-Adapter and EVL in Tables 4 and 6, 32 frames: computation of one view (10^12) and parameters (10^6). EVL's are
    printed with its classifier (363 M of ViT-L/14 need it), ST-Adapter's, the same 93 M on both data sets, without."""
    rows = {
        "st_adapter.b16.32": (VIT_B16, STAdapter),
        "st_adapter.l14.32": (VIT_L14, STAdapter),
        "evl.b16.32.ssv2": (VIT_B16, partial(EVL, layers=12)),
        "evl.l14.32.ssv2": (VIT_L14, partial(EVL, layers=24)),
        "evl.l14_336.32.ssv2": (LARGE_336, partial(EVL, layers=24)),
        "evl.b16.32.k400": (VIT_B16, partial(EVL, cross_attention=False)),
        "evl.l14.32.k400": (VIT_L14, EVL),
        "evl.l14_336.32.k400": (LARGE_336, EVL),
    }
    out = {}
    for name, (architecture, method) in rows.items():
        side, classes = architecture.vision["image_size"], CLASSES.get(name.rpartition(".")[2])
        with torch.device("meta"):
            model = method(tower(architecture), 32, classes or 1)
            model.head = model.head if classes else nn.Identity()
            out[f"baseline.{name}.tflops"] = multiply_adds(model, torch.empty(1, 32, 3, side, side)) / 1e12
        out[f"baseline.{name}.params"] = parameters(model) / 1e6
    return out


def frozen_gradients() -> dict[str, float]:
    """How many parameters of the image model receive a gradient in a training step; on a tiny one, really run."""
    clip = build(TINY, tokenize=lambda texts: None)
    net = DiST(ImageSizes.of(clip.visual), Design(frames=2, integration=8, temporal=4))
    model = DiSTRecogniser(clip, net, torch.randn(3, TINY.embed_dim)).train()
    model(torch.randn(1, 4, 3, 16, 16)).sum().backward()
    return {"sec3.1.frozen_gradients": float(sum(p.numel() for p in clip.parameters() if p.grad is not None))}


def count_all() -> dict[str, float]:
    """Every countable number; half a minute on one core."""
    return table_1() | tables_4_and_6() | baselines() | frozen_gradients()

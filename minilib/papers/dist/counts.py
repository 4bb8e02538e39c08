"""Every number of DiST's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {measure: value} in the paper's units (10^9 or 10^12 multiply-adds of one view, 10^6 parameters).
The convention is one multiply-add = one FLOP, plus five an element of every LayerNorm; CLIP's projection into the joint
space is left out of the computation and kept in the parameters, and the text tower is in neither. The published graph
is counted (`released_taps`); `.efficient` is the same table with the image model's stem on the sparse frames only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import torch
from torch import nn

from minilib.models.clip import TINY, VIT_B16, VIT_L14, Architecture, FrameFeatures, build
from minilib.cost import multiply_adds, parameters
from minilib.papers.dist import variants
from minilib.papers.dist.method import Design, DiST, ImageSizes
from minilib.papers.dist.clip import DiSTRecogniser, Taps, released_taps, sparse_taps
from minilib.papers.baselines import EVL, STAdapter
from minilib.papers.zeroi2v.counts import visual

SSV2, K400 = Design(pooling=2), Design(pooling=4)
LARGE_336 = replace(VIT_L14, vision={**VIT_L14.vision, "image_size": 336})
ARCHITECTURES = {"b16": VIT_B16, "l14": VIT_L14}


@cache
def tower(architecture: Architecture) -> nn.Module:
    """The real image tower without weights, its projection included."""
    return visual(architecture, projection=True)


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
    net, side = net_of(design, architecture), architecture.vision["image_size"]
    sizes, t = net.sizes, design.frames
    empty = partial(torch.empty, device="meta")
    lead = (sizes.depth, 1, t)
    features = FrameFeatures(empty(*lead, sizes.width), empty(*lead, sizes.grid[0] * sizes.grid[1], sizes.width))
    own = multiply_adds(net, features, empty(1, design.gamma * t, 3, side, side))
    return (own + image_cost(architecture, t, design.gamma, taps)) / 1e9


def params(design: Design, architecture: Architecture) -> float:
    """10^6 parameters of DiST and the image tower."""
    return (parameters(net_of(design, architecture)) + parameters(tower(architecture))) / 1e6


def table_1() -> dict[str, float]:
    """Tables 1(c) to 1(f). TAdaConv without its routing, and with it."""
    rows = {
        "t1c.gflops.tada": {"t_block": partial(variants.TAdaConv, routing=None)},
        "t1c.gflops.tada_routing": {"t_block": variants.TAdaConv},
        "t1c.gflops.c3d": {"t_block": variants.C3D},
        "t1c.gflops.joint": {"t_block": variants.JointTransformer},
        "t1c.gflops.r2plus1d": {},
        **{f"t1d.gflops.gamma{gamma}": {"gamma": gamma} for gamma in (1, 2, 4, 8)},
        **{f"t1e.gflops.dim{dim}": {"integration": dim} for dim in (96, 192, 384, 768)},
        **{f"t1f.gflops.dim{dim}": {"temporal": dim} for dim in (64, 96, 128, 192)},
    }
    out = {}
    for name, changes in rows.items():
        design = replace(SSV2, **changes)
        out[name] = giga(design)
        if name.startswith("t1d"):
            out[f"{name}.efficient"] = giga(design, taps=sparse_taps)
    return out


def tables_4_and_6() -> dict[str, float]:
    """Computation (10^12) and parameters of the models compared with others; L/14 keeps 384 and 96 channels."""
    out = {}
    for table, design in (("t4", SSV2), ("t6", K400)):
        for name, architecture in ARCHITECTURES.items():
            for frames in (8, 16, 32):
                out[f"{table}.tflops.{name}.{frames}"] = giga(replace(design, frames=frames), architecture) / 1e3
            out[f"{table}.params.{name}"] = params(design, architecture)
    out["t6.tflops.l14_336.32"] = giga(replace(K400, frames=32), LARGE_336) / 1e3
    out["t6.params.l14_336"] = params(K400, LARGE_336)
    return out


def peers() -> dict[str, float]:
    """ST-Adapter and EVL in Tables 4 and 6, 32 frames: computation of one view (10^12) and parameters (10^6)."""
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
        side = architecture.vision["image_size"]
        with torch.device("meta"):
            model = method(tower(architecture), 32, 1)
            model.head = nn.Identity()
            out[f"peer.{name}.tflops"] = multiply_adds(model, torch.empty(1, 32, 3, side, side)) / 1e12
        out[f"peer.{name}.params"] = parameters(model) / 1e6
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
    return table_1() | tables_4_and_6() | peers() | frozen_gradients()


if __name__ == "__main__":
    for measure, value in count_all().items():
        print(f"{measure:40s} {value:.4f}")

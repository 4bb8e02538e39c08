"""Every number of ZeroI2V's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {metric: value} in the papers' units (10^9 multiply-adds of all views, 10^6 parameters). The
convention is one multiply-add = one FLOP, plus five an element of every LayerNorm; CLIP's projection into the joint
space is left out of the computation and kept in the parameters, as the printed 304 of ViT-L demands. Classifiers are
left out of both. Nothing is computed on data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import timm
import torch
from torch import Tensor, nn

from minilib.cost import multiply_adds, parameters
from minilib.models.clip import VIT_B16, VIT_L14, Architecture, without_words
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter
from minilib.papers.zeroi2v import (
    FOUR,
    SIX,
    STDHA,
    Adaptation,
    Adapter,
    attach,
    detach,
    merge,
    new_parameters,
    variants,
)
from minilib.papers.zeroi2v.published import TABLES

VIEWS = 3
ARCHITECTURES = {"b16": VIT_B16, "l14": VIT_L14}
TWO, THREE = ("qkv", "up"), ("qkv", "o", "up")  # where the rows of Table 3 with fewer adapters have them
PLACES = {"2": TWO, "3": THREE, "4": FOUR, "6": SIX}


def visual(architecture: Architecture, projection: bool = False, device: str = "meta") -> nn.Module:
    """The real image tower with random weights, or on meta with none."""
    vit = without_words(architecture, device).visual
    vit.proj = vit.proj if projection else None
    return vit


def giga(model: nn.Module, frames: int, clips: bool = False) -> float:
    """10^9 multiply-adds of `VIEWS` clips; `clips` for models that take (b, t, 3, h, w)."""
    pixels = torch.empty(frames, 3, 224, 224, device="meta")
    return VIEWS * multiply_adds(model, pixels[None] if clips else pixels) / 1e9


def mega(tensors: Sequence[Tensor]) -> float:
    """10^6 parameters."""
    return sum(tensor.numel() for tensor in tensors) / 1e6


def receptive_field(offsets: Sequence[int]) -> int:
    """How many frames one attention sees: the distinct offsets, the frame itself included."""
    return len({0, *offsets})


# --- one function a table --------------------------------------------------------------------------------------------


def new_with(places: tuple[str, ...], width: float, adapter: type | partial = Adapter) -> float:
    """Million parameters of adapters of `width` at `places` of every block of ViT-B/16."""
    settings = Adaptation(8, places=places, ratio=width / 768, adapter=adapter, temporal_embedding=False)
    return mega(new_parameters(attach(visual(VIT_B16), settings)))


def table_2() -> dict[str, float]:
    """Tunable parameters of four linear adapters a block, by bottleneck ratio."""
    ratios = ("0.0625", "0.125", "0.25", "0.5")
    return {f"t2.tunable.{ratio}": new_with(FOUR, 768 * float(ratio)) for ratio in ratios}


def table_3() -> dict[str, float]:
    """Tunable parameters of the strategies; places as the printed counts force them."""
    linear = ("4x96", "2x192", "3x192", "4x192", "6x192", "6x128")
    sizes = {"linear": (Adapter, linear), "gelu": (variants.GeluAdapter, linear[:4])}
    sizes["st_adapter"] = (partial(SpatioTemporalAdapter, frames=8), ("4x192", "2x384"))
    out = {"t3.full": mega(list(visual(VIT_B16).parameters()))}
    for kind, (adapter, names) in sizes.items():
        for name in names:
            number, width = name.split("x")
            out[f"t3.{kind}.{name}"] = new_with(PLACES[number], int(width), adapter)
    bare = Adaptation(8, places=(), temporal_embedding=False)
    places = {"qv": ("q", "v"), "qkvo": ("q", "k", "v", "o"), "shared_o_mlp": FOUR, "all": SIX}
    for name in ("qv.192", "qkvo.192", "shared_o_mlp.192", "shared_o_mlp.128", "all.192", "all.128"):
        where, rank = name.split(".")
        model = variants.add_lora(attach(visual(VIT_B16), bare), places[where], int(rank))
        out[f"t3.lora.{name}"] = mega(new_parameters(model))
    model = variants.tune_temporal_heads(attach(visual(VIT_B16), bare))
    out["t3.temporal_heads"] = mega(new_parameters(model))
    out["t3.probe"] = mega(variants.LinearProbe(bare)(visual(VIT_B16)))
    return out


def tables_4_and_5() -> dict[str, float]:
    """ZeroI2V's rows: a merged model, counted; extra is its excess over the plain ViT. Tables 9 and 13 repeat them."""
    out = {}
    for name, architecture in ARCHITECTURES.items():
        plain = visual(architecture)
        for frames in (8, 16, 32):
            entry = TABLES["table_11"]["something_something_v2"][f"vit_{name}"][frames]
            places = PLACES[str(entry["adapters"])]
            settings = Adaptation(frames, STDHA(tuple(entry["offsets"])), places, temporal_embedding=False)
            model = merge(attach(visual(architecture), settings))
            out[f"t4.{name}.{frames}.gflops"] = giga(model, frames)
            out[f"t4.{name}.{frames}.extra"] = out[f"t4.{name}.{frames}.gflops"] - giga(plain, frames)
        out[f"t4.{name}.params"] = parameters(visual(architecture, projection=True)) / 1e6
        out[f"t4.{name}.new_params"] = (parameters(model) - parameters(plain)) / 1e6
    in21k = timm.create_model("vit_base_patch16_224", num_classes=0)
    return out | {"t13.params": parameters(in21k) / 1e6, "t13.gflops": giga(in21k, 8)}


def table_11() -> dict[str, float]:
    """Temporal receptive fields of the published offsets."""
    out = {}
    for data, backbones in TABLES["table_11"].items():
        for backbone, entries in backbones.items():
            for frames, entry in entries.items():
                for stage, heads in enumerate(entry.get("stages", [entry]), 1):
                    name = f"t11.{data}.{backbone}.{frames}" + (f".stage{stage}" if "stages" in entry else "")
                    out[f"{name}.receptive_field"] = receptive_field(heads["offsets"])
    return out


def table_14() -> dict[str, float]:
    """Swin-B; 16 frames enter the blocks after the temporal patch embedding. Multiply-adds without LayerNorm."""
    swin = timm.create_model("swin_base_patch4_window7_224", num_classes=0)
    size = parameters(swin)
    cost = VIEWS * multiply_adds(swin, torch.empty(16, 3, 224, 224), layer_norm_cost=0) / 1e9
    stages = TABLES["table_11"]["something_something_v2"]["swin_b"][32]["stages"]
    each = [(STDHA(tuple(s["offsets"])), len(layer.blocks)) for s, layer in zip(stages, swin.layers, strict=True)]
    model = attach(swin, Adaptation(16), [mixing for mixing, blocks in each for _ in range(blocks)])
    return {"t14.gflops": cost, "t14.params": size / 1e6, "t14.tunable": mega(new_parameters(model))}


def baselines() -> dict[str, float]:
    """ST-Adapter, AIM and EVL in Tables 4, 5 and 13: cost of all views, excess over the plain ViT, parameters."""
    rows: Mapping[str, tuple[Architecture, int, type, dict]] = {
        "st_adapter.b16.8": (VIT_B16, 8, STAdapter, {}),
        "st_adapter.b16.32": (VIT_B16, 32, STAdapter, {"places": ("attention", "mlp")}),
        "st_adapter.b16.32.one": (VIT_B16, 32, STAdapter, {}),
        "st_adapter.l14.32": (VIT_L14, 32, STAdapter, {}),
        "aim.b16.8": (VIT_B16, 8, AIM, {"temporal_adapters": 2}),
        "aim.l14.32.three": (VIT_L14, 32, AIM, {}),
        "aim.l14.32.four": (VIT_L14, 32, AIM, {"temporal_adapters": 2}),
        "evl.b16.8": (VIT_B16, 8, EVL, {}),
        "evl.l14.8": (VIT_L14, 8, EVL, {}),
        "evl.l14.32": (VIT_L14, 32, EVL, {"layers": 12}),
    }
    out = {}
    for name, (architecture, frames, method, settings) in rows.items():
        plain = visual(architecture)
        model = method(visual(architecture), frames, 1, **settings)
        model.head = nn.Identity()
        out[f"baseline.{name}.gflops"] = giga(model, frames, clips=True)
        out[f"baseline.{name}.extra"] = out[f"baseline.{name}.gflops"] - giga(plain, frames)
        new = parameters(model) - parameters(plain)
        out[f"baseline.{name}.new_params"] = new / 1e6
        out[f"baseline.{name}.params"] = (new + parameters(visual(architecture, projection=True))) / 1e6
    return out


def equation_11() -> dict[str, float]:
    """The largest difference between a model and its merged copy, relative to the output; random everything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
        plain = parameters(vit)
        model = attach(vit, Adaptation(4, places=SIX, temporal_embedding=False))
        for parameter in new_parameters(model):
            nn.init.normal_(parameter, std=0.02)
        pixels = torch.randn(4, 3, 224, 224)
    merged = merge(model)
    with torch.no_grad():
        out, other = model.eval()(pixels), merged(pixels)
    error = float((out - other).abs().max() / out.abs().max())
    return {"eq11.merge_error": error, "eq11.extra_params": parameters(detach(merged)) - plain}


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    with torch.device("meta"):
        counted = table_2() | table_3() | tables_4_and_5() | table_11() | table_14() | baselines()
    return counted | equation_11()

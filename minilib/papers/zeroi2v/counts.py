"""Every number of ZeroI2V's tables that can be counted, from models of the real size on the meta device.

`count_all()` gives {measure: value} in the papers' units (10^9 multiply-adds of all views, 10^6 parameters). The
convention is one multiply-add = one FLOP, plus five an element of every LayerNorm; CLIP's projection into the joint
space is left out of the computation and kept in the parameters, as the printed 304 of ViT-L demands. Classifiers are
left out of both. Nothing is computed on data.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import timm
import torch
import yaml
from torch import nn

from minilib.cost import multiply_adds, parameters
from minilib.models.clip import VIT_B16, VIT_L14, Architecture, build
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter
from minilib.papers.zeroi2v import variants
from minilib.papers.zeroi2v.heads import HeadRelocation
from minilib.papers.zeroi2v.method import FOUR, SIX, Adaptation, Adapter, attach, detach, merge

PUBLISHED = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text())
VIEWS = 3
ARCHITECTURES = {"b16": VIT_B16, "l14": VIT_L14}


def head_relocation(offsets: list[list[int]]) -> HeadRelocation:
    """The mixing of one entry of Table 11."""
    return HeadRelocation(tuple((offset, count) for offset, count in offsets))


def visual(architecture: Architecture, projection: bool = False) -> nn.Module:
    """The real image tower without weights."""
    with torch.device("meta"):
        vit = build(architecture, tokenize=lambda texts: None).visual
    vit.proj = vit.proj if projection else None
    return vit


def giga(model: nn.Module, frames: int, clips: bool = False) -> float:
    """10^9 multiply-adds of `VIEWS` clips; `clips` for models that take (b, t, 3, h, w)."""
    pixels = torch.empty(frames, 3, 224, 224, device="meta")
    return VIEWS * multiply_adds(model, pixels[None] if clips else pixels) / 1e9


def mega(count: int) -> float:
    return count / 1e6


def adapted(architecture: Architecture, frames: int = 8, **settings) -> nn.Module:
    with torch.device("meta"):
        return attach(visual(architecture), Adaptation(frames, temporal_embedding=False, **settings))


def receptive_field(mixing: HeadRelocation) -> int:
    """How many frames one attention sees: the distinct offsets, the frame itself included."""
    return len({0, *(offset for offset, _ in mixing.offsets)})


# --- one function a table --------------------------------------------------------------------------------------------


def table_2() -> dict[str, float]:
    """Tunable parameters of four linear adapters a block, by bottleneck ratio."""
    ratios = ("0.0625", "0.125", "0.25", "0.5")
    new = lambda ratio: variants.new_parameters(adapted(VIT_B16, ratio=float(ratio)))  # noqa: E731
    return {f"t2.tunable.{r}": mega(sum(p.numel() for p in new(r))) for r in ratios}


def table_3() -> dict[str, float]:
    """Tunable parameters of the strategies; places as the printed counts force them."""
    size = lambda model: mega(sum(p.numel() for p in variants.new_parameters(model)))  # noqa: E731
    bare = partial(adapted, VIT_B16, places=())
    two, three = ("qkv", "up"), ("qkv", "o", "up")
    out = {"t3.full": mega(parameters(visual(VIT_B16))), "t3.probe": 0.0}
    for kind, activation in (("linear", nn.Identity), ("gelu", nn.GELU)):
        for name, places, width in (
            ("4x96", FOUR, 96),
            ("2x192", two, 192),
            ("3x192", three, 192),
            ("4x192", FOUR, 192),
            ("6x192", SIX, 192),
            ("6x128", SIX, 128),
        ):
            if kind == "linear" or places is not SIX:
                adapter = partial(Adapter, activation=activation)
                out[f"t3.{kind}.{name}"] = size(adapted(VIT_B16, places=places, ratio=width / 768, adapter=adapter))
    for name, places, rank in (
        ("qv.192", ("q", "v"), 192),
        ("qkvo.192", ("q", "k", "v", "o"), 192),
        ("shared_o_mlp.192", FOUR, 192),
        ("shared_o_mlp.128", FOUR, 128),
        ("all.192", SIX, 192),
        ("all.128", SIX, 128),
    ):
        with torch.device("meta"):
            out[f"t3.lora.{name}"] = size(variants.add_lora(bare(), places, rank))
    with torch.device("meta"):
        out["t3.temporal_heads"] = size(variants.tune_temporal_heads(bare()))
    for name, places, width in (("4x192", FOUR, 192), ("2x384", two, 384)):
        adapter = partial(SpatioTemporalAdapter, frames=8)
        out[f"t3.st_adapter.{name}"] = size(adapted(VIT_B16, places=places, ratio=width / 768, adapter=adapter))
    return out


def zeroi2v_costs() -> dict[str, float]:
    """The ZeroI2V rows of Tables 4, 5, 9, 11, 13: a merged model, counted; extra is its excess over the plain ViT."""
    out = {}
    for name, architecture in ARCHITECTURES.items():
        for frames in (8, 16, 32):
            entry = PUBLISHED["table_11"]["something_something_v2"][f"vit_{name}"][frames]
            places = SIX if entry["adapters"] == 6 else FOUR
            mixing = head_relocation(entry["offsets"])
            with torch.device("meta"):
                model = attach(visual(architecture), Adaptation(frames, mixing, places, temporal_embedding=False))
                model = merge(model)
            out[f"t4.{name}.{frames}.gflops"] = giga(model, frames)
            out[f"t4.{name}.{frames}.extra"] = out[f"t4.{name}.{frames}.gflops"] - giga(visual(architecture), frames)
        out[f"t4.{name}.params"] = mega(parameters(visual(architecture, projection=True)))
        out[f"t4.{name}.new_params"] = mega(parameters(model) - parameters(visual(architecture)))
    for data, backbones in PUBLISHED["table_11"].items():
        for backbone, entries in backbones.items():
            for frames, entry in entries.items():
                for stage, heads in enumerate(entry.get("stages", [entry]), 1):
                    name = f"t11.{data}.{backbone}.{frames}" + (f".stage{stage}" if "stages" in entry else "")
                    out[f"{name}.receptive_field"] = receptive_field(head_relocation(heads["offsets"]))
    with torch.device("meta"):
        in21k = timm.create_model("vit_base_patch16_224", num_classes=0)
    out["t13.params"] = mega(parameters(in21k))
    out["t13.gflops"] = giga(in21k, 8)
    return out


def table_14() -> dict[str, float]:
    """Swin-B; 16 frames enter the blocks after the temporal patch embedding. Multiply-adds without LayerNorm."""
    with torch.device("meta"):
        swin = timm.create_model("swin_base_patch4_window7_224", num_classes=0)
        size = parameters(swin)
        cost = VIEWS * multiply_adds(swin, torch.empty(16, 3, 224, 224), layer_norm_cost=0) / 1e9
        stages = PUBLISHED["table_11"]["something_something_v2"]["swin_b"][32]["stages"]
        mixings = [
            head_relocation(s["offsets"]) for s, stage in zip(stages, swin.layers, strict=True) for _ in stage.blocks
        ]
        model = attach(swin, Adaptation(16), mixings)
        new = mega(sum(p.numel() for p in variants.new_parameters(model)))
    return {"t14.gflops": cost, "t14.params": mega(size), "t14.tunable": new}


def peers() -> dict[str, float]:
    """ST-Adapter, AIM and EVL in Tables 4, 5 and 13: cost of all views, excess over the plain ViT, parameters."""
    rows = {
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
        with torch.device("meta"):
            model = method(visual(architecture), frames, 1, **settings)
        model.head = nn.Identity()
        plain = visual(architecture)
        out[f"peer.{name}.gflops"] = giga(model, frames, clips=True)
        out[f"peer.{name}.extra"] = out[f"peer.{name}.gflops"] - giga(plain, frames)
        new = parameters(model) - parameters(plain)
        out[f"peer.{name}.new_params"] = mega(new)
        out[f"peer.{name}.params"] = mega(new + parameters(visual(architecture, projection=True)))
    return out


@cache
def merge_error() -> dict[str, float]:
    """The largest difference between a model and its merged copy, relative to the output; random everything."""
    torch.manual_seed(0)
    vit = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
    plain = parameters(vit)
    model = attach(vit, Adaptation(4, HeadRelocation(), SIX, temporal_embedding=False))
    for parameter in variants.new_parameters(model):
        nn.init.normal_(parameter, std=0.02)
    merged = merge(model)
    pixels = torch.randn(4, 3, 224, 224)
    with torch.no_grad():
        out, other = model.eval()(pixels), merged(pixels)
    return {
        "eq11.merge_error": float((out - other).abs().max() / out.abs().max()),
        "eq11.extra_params": parameters(detach(merged)) - plain,
    }


def count_all() -> dict[str, float]:
    """Every countable number; seconds on one core."""
    return table_2() | table_3() | zeroi2v_costs() | table_14() | peers() | merge_error()


if __name__ == "__main__":
    for measure, value in count_all().items():
        print(f"{measure:55s} {value:.4f}")

"""ZeroI2V: zero-cost adaptation of an image transformer to video (Li, Zhu, Wang; ECCV 2024).

Two ideas. Some attention heads read the keys and values of *another frame* (`stdha`, Sec. 3.2): no parameter, no
computation. And linear adapters around every projection (`adapters`, Sec. 3.3) are multiplied into the frozen weights
after training (Eq. 11): what is left is a plain ViT whose heads look sideways in time.

    x -> LN -> [adapter q k v] -> project -> STDHA -> attention -> project -> [adapter o] -> + x
      -> LN -> [adapter up]    -> MLP                                      -> [adapter down] -> + x

`attach` does this to the blocks of an open_clip ViT, a timm ViT or a timm Swin (`minilib.models.foreign` says which),
`new_parameters` are what it added, `detach` undoes it, `merge` multiplies the adapters in. Defaults are the released
code's; the text's choices, where it makes others, are settings.

Axes: b clips, t frames, w windows (1 but for Swin), n tokens, h heads, c channels of a head, d = h c width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize

from minilib.errors import BadInput
from minilib.models.foreign import blocks, check_known, image_part, windows
from minilib.papers.zeroi2v.adapters import Adapter
from minilib.papers.zeroi2v.parts import TemporalEmbedding, VideoAttention, VideoMlp, neighbours, under_plain_names
from minilib.papers.zeroi2v.stdha import STDHA

PLACES = ("qkv", "q", "k", "v", "o", "up", "down")
DEFAULT = STDHA()
FOUR, SIX = ("qkv", "o", "up", "down"), ("q", "k", "v", "o", "up", "down")


@dataclass(frozen=True)
class Adaptation:
    """What `attach` builds. places: which projections get an adapter; `adapter(width, bottleneck)` makes one."""

    frames: int
    mixing: STDHA = DEFAULT
    places: tuple[str, ...] = FOUR
    ratio: float = 0.25
    adapter: Callable[[int, int], nn.Module] = Adapter
    temporal_embedding: bool = True


def attach(backbone: nn.Module, settings: Adaptation, mixings: list[STDHA] | None = None) -> nn.Module:
    """Changes `backbone`, or the image model within it, in place so that it takes (b t, 3, h, w) and mixes each t
    frames; returns it. New parts are on the device, of the type and in the mode of the part that they join. Nothing is
    frozen: `new_parameters` are what the paper trains, beside a classifier and open_clip's last norm.

    `mixings` gives one per block where they differ (Swin's stages, Table 11). All checks come before any change.
    Raises BadInput for a model that is not known to the last operation, and where `merge` would need a bias.
    """
    places, image = settings.places, image_part(backbone)
    unknown = [place for place in places if place not in PLACES]
    if unknown or ("qkv" in places and {"q", "k", "v"} & set(places)):
        raise BadInput(f"adapter places {places}: choose of {PLACES}, and either 'qkv' or its three parts")
    if settings.frames < 1:
        raise BadInput(f"frames={settings.frames}: a clip has at least one")
    if attached(backbone):
        raise BadInput("the backbone is attached already: detach it first")
    check_known(backbone)
    mixings = mixings or [settings.mixing] * len(blocks(backbone))
    if len(mixings) != len(blocks(backbone)):
        raise BadInput(f"{len(mixings)} mixings: {type(image).__name__} has {len(blocks(backbone))} blocks")
    made = []
    for i, (block, mixing) in enumerate(zip(blocks(backbone), mixings, strict=True)):
        attention = VideoAttention(block.attn, settings.frames, mixing, windows(block))
        mlp = VideoMlp(block.mlp)
        width = attention.out.in_features
        for place in places:
            owner, weight, bias, _ = neighbours(attention, mlp)[place]
            if bias is None:
                raise BadInput(
                    f"{type(image).__name__}, block {i}: the layer of place '{place}' has no bias, into which `merge` "
                    "would multiply the adapter's; choose `places` without it"
                )
            adapter = settings.adapter(width, max(round(settings.ratio * width), 1))
            owner.adapters[place] = adapter.to(weight.device, weight.dtype).train(owner.training)
        made.append((block, attention, mlp))
    for block, attention, mlp in made:
        block.attn, block.mlp = attention, mlp
    norm = _first_norm(image)
    if settings.temporal_embedding and norm:
        setattr(image, norm, TemporalEmbedding(getattr(image, norm), settings.frames, attention.out.weight))
    image.clip_frames = settings.frames  # whoever cuts clips into frames can ask
    return backbone


def attached(backbone: nn.Module) -> bool:
    """Whether `attach` was here."""
    return hasattr(image_part(backbone), "clip_frames")


def _first_norm(image: nn.Module) -> str | None:
    return next((name for name in ("ln_pre", "norm_pre") if hasattr(image, name)), None)


def _temporal_embedding(image: nn.Module) -> TemporalEmbedding | None:
    norm = getattr(image, _first_norm(image) or "", None)
    return norm if isinstance(norm, TemporalEmbedding) else None


def _attached_part(backbone: nn.Module) -> nn.Module:
    if not attached(backbone):
        raise BadInput(f"{type(backbone).__name__}: nothing is attached to it; call `attach` first")
    return image_part(backbone)


def new_parameters(backbone: nn.Module) -> list[nn.Parameter]:
    """What `attach` added to a backbone: the adapters' weights, then the temporal embedding; and low-rank factors and
    free slices where an ablation put them. Everything else is the image model's own.

    Raises BadInput where nothing is attached.
    """
    image = _attached_part(backbone)
    owners = [m for m in image.modules() if isinstance(m, parametrize.ParametrizationList | nn.ModuleDict)]
    found = {id(p): p for m in owners for n, p in m.named_parameters() if not n.endswith("original")}
    norm = _temporal_embedding(image)
    return [*found.values(), *([] if norm is None else [norm.embedding])]


def detach(backbone: nn.Module) -> nn.Module:
    """Undoes `attach` exactly; what was trained in the attached parts is dropped. Raises BadInput where nothing is
    attached."""
    image = _attached_part(backbone)
    for block in blocks(image):
        block.attn = block.attn.inner
        block.mlp = block.mlp.inner if isinstance(block.mlp, VideoMlp) else block.mlp
    if norm := _temporal_embedding(image):
        norm.inner._parameters.pop("embedding", None)  # a merged one is there
        setattr(image, _first_norm(image), norm.inner)
    del image.clip_frames
    return backbone


@torch.no_grad()
def merge(backbone: nn.Module) -> nn.Module:
    """A copy of an attached backbone in which every adapter is multiplied into its neighbour (Eq. 11).

    Its tensors have the names and sizes of the plain ViT's, and one comes on top where `temporal_embedding` is true, as
    by default: `ln_pre.embedding` (open_clip) or `norm_pre.embedding` (timm), t d numbers that are added to the tokens
    of each frame and belong to no projection. Swin has none. Heads go on reading other frames, so the plain ViT
    that loads these tensors is not the same function.

    Raises BadInput where nothing is attached, an adapter is not linear, or LoRA lies beside one.
    """
    _attached_part(backbone)
    backbone = copy.deepcopy(backbone)
    for block in blocks(backbone):
        attention, mlp = block.attn, block.mlp
        if not isinstance(mlp, VideoMlp):
            continue  # merged before
        for place, (owner, weight, bias, merged) in neighbours(attention, mlp).items():
            if place not in owner.adapters:
                continue
            if not hasattr(owner.adapters[place], "affine"):
                raise BadInput(f"{type(owner.adapters[place]).__name__} is no linear adapter and cannot be merged")
            if any(parametrize.is_parametrized(part) for part in owner.inner.modules()):
                raise BadInput("LoRA on a layer beside an adapter: first torch's `remove_parametrizations`, then merge")
            new_weight, new_bias = merged(weight, bias, owner.adapters[place])
            weight.copy_(new_weight)
            bias.copy_(new_bias)
        del attention.adapters
        under_plain_names(attention)
        attention.adapters, block.mlp = (), mlp.inner
    norm = _temporal_embedding(image_part(backbone))
    if norm:
        under_plain_names(norm)
    return backbone

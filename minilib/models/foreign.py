"""Image models of other libraries: which are known down to the last operation, and which are refused.

A method that stands in for a block's attention drops whatever that attention does beside softmax(Q K^T / sqrt c) V:
norms of queries and keys, rotary positions, biases, gates, dropout. So a model is taken only where each class is
exactly one listed here (no subclass) and no part is left over; all else is one `BadInput` line before anything is
changed. `image_part` looks into wrappers first, else a whole CLIP would show its text tower.

Known are open_clip's ViT, timm's ViT and timm's Swin. Nothing is imported for it: classes go by their names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from minilib.errors import BadInput

WRAPPERS = {  # class: the attribute that holds the image model
    "minilib.models.classifier.VideoClassifier": "backbone",
    "minilib.models.clip.ImageText": "model",
    "open_clip.coca_model.CoCa": "visual",
    "open_clip.model.CLIP": "visual",
    "open_clip.model.CustomTextCLIP": "visual",
    "open_clip.timm_model.TimmModel": "trunk",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
}


@dataclass(frozen=True)
class Kind:
    """What a block is made of, by class; `mlp_ends` are the names of an MLP's first and last linear layer."""

    block: str
    attention: str
    mlps: tuple[str, ...]
    mlp_ends: tuple[str, str]


OPEN_CLIP = Kind(
    "open_clip.transformer.ResidualAttentionBlock",
    "torch.nn.modules.activation.MultiheadAttention",
    ("torch.nn.modules.container.Sequential",),
    ("c_fc", "c_proj"),
)
TIMM = Kind(
    "timm.models.vision_transformer.Block",
    "timm.layers.attention.Attention",
    ("timm.layers.mlp.Mlp", "timm.layers.mlp.GluMlp"),
    ("fc1", "fc2"),
)
SWIN = Kind(
    "timm.models.swin_transformer.SwinTransformerBlock",
    "timm.models.swin_transformer.WindowAttention",
    ("timm.layers.mlp.Mlp",),
    ("fc1", "fc2"),
)
KINDS = {
    "open_clip.transformer.VisionTransformer": OPEN_CLIP,
    "timm.models.vision_transformer.VisionTransformer": TIMM,
    "timm.models.deit.VisionTransformerDistilled": TIMM,
    "timm.models.swin_transformer.SwinTransformer": SWIN,
}
LINEAR = ("torch.nn.modules.linear.Linear", "torch.nn.modules.linear.NonDynamicallyQuantizableLinear")
OWN_TENSORS = {"in_proj_weight", "in_proj_bias", "relative_position_bias_table", "relative_position_index"}
CURE = "take a plain ViT of open_clip or timm (vit_base_patch16_224, say) or a timm Swin"


def class_name(module: object) -> str:
    """Module and name of the exact class."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def image_part(model: nn.Module) -> nn.Module:
    """The image model within a CLIP, a classifier, a compiled or a data-parallel model; any other model itself."""
    while (holder := WRAPPERS.get(class_name(model))) is not None:
        model = getattr(model, holder)
    return model


def kind_of(model: nn.Module) -> Kind:
    """Which of the known kinds an image model is; BadInput for another one."""
    image = image_part(model)
    if class_name(image) not in KINDS:
        raise BadInput(f"{class_name(image)} is none of the image models that are known here: {CURE}")
    return KINDS[class_name(image)]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks of an open_clip ViT, a timm ViT or a timm Swin, in order."""
    kind, image = kind_of(model), image_part(model)
    if kind is OPEN_CLIP:
        return list(image.transformer.resblocks)
    if kind is SWIN:
        return [block for stage in image.layers for block in stage.blocks]
    return list(image.blocks)


def windows(block: nn.Module) -> int:
    """How many windows Swin's block cuts a frame into, with padding; 1 for a ViT's."""
    if class_name(block) != SWIN.block:
        return 1
    return math.prod(math.ceil(n / size) for n, size in zip(block.input_resolution, block.window_size, strict=True))


def check_known(model: nn.Module) -> None:
    """Raises BadInput unless every block of `model` computes what is known here, and nothing beside it."""
    kind, image = kind_of(model), image_part(model)
    fault = _forward_fault(image)
    if kind is OPEN_CLIP and not image.transformer.batch_first:
        fault = "its blocks take tokens before frames (batch_first=False)"
    if kind is SWIN and image.dynamic_img_size:
        fault = "it takes images of any size, which leaves the number of windows open (strict_img_size=False)"
    for i, block in enumerate(blocks(model)):
        if reason := _block_fault(block, kind):
            fault = fault or f"block {i}: {reason}"
    if fault:
        raise BadInput(f"{type(image).__name__}, {fault}: {CURE}")


def check_class_token(image: nn.Module) -> None:
    """Raises BadInput for an open_clip ViT that describes an image by something else than its class token."""
    if getattr(image, "attn_pool", None) is not None or getattr(image, "pool_type", "tok") != "tok":
        raise BadInput(f"{type(image).__name__} does not describe an image by its class token: take one that does")


def open_clip_vit(model: nn.Module) -> nn.Module:
    """The image part of `model`; BadInput unless it is open_clip's plain ViT, known to the last operation."""
    if kind_of(model) is not OPEN_CLIP:
        raise BadInput(f"{type(image_part(model)).__name__}: needs the plain visual part of an open_clip ViT")
    check_known(model)
    check_class_token(image_part(model))
    return image_part(model)


def _forward_fault(module: nn.Module) -> str | None:
    return "its forward was replaced" if "forward" in vars(module) else None


def _block_fault(block: nn.Module, kind: Kind) -> str | None:
    """The first thing about a block that is not known, None where there is none."""
    if class_name(block) != kind.block:
        return f"{class_name(block)} is not {kind.block}"
    if class_name(block.attn) != kind.attention:
        return f"attention {class_name(block.attn)} is not {kind.attention}"
    if class_name(block.mlp) not in kind.mlps:
        return f"MLP {class_name(block.mlp)} is not {' or '.join(kind.mlps)}"
    if hasattr(block, "ln_1_kv"):
        return "it attends to other tokens than its own (is_cross_attention)"
    return _forward_fault(block) or _attention_fault(block.attn, kind) or _mlp_fault(block, kind)


def _attention_fault(attention: nn.Module, kind: Kind) -> str | None:
    """What an attention does beside softmax(Q K^T / sqrt c) V, where that is anything."""
    linear = {"out_proj"} if kind is OPEN_CLIP else {"qkv", "proj"}
    parts = dict(attention.named_children())
    if missing := linear - parts.keys():
        return f"attention without {min(missing)}"
    for name, part in parts.items():
        if name in linear and class_name(part) not in LINEAR:
            return f"attention's {name} is {class_name(part)}, not torch's Linear"
        if name not in linear and not _does_nothing(part):
            return f"attention has a part {name} ({type(part).__name__}) that is not reproduced"
    own = [name for name, _ in [*attention.named_parameters(recurse=False), *attention.named_buffers(recurse=False)]]
    if unknown := set(own) - OWN_TENSORS:
        return f"attention has a tensor {min(unknown)} that is not reproduced"
    for module in attention.modules():
        if "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks:
            return f"attention's {type(module).__name__} has a hook or a forward of its own, which would not run"
    d = (parts["out_proj"] if kind is OPEN_CLIP else parts["proj"]).out_features
    weight = attention.in_proj_weight if kind is OPEN_CLIP else parts["qkv"].weight
    if weight is None or weight.shape != (3 * d, d) or d % attention.num_heads:
        return f"attention does not project width {d} to queries, keys and values of that width"
    if kind is OPEN_CLIP:
        plain = attention.batch_first and not attention.dropout and not attention.add_zero_attn
        return None if plain else "attention has dropout, a zero key or tokens before frames"
    scale = (d // attention.num_heads) ** -0.5
    return None if math.isclose(attention.scale, scale) else f"attention scales by {attention.scale}, not {scale}"


def _does_nothing(part: nn.Module) -> bool:
    if type(part) is nn.Dropout:
        return part.p == 0
    return type(part) is nn.Identity or (type(part) is nn.Softmax and part.dim == -1)


def _mlp_fault(block: nn.Module, kind: Kind) -> str | None:
    """What keeps an adapter before or behind an MLP from being multiplied into its first or last layer."""
    if kind is OPEN_CLIP and [name for name, _ in block.mlp.named_children()] != ["c_fc", "gelu", "c_proj"]:
        return "MLP is not c_fc, gelu, c_proj"
    for name in kind.mlp_ends:
        if class_name(getattr(block.mlp, name)) not in LINEAR:
            return f"MLP's {name} is {class_name(getattr(block.mlp, name))}, not torch's Linear"
    return _forward_fault(block.mlp)

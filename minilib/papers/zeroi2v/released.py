"""The authors' checkpoints under our names."""

from __future__ import annotations

from torch import Tensor

PLACES = {
    "T_Adapter_in": ("attn", "qkv"),
    "T_Adapter_in_q": ("attn", "q"),
    "T_Adapter_in_k": ("attn", "k"),
    "T_Adapter_in_v": ("attn", "v"),
    "S_Adapter": ("attn", "o"),
    "MLP_Adapter": ("mlp", "up"),
    "MLP_Adapter_out": ("mlp", "down"),
}
_LAYERS = {"D_fc1": "down", "D_fc2": "up"}


def released_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released ZeroI2V checkpoint to the names of `VideoClassifier` over an attached open_clip ViT."""
    renamed = {}
    for key, value in state.items():
        parts = key.removeprefix("backbone.").split(".")
        if parts[0] == "cls_head":
            parts = ["head", parts[-1]]
        elif parts[0] == "temporal_embedding":
            parts = ["backbone", "ln_pre", "embedding"]
        elif parts[0] == "ln_pre":
            parts = ["backbone", "ln_pre", "inner", *parts[1:]]
        elif parts[:2] == ["transformer", "resblocks"]:
            block, rest = parts[:3], parts[3:]
            if rest[0] in PLACES and rest[1] in _LAYERS:
                half, place = PLACES[rest[0]]
                rest = [half, "adapters", place, _LAYERS[rest[1]], *rest[2:]]
            elif rest[0] in ("attn", "mlp"):
                rest = [rest[0], "inner", *rest[1:]]
            parts = ["backbone", *block, *rest]
        else:
            parts = ["backbone", *parts]
        renamed[".".join(parts)] = value
    return renamed

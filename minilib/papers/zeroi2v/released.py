"""The authors' checkpoints under our names."""

from __future__ import annotations

import re

from torch import Tensor

PLACES = {
    "T_Adapter_in": "attn.adapters.qkv",
    "T_Adapter_in_q": "attn.adapters.q",
    "T_Adapter_in_k": "attn.adapters.k",
    "T_Adapter_in_v": "attn.adapters.v",
    "S_Adapter": "attn.adapters.o",
    "MLP_Adapter": "mlp.adapters.up",
    "MLP_Adapter_out": "mlp.adapters.down",
}
BLOCK = r"(transformer\.resblocks\.\d+\.)"
RULES = (
    (r"^backbone\.", ""),
    *((rf"^{BLOCK}{theirs}\.D_fc1\.", rf"\g<1>{ours}.down.") for theirs, ours in PLACES.items()),
    *((rf"^{BLOCK}{theirs}\.D_fc2\.", rf"\g<1>{ours}.up.") for theirs, ours in PLACES.items()),
    (rf"^{BLOCK}(attn|mlp)\.(?!adapters)", r"\g<1>\g<2>.inner."),
    (r"^ln_pre\.", "ln_pre.inner."),
    (r"^temporal_embedding$", "ln_pre.embedding"),
    (r"^(?!cls_head)", "backbone."),
    (r"^cls_head\.fc_cls\.", "head."),
)


def released_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames a released ZeroI2V checkpoint to the names of `VideoClassifier` over an attached open_clip ViT."""
    renamed = {}
    for key, value in state.items():
        for theirs, ours in RULES:
            key = re.sub(theirs, ours, key)
        renamed[key] = value
    return renamed

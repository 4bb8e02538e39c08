"""What chapter 6 prints and can be counted: `count_all()` gives {metric: value}.

The storage of attention maps (the appendix's "Memory requirement" Table 6.5) follows from the sizes of Stable
Diffusion's attention alone: a map of Q queries and K keys in half precision, of each block, head, frame and step.
Readings, each fixed by one printed number: the maps at 64 x 64 are left out (with them it would be 1158 GB, so the
caption's "all UNet blocks" is not meant); FateZero's keys are those of two frames; pooling goes with 20 steps, not 50;
the optimised model's are of all 8 frames, of which 1/32 are kept (the text says 1/16), and at least 16 and 4 tokens a
frame at 16 x 16 and 8 x 8. The sixth row depends on crops that are not printed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from minilib.cost import multiply_adds
from minilib.models.frame_attention import Now, Reduction, Span, attached, dense, own_frame, sparse

FRAMES, HEADS, BYTES, WORDS = 8, 8, 2, 77
BLOCKS = {64: 5, 32: 5, 16: 5, 8: 1}  # side of the tokens: transformer blocks of SD-1.5 at latents of 64 x 64
PRINTED_SECONDS = {  # of inversion and generation, or of generation: what the text's speed-ups divide
    "fatezero": ((135.80, 41.34), (8.22, 9.29)),
    "controlvideo": ((152.64,), (25.21,)),
    "large": ((12.70, 11.08), (9.77, 9.65)),
    "medium": ((13.09, 11.08), (9.97, 8.82)),
    "small": ((13.02, 10.77), (7.25, 6.22)),
}
LARGEST = 32  # the side up to which maps are kept


def stored(steps: int, keys: Callable[[int], int], largest: int = LARGEST) -> int:
    """Bytes of all maps: keys(side) of a self-attention at side x side queries, WORDS of a cross-attention."""
    queries_by_keys = sum(n * side**2 * (keys(side) + WORDS) for side, n in BLOCKS.items() if side <= largest)
    return steps * FRAMES * HEADS * BYTES * queries_by_keys


def sparse_keys(side: int) -> int:
    """Those of the frame before and of the first."""
    return 2 * side**2


def pooled_keys(side: int) -> int:
    """The same, pooled over 4 x 4."""
    return 2 * side**2 // 16


def merged_keys(side: int) -> int:
    """Of all frames, 1/32, and at least 16 tokens a frame at 16 x 16 and 4 at 8 x 8."""
    return max(FRAMES * side**2 // 32, {16: 16, 8: 4}.get(side, 1) * FRAMES)


@cache
def stable_diffusion() -> UNet2DConditionModel:
    """The UNet of SD-1.5, without memory: 859.52 million weights."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=768,
            attention_head_dim=8,
            block_out_channels=(320, 640, 1280, 1280),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        )


def first_tokens(layer: str, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """As many keys as merging leaves, without the matching that chooses them."""
    return tokens[:, : merged_keys(grid[1])]


def unet_cost(side: int, span: Span, reduce: Reduction | None = None) -> float:
    """10^9 multiply-adds a frame, at latents of side x side, for 8 frames and one sentence (no guidance). Products of
    queries, keys and values are in, norms are not."""
    net = stable_diffusion()
    with attached(net, FRAMES, span, Now(size=(side, side)), reduce=reduce), torch.device("meta"):
        inputs = torch.empty(FRAMES, 4, side, side), torch.empty(FRAMES), torch.empty(FRAMES, WORDS, 768)
        return multiply_adds(net, *inputs, layer_norm_cost=0) / FRAMES / 1e9


def unet_costs() -> dict[str, float]:
    """Each kind of attention at 64 x 64."""
    kinds = {
        "own": (own_frame, None),
        "sparse": (sparse, None),
        "dense": (dense, None),
        "merged": (dense, first_tokens),
    }
    return {f"unet.{name}.gmacs": unet_cost(64, *kind) for name, kind in kinds.items()}


def count_all() -> dict[str, float]:
    """Gigabytes (10^9 bytes) of the table's rows, ratios of printed seconds and sizes, and costs of SD-1.5's UNet."""
    rows = {
        "fatezero": stored(50, sparse_keys),
        "steps5": stored(5, sparse_keys),
        "steps20": stored(20, sparse_keys),
        "pool": stored(20, pooled_keys),
        "optimized": stored(20, merged_keys),
    }
    out = {f"storage.{name}.gb": value / 1e9 for name, value in rows.items()}
    out["storage.all_blocks.gb"] = stored(50, sparse_keys, largest=64) / 1e9
    out["storage.fatezero_over_object_centric"] = out["storage.fatezero.gb"] / 4.22  # the printed last row
    for name, (before, after) in PRINTED_SECONDS.items():
        out[f"seconds.{name}"] = sum(before) / sum(after)
    return out | unet_costs()

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


def count_all() -> dict[str, float]:
    """Gigabytes (10^9 bytes) of the table's rows, and ratios of printed seconds and sizes."""
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
    return out | {f"seconds.{name}": sum(before) / sum(after) for name, (before, after) in PRINTED_SECONDS.items()}

"""Sentences that are made of what was measured, the cost model, and where tokens lie.

Axes: t frames, h and w cells, d channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median

import torch
from torch import Tensor

from minilib.claims.chosen import pairs_of
from minilib.claims.gates import NOTHING
from minilib.claims.intervals import EFFECT, HOLDS, LOOKS, OPPOSITE, first_look
from minilib.claims.model import Claims
from minilib.claims.words import several
from minilib.models.clip import ImageText
from minilib.models.frame_attention import Now, dense
from minilib.papers.object_centric_diffusion.counts import first_tokens, unet_cost
from minilib.papers.object_centric_diffusion.crossing import SHAPES, named
from minilib.papers.object_centric_diffusion.method import Object, Pipeline, merged_keys
from minilib.papers.object_centric_diffusion.quality import temporal_consistency

Rows = Mapping[str, Mapping[int, float]]

# --- what is seen, in sentences --------------------------------------------------------------------------------------


def share_left(rows: Rows, kind: str, name: str, part: str = "") -> float | None:
    """The error of a variant as a share of leaving the video as it is, mean over the clips that both have."""
    pairs = pairs_of(*(rows.get(f"edits/{kind}/{each}{part}", {}) for each in (name, "unedited")))
    if not pairs:
        return None
    found, unedited = zip(*pairs.values(), strict=True)
    return fmean(100 - score for score in found) / fmean(100 - score for score in unedited)


def baseline_line(rows: Rows, kind: str) -> str:
    """Whether the baseline edits this kind at all, by the test that is the gate of its claims, and what follows."""
    part, half = ("/outside", "halfway_outside") if kind == "ground" else ("", "halfway")
    left = share_left(rows, kind, "fatezero", part)
    if left is None and rows.get(f"edits/{kind}/fatezero"):
        return (
            f"Edits of {kind}: FateZero is measured, but not the unedited video, so whether the baseline edits at all "
            "cannot be said yet."
        )
    if left is None:
        return f"Edits of {kind}: not measured yet; `python -m minilib.study object_centric_diffusion` measures them."
    found, halfway = rows[f"edits/{kind}/fatezero{part}"], rows.get(f"edits/{kind}/unedited/{half}", {})
    ahead = {clip: one - other for clip, (one, other) in pairs_of(found, halfway).items()}
    look = first_look(ahead, LOOKS["clips"], "greater", NOTHING)
    said = f"Edits of {kind}: FateZero leaves {100 * left:.0f} % of the error that the unedited video has"
    if look is None:
        return f"{said}; whether that is less than half, {len(ahead)} clips cannot say."
    if look.word == HOLDS:
        return f"{said}, less than half, so what is saved can be judged."
    if look.word == OPPOSITE:
        return f"{said}, more than half: the baseline fails here, and what is saved on it cannot be judged."
    low, high = look.sample.interval(EFFECT)
    return (
        f"{said}. Whether that is less than half cannot be told: it takes {look.sample.mean:.2f} [{low:.2f}, "
        f"{high:.2f}] points of error away beyond half. So what is saved on it cannot be judged."
    )


def on_shared_clips(table: Mapping[str, tuple[str, float | None]], rows: Rows) -> dict[str, dict[int, float]]:
    """The measured lines of a table, {metric: {clip: score}}, on the clips that all of them have: means over different
    clips are not compared."""
    there = [metric for metric, _ in table.values() if rows.get(metric)]
    shared = sorted(set.intersection(*(set(rows[metric]) for metric in there))) if there else []
    return {metric: {clip: rows[metric][clip] for clip in shared} for metric in there if shared}


def saved_line(seconds: Mapping[str, float], slow: str, fast: str, what: str) -> str:
    """How many times faster, of one run."""
    ratio, one, other = seconds[slow] / seconds[fast], seconds[slow], seconds[fast]
    return f"{what}: {ratio:.1f} times as fast ({other:.1f} against {one:.1f} s)."


def ratio_line(rows: Rows, slow: str, fast: str, what: str) -> str:
    """The same from recorded rounds, with the spread."""
    pairs = pairs_of(rows.get(f"cost/{slow}", {}), rows.get(f"cost/{fast}", {}))
    ratios = sorted(one / other for one, other in pairs.values() if other)
    if not ratios:
        return f"{what}: not timed yet."
    low, high, middle = ratios[0], ratios[-1], ratios[len(ratios) // 2]
    return f"{what}: {middle:.2f} times ({low:.2f} to {high:.2f} over {len(ratios)} rounds)."


def crossing_line(rows: Rows) -> str:
    """From how many keys on merging half of them pays, and what storing a map costs; of each size of `SHAPES`."""
    took = {metric.removeprefix("cost/attention."): median(each.values()) for metric, each in rows.items() if each}
    sizes = [size for size in SHAPES if all(f"{way}_{named(*size)}" in took for way in ("fused", "stored", "merged"))]
    if not sizes:
        return "From how many keys on merging pays is not timed yet."
    ratio = {
        way: {size: took[f"{way}_{named(*size)}"] / took[f"fused_{named(*size)}"] for size in sizes}
        for way in ("stored", "merged")
    }
    pays = [
        f"{keys:,} keys of width {width} and {n:,} queries"
        for keys, width, n in sizes
        if ratio["merged"][keys, width, n] < 1
    ]
    low, high = min(ratio["stored"].values()), max(ratio["stored"].values())
    where = " and at ".join(pays) or "none of them"
    return (
        f"Merging half of the keys, matching counted in, was timed at {several(len(sizes), 'sizes')}. It is faster "
        f"than fused attention over all keys at {where}. Storing the map takes {low:.1f} to {high:.1f} times as long "
        "as fused attention."
    )


def frozen_line(clip: ImageText, truth: Tensor, still: Tensor) -> str:
    """Whether a repeated frame beats the true edit in temporal consistency."""
    moving, frozen = (temporal_consistency(clip, each) for each in (truth, still))
    if frozen > moving:
        return f"The frozen frame wins: {frozen:.4f} against {moving:.4f} of the true edit, which moves as it should."
    return f"Here the frozen frame does not win: {frozen:.4f} against {moving:.4f}."


def stored_line(megabytes: Mapping[str, float], most: str, least: str) -> str:
    """How many times less is stored."""
    times, name = megabytes[most] / megabytes[least], least[:1].upper() + least[1:]
    return f"{name} stores {times:.0f} times less than {most}: {megabytes[least]:.0f} against {megabytes[most]:.0f} MB."


def edited_line(errors: Mapping[str, float], unedited: float) -> str:
    """Which pipelines edit a clip at all: errors to the true edit in percent, and that of leaving the clip as it is."""
    best = min(errors, key=errors.get)
    failed = [name for name, each in errors.items() if each > unedited / 2]
    said = (
        f"Leaving the clip as it is has an error of {unedited:.1f} % where the edit lies; {best} comes nearest to the "
        f"true edit, with {errors[best]:.1f} %."
    )
    if not failed:
        return f"{said} All of them take away more than half of it."
    return f"{said} More than half of it is left by {', '.join(failed)}: on this clip that is hardly an edit."


def bottleneck_line(per_step: Mapping[str, tuple[float, float, float]]) -> list[str]:
    """What becomes of the three observations of Sec. 6.2; per_step: seconds of all but attention, of attention, and
    what its maps add."""
    maps = {name: 100 * each[2] / sum(each) for name, each in per_step.items()}
    attention = {name: 100 * each[1] / (each[0] + each[1]) for name, each in per_step.items()}
    fused = {name: each[0] + each[1] for name, each in per_step.items()}

    def shares(of: Mapping[str, float]) -> str:
        return ", ".join(f"{share:.0f} % ({name})" for name, share in of.items())

    most = [name for name, share in maps.items() if share > 50]
    half = [name for name, share in attention.items() if share >= 50]
    return [
        f"*Observation 1*: maps are {shares(maps)} of a step that stores them: more than half with "
        f"{' and '.join(most) or 'none'}.",
        f"*Observation 2*: of what computes, attention is {shares(attention)}: as much as all the rest with "
        f"{' and '.join(half) or 'none'}.",
        f"*Observation 3*: a fused step with dense attention takes {fused['dense'] / fused['own frame']:.1f} times as "
        "long as one on own frames.",
    ]


# --- the cost model --------------------------------------------------------------------------------------------------


def expected_speedup(gamma: float, crop: float, whole: float) -> float:
    """Of object-centric sampling that skips the background: whole and crop, multiply-adds of the UNet at both sizes."""
    return 1 / (gamma + (1 - gamma) * crop / whole)


def expected_speedups(gammas: tuple[float, ...], sides: tuple[int, ...], whole: int = 64) -> dict[tuple, float]:
    """{(gamma, side): speed-up} on SD-1.5 with 8 frames and 1/32 of the keys, by multiply-adds alone."""
    cost = {side: unet_cost(side, dense, first_tokens) for side in (*sides, whole)}
    return {(gamma, side): expected_speedup(gamma, cost[side], cost[whole]) for gamma in gammas for side in sides}


def speedups(seconds: Mapping[str, float], sides: tuple[int, ...], scale: int) -> dict[tuple[float, int], float]:
    """{(gamma, side of 64): speed-up} of seconds by name: "whole" and "gamma<percent>_side<side>"."""
    return {
        (gamma / 100, scale * side): seconds["whole"] / seconds[name]
        for gamma in (50, 25, 5)
        for side in sides
        if "whole" in seconds and (name := f"gamma{gamma:02}_side{side}") in seconds
    }


def printed_speedups(claims: Claims) -> dict[tuple[float, int], float]:
    """The thesis' own, of the appendix's Table 6.6."""
    found = {key.removeprefix("a66.seconds."): v for key, v in claims.printed.items() if key.startswith("a66.seconds.")}
    return speedups(found, (12, 8, 4), 4)


def measured_speedups(rows: Rows) -> dict[tuple[float, int], float]:
    """Ours, from rows: medians over rounds."""
    start = "cost/crop.total."
    found = {name.removeprefix(start): median(v.values()) for name, v in rows.items() if name.startswith(start)}
    return speedups(found, (12, 8, 4), 4)


# --- where tokens lie ------------------------------------------------------------------------------------------------


@torch.no_grad()
def token_map(latents: Tensor, thing: Object, pipeline: Pipeline) -> Tensor:
    """What a pipeline's merging makes of every cell of latents (t, d, h, w), int64 (t, h, w): 0 merged, 1 kept as it
    is, 2 a destination (Fig. 6.4)."""
    frames, _, height, width = latents.shape
    keys = merged_keys(pipeline, Now(0, (height, width)), thing, None)
    plan = keys.planned("all", latents.movedim(1, -1).reshape(1, -1, latents.shape[1]), (frames, height, width))
    kinds = torch.zeros(plan.unmerged.shape[1], frames * height * width // plan.unmerged.shape[1], dtype=torch.int64)
    kinds.scatter_(1, plan.unmerged[0], 1).scatter_(1, plan.destination[0], 2)
    return kinds.view(frames, height, width)


def spared_line(kinds: Mapping[str, Tensor], mask: Tensor) -> str:
    """How much of the object and of the background stays unmerged, for each map of tokens; mask: bool (t, h, w)."""
    parts = []
    for name, each in kinds.items():
        inside, outside = ((each[where] > 0).float().mean().item() for where in (mask, ~mask))
        parts.append(f"{name}: {100 * inside:.0f} and {100 * outside:.0f} %")
    return f"Tokens that are not merged away, of the object's and of the background's: {'; '.join(parts)}."

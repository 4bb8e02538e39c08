"""The chapter's tables as rows, and sentences that are made of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from minilib.claims.words import number
from minilib.models.frame_attention import Now, dense
from minilib.papers.object_centric_diffusion.counts import first_tokens, unet_cost
from minilib.papers.object_centric_diffusion.method import Object, Pipeline, merged_keys
from minilib.papers.object_centric_diffusion.small import edits_of
from minilib.study import Row

Rows = Mapping[str, Mapping[int, float]]

# --- what is seen, in sentences --------------------------------------------------------------------------------------


def share_left(rows: Rows, kind: str, name: str, part: str = "") -> float | None:
    """The error of a variant as a share of leaving the video as it is, mean over the clips that both have."""
    found, unedited = (rows.get(f"edits/{kind}/{each}{part}", {}) for each in (name, "unedited"))
    shared = found.keys() & unedited.keys()
    if not shared:
        return None
    return fmean(100 - found[clip] for clip in shared) / fmean(100 - unedited[clip] for clip in shared)


def baseline_line(rows: Rows, kind: str) -> str:
    """Whether the baseline edits this kind at all, and what follows."""
    part = "/outside" if kind == "ground" else ""
    left = share_left(rows, kind, "fatezero", part)
    if left is None:
        return f"Edits of {kind}: not measured yet; `python -m minilib.study object_centric_diffusion` measures them."
    said = f"Edits of {kind}: FateZero leaves {100 * left:.0f} % of the error of leaving the video as it is"
    if left <= 0.5:
        return f"{said}, so what is saved can be judged."
    return f"{said}, more than half: the baseline fails here, and what is saved on it cannot be judged."


def versus_line(rows: Rows, better: str, worse: str, what: str) -> str:
    """Two variants by the clips that they share: `what` says what the first should do."""
    first, second = rows.get(f"edits/{better}", {}), rows.get(f"edits/{worse}", {})
    shared = first.keys() & second.keys()
    if not shared:
        return f"{what}: not measured yet."
    differences = [first[clip] - second[clip] for clip in shared]
    won = sum(d > 0 for d in differences)
    return f"{what}: {number(fmean(differences), '+')} % of the full range, ahead on {won} of {len(differences)} clips."


def saved_line(seconds: Mapping[str, float], slow: str, fast: str, what: str) -> str:
    """How many times faster, of one run."""
    ratio, one, other = seconds[slow] / seconds[fast], seconds[slow], seconds[fast]
    return f"{what}: {ratio:.1f} times as fast ({other:.1f} against {one:.1f} s)."


def ratio_line(rows: Rows, slow: str, fast: str, what: str) -> str:
    """The same from recorded rounds, with the spread."""
    first, second = rows.get(f"cost/{slow}", {}), rows.get(f"cost/{fast}", {})
    ratios = sorted(first[k] / second[k] for k in first.keys() & second.keys() if second[k])
    if not ratios:
        return f"{what}: not timed yet."
    low, high, middle = ratios[0], ratios[-1], ratios[len(ratios) // 2]
    return f"{what}: {middle:.2f} times ({low:.2f} to {high:.2f} over {len(ratios)} rounds)."


# --- the cost model --------------------------------------------------------------------------------------------------


def expected_speedup(gamma: float, crop: float, whole: float) -> float:
    """Of object-centric sampling that skips the background: whole and crop, multiply-adds of the UNet at both sizes."""
    return 1 / (gamma + (1 - gamma) * crop / whole)


def expected_speedups(gammas: tuple[float, ...], sides: tuple[int, ...], whole: int = 64) -> dict[tuple, float]:
    """{(gamma, side): speed-up} on SD-1.5 with 8 frames and 1/32 of the keys, by multiply-adds alone."""
    cost = {side: unet_cost(side, dense, first_tokens) for side in (*sides, whole)}
    return {(gamma, side): expected_speedup(gamma, cost[side], cost[whole]) for gamma in gammas for side in sides}


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
        parts.append(f"{name} {100 * inside:.0f} and {100 * outside:.0f} %")
    return f"Of the object's tokens and of the background's there stay: {'; '.join(parts)}."


def size_of(clip: int, size: str) -> float:
    """The share of pixels in which the object is, mean over a clip's frames."""
    return edits_of("colour", size, clip).source.mask.float().mean().item()


# --- tables ----------------------------------------------------------------------------------------------------------

TABLES = {
    "main 6.1": {
        "Framewise p2p": Row("colour/framewise/temporal", "t61.temporal.framewise"),
        "FateZero": Row("colour/fatezero/temporal", "t61.temporal.fatezero"),
        "Optimized-FateZero": Row("colour/optimized/temporal", "t61.temporal.optimized"),
        "+ OCD": Row("colour/object_centric/temporal", "t61.temporal.object_centric"),
        "a frame repeated": Row("colour/repeated/temporal"),
    },
    "main 6.1, error": {
        "left as it is": Row("colour/unedited"),
        "Framewise p2p": Row("colour/framewise"),
        "FateZero": Row("colour/fatezero"),
        "Optimized-FateZero": Row("colour/optimized"),
        "+ OCD": Row("colour/object_centric"),
        "true edit, autoencoded": Row("colour/oracle"),
    },
    "main 6.2": {
        "Text2Video-Zero": Row("depth/text2video_zero/temporal", "t62.temporal.text2video_zero"),
        "ControlVideo": Row("depth/controlvideo/temporal", "t62.temporal.controlvideo"),
        "Optimized-ControlVideo": Row("depth/optimized/temporal", "t62.temporal.optimized"),
        "+ OCD": Row("depth/object_centric/temporal", "t62.temporal.object_centric"),
    },
    "main 6.3": {
        "Optimized-FateZero": Row("colour/optimized", "t63.temporal.optimized"),
        "+ object-centric merging": Row("colour/merging", "t63.temporal.merging"),
        "+ object-centric sampling": Row("colour/object_centric", "t63.temporal.object_centric"),
    },
    "main 6.4": {
        "true masks": Row("colour/object_centric", "t64.clip.truth"),
        "slots": Row("colour/mask/slots", "t64.clip.slots"),
        "words": Row("colour/mask/words", "t64.clip.words"),
    },
    "main 6.5": {
        f"{size}, {label}": Row(f"colour/{size}/{name}", f"t65.temporal.{size}.{paper}")
        for size in ("large", "medium", "small")
        for label, name, paper in (("whole frames", "merging", "without"), ("crops", "object_centric", "with"))
    },
    "appendix 6.3": {
        "FateZero": Row("colour/fatezero", "a63.clip.fatezero"),
        "5 steps": Row("colour/steps5", "a63.clip.steps5"),
        "20 steps": Row("colour/steps20", "a63.clip.steps20"),
        "avg. pool (4,4)": Row("colour/average", "a63.clip.average"),
        "max pool (4,4)": Row("colour/maximum", "a63.clip.maximum"),
        "Optimized-FateZero": Row("colour/optimized", "a63.clip.optimized"),
        "+ OCD": Row("colour/object_centric", "a63.clip.object_centric"),
    },
    "appendix 6.4": {
        label: Row(f"depth/{name}/clip", f"a64.clip.{name}")
        for label, name in {
            "ControlVideo": "controlvideo",
            "5 steps": "steps5",
            "20 steps": "steps20",
            "avg. pool (2,2)": "average",
            "max pool (2,2)": "maximum",
            "Optimized-ControlVideo": "optimized",
            "+ OCD": "object_centric",
            "+ OCD in both": "both_merged",
            "ControlNet every 2nd step": "reduced",
            "ControlNet once": "single",
        }.items()
    },
    "Fig. 6.3": {
        "DDIM, 50 steps": Row("colour/fatezero"),
        "DDIM, 20 steps": Row("colour/ddim20"),
        "DPM++, 20 steps": Row("colour/steps20"),
        "merged, unpaired": Row("colour/naive"),
        "merged, paired": Row("colour/same_places"),
        "paired, places drawn anew": Row("colour/optimized"),
        "the same, global search": Row("colour/global_search"),
    },
    "Algorithm 1": {
        "at the end": Row("colour/at_the_end"),
        "at the end, normalised": Row("colour/at_the_end_aligned"),
        "at T_b, not normalised": Row("colour/not_aligned"),
        "gamma 0.05": Row("colour/gamma05"),
        "gamma 0.25": Row("colour/sampling"),
        "gamma 0.5": Row("colour/gamma50"),
        "gamma 0.25, phi 3": Row("colour/faster_background"),
        "whole frames": Row("colour/optimized"),
    },
    "eta": {
        "1 (plain)": Row("colour/optimized"),
        "0.9": Row("colour/eta90"),
        "0.5": Row("colour/merging"),
        "0.1": Row("colour/eta10"),
    },
    "controls": {
        "merging, true mask": Row("colour/merging"),
        "merging, mask elsewhere": Row("colour/control/merging_elsewhere"),
        "sampling, true mask": Row("colour/sampling"),
        "sampling, mask elsewhere": Row("colour/control/sampling_elsewhere"),
        "sampling, mask inverted": Row("colour/control/sampling_inverted"),
        "left as it is": Row("colour/unedited"),
    },
    "unchanged": {  # the same prompt twice: what the pipeline loses by itself
        "FateZero": Row("colour/unchanged/fatezero"),
        "5 steps": Row("colour/unchanged/steps5"),
        "avg. pool (4,4)": Row("colour/unchanged/average"),
        "max pool (4,4)": Row("colour/unchanged/maximum"),
        "Optimized-FateZero": Row("colour/unchanged/optimized"),
    },
}

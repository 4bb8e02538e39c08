"""The chapter's tables: what each line is here, and the key of its printed number among the claims.

"main" are the tables of the chapter's text, "appendix" those of its appendix, as both are numbered from 6.1 on. A
printed number stands beside the same score of ours alone: temporal consistency or CLIP score. The error to the true
edit, which the thesis cannot know, has tables of its own.
"""

from __future__ import annotations

from minilib.study import Row

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
        "Optimized-FateZero": Row("colour/optimized/temporal", "t63.temporal.optimized"),
        "+ object-centric merging": Row("colour/merging/temporal", "t63.temporal.merging"),
        "+ object-centric sampling": Row("colour/object_centric/temporal", "t63.temporal.object_centric"),
    },
    "main 6.4": {
        "true masks": Row("colour/object_centric/clip", "t64.clip.truth"),
        "slots": Row("colour/mask/slots/clip", "t64.clip.slots"),
        "words": Row("colour/mask/words/clip", "t64.clip.words"),
    },
    "main 6.5": {
        f"{size}, {label}": Row(f"colour/{size}/{name}/temporal", f"t65.temporal.{size}.{paper}")
        for size in ("large", "medium", "small")
        for label, name, paper in (("whole frames", "merging", "without"), ("crops", "object_centric", "with"))
    },
    "appendix 6.3": {
        label: Row(f"colour/{name}/clip", f"a63.clip.{name}")
        for label, name in {
            "FateZero": "fatezero",
            "5 steps": "steps5",
            "20 steps": "steps20",
            "avg. pool (4,4)": "average",
            "max pool (4,4)": "maximum",
            "Optimized-FateZero": "optimized",
            "+ OCD": "object_centric",
        }.items()
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
    "main 6.2, error": {
        "Text2Video-Zero": Row("depth/text2video_zero"),
        "ControlVideo": Row("depth/controlvideo"),
        "Optimized-ControlVideo": Row("depth/optimized"),
        "+ OCD": Row("depth/object_centric"),
        "ControlVideo, 5 steps": Row("depth/steps5"),
        "left as it is": Row("colour/unedited"),
    },
    "main 6.3, error": {
        "Optimized-FateZero": Row("colour/optimized"),
        "+ object-centric merging": Row("colour/merging"),
        "+ object-centric sampling": Row("colour/object_centric"),
    },
    "main 6.4, error": {
        "true masks": Row("colour/object_centric"),
        "slots": Row("colour/mask/slots"),
        "words": Row("colour/mask/words"),
    },
    "main 6.5, error": {
        f"{size}, {label}": Row(f"colour/{size}/{name}")
        for size in ("large", "medium", "small")
        for label, name in (("whole frames", "merging"), ("crops", "object_centric"))
    },
    "appendix 6.3, error": {
        "FateZero": Row("colour/fatezero"),
        "5 steps": Row("colour/steps5"),
        "20 steps": Row("colour/steps20"),
        "avg. pool (4,4)": Row("colour/average"),
        "max pool (4,4)": Row("colour/maximum"),
        "Optimized-FateZero": Row("colour/optimized"),
        "+ OCD": Row("colour/object_centric"),
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
        "at T_b, normalised": Row("colour/aligned"),
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

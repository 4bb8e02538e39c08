"""The chapter's experiments on edits whose true result is known: what edits, what it is compared with, on which kind.

Nothing is trained: a replicate is a clip of the test split with its prompts and its noise, which all variants share.
`edits/<kind>/<variant>` has the error where the edit lies, and beside it `/outside`, `/temporal` and `/clip`.

    python -m minilib.study object_centric_diffusion --jobs 2     # the clips 0 to 63
    python -m minilib.study object_centric_diffusion --costs      # seconds and stored maps, side by side
"""

from __future__ import annotations

from dataclasses import replace

from minilib.papers.object_centric_diffusion import baselines as base
from minilib.papers.object_centric_diffusion.control import CONTROLVIDEO, OBJECT_CENTRIC_CONTROL, OPTIMIZED_CONTROL
from minilib.papers.object_centric_diffusion.costs import record_costs
from minilib.papers.object_centric_diffusion.maps import BLENDING
from minilib.papers.object_centric_diffusion.masks import from_slots, from_words, inverted, moved
from minilib.papers.object_centric_diffusion.merging import MergingSettings
from minilib.papers.object_centric_diffusion.method import FATEZERO, OBJECT_CENTRIC, OPTIMIZED
from minilib.papers.object_centric_diffusion.sampling import Sampling
from minilib.papers.object_centric_diffusion.small import Editing
from minilib.papers.object_centric_diffusion.tables import TABLES
from minilib.papers.object_centric_diffusion.variants import (
    Controlled,
    Edit,
    Reference,
    nothing,
    reconstructed_truth,
    repeated,
    strangers,
    unedited,
)
from minilib.study import Study
from minilib.world.edits import KINDS, RADII

REFERENCES = {
    "unedited": unedited,
    "oracle": reconstructed_truth,
    "repeated": repeated,
    "strangers": strangers,
}
MAIN = {  # on every kind of edit
    "fatezero": FATEZERO,
    "optimized": OPTIMIZED,
    "object_centric": OBJECT_CENTRIC,
}
PIPELINES = MAIN | {  # on changes of colour
    "framewise": base.FRAMEWISE,  # main Table 6.1
    "steps5": base.STEPS5,  # appendix Table 6.3
    "steps20": base.STEPS20,
    "average": base.AVERAGE,
    "maximum": base.MAXIMUM,
    "ddim20": base.DDIM20,  # Fig. 6.3
    "naive": base.NAIVE,
    "same_places": base.SAME_PLACES,
    "global_search": base.GLOBAL_SEARCH,  # Fig. 6.9
    "merging": base.MERGING,  # main Table 6.3
    "sampling": base.SAMPLING,
    "at_the_end": base.AT_THE_END,  # Algorithm 1
    "at_the_end_aligned": base.AT_THE_END_ALIGNED,
    "aligned": base.ALIGNED,
    "faster_background": base.FASTER_BACKGROUND,
    "gamma05": replace(base.SAMPLING, sampling=Sampling(20, 0.05)),
    "gamma50": replace(base.SAMPLING, sampling=Sampling(20, 0.5)),
    "eta10": replace(base.MERGING, merging=MergingSettings(eta=0.1)),
    "eta90": replace(base.MERGING, merging=MergingSettings(eta=0.9)),
}
MASKS = {
    "mask/slots": Edit("colour", OBJECT_CENTRIC, from_slots),  # main Table 6.4
    "mask/words": Edit("colour", OBJECT_CENTRIC, from_words),
    "control/merging_elsewhere": Edit("colour", base.MERGING, moved),
    "control/sampling_elsewhere": Edit("colour", base.SAMPLING, moved),
    "control/sampling_inverted": Edit("colour", base.SAMPLING, inverted),
    "unchanged/fatezero": Edit("colour", replace(FATEZERO, guidance=1.0), change=nothing),
    "unchanged/steps5": Edit("colour", replace(base.STEPS5, guidance=1.0), change=nothing),
    "unchanged/average": Edit("colour", replace(base.AVERAGE, guidance=1.0), change=nothing),
    "unchanged/maximum": Edit("colour", replace(base.MAXIMUM, guidance=1.0), change=nothing),
    "unchanged/optimized": Edit("colour", replace(OPTIMIZED, guidance=1.0), change=nothing),
}
CONTROL = {  # main Table 6.2, appendix Table 6.4
    "controlvideo": CONTROLVIDEO,
    "text2video_zero": base.TEXT2VIDEO_ZERO,
    "steps5": base.CONTROL_STEPS5,
    "steps20": base.CONTROL_STEPS20,
    "average": base.CONTROL_AVERAGE,
    "maximum": base.CONTROL_MAXIMUM,
    "optimized": OPTIMIZED_CONTROL,
    "object_centric": OBJECT_CENTRIC_CONTROL,
    "both_merged": base.BOTH_MERGED,
    "reduced": base.REDUCED,
    "single": base.SINGLE,
    "queries_too": base.QUERIES_TOO,  # Sec. 6.6.1
}
VARIANTS = {
    **{f"{kind}/{name}": Reference(kind, make) for kind in KINDS for name, make in REFERENCES.items()},
    **{  # of which those of colour follow
        f"{kind}/{name}": Edit(kind, replace(pipeline, blending=BLENDING))
        for kind in KINDS
        for name, pipeline in MAIN.items()
    },
    **{f"colour/{name}": Edit("colour", pipeline) for name, pipeline in PIPELINES.items()},
    **{f"colour/{name}": variant for name, variant in MASKS.items()},
    **{  # main Table 6.5
        f"colour/{size}/{name}": Edit("colour", pipeline, size=size)
        for size in RADII
        for name, pipeline in {"merging": base.MERGING, "object_centric": OBJECT_CENTRIC}.items()
    },
    **{
        f"{maps}/{name}": Controlled("colour", pipeline, channel)
        for channel, maps in enumerate(("depth", "edges"))
        for name, pipeline in CONTROL.items()
    },
}
CORE = ("colour/fatezero", "colour/optimized", "colour/merging", "colour/object_centric")

STUDY = Study(
    "object_centric_diffusion",
    VARIANTS,
    recipes={"edits": Editing()},
    grids={"edits": tuple(VARIANTS)},
    tables=TABLES,
    costs=record_costs,
    replicates=64,
)

"""The pipelines that the chapter compares: simple baselines of the appendix's Tables 6.3 and 6.4, rivals of the main
text's Tables 6.1 and 6.2, and what stands between the optimised models and theirs.

Tune-A-Video, TokenFlow, VidToMe and SDEdit need training, other features or other models; their printed numbers stand
among the claims as magnitudes.
"""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from minilib.models.frame_attention import Pooling, first_frame, own_frame
from minilib.papers.object_centric_diffusion.control import (
    CONTROLVIDEO,
    OBJECT_CENTRIC_CONTROL,
    OPTIMIZED_CONTROL,
    ControlPipeline,
)
from minilib.papers.object_centric_diffusion.maps import Blending
from minilib.papers.object_centric_diffusion.merging import MergingSettings
from minilib.papers.object_centric_diffusion.method import FATEZERO, OBJECT_CENTRIC, OPTIMIZED, Pipeline
from minilib.papers.object_centric_diffusion.queries import MergedQueries
from minilib.papers.object_centric_diffusion.sampling import Sampling
from minilib.papers.object_centric_diffusion.steps import Ddim, DpmPlusPlus


def average(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.avg_pool2d(maps, size)


def maximum(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.max_pool2d(maps, size)


# --- fewer steps and pooled keys, appendix Table 6.3 -----------------------------------------------------------------
STEPS5 = replace(FATEZERO, sampling=Sampling(5, gamma=1.0), solver=DpmPlusPlus)
STEPS20 = replace(FATEZERO, sampling=Sampling(20, gamma=1.0), solver=DpmPlusPlus)
DDIM20 = replace(FATEZERO, sampling=Sampling(20, gamma=1.0))  # the sampler that Sec. 6.2.1 replaces
AVERAGE = replace(STEPS20, merging=Pooling(average, (4, 4)))
MAXIMUM = replace(STEPS20, merging=Pooling(maximum, (4, 4)))

# --- from naive merging to the optimised model, Fig. 6.3 and 6.9 -----------------------------------------------------
SAME_PLACES = replace(OPTIMIZED, merging=MergingSettings(resample=False))
NAIVE = replace(SAME_PLACES, paired=False)
GLOBAL_SEARCH = replace(OPTIMIZED, merging=MergingSettings(window=None))

# --- from the optimised model to the object-centric one, main Table 6.3 and Algorithm 1 ------------------------------
MERGING = replace(OPTIMIZED, merging=MergingSettings(eta=0.5))  # object-centric merging alone
SAMPLING = replace(OBJECT_CENTRIC, merging=MergingSettings())  # object-centric sampling alone
AT_THE_END = replace(SAMPLING, sampling=Sampling(20, gamma=0.0))
AT_THE_END_ALIGNED = replace(SAMPLING, sampling=Sampling(20, gamma=0.0, align=True))
ALIGNED = replace(SAMPLING, sampling=Sampling(20, gamma=0.25, align=True))  # as Algorithm 1 has it
FASTER_BACKGROUND = replace(SAMPLING, sampling=Sampling(20, gamma=0.25, phi=3))

# --- rivals ----------------------------------------------------------------------------------------------------------
# Prompt-to-prompt frame by frame: each frame looks at itself, and all of its self-attention is the source's for the
# first part of the steps. The printed row also optimises null texts, 500 gradients a frame, which is left out.
FRAMEWISE = Pipeline(Sampling(50, gamma=1.0), None, Ddim, own_frame, blending=Blending(threshold=2.0))
# Text2Video-Zero with a ControlNet: all frames look at the first, in both networks; nothing is smoothed.
TEXT2VIDEO_ZERO = ControlPipeline(Sampling(50, gamma=1.0), None, Ddim, first_frame, joint_control=True, smooth=None)

# --- ControlVideo, appendix Table 6.4 --------------------------------------------------------------------------------
CONTROL_STEPS5 = replace(CONTROLVIDEO, sampling=Sampling(5, gamma=1.0), solver=DpmPlusPlus)
CONTROL_STEPS20 = replace(CONTROLVIDEO, sampling=Sampling(20, gamma=1.0), solver=DpmPlusPlus)
CONTROL_AVERAGE = replace(CONTROL_STEPS20, merging=Pooling(average, (2, 2)))
CONTROL_MAXIMUM = replace(CONTROL_STEPS20, merging=Pooling(maximum, (2, 2)))
BOTH_MERGED = replace(OBJECT_CENTRIC_CONTROL, joint_control=True)
REDUCED = replace(OBJECT_CENTRIC_CONTROL, every=2)  # the printed rate is not given
SINGLE = replace(OBJECT_CENTRIC_CONTROL, every=None)
QUERIES_TOO = replace(OPTIMIZED_CONTROL, attention=MergedQueries)  # Sec. 6.6.1

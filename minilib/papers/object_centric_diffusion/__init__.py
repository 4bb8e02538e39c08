"""Object-centric diffusion: video editing that spends its steps and its tokens on the object."""

from minilib.papers.object_centric_diffusion.maps import Blending
from minilib.papers.object_centric_diffusion.merging import MergingSettings
from minilib.papers.object_centric_diffusion.method import FATEZERO, OBJECT_CENTRIC, OPTIMIZED, Pipeline, edit
from minilib.papers.object_centric_diffusion.prompts import Prompts, refining, replacing
from minilib.papers.object_centric_diffusion.sampling import Sampling

__all__ = [
    "FATEZERO",
    "OBJECT_CENTRIC",
    "OPTIMIZED",
    "Blending",
    "MergingSettings",
    "Pipeline",
    "Prompts",
    "Sampling",
    "edit",
    "refining",
    "replacing",
]

"""What the small model's stored attention maps take, counted from sizes as `counts` does for Stable Diffusion's."""

from __future__ import annotations

from minilib.models.frame_attention import sparse
from minilib.models.small_diffusion import SmallDiffusion
from minilib.papers.object_centric_diffusion.merging import MergingSettings
from minilib.papers.object_centric_diffusion.method import Object, Pipeline

LEVELS = {1: 3, 2: 4}  # the small UNet's: part of the latents' side -> attention blocks


def counted_maps(models: SmallDiffusion, pipeline: Pipeline, thing: Object) -> int:
    """Bytes of the maps that an inversion by the small model keeps, from sizes alone."""
    frames, (rows, columns) = len(thing.mask), thing.mask.shape[1:]
    words, heads = models.tokens([""]).shape[1], models.unet.config.attention_head_dim
    total, evaluations = 0, pipeline.sampling.evaluations
    for cells, steps in (((rows, columns), evaluations["frame"]), (thing.region.size, evaluations["object"])):
        for factor, blocks in LEVELS.items():
            grid = (frames, cells[0] // factor, cells[1] // factor)
            queries = grid[1] * grid[2]
            keys = 2 * queries if pipeline.span is sparse else frames * queries
            if isinstance(pipeline.merging, MergingSettings):
                keys = pipeline.merging.kept(grid, cells)
            total += steps * blocks * frames * heads * queries * (keys + words)
    return total * (2 if pipeline.half_maps else 4)

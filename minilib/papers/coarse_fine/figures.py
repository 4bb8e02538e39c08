"""Where a trained Coarse-Fine network samples, how that agrees with where things happen; and the thesis' tables.

Axes: b clips, t frames, n grid points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minilib.cost import multiply_adds
from minilib.papers.coarse_fine.grid import inverse, leading_zero_grid
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream
from minilib.papers.coarse_fine.variants import true_confidence
from minilib.study import Feed, Row
from minilib.study.detection import OnLevels


def density(locations: Tensor, frames: int) -> Tensor:
    """Grid points a frame, (b, n) -> (b, t): how far the grid's own index moves while time passes the frame."""
    edges = torch.arange(frames + 1, dtype=locations.dtype, device=locations.device) - 0.5
    edges = edges.clamp(0, frames - 1)  # the first and the last frame are met by half
    return inverse(locations, edges.expand(len(locations), -1)).diff(dim=1) / edges.diff()


def correlation(density: Tensor, informative: Tensor) -> float:
    """Pearson's correlation over a clip's frames of (b, t) with bool (b, t), mean over clips.

    Clips in which always or never something happens have none and are left out; a uniform grid has 0.
    """
    mixed = informative.any(1) & ~informative.all(1)
    x, y = (each[mixed].double() - each[mixed].double().mean(1, keepdim=True) for each in (density, informative))
    size = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return float(((x * y).sum(1) / size.clamp(min=1e-3)).mean())


def coarse_of(model: nn.Module) -> CoarseStream:
    """The coarse stream of whatever was trained."""
    return model.coarse if isinstance(model, OnLevels | CoarseFine) else model


@torch.no_grad()
def locations(model: nn.Module, frames: Tensor, device: str = "cpu", batch: int = 64) -> Tensor:
    """Where the grid of a trained model samples clips uint8 (b, t, h, w, 3), in frames: (b, n)."""
    coarse = coarse_of(model).to(device).eval()
    return torch.cat([coarse.sampled(part.to(device))[1].locations.cpu() for part in frames.split(batch)])


def sampling(model: nn.Module, feed: Feed, device: str = "cpu") -> dict[str, float]:
    """samples: correlation of a model's sampling with the informative frames of a feed's clips. samples_of_truth: that
    of the released rule under a head that knows them."""
    frames, _, informative = feed.source.rendered
    steps = informative.shape[1]
    ideal, _ = leading_zero_grid(true_confidence(informative, coarse_of(model).pool.ratio, contrast=0.5), steps)
    return {
        "samples": correlation(density(locations(model, frames, device), steps), informative),
        "samples_of_truth": correlation(density(ideal, steps), informative),
    }


def work(network: nn.Module, frames: int = 64, size: int = 32) -> float:
    """10^6 multiply-adds of one clip, all products counted, the fine stream's included."""
    return multiply_adds(network.eval(), torch.zeros(1, frames, size, size, 3, dtype=torch.uint8)) / 1e6


# --- tables ---------------------------------------------------------------------------------------------------------

TRAINED = ("3.3e at 1/8", "sigma", "brief actions")  # tables of the recipe "long"
CONTROLS = ("grid_pool", "control/noise_grid", "control/shuffled_frames", "control/shuffled_labels")
TABLES = {
    "3.2": {  # the thesis' mAP is of 25 frames a video
        "X3D": Row("x3d", "map.t32.x3d"),
        "X3D-L": Row("x3d_l", "map.t32.x3d_l"),
        "SlowFast_det": Row("slowfast", "map.t32.slowfast"),
        "Fine-Fine": Row("fine_fine", "map.t32.fine_fine"),
        "Coarse-Fine": Row("coarse_fine", "map.t32.coarse_fine"),
    },
    "3.3a": {
        "late": Row("fine_fine_late", "map.t33a.late"),
        "one-to-one": Row("fine_fine_one_to_one", "map.t33a.one_to_one"),
        "multi-stage": Row("fine_fine", "map.t33a.multi_stage"),
    },
    "3.3b": {
        "C": Row("fine_fine_c", "map.t33b.c"),
        "CHW": Row("fine_fine_chw", "map.t33b.chw"),
        "CTHW": Row("fine_fine", "map.t33a.multi_stage"),
    },
    "3.3c": {
        "late, no mask": Row("fine_fine_late_no_mask", "map.t33c.late.none"),
        "late, mask": Row("fine_fine_late", "map.t33a.late"),
        "multi-stage, no mask": Row("fine_fine_no_mask", "map.t33c.multi_stage.none"),
        "multi-stage, mask": Row("fine_fine", "map.t33a.multi_stage"),
    },
    "3.3d": {
        '64 frames, "1/8" (1/16)': Row("grid_sixteenth", "map.t33d.128.eighth"),
        "64 frames, 1/8": Row("grid_eighth"),
        "64 frames, 1/4": Row("grid_pool", "map.t33e.grid"),
        '128 frames, "1/8" (1/16)': Row("dense_grid_sixteenth", "map.t33d.256.eighth"),
        "128 frames, 1/4": Row("dense_grid_pool", "map.t33d.256.quarter"),
    },
    "3.3e": {
        "max": Row("max_pool", "map.t33e.max"),
        "average": Row("average_pool", "map.t33e.average"),
        "stride": Row("striding", "map.t33e.stride"),
        "Grid Pool": Row("grid_pool", "map.t33e.grid"),
    },
    "3.3e at 1/8": {  # trained longer, as are the tables below
        "stride": Row("striding_eighth"),
        "max": Row("max_eighth"),
        "Grid Pool, released": Row("grid_eighth"),
        "unpooled in one step": Row("grid_eighth_one_step"),
        "one step, our inverse, a head taught by labels": Row("grid_eighth_taught"),
        "one step, our inverse, a head that knows": Row("grid_eighth_oracle"),
        "two steps, our inverse, a head that knows": Row("grid_eighth_oracle_two_step"),
    },
    "sigma": {
        "X3D": Row("x3d"),
        "Coarse-Fine, T/8": Row("sigma_8"),
        "T/16": Row("coarse_fine"),
        "T/32": Row("sigma_32"),
        "T/16, fusion at ten times the rate": Row("fast_fusion"),
    },
    "brief actions": {
        "X3D": Row("brief/x3d"),
        "Coarse alone, Grid Pool": Row("brief/grid_pool"),
        "Coarse-Fine, T/16": Row("brief/coarse_fine"),
        "Coarse-Fine, T/32": Row("brief/sigma_32"),
        "frames shuffled": Row("brief/control/shuffled_frames"),
        "labels of other clips": Row("brief/control/shuffled_labels"),
    },
    "3.3f": {
        "SlowFast_det": Row("slowfast", "map.t33f.slowfast"),
        "+ Grid Pool": Row("slowfast_grid", "map.t33f.grid"),
        "+ fusion": Row("slowfast_fusion", "map.t33f.fusion"),
        "+ both: Coarse-Fine": Row("coarse_fine", "map.t33f.both"),
    },
    "3.4": {
        "+ reconstruction": Row("grid_pool_reconstruction", "map.t34.reconstruction"),
        "+ flow": Row("grid_pool_flow", "map.t34.flow"),
        "classification and localisation": Row("grid_pool", "map.t33e.grid"),
    },
    "controls": {name.removeprefix("control/").replace("_", " "): Row(name) for name in CONTROLS},
    "samples": {  # correlation with the informative frames
        "Grid Pool": Row("grid_pool/samples"),
        "+ reconstruction": Row("grid_pool_reconstruction/samples"),
        "+ flow": Row("grid_pool_flow/samples"),
        "within Coarse-Fine": Row("coarse_fine/samples"),
        "a grid from noise": Row("control/noise_grid/samples"),
        "the released rule, told the truth": Row("grid_pool/samples_of_truth"),
    },
}

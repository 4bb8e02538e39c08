"""Pictures of the method: what is drawn into clips, where steps and tokens go, and what that saves.

Axes: t frames, H and W pixels, h and w cells of the latents.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator
from torch import Tensor

from minilib import plots
from minilib.papers.object_centric_diffusion.method import Generation, Object

TOKENS = ListedColormap([plots.COLOURS[5], plots.COLOURS[0], plots.COLOURS[1]])  # merged, kept, destination
KINDS = ("merged away", "kept as it is", "destination")
MARKERS = ("o", "s", "^", "D")


def outlined(video: Tensor, thing: Object, colour: tuple[int, int, int] = (255, 255, 255)) -> Tensor:
    """A video with the border of each frame's crop drawn in."""
    out, factor = video.clone(), video.shape[1] // thing.mask.shape[1]
    height, width = (side * factor - 1 for side in thing.region.size)
    for frame, (top, left) in zip(out, (thing.region.corner * factor).tolist(), strict=True):
        for rows, columns in (
            (slice(top, top + height + 1), [left, left + width]),
            ([top, top + height], slice(left, left + width + 1)),
        ):
            frame[rows, columns] = video.new_tensor(colour)
    return out


def errors(video: Tensor, truth: Tensor) -> Tensor:
    """How far a video is from the true edit, as a video in grey: white is half of the full range or more."""
    far = (video.float() - truth.float()).square().mean(-1, keepdim=True).sqrt()
    return (2 * far).clamp(0, 255).to(video.dtype).expand_as(video)


def schedule(pipelines: Mapping[str, Generation], crop: float) -> Figure:
    """Where the steps of each pipeline go: a bar a step, as high as the part of the frame that it computes; crop: that
    of the object's crop."""
    figure, axes = plt.subplots(len(pipelines), 1, figsize=(8, 0.75 * len(pipelines)), sharex=True)
    for axis, (name, pipeline) in zip(np.atleast_1d(axes), pipelines.items(), strict=True):
        sampling = pipeline.sampling
        height = [crop] * sampling.apart + [1.0] * (sampling.steps - sampling.apart)
        colour = [plots.COLOURS[1]] * sampling.apart + [plots.COLOURS[0]] * (sampling.steps - sampling.apart)
        axis.bar(range(sampling.steps), height, width=0.85, color=colour)
        axis.set_ylim(0, 1.05)
        axis.set_yticks([])
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.set_xlabel("steps of generation, from noise to video: blue on whole frames, orange on the object's crop alone")
    return figure


def token_picture(video: Tensor, kinds: Mapping[str, Tensor], mask: Tensor, frame: int = 0) -> Figure:
    """One frame, and what merging makes of each of its tokens (Fig. 6.4). mask: bool (t, h, w) on the cells."""
    figure, axes = plt.subplots(1, 1 + len(kinds), figsize=(2.2 * (1 + len(kinds)), 2.5))
    axes[0].imshow(video[frame].cpu().numpy())
    axes[0].set_title("frame")
    for axis, (name, each) in zip(axes[1:], kinds.items(), strict=True):
        axis.imshow(each[frame].cpu().numpy(), cmap=TOKENS, vmin=0, vmax=2)
        axis.contour(mask[frame].cpu().numpy(), levels=[0.5], colors="black", linewidths=1)
        axis.set_title(name)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    patches = [Rectangle((0, 0), 1, 1, color=TOKENS(k)) for k in range(3)]
    figure.legend(patches, KINDS, loc="outside lower center", ncol=3)
    return figure


def bottleneck(axis: Axes, seconds: Mapping[str, tuple[float, float, float]]) -> None:
    """Stacked bars: seconds of all but attention, of attention, and what storing its maps adds (after Fig. 6.2)."""
    starts = [0.0] * len(seconds)
    labels = {"all but attention": 0, "attention, fused": 2, "making and storing maps": 1}
    for part, (label, colour) in enumerate(labels.items()):
        values = [each[part] for each in seconds.values()]
        axis.barh(list(seconds), values, left=starts, color=plots.COLOURS[colour], label=label)
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    axis.invert_yaxis()
    axis.set_xlabel("seconds of all steps")


def speed_picture(
    expected: Mapping[tuple[float, int], float],
    printed: Mapping[tuple[float, int], float],
    measured: Mapping[tuple[float, int], float],
) -> Figure:
    """The cost model against measured speed-ups: a colour for each gamma, a sign for each side of the crop as a part of
    64, filled for the thesis and hollow for ours."""
    figure, axis = plt.subplots(figsize=(6.6, 3.6))
    most = max([*expected.values(), *printed.values(), *measured.values()])
    axis.plot([1, most], [1, most], color="black", linewidth=0.8, label="as the multiply-adds say")
    gammas, sides = (sorted({key[place] for key in expected}) for place in (0, 1))
    shown = {"thesis, V100": ("full", printed), "here": ("none", measured)}
    for fill, found in shown.values():
        for gamma, side in set(found) & set(expected):
            colour, marker = plots.COLOURS[gammas.index(gamma) % 7], MARKERS[sides.index(side) % len(MARKERS)]
            axis.plot(expected[gamma, side], found[gamma, side], marker, color=colour, fillstyle=fill, markersize=6)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = [each for each in (1, 1.5, 2, 3, 5, 10) if each <= 1.05 * most]
    for ticked in (axis.xaxis, axis.yaxis):
        ticked.set_major_locator(FixedLocator(ticks))
        ticked.set_major_formatter(FormatStrFormatter("%g"))
        ticked.set_minor_locator(NullLocator())
    for fill, name in ((fill, name) for name, (fill, found) in shown.items() if found):
        axis.plot([], [], "o", color="0.4", fillstyle=fill, markersize=6, label=name)
    for at, gamma in enumerate(gammas):
        axis.plot([], [], "-", color=plots.COLOURS[at % 7], linewidth=5, label=f"gamma {gamma:g}")
    for at, side in enumerate(sides):
        axis.plot([], [], MARKERS[at % len(MARKERS)], color="0.4", markersize=6, label=f"crop of side {side} of 64")
    axis.set_xlabel("speed-up by multiply-adds")
    axis.set_ylabel("speed-up by the clock")
    figure.legend(loc="outside right center")
    return figure


def crossing_picture(rows: Mapping[str, Mapping[int, float]]) -> Figure | None:
    """From how many keys on merging pays; None where nothing is timed yet."""
    found: dict[str, dict[str, float]] = {}
    for metric, values in rows.items():
        if metric.startswith("cost/attention."):
            way, keys, width, queries = metric.removeprefix("cost/attention.").split("_")
            shape = f"{keys} keys\n{width} wide\n{queries} queries"
            found.setdefault(way, {})[shape] = 1e3 * float(np.median(list(values.values())))
    if not found:
        return None
    figure, axis = plt.subplots(figsize=(6.4, 2.8))
    for way, label in (("fused", "fused"), ("stored", "map stored"), ("merged", "half of the keys merged, fused")):
        axis.plot(list(found.get(way, {})), list(found.get(way, {}).values()), "o-", label=label)
    axis.set(yscale="log", ylabel="milliseconds", xlabel="size of the attention")
    axis.legend()
    return figure

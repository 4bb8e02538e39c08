"""Pictures of the small world: strips of frames, labels drawn on them, scores of mirrored pairs, similarities.

Axes: b clips, t frames, o objects, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from minilib.plots import COLOURS
from minilib.world.labels import boxes, masks
from minilib.world.proofs import OrderProof

GAP = 3  # white pixels between two frames
INCHES = 0.95  # a frame's side on the page


def strip(frames: Tensor) -> np.ndarray:
    """Frames uint8 (t, h, w, 3) side by side with white gaps: one picture."""
    gap = np.full((frames.shape[1], GAP, 3), 255, np.uint8)
    parts = [part for frame in frames.cpu().numpy() for part in (gap, frame)]
    return np.concatenate(parts[1:], 1)


def _bare(axis) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def clips(frames: Tensor, titles: Sequence[str], columns: int = 1, times: Sequence[str] | None = None) -> Figure:
    """Clips uint8 (b, t, h, w, 3), one strip each under its title, filled row by row; `times` label the frames below
    the last row."""
    rows = -(-len(frames) // columns)
    steps, height, width = frames.shape[1:4]
    wide = (width * steps + GAP * (steps - 1)) / height * INCHES
    size = (columns * (wide + 0.15), rows * (INCHES + 0.3) + 0.2 * (times is not None))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, clip, title in zip(axes.flat, frames, titles, strict=False):
        axis.set_visible(True)
        axis.imshow(strip(clip))
        axis.set_title(title)
        _bare(axis)
    if times is not None:
        for axis in axes[-1]:
            axis.set_xticks([(width - 1) / 2 + k * (width + GAP) for k in range(steps)], times)
            axis.tick_params(length=0)
    return figure


def annotated(frames: Tensor, ids: Tensor, names: Sequence[str], informative: Tensor, times: Sequence[float]) -> Figure:
    """One clip, uint8 (t, h, w, 3), and who is seen where, ids (t, h, w): the mask of each object outlined and its box
    dotted, in the line style of its name; above each frame its time and whether anything happens in it.

    `names` are those of objects 0, 1, ...; an empty one is not there.
    """
    found = masks(ids[None].cpu(), len(names))[0]
    box = boxes(found)
    figure, axes = plt.subplots(1, len(frames), figsize=(1.75 * len(frames), 2.4), squeeze=False)
    inks = ("white", COLOURS[7], COLOURS[5], COLOURS[3])
    halo = [withStroke(linewidth=3.2, foreground="black")]  # seen on any ground and any object
    for k, axis in enumerate(axes[0]):
        axis.imshow(frames[k].cpu())
        for o, ink in zip(range(len(names)), inks, strict=False):
            if not found[k, o].any():
                continue
            x0, y0, x1, y1 = box[k, o].tolist()
            outline = axis.contour(found[k, o].float(), levels=[0.5], colors=[ink], linewidths=1.4)
            outline.set_path_effects(halo)
            place = dict(xy=(x0 - 0.5, y0 - 0.5), width=x1 - x0, height=y1 - y0)
            axis.add_patch(Rectangle(**place, fill=False, edgecolor=ink, linestyle=(0, (1, 1)), linewidth=1.4))
        axis.set_title(
            f"t = {times[k]:.2f}\n{'something happens' if informative[k] else 'nothing happens'}", fontsize=8
        )
        _bare(axis)
    there = [(name, ink) for name, ink in zip(names, inks, strict=False) if name]
    lines = [plt.Line2D([], [], color=ink, linewidth=1.6, path_effects=halo) for _, ink in there]
    figure.legend(lines, [name for name, _ in there], loc="outside lower left", ncols=len(there))
    return figure


def combinations(rows: Sequence[str], columns: Sequence[str], held_out: np.ndarray) -> Figure:
    """Which pairs occur in training (dots) and which are kept back (crosses); held_out bool (rows, columns)."""
    figure, axis = plt.subplots(figsize=(4.6, 3.4))
    for chosen, sign, ink, label in (
        (~held_out, "o", COLOURS[0], "in training"),
        (held_out, "X", COLOURS[1], "held out"),
    ):
        y, x = np.nonzero(chosen)
        axis.plot(x, y, sign, color=ink, label=label, markersize=7)
    axis.set_xticks(range(len(columns)), columns, rotation=45)
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def similarity(images: Tensor, captions: Sequence[str], cosine: Tensor) -> Figure:
    """Cosines (captions, images): captions down the side, images uint8 (b, h, w, 3) along the top, and a frame around
    each image's best caption."""
    cosine = cosine.detach().cpu()
    count, inch = len(images), 0.62
    figure, axes = plt.subplots(
        2, 1, figsize=(count * inch + 4.2, (len(captions) + 1.2) * inch * 0.8), height_ratios=[1.2, len(captions)]
    )
    axes[1].imshow(cosine, aspect="auto", vmin=min(0.0, float(cosine.min())), vmax=1)
    middle = (cosine.max() + min(0.0, float(cosine.min()))) / 2
    for (row, column), value in np.ndenumerate(cosine.numpy()):
        ink = "black" if value > middle else "white"
        axes[1].text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    for column, best in enumerate(cosine.argmax(0).tolist()):
        axes[1].add_patch(Rectangle((column - 0.46, best - 0.44), 0.92, 0.88, fill=False, edgecolor=COLOURS[1], lw=2.5))
    axes[1].set_yticks(range(len(captions)), captions)
    axes[1].set_xticks([])
    axes[0].set_xlim(-0.5, count - 0.5)
    axes[0].set_ylim(-0.5, 0.5)
    for column, image in enumerate(images.cpu()):
        inset = axes[0].inset_axes((column - 0.45, -0.5, 0.9, 1), transform=axes[0].transData)
        inset.imshow(image)
        _bare(inset)
    _bare(axes[0])
    for spine in axes[1].spines.values():
        spine.set_visible(False)
    return figure


def mirrored_pairs(proof: OrderProof, band: float = 5) -> Figure:
    """The scores of `order_is_needed` on clips played forwards (hollow) and backwards (filled)."""
    figure, axis = plt.subplots(figsize=(8.4, 3.8))
    series = (
        ("bag", "o", COLOURS[1], "bag of frames"),
        ("ordered", "s", COLOURS[0], "frames in order"),
        ("compared", "^", COLOURS[2], "neighbours compared"),
    )
    axis.axvspan(50 - band, 50 + band, color="#dddddd", zorder=0)
    axis.axvline(50, color="black", linewidth=0.8, linestyle=":")
    for shift, (name, sign, ink, label) in zip((-0.25, 0.0, 0.25), series, strict=True):
        for suffix, fill, nudge in (("", "none", -0.06), ("_reversed", "full", 0.06)):
            at = np.arange(len(proof.pairs)) + shift + nudge
            values = [getattr(pair, name + suffix) for pair in proof.pairs]
            legend = label + suffix.replace("_", ", ")
            axis.plot(values, at, sign, color=ink, fillstyle=fill, markersize=6, label=legend)
    axis.set_yticks(range(len(proof.pairs)), [" / ".join(p.motions) for p in proof.pairs])
    axis.invert_yaxis()
    axis.set_xlim(0, 102)
    axis.set_xlabel(f"right answers, % (grey: within {band:g} points of chance)")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def chain(steps: Sequence[tuple[str, str]]) -> Figure:
    """Boxes joined by arrows, each a (title, what it is)."""
    figure, axis = plt.subplots(figsize=(1.75 * len(steps), 1.35))
    for place, (title, text) in enumerate(steps):
        ink = COLOURS[place % 3]
        axis.add_patch(Rectangle((place, 0), 0.8, 1, facecolor="#f7f7f7", edgecolor=ink, linewidth=1.8))
        axis.text(place + 0.4, 0.78, title, ha="center", va="center", weight="bold", fontsize=9)
        axis.text(place + 0.4, 0.36, text, ha="center", va="center", fontsize=8)
        if place:
            axis.annotate("", (place, 0.5), (place - 0.2, 0.5), arrowprops=dict(arrowstyle="-|>", color="black"))
    axis.set_xlim(-0.02, len(steps) - 0.18)
    axis.set_ylim(-0.03, 1.03)
    _bare(axis)
    return figure

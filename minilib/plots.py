"""The suite's pictures. Every notebook calls `style()` once, so that all of them look alike and stay small."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from minilib.files import write_whole

# Okabe and Ito's eight colours: told apart by every common kind of colour vision; yellow last, it is faint on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
DPI = 100


def style() -> None:
    """Sets matplotlib's defaults: colour-blind-safe lines, thin axes, 100 dots an inch."""
    mpl.rcParams.update(
        {
            "axes.prop_cycle": mpl.cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "font.size": 9,
            "lines.linewidth": 1.5,
            "lines.markersize": 4,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
            "figure.dpi": DPI,
            "figure.figsize": (6.4, 3.2),
            "figure.constrained_layout.use": True,
            "savefig.dpi": DPI,
            "savefig.bbox": "tight",
        }
    )


def save_small(figure: Figure, path: Path | str, colours: int = 256) -> Path:
    """Writes a png with a palette of at most `colours` colours: a third of the bytes, and no difference in a plot."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    image = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return write_whole(path, small.getvalue())

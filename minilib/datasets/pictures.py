"""Videos that are folders of pictures, as DAVIS, ImageNet-VID and YouTube-VIS have them.

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from minilib.errors import BadInput


def colours(image: Image.Image) -> np.ndarray:
    """uint8 (h, w, 3)."""
    return np.asarray(image.convert("RGB"))


def read_pictures(paths: Sequence[Path], convert: Callable[[Image.Image], np.ndarray] = colours) -> np.ndarray:
    """Pictures as one array (t, h, w, ...). One that cannot be read, or is not of the first one's size, is BadInput."""
    out: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                out.append(convert(image))
        except BadInput as error:
            raise BadInput(f"picture {path}: {error}") from None
        except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, ...
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(f"picture {path}: cannot be read ({reason})") from error
        if out[-1].shape != out[0].shape:
            size = " x ".join(map(str, out[0].shape[:2]))
            raise BadInput(
                f"picture {path}: is {' x '.join(map(str, out[-1].shape[:2]))}, the first of its video {size}"
            )
    return np.stack(out)


def numbered(folder: Path, suffix: str, digits: int, where: str) -> tuple[Path, ...]:
    """The pictures 0, 1, ... of a folder, in so many digits, of which none may be missing."""
    paths = sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
    if not paths:
        raise BadInput(f"{where}: {folder} holds no {suffix} files")
    for number, path in enumerate(paths):
        if path.stem != f"{number:0{digits}d}":
            missing = folder / f"{number:0{digits}d}{suffix}"
            raise BadInput(f"{where}: {missing} is missing, the next there is {path.name}")
    return tuple(paths)

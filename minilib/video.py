"""Video files to frames and back, which frames to read, and which squares of them to show a model.

Axes: t frames, h and w pixels, v views of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F

from minilib.decoding import Pick, Reader, VideoError, pyav, read
from minilib.errors import BadInput
from minilib.files import whole_file

__all__ = [
    "VideoError",
    "crop",
    "dense_indices",
    "fitted_size",
    "read_frames",
    "resize",
    "uniform_indices",
    "video_length",
    "views",
    "write_video",
]


def read_frames(
    path: Path | str,
    indices: Sequence[int] | Pick,
    size: int | tuple[int, int] | None = None,
    reader: Reader = pyav,
) -> np.ndarray:
    """Frames uint8 (t, h, w, 3), in the order of `indices`, which may repeat.

    `indices` are integers or a function that maps the video's length to them, so that one opening serves both.
    `size`, a square's side or (h, w), resizes. `reader`: `minilib.decoding.pyav`, which is right on every file that can
    be read, or `decord` of the same module. Any failure is a `VideoError`.
    """
    frames = read(path, indices if callable(indices) else lambda length: indices, reader)
    return frames if size is None else resize(frames, (size, size) if isinstance(size, int) else size)


def video_length(path: Path | str) -> int:
    """How many frames a video has."""
    return read(path, None, pyav)


def write_video(path: Path | str, frames: np.ndarray, fps: float = 8) -> None:
    """Writes uint8 (t, h, w, 3), h and w even, as H.264 in an mp4: whole or not at all.

    Raises `BadInput` where the folder does not exist or the frames cannot be encoded.
    """
    path, frames = Path(path), np.asarray(frames)
    if path.suffix != ".mp4":
        raise BadInput(f"video {path}: the name must end in .mp4")
    if not path.parent.is_dir():
        raise BadInput(f"video {path}: the folder {path.parent} does not exist, make it first")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise BadInput(f"video {path}: frames must be uint8 (t, h, w, 3), not {frames.dtype} {frames.shape}")
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise BadInput(f"video {path}: height and width must be even, not {height} x {width}")
    if not fps > 0:
        raise BadInput(f"video {path}: fps must be above 0, not {fps}")
    with whole_file(path) as part, av.open(str(part), "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.codec_context.thread_count = 1
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def uniform_indices(
    length: int, frames: int, *, clip: int = 0, clips: int = 1, rng: np.random.Generator | None = None
) -> np.ndarray:
    """TSN's sampling: one frame from each of `frames` equal segments, int (frames,).

    The frame stands at the segment's centre, or anywhere in it by `rng`; temporal view `clip` of `clips` moves it to
    the centre of that part of the segment. A video shorter than `frames` repeats its own.
    """
    _check_sampling(length, frames, clip, clips)
    within = np.full(frames, (clip + 0.5) / clips) if rng is None else rng.random(frames)
    return np.minimum((np.arange(frames) + within) * length / frames, length - 1).astype(int)


def dense_indices(
    length: int, frames: int, stride: int = 8, *, clip: int = 0, clips: int = 1, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Every `stride`-th frame, int (frames,), in the middle, anywhere by `rng`, or as temporal view `clip` of `clips`.

    The views are spread evenly: the first begins and the last ends with the video. A video that is too short repeats
    its last frame.
    """
    _check_sampling(length, frames, clip, clips)
    if stride < 1:
        raise BadInput(f"stride must be 1 or more, not {stride}")
    room = max(length - (frames - 1) * stride - 1, 0)
    if rng is not None:
        start = int(rng.integers(room + 1))
    else:
        start = room // 2 if clips == 1 else round(room * clip / (clips - 1))
    return np.minimum(start + np.arange(frames) * stride, length - 1)


def _check_sampling(length: int, frames: int, clip: int, clips: int) -> None:
    if length < 1 or frames < 1:
        raise BadInput(f"cannot sample {frames} frames from {length}: both must be 1 or more")
    if not 0 <= clip < clips:
        raise BadInput(f"temporal view {clip} of {clips}: views are counted from 0 to {clips - 1}")


def resize(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Antialiased bilinear resizing of uint8 (t, h, w, 3) to uint8 (t, *size, 3)."""
    if min(size) < 1:
        raise BadInput(f"size must be 1 or more, not {size}")
    if frames.shape[1:3] == tuple(size):
        return frames
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    pixels = F.interpolate(pixels, tuple(size), mode="bilinear", antialias=True, align_corners=False)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def fitted_size(height: int, width: int, short: int = 224, patch: int = 16) -> tuple[int, int]:
    """The size (h, w) of whole patches at which the short side is `short`, a multiple of the patch, and the long side
    the nearest multiple (open-vocabulary localization, Appendix B.2)."""
    if short % patch or short < 1 or min(height, width) < 1:
        raise BadInput(f"a short side of {short} pixels for {height} x {width}: it must be a multiple of {patch}")
    long = max(round(max(height, width) / min(height, width) * short / patch) * patch, short)
    return (short, long) if height <= width else (long, short)


def crop(frames: np.ndarray, size: int, at: float = 0.5) -> np.ndarray:
    """Resizes the short side to `size` and cuts a square at `at` in [0, 1] along the long one: (t, size, size, 3)."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    frames = resize(frames, (max(round(height * size / short), size), max(round(width * size / short), size)))
    top, left = (round((side - size) * at) for side in frames.shape[1:3])
    return frames[:, top : top + size, left : left + size]


def views(frames: np.ndarray, size: int, crops: int = 1) -> np.ndarray:
    """Spatial views uint8 (v, t, size, size, 3) of uint8 (t, h, w, 3): the centre, or both ends and the centre."""
    if crops not in (1, 3):
        raise BadInput(f"crops must be 1 (the centre) or 3 (both ends and the centre), not {crops}")
    return np.stack([crop(frames, size, at) for at in ((0.5,) if crops == 1 else (0.0, 0.5, 1.0))])

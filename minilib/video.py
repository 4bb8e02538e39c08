"""Video files to frames and back, which frames to read, and which squares of them to show a model.

decord reads where it is installed; PyAV reads where it is not, and every file that decord cannot read (it breaks on
frames 16, 24, 48 or 72 wide, and on AV1). Both give the same frames, bit for bit. A reader lives inside one call and
decodes in one thread: open ones hold much memory, and neither readers nor their threads survive a fork.

Axes: t frames, h and w pixels, v views of a clip.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F

from minilib.errors import BadInput

try:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
except (ImportError, OSError):  # no wheel for this machine, or one that does not load
    decord = None

Pick = Callable[[int], Sequence[int]]


class VideoError(BadInput):
    """A video file that cannot be read, or has no such frame. The message names the file and the reason."""


def read_frames(
    path: Path | str, indices: Sequence[int] | Pick, size: int | tuple[int, int] | None = None
) -> np.ndarray:
    """Frames uint8 (t, h, w, 3), in the order of `indices`, which may repeat.

    `indices` are integers or a function that maps the video's length to them, so that one opening serves both.
    `size`, a square's side or (h, w), resizes. Any failure is a `VideoError`.
    """
    frames = _read(path, indices if callable(indices) else lambda length: indices)
    return frames if size is None else resize(frames, (size, size) if isinstance(size, int) else size)


def video_length(path: Path | str) -> int:
    """How many frames a video has."""
    return _read(path, None)


def _read(path: Path | str, pick: Pick | None) -> np.ndarray | int:
    """The frames that `pick` chooses, or the length: by the first reader that can."""
    path = Path(path)
    if not os.path.isfile(path):
        raise VideoError(f"video {path}: no such file")
    if path.stat().st_size == 0:
        raise VideoError(f"video {path}: the file is empty")
    for reader in (_decord, _pyav) if decord else (_pyav,):
        try:
            return reader(path, pick)
        except VideoError:
            raise
        except Exception as error:  # decord's own error is a bare Exception, PyAV's are many
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    raise VideoError(f"video {path}: cannot be read ({reason.strip().splitlines()[0]})")


def _checked(path: Path, pick: Pick, length: int) -> np.ndarray:
    wanted = np.asarray(pick(length))
    if wanted.ndim != 1 or not len(wanted) or wanted.dtype.kind not in "iu":
        raise VideoError(f"video {path}: frame indices must be a list of one or more integers, not {wanted.tolist()}")
    outside = wanted[(wanted < 0) | (wanted >= length)]
    if len(outside):
        raise VideoError(f"video {path}: there is no frame {outside[0]}, it has frames 0 to {length - 1}")
    return wanted


def _decord(path: Path, pick: Pick | None) -> np.ndarray | int:
    reader = decord.VideoReader(str(path), num_threads=1)
    try:
        if pick is None:
            return len(reader)
        unique, order = np.unique(_checked(path, pick, len(reader)), return_inverse=True)
        frames = reader.get_batch(unique.tolist()).asnumpy()
    finally:
        del reader
    if frames.shape[0] != len(unique) or frames.shape[3:] != (3,):
        raise RuntimeError(f"decord gave an array of shape {frames.shape}")
    return frames[order]


def _pyav(path: Path, pick: Pick | None) -> np.ndarray | int:
    """Decodes from the start to the last frame wanted: slower than seeking, and exact for every container."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise VideoError(f"video {path}: the file has no video stream")
        stream = container.streams.video[0]
        shown = [not packet.is_discard for packet in container.demux(stream) if packet.size]
        if "mp4" in container.format.name and len(shown) < stream.frames:
            raise VideoError(f"video {path}: truncated, {len(shown)} of {stream.frames} frames are there")
    length = sum(shown)
    if not length:
        raise VideoError(f"video {path}: no frame can be found, the file is truncated or damaged")
    if pick is None:
        return length
    wanted = _checked(path, pick, length)
    frames, index = {}, -1
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:  # turned upright, as decord does
                frames[index] = np.rot90(frame.to_ndarray(format="rgb24", threads=1), frame.rotation // 90)
            if index >= wanted.max():
                break
    if len(frames) < len(set(wanted.tolist())):
        raise VideoError(f"video {path}: damaged, decoding stops after {index + 1} of {length} frames")
    return np.stack([frames[index] for index in wanted.tolist()])


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
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(part), "w", format="mp4") as container:
            rate = Fraction(fps).limit_denominator(1001)
            stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
            stream.codec_context.thread_count = 1
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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

"""Video files to frames, by presentation time: the frames that a player would show, counted as it shows them.

Frame i is the i-th picture in the order of presentation. Which there are is read off the packets, without decoding;
decoding then runs from the start, and each picture's time must be the one that was expected. Where it is not (a stream
that begins between key frames, containers without presentation times), the whole file is decoded to count again. A
stretch that is missing anywhere but at the start is an error, never a copy of a neighbour.

What this cannot know: a decoder conceals damage inside a picture, and only what it flags or fails on is named here.

Axes: t frames, h and w pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from minilib.errors import BadInput

Pick = Callable[[int], Sequence[int]]
Reader = Callable[[Path, "Pick | None"], "np.ndarray | int"]


class VideoError(BadInput):
    """A video file that cannot be read, or has no such frame. The message names the file and the reason."""


def read(path: Path | str, pick: Pick | None, reader: Reader) -> np.ndarray | int:
    """The frames uint8 (t, h, w, 3) whose numbers `pick` chooses of a video's length, or that length. Any failure is a
    `VideoError`."""
    path = Path(path)
    if not os.path.isfile(path):
        raise VideoError(f"video {path}: no such file")
    if path.stat().st_size == 0:
        raise VideoError(f"video {path}: the file is empty")
    try:
        return reader(path, pick)
    except VideoError:
        raise
    except Exception as error:  # libraries raise errors of many kinds, decord's own is a bare Exception
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # raised out here: an error that is chained holds the traceback, and that the decoder with its frames
    raise VideoError(f"video {path}: cannot be read ({reason.strip().splitlines()[0]})")


def numbers(path: Path, pick: Pick, length: int) -> np.ndarray:
    """What `pick` chooses of `length` frames, checked: int (t,)."""
    wanted = np.asarray(pick(length))
    if wanted.ndim != 1 or not len(wanted) or wanted.dtype.kind not in "iu":
        raise VideoError(f"video {path}: frame indices must be a list of one or more integers, not {wanted.tolist()}")
    outside = wanted[(wanted < 0) | (wanted >= length)]
    if len(outside):
        raise VideoError(f"video {path}: there is no frame {outside[0]}, it has frames 0 to {length - 1}")
    return wanted


# --- PyAV, the default -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """Presentation times of a video's pictures in order, or where the container has none their numbers; `exact` where
    every packet has a time of its own and the first is a key frame, so that decoding will show just these."""

    times: tuple[int, ...]
    timed: bool
    exact: bool
    counted: bool = False  # the container says how many there are


def pyav(path: Path, pick: Pick | None) -> np.ndarray | int:
    """Reads by libav, in one thread, from the start to the last frame wanted: exact for every container."""
    index = _index(path)
    if not index.exact:
        index = _decoded(path, index)
    if pick is None:
        return len(index.times)
    frames = _frames(path, index, numbers(path, pick, len(index.times)))
    if frames is None:  # the packets promised other pictures than there are
        index = _decoded(path, index)
        frames = _frames(path, index, numbers(path, pick, len(index.times)))
    if frames is None:
        raise VideoError(f"video {path}: damaged, decoding it twice gave two results")
    return frames


def _open(path: Path, **options: str) -> av.container.InputContainer:
    return av.open(f"file:{path}", options=options)  # so that a colon in a name is no protocol


def _stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    stream = container.streams.best("video")
    if stream is None:
        raise VideoError(f"video {path}: the file has no video stream")
    return stream


def _index(path: Path) -> Index:
    """The pictures that the packets promise, if they keep what the file's header promises."""
    with _open(path) as container:
        stream = _stream(container, path)
        packets = [packet for packet in container.demux(stream) if packet.size]
        promised, number, kind = stream.frames, stream.index, container.format.name
        declared = container.duration / av.time_base if container.duration else 0.0
        tick = float(stream.time_base)
    counted = "mp4" in kind or kind == "avi"
    if counted and len(packets) < promised:  # hidden by an edit list, or not there
        with _open(path, ignore_editlist="1") as container:
            there = sum(packet.size > 0 for packet in container.demux(container.streams[number]))
        if there < promised:
            raise VideoError(f"video {path}: truncated, {there} of {promised} frames are there")
    if any(packet.is_corrupt for packet in packets):
        raise VideoError(f"video {path}: damaged, a packet of it is incomplete")
    shown = [packet.pts for packet in packets if not packet.is_discard]
    if not shown:
        raise VideoError(f"video {path}: no frame can be found, the file is truncated or damaged")
    timed = None not in shown and len(set(shown)) == len(shown)
    times = tuple(sorted(shown)) if timed else tuple(range(len(shown)))
    if timed and not counted:  # containers that can lose pictures without a word
        _no_hole(path, times, "matroska" in kind and declared, tick)
    return Index(times, timed, exact=timed and packets[0].is_keyframe, counted="mp4" in kind)


def _no_hole(path: Path, times: Sequence[int], declared: float, tick: float) -> None:
    """Raises VideoError where a video of one frame rate lacks a stretch, or ends before its declared seconds."""
    steps = np.diff(times)
    if len(steps) < 2:
        return
    usual = np.median(steps)
    holes = steps > 1.9 * usual
    even = np.isclose(steps[~holes], usual, rtol=0.1, atol=1e-3 / tick).mean() > 0.95
    if even and 0 < holes.sum() <= max(0.1 * len(steps), 1):
        raise VideoError(f"video {path}: damaged, frames are missing after frame {holes.argmax()}")
    end = (times[-1] + usual) * tick
    if declared and end + 1.5 * usual * tick < declared:
        raise VideoError(f"video {path}: truncated, it ends after {end:.2f} of {declared:.2f} seconds")


def _pictures(path: Path) -> Iterator[av.VideoFrame]:
    """Every picture that can be shown, in order."""
    with _open(path) as container:
        stream = _stream(container, path)
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise VideoError(f"video {path}: damaged, a frame of it is incomplete")
            yield frame


def _decoded(path: Path, promised: Index) -> Index:
    """The pictures that decoding the whole file shows. Some may be missing at the start, none anywhere else."""
    times = [frame.pts for frame in _pictures(path)]
    if not times:
        raise VideoError(f"video {path}: damaged, no frame of it can be decoded")
    if promised.counted and not promised.timed and len(times) < len(promised.times):
        raise VideoError(f"video {path}: damaged, decoding shows {len(times)} of {len(promised.times)} frames")
    if None in times or len(set(times)) < len(times):
        return Index(tuple(range(len(times))), timed=False, exact=False)
    if promised.timed:
        lost = {time for time in promised.times if time > times[0]} - set(times)
        if lost:
            raise VideoError(f"video {path}: damaged, decoding shows {len(times)} of {len(promised.times)} frames")
    return Index(tuple(times), timed=True, exact=False)


def _frames(path: Path, index: Index, wanted: np.ndarray) -> np.ndarray | None:
    """The wanted pictures, or None where others were shown than the index says."""
    needed, kept, last = set(wanted.tolist()), {}, int(wanted.max())
    for number, frame in enumerate(_pictures(path)):
        if number >= len(index.times) or (index.timed and frame.pts != index.times[number]):
            return None
        if number in needed:
            kept[number] = upright(frame)
        if number == last:
            break
    if len(kept) < len(needed):
        return None
    return np.stack([kept[number] for number in wanted.tolist()])


def upright(frame: av.VideoFrame) -> np.ndarray:
    """uint8 (h, w, 3) as a player shows it: turned and mirrored as the file's display matrix says, by right angles."""
    pixels = frame.to_ndarray(format="rgb24", threads=1)
    # made here, for `frame.side_data` keeps a cycle that holds every frame until garbage is collected
    matrix = next((data for data in SideDataContainer(frame) if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32)
    if abs(b) > abs(a):  # rows become columns
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


# --- decord, on request ----------------------------------------------------------------------------------------------


def decord(path: Path, pick: Pick | None) -> np.ndarray | int:
    """Reads by decord, for those who ask for it: `read_frames(path, indices, reader=decord)`.

    It returns other frames, silently, for B-frames in AVI, MPEG-4 or open groups of pictures, intra refresh, HEVC as
    x265 writes it, edit lists, and times beyond 2^31. It is exact for H.264 in mp4 with closed groups of pictures, for
    VP8, VP9 and MJPEG. No wheel for Arm.
    """
    import decord as library

    library.logging.set_level(library.logging.QUIET)
    reader = library.VideoReader(str(path), num_threads=1)
    try:
        if pick is None:
            return len(reader)
        unique, order = np.unique(numbers(path, pick, len(reader)), return_inverse=True)
        frames = reader.get_batch(unique.tolist()).asnumpy()
    finally:
        del reader
    if frames.shape[0] != len(unique) or frames.shape[3:] != (3,):
        raise RuntimeError(f"decord gave an array of shape {frames.shape}")
    return frames[order]

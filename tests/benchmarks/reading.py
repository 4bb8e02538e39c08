"""What reading a clip is timed with: eight frames of a video of 300, evenly spread, by each reader that is installed.

Beside the time stands whether the frames are the right ones: each frame shows its number. torchcodec is no dependency,
and is timed only where somebody installed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from minilib.decoding import Pick, Reader, decord, numbers, pyav
from minilib.video import read_frames, uniform_indices

LENGTH, FRAMES, HEIGHT, WIDTH = 300, 8, 240, 320  # as Kinetics and UCF101 have them
KINDS = {  # name -> file, codec, its options
    "H.264 in mp4": ("a.mp4", "libx264", {}),
    "MPEG-4 with B-frames in avi, as UCF101": ("b.avi", "mpeg4", {"bf": "2"}),
    "VP9 in webm, as Something-Something": ("c.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
}
BITS = 10


def picture(number: int) -> np.ndarray:
    """uint8 (h, w, 3) that shows `number` as ten stripes, on a ground that moves."""
    ground = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH) + 3 * number) % 64
    frame = np.repeat((ground + 96).astype(np.uint8)[..., None], 3, -1)
    for bit in range(BITS):
        frame[:40, bit * WIDTH // BITS : (bit + 1) * WIDTH // BITS] = 235 if number >> bit & 1 else 20
    return frame


def shown(frame: np.ndarray) -> int:
    """The number that a frame shows."""
    stripes = frame[10:30].reshape(20, BITS, -1).mean((0, 2))
    return sum(1 << bit for bit in range(BITS) if stripes[bit] > 127)


def written(folder: Path, name: str, codec: str, options: dict[str, str]) -> Path:
    with av.open(str(folder / name), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(LENGTH):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    return folder / name


def torchcodec(path: Path, pick: Pick | None) -> np.ndarray | int:
    """Reads by torchcodec, which needs FFmpeg's libraries on the system; frames as it counts them."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
    if pick is None:
        return len(decoder)
    return decoder.get_frames_at(numbers(path, pick, len(decoder)).tolist()).data.numpy()


def readers() -> dict[str, Reader]:
    """The readers that are installed."""
    known = {"pyav": pyav, "decord": decord, "torchcodec": torchcodec}
    return {name: reader for name, reader in known.items() if name == "pyav" or find_spec(name) is not None}


@contextmanager
def videos() -> Iterator[dict[str, Path]]:
    """One file of each kind that this FFmpeg can write."""
    with TemporaryDirectory() as folder:
        made = {}
        for kind, (name, codec, options) in KINDS.items():
            try:
                made[kind] = written(Path(folder), name, codec, options)
            except (av.FFmpegError, ValueError):
                continue
        yield made


def reading(path: Path, reader: Reader) -> Callable[[], np.ndarray]:
    """A call that reads the eight frames."""

    def call() -> np.ndarray:
        return read_frames(path, lambda length: uniform_indices(length, FRAMES), reader=reader)

    return call


def wrong(path: Path, reader: Reader) -> str:
    """How many of the eight frames are others than asked for, or why there are none."""
    try:
        found = [shown(frame) for frame in reading(path, reader)()]
    except ValueError as error:
        return str(error)
    off = sum(a != b for a, b in zip(found, uniform_indices(LENGTH, FRAMES).tolist(), strict=True))
    return f"{off} of {FRAMES} frames are others" if off else "all frames right"

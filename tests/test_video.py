"""Video files: written and read back, every kind of broken file is named, and sampling stays inside the video."""

from __future__ import annotations

import gc
import struct
from importlib.util import find_spec

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilib.decoding import decord
from minilib.errors import BadInput
from minilib.video import (
    VideoError,
    crop,
    dense_indices,
    read_frames,
    resize,
    uniform_indices,
    video_length,
    views,
    write_video,
)
from minilib.world import clip_scenes, render

needs_decord = pytest.mark.skipif(find_spec("decord") is None, reason="decord has no wheel here")
LENGTH = 40


def moving(length: int = LENGTH, height: int = 64, width: int = 64) -> np.ndarray:
    frames = render(clip_scenes(0, "train", [0]), np.linspace(0, 1, length), size=max(height, width))[0].numpy()
    return frames[:, :height, :width]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, moving())
    return path


def faststart(path, folder):
    """The bytes of the same video with its index in front, so that a cut file still opens."""
    out = folder / "faststart.mp4"
    with av.open(str(path)) as source, av.open(str(out), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out.read_bytes()


@needs_decord
@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (96, 96), (64, 112), (224, 96), (64, 16), (64, 24), (48, 48), (64, 72)]
)
def test_decord_and_pyav_give_the_same_frames(tmp_path, height, width):
    path, frames = tmp_path / "a.mp4", moving(6, height, width)
    write_video(path, frames)
    seen = read_frames(path, range(6))
    assert seen.shape == frames.shape and seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - frames).mean() < 3
    if width not in (16, 24, 48, 72):  # decord breaks on these
        assert np.array_equal(seen, read_frames(path, range(6), reader=decord))


def test_round_trip_is_within_the_codecs_error(clip):
    error = np.abs(read_frames(clip, range(LENGTH)).astype(int) - moving())
    assert error.mean() < 3
    assert video_length(clip) == LENGTH


def test_indices_in_any_order_with_repeats(clip):
    everything = read_frames(clip, range(LENGTH))
    for indices in ([3, 1, 1, 39, 0, 3], [39], np.arange(LENGTH)[::-1], [20, 5, 30, 5], np.uint8([7, 2])):
        assert np.array_equal(read_frames(clip, indices), everything[np.asarray(indices)])
    assert np.array_equal(read_frames(clip, lambda length: [length - 1, 0]), everything[[-1, 0]])


@pytest.mark.parametrize("indices", [[-1], [0, LENGTH], [], [[0]], [0.5], ["a"]])
def test_indices_outside_the_video_are_named(clip, indices):
    with pytest.raises(VideoError, match="clip.mp4") as caught:
        read_frames(clip, indices)
    assert "\n" not in str(caught.value)


def test_size_resizes(clip):
    assert read_frames(clip, [0, 1], size=32).shape == (2, 32, 32, 3)
    assert read_frames(clip, [0, 1], size=(24, 48)).shape == (2, 24, 48, 3)
    with pytest.raises(BadInput, match="size"):
        read_frames(clip, [0], size=0)


def test_broken_files_are_named(clip, tmp_path):
    whole, middle = clip.read_bytes(), clip.stat().st_size // 2
    damaged = bytearray(whole)
    damaged[middle - 2000 : middle + 2000] = bytes(4000)
    broken = {
        "empty.mp4": b"",
        "garbage.mp4": np.random.default_rng(0).bytes(5000),
        "text.mp4": b"this is not a video\n" * 50,
        "cut_short.mp4": whole[:-100],
        "half.mp4": whole[:middle],
        "cut_stream.mp4": faststart(clip, tmp_path)[: middle + 2000],
        "damaged.mp4": bytes(damaged),
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError, match=name) as caught:
            read_frames(tmp_path / name, range(LENGTH))
        assert "\n" not in str(caught.value)
    for missing in (tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(VideoError, match="no such file"):
            video_length(missing)


def test_a_failure_leaves_nothing_behind(clip, tmp_path):
    """What lived on in a cycle would be freed in a forked worker, which then waits for threads it does not have."""
    whole, middle = clip.read_bytes(), clip.stat().st_size // 2
    (tmp_path / "damaged.mp4").write_bytes(whole[: middle - 2000] + bytes(4000) + whole[middle + 2000 :])
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            with pytest.raises(VideoError):
                read_frames(tmp_path / "damaged.mp4", range(LENGTH))
        assert not [thing for thing in gc.get_objects() if issubclass(type(thing), av.VideoFrame)]
    finally:
        gc.enable()


def test_a_cut_stream_has_no_length(clip, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(faststart(clip, tmp_path)[: clip.stat().st_size // 2])
    with pytest.raises(VideoError, match="cut.mp4"):
        video_length(tmp_path / "cut.mp4")


def test_sound_without_pictures_is_named(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 8192, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match="sound.mp4"):
        read_frames(path, [0])


@needs_decord
@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_a_turned_phone_video_stands_upright_in_both(tmp_path, matrix):
    path = tmp_path / "phone.mp4"
    write_video(path, moving(3, 64, 96))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (65536 * entry for entry in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    upright = read_frames(path, [2, 0])
    assert upright.shape[1:3] == ((96, 64) if matrix[0] == 0 else (64, 96))
    assert np.array_equal(upright, read_frames(path, [2, 0], reader=decord))


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    monkeypatch.setattr(av.VideoFrame, "from_ndarray", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_video(path, moving(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "frames", "fps", "reason"),
    [
        ("nowhere/a.mp4", np.zeros((1, 64, 64, 3), np.uint8), 8, "does not exist"),
        ("a.avi", np.zeros((1, 64, 64, 3), np.uint8), 8, "must end in .mp4"),
        ("a.mp4", np.zeros((1, 64, 64, 3)), 8, "uint8"),
        ("a.mp4", np.zeros((0, 64, 64, 3), np.uint8), 8, "uint8"),
        ("a.mp4", np.zeros((64, 64, 3), np.uint8), 8, "uint8"),
        ("a.mp4", np.zeros((1, 63, 64, 3), np.uint8), 8, "even"),
        ("a.mp4", np.zeros((1, 64, 64, 3), np.uint8), 0, "fps"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, name, frames, fps, reason):
    with pytest.raises(BadInput, match=reason):
        write_video(tmp_path / name, frames, fps)


def test_uniform_indices_are_segment_centres():
    assert uniform_indices(16, 4).tolist() == [2, 6, 10, 14]
    assert uniform_indices(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    assert uniform_indices(1, 3).tolist() == [0, 0, 0]
    assert np.stack([uniform_indices(16, 4, clip=k, clips=2) for k in range(2)]).tolist() == [
        [1, 5, 9, 13],
        [3, 7, 11, 15],
    ]


def test_dense_indices_stand_in_the_middle_and_spread():
    assert dense_indices(16, 4, 2).tolist() == [4, 6, 8, 10]
    assert dense_indices(5, 4, 2).tolist() == [0, 2, 4, 4]
    assert [dense_indices(16, 4, 2, clip=k, clips=3)[0] for k in range(3)] == [0, 4, 9]
    assert dense_indices(16, 4, 2, clip=2, clips=3)[-1] == 15


@given(st.integers(1, 400), st.integers(1, 64), st.integers(1, 20), st.integers(1, 5), st.data())
def test_sampling_stays_inside_and_in_order(length, frames, stride, clips, data):
    clip = data.draw(st.integers(0, clips - 1))
    rng = data.draw(st.sampled_from([None, np.random.default_rng(0)]))
    for indices in (
        uniform_indices(length, frames, clip=clip, clips=clips, rng=rng),
        dense_indices(length, frames, stride, clip=clip, clips=clips, rng=rng),
    ):
        assert indices.shape == (frames,) and indices.dtype.kind == "i"
        assert 0 <= indices.min() and indices.max() < length and (np.diff(indices) >= 0).all()


def test_random_positions_stay_in_their_segments():
    rng = np.random.default_rng(0)
    drawn = np.stack([uniform_indices(40, 4, rng=rng) for _ in range(200)])
    assert (drawn // 10 == np.arange(4)).all()
    assert all(len(set(column)) == 10 for column in drawn.T)


def test_sampling_refuses_nonsense():
    for call in (
        lambda: uniform_indices(0, 4),
        lambda: uniform_indices(4, 0),
        lambda: uniform_indices(4, 2, clip=1),
        lambda: dense_indices(4, 2, 0),
        lambda: dense_indices(4, 2, clip=-1),
        lambda: views(moving(1), 32, crops=2),
    ):
        with pytest.raises(BadInput):
            call()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 112), (112, 64), (33, 31)])
def test_views_are_squares_along_the_long_side(height, width):
    frames = moving(2, height, width)
    assert views(frames, 32, 1).shape == (1, 2, 32, 32, 3)
    three = views(frames, 32, 3)
    assert three.shape == (3, 2, 32, 32, 3)
    assert np.array_equal(three[1], views(frames, 32)[0])
    if height == width:
        assert np.array_equal(three[0], three[2])


def test_crops_stand_at_both_ends_and_the_centre():
    frames = np.broadcast_to(np.arange(112, dtype=np.uint8)[None, None, :, None], (1, 64, 112, 3))
    assert [int(view[0, 0, 0, 0]) for view in views(frames, 64, 3)] == [0, 24, 48]
    assert crop(frames, 64, 1.0).shape == (1, 64, 64, 3)
    assert np.array_equal(resize(frames, (64, 112)), frames)

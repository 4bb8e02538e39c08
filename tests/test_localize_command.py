"""A video file and a list of words: what is written, in whose pixels, and what is refused in one line."""

import json

import numpy as np
import pytest
import torch

from minilib.errors import BadInput
from minilib.localize import main
from minilib.models.clip import TINY, build
from minilib.papers.open_vocabulary import Vocabulary, files, localize
from minilib.papers.open_vocabulary.released import released_localizer, released_slots
from minilib.video import fitted_size, read_frames, write_video
from minilib.world.localization import localization_batch
from tests.test_open_vocabulary_localize import WORDS, localizer
from tests.test_open_vocabulary_released import drawn, released_files


@pytest.fixture
def path(tmp_path):
    """48 x 64 pixels: the upper left red in the first 12 of 20 frames, the right green throughout."""
    frames = np.full((20, 48, 64, 3), 50, np.uint8)
    frames[:12, :24, :32] = (255, 0, 0)
    frames[:, :, 48:] = (0, 255, 0)
    write_video(tmp_path / "own.mp4", frames, 10)
    return tmp_path / "own.mp4"


def test_boxes_are_in_the_videos_own_pixels(path):
    seen = files.localize_file(path, WORDS, localizer(), short=48)
    red, green = sorted(seen.tubes, key=lambda tube: tube.name != "red")
    assert (red.name, green.name) == ("red", "green") and seen.fps == 10
    assert seen.numbers == tuple(range(20)) and seen.frames.shape == (20, 48, 64, 3)
    assert green.masks.shape == (20, 48, 64) and green.boxes.tolist() == [[48, 0, 64, 48]] * 20
    half = files.localize_file(path, WORDS, localizer(), short=24)  # seen at half the size, told in the file's
    assert half.tubes[0].masks.shape == (20, 48, 64) and half.frames.shape == (20, 48, 64, 3)
    assert [48, 0, 64, 48] in [tube.boxes[0].tolist() for tube in half.tubes]


def test_a_long_video_is_read_evenly_and_says_where(path):
    seen = files.localize_file(path, WORDS, localizer(), short=48, most=10)
    assert seen.numbers == (0, 2, 4, 6, 8, 11, 13, 15, 17, 19) and len(seen.tubes[0].boxes) == 10
    assert seen.fps == pytest.approx(10 * 9 / 19)  # so that it lasts as long as the video
    assert files.read_numbers(1017, 128).tolist() == list(range(0, 1017, 8))
    for length in range(8, 60):  # as many as are asked for, of every length
        for most in (8, 12, 16):
            found = files.read_numbers(length, most)
            assert len(found) == min(length, most) and found[0] == 0 and found[-1] == length - 1
            assert np.ptp(np.diff(found)) <= 1
    assert files.read_numbers(8, 8).tolist() == list(range(8))


def test_summary_and_picture_say_the_same(path):
    seen = files.localize_file(path, WORDS, localizer(), short=48)
    said = json.loads(json.dumps(seen.summary()))
    assert said["video"] == "own.mp4" and (said["height"], said["width"], len(said["frames"])) == (48, 64, 20)
    red = next(tube for tube in said["tubes"] if tube["name"] == "red")
    tube = next(tube for tube in seen.tubes if tube.name == "red")
    assert all((box is not None) == bool(mask.any()) for box, mask in zip(red["boxes"], tube.masks, strict=True))
    picture = files.drawn(seen)
    assert picture.shape == seen.frames.shape and picture.dtype == np.uint8
    changed = (picture != seen.frames).any(-1)
    for t in range(20):
        inside = torch.stack([tube.masks[t] for tube in seen.tubes]).any(0).numpy()
        assert changed[t][inside].mean() > 0.9
    bare = files.drawn(files.Seen(seen.path, seen.numbers, seen.frames[:, :47, :63], 10.0, ()))
    assert np.array_equal(bare, seen.frames[:, :46, :62])  # sides even, as the encoder wants them


@pytest.mark.parametrize(
    ("size", "due"),
    [((720, 1280), (224, 400)), ((1280, 720), (400, 224)), ((100, 100), (224, 224)), ((300, 301), (224, 224))],
)
def test_sizes_are_those_of_appendix_b2(size, due):
    assert fitted_size(*size) == due
    with pytest.raises(BadInput, match="multiple of 16"):
        fitted_size(*size, short=225)


def test_the_command_writes_json_and_video(tmp_path, capsys):
    clip = localization_batch(0, "test", [0], 9)
    write_video(tmp_path / "a b.mp4", clip.frames[0].numpy())
    assert main([str(tmp_path / "a b.mp4"), "circle", "star", "--out", str(tmp_path / "out")]) == 0
    said = json.loads((tmp_path / "out" / "a b_found.json").read_text())
    assert said["words"] == ["circle", "star"] and not said["background"] and said["tubes"]
    assert {tube["name"] for tube in said["tubes"]} <= {"circle", "star"}
    assert read_frames(tmp_path / "out" / "a b_found.mp4", range(9)).shape == (9, 96, 96, 3)
    assert "of 9 frames" in capsys.readouterr().out


def test_what_cannot_be_done_is_one_line(tmp_path, path, capsys):
    write_video(tmp_path / "short.mp4", np.zeros((7, 64, 64, 3), np.uint8))
    (tmp_path / "text.mp4").write_text("no video")
    for words, said in (
        ([tmp_path / "none.mp4", "star"], "no such file"),
        ([tmp_path / "short.mp4", "star"], "7 frames, at least 8"),
        ([tmp_path / "text.mp4", "star"], "cannot be read"),
        ([path, "unicorn"], "'unicorn': the small world's models know circle"),
        ([path, "star", "star"], "'star' occurs twice"),
        ([path, "star", "--background", "star"], "'star' occurs twice"),
        ([path, "star", "--slots", "a.pth"], "belong together"),
        ([path, "star", "--most", "7"], "at least 8"),
        ([path, "star", "--threshold", "nan"], "--threshold nan: must be a number"),
        ([path, "star", "--data-root", str(tmp_path)], "belong to --slots"),
        ([path, "dog", "--slots", path, "--patch-clip", path], "give data_root"),
        ([path, "star", "--device", "tpu"], "must be cpu or cuda"),
        ([path, "star", "--out", path], "cannot write"),
    ):
        assert main([str(word) for word in words] + ["--out", str(tmp_path)] * ("--out" not in words)) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_the_authors_files_make_a_localizer(tmp_path):
    """In ImageNet's statistics, as released, though patch-CLIP alone has CLIP's."""
    torch.manual_seed(0)
    clip = drawn(build(TINY, tokenize=lambda texts: torch.ones(len(texts), 24, dtype=torch.int64)))
    slots, patch = released_files(tmp_path, clip)
    made = released_localizer(slots, patch, clip)
    frames = torch.randint(256, (8, 48, 64, 3), dtype=torch.uint8)
    assert made.reader(frames).shape == (8, 6, 8, 16)
    assert not torch.allclose(made.reader(frames), made.reader.reader(frames), rtol=1e-3)
    shifted = (frames.float() / 255 - made.encoder.mean.flatten()) / made.encoder.std.flatten()
    torch.testing.assert_close(made.reader(frames), made.reader.reader.of_pixels(shifted.movedim(-1, 1)))
    assert not any(p.requires_grad for part in (made.encoder, made.slots, made.reader) for p in part.parameters())
    found = localize(frames, Vocabulary(("a",)), made)
    assert found and found[0].masks.shape == (8, 48, 64)
    encoder, _ = released_slots(slots)
    with pytest.raises(BadInput, match="patches of 16"):
        encoder(torch.zeros(1, 8, 3, 40, 48))

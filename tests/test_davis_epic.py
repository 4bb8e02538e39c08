"""DAVIS and EPIC-Kitchens: hand-made files in the official formats, the small world written out and read back, and the
world's segmentation task behind it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from minilib.datasets import davis, epic_kitchens, present
from minilib.datasets.epic_kitchens import COLUMNS
from minilib.errors import BadInput
from minilib.metrics.segmentation import score_sequence, summarise
from minilib.video import VideoError, dense_indices, write_video
from minilib.world import MOTIONS, SHAPES, clip_scenes, labels, render
from minilib.world.export_davis import export_davis
from minilib.world.export_epic import export_epic_kitchens
from minilib.world.segmentation import first_frame_identities, segmentation_batch, segmentation_scenes


def test_segmentation_clips_have_several_objects_each_seen_at_first():
    frames, ids = segmentation_batch(0, "val", range(40), 3)
    assert frames.shape == (40, 3, 64, 64, 3) and ids.shape == (40, 3, 64, 64) and ids.dtype == torch.uint8
    first = ids[:, 0].flatten(1)
    for clip in first:
        seen = clip.unique().tolist()
        assert seen == list(range(len(seen))) and 2 <= len(seen) - 1 <= 4
    areas = torch.stack([(first == i).sum(1) for i in range(1, 4)], 1).float()
    assert areas[areas > 0].median() > 100  # pixels; a patch of the small CLIP has 64
    assert (ids[:, 1:] != ids[:, :-1]).any()
    assert summarise([score_sequence(t, t.where(t < 255, 0)) for t in ids]).j_and_f == 1


def test_segmentation_clips_are_functions_of_seed_split_and_index():
    whole = segmentation_batch(3, "test", range(4), 2, combinations="held_out")
    for seen, expected in zip(segmentation_batch(3, "test", [2], 2, combinations="held_out"), whole, strict=True):
        assert torch.equal(seen[0], expected[2])
    for other in (
        segmentation_batch(4, "test", range(4), 2, combinations="held_out"),
        segmentation_batch(3, "val", range(4), 2, combinations="held_out"),
        segmentation_batch(3, "test", range(4), 2),
    ):
        assert not torch.equal(other[0], whole[0])
    motions = segmentation_scenes(0, "test", range(200)).motion[:, 0, 0]
    assert set(motions) == set(range(len(MOTIONS))) - {MOTIONS.index("appearing")}


def test_identities_are_those_of_the_first_frame():
    ids = torch.zeros(2, 2, 2, 3, dtype=torch.uint8)
    ids[0, 0] = torch.tensor([[0, 2, 2], [4, 0, 0]])
    ids[0, 1] = torch.tensor([[1, 2, 4], [3, 0, 0]])
    named = first_frame_identities(ids, 4)
    assert named[0].tolist() == [[[0, 1, 1], [2, 0, 0]], [[255, 1, 2], [255, 0, 0]]]
    assert not named[1].any()


@pytest.mark.parametrize("size", [64, 90])
def test_davis_comes_back(tmp_path, size):
    root = export_davis(tmp_path, {"train": 2, "val": 3}, seed=5, frames=4, size=size)
    for split, count in (("train", 2), ("val", 3)):
        videos = davis(root, split)
        assert [video.name for video in videos] == [f"{split}-{i:05d}" for i in range(count)]
        frames, ids = segmentation_batch(5, split, range(count), 4, size)
        for video, truth, masks in zip(videos, frames.numpy(), ids.numpy(), strict=True):
            assert len(video) == 4
            seen, identities = video.read()
            assert identities.dtype == seen.dtype == np.uint8 and np.array_equal(identities, masks)
            assert seen.shape == truth.shape and np.abs(seen.astype(int) - truth).mean() < 3
            assert score_sequence(identities, np.where(masks == 255, 0, masks)).region.min() == 1
    with Image.open(davis(root, "val")[0].masks[0]) as mask:
        assert mask.mode == "P" and mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_an_interrupted_export_of_pictures_goes_on(tmp_path):
    export_davis(tmp_path, {"val": 2}, frames=2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*g") if path.is_file()}
    kept = tmp_path / "JPEGImages" / "480p" / "val-00000" / "00000.jpg"
    kept.write_bytes(b"kept")
    shutil.rmtree(tmp_path / "JPEGImages" / "480p" / "val-00001")
    (tmp_path / "JPEGImages" / "480p" / ".val-00001.part").mkdir()
    export_davis(tmp_path, {"val": 3}, frames=2)
    assert kept.read_bytes() == b"kept"  # what is there stays
    assert all(path.read_bytes() == content for path, content in before.items() if path != kept)
    assert len(davis(tmp_path, "val")) == 3
    with pytest.raises(BadInput, match="choose another folder"):
        export_davis(tmp_path, {"val": 1}, frames=3)
    with pytest.raises(BadInput, match="splits are train, val"):
        export_davis(tmp_path, {"test": 1})


DAMAGE = {
    "frame gone": ("JPEG", 1, lambda path: path.unlink(), r"00001.jpg is missing, the next there is 00002.jpg"),
    "mask gone": ("Anno", 0, lambda path: path.unlink(), r"00000.png is missing"),
    "last mask gone": ("Anno", 2, lambda path: path.unlink(), r"Annotations_unsupervised.* has nothing for 00002.jpg"),
    "last frame gone": ("JPEG", 2, lambda path: path.unlink(), r"JPEGImages.* has nothing for 00002.png"),
    "no frames": ("JPEG", 0, lambda path: shutil.rmtree(path.parent), "holds no .jpg files"),
    "garbage": ("JPEG", 1, lambda path: path.write_bytes(b"no picture"), "00001.jpg: cannot be read"),
    "cut": ("Anno", 1, lambda path: path.write_bytes(path.read_bytes()[:90]), "00001.png: cannot be read"),
    "empty": ("Anno", 1, lambda path: path.write_bytes(b""), "00001.png: cannot be read"),
    "no palette": ("Anno", 1, lambda path: Image.new("RGB", (64, 64)).save(path), "00001.png: a mask must keep"),
    "small mask": ("Anno", 2, lambda path: Image.new("P", (64, 32)).save(path), "00002.png: is 32 x 64, the first"),
    "small frame": (
        "JPEG",
        2,
        lambda path: Image.new("RGB", (32, 64)).save(path),
        "00002.jpg: is 64 x 32, the first",
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return export_davis(tmp_path_factory.mktemp("davis"), {"val": 1}, frames=3)


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_pictures_are_named(world, tmp_path, name):
    kind, number, damage, reason = DAMAGE[name]
    root = shutil.copytree(world, tmp_path / "copy")
    damage(sorted(root.glob(f"{kind}*/480p/val-00000/*"))[number])
    with pytest.raises(BadInput, match=reason) as caught:
        davis(root, "val")[0].read()
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


def test_masks_of_another_size_than_the_frames(world, tmp_path):
    root = shutil.copytree(world, tmp_path / "copy")
    for path in root.glob("Anno*/480p/val-00000/*"):
        Image.new("P", (128, 128)).save(path)
    with pytest.raises(BadInput, match="frames are 64 x 64, masks 128 x 128"):
        davis(root, "val")[0].read()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("../val-00000\n", "line 1: the path '../val-00000' leaves"),
        ("val-00000\nval-00000\n", "line 2: 'val-00000' is listed twice"),
        ("val-00000\nbear\n", "line 2: .*bear holds no .jpg"),
        (" \n", "is empty"),
    ],
)
def test_wrong_lists_are_named(world, tmp_path, text, reason):
    root = shutil.copytree(world, tmp_path / "copy")
    (root / "ImageSets" / "2017" / "val.txt").write_text(text)
    with pytest.raises(BadInput, match=reason):
        davis(root, "val")
    with pytest.raises(BadInput, match="train.txt: no such file"):
        davis(root, "train")


ROW = {
    "narration_id": "P01_01_0", "participant_id": "P01", "video_id": "P01_01", "narration_timestamp": "00:00:01.089",
    "start_timestamp": "00:00:00.14", "stop_timestamp": "00:00:03.37", "start_frame": "8", "stop_frame": "202",
    "narration": "open door", "verb": "open", "verb_class": "1", "noun": "door", "noun_class": "0",
    "all_nouns": "\"['door', 'fridge']\"", "all_noun_classes": '"[0, 1]"',
}  # fmt: skip
HEADER = ",".join(COLUMNS)
VERBS = "id,key,instances,category\n0,take,\"['take', 'grab']\",retrieve\n1,open,\"['open']\",access\n"
NOUNS = "id,key,instances,category\n1,fridge,\"['fridge']\",appliances\n0,door,\"['door']\",furniture\n"


def epic_root(root, *changes, header=HEADER, verbs=VERBS, nouns=NOUNS):
    lists = root / "epic-kitchens-100-annotations"
    lists.mkdir(parents=True)
    rows = [",".join((ROW | change).values()) for change in changes]
    (lists / "EPIC_100_train.csv").write_text("\n".join([header, *rows]) + "\n")
    (lists / "EPIC_100_verb_classes.csv").write_text(verbs)
    (lists / "EPIC_100_noun_classes.csv").write_text(nouns)
    return partial(epic_kitchens, root, "train")


def test_epic_kitchens(tmp_path):
    later = {"narration_id": "P37_101_5", "participant_id": "P37", "video_id": "P37_101", "verb_class": "0"}
    read = epic_root(tmp_path, {}, later | {"start_timestamp": "01:02:03.5", "stop_timestamp": "01:02:03.50"})()
    assert read.verbs == ("take", "open") and read.nouns == ("door", "fridge") and len(read) == 2
    first, second = read.clips
    assert (first.start, first.stop, first.action, first.text) == (0.14, 3.37, (1, 0), "open door")
    assert first.path == tmp_path / "EPIC-KITCHENS" / "P01" / "videos" / "P01_01.MP4"
    assert (second.start, second.stop, second.name) == (3723.5, 3723.5, "P37_101_5")
    second.path.parent.mkdir(parents=True)
    second.path.touch()
    assert [Path(clip.path).is_file() for clip in read.clips].count(True) == 1 and len(read.clips) == 2
    assert present(read).clips == (second,) and present(read).verbs == read.verbs


BAD_EPIC = {
    "header": ([{}], dict(header="narration_id,video_id"), "train.csv, line 1: the header must have"),
    "no rows": ([], {}, "train.csv: lists nothing"),
    "short": ([{"narration": "a,b"}], {}, "line 2: 16 columns"),
    "verb": ([{}, {"verb_class": "2"}], {}, "line 3: verb_class 2 is none of the 2"),
    "noun": ([{"noun_class": "-1"}], {}, "line 2: noun_class must be a whole number"),
    "time": ([{"start_timestamp": "0.14"}], {}, "line 2: start_timestamp must be hours"),
    "minutes": ([{"stop_timestamp": "00:61:00"}], {}, "line 2: stop_timestamp must be"),
    "order": ([{"stop_timestamp": "00:00:00.1"}], {}, "line 2: the segment stops at 0.1 s, before"),
    "path": ([{"participant_id": "../P01"}], {}, "line 2: the path .* leaves"),
    "video": ([{"video_id": "../../../x"}], {}, "line 2: the path .* leaves"),
    "gap": ([{}], dict(verbs="id,key\n0,a\n2,b\n"), "verb_classes.csv: the ids must be 0 to 1"),
    "twice": ([{}], dict(nouns="id,key\n0,a\n0,b\n"), "noun_classes.csv, line 3: 'a' and 'b' share"),
    "id": ([{}], dict(nouns="id,key\none,a\n"), "noun_classes.csv, line 2: id must be"),
}


@pytest.mark.parametrize("name", BAD_EPIC)
def test_bad_rows_are_named(tmp_path, name):
    rows, files, reason = BAD_EPIC[name]
    with pytest.raises(BadInput, match=reason) as caught:
        epic_root(tmp_path, *rows, **files)()
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_epic_kitchens_comes_back(tmp_path):
    counts = {"train": 2, "validation": 1}
    root = export_epic_kitchens(tmp_path, counts, seed=2, frames=6, segments=3)
    for split, count in counts.items():
        read = epic_kitchens(root, split, ".mp4")
        scenes = clip_scenes(2, "val" if split == "validation" else split, np.arange(3 * count))
        truth = labels(scenes, [0.0])
        assert read.verbs == MOTIONS and read.nouns == SHAPES
        assert [clip.action for clip in read.clips] == list(zip(truth.verb.tolist(), truth.noun.tolist(), strict=True))
        assert [clip.start for clip in read.clips] == [0, 0.75, 1.5] * count
        assert len({clip.path for clip in read.clips}) == count and len({clip.name for clip in read.clips}) == 3 * count
        frames = render(scenes, np.linspace(0, 1, 6)).numpy()
        for clip, expected in zip(read.clips, frames, strict=True):
            assert np.abs(clip.read(6).astype(int) - expected).mean() < 6  # its own frames and no neighbour's
            assert clip.text.endswith(f"{SHAPES[clip.noun]} {MOTIONS[clip.verb]}")
    again = export_epic_kitchens(tmp_path, {"train": 3}, seed=2, frames=6, segments=3)
    assert len(epic_kitchens(again, "train", ".mp4")) == 9
    with pytest.raises(BadInput, match="choose another folder"):
        export_epic_kitchens(tmp_path, counts, seed=2, frames=6, segments=4)
    with pytest.raises(BadInput, match="0 segments"):
        export_epic_kitchens(tmp_path / "new", counts, segments=0)
    assert not (tmp_path / "new").exists()


def test_frames_of_a_segment(tmp_path):
    clip = epic_root(tmp_path, {"start_timestamp": "00:00:01", "stop_timestamp": "00:00:02"})().clips[0]
    clip.path.parent.mkdir(parents=True)
    grey = np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    video = clip.path.with_suffix(".mp4")
    write_video(video, np.broadcast_to(grey, (40, 64, 64, 3)).astype(np.uint8), fps=12.5)
    with pytest.raises(VideoError, match="no such file"):
        clip.read(2)
    video.rename(clip.path)

    def numbers(frames):
        return (frames.mean((1, 2, 3)) / 6).round().tolist()

    assert numbers(clip.read(13)) == list(range(12, 25))  # 12.5 frames a second: seconds 1 to 2 are frames 12 to 24
    assert numbers(clip.read(2, partial(dense_indices, stride=2))) == [17, 19]
    assert 12 <= min(numbers(clip.read(4, rng=np.random.default_rng(0)))) < 16
    last = epic_root(tmp_path / "b", {"start_timestamp": "00:00:03", "stop_timestamp": "00:00:09"})().clips[0]
    last.path.parent.mkdir(parents=True)
    clip.path.rename(last.path)
    assert numbers(last.read(3)) == [38, 39, 39]  # the video ends before the segment does
    late = epic_root(tmp_path / "c", {"start_timestamp": "00:00:04", "stop_timestamp": "00:00:04"})().clips[0]
    late.path.parent.mkdir(parents=True)
    last.path.rename(late.path)
    with pytest.raises(VideoError, match="ends before segment P01_01_0 begins, at 4.0 s"):
        late.read(1)

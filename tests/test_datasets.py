"""Readers on hand-made files in the official formats, bad lines named, and broken videos skipped and counted."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilib.datasets import (
    UNLABELLED,
    Annotated,
    Clip,
    EpochBatches,
    VideoDataset,
    diving48,
    hmdb51,
    kinetics,
    kinetics_folder,
    present,
    read_views,
    something,
    ucf101,
)
from minilib.datasets.annotations import first_of_each, inside, mirrored_classes
from minilib.datasets.kinetics import read_csv
from minilib.datasets.listing import ClipList
from minilib.errors import BadInput
from minilib.video import crop, dense_indices, read_frames, uniform_indices, write_video

HEADER = "label,youtube_id,time_start,time_end,split"
KINETICS = f'\ufeff{HEADER}\r\n abseiling ,-3B32lodo2M,10,20,train\r\n\r\n"air, drumming",0bkg4wWtc8w,3,13,train  \r\n'
SOMETHING = [
    {"id": "78687", "label": "holding a cup ", "template": "Holding [something]", "placeholders": ["a cup"]},
    {"id": "42326", "label": "moving a pen up", "template": "Moving [something] up", "placeholders": ["a pen"], "x": 1},
]
SENTENCES = {"Moving something up": "1", "Holding something": "0"}
DIVES = [["Back", "15som", "05Twis", "FREE"], ["Back", "25som", "15Twis", "PIKE"]]


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def kinetics_root(root, text=KINETICS):
    write(root / "annotations" / "train.csv", text)
    return partial(kinetics, root, "train")


def something_root(root, records=SOMETHING, sentences=SENTENCES):
    for name, value in (("train", records), ("labels", sentences)):
        write(root / "labels" / f"{name}.json", value if isinstance(value, str) else json.dumps(value))
    return partial(something, root, "train")


def ucf_root(root, train="\ufeffB/v_B_g01.avi 2 \r\nA/v_A_g02.avi 1\n\n", classes="1 A\n2 B\n"):
    write(root / "ucfTrainTestlist" / "classInd.txt", classes)
    write(root / "ucfTrainTestlist" / "trainlist01.txt", train)
    write(root / "ucfTrainTestlist" / "testlist01.txt", "B/v_B_g03.avi\n")
    return partial(ucf101, root, "train")


def hmdb_root(root, wave="a_1.avi 1 \nb&!(2)#.avi 2\nc.avi\t1\nd.avi 0\n"):
    write(root / "testTrainMulti_7030_splits" / "wave_test_split1.txt", wave)
    write(root / "testTrainMulti_7030_splits" / "brush_hair_test_split1.txt", "e.avi 2 \n f.avi 1\n")
    return partial(hmdb51, root, "train")


def diving_root(root, records=None, vocabulary=DIVES):
    default = [{"vid_name": "S_00325", "label": 1, "start_frame": 0, "end_frame": 214}]
    for name, value in (("V2_train", default if records is None else records), ("vocab", vocabulary)):
        write(root / f"Diving48_{name}.json", value if isinstance(value, str) else json.dumps(value))
    return partial(diving48, root, "train")


def test_kinetics(tmp_path):
    read = kinetics_root(tmp_path)()
    assert read.classes == ("abseiling", "air, drumming")
    names = ["-3B32lodo2M_000010_000020.mp4", "0bkg4wWtc8w_000003_000013.mp4"]
    assert [(clip.path, clip.label) for clip in read.clips] == [
        (tmp_path / "train" / n, i) for i, n in enumerate(names)
    ]
    write(tmp_path / "train" / "abseiling" / names[0], b"")
    again = kinetics(tmp_path, "train")
    assert again.clips[0].path == tmp_path / "train" / "abseiling" / names[0]
    assert [clip.label for clip in present(again).clips] == [0]


def test_kinetics_classes_come_from_train_or_the_label_map(tmp_path):
    kinetics_root(tmp_path)
    val = write(tmp_path / "annotations" / "val.csv", f'{HEADER}\n"air, drumming",x,0,10,val\n')
    assert [clip.label for clip in kinetics(tmp_path, "val").clips] == [1]
    write(tmp_path / "annotations" / "label_map.txt", "zumba\nair, drumming\nabseiling\n")
    assert [clip.label for clip in kinetics(tmp_path, "train").clips] == [2, 1]
    write(val, f"{HEADER}\nsleeping,x,0,10,val\n")
    with pytest.raises(BadInput, match="val.csv, line 2: 'sleeping' is none of the 3 classes"):
        kinetics(tmp_path, "val")
    write(tmp_path / "annotations" / "test.csv", "youtube_id,time_start,time_end,split\nx,0,10,test\n")
    assert [clip.label for clip in kinetics(tmp_path, "test").clips] == [UNLABELLED]


def test_something(tmp_path):
    read = something_root(tmp_path)()
    assert read.classes == ("Holding something", "Moving something up")
    assert read.clips == (
        Clip(tmp_path / "videos" / "78687.webm", 0, "holding a cup"),
        Clip(tmp_path / "videos" / "42326.webm", 1, "moving a pen up"),
    )
    write(tmp_path / "labels" / "test.json", '\ufeff[{"id": "5"}]')
    assert something(tmp_path, "test", ".mp4").clips == (Clip(tmp_path / "videos" / "5.mp4", UNLABELLED),)


def test_ucf101(tmp_path):
    read = ucf_root(tmp_path)()
    assert read.classes == ("A", "B")
    videos = tmp_path / "UCF-101"
    assert read.clips == (Clip(videos / "B" / "v_B_g01.avi", 1), Clip(videos / "A" / "v_A_g02.avi", 0))
    assert ucf101(tmp_path, "test").clips == (Clip(videos / "B" / "v_B_g03.avi", 1),)


def test_hmdb51(tmp_path):
    read, videos = hmdb_root(tmp_path)(), tmp_path / "videos"
    assert read.classes == ("brush_hair", "wave")
    assert [(clip.path.name, clip.label) for clip in read.clips] == [("f.avi", 0), ("a_1.avi", 1), ("c.avi", 1)]
    assert hmdb51(tmp_path, "test").clips[1] == Clip(videos / "wave" / "b&!(2)#.avi", 1)


def test_diving48(tmp_path):
    read = diving_root(tmp_path)()
    assert read.classes == ("Back 15som 05Twis FREE", "Back 25som 15Twis PIKE")
    assert read.clips == (Clip(tmp_path / "rgb" / "S_00325.mp4", 1),)


def one(**changes):
    return [SOMETHING[0] | changes]


BAD = {
    "kinetics header": (kinetics_root, dict(text="label,id\nx,y\n"), "train.csv, line 1: the header"),
    "kinetics no rows": (kinetics_root, dict(text=HEADER), "lists nothing below"),
    "kinetics empty": (kinetics_root, dict(text=" \n"), "is empty"),
    "kinetics short row": (kinetics_root, dict(text=f"{HEADER}\na,b,1,2,train\n\na,b,1\n"), "line 4: 3 columns"),
    "kinetics time": (kinetics_root, dict(text=f"{HEADER}\na,b,1.5,2,train\n"), "line 2: time_start"),
    "kinetics quote": (kinetics_root, dict(text=f'{HEADER}\n"a,b,1,2,train\n'), "line 2"),
    "kinetics bytes": (kinetics_root, dict(text=b"label\xff"), "byte 5 is not UTF-8"),
    "kinetics id": (kinetics_root, dict(text=f"{HEADER}\na,../../b,1,2,train\n"), "line 2: the path .* leaves"),
    "kinetics label": (kinetics_root, dict(text=f"{HEADER}\n/etc,b,1,2,train\n"), "line 2: the path '/etc' leaves"),
    "something json": (something_root, dict(records="[{]"), "train.json: Invalid JSON"),
    "something kind": (something_root, dict(records=one(id=7)), r"train.json, at \[0\].id"),
    "something none": (something_root, dict(records=[]), "lists no videos"),
    "something id": (something_root, dict(records=one(id="../7")), r"record 0 \(id ../7\): .* not the name of a file"),
    "something dots": (something_root, dict(records=one(id="a\\b")), "leaves the data folder"),
    "something template": (something_root, dict(records=one(template="Eating [x]")), "'Eating x' is none of the 2"),
    "something gap": (something_root, dict(sentences={"a": "0", "b": "2"}), "labels.json: the indices"),
    "something twice": (something_root, dict(sentences={"a": "0", "b": "0"}), "share the index 0"),
    "something word": (something_root, dict(sentences={"a": "one"}), "labels.json, 'a': the index"),
    "ucf number": (ucf_root, dict(train="A/v.avi 1\nB/v.avi 1\n"), "trainlist01.txt, line 2: class number 1, but B is"),
    "ucf class": (ucf_root, dict(train="C/v.avi 1\n"), "line 1: 'C' is none of the 2 classes"),
    "ucf line": (ucf_root, dict(train="v.avi\n"), "line 1: .* should be"),
    "ucf columns": (ucf_root, dict(train="A/v.avi 1 2\n"), "line 1: .* should be"),
    "ucf path": (ucf_root, dict(train="../v.avi\n"), "line 1: the path '../v.avi' leaves"),
    "ucf order": (ucf_root, dict(classes="1 A\n3 B\n"), "classInd.txt, line 2"),
    "ucf repeated": (ucf_root, dict(classes="1 A\n2 A\n"), "classInd.txt, line 2"),
    "ucf names": (ucf_root, dict(classes="one A\n"), "classInd.txt, line 1"),
    "hmdb mark": (hmdb_root, dict(wave="a.avi 1\nb.avi 3\n"), "wave_test_split1.txt, line 2"),
    "hmdb bare": (hmdb_root, dict(wave="a.avi\n"), "line 1: .* should be"),
    "hmdb path": (hmdb_root, dict(wave="../a.avi 1\n"), "line 1"),
    "diving label": (diving_root, dict(records=[{"vid_name": "a", "label": 2}]), r"record 0 \(a\): label 2"),
    "diving field": (diving_root, dict(records=[{"vid_name": "a"}]), r"V2_train.json, at \[0\].label"),
    "diving path": (diving_root, dict(records=[{"vid_name": "/a", "label": 0}]), "not the name of a file"),
    "diving none": (diving_root, dict(records=[]), "lists no videos"),
    "diving twice": (diving_root, dict(vocabulary=[DIVES[0], DIVES[0]]), "vocab.json: each dive"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_named(name, tmp_path):
    build, content, reason = BAD[name]
    with pytest.raises(BadInput, match=reason) as caught:
        build(tmp_path, **content)()
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [kinetics, something, ucf101, hmdb51, diving48])
def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(BadInput, match=str(tmp_path)):
        read(tmp_path, "train")


@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["..", ".", "", "a", "/", "\\", " "])).map("/".join)))
def test_no_path_leaves_the_data_folder(name):
    root = "/data/set"
    try:
        place = inside(root, name, "annotations x, line 1")
    except BadInput as error:
        assert "x, line 1" in str(error) and "\n" not in str(error)
    else:
        assert os.path.normpath(place).startswith(root + "/")
        assert "\0" not in str(place)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Twenty good videos, each of one grey, 8 frames of 64 x 96, and the bytes of one."""
    root = tmp_path_factory.mktemp("videos")
    ramp = np.arange(8, dtype=np.uint8)[:, None, None, None]
    for i in range(20):
        write_video(root / f"{i:02d}.mp4", np.broadcast_to(10 * i + ramp, (8, 64, 96, 3)).astype(np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), dtype=np.uint8)
    write_video(root / "noise.mp4", noise)
    return [Clip(root / f"{i:02d}.mp4", i) for i in range(20)], (root / "noise.mp4").read_bytes()


def test_items_are_central_in_evaluation(videos):
    clips, _ = videos
    frames, label = VideoDataset(clips, frames=4, size=32)[3]
    expected = crop(read_frames(clips[3].path, uniform_indices(8, 4)), 32)
    assert label == 3 and np.array_equal(frames.numpy(), expected) and frames.shape == (4, 32, 32, 3)


def test_training_items_depend_on_seed_epoch_and_index(videos):
    data = VideoDataset(videos[0], frames=2, size=32, sampling=partial(dense_indices, stride=2), train=True)
    same = [data[5][0], VideoDataset(**data.__dict__)[5][0], data.at_epoch(1).at_epoch(0)[5][0]]
    assert all((item == same[0]).all() for item in same)
    assert len({data.at_epoch(epoch)[5][0].numpy().tobytes() for epoch in range(8)}) > 2


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_videos_are_skipped_named_and_counted(videos, tmp_path, workers):
    clips, whole = videos
    half = len(whole) // 2
    damaged = whole[: half - 3000] + bytes(6000) + whole[half + 3000 :]
    broken = {"garbage": b"no video" * 99, "cut": whole[:half], "empty": b"", "damaged": damaged}
    bad = [Clip(write(tmp_path / f"{name}.mp4", content), 0) for name, content in broken.items()]
    bad.append(Clip(tmp_path / "missing.mp4", 0))
    mixed = [clip for pair in zip(bad, clips, strict=False) for clip in pair] + list(clips[5:])
    batches = EpochBatches(VideoDataset(mixed, frames=8, size=32), 3, workers, max_bad_share=0.2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in range(2):  # every epoch counts anew, a file is named once
            seen = [batches(step) for step in range(9 * epoch, 9 * epoch + 9)]
            assert [int(label) for _, labels in seen for label in labels] == list(range(20))
            assert all(len(frames) == len(labels) for frames, labels in seen)
    assert len(batches.skipped) == 5
    for name in (*broken, "missing"):
        assert sum(f"{name}.mp4" in message for message in batches.skipped) == 1
        assert sum(f"{name}.mp4" in str(w.message) and "of 25" in str(w.message) for w in caught) == 1


def test_too_many_broken_videos_end_the_run(videos, tmp_path):
    clips, _ = videos
    bad = [Clip(tmp_path / f"{i}.mp4", 0) for i in range(2)]
    batches = EpochBatches(VideoDataset([*clips, *bad], frames=2, size=32), 8)
    with pytest.warns(UserWarning, match="no such file"), pytest.raises(BadInput, match="2 of 22 videos.*0.mp4"):
        [batches(step) for step in range(3)]


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_of_broken_videos_gives_way_to_the_next(videos, tmp_path, first):
    bad, good = [Clip(tmp_path / f"{i}.mp4", 0) for i in range(2)], videos[0][3:5]
    data = VideoDataset([*bad, *good] if first else [*good, *bad], frames=2, size=32)
    batches = EpochBatches(data, 2, max_bad_share=0.5)
    with pytest.warns(UserWarning):
        assert [batches(step)[1].tolist() for step in range(5)] == [[3, 4]] * 5
    with pytest.warns(UserWarning), pytest.raises(BadInput, match="none of 2 videos can be read; the first: .*0.mp4"):
        EpochBatches(replace(data, clips=bad), 2, max_bad_share=1.0)(0)


def test_shuffling_is_repeatable_and_new_each_epoch(videos):
    data = VideoDataset(videos[0], frames=1, size=16, train=True)

    def order(epoch):
        batches = EpochBatches(data, 7)
        return [int(label) for step in range(3) for label in batches(3 * epoch + step)[1]]

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1)) == list(range(20))


def test_views_of_one_video(videos):
    seen = read_views(videos[0][1].path, 4, 32, partial(dense_indices, stride=1), clips=2, crops=3)
    assert seen.shape == (6, 4, 32, 32, 3)
    whole = read_frames(videos[0][1].path, range(8))
    assert np.array_equal(seen[1], crop(whole[:4], 32)) and np.array_equal(seen[5], crop(whole[4:], 32, 1.0))


def test_own_videos_in_folders(tmp_path):
    for name in ("train/wave/1.mp4", "train/wave/2.MP4", "train/clap your hands/3.mp4", "val/wave/4.mp4"):
        write(tmp_path / name, b"")
    for name in ("train/.hidden/x.mp4", "train/wave/.x.mp4", "train/wave/notes.txt", "train/list.txt"):
        write(tmp_path / name, b"")
    own = kinetics_folder(tmp_path)
    assert own["train"].classes == own["val"].classes == ("clap your hands", "wave")
    assert [(clip.path.name, clip.label) for clip in own["train"].clips] == [("3.mp4", 0), ("1.mp4", 1), ("2.MP4", 1)]
    assert [(clip.path.name, clip.label) for clip in own["val"].clips] == [("4.mp4", 1)]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["train/a/1.mp4"], "no folder val"),
        (["train/a/1.mp4", "val/b/1.mp4"], "'b' is none of the 1 classes"),
        (["train/a/1.mp4", "train/1.mp4", "val/a/1.mp4"], "has no label"),
        (["train/a/1.txt", "val/a/1.mp4"], "no training video"),
        (["train/a/1.mp4", "val/a/1.txt"], "there is no video"),
    ],
)
def test_own_folders_that_are_wrong_are_named(tmp_path, files, reason):
    for name in files:
        write(tmp_path / name, b"")
    with pytest.raises(BadInput, match=reason) as caught:
        kinetics_folder(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


# --- mirrored clips, missing clips, short trials ---------------------------------------------------------------------


DIRECTED = (
    "Pulling something from left to right", "Pulling something from right to left", "Opening something",
    "Turning the camera left", "Turning clockwise", "Turning anticlockwise", "Left", "right", "Bright copyright notice",
)  # fmt: skip


def test_a_mirrored_class_is_the_one_with_left_and_right_exchanged():
    assert mirrored_classes(DIRECTED) == (1, 0, 2, None, 5, 4, None, None, 8)
    assert mirrored_classes(("left", "right")) == (1, 0)


@pytest.mark.parametrize("label", range(len(DIRECTED)))
def test_a_mirrored_clip_never_keeps_a_directed_label(tmp_path, label):
    frames = np.full((4, 64, 64, 3), 20, np.uint8)
    frames[:, :, :32] = 230
    write_video(tmp_path / "a.mp4", frames)
    clips, mirrored = [Clip(tmp_path / "a.mp4", label)] * 12, mirrored_classes(DIRECTED)
    read = VideoDataset(clips, 2, train=True, flip=0.5, mirrored=mirrored)
    seen = set()
    for shown, got in (read[i] for i in range(len(read))):
        turned = bool(shown[..., 32:, :].float().mean() > shown[..., :32, :].float().mean())
        assert got == (mirrored[label] if turned else label)
        seen.add(turned)
    assert seen == ({False} if mirrored[label] is None else {False, True})
    plain = VideoDataset(clips, 2, train=False, flip=1.0, mirrored=mirrored)
    assert plain[0][1] == label and plain[0][0][..., :32, :].float().mean() > 200
    with pytest.raises(BadInput, match="which class each becomes"):
        VideoDataset(clips, 2, train=True, flip=0.5)


def test_missing_clips_are_counted_and_named(tmp_path):
    listed = Annotated(tuple(Clip(tmp_path / f"{i}.mp4", 0) for i in range(5)), ("a",))
    for i in (0, 2, 3, 4):
        (tmp_path / f"{i}.mp4").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"train: 4 of 5 listed videos are there; the first missing is .*1\.mp4"):
        assert len(present(listed, "train")) == 4
    for path in tmp_path.glob("*.mp4"):
        path.unlink()
    with pytest.raises(BadInput, match="0 of 5"):
        present(listed, "train")
    assert len(present(listed)) == 0


def test_a_listing_is_a_sequence_of_clips_that_workers_share():
    names, texts = ["a/ö.mp4", "b.mp4", "a/\udc80.mp4"], ["", "it moves", "ü"]
    listing = ClipList("videos", names, [1, 0, 1], texts)
    want = tuple(Clip(Path("videos", n), l, t) for n, l, t in zip(names, [1, 0, 1], texts, strict=True))
    assert tuple(listing) == want == listing[:] and listing == want and listing[-1] == want[2]
    assert listing[1:] == want[1:] and listing.chosen([2, 0]) == (want[2], want[0])
    assert len(ClipList("videos", [], [])) == 0 and listing != want[:2]
    with pytest.raises(IndexError):
        listing[3]
    long = ClipList("videos", [f"clip number {i}.mp4" for i in range(20_000)], [0] * 20_000)
    assert len(ForkingPickler.dumps(long)) < 2_000, "a worker gets handles, not names"
    assert [clip.label for clip in first_of_each(listing, 2)] == [1, 0]


def test_a_long_list_builds_no_objects_for_its_rows(tmp_path, monkeypatch):
    rows = [f"class {i % 40},id{i:09d},{i % 200},{i % 200 + 10},train" for i in range(5_000)]
    (tmp_path / "train.csv").write_text("\n".join([HEADER, *rows]))
    made = []
    plain = Path.__new__
    monkeypatch.setattr(Path, "__new__", lambda cls, *args, **kw: made.append(1) or plain(cls, *args, **kw))
    read = read_csv(tmp_path / "train.csv", tmp_path)
    assert len(read) == 5_000 and len(made) < 500
    assert read.clips[4_999].path.name == "id000004999_000199_000209.mp4" and read.clips[41].label == 1


def test_a_short_trial_keeps_all_classes():
    clips = [Clip(Path(f"{i}"), i // 6) for i in range(18)]
    assert [clip.label for clip in first_of_each(clips, 7)] == [0, 0, 0, 1, 1, 2, 2]
    assert list(first_of_each(clips, 100)) == clips
    uneven = [Clip(Path(f"{i}"), label) for i, label in enumerate([0, 0, 0, 0, 1])]
    assert [clip.label for clip in first_of_each(uneven, 3)] == [0, 0, 1]


def test_own_videos_of_any_kind_are_used_and_other_files_named(tmp_path):
    names = ["1.mp4", "2.M4V", "3.mpg", "4.ts", "5.3gp", "6.wmv", "7.flv", "8.gif", ".hidden.mp4"]
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        for name in names:
            (tmp_path / split / "a" / name).write_bytes(b"x")
    assert len(kinetics_folder(tmp_path)["train"]) == 8
    (tmp_path / "train" / "a" / "notes.txt").write_text("x")
    with pytest.warns(UserWarning, match=r"notes\.txt left out"):
        assert len(kinetics_folder(tmp_path)["train"]) == 8

"""ImageNet-VID and YouTube-VIS: the small world written out and read back, hand-made files, and what is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from minilib.datasets import imagenet_vid, youtube_vis
from minilib.datasets.imagenet_vid import read_xml
from minilib.datasets.tracks import checked_box
from minilib.datasets.youtube_vis import Rle, decoded
from minilib.errors import BadInput
from minilib.papers.open_vocabulary.naming import real_vocabulary
from minilib.world import SHAPES
from minilib.world.export_imagenet_vid import export_imagenet_vid
from minilib.world.export_youtube_vis import export_youtube_vis
from minilib.world.localization import localization_batch

XML = """<annotation><folder>f</folder><size><width>64</width><height>48</height></size>
<object><trackid>3</trackid><name>n1</name><bndbox><xmax>20</xmax><xmin>4</xmin><ymax>30</ymax><ymin>5</ymin></bndbox>
</object></annotation>"""


@pytest.fixture(scope="module")
def snippets(tmp_path_factory):
    return export_imagenet_vid(tmp_path_factory.mktemp("vid"), {"train": 3, "val": 2}, seed=4, frames=5)


@pytest.fixture(scope="module")
def instances(tmp_path_factory):
    return export_youtube_vis(tmp_path_factory.mktemp("vis"), 4, seed=4, frames=5)


def same(video, truth, index):
    """A video that was read, and the clip that was written: pictures, names, and boxes where something is seen."""
    seen = video.read(range(len(video)))
    assert seen.shape == truth.frames.shape[1:]
    assert np.abs(seen.astype(int) - truth.frames[0].numpy()).mean() < 3, index
    tracks, shown = video.tracks(), truth.there[0].any(0)
    assert tracks.size == tuple(truth.frames.shape[2:4])
    order = [
        next(o for o in shown.nonzero().flatten().tolist() if fits(tracks, k, truth, o)) for k in range(shown.sum())
    ]
    assert sorted(order) == shown.nonzero().flatten().tolist()


def fits(tracks, k, truth, o):
    there = truth.there[0, :, o]
    return (
        int(tracks.labels[k]) == int(truth.names[0, o])
        and torch.equal(tracks.there[:, k], there)
        and torch.equal(tracks.boxes[there, k], truth.boxes[0, there, o].float())
        and not tracks.boxes[~there, k].any()
    )


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("val", 2)])
def test_imagenet_vid_comes_back(snippets, split, count):
    found = imagenet_vid(snippets, split)
    assert found.classes == SHAPES and len(found) == count
    for index, video in enumerate(found.clips):
        assert video.name.endswith(f"ILSVRC2015_{split}_{index:08d}") and len(video) == 5
        same(video, localization_batch(4, split, [index], 5), index)


def test_youtube_vis_comes_back(instances):
    found = youtube_vis(instances, "all")
    assert found.classes == SHAPES and [video.name for video in found.clips] == [f"{i:010x}" for i in range(4)]
    for index, video in enumerate(found.clips):
        truth = localization_batch(4, "train", [index], 5)
        same(video, truth, index)
        masks = video.masks()
        for k, o in enumerate(truth.there[0].any(0).nonzero().flatten().tolist()):
            expected = (truth.ids[0] == 1 + o) & truth.there[0, :, o, None, None]
            assert np.array_equal(masks[:, k], expected.numpy())


def test_an_interrupted_export_goes_on(tmp_path):
    for export, counts in ((export_imagenet_vid, {"val": 2}), (export_youtube_vis, 2)):
        root = export(tmp_path / export.__name__, counts, frames=2)
        pictures = sorted(root.rglob("*.JPEG")) + sorted(root.rglob("*.jpg"))
        for path in pictures[2:]:
            path.unlink()
        pictures[2].parent.rmdir()
        times = [path.stat().st_mtime_ns for path in pictures[:2]]
        export(root, counts, frames=2)
        assert all(path.is_file() for path in pictures)
        assert times == [path.stat().st_mtime_ns for path in pictures[:2]]
        with pytest.raises(BadInput, match="holds a world made with"):
            export(root, counts, frames=3)


def test_the_split_of_youtube_vis_is_a_seed(instances):
    names = {}
    for seed in range(6):
        train, held = (
            {video.name for video in youtube_vis(instances, split, seed, 0.25).clips} for split in ("train", "val")
        )
        assert len(train) == 3 and len(held) == 1 and not train & held
        names[seed] = held.pop()
    assert len(set(names.values())) > 1
    assert {video.name for video in youtube_vis(instances, "val", 5, 0.25).clips} == {names[5]}
    with pytest.raises(BadInput, match="held=1"):
        youtube_vis(instances, "val", held=1)
    with pytest.raises(BadInput, match="choose of train, val, all"):
        youtube_vis(instances, "test")


def test_the_usual_classes_are_those_of_the_vocabulary(snippets, tmp_path):
    for name in ("ImageSets", "Data", "Annotations"):
        (tmp_path / name).symlink_to(snippets / name)
    found = imagenet_vid(tmp_path, "val")
    assert found.classes == real_vocabulary("imagenet_vid").targets
    assert not len(found.clips[0].tracks().labels)  # the small world's synsets are none of them, and are left out
    with pytest.raises(BadInput, match="train and val"):
        imagenet_vid(tmp_path, "test")


# --- what is refused -------------------------------------------------------------------------------------------------


def replaced(path, old, new, times=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, times))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<xmin>4<", "<xmin>-3<", "outside of its picture of 48 x 64"),
        ("<xmax>20<", "<xmax>66<", "outside"),
        ("<ymax>30<", "<ymax>50<", "outside"),
        ("<ymin>5<", "<ymin>31<", "inverted"),
        ("<xmin>4<", "<xmin>four<", "<xmin> must be a number, not 'four'"),
        ("<xmin>4<", "<xmin>nan<", "must be a number"),
        ("<xmin>4</xmin>", "", "<object> has no <bndbox>, <xmin>"),
        ("<trackid>3</trackid>", "<trackid> </trackid>", "no <trackid>"),
        ("<width>64</width>", "<width>0</width>", "48 x 0"),
        ("</size>", "", "not xml"),
    ],
)
def test_a_wrong_xml_file_is_named(tmp_path, old, new, said):
    path = tmp_path / "000000.xml"
    path.write_text(XML)
    assert read_xml(path) == ((48, 64), [("3", "n1", [4, 5, 20, 30])])
    replaced(path, old, new)
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        read_xml(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_object_free_frame_and_a_box_on_the_edge(tmp_path):
    path = tmp_path / "000000.xml"
    path.write_text("<annotation><size><width>8</width><height>6</height></size></annotation>")
    assert read_xml(path) == ((6, 8), [])
    assert checked_box([-1, 0, 9, 7], (6, 8), "") == [0, 0, 8, 6]  # a pixel is forgiven, and cut off


@pytest.fixture
def own(tmp_path):
    """A small copy that may be spoilt."""
    return export_imagenet_vid(tmp_path / "vid", {"train": 1, "val": 1}, frames=2)


@pytest.mark.parametrize(
    ("spoil", "split", "said"),
    [
        (lambda r: (r / "Data/VID/val/ILSVRC2015_val_00000000").rename(r / "aside"), "val", "is not there"),
        (lambda r: replaced(r / "ImageSets/VID/val.txt", "/000001", "/000002"), "val", "frames in order"),
        (lambda r: replaced(r / "ImageSets/VID/val.txt", "ILSVRC2015_val_00000000", "..", 2), "val", "leaves the data"),
        (lambda r: next(r.rglob("val/*/000001.JPEG")).unlink(), "val", "holds 1 frames, the list has 2"),
        (lambda r: next(r.rglob("train/*/*/000000.JPEG")).unlink(), "train", "000000.JPEG is missing"),
        (lambda r: [path.unlink() for path in (r / "ImageSets/VID").glob("train*")], "train", "train_1.txt: no such"),
        (lambda r: replaced(r / "devkit/data/map_vid.txt", " 2 ", " "), "val", "each once"),
    ],
)
def test_wrong_lists_of_imagenet_vid_are_named(own, spoil, split, said):
    spoil(own)
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        imagenet_vid(own, split)
    assert "\n" not in str(caught.value)


def test_frames_that_do_not_fit_their_video_are_named(own):
    video = imagenet_vid(own, "val").clips[0]
    xml = video.annotations / "000001.xml"
    whole = xml.read_text()
    thing = re.search(r"<object>.*?</object>", whole)[0]
    replaced(xml, thing, thing + thing)
    with pytest.raises(BadInput, match="two boxes"):
        video.tracks()
    xml.write_text(re.sub(r"<object>.*</object>", "", whole.replace("<width>96", "<width>95")))
    with pytest.raises(BadInput, match="96 x 95, the first of its video"):
        video.tracks()
    xml.unlink()
    with pytest.raises(BadInput, match="no such file"):
        video.tracks()


def spoilt(file, change):
    made = json.loads(json.dumps(file))
    change(made, made["annotations"][0], made["videos"][0])
    return made


def first_box(track):
    return next(t for t, box in enumerate(track["bboxes"]) if box)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f, a, v: a.update(video_id=99), "there is no video 99"),
        (lambda f, a, v: a.update(category_id=99), "there is no category 99"),
        (lambda f, a, v: a["bboxes"].pop(), "1 bboxes for the 2 frames"),
        (lambda f, a, v: a["segmentations"].append(None), "3 segmentations for the 2 frames"),
        (lambda f, a, v: a["segmentations"].__setitem__(first_box(a), None), "not both"),
        (
            lambda f, a, v: a["segmentations"][first_box(a)].update(size=[95, 96]),
            "95 x 96 pixels in a video of 96",
        ),
        (lambda f, a, v: a["bboxes"].__setitem__(first_box(a), [90, 0, 9, 5]), "outside of its picture"),
        (lambda f, a, v: a["bboxes"].__setitem__(first_box(a), [9, 9, -3, 5]), "inverted"),
        (lambda f, a, v: f["videos"].append(v), "every video needs an id"),
        (lambda f, a, v: f.update(categories=[]), "every category needs an id"),
        (lambda f, a, v: v.update(file_names=["../../etc/passwd"] * 2), "leaves the data folder"),
        (lambda f, a, v: v.update(file_names=["gone/00000.jpg"] * 2), "is not there"),
        (lambda f, a, v: a.update(bboxes="none"), "at .annotations[0]"),
    ],
)
def test_what_does_not_fit_in_youtube_vis_is_named(tmp_path, change, said):
    root = export_youtube_vis(tmp_path / "vis", 1, frames=2)
    file = json.loads((root / "train.json").read_text())
    (root / "train.json").write_text(json.dumps(spoilt(file, change)))
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        youtube_vis(root, "all")
    assert "train.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("counts", [[2, 3], [2, 11], [], [-2, 14], "23", "4269", "42P", "", "\x01", "4é"])
def test_run_lengths_that_do_not_fill_their_picture_are_named(counts):
    with pytest.raises(BadInput, match=r"^here: .*run lengths"):
        decoded(Rle((3, 4), counts), "here")
    assert decoded(Rle((3, 4), [4, 2, 6]), "").sum() == decoded(Rle((3, 4), "426"), "").sum() == 2


SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(max_examples=60)
@given(SIDES, st.randoms(use_true_random=False), st.booleans())
def test_run_lengths_come_back_as_text_and_as_a_list(size, random, as_list):
    mask = np.asfortranarray([[random.random() < 0.4 for _ in range(size[1])] for _ in range(size[0])]).astype(np.uint8)
    mask = np.asfortranarray(mask)
    text = coco.encode(mask)["counts"].decode()
    flat = mask.flatten("F").astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    assert np.array_equal(decoded(Rle(size, runs if as_list else text), ""), mask.astype(bool))


@settings(max_examples=200)
@given(SIDES, st.one_of(st.text(max_size=12), st.lists(st.integers(-5, 2**40), max_size=6)))
def test_no_run_lengths_leave_pixels_open(size, counts):
    """A mask that fills its picture exactly, or one line; pycocotools shows memory where runs are too few."""
    try:
        mask = decoded(Rle(size, counts), "here")
    except BadInput as error:
        assert str(error).startswith("here") and "\n" not in str(error)
        return
    assert mask.shape == size and mask.dtype == bool
    if isinstance(counts, list):
        assert sum(counts) == mask.size and sum(counts[1::2]) == mask.sum()


@settings(max_examples=200)
@given(st.lists(st.floats() | st.floats(-2, 14), min_size=4, max_size=4), SIDES)
def test_boxes_end_within_their_picture_or_are_refused(box, size):
    try:
        x0, y0, x1, y1 = checked_box(box, size, "here")
    except BadInput as error:
        assert str(error).startswith("here") and "\n" not in str(error)
        return
    assert 0 <= x0 <= x1 <= size[1] and 0 <= y0 <= y1 <= size[0]

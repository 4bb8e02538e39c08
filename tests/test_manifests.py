"""The manifests are valid and right where it can be known, and what is missing is said in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minilib import manifests
from minilib.errors import BadInput
from minilib.manifests import all_manifests, file_hash, load_manifest, read_manifest, refresh, resolve

NAMES = [
    "charades",
    "davis2017_unsupervised",
    "diving48",
    "egoschema",
    "epic_kitchens100",
    "hmdb51",
    "image_encoder",
    "imagenet_vid",
    "intent_qa",
    "kinetics400",
    "llovi_captions",
    "multithumos",
    "next_gqa",
    "next_qa",
    "openai_clip_vit_b16",
    "openai_clip_vit_l14",
    "patch_clip",
    "patch_content",
    "second_clip",
    "small_clip",
    "small_diffusion_autoencoder",
    "small_diffusion_controlnet",
    "small_diffusion_judge",
    "small_diffusion_unet",
    "small_language",
    "smollm2_135m_instruct",
    "something_something_v2",
    "stable_diffusion_controlnet_depth",
    "stable_diffusion_v1_5",
    "ucf101",
    "video_encoder",
    "video_slots",
    "vit_b16_in21k",
    "youtube_vis",
]
DATASETS = [name for name in NAMES if load_manifest(name).kind == "dataset"]
GOOD = """
name: thing
kind: weights
title: a thing
licence: MIT
access: free
source: its page
size: about 1 MB
layout: {thing.pt: tensors}
sha256: null
notebooks: [02_zeroi2v]
"""


def lay_out(name: str, root: Path) -> Path:
    """Everything that the manifest's layout requires, empty."""
    for path in load_manifest(name).required:
        place = root / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch() if place.suffix else place.mkdir(exist_ok=True)
    return root / name


def test_all_are_valid():
    assert set(NAMES) <= set(all_manifests())


def test_known_counts():
    def counts(name):
        return {split: value.listed for split, value in load_manifest(name).splits.items()}

    assert counts("something_something_v2") == {"train": 168913, "validation": 24777, "test": 27157}
    assert counts("charades") == {"train": 7985, "test": 1863}
    assert sum(counts("next_qa").values()) == 47692
    assert sum(counts("intent_qa").values()) == 16297
    assert counts("next_gqa")["val"] + counts("next_gqa")["test"] == 8911
    assert counts("egoschema") == {"full": 5031, "subset": 500}
    assert counts("diving48") == {"train": 15027, "test": 1970}
    assert counts("davis2017_unsupervised") == {"train": 60, "val": 30}
    assert counts("epic_kitchens100") == {"train": 67217, "validation": 9668}
    assert counts("imagenet_vid") == {"train": 3862, "val": 555}
    assert sum(counts("youtube_vis").values()) == 2883
    assert counts("kinetics400") == {"train": 246534, "val": 19906}
    assert [split.available for split in load_manifest("kinetics400").splits.values()] == [240436, 19796]
    for fold in "123":
        assert counts("ucf101")[f"train{fold}"] + counts("ucf101")[f"test{fold}"] == 13320
        assert (counts("hmdb51")[f"train{fold}"], counts("hmdb51")[f"test{fold}"]) == (3570, 1530)


@pytest.mark.parametrize("name", NAMES)
def test_no_addresses(name):
    text = (manifests.MANIFESTS / f"{name}.yaml").read_text()
    assert "://" not in text and not re.search(r"\b[a-z0-9-]+\.(com|org|net|io|co|edu)\b", text)


@pytest.mark.parametrize("name", [name for name in NAMES if not load_manifest(name).shipped])
def test_what_is_missing_is_one_line(name, tmp_path):
    with pytest.raises(BadInput) as caught:
        resolve(name, tmp_path)
    message, manifest = str(caught.value), load_manifest(name)
    assert "\n" not in message
    for part in (name, str(tmp_path), "is missing", manifest.size, manifest.licence, manifest.source):
        assert part in message


def test_no_data_root_is_said():
    for root in (None, ""):
        with pytest.raises(BadInput, match="give data_root"):
            resolve("ucf101", root)


@pytest.mark.parametrize("name", DATASETS)
def test_a_complete_dataset_resolves_and_each_missing_part_is_named(name, tmp_path):
    home = lay_out(name, tmp_path)
    assert resolve(name, str(tmp_path)) == home
    for part in load_manifest(name).required:
        (home / part).rename(tmp_path / "aside")
        with pytest.raises(BadInput, match=re.escape(part)):
            resolve(name, tmp_path)
        (tmp_path / "aside").rename(home / part)


def test_weights_are_checked_by_hash(tmp_path):
    home = lay_out("openai_clip_vit_b16", tmp_path)
    with pytest.raises(BadInput, match="sha256 differs"):
        resolve("openai_clip_vit_b16", tmp_path)
    assert resolve("openai_clip_vit_b16", tmp_path, check_hash=False) == home / "ViT-B-16.pt"


def test_unknown_name():
    for name in ("kinetics", "../errors", ""):
        with pytest.raises(BadInput, match="there is no manifest"):
            load_manifest(name)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("kind: weights", "kind: model", "kind"),
        ("size: about 1 MB", "size: 1", "size"),
        ("licence: MIT\n", "", "licence"),
        ("access: free", "access: free\nurl: somewhere", "url"),
        ("sha256: null", "sha256: abc", "sha256"),
        ("{thing.pt: tensors}", "{a.pt: tensors, b.pt: tensors}", "exactly one file"),
        ("kind: weights", "kind: dataset", "has splits"),
        ("notebooks: [02_zeroi2v]", "notebooks: [zeroi2v]", "notebooks"),
        ("name: thing", "name: other", "its name"),
        ("layout: {", "layout: {{", "not YAML"),
        (GOOD, "", "Input should be"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path, old, new, reason):
    path = tmp_path / "thing.yaml"
    path.write_text(GOOD)
    read_manifest(path)
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(BadInput, match=reason) as caught:
        read_manifest(path)
    assert "thing.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_refresh_writes_the_hash(tmp_path, monkeypatch):
    (tmp_path / "thing.pt").write_bytes(b"tensors")
    (tmp_path / "thing.yaml").write_text(GOOD + "bytes: null\nshipped: true\n")
    monkeypatch.setattr(manifests, "PACKAGE", tmp_path)
    assert refresh(tmp_path) == ["thing"]
    assert refresh(tmp_path) == []
    manifest = read_manifest(tmp_path / "thing.yaml")
    assert (manifest.sha256, manifest.bytes) == (file_hash(tmp_path / "thing.pt"), 7)


def test_shipped_weights_have_the_hash_of_their_manifest():
    for manifest in all_manifests().values():
        file = manifests.PACKAGE / manifest.required[0]
        if manifest.shipped and file.is_file():
            assert manifest.sha256 == file_hash(file), "run `python -m minilib.manifests --refresh`"
            assert manifest.bytes == file.stat().st_size


def test_the_list_prints(capsys, tmp_path):
    home = lay_out("ucf101", tmp_path)
    manifests.main(["--data-root", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert f"ucf101: {home}" in lines and len(lines) == len(all_manifests())
    manifests.main([])
    bare = capsys.readouterr().out.splitlines()
    assert len(bare) == len(lines)
    for manifest, line in zip(all_manifests().values(), bare, strict=True):
        parts = (manifest.title, manifest.size, manifest.licence, manifest.access, manifest.source)
        assert line.startswith(f"{manifest.name}: ") and (manifest.shipped or all(part in line for part in parts))

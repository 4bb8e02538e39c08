"""Cached features: equal to the model's own, found by everything that made them, and never by anything less."""

import copy
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from minilib import cache as module
from minilib.cache import (
    cached,
    code_hash,
    description,
    tower_hash,
)
from minilib.errors import BadInput
from minilib.models.clip import TINY, FrameFeatures, ImageText, build
from minilib.models.small_clip import tokenize
from minilib.study import Clips
from minilib.training import evaluate
from minilib.world import WorldClips, clip_batch, epoch_indices, train_batches

SOURCE = WorldClips("motion", 0, "train", 6, 2, size=16)


def tiny(seed=0):
    torch.manual_seed(seed)
    return build(TINY, tokenize).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip():
    return tiny()


@pytest.fixture
def calls(monkeypatch):
    """The clips of every call of the model."""
    seen, frame_features = [], ImageText.frame_features

    def counted(self, frames, layers):
        seen.append(len(frames))
        return frame_features(self, frames, layers)

    monkeypatch.setattr(ImageText, "frame_features", counted)
    return seen


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.suffix != ".lock")


# --- what is in it ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(clip, tmp_path_factory):
    return cached(clip, SOURCE, [0, -1], tmp_path_factory.mktemp("made"), batch=4)  # the last batch is a smaller one


def test_shapes_and_types(made):
    assert len(made) == 6
    assert made.cls.shape == (6, 2, 2, 24) and made.patches.shape == (6, 2, 2, 4, 24)
    assert made.cls.dtype == made.patches.dtype == torch.float16


@settings(max_examples=20)
@given(indices=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_equal_to_the_models_own_in_any_order(clip, made, indices):
    found = made.batch(indices)
    own = clip.frame_features(SOURCE.frames(indices), [0, -1])
    for a, b in ((found.cls, own.cls), (found.patches, own.patches)):
        assert a.dtype == torch.float32 and a.is_contiguous()
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_indices_may_be_arrays_tensors_and_one_clip(made):
    expected = made.batch([3, 1])
    for indices in (np.array([3, 1]), torch.tensor([3, 1])):
        assert torch.equal(made.batch(indices).patches, expected.patches)
    assert torch.equal(made.batch([1]).cls[:, 0], expected.cls[:, 1])


def test_nothing_is_recorded_and_batches_can_train(clip, tmp_path):
    trainable = copy.deepcopy(clip).requires_grad_(True)
    found = cached(trainable, SOURCE, [1], tmp_path)
    batch = found.batch([0, 1])
    assert not found.cls.requires_grad and not batch.patches.is_inference()
    weight = torch.ones(24, requires_grad=True)
    (batch.patches * weight).sum().backward()
    assert weight.grad is not None and all(p.grad is None for p in trainable.parameters())


def test_a_model_in_training_mode_is_left_so_and_gives_the_same(tmp_path):
    noisy = tiny()
    noisy.visual.patch_dropout = torch.nn.Dropout(0.5)
    expected = cached(noisy.eval(), SOURCE, [1], tmp_path / "eval").patches
    found = cached(noisy.train(), SOURCE, [1], tmp_path / "train").patches
    assert noisy.training and noisy.visual.patch_dropout.training
    assert torch.equal(found, expected)
    assert files(tmp_path / "eval") == files(tmp_path / "train")


def test_frame_features_move():
    moved = FrameFeatures(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 3, 2)).to("meta", non_blocking=True)
    assert moved.cls.is_meta and moved.patches.is_meta and moved.patches.shape == (1, 1, 1, 3, 2)


# --- the key ---------------------------------------------------------------------------------------------------------


def test_a_second_call_reads_and_does_not_run_the_model(clip, tmp_path, calls):
    first = cached(clip, SOURCE, [0], tmp_path, batch=4)
    assert calls == [1, 4, 2]  # the first for the shapes
    second = cached(tiny(), replace(SOURCE, task="appearance"), [-2], tmp_path)  # the same in other words
    assert len(calls) == 3 and len(files(tmp_path)) == 1
    assert torch.equal(first.patches, second.patches)


def test_of_two_at_once_one_makes_them(clip, tmp_path, calls, monkeypatch):
    made_of = description(clip, SOURCE, [0])  # Python 3.11 cannot parse in two threads at once
    monkeypatch.setattr("minilib.cache.description", lambda *_: made_of)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: cached(clip, SOURCE, [0], tmp_path, batch=4).cls, range(2)))
    assert calls == [1, 4, 2] and torch.equal(*made)


CHANGES = dict(
    seed=replace(SOURCE, seed=1),
    split=replace(SOURCE, split="val"),
    count=replace(SOURCE, count=5),
    steps=replace(SOURCE, steps=1),
    every=replace(SOURCE, every=2),
    shuffle=replace(SOURCE, shuffle=0),
    combinations=replace(SOURCE, combinations="held_out"),
    motions=replace(SOURCE, motions=(0, 1)),
)


def test_every_change_of_clips_or_layers_makes_another_cache(clip, tmp_path):
    cached(clip, SOURCE, [0], tmp_path)
    others = [(source, [0]) for source in CHANGES.values()] + [(SOURCE, layers) for layers in ([1], [0, 1], [1, 0])]
    for count, (source, layers) in enumerate(others, 2):
        cached(clip, source, layers, tmp_path)
        assert len(files(tmp_path)) == count


@settings(max_examples=15)
@given(data=st.data())
def test_every_number_of_the_tower_is_in_its_hash(data):
    model = tiny()
    before = tower_hash(model)
    tensors = [*model.visual.parameters(), *model.visual.buffers(), model.mean, model.std]
    chosen = data.draw(st.sampled_from(range(len(tensors))))
    flat = tensors[chosen].view(-1)
    place = data.draw(st.integers(0, len(flat) - 1))
    flat[place] = torch.nextafter(flat[place], torch.tensor(torch.inf))
    assert tower_hash(model) != before


def test_settings_types_and_activations_are_in_the_hash_and_the_text_tower_is_not(clip):
    hashes = {tower_hash(clip)}
    other = tiny()
    other.visual.transformer.resblocks[0].attn.num_heads = 6
    hashes.add(tower_hash(other))
    other = tiny()
    other.visual.transformer.resblocks[0].mlp.gelu = torch.nn.ReLU()
    hashes.add(tower_hash(other))
    hashes.add(tower_hash(tiny().double()))
    hashes.add(tower_hash(tiny().bfloat16()))
    assert len(hashes) == 5
    words = tiny()
    words.model.token_embedding.weight.data += 1
    assert tower_hash(words) == tower_hash(clip)


def test_code_that_makes_features_is_in_the_key_and_other_code_is_not(clip, monkeypatch):
    """Editing the image model, the cache or the world makes features anew; editing a paper leaves them."""
    asked, plain = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: asked.append(path) or plain(path))
    description(clip, SOURCE, [0])
    names = {path.relative_to(module.PACKAGE).as_posix() for path in asked if path.is_relative_to(module.PACKAGE)}
    assert {"cache.py", "models/clip.py", "world/render.py", "world/scenes.py", "world/clips.py"} <= names
    assert not [name for name in names if name.startswith(("papers/", "claims/", "study/", "training"))]


def test_the_models_class_and_module_are_in_the_key(clip):
    class Other(ImageText):
        """Same tensors, another computation."""

    Other.__module__ = ImageText.__module__
    before, was = description(clip, SOURCE, [0]), type(clip)
    try:
        clip.__class__ = Other
        assert description(clip, SOURCE, [0]) != before
    finally:
        clip.__class__ = was
    block = clip.visual.transformer.resblocks[0].mlp[1]
    kind = type("GELU", (type(block),), {"__module__": "elsewhere"})
    try:
        block.__class__ = kind
        assert tower_hash(clip) not in before
    finally:
        block.__class__ = kind.__mro__[1]
    assert description(clip, SOURCE, [0]) == before


def test_code_of_the_sources_package_is_in_the_key(tmp_path, monkeypatch):
    package = tmp_path / "clips_of_a_test"
    package.mkdir()
    for name, text in (("__init__", ""), ("source", "class Source: pass\n"), ("beside", "x = 1\n")):
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    from clips_of_a_test.source import Source

    before = code_hash(Source())
    (package / "beside.py").write_text("x = 2\n")
    assert code_hash(Source()) != before

    Source.__module__ = "nowhere"  # as where a notebook defines it
    with pytest.raises(BadInput, match="Source: define it in a file"):
        code_hash(Source())


def test_libraries_are_in_the_key(clip, monkeypatch):
    before = description(clip, SOURCE, [0])
    monkeypatch.setattr(module.open_clip, "__version__", "0.0")
    assert description(clip, SOURCE, [0]) != before


# --- damaged, foreign, interrupted -----------------------------------------------------------------------------------


@pytest.fixture
def cache(clip, tmp_path):
    cached(clip, SOURCE, [0], tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    return path


def rejected(clip, path, match):
    with pytest.raises(BadInput, match=match) as raised:
        cached(clip, SOURCE, [0], path.parent)
    assert path.name in str(raised.value) and "remove it" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_metadata_say_what_it_was_made_of(clip, cache):
    with module.safe_open(cache, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["made_of"] == description(clip, SOURCE, [0])
    assert metadata["key"] == hashlib.sha256(metadata["made_of"].encode()).hexdigest()
    assert metadata["key"].startswith(cache.stem.removeprefix("features-"))


def test_a_renamed_cache_is_foreign(clip, cache, tmp_path):
    cached(clip, replace(SOURCE, seed=1), [0], tmp_path / "other")
    next((tmp_path / "other").glob("*.safetensors")).replace(cache)
    rejected(clip, cache, "made of something else.*WorldClips, seed=1 ")


@pytest.mark.parametrize("metadata", [None, {"key": "0" * 64}])
def test_tensors_of_somebody_else_are_foreign(clip, cache, metadata):
    save_file(load_file(cache), cache, metadata)
    rejected(clip, cache, "made of something else.*unknown")


def test_other_tensors_under_the_right_key_are_foreign(clip, cache):
    with module.safe_open(cache, framework="pt") as file:
        metadata = file.metadata()
    save_file({"cls": torch.zeros(1)}, cache, metadata)
    rejected(clip, cache, "made of something else")


def test_damage_is_named_and_removing_the_file_mends_it(clip, cache):
    whole, patches = cache.read_bytes(), load_file(cache)["patches"].clone()  # of the file that is overwritten below

    @settings(max_examples=30)
    @given(share=st.floats(0, 0.999), garbage=st.binary(max_size=200))
    def damaged(share, garbage):
        for content in (whole[: int(share * len(whole))], garbage):
            cache.write_bytes(content)
            rejected(clip, cache, "cannot be read")

    damaged()
    cache.unlink()
    assert torch.equal(cached(clip, SOURCE, [0], cache.parent).patches, patches)


def test_a_folder_in_its_place_is_named(clip, cache):
    cache.unlink()
    cache.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        cached(clip, SOURCE, [0], cache.parent)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SafetensorError("full")]
)
def test_an_interrupted_write_leaves_nothing(clip, tmp_path, monkeypatch, error):
    def dies(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", dies)
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else BadInput):
            cached(clip, SOURCE, [0], tmp_path)
    assert files(tmp_path) == []
    cached(clip, SOURCE, [0], tmp_path)


def test_an_interrupted_computation_leaves_nothing_and_the_model_as_it_was(tmp_path, monkeypatch):
    class Interrupted(WorldClips):
        def frames(self, indices):
            if np.max(indices) > 3:
                raise KeyboardInterrupt
            return super().frames(indices)

    model = tiny().train()
    with pytest.raises(KeyboardInterrupt):
        cached(model, Interrupted("motion", 0, "train", 6, 2, size=16), [0], tmp_path, batch=2)
    assert files(tmp_path) == [] and model.training


def test_a_folder_that_cannot_be_written_is_named_before_the_model_runs(clip, tmp_path, calls):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="folder of feature caches=.*cannot write there"):
        cached(clip, SOURCE, [0], tmp_path / "file")
    assert not calls


def test_a_cache_too_large_is_refused_before_the_work(clip, tmp_path, monkeypatch, calls):
    monkeypatch.setattr(module, "LARGEST", 2 * 6 * 2 * 5 * 24 - 1)
    with pytest.raises(BadInput, match="features of 6 clips take .* fewer clips, frames or layers"):
        cached(clip, SOURCE, [0], tmp_path)
    assert calls == [1] and files(tmp_path) == []
    monkeypatch.setattr(module, "LARGEST", 2 * 6 * 2 * 5 * 24)
    cached(clip, SOURCE, [0], tmp_path)


def test_features_beyond_half_precision_are_refused(tmp_path):
    wild = tiny()
    wild.visual.transformer.resblocks[0].attn.out_proj.bias.data += 1e5
    with pytest.raises(BadInput, match="half precision"):
        cached(wild, SOURCE, [0], tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("layers", [[], [2], [-3], [0, 7]])
def test_layers_that_do_not_exist_are_named(clip, tmp_path, layers):
    cached(clip, SOURCE, [0, 1], tmp_path)
    with pytest.raises(BadInput, match=r"the image model has blocks 0 to 1"):
        cached(clip, SOURCE, layers, tmp_path)


# --- batches and sources ---------------------------------------------------------------------------------------------


def fed(made):
    return Clips(SOURCE, made.batch, limit=len(made))


def test_training_batches_keep_the_worlds_order(clip, made):
    at, world = fed(made).batches(5, 4), train_batches("motion", 0, 6, 2, limit=6, size=16)
    orders = [epoch_indices(5, step, 4, 6) for step in range(6)]
    assert sorted(np.concatenate(orders[:3])[:6]) == sorted(np.concatenate(orders[:3])[6:]) == list(range(6))
    for step, indices in enumerate(orders):
        found, labels = at(step)
        torch.testing.assert_close(found.patches, made.batch(indices).patches)
        assert torch.equal(labels, clip_batch("motion", 0, "train", indices, 2)[1])
    torch.testing.assert_close(world(1)[1], fed(made).batches(0, 6)(1)[1])


def test_held_batches_evaluate(made):
    class Head(torch.nn.Module):
        def forward(self, features):
            return features.cls[-1].mean(1)

    scores, labels = evaluate(Head(), (([inputs], label) for inputs, label in fed(made).test(4)))
    torch.testing.assert_close(scores, made.batch(range(6)).cls[-1].mean(1).softmax(-1))
    assert torch.equal(labels, SOURCE.labels(range(6)))


def test_world_clips_are_the_worlds_clips():
    frames, labels = clip_batch("motion", 3, "val", [4, 0], 4, size=32, combinations="all", motions=(2, 3))
    source = WorldClips("motion", 3, "val", 5, 4, combinations="all", motions=(2, 3), size=32)
    assert torch.equal(source.frames([4, 0]), frames) and torch.equal(source.labels([4, 0]), labels)
    assert len(source) == 5


@pytest.mark.parametrize("shuffle", [None, 7])
def test_sparse_frames_are_every_gammath_of_the_dense_ones(shuffle):
    dense = WorldClips("motion", 0, "train", 5, 8, shuffle=shuffle, size=16).frames([3, 1])
    for every in (2, 4, 8):
        sparse = WorldClips("motion", 0, "train", 5, 8 // every, every, shuffle, size=16).frames([3, 1])
        assert torch.equal(sparse, dense[:, ::every])


def test_shuffled_frames_are_the_clips_own_whatever_the_batch():
    plain, mixed = (WorldClips("motion", 0, "train", 5, 8, shuffle=s, size=16) for s in (None, 1))
    frames, own = mixed.frames(range(5)), plain.frames(range(5))
    assert torch.equal(mixed.frames([3])[0], frames[3])
    for a, b in zip(frames, own, strict=True):
        assert not torch.equal(a, b)
        assert sorted(a.flatten(1).sum(1).tolist()) == sorted(b.flatten(1).sum(1).tolist())
    assert not torch.equal(replace(mixed, shuffle=2).frames([3])[0], frames[3])


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (dict(task="colour"), "task 'colour'.*motion"),
        (dict(split="holdout"), "split 'holdout'.*train, val, test"),
        (dict(combinations="new"), "combinations 'new'"),
        (dict(count=0), "0 clips"),
        (dict(steps=0), "0 frames"),
        (dict(every=0), "every 0"),
    ],
)
def test_clips_that_the_world_has_not_are_named(settings, match):
    with pytest.raises(BadInput, match=match):
        replace(SOURCE, **settings)


def test_clips_beyond_the_source_are_named():
    for wrong in ([6], [-1], [0, 9]):
        with pytest.raises(BadInput, match="there are clips 0 to 5"):
            SOURCE.frames(wrong)
        with pytest.raises(BadInput, match="there are clips 0 to 5"):
            SOURCE.labels(wrong)

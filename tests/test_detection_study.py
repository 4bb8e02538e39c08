"""The world of temporal detection that two papers share: long clips, stages before a run, levels of a frozen stream."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from minilib.claims import load
from minilib.errors import BadInput
from minilib.metrics.detection import every_frame
from minilib.models.x3d import TINY, X3D, ClipHead, FrameHead
from minilib.papers.coarse_fine import CoarseFine, CoarseStream, MultiStageFusion, detection
from minilib.papers.coarse_fine.study import BRIEF
from minilib.papers.detection_pretraining.study import MEETING
from minilib.settings import describe, key
from minilib.study import Clips, Trial, Variant, stages
from minilib.study.detection import (
    Detection,
    Ensemble,
    OnLevels,
    OtherLabels,
    ShortClips,
    StoredLevels,
    probabilities,
    stored_levels,
)
from minilib.study.noise import again
from minilib.study.stages import Stage, code_of
from minilib.training import TrainSettings
from minilib.world import BUSY, SPARSE, LongClips, Rhythm, clip_batch, long_labels, long_scenes, render, sample_times

STEP = TrainSettings(steps=1, batch=2, warmup=0)
FEW = LongClips("val", 5, steps=16)
TASK = Detection(train=4, test=4, frames=16)


@dataclass(frozen=True)
class Tiny:
    """Builds a small X3D, with the feed's weights where it has some."""

    head: type = FrameHead

    def __call__(self, feed):
        net = X3D(TINY, 10, self.head, dropout=0.0)
        if feed.start is not None:
            net.load_state_dict(feed.start)
        return net


FIRST = Stage(Variant(Tiny(ClipHead), ShortClips(4)), STEP)
THEN = Stage(Variant(Tiny(), replace(TASK, start=FIRST), detection), STEP)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "FOLDER", tmp_path / "stages")
    stored_levels.cache_clear()
    return tmp_path / "stages"


# --- clips ---


def test_clips_are_those_of_the_world():
    scenes, times = long_scenes(0, "val", np.array([3, 1]), rhythm=SPARSE), sample_times(16)
    assert torch.equal(FEW.frames(np.array([3, 1])), render(scenes, times, 32))
    assert torch.equal(FEW.labels(np.array([3, 1])), long_labels(scenes, times).frames.float())
    assert FEW.rendered is LongClips("val", 5, steps=16).rendered, "rendered once"


def test_a_shuffled_clip_keeps_every_frame_with_its_label():
    mixed = replace(FEW, shuffle=True).rendered
    for clip in range(5):
        order = [
            int((FEW.rendered.frames[clip] == frame).flatten(1).all(1).float().argmax()) for frame in mixed[0][clip]
        ]
        assert len(set(order)) > 10 and order != sorted(order)
        assert torch.equal(mixed.labels[clip], FEW.rendered.labels[clip][order])
        assert torch.equal(mixed.informative[clip], FEW.rendered.informative[clip][order])


def test_training_meets_every_clip_once_an_epoch_with_its_labels():
    at = TASK.feed("train", 1).batches(1, 4)
    clips = TASK.clips("train", 1).rendered
    for step in (0, 1):
        frames, labels = at(step)
        rows = [int((clips.frames == frame).flatten(1).all(1).float().argmax()) for frame in frames]
        assert sorted(rows) == [0, 1, 2, 3] and torch.equal(labels, clips.labels[rows])
    assert not torch.equal(at(0)[0], at(1)[0]), "in a new order"


def test_a_seed_trains_and_tests_on_clips_of_its_own():
    clips = {(split, seed): TASK.clips(split, seed) for split in ("train", "val", "test") for seed in (0, 1)}
    frames = [each.rendered.frames for each in clips.values()]
    assert len(set(clips.values())) == 6
    assert not any(torch.equal(a, b) for i, a in enumerate(frames) for b in frames[:i])


def test_the_score_is_the_map_of_every_frame():
    torch.manual_seed(0)
    model, feed = X3D(TINY, 10), TASK.feed("test", 0)
    found, truth = probabilities(model, feed), TASK.clips("test", 0).rendered
    with torch.no_grad():
        assert torch.allclose(found, model.eval()(truth.frames).sigmoid(), atol=1e-6)
    assert TASK.score(model, feed) == pytest.approx(every_frame(list(found), list(truth.labels)).mean)
    assert TASK.chance == pytest.approx(100 * float(truth.labels.mean()))


def test_an_ensemble_averages_the_probabilities_of_members_that_are_trained_once(own_folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "minilib.study.detection.probabilities", lambda *given: asked.append(given[2:]) or probabilities(*given)
    )
    members = tuple(Variant(Tiny(), replace(TASK, start=start), detection) for start in (None, FIRST))
    outcome = Ensemble(members).run(STEP, Trial(3, split="val"))
    assert asked == [("cpu",)] * 2
    assert len(list(own_folder.iterdir())) == 3  # two members and what one starts from
    feeds = [member.task.feed("val", 3) for member in members]
    each = [probabilities(Stage(m, STEP).model(f, 3), f) for m, f in zip(members, feeds, strict=True)]
    labels = list(TASK.clips("val", 3).rendered.labels)
    assert outcome.metrics == {"": pytest.approx(every_frame(list((each[0] + each[1]) / 2), labels).mean)}
    assert len(outcome.model) == 2 and len(list(own_folder.iterdir())) == 3 and not torch.equal(*each)
    assert [member.task.frames for member in Ensemble(members).smoke().members] == [
        m.smoke().task.frames for m in members
    ]


# --- controls ---


def test_other_labels_are_those_of_the_next_clip_and_only_in_training():
    feed = Clips(FEW, limit=5)
    wrong = OtherLabels(feed)
    (frames, labels), (same, other) = feed.batches(0, 5)(0), wrong.batches(0, 5)(0)
    assert torch.equal(frames, same) and torch.equal(other, labels[[4, 0, 1, 2, 3]])
    assert torch.equal(next(wrong.test())[1], next(feed.test())[1]) and wrong.source is FEW


@pytest.mark.parametrize("task", [TASK, ShortClips(4)])
def test_the_label_control_is_in_the_feed_and_in_the_key(task):
    right, wrong = task.feed("train", 0).batches(0, 4)(0), replace(task, control="labels").feed("train", 0)
    frames, labels = wrong.batches(0, 4)(0)
    assert torch.equal(frames, right[0]) and torch.equal(labels, right[1].roll(1, 0))
    assert key(task) != key(replace(task, control="labels"))


def test_shuffled_frames_are_so_in_training_and_in_test():
    shuffled = replace(TASK, control="frames")
    for split in ("train", "test"):
        whole, mixed = (task.clips(split, 0).rendered.frames for task in (TASK, shuffled))
        assert not torch.equal(whole, mixed) and torch.equal(whole.float().sum(1), mixed.float().sum(1))
    assert torch.equal(next(shuffled.feed("test", 0).test())[0], shuffled.clips("test", 0).rendered.frames)


def test_everything_that_makes_a_task_is_in_its_key():
    slower, later = replace(STEP, lr=0.1), replace(FIRST.variant, task=ShortClips(4, skip=1))
    changes = [
        {}, {"train": 5}, {"test": 5}, {"frames": 8}, {"rhythm": Rhythm()}, {"control": "frames"}, {"start": FIRST},
        {"start": THEN}, {"fine": THEN}, {"start": replace(FIRST, recipe=slower)},
        {"start": replace(FIRST, variant=later)}, {"fine": replace(THEN, recipe=slower)},
    ]  # fmt: skip
    assert len({key(replace(TASK, **change)) for change in changes}) == len(changes)
    short = [ShortClips(4), ShortClips(5), ShortClips(4, skip=1), ShortClips(4, control="labels")]
    assert len({key(task) for task in short}) == 4


# --- short clips ---


def test_short_clips_show_one_of_the_ten_motions_and_begin_where_the_stage_before_ended():
    feed, later = ShortClips(4).feed("train", 2), ShortClips(4, skip=3).feed("train", 2)
    frames, labels = feed.batches(0, 6)(3)
    wanted = clip_batch("motion", 2, "train", np.arange(18, 24), 4, size=32, motions=tuple(range(10)))
    assert torch.equal(frames, wanted[0]) and torch.equal(labels, wanted[1])
    assert all(torch.equal(a, b) for a, b in zip(later.batches(0, 6)(0), wanted, strict=True))


# --- stages ---


def test_a_stage_is_trained_once_from_the_stage_before(own_folder, monkeypatch):
    trained = []

    def counted(variant, inputs, recipe, trial):
        trained.append(type(variant.task).__name__)
        return whole(variant, inputs, recipe, trial)

    whole = Variant.trained
    monkeypatch.setattr(Variant, "trained", counted)
    state = THEN.state(0)
    assert trained == ["ShortClips", "Detection"] and len(list(own_folder.iterdir())) == 2
    assert all(torch.equal(x, THEN.state(0)[name]) for name, x in state.items()) and len(trained) == 2
    first = FIRST.state(0)
    start = THEN.variant.build(THEN.variant.task.feed("train", 0)).state_dict()
    assert all(torch.equal(x, start[name]) for name, x in first.items())
    THEN.state(1)
    assert trained == ["ShortClips", "Detection"] * 2


def test_no_cache_changes_a_start(own_folder):
    task = replace(TASK, start=THEN, fine=THEN)
    build = Variant(ThenDraws(), task, detection)
    cold = build.trained(task.feed("train", 0), STEP, Trial())[0].state_dict()
    stored_levels.cache_clear()
    warm = build.trained(task.feed("train", 0), STEP, Trial())[0].state_dict()
    assert all(torch.equal(x, warm[name]) for name, x in cold.items())


@dataclass(frozen=True)
class ThenDraws:
    """Builds a coarse stream whose new parts are drawn after the feed's weights are in."""

    def __call__(self, feed):
        return OnLevels(CoarseStream(Tiny()(feed), fusion=MultiStageFusion))


def test_what_makes_weights_is_in_the_name_of_their_file(own_folder, monkeypatch):
    FIRST.state(0)
    replace(FIRST, name="another bar").state(0)
    assert len(list(own_folder.iterdir())) == 1
    replace(FIRST, recipe=replace(STEP, lr=0.1)).state(0)
    monkeypatch.setattr(stages, "code_of", lambda thing: "other code")
    FIRST.state(0)
    assert len(list(own_folder.iterdir())) == 3


def test_the_code_of_a_stage_is_of_what_it_names_and_not_of_what_judges(monkeypatch):
    files = []
    stages._hash.cache_clear()
    read = type(stages.FOLDER).read_bytes
    monkeypatch.setattr(type(stages.FOLDER), "read_bytes", lambda path: files.append(path) or read(path))
    code_of(THEN.variant)
    names = {f"{path.parent.name}/{path.name}" for path in files}
    assert {"coarse_fine/method.py", "models/x3d.py", "world/long.py", "minilib/training.py"} <= names
    assert "tests/test_detection_study.py" in names and not any(name.startswith("claims/") for name in names)


def test_a_damaged_file_is_named(own_folder):
    FIRST.state(0)
    for path in own_folder.iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(BadInput, match="cannot be read, remove it"):
        FIRST.state(0)


def test_smoke_makes_all_stages_short():
    smoke = replace(TASK, start=THEN, fine=THEN, train=512).smoke()
    assert smoke.train == 16 and smoke.start.variant.task.start.recipe.steps == STEP.smoke().steps
    assert smoke.fine == smoke.start and describe(smoke) != describe(TASK)


# --- levels of a frozen fine stream ---


def test_stored_levels_give_what_both_streams_give_end_to_end():
    torch.manual_seed(0)
    fine = X3D(TINY, 10)
    model = CoarseFine(CoarseStream(X3D(TINY, 10), fusion=MultiStageFusion), fine).eval()
    stored, at = StoredLevels(fine, FEW, batch=2), np.array([4, 0])
    with torch.no_grad():
        found, on_levels = stored(at).to("cpu"), OnLevels(model.coarse).eval()
        live, kept = model(FEW.frames(at)), on_levels(found)
        turned = [replace(found, frames=found.frames.flip(1)), replace(found, levels=[x.flip(2) for x in found.levels])]
        reversed_ = [on_levels(each) for each in turned]
    assert all(level.dtype == torch.float32 for level in stored.levels)
    assert torch.allclose(live, kept, atol=1e-5)
    assert not any(torch.allclose(live, each, atol=1e-4) for each in reversed_), "too loose to see the order of frames"


def test_a_task_feeds_the_levels_of_its_fine_stage():
    inputs, _ = next(replace(TASK, fine=THEN).feed("test", 3).test())
    fine = X3D(TINY, 10, dropout=0.0)
    fine.load_state_dict(THEN.state(3))
    frames = TASK.clips("test", 3).rendered.frames
    with torch.no_grad():
        wanted = fine.eval().features(frames)
    assert torch.equal(inputs.frames, frames)
    for level, want in zip(inputs.levels, wanted, strict=True):
        assert torch.allclose(level, want, atol=1e-5, rtol=1e-5)


# --- one that trains, and the others that wait ---


def test_a_stage_that_several_need_at_once_is_trained_once(own_folder, monkeypatch):
    trained, slow = [], Variant.trained

    def counted(*given):
        trained.append(1)
        time.sleep(0.3)
        return slow(*given)

    monkeypatch.setattr(Variant, "trained", counted)
    with ThreadPoolExecutor(3) as pool:
        states = list(pool.map(lambda _: FIRST.state(5), range(3)))
    assert len(trained) == 1
    assert all(torch.equal(x, states[0][name]) for state in states for name, x in state.items())


# --- the noise floor ---


def test_a_run_comes_back_bit_by_bit_and_a_moved_start_is_nearly_the_same():
    feed, states = TASK.feed("train", 0), []
    for variant in (Variant(Tiny(), TASK, detection), again(Variant(Tiny(), TASK, detection))):
        for _ in range(2):
            torch.rand(3)  # whatever was drawn before
            torch.manual_seed(4)
            states.append(variant.build(feed).state_dict())
    for name, x in states[0].items():
        assert torch.equal(x, states[1][name]) and torch.equal(states[2][name], states[3][name])
    weight = "stages.0.0.conv2.weight"
    moved = (states[2][weight] / states[0][weight] - 1).abs()
    assert 0 < moved.mean() < 1e-5
    runs = [Variant(Tiny(), TASK, detection).trained(feed, replace(STEP, steps=2), Trial(0))[0] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*(run.state_dict().values() for run in runs), strict=True))


# --- chance in the claims files ---


@pytest.mark.parametrize(
    ("paper", "task", "rhythm"),
    [
        ("coarse_fine", "detection", SPARSE),
        ("coarse_fine", "brief", BRIEF),
        ("detection_pretraining", "detection", MEETING),
        ("detection_pretraining", "crowded", BUSY),
    ],
)
def test_chance_of_a_task_is_the_share_of_frames_that_have_a_class(paper, task, rhythm):
    scenes = [long_scenes(seed, "test", np.arange(256), rhythm=rhythm) for seed in range(3)]
    shares = [100 * long_labels(each, sample_times(64)).frames.float().mean() for each in scenes]
    assert load(paper).tasks[task].chance == pytest.approx(float(np.mean(shares)), abs=0.1)

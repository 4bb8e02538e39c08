"""The rivals in the study: each cell of Tables 1 and 2 has a variant, and all are trained and tested alike."""

from functools import partial

import pytest
import torch

from minilib.claims import load
from minilib.papers.open_vocabulary import pipelines
from minilib.papers.open_vocabulary.pretrain.encoders import GRID
from minilib.papers.open_vocabulary.proposals import truth
from minilib.papers.open_vocabulary.rivals import study as rivals
from minilib.papers.open_vocabulary.rivals.method import SlotMasks, encoded_loss, explanation_loss
from minilib.papers.open_vocabulary.rivals.pixels import pictured_loss
from minilib.papers.open_vocabulary.study import STUDY
from minilib.settings import describe
from minilib.study import Trial
from minilib.training import TrainSettings
from minilib.world.localization import patch_masks

STEPS = TrainSettings(steps=1, batch=2, warmup=0)


@pytest.fixture
def one_group(monkeypatch):
    """One group of two clips in place of four groups of eight."""
    monkeypatch.setattr(rivals, "GROUPS", 1)
    monkeypatch.setattr(pipelines, "CLIPS", 2)
    caches = (pipelines.test_clips, pipelines.proposed, pipelines.patches_of, pipelines.content_of)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_every_cell_of_tables_1_and_2_is_trained_and_printed():
    claims = load("open_vocabulary")
    assert {f"t{number}.{metric}" for number in (1, 2) for metric in rivals.METRICS} == set(rivals.TABLES)
    cells = [row for table in rivals.TABLES.values() for row in table.values()]
    assert {row.variant.split("/")[0] for row in cells} == set(rivals.TRAINED)
    for name, table in rivals.TABLES.items():
        metric = name.split(".")[1]
        assert all(row.paper.endswith(metric) for row in table.values() if row.paper)
        assert all(row.variant.split("/")[-1] in (metric, row.variant) for row in table.values())
    assert all(claims[row.paper].paper_value > 0 for row in cells if row.paper)
    assert set(rivals.TRAINED) | set(rivals.CROPS) <= set(STUDY.variants)
    assert set(STUDY.grids["tuned"]) == set(rivals.TRAINED) and set(rivals.CROPS) <= set(STUDY.grids["shipped"])
    assert len({str(describe(each)) for each in (rivals.TRAINED | rivals.CROPS).values()}) == len(
        rivals.TRAINED | rivals.CROPS
    )


def test_rivals_learn_from_the_same_clips_at_the_same_rates():
    tasks = {name: each.task for name, each in rivals.TRAINED.items() if name != "oca"}
    assert len({each.train for each in tasks.values()}) == 1 and all(each.lr == 1 for each in rivals.TRAINED.values())
    for name, task in tasks.items():
        encoded = name in rivals.GROUPINGS
        assert rivals.TRAINED[name].objective is (encoded_loss if encoded else pictured_loss)
        assert not encoded or task.grouping == rivals.GROUPINGS[name]
    feed = tasks["savi"].smoke().feed("train", 3)
    frames, labels = feed.batches(3, 4)(0)
    assert frames.shape == (4, 8, 96, 96, 3) and not labels.any()
    assert not torch.equal(frames, feed.batches(3, 4)(1)[0])
    assert not torch.equal(frames, tasks["savi"].smoke().feed("train", 4).batches(3, 4)(0)[0])


@pytest.mark.parametrize("name", rivals.GROUPINGS)
def test_features_that_are_read_once_are_those_of_the_same_clips_and_teach_the_same(name):
    rival, plain = rivals.TRAINED[name].smoke(), rivals.TRAINED["savi"].smoke()
    frames, labels = plain.task.feed("train", 3).batches(3, 2)(1)
    features, _ = rival.task.feed("train", 3).batches(3, 2)(1)
    torch.manual_seed(0)
    model = rival.build(None).train()
    live = model.grouping.features(model.encoder, frames)
    assert features.dtype == torch.bfloat16 and features.shape == live.shape
    assert torch.allclose(features.float(), live, atol=0.02, rtol=0.02)
    losses = []
    for loss, inputs in ((explanation_loss, frames), (partial(encoded_loss, painted=1), live)):
        torch.manual_seed(1)  # the slots that are drawn
        losses.append(loss(model, inputs, labels))
        losses[-1].backward()
        losses.append(model.slots.read[1].weight.grad.clone())
        model.zero_grad()
    torch.testing.assert_close(losses[:2], losses[2:])
    torch.manual_seed(1)
    some = torch.stack([encoded_loss(model, live, labels, 4).detach() for _ in range(40)])
    torch.manual_seed(1)
    whole = torch.stack([encoded_loss(model, live, labels, 1).detach() for _ in range(40)])
    assert some.std() > 0 and abs(some.mean() / whole.mean() - 1) < 0.05  # the same in the mean
    assert all(p.grad is None for p in model.encoder.parameters())


@pytest.mark.parametrize("name", rivals.PIXELS)
def test_a_quarter_of_the_frames_teaches_the_same_in_the_mean(name):
    rival = rivals.TRAINED[name].smoke()
    frames, labels = rival.task.feed("train", 3).batches(3, 2)(1)
    torch.manual_seed(0)
    model = rival.build(None).train()
    losses = {}
    for painted in (1, 4, 100):  # all, two of eight, and never less than one
        torch.manual_seed(1)
        losses[painted] = torch.stack([pictured_loss(model, frames, labels, painted).detach() for _ in range(60)])
    whole = losses[1].mean()
    assert losses[4].std() > 0 and abs(losses[4].mean() / whole - 1) < 0.02
    assert abs(losses[100].mean() / whole - 1) < 0.03
    if model.tubes:  # nothing is drawn but the frames: exactly the mean over all of them
        each = [model(frames, painted=torch.tensor([t])) for t in range(8)]
        exact = torch.stack([(one.found - one.asked).square().mean() for one in each]).mean()
        torch.testing.assert_close(exact, explanation_loss(model, frames, labels))
        torch.testing.assert_close(losses[1], exact.expand(60))


def test_slots_of_a_frame_read_only_what_is_painted_and_savi_all():
    read = []
    for name in rivals.PIXELS:
        rival = rivals.TRAINED[name].smoke()
        frames, labels = rival.task.feed("train", 3).batches(3, 2)(1)
        model = rival.build(None).train()
        model.encoder.register_forward_hook(lambda *args: read.append(len(args[1][0])))
        pictured_loss(model, frames, labels).backward()
        assert all(p.grad is not None for p in model.parameters())
    assert read == [4, 16]


class Knows:
    """Looks up the true masks, in an order of its own in each frame if it is no tube."""

    def __init__(self, tubes):
        self.tubes = tubes

    def look(self, frames, generator):
        clips = next(
            each
            for seed in range(rivals.FIRST, rivals.FIRST + 8)
            if torch.equal((each := pipelines.test_clips(seed, "test")).frames, frames)
        )
        masks = patch_masks(clips.ids, GRID, clips.names.shape[1]).float()
        if self.tubes:
            return SlotMasks(masks, tubes=True)
        order = torch.rand(masks.shape[:3], generator=generator).argsort(2)
        return SlotMasks(masks.gather(2, order[..., None, None].expand_as(masks)), tubes=False)


def test_who_knows_the_masks_scores_as_they_do_and_links_find_the_tubes_again(one_group):
    tubes = rivals.scores_on_test(Knows(True), 5, "test")
    frames = rivals.scores_on_test(Knows(False), 5, "test")
    assert set(tubes) == {"", "cor_loc", "map50", "named", "iou"} | {
        f"apart/{name}" for name in ("dec_rate", "cor_loc", "map50", "named", "iou")
    }
    assert set(frames) == set(tubes) | {
        f"linked/{name}" for name in ("dec_rate", "cor_loc", "map50", "named", "iou")
    } | {f"linked_apart/{name}" for name in ("dec_rate", "cor_loc", "map50", "named", "iou")}
    for name in ("dec_rate", "cor_loc", "iou"):
        assert frames[f"apart/{name}"] == pytest.approx(tubes[f"apart/{name}"])
    for name in tubes:
        way = "linked_apart/" if name.startswith("apart/") else "linked/"
        assert frames[way + (name.removeprefix("apart/") or "dec_rate")] == pytest.approx(tubes[name]), name
    expected = pipelines.Pipeline(truth, rules=None).run(None, Trial(rivals.FIRST + 5)).metrics
    assert tubes["apart/dec_rate"] == pytest.approx(expected[""])
    assert tubes["apart/map50"] == pytest.approx(expected["map50"])
    assert tubes[""] == pytest.approx(pipelines.Pipeline(truth).run(None, Trial(rivals.FIRST + 5)).metrics[""])


def test_a_seed_is_tested_on_groups_of_its_own(one_group, monkeypatch):
    monkeypatch.setattr(rivals, "GROUPS", 2)
    asked = []

    def scored(looks, groups, rules):
        asked.append((looks[0].tubes, [number for number, *_ in groups], rules))
        return {"": 0.0}

    monkeypatch.setattr(rivals, "scored", scored)
    rivals.scores_on_test(Knows(True), 0, "test")
    assert asked == [(True, [1000, 1001], pipelines.OURS), (True, [1000, 1001], None)]
    del asked[:]
    rivals.scores_on_test(Knows(False), 2, "test")
    assert asked == [(tubes, [1004, 1005], rules) for tubes in (False, True) for rules in (pipelines.OURS, None)]


@pytest.mark.parametrize("name", ["savi", "dinosaur"])
def test_a_rival_runs_and_a_seed_is_a_start(name, one_group):
    rival = rivals.TRAINED[name].smoke()
    first, again, other = (rival.run(STEPS, Trial(seed)) for seed in (0, 0, 1))
    assert first.metrics == again.metrics and first.metrics != other.metrics
    assert ("linked/iou" in first.metrics) == (name == "dinosaur")
    assert 0 < first.metrics["apart/iou"] < 100 and len(first.history.loss)


def test_slots_of_adaptation_learn_classes_and_are_tested_on_objects(one_group):
    found = rivals.TRAINED["oca"].smoke().run(STEPS, Trial())
    assert 0 < found.metrics["apart/iou"] < 100 and "linked/iou" not in found.metrics
    assert any(p.requires_grad for p in found.model.trained.parameters())
    assert not any(p.requires_grad for p in found.model.clip.parameters())


def test_crops_name_the_same_boxes(one_group):
    found = {name: each.run(None, Trial()).metrics for name, each in rivals.CROPS.items()}
    ours = pipelines.Pipeline(rules=None).run(None, Trial()).metrics
    for name in ("crops_apart", "crops_painted_apart"):
        assert found[name][""] == ours[""] and found[name]["iou"] == ours["iou"]
        assert found[name]["map50"] != ours["map50"]
    assert found["crops_painted_apart"]["map50"] != found["crops_apart"]["map50"]

"""What else is read of slots and patches: settled slots, solid tubes, as many boxes, prompts, linear readers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minilib.metrics.named_boxes import map50_released
from minilib.papers.open_vocabulary import blocks, chosen, readings
from minilib.papers.open_vocabulary.joint import solidity
from minilib.papers.open_vocabulary.patch_clip import Nothing, VanillaPatches
from minilib.papers.open_vocabulary.pipelines import OURS, SETTLED, WEIGHED, Pipeline, Shipped, eq_alone, patch_clip
from minilib.papers.open_vocabulary.pretrain.patch import OnReduced
from minilib.papers.open_vocabulary.proposals import localizer, settled_slots, settling, video_slots
from minilib.papers.open_vocabulary.readings import READINGS, first_of, objects_in, tubes
from minilib.papers.open_vocabulary.small import Found, named_boxes
from minilib.settings import key
from minilib.study import Trial
from minilib.study.feeds import random_labels
from minilib.world.localization import localization_batch

GROUP = 3


def test_solidity_is_the_share_of_its_boxes_that_a_group_fills():
    tokens = torch.zeros(1, 2, 4, 4, dtype=torch.int64)
    tokens[0, 0, 1:3, 1:3] = 1  # a full box of 4
    tokens[0, 1, 0, 0] = tokens[0, 1, 3, 3] = 1  # two corners of a box of 16
    tokens[0, 0, 0, 3] = 2
    found = solidity(tokens, 4)[0]
    assert found[1] == pytest.approx(6 / 20) and found[2] == 1 and found[3] == 0
    assert found[0] == pytest.approx((11 + 14) / 32)


def test_rules_without_new_parts_are_ours_and_keep_their_rows():
    ours, same = Pipeline(rules=OURS).found(GROUP, "val"), Pipeline(rules=WEIGHED).found(GROUP, "val")
    assert torch.equal(ours[0].boxes, same[0].boxes) and torch.equal(ours[0].cosines, same[0].cosines)
    assert key(OURS) == "48f913c68dd4"  # rows are found by it


def test_the_reader_of_the_equations_alone_is_the_block_that_tells_content():
    """And no other: it has no attention, and its weights of Eq. 1 are the content by which slots are kept."""
    alone, frames = eq_alone(), localization_batch(0, "val", [0], 8).frames
    assert not any(isinstance(part, torch.nn.MultiheadAttention) for part in alone.reader.last_transformer.modules())
    assert any(isinstance(part, torch.nn.MultiheadAttention) for part in patch_clip().reader.last_transformer.modules())
    assert alone.reader is localizer().content.reader.model
    assert not torch.allclose(alone(frames), patch_clip()(frames))


def test_solid_tubes_come_first_and_nothing_else_changes():
    plain, clips = Pipeline(rules=OURS).found(GROUP, "val")
    solid, _ = Pipeline(rules=replace(WEIGHED, weigh=SETTLED.weigh)).found(GROUP, "val")
    assert torch.equal(plain.boxes, solid.boxes) and torch.equal(plain.names, solid.names)
    a, b = named_boxes(plain, clips), named_boxes(solid, clips)
    weights = solid.weights.repeat_interleave(8, 0)[..., None]
    assert torch.allclose(b.scores, a.scores * weights) and 0 < float(solid.weights[tubes(solid)].min()) < 0.9
    assert map50_released(b) != map50_released(a)


def test_less_content_keeps_more_slots():
    count = [
        int(tubes(Pipeline(rules=replace(WEIGHED, least=least)).found(GROUP, "val")[0]).sum())
        for least in (2.0, 0.7, 0.5, 0.0)
    ]
    assert count == sorted(count) and count[0] < count[-1]


def test_settled_slots_start_alike_and_move_less_and_less():
    clips = localization_batch(GROUP, "val", np.arange(2))
    shipped = localizer()
    assert settling().slots.attention.iterations == 10 and shipped.slots.attention.iterations == 3
    model, agreed = settling().slots, {}
    for iterations in (3, 4, 10, 11):
        model.attention.iterations = iterations
        agreed[iterations] = settled_slots(clips, GROUP).assigned
    model.attention.iterations = 10
    assert torch.equal(agreed[3], video_slots(clips, GROUP).assigned)
    late, early = ((agreed[a] == agreed[b]).float().mean() for a, b in ((10, 11), (3, 4)))
    assert late > early > 0.5


def test_a_control_emits_as_many_boxes_as_ours_and_its_best():
    boxes = torch.tensor([[0, 0, 4, 4]]).expand(2, 3, 4, 4).clone()
    boxes[:, :, 3] = 0  # no box, whatever it is worth
    found = Found(boxes, torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4, 8))
    worth = torch.tensor([[0.1, 0.3, 0.2, 0.9], [0.3, 0.2, 0.1, 0.9]])
    kept = tubes(first_of(found, worth, torch.tensor([2, 9])))
    assert kept.tolist() == [[False, True, True, False], [True, True, True, False]]
    ours, _ = Pipeline().found(GROUP, "val")
    score = READINGS["as_many/grid_of_boxes"].run(Shipped(), Trial(GROUP, split="val")).metrics
    assert score["boxes"] == pytest.approx(float(tubes(ours).sum(-1).float().mean()))
    grid = Pipeline(readings.proposals.grid_of_boxes, rules=None).run(Shipped(), Trial(GROUP, split="val")).metrics
    assert score["boxes"] < grid["boxes"] == 8 and score[""] <= grid[""]


def test_objects_are_the_means_of_their_patches():
    clips = localization_batch(GROUP, "val", np.arange(2))
    marks = torch.zeros(*clips.frames.shape[:2], 12, 12, clips.names.shape[1] + 1)
    marks.scatter_(-1, F.adaptive_avg_pool2d(  # each patch says whose it is
        F.one_hot(clips.ids.long(), marks.shape[-1]).movedim(-1, 2).float().flatten(0, 1), 12
    ).unflatten(0, clips.ids.shape[:2]).argmax(2)[..., None], 1.0)  # fmt: skip
    found = objects_in(clips, marks)
    assert torch.equal(found.features, F.one_hot(found.features.argmax(-1), marks.shape[-1]).float())
    assert (found.features.argmax(-1) > 0).all() and len(found.names) == len(found.features) >= 2
    assert (found.patch_features[:, 0] == 0).all()  # no patch of the ground
    assert len(found.patch_names) == len(found.patch_features) > 8 * len(found.names)


def test_a_linear_reader_reads_what_is_there_and_nothing_else(monkeypatch):
    def told(reader, seed, split):
        names = random_labels(torch.zeros(64), 8, seed + (1000 if split == "val" else 0))
        features = F.one_hot(names, 8).float() + 0.1 * torch.randn(64, 8, generator=torch.Generator().manual_seed(seed))
        return readings.Objects(features, names, features, names)

    monkeypatch.setattr(readings, "objects_of", told)
    readings.fitted.cache_clear()
    right = readings.LinearReader(groups=4).run(Shipped(), Trial(1, split="val")).metrics
    wrong = readings.LinearReader(labels=readings.exchanged, groups=4).run(Shipped(), Trial(1, split="val")).metrics
    readings.fitted.cache_clear()
    assert right[""] == right["patch"] == 100 and wrong[""] < 40


def test_choices_are_weighed_on_validation_clips_and_ours_is_one_of_them(capsys):
    assert {chosen.AS_TRAINED, chosen.Choice()} < set(chosen.CHOICES) and len(chosen.CHOICES) == 24
    scores, oracle = chosen.tried([chosen.Choice(), chosen.AS_TRAINED], groups=2)
    for choice, same in ((chosen.Choice(), readings.ALL_THREE), (chosen.AS_TRAINED, Pipeline())):
        runs = [same.run(Shipped(), Trial(group, split="val")).metrics["map50"] for group in range(2)]
        assert scores[choice] == pytest.approx(sum(runs) / 2)
    text = str(chosen.table({chosen.AS_TRAINED: 20.0, chosen.Choice(): 30.0}, 60.0)).splitlines()
    assert text[2].split() == ["10", "0.5", "yes", "30.0", "50"] and text[3].split() == ["3", "0.7", "no", "20.0", "33"]
    assert oracle > max(scores.values())
    with pytest.raises(SystemExit):
        chosen.main(["--groups", "0"])
    assert "--groups counts from 1" in capsys.readouterr().err


def test_every_reading_has_a_name_and_scores():
    for name in ("coco/ours", "prompt/photo", "masks/vanilla", "settled"):
        metrics = READINGS[name].run(Shipped(), Trial(GROUP, split="val")).metrics
        assert 0 <= metrics[""] <= 100 and key(READINGS[name]), name
    vanilla = OnReduced(VanillaPatches(localizer().clip))
    clips = localization_batch(GROUP, "val", np.arange(8))
    direct = readings.called_rightly(objects_in(clips, vanilla(clips.frames)))
    assert direct == READINGS["masks/vanilla"].run(Shipped(), Trial(GROUP, split="val")).metrics


@pytest.mark.parametrize("name", ["block/released", "block/only_attention", "block/only_mlp"])
def test_blocks_train_on_the_same_pictures_and_the_frozen_clip_stays(name):
    variant = blocks.BLOCKS[name].smoke()
    before = {key: value.clone() for key, value in localizer().clip.state_dict().items()}
    recipe = replace(blocks.RECIPE, steps=2, batch=4, warmup=0)
    first, second = (variant.run(recipe, Trial(5, split="val")) for _ in range(2))
    assert first.metrics == second.metrics and 0 <= first.metrics["patch"] <= 100
    assert all(torch.equal(value, before[key]) for key, value in first.model.clip.state_dict().items())
    trained = {key.split(".")[0] for key, value in first.model.named_parameters() if value.requires_grad}
    assert trained == {"last_transformer", "ln_last", "vision_emb"}
    assert isinstance(getattr(first.model.last_transformer, "mlp", None), Nothing) == (name == "block/only_attention")


def test_blocks_see_the_same_crops():
    frames = localization_batch(0, "train", np.arange(2)).frames
    reader = blocks.READERS["released"]
    model = reader.build()
    one, two = (blocks.pictures(frames, reader, model, 7, 4)(3)[0] for _ in range(2))
    assert torch.equal(one, two) and one.shape == (4, 3, 64, 64)
    assert not torch.equal(one, blocks.pictures(frames, reader, model, 7, 4)(4)[0])

"""Trainings of the small open-vocabulary checkpoints: two steps of each, stops and goes, the choice and the card."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib.errors import BadInput
from minilib.papers.open_vocabulary import Vocabulary, localize
from minilib.papers.open_vocabulary.pretrain import driver
from minilib.papers.open_vocabulary.pretrain.__main__ import main
from minilib.papers.open_vocabulary.pretrain.encoders import ENCODERS, small_autoencoder
from minilib.papers.open_vocabulary.pretrain.grouping import TRIED, colours, with_changes
from minilib.papers.open_vocabulary.pretrain.painted import Lessons, drawn, lessons, painted, taught, wider
from minilib.papers.open_vocabulary.pretrain.patch import READERS, cropped, reduced
from minilib.papers.open_vocabulary.pretrain.pool import draw, pool
from minilib.papers.open_vocabulary.pretrain.recipe import cosine, training
from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
from minilib.papers.open_vocabulary.small import sentences
from minilib.timed_training import Budget, train_for
from minilib.world.localization import localization_batch


def test_pool_is_the_clips_and_is_made_once(tmp_path):
    clips = pool(tmp_path, 3, frames=2, size=32)
    assert np.array_equal(clips, localization_batch(0, "train", np.arange(3), 2, 32).frames)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    assert np.array_equal(pool(tmp_path, 3, frames=2, size=32, jobs=2), clips) and path.stat().st_mtime_ns == before
    frames = torch.from_numpy(np.array(clips))
    drawn = [draw(frames, 4, torch.Generator().manual_seed(seed)) for seed in range(9)]
    assert drawn[0].shape == (4, 2, 32, 32, 3) and len({int(each.long().sum()) for each in drawn}) > 1


def test_rates_rise_and_fall_and_vectors_do_not_decay():
    rates = [2 * cosine(7, share) for share in (0.0, 0.025, 0.05, 0.5, 1.0)]
    assert rates[0] < rates[1] == 1.0 and max(rates) == rates[2] and rates[4] == 0
    module = nn.Linear(4, 1)
    module.bias.requires_grad_(False)
    (optimizer,) = training(module, lambda generator: None, 0.1).optimizers
    matrices, vectors = optimizer.param_groups
    assert matrices["params"] == [module.weight] and not vectors["params"]
    assert (matrices["weight_decay"], vectors["weight_decay"], matrices["lr"]) == (0.05, 0.0, 0.1)


def test_a_step_draws_what_its_number_says():
    """Losses of six steps as they were before all trainings by the clock had one loop."""
    torch.manual_seed(0)
    module, losses = nn.Linear(4, 1), []

    def loss(generator):
        x = torch.randn(8, 4, generator=generator)
        found = (module(x) - x.sum(1, keepdim=True)).square().mean()
        losses.append(found.item())
        return found

    train_for(training(module, loss, 0.1), Budget(1e6, steps=6))
    assert losses == pytest.approx([3.622633, 8.532787, 7.108943, 4.580208, 5.235421, 3.821993], rel=1e-5)


def test_targets_of_slots_have_the_tokens_places():
    frames = torch.zeros(1, 4, 96, 96, 3, dtype=torch.uint8)
    frames[0, 2, 8:16, 16:24] = 255
    shades = colours(frames, 4)
    assert shades.shape == (1, 4, 12, 12, 12)
    assert (shades[0, 2] > 0).any(-1).nonzero().tolist() == [[1, 2]]
    changes = with_changes(torch.zeros(1, 4, 12, 12, 6), frames)[..., 6:]
    assert (changes[0, 1, 1, 2] > 0).all() and (changes[0, 2, 1, 2] < 0).all() and not changes[0, 3].any()
    assert colours(frames, 2).shape == (1, 2, 12, 12, 24)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_vocabulary")
    common = ["--device", "cpu", "--folder", str(folder), "--scratch", str(folder / "scratch"), "--jobs", "1"]
    common += ["--steps", "1", "--clips", "4", "--batch", "2", "--judged", "4"]
    for what in (["video"], ["image"], ["patch_clip", "--readers", "released", "alone_crops"]):
        main([*what, *common])
    main(["slots", "--tried", "middle", "released", "image_frames", *common])
    return folder


def test_every_training_leaves_weights_scores_and_the_choice_ships_them(trained, tmp_path):
    assert ENCODERS["video"].frames == 8
    encoder = small_autoencoder(trained / "video.safetensors").encoder
    assert not any(p.requires_grad for p in encoder.parameters())
    found = driver.results(trained)
    scores = found["slots_middle"]["scores"]
    assert found["slots_middle"]["steps"] == 1 and {"joint dec_rate", "apart cor_loc", "joint named"} <= scores.keys()
    for name, rate in (("middle", 10.0), ("released", 20.0)):
        found[f"slots_{name}"]["scores"]["joint dec_rate"] = rate
    assert driver.chosen(found) == "released"
    found["slots_image_frames"]["scores"]["joint dec_rate"] = 90.0  # no encoder of videos
    assert driver.chosen(found) == "released"
    driver.ship(trained, tmp_path)
    shipped = {path.name for path in tmp_path.iterdir()}
    names = {"video_encoder", "image_encoder", "patch_clip", "patch_content", "video_slots"}
    assert shipped == {f"{n}.safetensors" for n in names} | {"open_vocabulary.json", "open_vocabulary.md"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10e6
    best = json.loads((tmp_path / "open_vocabulary.json").read_text())["slots"]
    card = (tmp_path / "open_vocabulary.md").read_text()
    reader = json.loads((tmp_path / "open_vocabulary.json").read_text())["reader"]
    rates = {name: found[f"patch_clip_{name}"]["scores"]["shape"] for name in ("released", "alone_crops")}
    assert rates[reader] == max(rates.values())
    assert f"`slots_{best}`, chosen" in card
    assert "CorLoc, after joint optimisation" in card and "nan" not in card.replace("finance", "")
    before = torch.get_rng_state()
    localizer = small_localizer(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    tubes = localize(
        localization_batch(0, "val", [0]).frames[0], Vocabulary(("star",), ("sand",), sentences), localizer
    )
    assert tubes and tubes[0].name == "star" and tubes[0].boxes.shape == (8, 4)
    (tmp_path / "open_vocabulary.json").unlink()
    with pytest.raises(BadInput, match="train and ship"):
        small_localizer(tmp_path)
    with pytest.raises(BadInput, match="none is trained"):
        driver.chosen({})


def test_crops_are_windows_of_the_picture():
    ramp = torch.arange(96).view(1, 96, 1).expand(96, 96, 3).to(torch.uint8)[None].expand(5, -1, -1, -1)
    whole = cropped(ramp, 1.0, torch.Generator())
    torch.testing.assert_close(whole[0, 0, 0], (torch.arange(64) + 0.5) * 1.5 - 0.5, atol=1e-3, rtol=0)
    parts = cropped(ramp, 0.2, torch.Generator().manual_seed(0))
    width = (parts[:, 0, 0, -1] - parts[:, 0, 0, 0]) / 94.5
    assert (width > 0.19**0.5).all() and (width < 1).all() and width.std() > 0.05
    assert parts[:, 0, 0, 0].std() > 1


@pytest.mark.parametrize("name", TRIED)
def test_every_setting_of_slots_can_be_built_and_learns(name):
    grouping = TRIED[name]
    torch.manual_seed(0)
    model, encoder = grouping.build(), grouping.sizes.build().encoder
    assert model.decoder.pos_embed.shape == (1 if grouping.per_frame else grouping.steps, 144, 66)
    clips = torch.from_numpy(np.array(localization_batch(0, "train", np.arange(2)).frames))
    losses = []

    def loss(_):
        found = grouping.loss(model, encoder, clips, 1, torch.Generator().manual_seed(0))
        losses.append(found.item())
        return found

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train_for(training(model, loss, 0.02), Budget(1e6, steps=1))
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert [n for n, p in model.named_parameters() if torch.equal(p, before[n])] == []
    assert [n for n, p in encoder.named_parameters() if p.grad is not None] == []
    assert loss(None) < losses[0]


def test_painted_pictures_show_one_slot_alone():
    frames = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    frames[:, :8, :8], frames[:, 8:] = 200, 100
    masks = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    masks[0, 0, 0, 0], masks[0, 1, 1] = True, True
    first, second = painted(frames, masks)[0]
    assert (first[:8, :8] == 200).all() and (first[8:] == 67).all() and (first[:8, 8:] == 67).all()
    assert (second[8:] == 100).all() and (second[:8] == 100).all()


def test_slots_teach_what_their_own_picture_is_called():
    """Two clips whose slots have swapped class tokens: the right ones cost less."""
    model = READERS["released"].build()
    tokens = torch.randn(2, 2, 65, 192, generator=torch.Generator().manual_seed(0)).half()
    shares = torch.zeros(2, 2, 3, 64)
    shares[:, :, 0, :20], shares[:, :, 1, 20:40] = 1, 1  # the third teaches nothing
    with torch.no_grad():
        patches = model.patches(tokens.float().flatten(0, 1)).unflatten(0, (2, 2))
        said = torch.einsum("bfsm,bfme->bse", shares, patches)
        costs = [taught(model, Lessons(tokens, shares.half(), cls)).item() for cls in (said, said.flip(1).roll(-1, 1))]
    assert costs[0] < costs[1]
    chosen = drawn(Lessons(tokens, shares, said), 5, torch.Generator())
    assert chosen.tokens.shape == (5, 2, 65, 192) and chosen.cls.shape == (5, 3, 96)


def test_lessons_are_of_tubes():
    model = READERS["released"].build()
    frames = localization_batch(0, "train", np.arange(2)).frames[:, [1, 5]]
    assigned = torch.zeros(2, 2, 12, 12, dtype=torch.int64)
    assigned[:, :, :4, :4], assigned[:, 0, 11, 11] = 1, 2
    given = lessons(model, frames, assigned, 4)
    assert given.tokens.shape == (2, 2, 65, 192) and given.shares.shape == (2, 2, 4, 64)
    whole = given.shares[1].float().sum(1)  # each patch is somebody's, but for one where a small slot teaches nothing
    assert (whole[1] == 1).all() and (whole[0, :-1] == 1).all() and whole[0, -1] < 1
    assert not given.shares[:, :, 2:].any() and not given.cls[:, 2:].any()  # too small, and never there
    grown = wider(F.one_hot(assigned.flatten(0, 1), 4).movedim(-1, 1).bool())
    assert grown[0, 1, :5, :5].all() and grown[0, 1].sum() == 25
    own = (
        painted(frames[:, 0], grown.unflatten(0, (2, 2))[:, 0])[:, 1],
        painted(frames[:, 1], grown.unflatten(0, (2, 2))[:, 1])[:, 1],
    )
    said = [F.normalize(model.read(model.clip.normalise(reduced(each)))[0], dim=-1) for each in own]
    torch.testing.assert_close(given.cls[:, 1], F.normalize(said[0] + said[1], dim=-1))

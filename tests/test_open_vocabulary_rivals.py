"""What open-vocabulary localization is compared with: masks, links between frames, crops, and how all of them train."""

from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minilib.errors import BadInput
from minilib.models.second_clip import second_clip
from minilib.models.slots import LearnedQueries, ProjectedSlotAttention
from minilib.models.small_clip import small_clip
from minilib.papers.object_centric.method import oca
from minilib.papers.open_vocabulary.joint import mask_boxes
from minilib.papers.open_vocabulary.pretrain.encoders import IMAGE, Sizes
from minilib.papers.open_vocabulary.pretrain.grouping import Grouping
from minilib.papers.open_vocabulary.pretrain.painted import painted
from minilib.papers.open_vocabulary.rivals.adapted import AdaptedSlots
from minilib.papers.open_vocabulary.rivals.crops import crop_patches, crops
from minilib.papers.open_vocabulary.rivals.method import (
    FeatureSlots,
    SlotMasks,
    explanation_loss,
    linked,
    pooled,
    soft_overlaps,
)
from minilib.papers.open_vocabulary.rivals.pixels import PixelSizes, PixelSlots, SAVi
from minilib.world.localization import localization_batch, patch_masks

TINY = dict(width=12, layers=2, heads=2, decoder_width=12, decoder_layers=1, decoder_heads=2)
VIDEO, STILL = Sizes(**TINY), Sizes(frames=1, **TINY)
SMALL = dict(layer=1, slots=3, width=6, hidden=8, layers=2)
PIXELS = PixelSizes(side=16, slots=3, width=8, channels=8)
GROUPINGS = {
    "dinosaur": Grouping(sizes=STILL, per_frame=True, **SMALL),
    "image_tubes": Grouping(sizes=STILL, **SMALL),
    "video_frames": Grouping(sizes=VIDEO, per_frame=True, **SMALL),
    "video_tubes": Grouping(sizes=VIDEO, **SMALL),
}
NAMES = [*GROUPINGS, "slot_attention", "savi"]


def made(name, **changes):
    torch.manual_seed(0)
    if name in GROUPINGS:
        grouping = GROUPINGS[name]
        return FeatureSlots(grouping, grouping.sizes.build().encoder)
    sizes = PixelSizes(**vars(PIXELS) | changes)
    return SAVi(sizes, heads=2) if name == "savi" else PixelSlots(sizes)


@pytest.fixture(scope="module")
def truth():
    return localization_batch(3, "val", np.arange(4))


def seeded(model, frames):
    return model.eval()(frames, torch.Generator().manual_seed(0))


# --- masks and losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_one_over_the_slots_and_the_loss_reaches_what_trains(name, truth):
    model, frames = made(name).train(), truth.frames[:2]
    seen = model.look(frames, torch.Generator().manual_seed(0))
    grid = (12, 12) if name in GROUPINGS else (16, 16)
    assert seen.masks.shape == (2, 8, 3, *grid) and seen.assigned.shape == (2, 8, *grid)
    torch.testing.assert_close(seen.masks.sum(2), torch.ones(2, 8, *grid))
    assert seen.tubes == (name in ("image_tubes", "video_tubes", "savi"))
    explanation_loss(model, frames, None).backward()
    frozen = {f"encoder.{each}" for each, _ in model.encoder.named_parameters()} if name in GROUPINGS else set()
    for each, p in model.named_parameters():
        if each in frozen:
            assert p.grad is None and not p.requires_grad, each
        else:
            assert p.grad is not None and p.grad.any(), each
    assert not (name in GROUPINGS and model.encoder.training)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_mean_squared_error_and_falls(name, truth):
    model, frames = made(name), truth.frames[:2]
    out = seeded(model, frames)
    torch.manual_seed(1)
    first = explanation_loss(model, frames, None)
    torch.manual_seed(1)
    again = model(frames)
    assert first.item() == pytest.approx((again.found - again.asked).square().mean().item(), rel=1e-5)
    assert out.found.shape == out.asked.shape and not out.asked.requires_grad
    if name not in GROUPINGS:  # pixels between -1 and 1
        assert -1 <= out.asked.min() < -0.1 and 0.1 < out.asked.max() <= 1
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    for _ in range(15):
        optimizer.zero_grad()
        loss = explanation_loss(model, frames, None)
        loss.backward()
        optimizer.step()
    assert loss < 0.97 * first


@pytest.mark.parametrize("name", ["dinosaur", "slot_attention"])
def test_frames_by_themselves_are_a_loop_over_frames(name, truth):
    model, frames = made(name).eval(), truth.frames[:2, :3]
    attention = model.slots.attention if name == "dinosaur" else model.attention
    attention.initial = LearnedQueries(3, attention.initial.width)
    nn.init.normal_(attention.initial.queries)
    whole = model.look(frames).masks
    alone = torch.stack([model.look(frames[:, at : at + 1]).masks[:, 0] for at in range(3)], 1)
    torch.testing.assert_close(whole, alone, atol=2e-6, rtol=0)
    assert (whole[:, 0] - whole[:, 1]).abs().max() > 2e-5


def test_video_features_differ_from_frames_and_slots_of_a_clip_see_all_of_it(truth):
    changed = truth.frames[:1].clone()
    changed[:, 7] = 255 - changed[:, 7]
    told = {}
    for name in NAMES:
        before, after = (seeded(made(name), frames).seen.masks for frames in (truth.frames[:1], changed))
        told[name] = float((before[:, 0] - after[:, 0]).detach().abs().max())
    assert told["dinosaur"] == told["slot_attention"] == told["savi"] == 0  # the past does not know the future
    assert all(told[name] > 1e-5 for name in ("image_tubes", "video_frames", "video_tubes"))


def test_tubelets_give_both_of_their_frames_the_same_masks(truth):
    sizes = Sizes(tubelet=2, **TINY)
    grouping = Grouping(sizes=sizes, per_frame=True, **SMALL)
    masks = seeded(FeatureSlots(grouping, sizes.build().encoder), truth.frames[:1]).seen.masks
    assert masks.shape == (1, 8, 3, 12, 12)
    assert torch.equal(masks[:, 0::2], masks[:, 1::2]) and not torch.equal(masks[:, 1], masks[:, 2])


# --- SAVi ------------------------------------------------------------------------------------------------------------


def test_savi_is_a_plain_loop(truth):
    """Each frame encoded, corrected with all keys and values made, predicted, and decoded slot by slot."""
    model, frames = made("savi").eval(), truth.frames[:2, :3]
    attention = ProjectedSlotAttention(8, model.attention.initial, iterations=1)
    attention.load_state_dict(model.attention.state_dict())
    out, slots = model(frames), model.attention.initial(2)
    for at in range(3):
        tokens = attention.norm_input(model.encoder(out.asked[:, at]))
        keys, values = attention.to_k(tokens), attention.to_v(tokens)
        share = (attention.to_q(attention.norm_slots(slots)) @ keys.transpose(1, 2) / 8**0.5).softmax(1) + 1e-8
        means = share @ values / share.sum(2, keepdim=True)
        slots = torch.stack([attention.gru(means[:, k], slots[:, k]) for k in range(3)], 1)
        painted_by = [model.decoder(slots[:, k : k + 1])[0] for k in range(3)]  # alone, a slot owns every pixel
        _, masks = model.decoder(slots)
        found = sum(masks[:, k, None] * each for k, each in enumerate(painted_by))
        torch.testing.assert_close(out.seen.masks[:, at], masks, atol=1e-5, rtol=0)
        torch.testing.assert_close(out.found[:, at], found, atol=1e-5, rtol=0)
        slots = model.predictor(slots)


def test_savis_first_slots_are_learned_and_the_past_matters(truth):
    model = made("savi").eval()
    assert isinstance(model.attention.initial, LearnedQueries) and model.attention.mlp is None
    assert model.attention.initial.queries.std() > 0.5
    torch.testing.assert_close(
        model.look(truth.frames[:1], torch.Generator().manual_seed(0)).masks,
        model.look(truth.frames[:1], torch.Generator().manual_seed(1)).masks,
    )
    last = truth.frames[:1, -1:]
    assert (model.look(truth.frames[:1]).masks[:, -1] - model.look(last).masks[:, 0]).abs().max() > 1e-4


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slot_attention", "savi"])
def test_one_slot_owns_everything_and_one_frame_is_enough(name, truth):
    masks = made(name, slots=1).look(truth.frames[:1, :1]).masks
    assert masks.shape == (1, 1, 1, 16, 16) and (masks == 1).all()


def test_bad_input_is_one_clear_line(truth):
    with pytest.raises(BadInput, match="take a multiple of 8"):
        PixelSizes(side=20)
    for name in NAMES:
        with pytest.raises(BadInput, match="must be uint8"):
            made(name)(truth.frames[:1].float())
        with pytest.raises(BadInput, match="must be uint8"):
            made(name)(truth.frames[0])


# --- links -----------------------------------------------------------------------------------------------------------


def moving(slots=4, frames=5, clips=3):
    """Soft masks of which each moves by one column a frame, on a ring."""
    at = torch.arange(slots)[None] * 3 + torch.arange(frames)[:, None]
    ring = F.one_hot(at % (3 * slots), 3 * slots).float()
    wide = ring + ring.roll(1, -1) + ring.roll(2, -1)
    return (0.9 * wide + 0.1 / slots).expand(clips, -1, -1, -1)[:, :, :, None].clone()


def test_links_undo_a_shuffle_of_the_slots_of_each_frame():
    masks = moving()
    order = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)).argsort(2)
    order[:, 0] = torch.arange(4)
    shuffled = masks.gather(2, order[..., None, None].expand_as(masks))
    found = linked(SlotMasks(shuffled, tubes=False))
    assert found.tubes and torch.equal(found.masks, masks) and not torch.equal(shuffled, masks)
    tubes = SlotMasks(shuffled, tubes=True)
    assert linked(tubes) is tubes


def test_links_are_the_best_of_all_orders_frame_after_frame():
    masks = (8 * torch.rand(12, 4, 3, 2, 3, generator=torch.Generator().manual_seed(1))).softmax(2)
    found = linked(SlotMasks(masks, tubes=False)).masks
    for clip, mine in zip(masks, found, strict=True):
        before = clip[0]
        for frame, chosen in zip(clip[1:], mine[1:], strict=True):
            best = max(
                permutations(range(3)),
                key=lambda order: sum(
                    float((before[i] * frame[j]).sum() / (before[i] + frame[j] - before[i] * frame[j]).sum())
                    for i, j in enumerate(order)
                ),
            )
            assert torch.equal(chosen, frame[list(best)])
            before = frame[list(best)]
    assert soft_overlaps(masks).shape == (12, 3, 3, 3)


def test_one_frame_has_nothing_to_link():
    masks = moving(frames=1)
    found = linked(SlotMasks(masks, tubes=False))
    assert found.tubes and torch.equal(found.masks, masks)


def test_masks_of_pixels_are_pooled_to_patches():
    masks = torch.rand(2, 3, 4, 8, 8).softmax(2)
    small = pooled(SlotMasks(masks, tubes=True), (2, 2))
    torch.testing.assert_close(small.masks.sum(2), torch.ones(2, 3, 2, 2))
    torch.testing.assert_close(small.masks[0, 1, 2, 1, 0], masks[0, 1, 2, 4:, :4].mean())


# --- crops -----------------------------------------------------------------------------------------------------------


def test_a_crop_is_a_window_of_the_picture():
    pictures = torch.randint(256, (2, 3, 32, 32, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    boxes = torch.tensor([[4, 8, 20, 24], [0, 0, 32, 32], [0, 0, 0, 0]]).expand(2, -1, -1)
    cut = crops(pictures, boxes, 16)
    torch.testing.assert_close(cut[:, 0], pictures[:, 0, 8:24, 4:20].movedim(-1, 1).float())
    halved = F.avg_pool2d(pictures[:, 1].movedim(-1, 1).float(), 2)
    torch.testing.assert_close(cut[:, 1], halved)


def test_crops_are_read_slot_by_slot(truth):
    clip, frames, slots = second_clip(), truth.frames[:1, :2], 1 + truth.names.shape[1]
    assigned = patch_masks(truth.ids, 12, slots - 1).int().argmax(2)[:1, :2]
    found = crop_patches(frames, assigned, slots, clip)
    assert found.shape == (1, 2, 12, 12, found.shape[-1])
    for at in range(2):
        for slot in assigned[0, at].unique():
            own = assigned[0, at] == slot
            x0, y0, x1, y1 = mask_boxes(own, 8).tolist()
            cut = frames[0, at, y0:y1, x0:x1].movedim(-1, 0)[None].float()
            if (y1 - y0, x1 - x0) == (96, 96):
                continue  # reduced by another rule than below
            pixels = crops(frames[0, at][None, None], torch.tensor([[[x0, y0, x1, y1]]]), 64)[0] / 255 - clip.mean
            said = F.normalize(clip.model.encode_image(pixels / clip.std), dim=-1)[0]
            torch.testing.assert_close(found[0, at][own], said.expand(int(own.sum()), -1), atol=1e-5, rtol=0)
            assert cut.numel()
    painted_too = crop_patches(frames, assigned, slots, clip, painted)
    assert (painted_too - found).abs().max() > 1e-2
    torch.testing.assert_close(painted_too.norm(dim=-1), torch.ones(1, 2, 12, 12))
    alone = crop_patches(frames, torch.zeros_like(assigned), slots, clip)  # all other slots are empty
    assert torch.equal(alone[0, 0, 0, 0], alone[0, 0, 5, 7]) and alone.isfinite().all()


def test_crops_need_a_grid_of_the_frames(truth):
    with pytest.raises(BadInput, match="no square patches"):
        crop_patches(truth.frames[:1], torch.zeros(1, 8, 7, 7, dtype=torch.long), 2, second_clip())
    with pytest.raises(BadInput, match="no square patches"):
        crop_patches(truth.frames[:1], torch.zeros(1, 4, 12, 12, dtype=torch.long), 2, second_clip())


# --- slots of object-centric adaptation ------------------------------------------------------------------------------


def test_adapted_slots_are_the_models_own(truth):
    clip = small_clip()
    torch.manual_seed(0)
    model = AdaptedSlots(clip, oca(clip.visual, 4, 8)).eval()
    for p in model.trained.fuse.parameters():
        nn.init.normal_(p)  # it starts as the identity
    seen = model.look(truth.frames[:2, ::2])
    torch.testing.assert_close(seen.masks.sum(2), torch.ones(2, 4, *clip.visual.grid_size))
    small = F.interpolate(truth.frames[:2, ::2].flatten(0, 1).movedim(-1, 1).float(), (64, 64), mode="area")
    features = model.features(small.round().to(torch.uint8).movedim(1, -1).unflatten(0, (2, 4)))
    torch.testing.assert_close(seen.masks.flatten(3), model.trained.parts(features).masks)
    assert seen.tubes and model.look(truth.frames[:1]).masks.shape[1] == 8  # other clips than it learned from
    with pytest.raises(BadInput, match="must be uint8"):
        model.look(truth.frames[0])


def test_the_image_encoder_is_one_of_single_frames():
    assert IMAGE.frames == 1 and isinstance(IMAGE.build().encoder, nn.Module)

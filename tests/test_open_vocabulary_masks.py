"""The masks that other papers take: shares of pixels, of the shipped models, in the hands of OCA and of the editor."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minilib.errors import BadInput
from minilib.metrics.proposals import j_and_f, proposals
from minilib.models.videomae import VideoEncoder
from minilib.papers.object_centric_diffusion.regions import crop_around, latent_mask
from minilib.papers.open_vocabulary import foreground, localize, masks
from minilib.papers.open_vocabulary.method import clip_features
from minilib.papers.open_vocabulary.pretrain.shipped import small_localizer
from minilib.papers.open_vocabulary.small import WORLD
from minilib.world.localization import localization_batch
from tests import test_open_vocabulary_localize


@pytest.fixture(scope="module")
def localizer():
    return small_localizer()


@pytest.fixture(scope="module")
def clips():
    return localization_batch(0, "val", range(3))


def test_every_pixel_is_shared_out_and_each_clip_stands_alone(localizer, clips):
    found = masks(clips.frames, localizer)
    b, t, h, w, _ = clips.frames.shape
    assert found.shape == (b, t, localizer.slots.attention.initial.slots, h, w)
    torch.testing.assert_close(found.sum(2), torch.ones(b, t, h, w))
    torch.testing.assert_close(masks(clips.frames[:1], localizer), found[:1])
    assert not torch.equal(masks(clips.frames, localizer, seed=1), found)
    assert masks(clips.frames[:, :4], localizer).shape[1] == 4  # fewer frames are a shorter clip
    assert masks(clips.frames[:, :, :80], localizer).shape[3:] == (80, 96)


def test_a_slot_is_the_same_patches_that_localize_reads(localizer, clips):
    encoder = localizer.encoder
    features = clip_features(encoder, encoder.normalise(clips.frames), localizer.layer)
    tubes = localizer.slots(features, torch.Generator().manual_seed(287))
    soft = F.adaptive_avg_pool2d(masks(clips.frames, localizer).flatten(0, 1), 12).unflatten(0, (3, 8))
    agree = (soft.argmax(2) == tubes.assigned).float().mean()
    assert agree > 0.9  # enlarging bilinearly moves edges alone


def test_a_step_of_two_frames_counts_for_both():
    found = masks(test_open_vocabulary_localize.video(8)[None], test_open_vocabulary_localize.localizer(2))
    assert found.shape == (1, 8, 4, 32, 32)
    columns = found[0].argmax(1)  # the stub's slots are columns of 8 pixels, in another order from call to call
    assert columns.unique().numel() == 4
    assert all(columns[:, :, at : at + 8].unique().numel() == 1 for at in (0, 8, 16, 24))


def test_object_centric_adaptation_takes_them_as_its_own(localizer, clips):
    """As its own masks are scored, (b, t, s, h, w): far above masks of another clip."""
    soft = masks(clips.frames, localizer)
    assert j_and_f(clips.ids, proposals(soft)) > j_and_f(clips.ids, proposals(soft.roll(1, 0))) + 20


def test_object_centric_diffusion_takes_what_was_named(localizer, clips):
    video = clips.frames[0]
    mask = foreground(localize(video, WORLD, localizer))
    cells = latent_mask(mask, (24, 24))
    region = crop_around(cells)
    latents = torch.randn(8, 4, 24, 24)
    assert region.gather(latents).shape[:2] == (8, 4) and not (cells & region.outside(latents)[:, 0]).any()


def test_wrong_videos_are_refused_in_one_line(localizer, clips):
    pairs = replace(localizer, encoder=VideoEncoder(144, 1, 1, 8, 2, 4, (12, 12)), layer=0)
    with pytest.raises(BadInput, match="7 frames: tubelets of 2"):
        masks(clips.frames[:, :7], pairs)
    for video, said in (
        (clips.frames[0], "must be uint8"),
        (clips.frames.float(), "must be uint8"),
        (clips.frames[:, :, :90], "90 x 96 pixels: patches of 8"),
        (clips.frames.repeat(1, 2, 1, 1, 1), "16 steps"),
        (clips.frames[:, :1, :8, :16], "8 slots for 2 tokens"),
    ):
        with pytest.raises(BadInput, match=said) as caught:
            masks(video, localizer)
        assert "\n" not in str(caught.value)

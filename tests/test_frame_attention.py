"""Attention over frames, for any UNet of diffusers, and token merging in volumes of space and time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from tomesd.merge import bipartite_soft_matching_random2d

from minilib.errors import BadInput
from minilib.models.frame_attention import (
    FrameAttention,
    Now,
    Pooling,
    attached,
    check_ran,
    dense,
    first_frame,
    layers,
    own_frame,
    sparse,
)
from minilib.models.token_merging import token_merging

FRAMES = 3


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    net = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(16, 16),
        layers_per_block=1,
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2 * FRAMES, 4, 8, 8, generator=generator)
    return x, 7, torch.randn(2 * FRAMES, 5, 12, generator=generator)


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    return Attention(16, heads=2, dim_head=8).requires_grad_(False)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- spans -----------------------------------------------------------------------------------------------------------


def naive(layer, hidden, seen):
    """Frame by frame and head by head, from the definition. hidden (t, n, d); seen, a list of frames for each."""
    out = []
    for frame, others in zip(hidden, seen, strict=True):
        tokens = torch.cat([hidden[i] for i in others])
        q, k, v = layer.to_q(frame), layer.to_k(tokens), layer.to_v(tokens)
        heads = [
            torch.softmax(q[:, part] @ k[:, part].T * 8**-0.5, -1) @ v[:, part] for part in (slice(0, 8), slice(8, 16))
        ]
        out.append(layer.to_out[0](torch.cat(heads, 1)))
    return torch.stack(out)


SEEN = {
    own_frame: [[0], [1], [2], [3]],
    first_frame: [[0]] * 4,
    sparse: [[0, 0], [0, 0], [1, 0], [2, 0]],
    dense: [[0, 1, 2, 3]] * 4,
}


class Reads:
    """Wants every map and changes none."""

    def __init__(self):
        self.maps = {}

    def wants(self, layer, cross, queries):
        return True

    def __call__(self, layer, cross, probabilities):
        self.maps[layer] = probabilities
        return probabilities


class Clears(Reads):
    """Changes the map of the last video to nothing."""

    videos = 1

    def __call__(self, layer, cross, probabilities):
        return torch.zeros_like(super().__call__(layer, cross, probabilities))


@pytest.mark.parametrize("span", SEEN)
def test_only_the_half_with_text_has_maps(layer, span):
    videos, maps = random(2, 4, 6, 16), Clears()
    plain = FrameAttention("x", 4, span, Now())(layer, videos.flatten(0, 1)).unflatten(0, (2, 4))
    ours = FrameAttention("x", 4, span, Now(), maps)(layer, videos.flatten(0, 1)).unflatten(0, (2, 4))
    assert torch.allclose(ours[0], plain[0], atol=1e-6) and not torch.allclose(ours[1], plain[1], atol=1e-3)
    assert maps.maps["x"].shape == (1, 4, layer.heads, 6, 6 * len(span(4)[0]))


@pytest.mark.parametrize("span", SEEN)
@pytest.mark.parametrize("maps", [None, Reads()])
def test_each_frame_looks_at_its_frames_alone(layer, span, maps):
    videos = random(2, 4, 6, 16)
    ours = FrameAttention("x", 4, span, Now(), maps)(layer, videos.flatten(0, 1)).unflatten(0, (2, 4))
    for video, found in zip(videos, ours, strict=True):
        assert torch.allclose(found, naive(layer, video, SEEN[span]), atol=1e-6)
    if maps is not None:
        assert maps.maps["x"].shape == (2, 4, 2, 6, 6 * len(SEEN[span][0]))
        assert torch.allclose(maps.maps["x"].sum(-1), torch.ones(2, 4, 2, 6))


def test_one_frame_is_one_frame_for_every_span(layer):
    hidden = random(2, 6, 16)
    found = [FrameAttention("x", 1, span, Now())(layer, hidden) for span in SEEN]
    assert all(torch.allclose(x, found[0], atol=1e-6) for x in found)


def test_a_batch_of_broken_videos_is_refused(layer):
    with pytest.raises(BadInput, match="a batch of 7"):
        FrameAttention("x", 4, dense, Now())(layer, random(7, 6, 16))


# --- attaching -------------------------------------------------------------------------------------------------------


def test_own_frames_are_what_the_unet_does_by_itself(unet, inputs):
    x, t, words = inputs
    plain = unet(x, t, words).sample
    with attached(unet, FRAMES, own_frame) as ours:
        assert torch.allclose(unet(x, t, words).sample, plain, atol=1e-5)
    check_ran(ours)
    with attached(unet, FRAMES, own_frame, maps=Reads()):
        assert torch.allclose(unet(x, t, words).sample, plain, atol=1e-5)


def test_other_spans_differ_and_leave_nothing_behind(unet, inputs):
    x, t, words = inputs
    plain = unet(x, t, words).sample
    for span in (sparse, dense, first_frame):
        with attached(unet, FRAMES, span) as ours:
            assert (unet(x, t, words).sample - plain).abs().max() > 1e-4
        check_ran(ours)
    assert torch.equal(unet(x, t, words).sample, plain)


def test_the_processors_that_were_there_come_back_after_errors_too(unet, inputs):
    before = dict(unet.attn_processors)
    custom = {name: AttnProcessor() for name in before}
    unet.set_attn_processor(dict(custom))
    with pytest.raises(RuntimeError, match="halfway"), attached(unet, FRAMES, dense):
        raise RuntimeError("halfway")
    assert all(unet.attn_processors[name] is processor for name, processor in custom.items())
    unet.set_attn_processor(before)


def test_processors_that_were_replaced_are_noticed(unet, inputs):
    with attached(unet, FRAMES, dense) as ours:
        unet.set_attn_processor(AttnProcessor())
        unet(*inputs)
        with pytest.raises(BadInput, match="never ran"):
            check_ran(ours)


def test_every_layer_is_reached_and_temporal_ones_are_not(unet):
    assert len(layers(unet, "attn1")) == len(layers(unet, "attn2")) == 7
    fake = type("Net", (), {"attn_processors": dict.fromkeys(["a.attn1.processor", "a.attn_temporal.processor"])})
    assert layers(fake, "attn1") == ["a.attn1.processor"] and layers(fake, "attn2") == []


def test_guided_halves_do_not_see_each_other(unet, inputs):
    x, t, words = inputs
    with attached(unet, FRAMES, dense):
        both, first = unet(x, t, words).sample, unet(x[:FRAMES], t, words[:FRAMES]).sample
    assert torch.allclose(both[:FRAMES], first, atol=1e-5)


# --- fewer keys ------------------------------------------------------------------------------------------------------


def test_pooling_is_that_of_keys_and_values(layer):
    hidden, now = random(3, 16, 16), Now(size=(4, 4))
    found = FrameAttention("x", 3, dense, now, reduce=Pooling(F.avg_pool2d, (2, 2)))(layer, hidden)
    pooled = F.avg_pool2d(hidden.mT.unflatten(2, (4, 4)), 2).flatten(2).mT.reshape(1, 12, 16).expand(3, -1, -1)
    assert torch.allclose(found, layer(hidden, pooled), atol=1e-6)
    largest = Pooling(F.max_pool2d, (4, 4))("x", hidden[:1], (1, 4, 4))
    assert torch.equal(largest, hidden[:1].amax(1, keepdim=True))


def test_layers_know_their_own_resolution(unet, inputs):
    sizes = []

    def reduce(layer, tokens, grid):
        sizes.append(grid)
        return tokens

    with attached(unet, FRAMES, dense, Now(size=(6, 10)), reduce=reduce):
        unet(random(FRAMES, 4, 6, 10), 7, inputs[2][:FRAMES])
    assert set(sizes) == {(3, 6, 10), (3, 3, 5)}
    with pytest.raises(BadInput, match="no halving of latents"), attached(unet, FRAMES, dense, reduce=reduce):
        unet(*inputs)


# --- token merging ---------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    h=st.integers(2, 9), w=st.integers(2, 9), sy=st.integers(1, 3), sx=st.integers(1, 3),
    share=st.floats(0, 1), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_one_image_is_merged_as_tomesd_does(h, w, sy, sx, share, seed):
    sy, sx = min(sy, h), min(sx, w)
    x = random(2, h * w, 5, seed=seed)
    sources = h * w - (h // sy) * (w // sx)
    r = round(share * sources)
    theirs, back = bipartite_soft_matching_random2d(x, w, h, sx, sy, r, generator=torch.Generator().manual_seed(seed))
    plan = token_merging(x, (1, h, w), (1, sy, sx), h * w - r, torch.Generator().manual_seed(seed))
    assert plan.kept == h * w - r == theirs(x).shape[1]
    assert torch.allclose(plan.unmerge(plan.merge(x)), back(theirs(x)), atol=1e-6)
    rows = lambda y: sorted(map(tuple, y[1].round(decimals=4).add(0.0).tolist()))  # noqa: E731
    assert rows(plan.merge(x)) == rows(theirs(x))


def test_what_tomesd_caps_silently_is_refused():
    x = random(1, 64, 5)
    theirs, _ = bipartite_soft_matching_random2d(x, 8, 8, 2, 2, int(0.9 * 64), generator=torch.Generator())
    assert theirs(x).shape[1] == 16  # not 7
    with pytest.raises(BadInput, match="keep 16 or more"):
        token_merging(x, (1, 8, 8), (1, 2, 2), 7, torch.Generator())


def everything(plan):
    return torch.cat([plan.unmerged, plan.merged, plan.destination], 2).sort(-1).values


@pytest.mark.parametrize("resample", [True, False])
@pytest.mark.parametrize("window", [None, 2, 4])
def test_every_token_has_one_place_and_merging_keeps_means(window, resample):
    x, grid = random(2, 4 * 6 * 5, 7), (4, 6, 5)
    plan = token_merging(x, grid, (2, 3, 2), 40, torch.Generator(), window=window, resample=resample)
    windows = 4 // (window or 4)
    assert torch.equal(everything(plan), torch.arange(120 // windows).expand(2, windows, -1))
    assert plan.merge(x).shape == (2, 40, 7)
    constant = torch.ones(2, 120, 3)
    assert torch.allclose(plan.merge(constant), torch.ones(2, 40, 3))
    again = plan.unmerge(plan.merge(x))
    assert torch.allclose(plan.merge(again), plan.merge(x), atol=1e-6)
    for b in range(2):  # from the definition
        for w in range(windows):
            tokens = x[b].view(windows, -1, 7)[w]
            for k, at in enumerate(plan.destination[b, w]):
                group = [int(at), *plan.merged[b, w][plan.into[b, w] == k].tolist()]
                found = again[b].view(windows, -1, 7)[w, group]
                assert torch.allclose(found, tokens[group].mean(0).expand_as(found), atol=1e-6)


def test_destinations_are_one_a_cell_and_drawn_anew_only_if_asked():
    x, grid = random(1, 4 * 8 * 8, 3), (4, 8, 8)
    for resample in (True, False):
        plan = token_merging(x, grid, (1, 4, 4), 100, torch.Generator().manual_seed(0), resample=resample)
        at = plan.destination[0, 0].view(4, -1)
        frame, row, column = at // 64, at // 8 % 8, at % 8
        assert torch.equal(frame, torch.arange(4)[:, None].expand(4, 4))
        assert torch.equal(row // 4 * 2 + column // 4, torch.arange(4).expand(4, 4))
        assert bool((at % 64 == at[:1] % 64).all()) is not resample


def test_no_token_leaves_its_window():
    x = random(1, 16, 4).repeat(1, 4, 1)  # four equal frames: the best match is in any of them
    plan = token_merging(x, (4, 4, 4), (1, 2, 2), 16, torch.Generator(), window=1)
    whole = token_merging(x, (4, 4, 4), (1, 2, 2), 16, torch.Generator())
    assert plan.merged.shape == (1, 4, 12) and whole.merged.shape == (1, 1, 48)
    merged, into = whole.merged[0, 0] // 16, whole.destination[0, 0][whole.into[0, 0]] // 16
    assert (merged != into).any()


def test_foreground_is_merged_last():
    x, inside = random(1, 64, 4), torch.zeros(1, 64, dtype=torch.bool)
    inside[:, :20] = True
    count = []
    for eta in (1.0, 0.9, 0.5, 0.1):
        generator = torch.Generator().manual_seed(0)
        plan = token_merging(x, (1, 8, 8), (1, 4, 4), 24, generator, foreground=inside, eta=eta)
        count.append(int((plan.merged < 20).sum()))
        assert plan.kept == 24
    free = int(inside.sum()) - int((plan.destination < 20).sum())
    assert count[0] > count[1] >= count[2] >= count[3] == max(0, 40 - (60 - free))
    plain = token_merging(x, (1, 8, 8), (1, 4, 4), 24, torch.Generator().manual_seed(0))
    with_mask = token_merging(x, (1, 8, 8), (1, 4, 4), 24, torch.Generator().manual_seed(0), foreground=inside)
    assert torch.equal(plain.merged, with_mask.merged)  # eta = 1 is plain merging


def test_a_plan_of_one_video_fits_others():
    one, two = random(1, 64, 4), random(2, 64, 3, seed=5)
    plan = token_merging(one, (1, 8, 8), (1, 2, 2), 20, torch.Generator())
    assert torch.equal(plan.merge(two)[1:], plan.merge(two[1:])) and plan.unmerge(plan.merge(two)).shape == two.shape


def test_nothing_merged_is_nothing_changed():
    x = random(2, 32, 4)
    plan = token_merging(x, (2, 4, 4), (1, 2, 2), 32, torch.Generator())
    assert plan.merged.shape[2] == 0 and torch.equal(plan.unmerge(plan.merge(x)), x)


def test_it_draws_from_its_own_generator_alone():
    before = torch.random.get_rng_state()
    plans = [token_merging(random(1, 64, 4), (1, 8, 8), (1, 2, 2), 20, torch.Generator().manual_seed(3)) for _ in "12"]
    assert torch.equal(plans[0].merged, plans[1].merged) and torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": (4, 4, 5)}, "give the grid"),
        ({"window": 3}, "does not divide 4 frames"),
        ({"window": 8}, "a window of 8 frames"),
        ({"cell": (2, 5, 1)}, "make it smaller"),
        ({"cell": (4, 2, 2), "window": 2}, "make it smaller"),
        ({"eta": 1.5}, "eta=1.5"),
        ({"eta": -0.1}, "eta=-0.1"),
        ({"keep": 65}, "65 of 64 tokens"),
        ({"keep": 33, "window": 2}, "as many as another"),
    ],
)
def test_plans_that_cannot_be_made_are_one_line(change, message):
    settings = dict(grid=(4, 4, 4), cell=(2, 2, 2), keep=32, generator=torch.Generator())
    with pytest.raises(BadInput, match=message) as error:
        token_merging(random(1, 64, 4), **(settings | change))
    assert "\n" not in str(error.value)

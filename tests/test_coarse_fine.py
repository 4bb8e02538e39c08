"""Coarse-Fine: sampling against naive loops and torch's own, fusion against the equations, streams, losses, counts."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib import claims
from minilib.claims.verdicts import same_count
from minilib.errors import BadInput
from minilib.models.x3d import TINY, X3D, X3D_M
from minilib.papers.coarse_fine import counts, fusion, grid, variants
from minilib.papers.coarse_fine.method import CoarseFine, CoarseStream, detection_loss
from minilib.papers.coarse_fine.released import coarse_stream, load_levels, load_released, save_levels, stored_levels
from minilib.papers.coarse_fine.slowfast import SlowFastFusion
from minilib.papers.coarse_fine.study import VARIANTS
from minilib.papers.coarse_fine.variants import WithAuxiliary, change, flow, reconstruction

MULTI = fusion.MultiStageFusion
POOLS = (grid.GridPool, variants.Striding, variants.AveragePool, variants.MaxPool, variants.KeepAll)


def stream(pool=grid.GridPool, fuse=None) -> CoarseStream:
    torch.manual_seed(0)
    return CoarseStream(X3D(TINY, 3, dropout=0.0), pool, fuse)


def clips(b=2, t=8):
    return torch.randn(b, 3, t, 32, 32)


# --- sampling ---


def naive_sample(x, locations):
    out = torch.zeros(len(x), locations.shape[1], *x.shape[2:], dtype=x.dtype)
    for i in range(len(x)):
        for j, place in enumerate(locations[i].tolist()):
            place = min(max(place, 0), x.shape[1] - 1)
            low = min(int(place), max(x.shape[1] - 2, 0))
            high = min(low + 1, x.shape[1] - 1)
            out[i, j] = x[i, low] * (1 - (place - low)) + x[i, high] * (place - low)
    return out


@settings(max_examples=30)
@given(frames=st.integers(1, 6), points=st.integers(1, 5), seed=st.integers(0, 1000))
def test_sampling_equals_a_naive_loop(frames, points, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(2, frames, 3, 2, dtype=torch.float64, generator=draw)
    places = torch.rand(2, points, dtype=torch.float64, generator=draw) * (frames + 2) - 1
    assert torch.allclose(grid.sample(x, places), naive_sample(x, places), atol=1e-12)


def test_sampling_equals_grid_sample_with_its_gradients():
    x = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    places = (torch.rand(2, 4, dtype=torch.float64) * 6).requires_grad_()
    ours = grid.sample(x, places)
    at = torch.stack([torch.zeros_like(places), places / 6 * 2 - 1], -1)[:, :, None]
    theirs = F.grid_sample(x.transpose(1, 2)[..., None], at, align_corners=True)[..., 0].transpose(1, 2)
    assert torch.allclose(ours, theirs)
    weight = torch.randn_like(ours)
    a, b = (torch.autograd.grad((out * weight).sum(), (x, places)) for out in (ours, theirs))
    assert all(torch.allclose(p, q, atol=1e-12) for p, q in zip(a, b, strict=True))


def test_released_grid_runs_from_the_first_frame_to_the_last_and_is_dense_where_confident():
    confidence = torch.tensor([[0.1, 0.9, 0.9, 0.1]])
    places, cdf = grid.leading_zero_grid(confidence, 17)
    assert places[0].tolist() == pytest.approx([0, 7.2, 8.0, 8.8, 16], abs=1e-5)
    assert cdf[0, [0, -1]].tolist() == pytest.approx([0, 1])
    text, _ = variants.thesis_grid(confidence, 17)
    assert text[0].tolist() == pytest.approx([17 * 0.45 - 1, 17 * 0.5 - 1, 17 * 0.55 - 1, 16], abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=6))
def test_inverse_undoes_the_grid(confidence):
    places, _ = grid.leading_zero_grid(torch.tensor([confidence], dtype=torch.float64), 9)
    index = torch.rand(1, 5, dtype=torch.float64) * len(confidence)
    assert torch.allclose(grid.inverse(places, grid.sample(places, index)), index, atol=1e-6)


def test_a_confidence_of_one_everywhere_stays_finite():
    places, _ = grid.leading_zero_grid(torch.ones(1, 4), 8)
    assert torch.isfinite(places).all()
    assert torch.isfinite(grid.inverse(places, torch.linspace(0, 7, 5)[None])).all()


@pytest.mark.parametrize(
    ("ratio", "strides"), [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (4, (2, 2)), (6, (3, 2)), (8, (4, 2))]
)
def test_any_ratio_is_two_strides(ratio, strides):
    assert grid.strides_of(ratio) == strides
    pooled = grid.GridPool(4, ratio)(torch.randn(1, 4, 24, 8, 8))
    assert pooled.x.shape[2] == 24 // ratio + 1


def test_the_released_eighth_is_a_sixteenth():
    assert variants.released_strides(4) == (2, 2)
    assert grid.GridPool(4, strides=variants.released_strides(8)).ratio == 16


def test_grid_unpool_equals_a_naive_loop():
    pool, frames = grid.GridPool(4), 16
    pooled = pool(torch.randn(2, 4, frames, 8, 8))
    scores = torch.randn(2, 5, 3)
    out = pool.unpool(scores, pooled, frames)
    for b in range(2):
        places = pooled.locations[b].tolist()
        even = []
        for i in range(5):
            wanted = i / 4 * (frames - 1)
            j = max(k for k in range(4) if places[k] <= wanted + 1e-5)
            part = min((wanted - places[j]) / (places[j + 1] - places[j]), 1)
            even.append(scores[b, j] * (1 - part) + scores[b, j + 1] * part)
        for t in range(frames):
            place = t / (frames - 1) * 4
            low = min(int(place), 3)
            want = even[low] * (1 - place + low) + even[low + 1] * (place - low)
            assert torch.allclose(out[b, t], want, atol=1e-3)


@pytest.mark.parametrize("pool", POOLS)
def test_scores_that_are_linear_in_time_survive_pooling(pool):
    pool, frames = pool(4), 16
    pooled = pool(torch.randn(2, 4, frames, 8, 8))
    line = pool.unpool(pooled.locations[..., None], pooled, frames)[..., 0]
    inside = slice(2, -4)  # beyond its outermost places a pooling can only repeat them
    assert torch.allclose(line[:, inside], torch.arange(frames).float().expand(2, -1)[:, inside], atol=0.6)


def test_average_max_and_striding_are_what_they_say():
    x = torch.randn(1, 2, 8, 3, 3)
    cells = x.unflatten(2, (2, 4))
    assert torch.allclose(variants.AveragePool(2)(x).x, cells.mean(3))
    assert torch.equal(variants.MaxPool(2)(x).x, cells.amax(3))
    assert torch.equal(variants.Striding(2)(x).x, cells[:, :, :, 0])
    assert variants.AveragePool(2)(x).locations.tolist() == [[1.5, 5.5]]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6, 7, 9])
def test_coarse_streams_take_lengths_that_their_ratio_does_not_divide(frames):
    x = torch.randn(2, 3, frames, 32, 32)
    intervals = -(-frames // 4)
    kept = {grid.GridPool: intervals + 1, variants.Striding: intervals, variants.KeepAll: frames}
    kept[partial(grid.GridPool, head=variants.NoiseHead)] = intervals + 1
    for pool, count in kept.items():
        model = stream(pool).eval()
        pooled = model.sampled(x)[1]
        assert pooled.x.shape[2] == pooled.locations.shape[1] == pooled.centres.shape[1] == count
        assert model.finish(pooled, frames).shape == (2, frames, 3)
    for pool in (variants.AveragePool, variants.MaxPool):
        if frames < 4:
            with pytest.raises(BadInput, match=f"{frames} frames is shorter than the temporal ratio 4"):
                pool(4)(x)
        else:
            assert pool(3)(x).x.shape[2] == frames // 4 and stream(pool).eval()(x).shape == (2, frames, 3)


def test_striding_and_means_of_six_frames_by_hand():
    x = torch.tensor([1.0, 2, 4, 8, 16, 32]).view(1, 1, 6, 1, 1)
    strided, mean = variants.Striding(1)(x), variants.AveragePool(1)(x)
    assert strided.x.flatten().tolist() == [1, 16] and strided.locations.tolist() == [[0, 4]]
    assert mean.x.flatten().tolist() == [15 / 4] and mean.locations.tolist() == [[1.5]]
    assert variants.Striding(1).unpool(strided.x[:, 0, :, 0], strided, 6).flatten().tolist() == [
        1, 4.75, 8.5, 12.25, 16, 16,
    ]  # fmt: skip


def test_grid_pool_of_six_frames_by_hand():
    pool = grid.GridPool(4)
    x = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(1, 4, 6, 8, 8)
    pool.head.forward = lambda x: torch.tensor([[0.5, 0.75]])  # of two intervals: the second is shorter
    pooled = pool(x)
    assert pooled.locations[0].tolist() == pytest.approx([0, 10 / 3, 5])  # 5 x (0, 2/3, 1)
    assert pooled.centres[0].tolist() == pytest.approx([0, 4, 6])
    assert pooled.x[0, 0, :, 0, 0].tolist() == pytest.approx([0, 10 / 3, 5])
    # scores 0, 4, 6 at the grid points; the middle of the clip, 2.5 = 3/4 of 10/3, has 3
    # stretched to eight frames: place 2 i / 7 on 0, 3, 6, so 6 i / 7; to six of eight: (i + 1/2) 8/6 - 1/2
    out = pool.unpool(torch.tensor([[[0.0], [4], [6]]]), pooled, 6)
    assert out.flatten().tolist() == pytest.approx([6 / 7 * ((i + 0.5) * 8 / 6 - 0.5) for i in range(6)], abs=1e-4)


# --- fusion ---


def naive_mean(x, mask, weights):
    out = torch.zeros(*x.shape[:2], weights.shape[1], *x.shape[3:], dtype=x.dtype)
    for b in range(len(x)):
        for n in range(weights.shape[1]):
            product = mask[b] * weights[b, n][None, :, None, None]
            out[b, :, n] = (x[b] * product).sum(1) / (product.sum(1) + 1e-6)
    return out


def test_aggregation_and_gaussians_equal_the_equations():
    valid = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]).bool()
    centres = torch.tensor([[0.0, 3.5], [2.0, 9.0]], dtype=torch.float64)
    peaks = fusion.gaussians(centres, valid)
    for b, sigma in ((0, 1.0), (1, 0.5)):
        for n in range(2):
            raw = [torch.exp(-((t - centres[b, n]) ** 2) / (2 * sigma**2)) for t in range(8)]
            assert torch.allclose(peaks[b, n], torch.stack(raw) / max(raw))
    assert torch.equal(peaks.amax(-1), torch.ones(2, 2, dtype=torch.float64))
    x, mask = torch.randn(2, 3, 8, 2, 2, dtype=torch.float64), torch.rand(2, 1, 8, 2, 2, dtype=torch.float64)
    weights = peaks * valid[:, None]
    assert torch.allclose(fusion.weighted_mean(x, mask, weights), naive_mean(x, mask, weights))
    product = torch.einsum("bcthw,bthw,bnt->bcnhw", x, mask[:, 0], weights)
    assert torch.allclose(fusion.plain_product(x, mask, weights), product)


def test_a_constant_fine_feature_is_its_own_mean_and_padding_is_never_seen():
    valid = torch.tensor([[1, 1, 1, 0, 0]]).bool()
    weights = fusion.gaussians(torch.tensor([[1.0, 2.0]]), valid) * valid[:, None]
    x = torch.full((1, 2, 5, 1, 1), 3.0)
    x[:, :, 3:] = torch.nan_to_num(torch.tensor(torch.inf))
    assert torch.allclose(fusion.weighted_mean(x, torch.ones_like(x[:, :1]), weights), torch.tensor(3.0), atol=1e-4)


def test_resizing_repeats_and_takes_maxima():
    x = torch.arange(4.0).view(1, 1, 1, 2, 2)
    assert torch.equal(fusion.resize(x, (4, 4)), x.repeat_interleave(2, 3).repeat_interleave(2, 4))
    assert fusion.resize(x, (1, 1)).item() == 3


@pytest.mark.parametrize("average", [variants.over_time, variants.over_time_and_space])
def test_dropped_dimensions_do_not_vary(average):
    valid = torch.tensor([[True, True, False]])
    out = average(torch.randn(1, 2, 3, 4, 4), valid)
    assert out.shape == (1, 2, 3, 4, 4) and torch.equal(out[:, :, 0], out[:, :, 2])
    x = torch.randn(1, 2, 3, 4, 4)
    assert torch.allclose(variants.over_time(x, valid)[:, :, 0], x[:, :, :2].mean(2), atol=1e-6)
    assert torch.allclose(variants.over_time_and_space(x, valid)[..., 0, 0, 0], x[:, :, :2].mean((2, 3, 4)), atol=1e-6)


def test_fusion_modulates_as_the_text_has_it():
    torch.manual_seed(0)
    net, levels = MULTI(TINY, 3).eval(), [torch.randn(1, 8, 4, s, s) for s in (8, 4, 2, 1, 1)]
    pooled = grid.Pooled(torch.zeros(1, 8, 2, 8, 8), torch.zeros(1, 2), torch.tensor([[0.0, 3.0]]))
    valid = torch.ones(1, 4).bool()
    context = net(levels, pooled, valid)
    x, logits = torch.randn(1, 8, 2, 2, 2), torch.randn(1, 2, 3)
    weights = fusion.gaussians(pooled.centres, valid)
    maps = []
    for each, level in zip(net.levels, levels, strict=False):
        gathered = fusion.weighted_mean(level, each.mask(level), weights)
        maps.append((each.fc2(each.fc1(gathered).relu()), each.fc4(each.fc3(gathered).relu())))
    shift, scale = (torch.cat([F.adaptive_max_pool3d(m[i], (2, 2, 2)) for m in maps], 1) for i in (0, 1))
    want = x * net.mixings[2].conv_at2(scale).sigmoid() + net.mixings[2].conv_at(shift)
    assert torch.allclose(context.modulate(2, x), want, atol=1e-5)
    gathered = fusion.weighted_mean(levels[4], net.late.mask(levels[4]), weights)
    late = [
        conv2(conv1(gathered).relu())[..., 0, 0]
        for conv1, conv2 in ((net.late.fc1, net.late.fc2), (net.late.fc3, net.late.fc4))
    ]
    want = logits * late[1].transpose(1, 2).sigmoid() + late[0].transpose(1, 2)
    assert torch.allclose(context.scores(logits), want, atol=1e-5)


# --- streams ---


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("train", [True, False])
def test_coarse_only_gives_scores_of_every_frame(pool, train):
    with torch.no_grad():
        assert stream(pool).train(train)(clips(1)).shape == (1, 8, 3)


def test_pixels_and_frames_agree():
    model, frames = stream().eval(), torch.randint(0, 256, (1, 8, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(model(frames), model(model.normalise(frames)))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_each_of_its_parameters(name):
    torch.manual_seed(0)
    variant = VARIANTS[name]
    model = replace(variant.build, size=TINY).new(3).train()
    labels = (torch.rand(2, 16, 3) < 0.3).float()
    variant.objective(model, clips(2, 16), labels).backward()
    unused = ("fine.head.fc",)  # the fine stream's own scores are not asked for
    for parameter_name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (not parameter_name.startswith(unused)), parameter_name


def test_a_frozen_fine_stream_gets_no_gradient_and_the_grid_does():
    model = CoarseFine(stream(fuse=MULTI), X3D(TINY, 3).requires_grad_(False)).train()
    detection_loss(model(clips()), torch.ones(2, 8, 3)).backward()
    assert all(p.grad is None for p in model.fine.parameters())
    assert model.coarse.pool.head.conv1.weight.grad.abs().sum() > 0


def test_what_a_clip_sees_of_its_video_depends_on_where_it_starts():
    model = CoarseFine(stream(fuse=MULTI), X3D(TINY, 3, dropout=0.0)).eval()
    whole = clips(2, 16)
    early, late = (model(whole[:, :, :8], whole, start=start) for start in (0, torch.tensor([8, 8])))
    assert early.shape == (2, 8, 3) and not torch.allclose(early, late)
    same = model(whole[:, :, :8], whole, torch.tensor([0, 0]), torch.ones(2, 16).bool())
    assert torch.equal(early, same)


def test_a_sole_clip_is_its_own_video():
    model = CoarseFine(stream(fuse=MULTI), X3D(TINY, 3, dropout=0.0)).eval()
    x = clips(1)
    assert torch.equal(model(x), model(x, x))


def test_stored_levels_go_through_files_and_pad(tmp_path):
    fine, coarse = X3D(TINY, 3), stream(fuse=MULTI).eval()
    videos = [clips(1, 8), clips(1, 6)]
    stored = [stored_levels(fine, video, side=1, cap=7) for video in videos]
    paths = [save_levels(tmp_path / f"{i}.safetensors", levels) for i, levels in enumerate(stored)]
    levels, valid = load_levels(paths)
    assert [tuple(x.shape) for x in levels] == [(2, 8, 7, 1, 1)] * 5
    assert valid.sum(1).tolist() == [7, 6] and torch.equal(levels[2][1, :, :6], stored[1][2])
    both = coarse(clips(2), levels, valid=valid)
    alone = coarse(clips(1), [x[1:, :, :6] for x in levels], valid=valid[1:, :6])
    assert both.shape == (2, 8, 3) and alone.shape == (1, 8, 3)
    padded = load_levels(paths[1:])[0]
    x = clips(1, 4)  # within the six frames that are there
    longer = [F.pad(level, (0, 0, 0, 0, 0, 3), value=5.0) for level in padded]
    marks = torch.arange(9)[None] < 6
    assert torch.allclose(coarse(x, padded), coarse(x, longer, valid=marks), atol=1e-5), "padding must not be seen"
    with pytest.raises(BadInput, match="no such file"):
        load_levels([tmp_path / "none"])


def test_levels_are_those_of_the_whole_video_cut_afterwards():
    torch.manual_seed(0)
    fine, video = X3D(TINY, 3).eval(), clips(1, 9)
    stored = stored_levels(fine, video, side=1, cap=5)
    with torch.no_grad():
        whole, cut = fine.features(video), fine.features(video[:, :, :5])
    for level, of_all, of_cut in zip(stored, whole, cut, strict=True):
        assert level.shape == (8, 5, 1, 1) and level.dtype == torch.float32
        assert torch.allclose(level[..., 0, 0], of_all[0, :, :5].mean((2, 3)), atol=1e-6)
        assert not torch.allclose(level[..., 0, 0], of_cut[0].mean((2, 3)), atol=1e-3), "the gates saw other frames"
    frames = torch.randint(0, 256, (1, 6, 32, 32, 3), dtype=torch.uint8)
    assert [tuple(x.shape) for x in stored_levels(fine, frames, side=1)] == [(8, 6, 1, 1)] * 5


def test_streams_that_do_not_go_together_are_named():
    levels = X3D(TINY, 3).features(clips())
    with pytest.raises(BadInput, match="needs fine levels"):
        stream(fuse=MULTI)(clips())
    with pytest.raises(BadInput, match="has no fusion"):
        stream()(clips(), levels)
    with pytest.raises(BadInput, match="has no fusion"):
        CoarseFine(stream(), X3D(TINY, 3))
    with pytest.raises(BadInput, match="differ in size"):
        CoarseFine(stream(fuse=MULTI), X3D(replace(TINY, hidden=9), 3))
    with pytest.raises(BadInput, match="8 frames with 5 marks"):
        stream(fuse=MULTI)(clips(), levels, valid=torch.ones(2, 5).bool())
    with pytest.raises(BadInput, match="3 fine frames are fewer than the ratio 4"):
        stream(variants.Striding, SlowFastFusion)(clips(1, 3), X3D(TINY, 3).features(clips(1, 3)))


def test_slowfast_lateral_connections_are_strided_convolutions():
    net = SlowFastFusion(TINY, 3, ratio=4)
    levels = X3D(TINY, 3).eval().features(clips(1, 8))
    pooled = variants.Striding(8)(torch.randn(1, 8, 8, 8, 8))
    x = torch.randn(1, 8, 2, *levels[1].shape[3:])
    out = net(levels, pooled, torch.ones(1, 8).bool()).modulate(1, x)
    weight = net.levels[1].conv.weight
    want = x + torch.einsum("bcnphw,ocp->bonhw", levels[1].unflatten(2, (2, 4)), weight[..., 0, 0])
    assert torch.allclose(out, want, atol=1e-5)


# --- losses ---


def test_detection_loss_equals_the_released_formula():
    scores, labels = torch.randn(2, 5, 3), (torch.rand(2, 5, 3) < 0.4).float()
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    seen = valid[..., None].float()
    probability = scores.sigmoid() * seen
    labels = labels * seen
    located = F.binary_cross_entropy(probability, labels, reduction="sum") / (8 * 3)
    classified = F.binary_cross_entropy(probability.amax(1), labels.amax(1))
    assert detection_loss(scores, labels, valid) == pytest.approx(((located + classified) / 2).item(), abs=1e-5)
    with pytest.raises(BadInput, match="differ in shape"):
        detection_loss(scores, labels[:, :4])


def test_flow_prefers_borders_where_something_changes():
    x = torch.zeros(1, 2, 9, 2, 2)
    x[:, :, 4:] = 1  # one change, between frames 3 and 4
    assert change(x)[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    at = lambda *places: grid.Pooled(x, torch.tensor([places]), torch.tensor([places]))  # noqa: E731
    assert flow(x, at(0.0, 3.5, 8.0)) < flow(x, at(0.0, 7.0, 8.0))


def test_reconstruction_is_nothing_where_nothing_is_lost():
    ramp = torch.arange(9.0).view(1, 1, 9, 1, 1).expand(1, 2, 9, 2, 2)
    pool = grid.GridPool(2, 3)
    assert reconstruction(ramp, variants.KeepAll(2)(ramp)) == 0
    places = torch.tensor([[0.0, 4.2, 8.0]])
    pooled = grid.Pooled(grid.sample(ramp.transpose(1, 2), places).transpose(1, 2), places, places)
    assert reconstruction(ramp, pooled) == pytest.approx(0, abs=1e-5)
    assert reconstruction(torch.randn(1, 2, 9, 8, 8), pool(torch.randn(1, 2, 9, 8, 8))) > 0.1


@pytest.mark.parametrize("auxiliary", [reconstruction, flow])
def test_auxiliary_losses_teach_the_grid(auxiliary):
    model = stream().train()
    before, pooled = model.sampled(clips())
    auxiliary(before, pooled).backward()
    assert model.pool.head.conv1.weight.grad.abs().sum() > 0
    labels, x = torch.ones(2, 8, 3), clips()
    torch.manual_seed(0)
    plain = detection_loss(model.eval()(x), labels).item()
    assert WithAuxiliary(auxiliary, 0.0)(model, x, labels).item() == pytest.approx(plain, abs=1e-6)
    assert WithAuxiliary(auxiliary, 1.0)(model, x, labels).item() != pytest.approx(plain, abs=1e-6)


# --- the released checkpoint, and the counts ---


def in_released_layout(state):
    rename = (
        ("backbone.", ""), ("stem.", ""), ("pool.head.", "pool_1."), ("fusion.late.", "rw6."), (".gate.", "."),
        (".mask.", "."), *((f"fusion.levels.{i}.", f"rw{i + 2}.") for i in range(4)),
        *((f"fusion.mixings.{i}.", f"mix{i + 2}.") for i in range(4)),
        *((f"stages.{i}.", f"layer{i + 1}.") for i in range(4)),
    )  # fmt: skip
    out = {}
    for key, value in state.items():
        key = key.replace("backbone.head.", "")
        for ours, theirs in rename:
            key = key.replace(ours, theirs)
        for part in ("running_mean", "running_var", "num_batches_tracked"):
            if key.endswith(part):
                # as saved in training: two splits, and old statistics under `bn`
                away = {"running_mean": (-0.3, 0.3), "running_var": (-0.19, 0.01)}.get(part, (0,))
                out[key.replace(part, f"split_bn.{part}")] = torch.cat([value.view(-1) + by for by in away])
                key, value = key.replace(part, f"bn.{part}"), torch.zeros_like(value)
        out[key] = value
    return out


def test_the_layout_has_the_released_entries():
    with torch.device("meta"):
        state = in_released_layout(coarse_stream().state_dict())
    assert len(state) == 918 and sum("running" not in k and "num_batches" not in k for k in state) == 402
    shapes = {
        "conv1_t.weight": (24, 1, 5, 1, 1),
        "pool_1.conv3.weight": (1, 24, 1, 3, 3),
        "rw3.at1.weight": (48, 48, 1),
        "rw6.fc2.weight": (157, 432, 1),
        "mix4.conv_at2.weight": (96, 360, 1),
        "fc1.weight": (2048, 432, 1, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_a_released_checkpoint_loads_strictly(tmp_path):
    torch.manual_seed(0)
    source, path = coarse_stream(3, TINY).eval(), tmp_path / "released.pt"
    for module in source.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    state = in_released_layout(source.state_dict())
    torch.save({"model_state_dict": state, "steps": 19000}, path)
    model = load_released(coarse_stream(3, TINY), path).eval()
    levels, x = [torch.randn(1, 8, 8, 1, 1) for _ in range(5)], clips(1)
    assert torch.allclose(model(x, levels), source(x, levels), atol=1e-6)
    del state["mix3.conv_at.bias"]
    torch.save({"model_state_dict": state}, path)
    with pytest.raises(BadInput, match="fusion.mixings.1.conv_at.bias is missing"):
        load_released(model, path)


@pytest.fixture(scope="module")
def counted():
    return counts.count_all()


def test_every_count_meets_the_thesis_except_where_it_cannot(counted):
    printed = [claim for claim in claims.load("coarse_fine").claims if claim.kind == "count"]
    assert {claim.id for claim in printed} == set(counted)
    for claim in printed:
        met = same_count(claim, counted[claim.id])
        assert met == (claim.conflict is None), f"{claim.id}: {counted[claim.id]}"


def test_what_runs_is_less_than_what_is_printed(counted):
    assert counted["t32.coarse_fine.gflops.run"] == pytest.approx(60.93, abs=0.01)
    assert counted["t33d.128.eighth.true"] == pytest.approx(12.33, abs=0.01)
    assert counted["t33f.fusion"] == pytest.approx(72.26, abs=0.01)


def test_classes_can_be_passed_for_every_part():
    fuse = partial(MULTI, aggregate=fusion.plain_product, width=1 / 32)
    pool = partial(grid.GridPool, grid=variants.thesis_grid)
    model = CoarseFine(stream(pool, fuse), X3D(TINY, 3)).eval()
    assert model(clips()).shape == (2, 8, 3) and X3D_M.conv5 == 432

import copy

import pytest
import torch
import torch.nn.functional as F

from minilib import cost
from minilib.errors import BadInput
from minilib.models import clip
from minilib.models.classifier import VideoClassifier
from minilib.papers.baselines import AIM, EVL, STAdapter
from minilib.papers.baselines.aim import over_time
from minilib.papers.baselines.evl import TemporalCrossAttention, neighbour_maps, offset_index
from minilib.papers.baselines.frozen import TemporalConv, attend, project, self_attention
from minilib.papers.baselines.st_adapter import SpatioTemporalAdapter

VARIANTS = [
    (STAdapter, {"bottleneck": 6}),
    (STAdapter, {"bottleneck": 6, "places": ("attention", "mlp")}),
    (AIM, {}),
    (AIM, {"temporal_adapters": 2}),
    (EVL, {"layers": 2}),
    (EVL, {"layers": 1, "temporal_conv": False, "temporal_position": False, "cross_attention": False}),
]
START_AT_THE_IMAGE_MODEL = VARIANTS[:4]


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return clip.build(clip.TINY).visual


@pytest.fixture
def visual(tiny):
    return copy.deepcopy(tiny)


def pixels(clips=2, frames=3):
    return torch.randn(clips, frames, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def shaken(model):
    """Away from the zeros that a method starts with."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model


# --- the start -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "settings"), START_AT_THE_IMAGE_MODEL)
def test_the_first_step_is_the_frozen_image_model(visual, method, settings):
    model = method(visual, 3, 5, **settings).eval()
    image = VideoClassifier(visual, 5).eval()
    image.head = model.head
    torch.testing.assert_close(model(pixels()), image(pixels()))
    assert not torch.allclose(shaken(model)(pixels()), image(pixels()))


@pytest.mark.parametrize(("method", "settings"), VARIANTS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_all_that_is_new_and_nothing_else(visual, method, settings, training):
    before = {k: v.clone() for k, v in visual.state_dict().items()}
    model = shaken(method(visual, 3, 5, **settings)).train(training)
    F.cross_entropy(model(pixels()), torch.tensor([0, 3])).backward()
    for name, p in model.named_parameters():
        if name.startswith("backbone."):
            assert not p.requires_grad and p.grad is None, name
        elif name.startswith("adapters.1.mlp.") and method is STAdapter:  # changes patches that nothing reads any more
            assert not p.grad.any(), name
        elif not name.endswith(".k.bias"):  # which shifts all scores of a query alike: softmax does not see it
            assert p.requires_grad and p.grad.any(), name
    assert all(torch.equal(before[k], v) for k, v in visual.state_dict().items())
    assert model.training == training and not model.backbone.training


@pytest.mark.parametrize(("method", "settings"), VARIANTS)
def test_one_frame_and_one_clip(visual, method, settings):
    model = shaken(method(visual, 1, 5, **settings)).eval()
    both = model(pixels(2, 1))
    assert both.shape == (2, 5) and both.isfinite().all()
    torch.testing.assert_close(model(pixels(2, 1)[:1]), both[:1])


@pytest.mark.parametrize(("method", "settings"), VARIANTS)
def test_clips_do_not_see_each_other_and_frames_do(visual, method, settings):
    model = shaken(method(visual, 3, 5, **settings)).eval()
    x = pixels()
    torch.testing.assert_close(model(x)[1:], model(x[1:]))
    if settings.get("temporal_conv", True):
        assert not torch.allclose(model(x), model(x.flip(1)))
    else:  # without its temporal parts the decoder reads a bag of frames
        torch.testing.assert_close(model(x), model(x.flip(1)))


@pytest.mark.parametrize(("method", "settings"), VARIANTS)
def test_bytes_are_normalised_and_half_precision_runs(visual, method, settings):
    model = method(visual, 3, 5, **settings).eval()
    frames = torch.randint(0, 256, (2, 3, 16, 16, 3), dtype=torch.uint8)
    torch.testing.assert_close(model(frames), model(model.normalise(frames)))
    with torch.autocast("cpu", torch.bfloat16):
        half = model(frames)
    torch.testing.assert_close(half.float(), model(frames), atol=0.05, rtol=0.05)


def test_what_cannot_be_used_is_named(visual):
    with pytest.raises(BadInput, match="open_clip"):
        STAdapter(torch.nn.Linear(3, 3), 3, 5)
    with pytest.raises(BadInput, match="clips of shape"):
        AIM(visual, 3, 5)(pixels(2, 4))
    with pytest.raises(BadInput, match="layers 9"):
        EVL(visual, 3, 5, layers=9)
    with pytest.raises(BadInput, match="places"):
        STAdapter(visual, 3, 5, places=("head",))
    with pytest.raises(BadInput, match="kernel 2"):
        STAdapter(visual, 3, 5, kernel=2)
    with pytest.raises(BadInput, match="temporal_adapters"):
        AIM(visual, 3, 5, temporal_adapters=3)


# --- the pieces, against plain loops ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_convolution_is_a_loop_over_time(frames):
    conv, x = TemporalConv(6), torch.randn(2, frames, 4, 6)
    expected = torch.zeros_like(x)
    for t in range(frames):
        expected[:, t] = conv.bias
        for step, weight in zip((-1, 0, 1), conv.weight[:, 0, :, 0].unbind(1), strict=True):
            if 0 <= t + step < frames:
                expected[:, t] += weight * x[:, t + step]
    torch.testing.assert_close(conv(x), expected)
    with torch.no_grad():
        as_3d = F.conv3d(
            x.permute(0, 3, 1, 2)[..., None], conv.weight[..., None], conv.bias, padding=(1, 0, 0), groups=6
        )
    torch.testing.assert_close(conv(x), as_3d[..., 0].permute(0, 2, 3, 1))


def test_the_adapter_leaves_the_class_token_alone():
    adapter, x = shaken(SpatioTemporalAdapter(8, 4, frames=3)), torch.randn(6, 5, 8)
    out = adapter(x)
    assert torch.equal(out[:, 0], x[:, 0]) and not torch.allclose(out[:, 1:], x[:, 1:])


def test_the_pieces_are_the_image_model_s_own_attention(visual):
    attention, x = visual.transformer.resblocks[0].attn.eval(), torch.randn(3, 5, 24)
    expected = attention(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(self_attention(attention, x), expected)
    torch.testing.assert_close(attend(attention, *project(attention, x)), expected)


def test_attention_over_time_is_a_loop_over_positions(visual):
    attention, x = visual.transformer.resblocks[0].attn.eval(), torch.randn(2 * 3, 5, 24)
    clips = x.unflatten(0, (2, 3))
    expected = torch.stack([attention(y, y, y, need_weights=False)[0] for y in clips.unbind(2)], 2).flatten(0, 1)
    torch.testing.assert_close(over_time(attention, x, 3), expected)


def test_cross_attention_is_a_loop_over_neighbours():
    clips, frames, heads, grid, c, d = 2, 3, 2, (2, 3), 4, 7
    n = grid[0] * grid[1]
    q, k = torch.randn(2, clips * frames, heads, 1 + n, c).unbind()
    module = shaken(TemporalCrossAttention(grid, d))
    out = module(neighbour_maps(q, k, frames))
    expected = torch.zeros(clips, frames, 1 + n, d)
    q, k = q.unflatten(0, (clips, frames)), k.unflatten(0, (clips, frames))
    for t in range(frames):
        for other, table in ((t - 1, module.before), (t + 1, module.after)):
            if not 0 <= other < frames:
                continue
            weights = (q[:, t, :, 1:] @ k[:, other, :, 1:].mT / c**0.5).softmax(-1).mean(1)
            for at in range(n):
                for to in range(n):
                    down, right = at // grid[1] - to // grid[1], at % grid[1] - to % grid[1]
                    row = table[(down + grid[0] - 1) * (2 * grid[1] - 1) + right + grid[1] - 1]
                    expected[:, t, 1 + at] += weights[:, at, to, None] * row
    torch.testing.assert_close(out, expected)
    index = offset_index(*grid)
    assert index.shape == (n, n) and index.min() == 0 and index.max() == 3 * 5 - 1


def test_evl_keeps_nothing_of_the_image_model(visual):
    model, seen = EVL(visual, 3, 5, layers=2), []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: seen.append(x) or x, lambda x: x):
        model.taps(pixels())
    assert not seen


# --- the published counts --------------------------------------------------------------------------------------------

K400, FOUR = 400, {"temporal_adapters": 2}
COUNTS = [  # method, model, frames, views, settings, G multiply-adds, M tunable without classifier
    (STAdapter, "B", 8, 3, {}, 455.3, 7.1),
    (STAdapter, "B", 32, 3, {"places": ("attention", "mlp")}, 1954.7, 14.2),
    (STAdapter, "B", 32, 3, {}, 1821.3, 7.1),
    (STAdapter, "L", 32, 3, {}, 8247.9, 18.9),
    (AIM, "B", 8, 3, FOUR, 623.7, 14.2),
    (AIM, "L", 32, 3, {}, 11240, 37.9),
    (AIM, "L", 32, 3, FOUR, 11550, 50.5),
    (EVL, "B", 8, 3, {}, 454.4, 32.9),
    (EVL, "B", 32, 1, {"cross_attention": False}, 592.6, 28.5),
    (EVL, "L", 8, 3, {}, 2020.5, 58.3),
    (EVL, "L", 32, 3, {"layers": 12}, 8707, 175.2),
]


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return {"B": clip.build(clip.VIT_B16).visual, "L": clip.build(clip.VIT_L14).visual}


@pytest.mark.parametrize(("method", "size", "frames", "views", "settings", "giga", "million"), COUNTS)
def test_published_multiply_adds_and_parameters(full_size, method, size, frames, views, settings, giga, million):
    with torch.device("meta"):
        model = method(full_size[size], frames, K400, **settings)
        ours = cost.cost(model, torch.empty(1, frames, 3, 224, 224), views=views, exclude=("head",))
    assert ours.multiply_adds / 1e9 == pytest.approx(giga, abs=0.06 if giga < 8500 else 1)
    assert ours.tunable / 1e6 == pytest.approx(million, abs=0.06)


def test_evl_s_printed_parameters_need_the_model_without_tables(full_size):
    with torch.device("meta"):
        model = EVL(full_size["B"], 8, K400, cross_attention=False)
    assert cost.tunable_parameters(model) / 1e6 == pytest.approx(28.7, abs=0.05)

"""Slot attention against a loop over frames, iterations and tokens, and against its own symmetries."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minilib.cost import multiply_adds
from minilib.errors import BadInput
from minilib.models.slots import GaussianSlots, LearnedQueries, ProjectedSlotAttention, SlotAttention, slot_step


def attention(features=6, slots=3, width=8, kind=SlotAttention, initial=LearnedQueries, seed=0, **settings):
    torch.manual_seed(seed)
    module = kind(features, initial(slots, width), **settings).double()
    for parameter in module.parameters():  # nothing at its initial zero or one
        nn.init.normal_(parameter, std=0.5)
    return module


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loop(module, frame, slots):
    """One frame (n, c), slots (s, d): each number written out as the papers have it."""
    frame = module.norm_input(frame)
    keys, values = frame @ module.to_k.weight.T, frame @ module.to_v.weight.T
    for _ in range(module.iterations):
        queries = module.norm_slots(slots) @ module.to_q.weight.T
        masks = torch.zeros(len(slots), len(frame), dtype=frame.dtype)
        for j, key in enumerate(keys):
            scores = torch.stack([query @ key / len(key) ** 0.5 for query in queries]).exp()
            masks[:, j] = scores / scores.sum()
        new = []
        for mask, slot in zip(masks, slots, strict=True):
            weight = (mask + 1e-8) / (mask + 1e-8).sum()
            slot = gru(module.gru, sum(w * value for w, value in zip(weight, values, strict=True)), slot)
            new.append(slot if module.mlp is None else slot + module.mlp(slot))
        slots = torch.stack(new)
    return slots, masks


def gru(cell, x, h):
    """Cho et al. 2014, with torch's order of gates."""
    (xr, xz, xn), (hr, hz, hn) = (
        (w @ v + b).chunk(3) for w, v, b in ((cell.weight_ih, x, cell.bias_ih), (cell.weight_hh, h, cell.bias_hh))
    )
    z = (xz + hz).sigmoid()
    return (1 - z) * (xn + (xr + hr).sigmoid() * hn).tanh() + z * h


@pytest.mark.parametrize("kind", [SlotAttention, ProjectedSlotAttention])
@settings(max_examples=20)
@given(
    shape=st.sampled_from([(), (1,), (3,), (2, 3)]),
    count=st.integers(4, 7),
    slots=st.integers(1, 4),
    iterations=st.integers(1, 3),
    mlp=st.sampled_from([None, 0.5, 4]),
)
def test_equals_a_loop_over_frames_slots_and_tokens(kind, shape, count, slots, iterations, mlp):
    module = attention(slots=slots, kind=kind, iterations=iterations, mlp=mlp)
    x = tokens(*shape, count, 6)
    found, masks = module(x)
    assert found.shape == (*shape, slots, 8) and masks.shape == (*shape, slots, count)
    rows = zip(x.reshape(-1, count, 6), found.reshape(-1, slots, 8), masks.reshape(-1, slots, count), strict=True)
    for frame, found_one, masks_one in rows:
        expected = by_loop(module, frame, module.initial.queries)
        torch.testing.assert_close((found_one, masks_one), expected)


def test_masks_are_shares_of_every_token():
    _, masks = attention()(tokens(2, 5, 6))
    torch.testing.assert_close(masks.sum(-2), torch.ones(2, 5, dtype=torch.float64))
    assert masks.min() >= 0 and masks.std() > 0.01  # not merely uniform


def test_one_slot_takes_every_token():
    module = attention(slots=1)
    x = tokens(2, 5, 6)
    found, masks = module(x)
    assert torch.equal(masks, torch.ones_like(masks))
    shuffled = x.flip(1)
    torch.testing.assert_close(module(shuffled)[0], found)


@pytest.mark.parametrize("kind", [SlotAttention, ProjectedSlotAttention])
def test_order_of_tokens_moves_masks_and_leaves_slots(kind):
    module, x = attention(kind=kind, mlp=2), tokens(2, 7, 6)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    (found, masks), (found_moved, masks_moved) = module(x), module(x[:, order])
    torch.testing.assert_close(found_moved, found)
    torch.testing.assert_close(masks_moved, masks[..., order])


def test_order_of_learned_queries_is_order_of_slots():
    module, x = attention(), tokens(2, 7, 6)
    found, masks = module(x)
    turned = copy.deepcopy(module)
    turned.initial.queries.data = module.initial.queries.data.flip(0)
    torch.testing.assert_close(turned(x), (found.flip(1), masks.flip(1)))


def test_learned_queries_see_repeated_frames_alike():
    found, masks = attention()(tokens(1, 1, 5, 6).expand(2, 3, 5, 6))
    for out in (found.flatten(0, 1), masks.flatten(0, 1)):
        torch.testing.assert_close(out, out[:1].expand_as(out))


def test_gaussian_slots_follow_mean_sigma_and_generator():
    initial = GaussianSlots(4000, 3).double()
    initial.mean.data = torch.tensor([1.0, -2.0, 0.0]).double()
    initial.log_sigma.data = torch.tensor([0.0, -1.0, 1.0]).double()
    draw = lambda seed: initial(2, torch.Generator().manual_seed(seed))  # noqa: E731
    slots = draw(0)
    assert slots.shape == (2, 4000, 3)
    torch.testing.assert_close(slots.mean((0, 1)), initial.mean.data, atol=0.1, rtol=0)
    torch.testing.assert_close(slots.std((0, 1)), initial.log_sigma.exp().detach(), rtol=0.05, atol=0)
    assert torch.equal(slots, draw(0)) and not torch.equal(slots, draw(1)) and not torch.equal(slots[0], slots[1])


@pytest.mark.parametrize("kind", [SlotAttention, ProjectedSlotAttention])
def test_gaussian_slots_go_through_the_same_attention(kind):
    module = attention(initial=GaussianSlots, kind=kind).eval()  # drawn in evaluation mode as well
    x, seeded = tokens(2, 5, 6), lambda: torch.Generator().manual_seed(3)
    found, masks = module(x, seeded())
    for i, slots in enumerate(module.initial(2, seeded())):
        torch.testing.assert_close((found[i], masks[i]), by_loop(module, x[i], slots))
    assert not torch.equal(module(x)[0], module(x)[0])


@pytest.mark.parametrize("initial", [LearnedQueries, GaussianSlots])
@pytest.mark.parametrize("train", [True, False])
def test_gradients_reach_every_parameter_and_the_tokens(initial, train):
    module, x = attention(initial=initial, mlp=2).train(train), tokens(2, 5, 6).requires_grad_()
    found, masks = module(x)
    (found.square().sum() + masks.square().sum()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert x.grad.abs().sum(-1).min() > 0


def test_gradients_are_those_of_finite_differences_and_of_the_projected_order():
    module = attention(iterations=2)
    x = tokens(1, 4, 6).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    projected = ProjectedSlotAttention(6, LearnedQueries(3, 8), iterations=2).double()
    projected.load_state_dict(module.state_dict())
    weight = tokens(1, 3, 8, seed=1)
    for model in (module, projected):
        (model(x)[0] * weight).sum().backward()
    for (name, a), b in zip(module.named_parameters(), projected.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_frozen_tokens_and_frozen_slots_stay_so():
    module, x = attention(), tokens(2, 5, 6)
    module.to_k.requires_grad_(False)
    module(x)[0].sum().backward()
    assert x.grad is None and module.to_k.weight.grad is None and module.to_q.weight.grad is not None


def test_a_step_with_nothing_but_arithmetic():
    """Identical slots share every token; the update gets the mean of the values."""
    x, same = tokens(2, 5, 4), torch.ones(2, 3, 4, dtype=torch.float64)
    means, masks = slot_step(same, x, x, query=lambda slots: slots, update=lambda means, slots: means)
    torch.testing.assert_close(masks, torch.full_like(masks, 1 / 3))
    torch.testing.assert_close(means, x.mean(1, keepdim=True).expand_as(means))


def test_a_slot_that_wins_nothing_stays_finite():
    x = tokens(1, 5, 4)
    query = lambda slots: 1e4 * slots  # noqa: E731
    loser = torch.stack([x[0].sum(0), -x[0].sum(0)])[None]
    means, masks = slot_step(loser, x.abs(), x, query, lambda means, slots: means)
    assert means.isfinite().all() and masks.isfinite().all()


def test_half_precision_stays_close():
    module, x = attention(features=16, width=16).float(), tokens(2, 9, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        found, masks = module(x)
    torch.testing.assert_close(found.float(), module(x)[0], atol=0.1, rtol=0.1)
    torch.testing.assert_close(masks.sum(1).float(), torch.ones(2, 9), atol=0.02, rtol=0)


def test_folded_projections_cost_less_and_the_projected_order_costs_what_a_count_by_hand_says():
    slots, width, count, frames = 8, 512, 196, 8
    folded, projected = (kind(width, LearnedQueries(slots, width)) for kind in (SlotAttention, ProjectedSlotAttention))
    x = torch.empty(frames, count, width, device="meta")
    per_iteration = slots * width * width * 7 + 2 * slots * count * width  # q, six GRU products, two with the tokens
    by_hand = frames * (2 * count * width * width + 3 * per_iteration)
    assert multiply_adds(projected, x, layer_norm_cost=0) == by_hand
    saved = frames * (2 * count - 3 * 2 * slots) * width * width
    assert multiply_adds(folded, x, layer_norm_cost=0) == by_hand - saved
    assert sum(p.numel() for p in folded.parameters()) / 1e6 == pytest.approx(2.37, abs=0.005)  # OCA, Table 12: 2.4 M


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu():
    module, x = attention(initial=GaussianSlots), tokens(2, 3, 9, 6)
    seeded = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    expected = module(x, seeded())
    found = module.cuda()(x.cuda(), seeded())
    torch.testing.assert_close(tuple(out.cpu() for out in found), expected)


@pytest.mark.parametrize("initial", [LearnedQueries, GaussianSlots])
def test_bad_input_is_named(initial):
    with pytest.raises(BadInput, match="0 slots of width 8"):
        initial(0, 8)
    with pytest.raises(BadInput, match="0 iterations"):
        SlotAttention(6, initial(3, 8), iterations=0)
    module = SlotAttention(6, initial(3, 8))
    with pytest.raises(BadInput, match="3 slots for 2 tokens"):
        module(torch.zeros(1, 2, 6))
    with pytest.raises(BadInput, match=r"tokens \(1, 4, 5\).*width 6"):
        module(torch.zeros(1, 4, 5))

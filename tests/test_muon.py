"""Muon on networks with convolutions: what it moves, by how much, in whatever order memory is."""

from __future__ import annotations

import copy

import torch
from torch import nn

from minilib.muon import FlatMuon, muon_and_adamw


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(16, 32, 3), nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 4, 3), nn.Flatten())


def step(model, optimizers, x):
    model.zero_grad()
    model(x).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()


def test_kernels_and_matrices_are_muons_and_narrow_ones_are_not():
    model = network()
    muon, adamw = muon_and_adamw(model, 0.02, 0.001)
    assert muon.weights == [model[0].weight] and muon.param_groups[0]["params"][0].shape == (32, 16 * 9)
    rest = {id(p) for p in adamw.param_groups[0]["params"]}
    assert rest == {id(p) for p in model.parameters() if p is not model[0].weight}
    assert [type(each) for each in muon_and_adamw(nn.GroupNorm(4, 32), 0.02, 0.001)] == [torch.optim.AdamW]
    model.requires_grad_(False)[0].weight.requires_grad_(True)
    assert [type(each) for each in muon_and_adamw(model, 0.02, 0.001)] == [FlatMuon]


def test_a_step_is_orthogonal_and_as_long_as_one_of_adamw():
    model, x = network(), torch.randn(2, 16, 8, 8)
    before = {name: value.clone() for name, value in model.named_parameters()}
    step(model, muon_and_adamw(model, 0.02, 0.001), x)
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())
    moved = (model[0].weight - before["0.weight"]).flatten(1)
    values = torch.linalg.svdvals(moved)
    assert values.max() / values.min() < 3  # the gradient's own differ by far more
    gradient = torch.linalg.svdvals(model[0].weight.grad.flatten(1))
    assert gradient.max() / gradient.min() > 10
    assert 0.1 * 0.02 < moved.square().mean().sqrt() < 0.4 * 0.02


def test_the_order_of_memory_changes_nothing_and_states_are_kept():
    x, plain = torch.randn(2, 16, 8, 8), network()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    first, second = (muon_and_adamw(model, 0.02, 0.001) for model in (plain, last))
    for _ in range(2):
        step(plain, first, x)
        step(last, second, x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain[0].weight, last[0].weight, rtol=0.02, atol=2e-3)

    again = copy.deepcopy(plain)
    third = muon_and_adamw(again, 0.02, 0.001)
    for old, new in zip(first, third, strict=True):
        new.load_state_dict(copy.deepcopy(old.state_dict()))
    step(plain, first, x)
    step(again, third, x)
    torch.testing.assert_close(plain.state_dict(), again.state_dict(), rtol=0, atol=1e-4)

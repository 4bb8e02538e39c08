"""Whole runs on a second device: nothing of a study is left on the CPU, and no training step waits for the device.

The device is `tests.second_device`, so no GPU is needed; one variant of each kind of model, objective and feed.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch

from minilib import training
from minilib.study import Trial, embedded, stages
from minilib.study.study import load_study
from tests.second_device import NAME, MixedDevices, SecondDevice

ONE_OF_A_KIND = [
    ("zeroi2v", "temporal_heads_only"),
    ("dist", "timing/dist"),
    ("object_centric", "oca"),
    ("victr", "long/directions3/victr"),
    ("victr", "zeroshot/xclip"),
    ("coarse_fine", "coarse_fine"),
    ("detection_pretraining", "vf"),
]


@pytest.fixture(autouse=True)
def plain_steps_and_own_caches(tmp_path_factory, monkeypatch):
    """Steps as they stand, not recorded by CUDA, and batches made in this thread; caches in folders that all tests here
    share."""
    monkeypatch.setattr(training, "Recorded", lambda step, optimizer, device: step)
    autocast = torch.autocast  # knows no `meta`
    plain = nullcontext()
    monkeypatch.setattr(
        torch,
        "autocast",
        lambda device, *a, enabled=True: plain if device == NAME else autocast(device, *a, enabled=enabled),
    )
    monkeypatch.setattr(training, "ahead", lambda batches, steps, device: map(batches, steps))
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(embedded, "FOLDER", base / "second embeddings")
    monkeypatch.setattr(stages, "FOLDER", base / "second stages")
    monkeypatch.setattr(stages, "device_name", lambda device: device)


def waits_of_training(device: SecondDevice) -> list[str]:
    """Operators that a training step waited for, and where; losses are looked at in blocks, and that is allowed."""
    found = []
    for operator, calls in device.waits:
        names = {call.name for call in calls}
        if "plain_step" in names and "look" not in names:
            ours = [f"{call.filename}:{call.lineno}" for call in calls if "minilib" in call.filename]
            found.append(f"{operator} at {ours[-1]}")
    return found


@pytest.mark.parametrize(("paper", "name"), ONE_OF_A_KIND)
def test_a_run_stays_on_its_device_and_waits_for_nothing(paper, name):
    study = load_study(paper).smoke()
    recipe = next(recipe for recipe, grid in study.grids.items() if name in grid)
    recipe = getattr(study.recipes[recipe], "recipe", study.recipes[recipe])
    with SecondDevice() as device:
        outcome = study.variants[name].run(recipe, Trial(0, NAME))
    assert all(math.isfinite(value) for value in outcome.metrics.values())
    assert not waits_of_training(device)


# --- the device itself -----------------------------------------------------------------------------------------------


def test_numbers_of_the_second_device_are_those_of_the_cpu():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(4, 3), torch.randn(5, 4)
    want = layer(x).square().mean()
    want.backward()
    slope = layer.weight.grad.clone()
    with SecondDevice():
        layer.to(NAME).zero_grad()
        loss = layer(x.to(NAME)).square().mean()
        loss.backward()
        assert loss.device.type == NAME and layer.weight.grad.device.type == NAME
        assert torch.allclose(loss.cpu(), want) and torch.allclose(layer.weight.grad.cpu(), slope)


def test_tensors_of_both_devices_are_refused_but_single_numbers_are_not():
    with SecondDevice():
        x = torch.ones(3, device=NAME)
        assert (x * torch.tensor(2.0)).cpu().tolist() == [2, 2, 2]
        assert (x + torch.tensor([1.0, 2.0, 3.0], device=NAME)).cpu().tolist() == [2, 3, 4]
        with pytest.raises(MixedDevices):
            x + torch.ones(3)
        with pytest.raises(MixedDevices):
            torch.nn.functional.linear(x, torch.ones(2, 3))
        with pytest.raises((MixedDevices, RuntimeError)):
            torch.randn(3, device=NAME, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.max() > 0),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.cpu(),
        lambda x: x[torch.tensor([0, 2])],
    ],
)
def test_what_a_gpu_would_wait_for_is_noted(waits):
    with SecondDevice() as device:
        x = torch.ones(3, device=NAME)
        assert not device.waits
        torch.where(x > 0, x, 0).sum()
        x[torch.tensor([0, 2], device=NAME)]
        assert not device.waits
        waits(x)
    assert device.waits

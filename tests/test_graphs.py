"""Recorded training steps: the numbers of plain ones, and plain where recording would be wrong."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from minilib.graphs import Recorded, kinds, parts_of
from minilib.models.clip import FrameFeatures
from minilib.papers.dist.small import Inputs
from minilib.training import TrainSettings, train

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SETTINGS = TrainSettings(steps=24, batch=4, lr=1e-2, warmup=4)


def test_what_a_model_takes_is_taken_apart():
    x, y = torch.ones(2), torch.zeros(3)
    assert parts_of(x) == ([x], [])
    tensors, values = parts_of((Inputs(x, 2, FrameFeatures(y, y)), x))
    assert [t.shape for t in tensors] == [(2,), (3,), (3,), (2,)] and 2 in values
    assert kinds(parts_of(Inputs(x, 2))) == kinds(parts_of(Inputs(x + 1, 2)))
    others = Inputs(x, 3), Inputs(y, 2), Inputs(x, 2, FrameFeatures(y, y)), Inputs(x.double(), 2), [x, 2, None, 1]
    assert all(kinds(parts_of(other)) != kinds(parts_of(Inputs(x, 2))) for other in others)
    assert parts_of({"x": x}) is None and parts_of((x, {1})) is None


@dataclasses.dataclass(frozen=True)
class Batches:
    size: int = 4

    def __call__(self, step: int):
        generator = torch.Generator().manual_seed(step)
        return torch.randn(self.size, 6, generator=generator), torch.randint(3, (self.size,), generator=generator)


class Scorer(nn.Module):
    def __init__(self, middle: nn.Module):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), middle, nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


class CpuNoise(nn.Module):
    def forward(self, x):
        return x + torch.rand(()).item()


class Waits(nn.Module):
    def forward(self, x):
        return x * float(x.detach().abs().max() > 0)


@GPU
def test_recorded_losses_are_those_of_plain_steps(monkeypatch):
    graph = Scorer(nn.GELU())
    recorded = train(graph, Batches(), SETTINGS, 3, "cuda").loss
    replays = []
    monkeypatch.setattr(Recorded, "record", lambda *_: replays.append(1) and False)
    plain = Scorer(nn.GELU())
    assert train(plain, Batches(), SETTINGS, 3, "cuda").loss == pytest.approx(recorded, rel=1e-4)
    assert len(replays) == 1  # it would have been recorded
    for name, x in plain.state_dict().items():
        torch.testing.assert_close(graph.state_dict()[name], x, rtol=1e-3, atol=1e-4, msg=name)
    cpu = train(Scorer(nn.GELU()), Batches(), SETTINGS, 3, "cpu").loss
    assert recorded == pytest.approx(cpu, rel=1e-2)


@GPU
@pytest.mark.parametrize("middle", [CpuNoise(), Waits()])
def test_what_draws_on_the_cpu_or_waits_stays_plain(middle, monkeypatch):
    def never(*_):
        raise AssertionError("recorded")

    monkeypatch.setattr(Recorded, "record", never)
    assert len(train(Scorer(middle), Batches(), SETTINGS, 3, "cuda").loss) == SETTINGS.steps


@GPU
def test_a_recorded_run_resumes(tmp_path):
    whole = train(Scorer(nn.GELU()), Batches(), SETTINGS, 3, "cuda").loss

    def stops(step: int):
        if step == 15:
            raise KeyboardInterrupt
        return Batches()(step)

    path = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train(Scorer(nn.GELU()), stops, SETTINGS, 3, "cuda", path, every=6)
    again = train(Scorer(nn.GELU()), Batches(), SETTINGS, 3, "cuda", path, every=6)
    assert again.loss == pytest.approx(whole, rel=1e-4)

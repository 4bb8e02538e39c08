"""A training by the clock: it stops, goes on with the same numbers, keeps averages, and says what went wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from minilib import timed_training
from minilib.errors import BadInput
from minilib.timed_training import AVERAGE, Budget, Forgetting, History, Training, read_history, train_for


class Toy:
    """A linear map that should become a sum; `stop` steps, then a key is pressed."""

    def __init__(self, stop: int | None = None):
        torch.manual_seed(0)
        self.model, self.losses, self.stop = nn.Linear(4, 1), [], stop
        self.rates = []

    def loss(self, step, passed):
        if len(self.losses) == self.stop:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        found = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        self.losses.append(found.item())
        return found

    def rate(self, step, passed):
        self.rates.append((step, passed))
        return 1 - passed

    def training(self, lr=0.1):
        average = AveragedModel(self.model, multi_avg_fn=Forgetting(0.9))
        weight, bias = self.model.parameters()
        optimizers = [torch.optim.AdamW([weight], lr=lr), torch.optim.SGD([bias], lr=lr, momentum=0.9)]
        return Training(self.model, self.loss, optimizers, self.rate, average)


def weights(training):
    return [value.clone() for part in (training.model, training.average.module) for value in part.state_dict().values()]


def test_a_stopped_training_goes_on_with_the_same_numbers(tmp_path):
    checkpoint, budget = tmp_path / "toy.pt", Budget(1e6, every=0.0, steps=10)
    whole, first, again = Toy(), Toy(stop=5), Toy()
    trainings = [toy.training() for toy in (whole, first, again)]
    history = train_for(trainings[0], budget)
    with pytest.raises(KeyboardInterrupt):
        train_for(trainings[1], budget, checkpoint)
    assert read_history(checkpoint).step == 5 and not read_history(checkpoint).done
    train_for(trainings[2], budget, checkpoint)
    assert first.losses + again.losses == whole.losses and first.rates[:5] + again.rates == whole.rates
    assert all(torch.equal(a, b) for a, b in zip(weights(trainings[0]), weights(trainings[2]), strict=True))
    there = read_history(checkpoint)
    assert there.done and there.step == 10 and [each[1] for each in there.losses] == list(range(1, 11))
    assert [each[2] for each in there.losses] == pytest.approx(whole.losses) and len(history.losses) == 10

    later = Toy()  # nothing is left to do
    train_for(later.training(), budget, checkpoint)
    assert not later.losses


def test_rates_are_parts_of_the_highest_of_each_group(tmp_path):
    toy, budget = Toy(), Budget(1e6, every=0.0, steps=4)
    training = toy.training()
    train_for(training, budget, tmp_path / "toy.pt")
    assert toy.rates == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert [each.param_groups[0]["lr"] for each in training.optimizers] == pytest.approx([0.025, 0.025])
    longer = Toy()  # a checkpoint keeps the rate of its last step, which is not the highest
    train_for(longer.training(), Budget(1e6, steps=8), tmp_path / "toy.pt")
    assert longer.rates[0] == (4, 0.5)


def test_the_loss_of_a_checkpoint_is_the_mean_since_the_one_before():
    toy = Toy()
    history = train_for(toy.training(), Budget(1e6, every=1e6, steps=6))
    assert history.losses == [(history.seconds, 6, pytest.approx(sum(toy.losses) / 6))]


class Clock:
    """Each look takes half a second."""

    now = 0.0

    def monotonic(self):
        self.now += 0.5
        return self.now


def test_time_ends_a_training_and_checkpoints_come_by_the_clock(monkeypatch):
    monkeypatch.setattr(timed_training, "time", Clock())
    looks, toy = [], Toy()
    history = train_for(toy.training(), Budget(5.0, every=1.6), look=lambda history: looks.append(history.step))
    assert history.done and history.seconds == 5.0 and len(toy.losses) == 10
    assert looks == [4, 8, 10] and toy.rates[2] == (2, pytest.approx(0.2))


def test_a_look_comes_before_its_checkpoint(tmp_path):
    """So that nobody finds a checkpoint of weights that were not judged."""
    found, checkpoint = [], tmp_path / "toy.pt"
    train_for(Toy().training(), Budget(1e6, steps=2), checkpoint, lambda history: found.append(checkpoint.exists()))
    assert found == [False] and checkpoint.exists()


def test_averaged_weights_are_soon_near_the_model_however_long_their_memory():
    model = nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, multi_avg_fn=Forgetting(0.999))
    nn.init.zeros_(model.weight)
    average.update_parameters(model)
    nn.init.ones_(model.weight)
    for _ in range(30):
        average.update_parameters(model)
    assert average.module.weight.item() > 0.99
    fast = [torch.zeros(1)]
    Forgetting(0.5)(fast, [torch.ones(1)], 10**6)
    assert fast[0].item() == 1 - 0.5**AVERAGE


def test_a_loss_that_is_not_finite_is_said_and_the_last_checkpoint_stays(tmp_path):
    toy, checkpoint = Toy(), tmp_path / "toy.pt"
    train_for(toy.training(), Budget(1e6, steps=2), checkpoint)
    toy.loss = lambda step, passed: toy.model.weight.sum() * float("nan")
    before = checkpoint.read_bytes()
    with pytest.raises(BadInput, match="toy: the loss is not finite at step 20; a lower rate"):
        train_for(toy.training(), Budget(1e6, every=1e6, steps=40), checkpoint, name="toy")
    with pytest.raises(BadInput, match="not finite at step 3"):
        train_for(toy.training(), Budget(1e6, steps=3), checkpoint)
    assert checkpoint.read_bytes() == before


def test_a_checkpoint_of_something_else_is_said(tmp_path):
    torch.save({"module": {}, "seconds": 1.0}, tmp_path / "other.pt")
    with pytest.raises(BadInput, match="other.pt: not a checkpoint of this training; remove it"):
        train_for(Toy().training(), Budget(1.0), tmp_path / "other.pt")
    assert read_history(tmp_path / "none.pt") == History()


def test_gradients_are_clipped_and_the_average_follows_every_fourth_step():
    model = nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, multi_avg_fn=lambda averaged, current, updates: averaged[0].copy_(current[0]))
    start, seen = model.weight.item(), []

    def loss(step, passed):
        seen.append(average.module.weight.item())
        return 1000 * model.weight.sum()

    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    train_for(Training(model, loss, [sgd], lambda step, passed: 1.0, average), Budget(1e6, steps=AVERAGE + 2))
    assert model.weight.item() == pytest.approx(start - 0.5 * (AVERAGE + 2))
    assert seen[:AVERAGE] == [start] * AVERAGE and seen[AVERAGE] == pytest.approx(start - 0.5 * AVERAGE)
    assert seen[AVERAGE + 1] == seen[AVERAGE]

"""The training loop: what it trains, what it leaves, and that a run that stopped ends like one that did not."""

import contextlib
from dataclasses import replace

import pytest
import torch
from torch import nn

from minilib.errors import BadInput
from minilib.training import TrainSettings, accuracy, augmentation, evaluate, scores, train

SETTINGS = TrainSettings(steps=6, batch=4, lr=1e-2, warmup=2)


class Tiny(nn.Module):
    """Frames uint8 (b, t, h, w, 3) -> scores (b, 3), with dropout so that the random state matters."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.frozen, self.dropout, self.head = nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3)
        self.frozen.requires_grad_(False)

    def normalise(self, frames):
        return frames.movedim(-1, -3) / 255.0

    def forward(self, frames):
        frames = frames if frames.is_floating_point() else self.normalise(frames)
        return self.head(self.dropout(self.frozen(frames.mean((1, 3, 4))).relu()))


def batches(step):
    generator = torch.Generator().manual_seed(step)
    label = torch.randint(3, (4,), generator=generator)
    frames = torch.randint(0, 80, (4, 2, 8, 8, 3), generator=generator)
    frames[torch.arange(4), :, :, :, label] += 150
    return frames.to(torch.uint8), label


def trained(tmp_path=None, settings=SETTINGS, **how):
    model = Tiny()
    history = train(model, batches, settings, 3, checkpoint=tmp_path and tmp_path / "run.pt", **how)
    return model, history


def test_it_learns_and_leaves_what_is_frozen():
    model, history = trained(settings=replace(SETTINGS, steps=150))
    assert torch.equal(model.frozen.weight, Tiny().frozen.weight)
    score, truth = evaluate(model, (([f], y) for f, y in map(batches, range(1000, 1010))))
    assert accuracy(score, truth) > 90
    assert sum(history.loss[-10:]) < sum(history.loss[:10])


def test_same_seed_same_numbers_another_seed_others():
    (a, one), (b, two) = trained(), trained()
    assert one.loss == two.loss and torch.equal(a.head.weight, b.head.weight)
    assert trained(settings=replace(SETTINGS, seed=1))[1].loss != one.loss


class Rows(tuple):
    """Not frames: anything with `to`."""

    def to(self, device, non_blocking=False):
        return Rows(part.to(device) for part in self)


def test_an_objective_sees_model_input_and_labels():
    layer, x, y = nn.Linear(2, 1), torch.randn(16, 2), torch.randn(16)
    squares = lambda model, rows, target: (model(rows[0] + rows[1]).squeeze(-1) - target).square().mean()  # noqa: E731
    settings = TrainSettings(steps=200, batch=16, lr=0.05, weight_decay=0.0)
    history = train(layer, lambda step: (Rows((x, x)), y), settings, 1, objective=squares)
    design = torch.cat([2 * x, torch.ones(16, 1)], 1)
    best = (design @ torch.linalg.lstsq(design, y[:, None]).solution).squeeze(-1)
    assert history.loss[-1] == pytest.approx(float((best - y).square().mean()), rel=1e-2)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path, stop):
    whole, history = trained()

    def interrupted(step):
        if step == stop:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), interrupted, SETTINGS, 3, checkpoint=tmp_path / "run.pt", every=1)
    resumed, rest = trained(tmp_path)
    assert torch.equal(resumed.head.weight, whole.head.weight)
    assert rest.loss == history.loss
    again, same = trained(tmp_path)  # a finished run is not trained twice
    assert same.loss == history.loss and torch.equal(again.head.weight, whole.head.weight)


class Normed(Tiny):
    """Learns statistics beside its parameters."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, frames):
        level = frames.float().mean((1, 2, 3, 4))[:, None]
        return super().forward(frames) + self.norm(level)


@pytest.mark.parametrize("stop", [2, SETTINGS.steps])
def test_a_norms_statistics_are_resumed_too(tmp_path, stop):
    torch.manual_seed(0)
    whole = Normed()
    train(whole, batches, SETTINGS, 3)

    def interrupted(step):
        if step == stop:
            raise KeyboardInterrupt
        return batches(step)

    torch.manual_seed(0)
    with contextlib.suppress(KeyboardInterrupt):
        train(Normed(), interrupted, SETTINGS, 3, checkpoint=tmp_path / "run.pt", every=1)
    torch.manual_seed(0)
    resumed = Normed()
    train(resumed, batches, SETTINGS, 3, checkpoint=tmp_path / "run.pt", every=1)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_checkpoint_of_another_recipe_or_model_is_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(BadInput, match="another recipe"):
        trained(tmp_path, settings=replace(SETTINGS, lr=1e-3))
    other = Tiny()
    other.frozen.requires_grad_(True)
    with pytest.raises(BadInput, match="other tensors"):
        train(other, batches, SETTINGS, 3, checkpoint=tmp_path / "run.pt")


def test_a_garbage_checkpoint_is_named(tmp_path):
    (tmp_path / "run.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(BadInput, match="run.pt"):
        trained(tmp_path)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    trained(tmp_path)
    before = (tmp_path / "run.pt").read_bytes()

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(BadInput, match="No space left"):
        train(Tiny(), batches, replace(SETTINGS), 3, checkpoint=tmp_path / "new.pt")
    assert not (tmp_path / "new.pt").exists() and not list(tmp_path.glob("*.part"))
    assert (tmp_path / "run.pt").read_bytes() == before


def test_nothing_to_train_and_divergence_are_said():
    model = Tiny().requires_grad_(False)
    with pytest.raises(BadInput, match="every parameter is frozen"):
        train(model, batches, SETTINGS, 3)
    model = Tiny()
    nn.init.constant_(model.head.bias, float("nan"))
    with pytest.raises(BadInput, match="smaller learning rate"):
        train(model, batches, SETTINGS, 3)
    with pytest.raises(BadInput, match="precision 'int3'"):
        train(Tiny(), batches, replace(SETTINGS, precision="int3"), 3)


def test_every_augmentation_of_the_recipes_runs_and_keeps_frames_together():
    settings = replace(SETTINGS, mixup=0.8, cutmix=1.0, smoothing=0.1, rand_augment=(4, 7), erasing=1.0, flip=1.0)
    _, history = trained(settings=settings)
    assert len(history.loss) == SETTINGS.steps
    still = torch.randint(0, 255, (2, 1, 8, 8, 3), dtype=torch.uint8).expand(2, 5, 8, 8, 3)
    torch.manual_seed(0)
    changed = augmentation(replace(settings, erasing=0.0))(still)
    assert changed.dtype == torch.uint8 and changed.shape == still.shape
    assert (changed == changed[:, :1]).all(), "all frames of a clip must be changed alike"
    assert not torch.equal(changed, still)
    assert torch.equal(augmentation(replace(SETTINGS, flip=1.0))(still), still.flip(3))


def test_views_are_averaged_as_probabilities_in_evaluation_mode():
    model = Tiny()
    a, b = batches(0)[0], batches(1)[0]
    got = scores(model, [a, b])
    model.eval()
    with torch.no_grad():
        want = (model(a).softmax(-1) + model(b).softmax(-1)) / 2
    assert torch.allclose(got, want)
    assert torch.allclose(got.sum(-1), torch.ones(4))


def test_bfloat16_is_close_to_float32():
    _, full = trained()
    _, half = trained(settings=replace(SETTINGS, precision="bf16"))
    assert full.loss == pytest.approx(half.loss, abs=0.05)

"""The training loop: what it trains, what it leaves, and that a run that stopped ends like one that did not."""

import contextlib
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from minilib import training
from minilib.errors import BadInput
from minilib.resume import LOOK_EVERY, History, Losses
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


CHANGES = {
    "steps": 5,
    "lr": 2e-2,
    "weight_decay": 0.5,
    "betas": (0.5, 0.6),
    "warmup": 4,
    "smoothing": 0.2,
    "mixup": 0.8,
    "cutmix": 1.0,
    "rand_augment": (2, 9),
    "erasing": 1.0,
    "flip": 1.0,
    "clip_grad": 1e-3,
    "precision": "bf16",
    "seed": 1,
}


class Slanted(Tiny):
    """As Tiny, but sees left and right apart, so that a flip shows, and early and late; without dropout, so that only
    the recipe draws."""

    def forward(self, frames):
        frames = frames if frames.is_floating_point() else self.normalise(frames)
        ramp = torch.linspace(0, 2, frames.shape[-1]) * torch.linspace(0.5, 1.5, frames.shape[1]).view(-1, 1, 1, 1)
        return self.head(self.frozen((frames * ramp).mean((1, 3, 4))).relu())


@pytest.mark.parametrize("knob", CHANGES)
def test_every_knob_of_a_recipe_reaches_the_run(knob):
    def run(settings):
        model = Slanted()
        model.dropout = nn.Dropout(0.5 if knob == "seed" else 0.0)
        return train(model, lopsided, settings, 3).loss, model.head.weight.detach().clone()

    def lopsided(step):
        frames, label = batches(step)
        return (frames * torch.linspace(0.2, 1, 8).view(1, 1, 1, 8, 1)).to(torch.uint8), label

    if knob == "seed":  # nothing else of this run draws, so it needs an augmentation to show
        settings = replace(SETTINGS, erasing=0.5)
    else:
        settings = SETTINGS
    (plain, before), (changed, after) = run(settings), run(replace(settings, **{knob: CHANGES[knob]}))
    assert plain != changed or not torch.equal(before, after)
    assert run(settings)[0] == plain


def test_a_run_equals_a_plain_loop():
    """AdamW with decay on matrices alone, linear warm-up from a tenth of the rate, cosine to nothing, clipped norms."""
    settings = replace(SETTINGS, steps=5, weight_decay=0.3, clip_grad=0.05, smoothing=0.1)
    ours, plain = Slanted(), Slanted()
    history = train(ours, batches, settings, 3)
    groups = [{"params": [plain.head.weight], "weight_decay": 0.3}, {"params": [plain.head.bias], "weight_decay": 0.0}]
    optimizer, losses = torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas), []
    for step in range(settings.steps):
        share = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        rate = settings.lr * (share if step >= settings.warmup else 0.1 + 0.9 * step / settings.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        frames, label = batches(step)
        loss = nn.functional.cross_entropy(plain(frames), label, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([plain.head.weight, plain.head.bias], 0.05)
        optimizer.step()
        losses.append(loss.item())
    assert history.loss == pytest.approx(losses, rel=1e-6)
    assert torch.allclose(ours.head.weight, plain.head.weight, atol=1e-7)


@pytest.mark.parametrize("knob", ["mixup", "cutmix"])
def test_mixing_repeats_and_resumes(tmp_path, knob):
    settings = replace(SETTINGS, **{knob: 0.8})
    np.random.seed(7)  # noqa: NPY002  (what a process did before must not matter)
    whole, history = trained(settings=settings)
    assert trained(settings=settings)[1].loss == history.loss

    def interrupted(step):
        if step == 3:
            raise KeyboardInterrupt
        return batches(step)

    with pytest.raises(KeyboardInterrupt):
        train(Tiny(), interrupted, settings, 3, checkpoint=tmp_path / "run.pt", every=1)
    np.random.rand(5)  # noqa: NPY002
    resumed, rest = trained(tmp_path, settings=settings)
    assert rest.loss == history.loss and torch.equal(resumed.head.weight, whole.head.weight)


def test_smoothing_that_an_objective_would_ignore_is_refused():
    settings = replace(SETTINGS, smoothing=0.1)
    loss = nn.CrossEntropyLoss()
    with pytest.raises(BadInput, match="give it to the objective"):
        train(Tiny(), batches, settings, 3, objective=lambda model, x, y: loss(model(x), y))
    mixed = replace(settings, mixup=0.5)  # mixed labels carry their smoothing
    seen = []
    train(Tiny(), batches, mixed, 3, objective=lambda model, x, y: seen.append(y) or loss(model(x), y))
    assert seen[0].min() == pytest.approx(0.1 / 3)
    seen.clear()
    train(
        Tiny(),
        batches,
        replace(mixed, smoothing=0.3),
        3,
        objective=lambda model, x, y: seen.append(y) or loss(model(x), y),
    )
    assert seen[0].min() == pytest.approx(0.3 / 3)


def test_a_loss_that_is_not_finite_changes_nothing_and_names_its_step(tmp_path):
    model = Tiny()

    def poisoned(step):
        if step == 3:
            nn.init.constant_(model.head.bias, float("inf"))
        return batches(step)

    with pytest.raises(BadInput, match="at step 3"):
        train(model, poisoned, SETTINGS, 3, checkpoint=tmp_path / "run.pt", every=2)
    assert torch.load(tmp_path / "run.pt", weights_only=True)["step"] == 2
    assert model.head.weight.isfinite().all()


def test_losses_on_a_gpu_are_looked_at_in_blocks():
    history = History([], 0.0)
    losses = Losses(history, 0.1)
    for step in range(LOOK_EVERY + 3):
        losses.pending.append(torch.tensor(float(step)))
    losses.look()
    assert history.loss == [float(step) for step in range(LOOK_EVERY + 3)] and not losses.pending
    losses.pending += [torch.tensor(1.0), torch.tensor(float("nan")), torch.tensor(float("inf"))]
    with pytest.raises(BadInput, match=f"nan at step {LOOK_EVERY + 4}"):
        losses.look()


def test_recipes_scale():
    settings = replace(SETTINGS, steps=100, warmup=10)
    assert settings.at_rate(3.0) == replace(settings, lr=settings.lr * 3)
    assert settings.for_share(1 / 3) == replace(settings, steps=33, warmup=3)
    assert settings.with_seed(4).seed == 4 and settings.smoke().steps == 4
    assert SETTINGS.for_share(0.01).steps == 1


def test_a_checkpoint_of_another_program_is_named(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "run.pt")
    with pytest.raises(BadInput, match="not one of this training loop"):
        trained(tmp_path)


def test_checkpoints_are_written_as_often_as_asked_and_at_the_end(tmp_path, monkeypatch):
    steps = []
    plain = training.save_state
    monkeypatch.setattr(
        training, "save_state", lambda path, step, *rest: steps.append(step) or plain(path, step, *rest)
    )
    train(Tiny(), batches, SETTINGS, 3, checkpoint=tmp_path / "run.pt", every=2)
    assert steps == [2, 4, 6]
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    assert state["step"] == 6 and len(state["loss"]) == 6 and "scaler" in state


def test_a_run_counts_the_seconds_of_its_earlier_parts(tmp_path, monkeypatch):
    clock = iter([100.0, 107.0, 500.0, 502.0])
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert trained(tmp_path)[1].seconds == 7.0
    assert trained(tmp_path)[1].seconds == 9.0


def test_evaluation_takes_the_precision_and_the_views_that_it_is_given(monkeypatch):
    asked = []
    monkeypatch.setattr(training, "scores", lambda *given: asked.append(given[1:]) or torch.eye(3)[:2])
    score, truth = evaluate(Tiny(), [("views", torch.tensor([0, 2]))] * 2, "cpu", "bf16")
    assert asked == [("views", "cpu", "bf16")] * 2 and score.shape == (4, 3) and truth.tolist() == [0, 2, 0, 2]
    assert accuracy(score, truth) == 50.0


def test_views_are_averaged_as_probabilities_in_evaluation_mode():
    model = Slanted()
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


def test_without_a_norm_to_clip_at_gradients_stay_as_they_are():
    losses = [trained(settings=replace(SETTINGS, clip_grad=norm))[1].loss for norm in (0.0, 1e6, 1e-3)]
    assert losses[0] == losses[1] != losses[2]


class Faster(nn.Module):
    """Two weights, of which the second learns at ten times the rate."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))

    def forward(self, x):
        return x.float().flatten(1)[:, :2] @ (self.a + self.b)

    def parameter_groups(self):
        return [{"params": [self.a]}, {"params": [self.b], "lr_scale": 10.0}]


def test_a_model_may_say_which_of_its_parameters_learn_faster():
    model = Faster()
    frames, label = torch.ones(4, 1, 2, 2, 1).byte(), torch.zeros(4, dtype=torch.int64)
    train(model, lambda step: (frames, label), TrainSettings(steps=1, batch=4, lr=1e-3, warmup=0, weight_decay=0.0), 2)
    moved = [float((1 - each.detach()).abs().mean()) for each in (model.a, model.b)]  # Adam's first step is the rate
    assert moved[0] == pytest.approx(1e-3, rel=0.01) and moved[1] == pytest.approx(1e-2, rel=0.01)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_checkpoints_do_not_know_what_wraps_a_model(tmp_path, wrap):
    model, whole = Tiny(), trained(tmp_path)[0]
    history = train(wrap(model), batches, SETTINGS, 3, checkpoint=tmp_path / "wrapped.pt")
    assert torch.equal(model.head.weight, whole.head.weight)
    files = [torch.load(tmp_path / name, weights_only=True)["model"] for name in ("run.pt", "wrapped.pt")]
    assert files[0].keys() == files[1].keys() == {"head.weight", "head.bias"}
    bare = Tiny()
    again = train(bare, batches, SETTINGS, 3, checkpoint=tmp_path / "wrapped.pt")  # goes on without the wrapper
    assert again.loss == history.loss and torch.equal(bare.head.weight, model.head.weight)
    wrapped = wrap(Tiny())
    train(wrapped, batches, SETTINGS, 3, checkpoint=tmp_path / "run.pt")
    assert torch.equal(list(wrapped.parameters())[2], whole.head.weight)


def test_model_and_loss_are_compiled_as_one_when_asked(monkeypatch):
    whole, plain = trained(), nn.Module.compile
    compiled = []

    def eagerly(module):
        compiled.append(type(module).__name__)
        plain(module, backend="aot_eager", fullgraph=True)

    monkeypatch.setattr(nn.Module, "compile", eagerly)
    assert trained()[1].loss == whole[1].loss and compiled == []
    settings = replace(SETTINGS, smoothing=0.1)
    _, history = trained(settings=settings, compiled=True)
    assert compiled == ["WithLoss"]
    np.testing.assert_allclose(history.loss, trained(settings=settings)[1].loss, rtol=1e-4)

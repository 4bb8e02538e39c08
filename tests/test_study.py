"""The frame of all experiments: what makes a row, in which order, and what its key knows."""

import contextlib
from dataclasses import dataclass, field, fields, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from minilib.claims import Measurements, load
from minilib.claims.reasons import APART, NO_HALF
from minilib.claims.rows import append_rows
from minilib.claims.verdicts import judge
from minilib.errors import BadInput
from minilib.resume import Diverged, History
from minilib.settings import declared, describe, key
from minilib.study import Clips, RandomLabels, ShuffledFrames, Study, Trial, Tuned, Variant, WorldTask, damaged
from minilib.study.expected import STEPS, UNKNOWN, expected, seconds_of
from minilib.study.feeds import Kept, pair_metric, random_labels
from minilib.study.plan import first_looks, lacks, ranked, wanted
from minilib.study.work import alone, rows_of
from minilib.training import TrainSettings
from minilib.world import WorldClips, shuffled, train_batches

RECIPE = TrainSettings(steps=4, batch=4, lr=1e-2, warmup=1)
TASK = WorldTask(frames=2, train=8, test=8)


class Mean(nn.Module):
    """Frames uint8 (b, t, h, w, 3) -> scores, by one linear layer on the mean colour."""

    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(3, classes)

    def forward(self, frames):
        return self.head(frames.float().mean((1, 2, 3)) / 255)


def mean_model(feed, classes=12):
    return Mean(classes)


def fewer(feed):
    return Mean(12)


def more(model, feed, device):
    return {"norm": model.head.weight.norm().item()}


def other_loss(model, frames, target):
    return nn.functional.cross_entropy(2 * model(frames), target)


@dataclass(frozen=True)
class Weighted:
    """An objective with a weight."""

    weight: float = 1.0

    def __call__(self, model, frames, target):
        return self.weight * nn.functional.cross_entropy(model(frames), target)


@dataclass(frozen=True)
class SaysSo(Variant):
    """Knows how long it takes."""

    step_seconds: float = field(default=2.5, compare=False)


VARIANTS = {
    "plain": Variant(mean_model, TASK),
    "also": Variant(mean_model, TASK, also=more),
    "weighted": Variant(mean_model, TASK, Weighted(0.5)),
    "shuffled": Variant(mean_model, replace(TASK, control="frames")),
    "wrong": Variant(mean_model, replace(TASK, control="labels")),
}
STUDY = Study(
    "toy",
    VARIANTS,
    recipes={"grid": RECIPE, "tuned": Tuned(replace(RECIPE, steps=6))},
    grids={"grid": tuple(VARIANTS), "tuned": ("plain",)},
)


CLAIMS = """
experiment: 1
tasks:
  motion:
    chance: 8.3333
    oracle: 100
    positive: {better: grid/plain, worse: chance}
    negative: {better: grid/wrong, worse: chance}
printed: {plain: 60, also: 58, shuffled: 10}
claims:
- id: dull
  source: Table 2
  statement: Whole clips beat shuffled ones.
  kind: ordering
  task: motion
  paper: [plain, shuffled]
  pairs: [{better: grid/also, worse: grid/shuffled}]
- id: main
  headline: true
  source: Table 1
  statement: The plain model beats the one with a further metric.
  kind: ordering
  task: motion
  paper: [plain, also]
  pairs: [{better: tuned/plain, worse: grid/also/norm}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "toy.yaml").write_text(CLAIMS)
    return tmp_path / "claims"


@pytest.fixture
def rows(tmp_path, folder):
    return Measurements("toy", tmp_path, committed=tmp_path, claims_folder=folder)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_whatever_makes_a_row_is_in_its_key():
    base = VARIANTS["plain"]
    changed = [
        base,
        replace(base, build=fewer),
        replace(base, build=partial(mean_model, classes=12)),
        replace(base, objective=other_loss),
        *(replace(base, objective=Weighted(weight)) for weight in (1.0, 0.5)),
        replace(base, lr=2.0),
        replace(base, also=more),
        *(replace(base, task=replace(TASK, **{field: 3})) for field in ("frames", "train", "test")),
        *(replace(base, task=replace(TASK, control=control)) for control in ("frames", "labels")),
        replace(base, task=replace(TASK, labels="noun")),
    ]
    assert len({key(each) for each in changed}) == len(changed)
    assert key(base) == key(replace(base))


@pytest.mark.parametrize("field", TrainSettings.__dataclass_fields__)
def test_every_field_of_a_recipe_is_in_the_key(field):
    values = {"betas": (0.5, 0.6), "rand_augment": (1, 2), "precision": "bf16"}
    assert key(replace(RECIPE, **{field: values.get(field, 7)})) != key(RECIPE)


def test_a_renaming_changes_nothing_where_the_old_name_is_declared():
    @declared("mean_model")
    def renamed(feed, classes=12):
        return Mean(classes)

    assert key(Variant(renamed, TASK)) == key(VARIANTS["plain"])


@pytest.mark.parametrize("thing", [lambda feed: None, torch.zeros(2), object(), float("nan"), nn.Linear(1, 1), {1, 2}])
def test_what_cannot_be_described_is_an_error(thing):
    with pytest.raises(BadInput, match="settings"):
        key(thing)


def test_no_address_and_no_module_stands_in_a_description():
    text = str(describe(VARIANTS["weighted"]))
    assert " at 0x" not in text and "test_study" not in text and "0.5" in text


# --- runs ------------------------------------------------------------------------------------------------------------


def test_inputs_come_first_so_that_no_cache_changes_a_start():
    """A feed that draws (as a cache does that is filled for the first time) leaves the model's start alone."""

    @dataclass(frozen=True)
    class Drawing(WorldTask):
        draws: int = 0

        def feed(self, split, seed, device="cpu"):
            torch.rand(self.draws)
            return super().feed(split, seed, device)

    runs = [Variant(mean_model, Drawing(frames=2, train=8, test=8, draws=n)).run(RECIPE, Trial(0)) for n in (0, 5)]
    assert runs[0].history.loss == runs[1].history.loss
    assert torch.equal(runs[0].model.head.weight, runs[1].model.head.weight)


def test_a_seed_trains_and_tests_on_clips_of_its_own():
    feeds = {(split, seed): TASK.feed(split, seed) for split in ("train", "val", "test") for seed in (0, 1)}
    first = {at: next(feed.test())[0] for at, feed in feeds.items()}
    distinct = {frames.numpy().tobytes() for frames in first.values()}
    assert len(distinct) == len(first)
    whole = WorldClips("motion", 1, "test", 8, 2)
    assert torch.equal(first["test", 1], whole.frames(range(8)))


def test_variants_share_a_seeds_clips_and_recipe_and_differ_in_rate():
    one, two = VARIANTS["plain"].run(RECIPE, Trial(3)), VARIANTS["plain"].run(RECIPE, Trial(3))
    assert one.history.loss == two.history.loss and one.metrics == two.metrics
    assert VARIANTS["plain"].run(RECIPE, Trial(4)).history.loss != one.history.loss
    fast = replace(VARIANTS["plain"], lr=3.0).run(RECIPE, Trial(3)).history.loss
    assert fast == VARIANTS["plain"].run(RECIPE.at_rate(3.0), Trial(3)).history.loss != one.history.loss


def test_what_a_run_draws_is_its_seeds():
    """Two recipes alike but for what augmentation draws: the seed of the run decides it, not the recipe's."""
    erased = replace(RECIPE, erasing=0.5, seed=9)
    runs = [VARIANTS["plain"].run(replace(erased, seed=seed), Trial(3)).history.loss for seed in (9, 3)]
    assert runs[0] == runs[1] != VARIANTS["plain"].run(RECIPE, Trial(3)).history.loss


def test_an_endless_task_never_repeats_and_equals_the_worlds_batches():
    task = WorldTask(frames=2)
    ours, theirs = task.feed("train", 5).batches(5, 4), train_batches("motion", 5, 4, 2)
    for step in (0, 1, 7):
        for a, b in zip(ours(step), theirs(step), strict=True):
            assert torch.equal(a, b)


def test_what_is_kept_is_asked_once_and_stays_as_it_was():
    asked = []

    def squares(indices):
        asked.extend(indices.tolist())
        return torch.as_tensor(indices)[:, None] ** 2

    kept = Kept(squares, 10)
    for indices in ([3, 1, 3], [1, 9], [9, 3, 1]):
        assert kept(np.array(indices)).tolist() == [[i * i] for i in indices]
    assert sorted(asked) == [1, 3, 9]


def test_an_epoch_that_comes_back_is_the_one_that_was_there():
    plain = Clips(WorldClips("motion", 0, "train", 8, 2), limit=8)
    feed = TASK.feed("train", 0)
    for step in (0, 1, 2, 5):
        for a, b in zip(feed.batches(0, 6)(step), plain.batches(0, 6)(step), strict=True):
            assert torch.equal(a, b)


def test_accuracy_within_pairs_asks_only_for_the_order():
    feed = Clips(WorldClips("motion", 0, "test", 24, 2))
    labels = torch.cat([label for _, label in feed.test()])

    class Knows(nn.Module):
        """Says the true class, with `flip` for some clips the mirrored one."""

        def __init__(self, flip):
            super().__init__()
            self.flip = flip

        def forward(self, frames):
            return nn.functional.one_hot(labels ^ self.flip, 12).float()

    assert pair_metric(Knows(torch.zeros(24, dtype=torch.long)), feed) == {"pairs": 100}
    assert pair_metric(Knows((torch.arange(24) < 6).long()), feed) == {"pairs": 75}


def test_controls_damage_what_they_say_and_nothing_else():
    feed = replace(TASK, frames=3).feed("train", 0)
    frames, label = feed.batches(0, 8)(2)
    moved, same = damaged(feed, "frames", 12).batches(0, 8)(2)
    assert torch.equal(same, label) and torch.equal(moved, shuffled(frames, 2)) and not torch.equal(moved, frames)
    (tested, _), (whole, truth) = next(ShuffledFrames(feed).test()), next(feed.test())
    assert torch.equal(tested, shuffled(whole, 0)) and not torch.equal(tested, whole)
    still, wrong = damaged(feed, "labels", 12).batches(0, 8)(2)
    assert torch.equal(still, frames) and torch.equal(wrong, random_labels(label, 12, 2))
    assert not torch.equal(wrong, label)
    assert torch.equal(next(RandomLabels(feed, 12).test())[1], truth)
    assert not torch.equal(RandomLabels(feed, 12, offset=1).batches(0, 8)(2)[1], wrong)
    assert damaged(feed, None, 12) is feed
    own = ShuffledFrames(feed, lambda inputs, seed: seed)  # shuffles of one's own get a seed, too
    assert own.batches(0, 8)(2)[0] == 2 and [seed for seed, _ in own.test()] == [0]


def test_a_task_hands_on_split_seed_and_device():
    class Asked(WorldTask):
        def whole(self, *given):
            return given

    assert Asked().feed("val", 3, "cuda:1") == ("val", 3, "cuda:1")
    feed = replace(Asked(), control="labels").feed("val", 3, "cuda:1")
    assert (feed.feed, feed.classes) == (("val", 3, "cuda:1"), 12)


def test_a_limit_is_a_limit():
    feed = Clips(WorldClips("motion", 0, "train", 1 << 20, 2), limit=3)
    clips = [feed.batches(0, 3)(step)[0].numpy().tobytes() for step in range(4)]
    first = WorldClips("motion", 0, "train", 3, 2).frames(range(3))
    seen = {frame.numpy().tobytes() for step in range(4) for frame in feed.batches(0, 3)(step)[0]}
    assert seen == {clip.numpy().tobytes() for clip in first} and len(set(clips)) > 1


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_seconds_and_its_memory(rows, monkeypatch):
    taken = SimpleNamespace(seconds=12.5, peak_memory=7)
    monkeypatch.setattr(type(rows), "timing", lambda self: contextlib.nullcontext(taken))
    STUDY.measure("grid/plain", 0, rows)
    (row,) = [row for row in rows.rows() if row.metric == "grid/plain"]
    assert (row.seconds, row.peak_memory) == (12.5, 7)


def test_a_row_is_measured_once_with_all_its_metrics(rows, monkeypatch):
    value = STUDY.measure("grid/also", 0, rows)
    settings = STUDY.settings("grid/also", rows)
    assert rows.find("grid/also/norm", 0, settings) > 0
    loss = VARIANTS["also"].run(RECIPE, Trial()).history.loss
    assert rows.find("grid/also/curve", 0, settings) == pytest.approx({"area": sum(loss) / 4, "end": loss[-1]})
    assert History([3.0] * 18 + [1.0, 2.0], 0.0).curve() == {"curve/area": 2.85, "curve/end": 1.5}
    assert History([], 0.0).curve() == {}
    assert not list(rows.path.parents[1].glob("training/*"))
    monkeypatch.setattr(Variant, "run", None)
    assert STUDY.measure("grid/also", 0, rows) == value


def test_a_changed_weight_is_another_row(rows):
    STUDY.measure("grid/weighted", 0, rows)
    other = replace(STUDY, variants=VARIANTS | {"weighted": Variant(mean_model, TASK, Weighted(0.25))})
    settings = other.settings("grid/weighted", rows)
    assert rows.find("grid/weighted", 0, settings) is None
    assert rows.find("grid/weighted", 0, STUDY.settings("grid/weighted", rows)) is not None


def test_a_tuned_recipe_sweeps_on_validation_clips_and_takes_the_best(rows):
    tuned = STUDY.recipes["tuned"]
    names = [f"tuned.rate{rate:.2g}/plain" for rate in tuned.rates]
    for name, value in zip(names, (10.0, 30.0, 20.0), strict=True):
        rows.record(name, value, tuned.seed, STUDY.settings(name, rows))
    variant, recipe = STUDY.resolve("tuned/plain", rows)
    assert recipe == tuned.recipe.at_rate(tuned.rates[1]) and variant is VARIANTS["plain"]
    assert STUDY.resolve("tuned.half/plain", rows)[1] == recipe.for_share(0.5)
    tried = STUDY.resolve(names[2], rows)[1]
    assert tried == tuned.recipe.for_share(tuned.share).at_rate(3.0) and tried.steps == 2


def test_a_tuned_recipe_may_try_lengths_as_well(rows):
    tuned = Tuned(replace(RECIPE, steps=12), rates=(1.0, 3.0), lengths=(0.5, 1.0))
    study = replace(STUDY, recipes={"tuned": tuned}, grids={"tuned": ("plain",)})
    tries = study.tries("tuned.half/plain")
    assert list(tries) == ["rate1_length0.5", "rate3_length0.5", "rate1_length1", "rate3_length1"]
    assert tries["rate3_length1"] == "tuned.rate3_length1/plain" and not study.tries(tries["rate3_length1"])
    assert [study.resolve(each, rows)[1].steps for each in tries.values()] == [2, 2, 4, 4]
    for each, value in zip(tries.values(), (10.0, 30.0, 20.0, 30.0), strict=True):
        rows.record(each, value, tuned.seed, study.settings(each, rows))
    assert study.resolve("tuned/plain", rows)[1] == tuned.recipe.at_rate(3.0).for_share(0.5)
    assert study.resolve("tuned.half/plain", rows)[1].steps == 3
    assert tuned.smoke().tries() == {"rate1": (1.0, 1.0)}


def test_a_sweep_is_looked_up_and_measured_only_where_that_is_asked_for(rows, monkeypatch):
    with pytest.raises(BadInput, match=r"tuned/plain: tuned.rate0.33/plain of its sweep is not measured yet"):
        STUDY.settings("tuned/plain", rows)
    STUDY.measure("tuned/plain", 0, rows)
    found = [(row.metric, row.seed) for row in rows.rows() if "/curve/" not in row.metric]
    assert found == [(f"tuned.rate{rate}/plain", 1000) for rate in ("0.33", "1", "3")] + [("tuned/plain", 0)]
    monkeypatch.setattr(Variant, "run", None)
    assert STUDY.best_try("tuned", "plain", rows) in STUDY.recipes["tuned"].tries()
    only = replace(STUDY, recipes={"tuned": Tuned(RECIPE, rates=(3.0,))})
    assert not only.tries("tuned/plain") and only.resolve("tuned/plain", rows)[1] == RECIPE.at_rate(3.0)


def test_a_rate_at_which_training_diverges_loses(rows):
    class Exploding(Mean):
        def forward(self, frames):
            return super().forward(frames) * float("inf")

    def exploding(feed):
        return Exploding(12)

    study = replace(STUDY, variants={"plain": Variant(declared("exploding")(exploding), TASK)})
    assert study.measure("tuned.rate3/plain", 1000, rows) == 0.0
    with pytest.raises(Diverged, match="the loss is nan at step 0"):
        study.measure("grid/plain", 0, rows)
    assert [row.metric for row in rows.rows()] == ["tuned.rate3/plain"]


def test_the_sweep_never_sees_test_clips(rows, monkeypatch):
    asked = []
    plain = WorldTask.feed
    monkeypatch.setattr(WorldTask, "feed", lambda task, split, *rest: asked.append(split) or plain(task, split, *rest))
    STUDY.measure("tuned.rate1/plain", 1000, rows)
    assert set(asked) == {"train", "val"}
    STUDY.measure("grid/plain", 0, rows)
    assert "test" in asked


def test_a_killed_run_goes_on_where_it_was(rows, folder, monkeypatch):
    from minilib.study import study as module

    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 1)
    whole = STUDY.measure("grid/plain", 0, rows)
    steps = []

    class Stops(WorldTask):
        def feed(self, split, seed, device="cpu"):
            feed = super().feed(split, seed, device)
            return feed if split != "train" else Killed(feed)

    @dataclass(frozen=True)
    class Killed:
        inner: Clips

        def batches(self, seed, size):
            at = self.inner.batches(seed, size)

            def stop(step):
                steps.append(step)
                if len(steps) == 3:
                    raise KeyboardInterrupt
                return at(step)

            return stop

        def test(self, size=64):
            return self.inner.test(size)

    killed = replace(
        STUDY, variants={"plain": Variant(mean_model, declared("WorldTask")(Stops)(frames=2, train=8, test=8))}
    )
    fresh = Measurements("toy", folder / "other", committed=folder / "none", claims_folder=folder)
    with pytest.raises(KeyboardInterrupt):
        killed.measure("grid/plain", 0, fresh)
    assert killed.measure("grid/plain", 0, fresh) == whole
    assert steps == [0, 1, 2, 2, 3]


def test_a_row_whose_run_was_cut_off_is_measured_again(rows):
    settings = STUDY.settings("grid/also", rows)
    rows.record("grid/also/norm", 1.0, 0, settings)  # as if the process had died before the score was written
    value = STUDY.measure("grid/also", 0, rows)
    assert isinstance(value, float) and rows.row("grid/also", 0, settings).value == value


# --- what is missing -------------------------------------------------------------------------------------------------


def test_headline_claims_and_their_gates_come_first(rows, folder):
    claims = load("toy", folder)
    missing = wanted(STUDY, claims, rows, range(2))
    order = list(dict.fromkeys(each.metric for each in missing))
    tries = [f"tuned.rate{rate}/plain" for rate in ("0.33", "1", "3")]
    assert order[:5] == [*tries, "tuned/plain", "tuned.half/plain"]
    assert order[5:9] == ["grid/also", "grid.half/also", "grid/plain", "grid/wrong"]
    assert order[9:] == ["grid/shuffled", "grid/weighted"]
    assert missing[0].why.startswith("headline main") and missing[-1].why == "no claim waits for it"
    assert [each.seed for each in missing[:5]] == [1000, 1000, 1000, 0, 1]
    assert [each.tries for each in missing[:4]] == [(), (), (), tuple(tries)] and missing[9].tries == ()
    assert missing[3].rank < missing[-4].rank < missing[-1].rank
    assert missing[3].rank[2] == pytest.approx(UNKNOWN * (3 * 2 + 2 * (6 + 3 + 4 + 2 + 4 + 4))), "steps, each row once"
    STUDY.measure("grid/also", 0, rows)
    after = wanted(STUDY, claims, rows, range(2))
    assert ("grid/also", 0) not in {(each.metric, each.seed) for each in after} and len(after) == len(missing) - 1
    assert {each.metric for each in wanted(STUDY, claims, rows, range(2), ["plain"])} == {
        *tries, "tuned/plain", "tuned.half/plain", "grid/plain"
    }  # fmt: skip


def test_of_two_headlines_the_cheaper_comes_first_and_a_decided_one_last(rows, folder):
    claim = """
- {id: cheap, headline: true, source: a, statement: A., kind: ordering, task: motion, paper: [plain, also],
   pairs: [{better: grid/weighted, worse: chance}]}
"""
    (folder / "toy.yaml").write_text(CLAIMS + claim)
    claims = load("toy", folder)
    missing = wanted(STUDY, claims, rows, range(5))
    assert [each.metric for each in missing[:10:5]] == ["grid/weighted", "grid.half/weighted"]
    ranks = {each.why.partition(",")[0]: each.rank for each in missing}
    assert ranks["headline cheap"] < ranks["headline main"] < ranks["ordering dull"]
    assert ranks["headline cheap"][2] == pytest.approx(5 * UNKNOWN * (4 + 2 + 4 + 4)) and ranks["headline cheap"][
        :2
    ] == (False, False)
    runs = {"cheap": ["grid/weighted"], "main": ["grid/also", "grid/plain"], "dull": ["grid/plain"]}
    lacking = {id: [each for each in missing if each.metric in names] for id, names in runs.items()}
    judged = [
        replace(verdict, verdict="holds here") if verdict.id == "cheap" else verdict for verdict in judge(claims, [])
    ]
    assert [wants for _, _, wants in ranked(claims, judged, lacking)] == [
        lacking[id] for id in ("main", "cheap", "dull")
    ]


def test_what_a_claim_lacks_counts_for_each_that_waits_for_it(rows, folder):
    claims = load("toy", folder)
    found, first = lacks(STUDY, claims, rows), wanted(STUDY, claims, rows)[0]
    assert found["main"] == first.rank[2] == pytest.approx(UNKNOWN * (3 * 2 + 5 * (6 + 3 + 4 + 2 + 4 + 4)))
    assert found["dull"] == pytest.approx(UNKNOWN * 5 * 4 * 4), "grid/plain as well, for which the headline waits, too"


def lay(rows, **values):
    """Rows that judge, in the plan's own keys: {variant: a value a seed}, by the short recipe."""
    for variant, each in values.items():
        metric = f"grid/{variant}"
        for seed, value in enumerate(each):
            rows.record(metric, value, seed, STUDY.settings(metric, rows))
    clean = [row.model_copy(update={"commit": "0123456789ab"}) for row in rows.rows()]
    rows.path.unlink()
    append_rows(rows.path, clean)


FAR, AT_CHANCE = [59.0, 60, 61, 60, 60], [8.3333] * 5
TO_TEN, TO_TWENTY, NEVER = [1.0, 9, -1, 6, 5], [1.0, 11, -4, 7, 2], [30.0, -30, 1, 29, -30]  # points, undecided at five


@pytest.mark.parametrize(
    ("apart", "plain", "wrong", "further"),
    [
        (TO_TEN, FAR, AT_CHANCE, {"also": 10, "shuffled": 10}),
        (TO_TWENTY, FAR, AT_CHANCE, {"also": 20, "shuffled": 20}),
        (NEVER, FAR, AT_CHANCE, {}),
        ([30.0, 31, 32, 33, 30], [9.0, 17, 7, 14, 13.0], AT_CHANCE, {"plain": 10}),  # its positive control is undecided
        ([30.0, 31, 32, 33, 30], FAR, [9.0, 11.3, 5.3, 8, 8.3], {"wrong": 10}),  # and its negative one
        ([30.0, 31, 32, 33, 30], FAR, [40.0, 41, 42, 43, 40], {}),  # which no more seeds would mend
    ],
)
def test_a_later_look_is_wanted_where_it_would_decide(apart, plain, wrong, further, rows, folder):
    claims = load("toy", folder)
    lay(rows, also=[40 + each for each in apart], shuffled=[40.0] * 5, plain=plain, wrong=wrong)
    dull = next(verdict for verdict in judge(claims, rows.rows()) if verdict.id == "dull")
    assert dull.verdict in ("undecided", "cannot show it here"), dull.why
    wants = [(each.metric, each.seed) for each in wanted(STUDY, claims, rows) if each.seed in range(5, 1000)]
    assert wants == [(f"grid/{name}", seed) for name, count in further.items() for seed in range(5, count)]
    assert not [each for each in wanted(STUDY, claims, rows, range(5)) if each.seed in range(5, 1000)]


@pytest.mark.parametrize(("apart", "halves"), [(TO_TEN, True), (NEVER, False)])
def test_halves_of_an_undecided_headline_are_wanted_only_if_a_later_look_would_decide(apart, halves, rows, folder):
    one = "headline: true\n  source: Table 1"  # the headline, in place of the one on tuned/plain
    claims = CLAIMS.partition("- id: main")[0].replace("source: Table 2", one)
    (folder / "toy.yaml").write_text(claims)
    lay(rows, also=[40 + each for each in apart], shuffled=[40.0] * 5, plain=FAR, wrong=AT_CHANCE)
    assert [verdict.verdict for verdict in judge(load("toy", folder), rows.rows())] == ["undecided"]
    wants = {each.metric for each in wanted(STUDY, load("toy", folder), rows) if ".half/" in each.metric}
    assert wants == ({"grid.half/also", "grid.half/shuffled"} if halves else set())


def test_what_was_measured_apart_is_wanted_here(rows, folder):
    """Both sides are there, on two devices: what this device lacks is wanted, also the tries, and nothing else is."""
    claims = load("toy", folder)
    lay(rows, also=[70.0] * 5, shuffled=[40.0] * 5, plain=FAR, wrong=AT_CHANCE)
    moved = [
        row.model_copy(update={"device": "another, 2 cores"} if row.metric == "grid/shuffled" else {})
        for row in rows.rows()
    ]
    rows.path.unlink()
    append_rows(rows.path, moved)
    every = Measurements("toy", rows.path.parents[1], committed=folder / "none", claims_folder=folder)
    own = next(row for row in moved if row.metric == "grid/also")
    here = Measurements(
        "toy", rows.path.parents[1], committed=folder / "none", claims_folder=folder, threads=own.threads
    )
    dull = next(verdict for verdict in judge(claims, every.rows()) if verdict.id == "dull")
    assert dull.verdict == "cannot show it here" and APART in dull.reasons
    without = {(each.metric, each.seed) for each in wanted(STUDY, claims, every, range(5))}
    assert not [metric for metric, _ in without if metric == "grid/shuffled"]
    wants = [each for each in wanted(STUDY, claims, every, range(5), here=here) if each.metric == "grid/shuffled"]
    assert [each.seed for each in wants] == [0, 1, 2, 3, 4] and all(each.here for each in wants)
    assert "dull" in wants[0].why


def test_half_the_steps_are_wanted_where_nothing_else_lacks(rows, folder):
    claims = load("toy", folder)
    dull = next(verdict for verdict in judge(claims, []) if verdict.id == "dull")
    assert list(first_looks(STUDY, claims, dull)) == ["grid/also", "grid/shuffled", "grid/plain", "grid/wrong"]
    gated = replace(dull, reasons=(NO_HALF,))
    assert list(first_looks(STUDY, claims, gated))[:4] == [
        "grid/also",
        "grid.half/also",
        "grid/shuffled",
        "grid.half/shuffled",
    ]


def test_seconds_are_those_of_earlier_runs(rows, folder):
    rows.record("grid/plain", 50.0, 0, STUDY.settings("grid/plain", rows), seconds=8.0)
    missing = {each.metric: each.seconds for each in wanted(STUDY, load("toy", folder), rows, range(2))}
    assert missing["grid/plain"] == 8.0
    assert missing["tuned/plain"] == pytest.approx(8.0 * 6 / 4)
    assert missing["tuned.half/plain"] == pytest.approx(8.0 * 3 / 4)
    assert missing["tuned.rate3/plain"] == pytest.approx(8.0 * 2 / 4)
    assert missing["grid/weighted"] == 8.0 and missing["grid.half/also"] == 4.0
    for device, seconds in (("there, 9 cores", 90.0), ("here, 2 cores", 3.0), ("here, 2 cores", 5.0), ("H200", 7.0)):
        row = rows.rows()[0].model_copy(
            update={"metric": "grid/also", "device": device, "seconds": seconds, "seed": int(seconds)}
        )
        append_rows(rows.path, [row])
    assert seconds_of(rows) == {"grid/plain": 8.0, "grid/also": 4.0}
    rows.device = "cuda:0"
    assert seconds_of(rows) == {"grid/also": 7.0}
    assert expected("grid.half/weighted", STUDY, {}) == pytest.approx(2 * UNKNOWN)
    untrained = replace(STUDY, recipes={"grid": object()})
    assert expected("grid/weighted", untrained, {}) == pytest.approx(STEPS * UNKNOWN)
    shipped = replace(STUDY, recipes=STUDY.recipes | {"grid": object()})  # what is only read says nothing of training
    assert expected("tuned/weighted", shipped, {"grid/also": 0.1}) == pytest.approx(6 * UNKNOWN)


@pytest.mark.parametrize(("gpu", "times"), [(False, 4), (True, 1)])
def test_on_a_cpu_a_larger_batch_takes_longer(gpu, times, rows, folder):
    wide = replace(RECIPE, steps=6, batch=4 * RECIPE.batch)
    study = replace(STUDY, recipes=STUDY.recipes | {"tuned": Tuned(wide)})
    for timed in ("grid/plain", "grid/also"):  # the same variant by another recipe, and another variant
        assert expected("tuned/plain", study, {timed: 8.0}, gpu) == pytest.approx(8 * 6 / 4 * times)
        assert expected("tuned.rate3/plain", study, {timed: 8.0}, gpu) == pytest.approx(8 * 2 / 4 * times)
    at = {"device": "H200" if gpu else "here, 2 cores", "seconds": 8.0}
    rows.record("grid/plain", 50.0, 0, study.settings("grid/plain", rows))
    append_rows(rows.path, [rows.rows()[0].model_copy(update=at | {"seed": 9})])
    rows.device = "cuda:0" if gpu else "cpu"
    missing = {each.metric: each.seconds for each in wanted(study, load("toy", folder), rows, range(2))}
    assert missing["tuned/plain"] == pytest.approx(8 * 6 / 4 * times)


def test_a_variant_says_what_its_step_takes_until_it_was_timed():
    slow = SaysSo(*(getattr(STUDY.variants["plain"], each.name) for each in fields(Variant)))
    assert describe(slow) == describe(replace(slow, step_seconds=9.0))  # no setting
    study = replace(STUDY, variants={**STUDY.variants, "weighted": slow})
    assert expected("tuned/weighted", study, {"grid/plain": 8.0}) == pytest.approx(6 * 2.5)
    assert expected("tuned.half/weighted", study, {}) == pytest.approx(3 * 2.5)
    assert expected("tuned/weighted", study, {"grid/weighted": 8.0}) == pytest.approx(8.0 * 6 / 4)
    assert expected("tuned/weighted", study, {"tuned.rate3/weighted": 8.0}) == pytest.approx(8.0 * 3), "from its tries"


def test_a_try_is_not_scored_by_what_does_not_choose(rows):
    study = replace(STUDY, grids=STUDY.grids | {"tuned": ("also",)})
    study.measure("tuned/also", 0, rows)
    scored = {row.metric for row in rows.rows() if row.metric.endswith("/norm")}
    assert scored == {"tuned/also/norm"} and {row.metric for row in rows.rows()} >= {"tuned.rate1/also", "tuned/also"}


def test_two_processes_do_not_measure_the_same_row(tmp_path):
    lock = tmp_path / "locks" / "a"
    with alone(lock) as mine, alone(lock) as second:
        assert mine and not second
    with alone(lock) as again:
        assert again


def test_an_unknown_metric_is_one_line(rows):
    for name in ("grid/nothing", "gird/plain", "grid.rate1/plain", "tuned.rate9/plain", "grid.quarter/plain"):
        with pytest.raises(BadInput, match="no metric of toy"):
            STUDY.measure(name, 0, rows)


def test_smoke_is_a_few_steps_on_a_handful_of_clips(rows):
    small = STUDY.at("smoke")
    assert STUDY.at("small") is STUDY
    assert small.recipes["grid"].steps == 4 and small.variants["plain"].task.train == 8
    assert small.variants["plain"].task.test == 16 and small.recipes["grid"].batch == 8
    assert [replace(TASK, train=count).smoke().train for count in (None, 9, 999)] == [None, 9, 64]
    tuned = Tuned(TrainSettings(steps=90)).smoke()
    assert (tuned.recipe.steps, tuned.rates, tuned.share) == (4, (1.0,), 1.0)
    assert small.measure("tuned/plain", 0, rows) >= 0


@pytest.mark.parametrize(
    ("scale", "commit", "judging"),
    [("small", "abc", True), ("small", "abc-dirty", False), ("small", None, False), ("smoke", "abc", False)],
)
def test_only_a_clean_checkout_measures_again_what_does_not_judge(tmp_path, monkeypatch, scale, commit, judging):
    monkeypatch.setattr("minilib.study.work.commit", lambda: commit)
    assert rows_of("zeroi2v", str(tmp_path), scale, "cpu").judging == judging

"""The comparison: every method by the same door, the same seconds, tables that only read rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
import yaml
from torch import nn

from minilib import claims
from minilib.files import NOTEBOOKS
from minilib.models.small_clip import small_clip
from minilib.papers.comparison import METHODS, STUDY, Method, costs, figures, said, study, variant
from minilib.papers.comparison.study import FRAMES, GRID, MOTION, TASKS, SameSeconds, embeddings, folded
from minilib.papers.object_centric.losses import object_distillation, temporal_reasoning
from minilib.papers.object_centric.study import STUDY as OBJECT_CENTRIC
from minilib.settings import key
from minilib.study import Outcome, Trial, Tuned
from minilib.training import train
from minilib.world import clip_batch, train_batches

QUICK = replace(GRID, steps=2, warmup=1, batch=4)
FEW = replace(MOTION, test=8)


def built(name, seed=0):
    torch.manual_seed(seed)
    return STUDY.variants[f"motion/{name}"].build(None)


def clips_for(name, count=2):
    return clip_batch("motion", 0, "val", range(count), FRAMES * METHODS[name].gamma)


@pytest.fixture
def rows(tmp_path):
    return claims.Measurements("image_to_video_compared", tmp_path, committed=tmp_path / "none")


# --- methods ---


@pytest.mark.parametrize("name", METHODS)
def test_a_step_changes_what_trains_and_nothing_else(name):
    model, each = built(name), STUDY.variants[f"motion/{name}"]
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    train(model, train_batches("motion", 0, 4, each.task.frames), QUICK, 12, objective=each.objective)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    free = {n for n, p in model.named_parameters() if p.requires_grad}
    assert changed and changed <= free
    assert (name != "full_image") == any(not p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_scores_of_a_clip_do_not_depend_on_the_batch(name):
    model = built(name, seed=1).eval()
    frames, _ = clips_for(name, 3)
    with torch.no_grad():
        both, alone = model(frames), model(frames[1:2])
    assert both.shape == (3, 12)
    torch.testing.assert_close(both[1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_controls_cannot_see_order_and_the_others_can(name):
    model = built(name).eval()
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.05)  # what starts at zero hides what it reads
    frames, _ = clips_for(name)
    with torch.no_grad():
        there, back = model(frames), model(frames.flip(1))
    blind = name in ("probe", "full_image")
    assert torch.allclose(there, back, atol=1e-5, rtol=1e-4) == blind


def test_rates_losses_and_frames_are_those_of_the_methods_own_notebooks():
    assert {name: method.lr for name, method in METHODS.items() if method.lr != 1} == {
        "full_image": 0.1, "xclip": 0.5, "dist": 0.5, "victr": 0.5
    }  # fmt: skip
    assert METHODS["dist"].gamma == 2 and STUDY.variants["motion/dist"].task.frames == 8
    assert {variant(m, MOTION).task.frames for n, m in METHODS.items() if n != "dist"} == {4}


def test_oca_and_victr_are_trained_with_all_terms_of_their_losses():
    frames, labels = clips_for("oca", 4)
    for name, terms in {"oca": oca_terms, "victr": victr_terms}.items():
        model = built(name).eval()
        with torch.no_grad():
            plain, further = study.cross_entropy(model, frames, labels), terms(model, frames, labels)
            whole = METHODS[name].objective(model, frames, labels)
        assert min(further) > 0.01, further
        torch.testing.assert_close(whole, plain + sum(further), msg=f"{name}: {plain} and {further} make {whole}")


def oca_terms(model, frames, labels):
    out = model.trained.parts(model.features(frames))
    return object_distillation(out.slots, out.cls), 0.1 * temporal_reasoning(out.changes, labels)


def victr_terms(model, frames, labels):
    groups = model.reader.scores(embeddings(model.clip, frames)).auxiliary.unbind(-1)  # (b, n) each
    return (0.1 * torch.stack([nn.functional.cross_entropy(group, labels) for group in groups]).mean(),)


def test_tasks_are_what_they_say():
    assert {name: (task.labels, task.train, task.control) for name, task in TASKS.items()} == {
        "motion": ("motion", 4096, None), "appearance": ("appearance", 4096, None), "noun": ("noun", 4096, None),
        "few": ("motion", 192, None), "timing": ("timing", 4096, None),
        "hard_appearance": ("hard appearance", 512, None), "hard_noun": ("hard noun", 128, None),
    }  # fmt: skip
    assert all(STUDY.variants[f"{on}/control"].task.control == "labels" for on in TASKS)
    assert GRID == OBJECT_CENTRIC.recipes["grid"] == STUDY.recipes["grid"]


def test_every_method_tries_the_same_rates_and_lengths():
    tuned = STUDY.recipes["tuned"]
    assert tuned == Tuned(replace(GRID, steps=1500), rates=(1 / 3, 1.0, 3.0), lengths=(0.5, 1.0))
    assert set(STUDY.grids["tuned"]) == {f"{on}/{name}" for on in study.JUDGED for name in METHODS}
    steps = {recipe.steps for recipe in map(tuned.trying, tuned.tries())}
    assert len(tuned.tries()) == 6 and steps == {250, 500}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_every_task_that_is_judged(name):
    for on in study.JUDGED:
        each = STUDY.variants[f"{on}/{name}"]
        model, feed, classes = each.build(None), each.task.feed("train", 0), len(each.task.classes)
        history = train(model, feed.batches(0, 4), replace(QUICK, steps=1), classes, objective=each.objective)
        assert len(history.loss) == 1 and model.eval()(clips_for(name)[0]).shape == (2, classes)
    places = [
        STUDY.variants[f"{on}/st_adapter"].build.keywords["method"].build(small_clip(), 4, labels)
        for on, labels in (("timing", "timing"), ("few", "motion"), ("hard_noun", "hard noun"))
    ]
    sizes = [
        sum(p.numel() for n, p in model.named_parameters() if p.requires_grad and "head" not in n) for model in places
    ]
    assert sizes[0] == sizes[1] > sizes[2], "before attention and MLP where motion counts, before the MLP elsewhere"


def test_every_variant_has_a_key_of_its_own():
    assert len({key(each) for each in STUDY.variants.values()}) == len(STUDY.variants)
    zeroi2v = METHODS["zeroi2v"]
    assert key(variant(zeroi2v, MOTION)) == key(variant(replace(zeroi2v, merge=None), MOTION))
    assert key(variant(zeroi2v, MOTION)) != key(variant(replace(zeroi2v, lr=2.0), MOTION))


def test_a_folded_method_gives_the_same_scores():
    model = built("zeroi2v").eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.05)
    size, (frames, _) = sum(p.numel() for p in model.parameters()), clips_for("zeroi2v")
    with torch.no_grad():
        before = model(frames)
        torch.testing.assert_close(folded(model)(frames), before, atol=1e-4, rtol=1e-4)
    assert sum(p.numel() for p in model.parameters()) < size


class Mine(nn.Module):
    """A reader's own method."""

    def __init__(self, clip, frames, labels):
        super().__init__()
        self.clip, self.linear = clip.requires_grad_(False), nn.Linear(96, 12)

    def forward(self, frames):
        return self.linear(embeddings(self.clip, frames).diff(dim=1).mean(1))


def test_a_readers_own_method_is_one_more_row(rows, monkeypatch):
    own = replace(
        STUDY, variants={"motion/mine": variant(Method(Mine), FEW)}, recipes={"grid": QUICK}, grids={"grid": ()}
    )
    value = own.measure("grid/motion/mine", 0, rows)
    assert 0 <= value <= 100
    monkeypatch.setattr(type(own.variants["motion/mine"]), "run", None)  # the row is there
    assert own.measure("grid/motion/mine", 0, rows) == value
    assert figures.table(rows.seeds_of(), ["mine"]).rows[0][1] == f"{value:.1f}"
    tuned = rows.seeds_of() | {"tuned/timing/mine": {0: 12.0}}
    row = dict(zip(figures.table(tuned, ["mine"]).header, figures.table(tuned, ["mine"]).rows[0], strict=True))
    assert row["motion and its timing, tuned"] == "12.0" and row["motion, 192 clips"] == ""


# --- seconds and costs ---


@pytest.mark.parametrize("own, steps", [(0.5, 60), (2.0, 15), (1000.0, 1)])
def test_the_same_seconds_are_steps_by_the_measured_ratio(monkeypatch, own, steps):
    ratios = [{"own": own, "other": 1.0}, {"own": own, "other": 1.0}, {"own": 9.0, "other": 1.0}]
    monkeypatch.setattr(study.speed, "rounds_of", lambda calls, rounds: ratios)  # the median counts
    seen = []

    def stop(self, recipe, *rest):
        seen.append(recipe)
        return Outcome(None, None, {"": 50.0})

    monkeypatch.setattr(study.Variant, "run", stop)
    found = SameSeconds(METHODS["probe"], METHODS["st_adapter"]).run(replace(GRID, steps=30), Trial())
    assert seen[0].steps == steps and found.metrics == {"": 50.0, "steps": steps}


def test_the_same_seconds_run(rows):
    found = STUDY.smoke().variants["seconds/probe"].run(QUICK, Trial())
    assert found.metrics["steps"] == len(found.history.loss) >= 1
    assert STUDY.timed("grid/seconds/probe") and not STUDY.timed("grid/motion/probe")


def test_costs_are_ratios_in_rounds(rows):
    few = {name: METHODS[name] for name in ("st_adapter", "zeroi2v", "probe")}
    costs(rows, few, rounds=2)
    found = rows.seeds_of()
    for what in ("step", "latency", "throughput", "memory"):
        assert found[f"cost/{what}.st_adapter"] == {0: 1.0, 1: 1.0}
    work = {name: found[f"cost/work.{name}"][0] for name in (*few, "zeroi2v_merged")}
    assert work["zeroi2v_merged"] == work["probe"] < work["zeroi2v"]
    assert "cost/latency.zeroi2v_merged" in found and "cost/step.zeroi2v_merged" not in found
    assert found["cost/tunable.probe"][0] < found["cost/tunable.zeroi2v"][0]
    assert found["cost/memory.probe"][0] < 1


# --- tables ---


def synthetic():
    rows = {"grid/motion/a": {0: 80.0, 1: 82.0}, "grid/motion/b": {0: 79.0, 1: 82.0}}
    rows |= {"grid/motion/c": {0: 20.0, 1: 21.0}}
    each = {"a": 100.0, "b": 40.0, "c": 10.0}
    return rows | {f"cost/memory.{n}": {0: c} for n, c in each.items()}


def test_advice_follows_from_the_rows():
    needs = (
        figures.Need("any", "motion"),
        figures.Need("small", "motion", "memory", 4),
        figures.Need("unknown", "few"),
        figures.Need("short", "motion", recipe="grid"),
    )
    rows = synthetic() | {"grid/motion/d": {0: 99.0}}  # what was not tuned is no rival of what was
    tuned = {name.replace("grid", "tuned"): found for name, found in synthetic().items() if "grid" in name}
    any_, small, unknown, short = figures.advice(rows | tuned, "abcd", needs).rows
    assert any_[1:] == ("a", "81.0 ± 1.4", "b", "3 of 4")
    assert small[1] == "b" and small[3:] == ("no other", "2 of 2")
    (alone,) = figures.advice(synthetic(), "abcd", [figures.Need("least", "motion", "memory", 1, "grid")]).rows
    assert alone[1] == "c" and alone[3:] == (figures.ALONE, "1 of 1")
    assert unknown[1] == "not measured yet" and unknown[-1] == "0 of 4"
    assert short[1:3] == ("d", "99.0") and short[-1] == "4 of 4"


def test_advice_says_whose_seeds_end_near_chance():
    rows = synthetic() | {"tuned/few/a": {0: 90.0, 1: 80.0, 2: 85.0}, "tuned/few/b": {0: 9.0, 1: 88.0, 2: 10.0}}
    (line,) = figures.advice(rows, "ab", [figures.Need("few", "few")], {"few": 8.3}).rows
    assert line[1] == "a" and line[3] == "b (of three seeds two end near chance)"
    (line,) = figures.advice(rows, "b", [figures.Need("few", "few")], {"few": 8.3}).rows
    assert line[1] == "b (of three seeds two end near chance)"
    assert figures.advice(rows, "ab", [figures.Need("few", "few")]).rows[0][3] == "b", "without chance nothing is said"


def test_the_sweep_is_printed_with_the_choice_of_each_method():
    tuned = Tuned(GRID, rates=(1.0, 3.0), lengths=(0.5, 1.0))
    scores = dict(zip(tuned.tries(), (10.0, 40.0, 30.0, 20.0), strict=True))
    rows = {f"tuned.{suffix}/few/a": {1000: value} for suffix, value in scores.items()}
    rows |= {"tuned.rate3_length1/few/b": {1000: 5.0}}
    found = figures.sweep(rows, ["a", "b"], tuned, "few")
    assert found.rows == (("a", "10.0", "[40.0]*", "30.0", "20.0"), ("b", "", "", "", "5.0"))
    assert found.header[2] == "3 x rate, 0.5 x steps"


def test_what_is_merged_costs_what_it_does_then():
    rows = synthetic() | {"cost/work.a": {0: 9.0}, "cost/work.b": {0: 4.0}, "cost/work.c": {0: 4.0}}
    need = figures.Need("often", "motion", "work", 1.05, "grid")
    assert figures.advice(rows, "abc", [need]).rows[0][1] == "b"
    rows["cost/work.a_merged"] = {0: 4.1}
    assert figures.advice(rows, "abc", [need]).rows[0][1] == "a"
    merged = figures.table(rows, "a").rows[1]
    assert merged[:2] == ("a, merged", "81.0 ± 1.4") and "4" in merged


def test_what_is_not_measured_stays_empty():
    row = figures.table(synthetic(), ["c"]).rows[0]
    assert row[:3] == ("c", "20.5 ± 0.7", "") and "10.00" in row
    figure, axis = plt.subplots()
    figures.scatter(axis, synthetic(), ["a", "c", "nobody"], "motion", "memory")
    assert {text.get_text() for text in axis.texts} == {"a", "c"}
    plt.close(figure)


def test_a_page_shows_what_is_measured_and_says_what_is_not():
    table = claims.Table(("task", "method", "note"), (("x", "a", ""), ("y", "not measured yet", "gone")))
    assert figures.filled(table).header == ("task", "method") and figures.filled(table).rows == (("x", "a"),)
    assert said.missing(table, "run it") == "One of two lines is not measured yet; `run it` measures what is missing."
    assert said.missing(figures.filled(table), "run it") == ""


# --- sentences ---


def test_who_is_beaten_costs_no_less_for_no_more():
    assert said.front([1, 2, 3], [5, 6, 4]) == [True, True, False]
    assert said.front([2, 1], [7, 7]) == [False, True]
    assert said.front([1, 1], [3, 3]) == [True, True]  # equal ones do not beat each other
    text = said.best_buys(synthetic(), ["a", "b", "c", "nobody"], "motion", "memory")
    said_so = "By means alone, over the two seeds that all have, from the cheapest up, no other method beats "
    assert text == said_so + "c (20 % at 10.00), b (80 % at 40.00), a (81 % at 100.00)."
    dear = synthetic() | {"cost/memory.c": {0: 50.0}}
    assert said.best_buys(dear, "abc", "motion", "memory").endswith("The other one is beaten by one of these.")
    assert said.COMMAND in said.best_buys(synthetic(), "abc", "few", "memory")


def test_whether_gradients_decide_a_cost_follows_from_the_rows():
    through = {"a": True, "b": True, "c": False}
    assert said.gradients(through) == (
        "The gradient passes through the image model of a, b; it does not through that of c."
    )
    assert said.cheapest(synthetic(), through).endswith("separates the two kinds.")
    assert said.cheapest(synthetic() | {"cost/memory.c": {0: 50.0}}, through).endswith("does not decide alone.")
    assert said.COMMAND in said.cheapest(synthetic(), {"a": True, "x": False})


def test_a_merged_method_is_compared_with_another():
    rows = {"cost/work.a_merged": {0: 3.0, 1: 5.0}, "cost/work.b": {0: 2.0}}
    assert said.merged_costs(rows, "a", "b") == "Beside b, merged a takes 1.50 of its multiply-adds."
    assert said.COMMAND in said.merged_costs({}, "a", "b")


def test_every_method_has_a_name_for_readers():
    assert set(figures.NAMES) == set(METHODS), "no key stands in a sentence or beside a point"
    assert figures.named("zeroi2v_merged") == "ZeroI2V, merged" and figures.named("mine") == "mine"


def test_whose_answer_turns_with_the_clip_sees_order():
    same, other = torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 0, 0])
    text = said.turned({"blind": (same, same), "seeing": (same, other)})
    assert "blind 0 %, seeing 50 %" in text and text.endswith("No answer of blind depends on the order.")
    assert said.turned({"seeing": (same, other)}).endswith("to the right one is another question.")


def test_tables_read_metrics_of_the_other_papers_studies():
    for entries in figures.ELSEWHERE.values():
        for paper, metric, _ in entries:
            known = study_of(paper).metrics()
            assert any(metric == each or metric.startswith(f"{each}/") for each in known), metric


def study_of(paper):
    from minilib.study import load_study

    return load_study(paper)


def test_every_claim_names_metrics_that_are_measured():
    paper = claims.load("image_to_video_compared")
    named = {m for claim in paper.claims for m in claim.metrics}
    named |= {m for task in paper.tasks.values() for m in (*task.positive.metrics, *task.negative.metrics)}
    assert named <= set(STUDY.metrics())
    headlines = {m for claim in paper.claims if claim.headline for m in claim.metrics}
    assert {name.partition("/")[0] for name in headlines} == {"tuned"}
    orderings = {m for claim in paper.claims if not claim.cost for m in claim.metrics}
    assert orderings <= set(STUDY.metrics("tuned")), "the short recipe's rates were set by hand"
    assert set(paper.tasks) == set(study.JUDGED)
    assert all(abs(task.chance - TASKS[n].chance) < 1e-3 for n, task in paper.tasks.items())


OF_THIS_PAGE = ("zeroi2v", "dist", "object_centric", "victr")
FILES = [path for path in sorted((NOTEBOOKS / "parameters").glob("*.yaml")) if path.stem.startswith(OF_THIS_PAGE)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: Path(p).stem)
def test_parameter_files_name_parameters_of_the_notebook(path):
    given = yaml.safe_load(path.read_text())
    text = (NOTEBOOKS / "06_image_to_video_compared.ipynb").read_text()
    assert all(f'"{name}: ' in text for name in given) and f'\\"{given["method"]}\\"' in text
    assert path.stem == f"{given['method']}_{given['dataset']}"

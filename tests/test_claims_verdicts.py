"""Verdicts: the words that intervals decide, the gates before them, and how often nothing is called something."""

import json
import math
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import scipy.stats
import yaml
from hypothesis import given
from hypothesis import strategies as st

from minilib.claims import Row, judge
from minilib.claims.intervals import LOOKS, Sample, decide, first_look, needed
from minilib.claims.model import Claims
from minilib.claims.scores import halved
from minilib.claims.verdicts import VERDICTS, combined

CONTENT = yaml.safe_load((Path(__file__).parent / "claims" / "sums.yaml").read_text())
SETUP = {"commit": "0123456789ab", "experiment": 2, "device": "here"}


def claims_of(*kept, tasks=None, **changes):
    """The claims of these ids, the first one changed; tasks changed by name."""
    content = json.loads(json.dumps(CONTENT))
    next(claim for claim in content["claims"] if claim["id"] == kept[0]).update(changes)
    for name, task in (tasks or {}).items():
        content["tasks"][name] = content["tasks"].get(name, {}) | task
    claims = Claims.model_validate({**content, "paper": "sums"})
    return claims.model_copy(update={"claims": tuple(claims[id] for id in kept)})


def rows(metric, values, **more):
    return [Row(metric=metric, value=value, seed=seed, **(SETUP | more)) for seed, value in enumerate(values)]


def scores(**changes):
    """Values by metric in which A beats B by six points and every gate lets it pass; a point is half of a unit."""
    found = {
        "tuned/a": [40.0, 41, 42, 40.5, 41.5],
        "tuned/b": [37.2, 37.9, 39, 37.6, 38.3],
        "tuned.half/a": [35.0, 36, 37, 35.5, 36.5],
        "tuned.half/b": [33.1, 33.9, 35, 33.4, 34.6],
        "grid/full": [40.0, 41, 42, 40.5, 41.5],
        "grid/none": [15.0, 15.5, 15.2, 14.9, 15.4],
        "grid/control/labels": [10.1, 9.8, 10.3, 9.9, 10.0],
    }
    return found | {name.replace("__", "/"): values for name, values in changes.items()}


def measured(values, **more):
    return [row for metric, each in values.items() for row in rows(metric, each, **more)]


def verdict(values=None, claims=None, extra=()):
    claims = claims or claims_of("better")
    return judge(claims, [*measured(values or scores()), *extra])[0]


def without(values, *metrics):
    return {name: each for name, each in values.items() if name not in metrics}


def test_an_ordering_that_holds_says_all_that_it_rests_on():
    found = verdict()
    differences = 2 * np.subtract(scores()["tuned/a"], scores()["tuned/b"])
    low, high = scipy.stats.t.interval(0.98, 4, differences.mean(), scipy.stats.sem(differences))
    assert found.verdict == "holds here" and found.measured == pytest.approx(6.0)
    assert found.why == (
        f"Mean difference +6.0 points, 98 % interval [{low:.1f}, {high:.1f}], five seeds (here: shorter training)."
    )


def test_what_only_the_long_training_has_is_not_called_unmeasured_alone():
    """The tables of the page show both sides by another recipe than the one to which the claim is locked."""
    short = claims_of("better", pairs=[{"better": "grid/a", "worse": "grid/b"}])
    found = verdict(claims=short)
    assert found.verdict == "not testable here" and found.why.startswith(
        "By the short training that judges this claim: not measured yet; long trainings stand in the tables; `python"
    )
    one_side = {"grid/a": [40.0] * 5}
    assert "By the short training" in verdict(scores() | one_side, short).why, "what lacks is there by the long one"
    for values in (without(scores(), "tuned/b"), {"grid/full": [40.0] * 5}):
        assert verdict(values, short).why.startswith("Not measured yet; `python")
    shortly = {"grid/a": [40.0] * 5, "grid/b": [30.0] * 5}
    assert verdict(without(scores(), "tuned/a", "tuned/b") | shortly).why.startswith(
        "By the long training that judges this claim: not measured yet; short trainings stand in the tables; `python"
    )


def test_what_holds_turned_round_is_opposite():
    turned = {
        "tuned/a": "tuned/b",
        "tuned/b": "tuned/a",
        "tuned.half/a": "tuned.half/b",
        "tuned.half/b": "tuned.half/a",
    }
    found = verdict({turned.get(name, name): each for name, each in scores().items()})
    assert found.verdict == "opposite here" and found.measured == pytest.approx(-6.0)


# --- gates -----------------------------------------------------------------------------------------------------------

LOWER = {"tuned__a": [14.0, 14.1, 14.2, 14.3, 14.4], "tuned__b": [12.0, 12.2, 12.1, 12.4, 12.3]}
HIGHER = {"tuned__a": [58.0, 58.1, 58.2, 58.3, 58.4], "tuned__b": [56.0, 56.2, 56.1, 56.4, 56.3]}
GATES = {
    "four seeds": (
        scores(tuned__b=[37.2, 37.9, 39, 37.6]),
        "Of the seeds 0 to 4 only four have rows that judge, the first look needs them all: mean",
    ),
    "one seed": (
        scores(tuned__b=[37.2]),
        "Of the seeds 0 to 4 only one has rows that judge, the first look needs them all (here",
    ),
    "near chance": (scores(**LOWER), "Room: the better one lies 8 % of the way from chance to oracle, less than 10 %;"),
    "near the oracle": (
        scores(**HIGHER),
        "Room: the worse one lies 92 % of the way from chance to oracle, more than 90 %",
    ),
    "no positive control": (
        without(scores(), "grid/full"),
        "Controls: the positive control of the task (motion) is not",
    ),
    "a positive control that shows nothing": (
        scores(grid__full=[15.0, 15.5, 15.2, 14.9, 15.4]),
        "Controls: the interval of the positive control must lie above 0 and is [0.0, 0.0]; mean difference",
    ),
    "a positive control that shows the opposite": (
        scores(grid__full=[11.0, 10.5, 11.2, 10.9, 11.4]),
        "Controls: the interval of the positive control must lie above 0 and is [-",
    ),
    "no negative control": (
        without(scores(), "grid/control/labels"),
        "Controls: the negative control of the task (motion) is not measured; mean difference",
    ),
    "a negative control that shows something": (
        scores(grid__control__labels=[11.4, 11.6, 11.7, 11.5, 11.6]),
        "Controls: the interval of the negative control must lie within 3 points of nothing and is [",
    ),
    "a negative control that is below": (
        scores(grid__control__labels=[8.4, 8.6, 8.7, 8.5, 8.6]),
        "Controls: the interval of the negative control must lie within 3 points of nothing and is [",
    ),
    "half the steps unmeasured": (
        without(scores(), "tuned.half/a"),
        "Length: half the steps are not measured with these",
    ),
    "half the steps with too few seeds": (
        scores(**{"tuned.half__a": [35.0, 36, 37, 35.5]}),
        "Length: half the steps are not measured with these seeds; mean difference",
    ),
    "another sign at half the steps": (
        scores(**{"tuned.half__a": [33.0, 33.5, 34.9, 33.1, 34.1]}),
        "Length: at half the steps the difference was -0.56 points, of the other sign; mean difference",
    ),
    "less than half of it left": (
        scores(**{"tuned.half__a": [40.0, 41, 42, 40.5, 41.5]}),
        "Length: at half the steps the difference was +14.0 points, more than twice as large; mean difference",
    ),
}


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_alone_takes_the_word(gate):
    values, why = GATES[gate]
    found = verdict(values)
    assert found.verdict == "cannot show it here" and found.why.startswith(why)
    assert found.measured is not None


def test_the_gates_let_pass_what_lies_just_inside():
    just = [
        scores(tuned__a=[15.2, 15.1, 15.0, 15.1, 15.1], tuned__b=[12.2, 12.0, 12.1, 12.3, 12.0]),  # 10.2 % at its best
        scores(tuned__a=[57.9, 58.0, 57.9, 58.1, 58.0], tuned__b=[54.9, 54.8, 54.7, 55.0, 54.9]),  # 89.7 % at its worst
        scores(**{"tuned.half__a": [39.0, 39.8, 41, 39.3, 40.5]}),  # 11.8 points then, 6 now
        scores(**{"tuned.half__a": [33.2, 34.0, 35, 33.5, 34.8]}),  # 0.2 points then, 6 now: it has grown
        scores(grid__control__labels=[11.2, 11.4, 11.5, 11.3, 11.3]),  # 2.7 points
    ]
    assert [verdict(values).verdict for values in just] == ["holds here"] * len(just)


def test_gates_stand_in_their_order():
    values = without(scores(**LOWER), "grid/full", "tuned.half/a")
    assert verdict(values).why.startswith("Room")
    assert verdict(values | {"tuned/a": scores()["tuned/a"]}).why.startswith("Controls")
    assert verdict(without(scores(), "tuned.half/a")).why.startswith("Length")
    assert verdict(without(scores(), "tuned.half/a") | {"tuned/a": [40.0] * 4}).why.startswith(
        "Of the seeds 0 to 4 only four have"
    )


def test_a_task_without_controls_vouches_for_nothing():
    for control in ("positive", "negative"):
        found = verdict(claims=claims_of("better", tasks={"motion": {control: None}}))
        assert found.why.startswith(f"Controls: the task (motion) names no {control} control")


def test_length_is_asked_only_where_there_is_a_word_to_lose():
    values = without(scores(tuned__a=[40.0, 38, 42, 37.5, 41.5]), "tuned.half/a", "tuned.half/b")
    assert verdict(values).verdict == "undecided"


@pytest.mark.parametrize("test", ["equal", "not_worse", "greater"])
def test_no_difference_needs_both_intervals_inside_the_margin(test):
    pairs = [{"better": "tuned/a", "worse": "tuned/b", "test": test}]
    claims = claims_of("better", pairs=pairs, margin=1.0)
    same = {"tuned/b": scores()["tuned/a"], "tuned.half/b": [34.9, 36.1, 37, 35.4, 36.6]}
    word = "no difference here" if test == "greater" else "holds here"
    found = verdict(scores() | same, claims)
    assert found.verdict == word and "96 % interval [0.0, 0.0]" in found.why
    assert f"; the margin is {'-' if test == 'not_worse' else '±'}1 points" in found.why
    above = verdict(scores() | same | {"tuned.half/b": [34.0, 35.1, 36, 34.4, 35.6]}, claims)  # two points then
    assert above.verdict == ("holds here" if test == "not_worse" else "cannot show it here")
    wide = verdict(scores() | same | {"tuned.half/b": [34.6, 36.4, 36.6, 35.9, 36.1]}, claims)  # about nothing, wide
    assert wide.verdict == "cannot show it here" and "not inside the margin" in wide.why
    loose = verdict(scores() | {"tuned/b": [38.0, 42.5, 41.0, 42.0, 40.0]}, claims)  # a margin is a reason here, too
    assert loose.verdict == "undecided" and ("the margin is" in loose.why) == (test != "greater")
    below = verdict(scores() | same | {"tuned.half/b": [36.0, 37.1, 38, 36.4, 37.6]}, claims)
    assert below.verdict == "cannot show it here" and below.why.startswith(
        "Length: at half the steps the difference was"
    )


def test_room_is_not_asked_of_chance_itself():
    pairs = [{"better": "grid/control/labels", "worse": "chance", "test": "equal"}]
    values = scores() | {"grid.half/control/labels": scores()["grid/control/labels"]}
    assert verdict(values, claims_of("better", pairs=pairs)).verdict == "holds here"


# --- rows that judge -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"barred": "shared test clips"},
            "Three seeds, tested on shared clips: mean difference +5.9 points, 98 % interval",
        ),
        ({"barred": "an old stopwatch"}, "Three seeds, an old stopwatch: mean difference"),
        ({"commit": "0123456789ab-dirty"}, "Three seeds, measured with uncommitted changes: mean difference"),
        ({"commit": None}, "Three seeds, measured outside a checkout: mean difference"),
    ],
)
def test_rows_that_do_not_judge_are_shown_with_the_reason(change, why):
    three = {name: each[:3] for name, each in scores().items()}
    found = judge(claims_of("better"), measured(three, **change))[0]
    assert found.verdict == "cannot show it here" and found.why.startswith(why)
    assert found.measured == pytest.approx(5.9, abs=0.1)
    five = judge(claims_of("better"), measured(scores(), **change))[0]
    assert five.verdict == "cannot show it here" and five.why.startswith("Five seeds, ")


def test_one_row_that_does_not_judge_is_missing_from_the_look():
    changed = measured(scores())
    at = next(k for k, row in enumerate(changed) if row.metric == "tuned/b" and row.seed == 2)
    for change in (
        {"barred": "x"},
        {"commit": "abc-dirty"},
        {"device": "there"},
        {"dtype": "bfloat16"},
        {"threads": 9},
    ):
        these = [*changed[:at], changed[at].model_copy(update=change), *changed[at + 1 :]]
        found = judge(claims_of("better"), these)[0]
        assert found.verdict == "cannot show it here" and found.why.startswith("Of the seeds 0 to 4 only four have"), (
            change
        )


def test_barred_rows_beside_rows_that_judge_change_nothing():
    old = rows("tuned/a", [90.0] * 5, barred="shared test clips", settings="old")
    assert verdict(extra=old) == verdict()
    assert verdict(extra=[row.model_copy(update={"settings": ""}) for row in old]) == verdict()


def test_two_devices_make_no_pair():
    values = scores()
    there = rows("tuned/b", values.pop("tuned/b"), device="there")
    found = verdict(values, extra=there)
    assert found.verdict == "cannot show it here" and found.measured is None
    assert found.why.startswith("The two were not measured with the same seeds on the same device, dtype and number of")
    assert "`python -m minilib.study sums --here` measures here what lacks" in found.why


def test_parts_of_a_sum_on_two_devices_are_measured_and_make_no_pair():
    claims = claims_of("gain", pairs=[{"better": "gain/motion", "worse": "tuned/gain", "test": "greater"}])
    claims.derived["tuned/gain"] = {"tuned/a": 1.0, "tuned/b": -1.0}
    values = scores()
    there = rows("tuned/b", values.pop("tuned/b"), device="there")
    found = verdict(values, claims, extra=there)
    assert found.verdict == "cannot show it here" and found.why.startswith("The two were not measured with the same")
    nowhere = verdict(without(scores(), "tuned/b"), claims)
    assert nowhere.verdict == "not testable here" and nowhere.why.startswith("Not measured yet")


def test_a_pair_is_of_the_newest_setup_that_both_sides_share():
    """What is measured again elsewhere takes no pair apart, alone; with its partner it is the pair."""
    alone = rows("tuned/a", [99.0] * 5, device="there")
    assert verdict(extra=alone).why == verdict().why and verdict().verdict == "holds here"
    near = {"a": [18.0, 18.4, 18.2, 18.1, 18.3], "b": [12.0, 12.5, 12.2, 12.1, 12.3]}  # with little room, here
    near = scores() | {f"{recipe}/{name}": each for name, each in near.items() for recipe in ("tuned", "tuned.half")}
    low = rows("tuned/a", [13.0] * 5, device="there")  # and with none there, which says nothing about the pair here
    assert verdict(near, extra=low).why == verdict(near).why and verdict(near, extra=low).verdict == "holds here"
    both = [*alone, *rows("tuned/b", [40.0, 41, 42, 43, 44], device="there")]
    assert verdict(extra=both[:5] + both[5:7]).measured != verdict().measured  # two seeds there, three here
    assert verdict(extra=both).measured == pytest.approx(114.0)  # 57 of 0.5 a point
    other = rows("grid/other", [1.0] * 5)  # of another metric, here: it makes no pair older
    assert verdict(extra=[*both, *other]).measured == pytest.approx(114.0)
    assert verdict(extra=[*both, *measured(scores())]).measured == verdict().measured  # here is newer now


def test_only_the_newest_settings_judge():
    """Rows of an older recipe never fill up those of a newer one."""
    newer = [row.model_copy(update={"settings": "new"}) for row in rows("tuned/b", [41.0, 42, 43])]
    found = verdict(extra=newer)
    assert found.verdict == "cannot show it here" and found.why.startswith("Of the seeds 0 to 4 only three have")


def test_smoke_rows_stale_rows_and_no_rows_decide_nothing():
    for change in ({"scale": "smoke"}, {"experiment": 1}):
        found = judge(claims_of("better"), measured(scores(), **change))[0]
        assert (found.verdict, found.measured) == ("not testable here", None)
    assert found.why == "Not measured yet; `python -m minilib.study sums` measures it (here: shorter training)."
    assert verdict(without(scores(), "tuned/b")).verdict == "not testable here"


# --- looks -----------------------------------------------------------------------------------------------------------


def longer(a, b):
    """Pairs of any number, their halves and controls."""
    more = scores()
    n = len(a) // 5 + 1
    values = {name: each * n for name, each in more.items()}
    return values | {"tuned/a": a, "tuned/b": b, "tuned.half/a": a, "tuned.half/b": b}


def test_the_first_look_that_decides_stands():
    b = [30.0] * 10
    a = [32.0, 32.1, 31.9, 32.2, 31.8] + [26.0] * 5
    found = verdict(longer(a, b))
    assert found.verdict == "holds here" and found.measured == pytest.approx(2 * fmean(np.subtract(a, b)))
    assert "ten seeds; the look at five decides, interval [3.5, 4.5]" in found.why
    assert verdict(longer(a[5:] + a[:5], b)).verdict == "opposite here"


def test_later_looks_are_taken_only_whole():
    b = [30.0] * 20
    a = [30.0, 34, 31, 35, 29.5] + [32.0] * 15
    five, seven, ten = (verdict(longer(a[:n], b[:n])) for n in (5, 7, 10))
    assert five.verdict == seven.verdict == "undecided" and ten.verdict == "holds here"
    values = longer(a[:10], b[:10])
    values["tuned/b"] = values["tuned/b"][:9]
    assert verdict(values).verdict == "undecided"
    later = [row.model_copy(update={"seed": row.seed + 1}) for row in measured(longer(a[:5], b[:5]))]
    missing = judge(claims_of("better"), later)[0]
    assert missing.verdict == "cannot show it here" and missing.why.startswith("Of the seeds 0 to 4 only four have")


def test_undecided_says_how_many_seeds_would_decide():
    a, b = [40.0, 38, 42, 37.5, 41.5], [37.2, 37.9, 39, 37.6, 38.3]
    found = verdict(scores(tuned__a=a, tuned__b=b))
    differences = 2 * np.subtract(a, b)
    n = 6
    while scipy.stats.t.interval(0.98, n - 1, differences.mean(), differences.std(ddof=1) / math.sqrt(n))[0] <= 0:
        n += 1
    assert f"five seeds; about {n} seeds would decide" in found.why and "last look" not in found.why
    nearly = verdict(scores(tuned__a=np.add(a, -1.0).tolist(), tuned__b=b))
    assert "would decide, the last look is at 20" in nearly.why
    none = verdict(scores(tuned__a=np.add(b, [9, -9, 9, -9, 0.3]).tolist(), tuned__b=b))
    assert "200 seeds would not decide, the last look is at 20" in none.why


def test_clips_have_looks_of_their_own_and_no_length():
    task = {"chance": 10, "oracle": 60, "positive": {"better": "still/full", "worse": "chance"}}
    task["negative"] = {"better": "still/none", "worse": "chance"}
    claims = claims_of("over_parameters", tasks={"still": task}, pairs=[{"better": "still/a", "worse": "still/b"}])
    wave = [math.sin(k) for k in range(128)]

    def of(n):
        values = {
            "still/a": [32 + x for x in wave],
            "still/b": [30 - x for x in wave],
            "still/full": [50 + x for x in wave],
        }
        values["still/none"] = [10 + x / 9 for x in wave]
        return judge(claims, measured({name: each[:n] for name, each in values.items()}))[0]

    assert of(64).verdict == "holds here" and "64 clips" in of(64).why
    assert of(63).verdict == "cannot show it here" and of(63).why.startswith("Of the clips 0 to 63 only 63 have")


def test_a_tasks_ends_and_controls_may_have_other_replicates_than_a_claim_on_it():
    task = {
        "replicates": "groups",
        "positive": {"better": "oracle", "worse": "chance"},
        "negative": {"better": "still/lowest", "worse": "still/other_way"},
    }
    claims = claims_of("over_parameters", tasks={"still": task}, replicates="seeds")
    values = {"still/a": [18.0, 18.1, 18, 18.2, 18], "still/b": [14.1, 14, 14, 14.1, 14]}
    values |= {halved("still/a"): values["still/a"], halved("still/b"): values["still/b"]}
    ends = {"still/lowest": [10.0] * 5 + [12.0] * 11, "still/highest": [30.0] * 5 + [32.0] * 11}
    ends["still/other_way"] = [low + (0.1 if k % 2 else -0.1) for k, low in enumerate(ends["still/lowest"])]
    found = judge(claims, measured(values | ends))[0]
    assert found.verdict == "holds here" and found.measured == pytest.approx(5 * fmean([3.9, 4.1, 4, 4.1, 4]))
    few = {name: each[:15] for name, each in ends.items()}
    found = judge(claims, measured(values | few))[0]
    assert found.verdict == "cannot show it here" and "control of the task (still) is not measured" in found.why
    noisy = ends | {"still/other_way": [low + (6 if k % 2 else -6) for k, low in enumerate(ends["still/lowest"])]}
    assert "negative control must lie within 3 points" in judge(claims, measured(values | noisy))[0].why


def test_ends_that_are_metrics_are_measured_on_the_first_looks_replicates():
    task = {
        "positive": {"better": "oracle", "worse": "chance"},
        "negative": {"better": "still/lowest", "worse": "still/b"},
    }
    claims = claims_of("over_parameters", tasks={"still": task}, replicates="seeds")
    values = {"still/lowest": [10.0, 10, 10, 10, 10, 90], "still/highest": [30.0, 30, 30, 30, 30, 90]}
    values |= {"still/a": [18.0, 18.1, 18, 18.2, 18], "still/b": [10.1, 10, 10, 10.1, 10]}
    values |= {halved("still/a"): values["still/a"], halved("still/b"): values["still/b"]}
    found = judge(claims, measured(values))[0]
    assert found.verdict == "holds here" and found.measured == pytest.approx(5 * fmean([7.9, 8.1, 8, 8.1, 8]))
    more = {name: each[:5] + each[:5] for name, each in values.items()}
    more |= {"still/lowest": [10.0] * 5 + [18.5] * 5, "still/highest": [30.0] * 5 + [20.0] * 5}
    for name in ("still/a", halved("still/a")):
        more[name] = [10.0, 12.9, 11, 13.5, 10.2, *[12.5] * 5]
    task["negative"] = {"better": "still/b", "worse": "still/c"}
    claims = claims_of("over_parameters", tasks={"still": task}, replicates="seeds")
    found = judge(claims, measured(more | {"still/c": more["still/b"]}))[0]
    assert found.verdict == "holds here"  # at ten seeds, where later ends would leave no room
    found = judge(claims, measured(without(values, "still/lowest")))[0]
    assert (found.verdict, found.measured) == ("cannot show it here", None)
    assert found.why == "Chance or oracle of the task (still) is not measured."


# --- words -----------------------------------------------------------------------------------------------------------

VALUES = [1.0, 1.3, 0.4, 0.9, 1.4]


def bounds(coverage):
    return scipy.stats.t.interval(coverage, 4, fmean(VALUES), stdev(VALUES) / math.sqrt(5))


def words(test, margin, *shifts):
    return [decide(Sample.of([value + shift for value in VALUES]), test, margin) for shift in shifts]


def test_greater_is_decided_by_the_98_percent_interval():
    low, high = bounds(0.98)
    tiny = 1e-9
    assert words("greater", 0.1, -low + tiny, -low - tiny) == ["holds here", "undecided"]
    assert words("greater", 0.1, -high - tiny, -high + tiny) == ["opposite here", "undecided"]


def test_no_difference_is_decided_by_the_96_percent_interval():
    low, high = bounds(0.96)
    shift, margin = -fmean(VALUES), (high - low) / 2
    assert words("greater", margin + 1e-9, shift) == ["no difference here"]
    assert words("greater", margin - 1e-9, shift) == ["undecided"]
    assert words("greater", margin + 0.1, shift + 0.0999, shift + 0.1001) == ["no difference here", "undecided"]
    assert words("greater", margin + 0.1, shift - 0.0999, shift - 0.1001) == ["no difference here", "undecided"]


def test_equal_is_inside_at_96_and_opposite_outside_at_98():
    low, high = bounds(0.96)
    shift, margin = -fmean(VALUES), (high - low) / 2 + 0.1
    assert words("equal", margin, shift + 0.0999, shift - 0.0999) == ["holds here"] * 2
    assert words("equal", margin, shift + 0.1001, shift - 0.1001) == ["undecided"] * 2
    low, high = bounds(0.98)
    assert words("equal", 2.0, 2 - low + 1e-9, 2 - low - 1e-9) == ["opposite here", "undecided"]
    assert words("equal", 2.0, -2 - high - 1e-9, -2 - high + 1e-9) == ["opposite here", "undecided"]
    for mean in (1.0, -1.0):  # on the margin itself
        assert decide(Sample(mean, 0.0, 5), "equal", 1.0) == "undecided"


def test_not_worse_looks_at_one_side():
    low = bounds(0.96)[0]
    assert words("not_worse", 2.0, -2 - low + 1e-9, -2 - low - 1e-9, 90) == ["holds here", "undecided", "holds here"]
    high = bounds(0.98)[1]
    assert words("not_worse", 2.0, -2 - high - 1e-9, -2 - high + 1e-9) == ["opposite here", "undecided"]


@given(st.lists(st.floats(-100, 100), min_size=5, max_size=20), st.floats(0.1, 10))
def test_turning_the_pair_round_turns_the_word(values, margin):
    turned = {"holds here": "opposite here", "opposite here": "holds here"}
    word, back = (decide(Sample.of([sign * value for value in values]), "greater", margin) for sign in (1, -1))
    assert back == turned.get(word, word)
    assert decide(Sample.of(values), "equal", margin) == decide(
        Sample.of([-value for value in values]), "equal", margin
    )


@given(st.floats(-5, 5), st.floats(0.1, 5), st.sampled_from(["greater", "equal", "not_worse"]), st.floats(1, 3))
def test_as_many_seeds_as_are_named_would_decide(mean, std, test, margin):
    n = needed(Sample(mean, std, 5), LOOKS["seeds"], test, margin)
    if n is not None:
        assert decide(Sample(mean, std, n), test, margin) != "undecided"
        assert n == 6 or decide(Sample(mean, std, n - 1), test, margin) == "undecided"


H, O, N, U, C, T = VERDICTS[2], VERDICTS[5], VERDICTS[6], VERDICTS[7], VERDICTS[8], VERDICTS[9]


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        ((H, H), "holds here"),
        ((O, O), "opposite here"),
        ((N, N), "no difference here"),
        ((U, U), "undecided"),
        ((T, T), "not testable here"),
        ((H, C), "cannot show it here"),
        ((H, T), "cannot show it here"),
        ((C, O, N), "cannot show it here"),
        ((H, O), "mixed"),
        ((H, O, U), "mixed"),
        ((H, O, N), "mixed"),
        ((H, N), "partly"),
        ((N, H, H), "partly"),
        ((H, N, U), "undecided"),
        ((H, U), "undecided"),
        ((O, N), "undecided"),
    ],
)
def test_several_pairs_have_one_word(pairs, word):
    assert combined(pairs) == combined(pairs[::-1]) == word and word in VERDICTS


def test_several_pairs_are_told_apart_in_the_reason():
    values = scores() | {"tuned/c": scores()["tuned/a"], "tuned.half/c": scores()["tuned.half/a"]}
    found = verdict(values, claims_of("both"))
    assert found.verdict == "partly" and found.measured == pytest.approx(6.0)
    assert found.why.startswith("First pair, holds here: mean difference +6.0 points")
    assert "; second pair, no difference here: mean difference +0.0 points, 96 % interval [0.0, 0.0]" in found.why
    assert "tuned" not in found.why


# --- derived metrics, costs, other kinds -----------------------------------------------------------------------------


def test_a_derived_metric_is_judged_by_what_it_sums():
    claims = claims_of("gain", pairs=[{"better": "gain/motion", "worse": "tuned/gain", "test": "greater"}])
    claims.derived["tuned/gain"] = {"tuned/a": 1.0, "tuned/b": -1.0}
    values = scores() | {halved(name): scores()[name] for name in ("grid/full", "grid/none")}
    found = judge(claims, measured(values))[0]
    assert found.verdict == "holds here"
    want = 2 * (
        np.subtract(values["grid/full"], values["grid/none"]) - np.subtract(values["tuned/a"], values["tuned/b"])
    )
    assert found.measured == pytest.approx(want.mean())
    no_room = judge(claims, measured(values | {name.replace("__", "/"): each for name, each in HIGHER.items()}))[0]
    assert no_room.verdict == "cannot show it here" and no_room.why.startswith("Room: the worse one lies 92 %")
    at_chance = judge(claims, measured(values | {name.replace("__", "/"): each for name, each in LOWER.items()}))[0]
    assert at_chance.verdict == "cannot show it here" and at_chance.why.startswith("Room: the better one lies 8 %")
    unmeasured = judge(claims, measured(without(values, "grid.half/none")))[0]
    assert unmeasured.why.startswith("Length: half the steps are not measured")


A = [1.0, 1.1, 1.2, 0.9, 1.0, 1.1, 1.0, 1.2, 1.1, 1.0]
B = [2.0, 2.3, 2.3, 1.9, 2.1, 2.1, 2.1, 2.4, 2.2, 1.9]


def cost(a, b, more=(), **changes):
    claims = claims_of("cheaper", **changes)
    return judge(claims, [*rows("cost/time.a", a), *rows("cost/time.b", b), *more])[0]


def test_costs_compare_ten_interleaved_rounds_by_their_logarithms():
    found = cost(A, B)
    logs = np.log(np.divide(B, A))
    low, high = np.exp(scipy.stats.t.interval(0.95, 9, logs.mean(), scipy.stats.sem(logs)))
    assert found.verdict == "holds here" and found.measured == pytest.approx(math.exp(logs.mean()))
    assert found.why == f"Ratio {found.measured:.3g}, 95 % interval [{low:.3g}, {high:.3g}], ten rounds."
    back = cost(B, A)
    assert back.verdict == "opposite here" and back.measured == pytest.approx(1 / found.measured)
    nine = cost(A[:9], B)
    assert nine.verdict == "cannot show it here" and nine.why.endswith("nine rounds, ten are needed.")
    told = judge(claims_of("cheaper"), [*rows("cost/time.a", A[:3], barred="x"), *rows("cost/time.b", B[:3])])[0]
    assert told.why.endswith("three rounds, ten are needed."), "said once, with what lacks"
    assert cost(A[:1], B).why == "Ratio 2, one round, ten are needed."
    assert cost(A, []).verdict == "not testable here" and "minilib.study sums --costs`" in cost(A, []).why


def test_equal_costs_differ_by_less_than_the_margin_in_percent():
    pairs = [{"better": "cost/time.a", "worse": "cost/time.b", "test": "equal"}]
    near = [1.02 * value * (1 + 0.004 * (-1) ** k) for k, value in enumerate(A)]
    assert cost(A, near, pairs=pairs, margin=3).verdict == "holds here"
    assert cost(A, near, pairs=pairs, margin=1).verdict == "opposite here"
    assert cost(A, near, pairs=pairs, margin=2).verdict == "undecided"


def test_the_95_percent_interval_decides_costs():
    logs = np.array([1.0, -0.2, 0.5, 0.9, -0.4, 0.3, 0.8, -0.1, 0.6, 0.2])
    low, _ = scipy.stats.t.interval(0.95, 9, logs.mean(), scipy.stats.sem(logs))
    for shift, word in ((-low + 1e-6, "holds here"), (-low - 1e-6, "undecided")):
        assert cost([1.0] * 10, np.exp(logs + shift).tolist()).verdict == word
    pairs = [{"better": "cost/time.a", "worse": "cost/time.b", "test": "equal"}]
    half = logs.mean() - low
    for room, word in ((1.001, "holds here"), (0.999, "undecided")):
        found = cost([1.0] * 10, np.exp(logs - logs.mean()).tolist(), pairs=pairs, margin=100 * np.expm1(room * half))
        assert found.verdict == word


def test_costs_of_another_device_or_of_changed_code_make_no_rounds():
    apart = cost(A, [], rows("cost/time.b", B, device="there"))
    assert apart.verdict == "cannot show it here" and "minilib.study sums --costs` measures both together" in apart.why
    changed = cost(A, [], rows("cost/time.b", B, commit="abc-dirty"))
    assert changed.verdict == "cannot show it here" and changed.measured == pytest.approx(2.02, abs=0.1)
    assert changed.why.endswith("ten rounds, measured with uncommitted changes.")
    # two rounds with other threads are left out of the ten
    few = [row.model_copy(update={"seed": row.seed + 10, "threads": 9}) for row in rows("cost/time.a", [9.0, 9])]
    few += [row.model_copy(update={"seed": row.seed + 10, "threads": 9}) for row in rows("cost/time.b", [1.0, 1])]
    assert cost(A, B, few).verdict == "holds here" and "ten rounds" in cost(A, B, few).why
    # of two devices the one that was measured last
    twice = [*rows("cost/time.a", B, device="there"), *rows("cost/time.b", A, device="there")]
    assert cost(A, B, twice).verdict == "opposite here"


def test_words_at_the_papers_scale():
    values = scores()
    at_paper = measured(values, scale="paper")
    assert judge(claims_of("better"), at_paper)[0].verdict == "reproduced"
    turned = values | {
        name: values[name.replace("/a", "/x").replace("/b", "/a").replace("/x", "/b")] for name in values
    }
    small = measured(values)
    assert judge(claims_of("better"), [*measured(turned, scale="paper"), *small])[0].verdict == "not reproduced"
    few = measured({name: each[:3] for name, each in turned.items()}, scale="paper")
    assert judge(claims_of("better"), [*few, *small])[0].verdict == "holds here"
    same = values | {"tuned/b": values["tuned/a"], "tuned.half/b": values["tuned.half/a"]}
    assert judge(claims_of("better"), measured(same, scale="paper"))[0].verdict == "not reproduced"
    wide = values | {"tuned/a": [40.0, 38, 42, 37.5, 41.5]}
    assert judge(claims_of("better"), measured(wide, scale="paper"))[0].verdict == "undecided"


@pytest.mark.parametrize(
    ("value", "same"),
    [(86.0, True), (86.49, True), (86.51, False), (85.51, True), (85.49, False), (87, False), (84, False)],
)
def test_a_count_is_the_printed_number_once_rounded(value, same):
    found = judge(claims_of("parameters"), rows("parameters", [value], scale="smoke"))[0]
    assert (found.verdict, found.measured) == ("reproduced" if same else "not reproduced", value)
    rounded = f"which is {'' if same else 'not '}86 rounded to the nearest 1"
    assert found.why == f"Counted {value:g} M, {'as the paper prints' if value == 86 else rounded}."


@pytest.mark.parametrize(
    ("value", "same"), [(3.0, True), (3.578, True), (3.999, True), (4.0, False), (2.999, False), (2.6, False)]
)
def test_a_number_that_was_cut_off_says_so(value, same):
    found = judge(claims_of("cut_off"), rows("cut_off", [value]))[0]
    assert found.verdict == ("reproduced" if same else "not reproduced")
    assert ("as the paper prints" if value == 3 else "3 cut to 1") in found.why


def test_a_digit_off_is_off():
    assert judge(claims_of("flops"), rows("cost_of_it", [3.3]))[0].verdict == "not reproduced"
    assert judge(claims_of("flops"), rows("cost_of_it", [3.449]))[0].verdict == "reproduced"


def test_a_conflict_is_told_and_changes_no_verdict():
    off, right = (judge(claims_of("flops"), rows("cost_of_it", [value]))[0] for value in (4.0, 3.41))
    assert off.verdict == "not reproduced" and right.verdict == "reproduced"
    assert off.why.startswith("The table adds wrongly: counted 4, which is not 3.4 rounded to the nearest 0.1")


def test_counts_need_no_clean_checkout_but_barred_ones_do_not_count():
    assert judge(claims_of("parameters"), rows("parameters", [86.0], commit="abc-dirty"))[0].verdict == "reproduced"
    assert judge(claims_of("parameters"), rows("parameters", [86.0], barred="x"))[0].verdict == "not testable here"


def test_magnitudes_are_the_papers_until_run_at_paper_scale():
    claims = claims_of("top1", "other")
    found = {v.id: v for v in judge(claims, rows("top1", [50.0]))}
    assert (found["top1"].measured, found["top1"].verdict) == (None, "not testable here")
    assert (found["other"].verdict, found["other"].why) == ("not testable here", "One core here.")
    for value, word in (
        (84.0, "reproduced"),
        (85.39, "reproduced"),
        (85.41, "not reproduced"),
        (83.3, "not reproduced"),
    ):
        assert judge(claims, rows("top1", [value], scale="paper"))[0].verdict == word
    assert judge(claims, rows("top1", [84.0], scale="paper", commit="abc-dirty"))[0].verdict == "not testable here"


# --- how often nothing is called something ----------------------------------------------------------------------------


def called(draw, runs, test="greater", margin=1e-9, looks=LOOKS["seeds"]):
    """Shares of the words over simulated studies of 20 seeds, looked at as verdicts are."""
    found = {}
    for differences in draw(runs):
        word = first_look(dict(enumerate(differences.tolist())), looks, test, margin).word
        found[word] = found.get(word, 0) + 1 / runs
    return found


def test_a_null_effect_is_called_an_effect_one_time_in_twenty():
    rng = np.random.default_rng(1)
    normal = called(lambda runs: rng.normal(size=(runs, 20)), 4000)
    heavy = called(lambda runs: rng.standard_t(3, size=(runs, 20)), 4000)
    effects = [found.get("holds here", 0) + found.get("opposite here", 0) for found in (normal, heavy)]
    assert 0.035 < effects[0] < 0.06  # 4.6 % expected
    assert 0.015 < effects[1] < effects[0]  # fewer with heavy tails
    assert abs(normal["holds here"] - normal["opposite here"]) < 0.012


def test_an_effect_of_two_standard_deviations_is_found():
    rng = np.random.default_rng(2)
    at_five = called(lambda runs: rng.normal(2, size=(runs, 5)), 2000, looks=(5,))
    at_ten = called(lambda runs: rng.normal(2, size=(runs, 10)), 2000, looks=(5, 10))
    assert 0.68 < at_five["holds here"] < 0.77  # 72 %
    assert at_ten["holds here"] > 0.99


def test_equality_is_found_and_seldom_claimed_where_there_is_a_difference():
    rng = np.random.default_rng(3)
    equal = called(lambda runs: rng.normal(0, size=(runs, 20)), 2000, "equal", 1.0)
    at_the_margin = called(lambda runs: rng.normal(1, size=(runs, 20)), 2000, "equal", 1.0)
    beyond = called(lambda runs: rng.normal(3, size=(runs, 20)), 2000, "equal", 1.0)
    assert equal["holds here"] > 0.95
    assert at_the_margin.get("holds here", 0) < 0.06
    assert beyond["opposite here"] > 0.99 and beyond.get("holds here", 0) == 0


def test_not_worse_is_seldom_claimed_of_what_is_worse():
    rng = np.random.default_rng(4)
    at_the_margin = called(lambda runs: rng.normal(-1, size=(runs, 20)), 2000, "not_worse", 1.0)
    better = called(lambda runs: rng.normal(1, size=(runs, 20)), 2000, "not_worse", 1.0)
    assert at_the_margin.get("holds here", 0) < 0.065 and better["holds here"] > 0.99

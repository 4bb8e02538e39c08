"""The scorecard follows from rows and claims files alone, copes with any paper, and each contradiction has its test."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import replace

import pytest

from minilib.claims import Claims, Row, compute, headline, judge, load, papers, reasons
from minilib.claims import scorecard as sc
from minilib.claims.scorecard import Card, contradictions
from minilib.files import RESULTS, ROOT
from minilib.papers.language_repository import write
from minilib.papers.victr import VicTR

TOY = {
    "paper": "toy",
    "title": "Toy: a paper",
    "experiment": 1,
    "tasks": {
        "motion": {
            "chance": 0,
            "oracle": 100,
            "positive": {"better": "grid/a", "worse": "grid/b"},
            "negative": {"better": "grid/c", "worse": "grid/c2"},
        }
    },
    "claims": [
        {"id": "params", "source": "T1", "statement": "So many.", "kind": "count", "paper_value": 7, "digit": 1},
        {
            "id": "flops",
            "source": "T1",
            "statement": "So much.",
            "kind": "count",
            "paper_value": 9,
            "digit": 1,
            "conflict": "the table adds up to 8",
        },
        {
            "id": "better",
            "source": "T2",
            "statement": "A beats B.",
            "kind": "ordering",
            "headline": True,
            "task": "motion",
            "pairs": [{"better": "grid/a", "worse": "grid/b", "test": "greater"}],
        },
        {"id": "top1", "source": "T2", "statement": "It has 70.", "kind": "magnitude", "paper_value": 70},
    ],
}


def card(*rows: Row, **changes) -> Card:
    claims = Claims.model_validate(TOY | changes)
    return Card(claims, judge(claims, rows), rows)


def row(metric: str, value: float, seed: int = 0, **more) -> Row:
    return Row(metric=metric, value=value, seed=seed, commit="a" * 40, seconds=3600, device="H200", **more)


def seeds(count: int, a: float = 60, b: float = 40) -> list[Row]:
    found = [(name, value + seed) for name, value in (("grid/a", a), ("grid/b", b)) for seed in range(count)]
    return [row(name, value, at % count) for at, (name, value) in enumerate(found)]


def reason(found: Card, id: str) -> str:
    return next(sc.reason(found.claims[v.id], v) for v in found.verdicts if v.id == id)


def test_reasons_are_those_of_the_verdicts():
    found = card(row("params", 7), row("flops", 8))
    assert reason(found, "params") == sc.TO_THE_DIGIT and reason(found, "flops") == sc.CONFLICT
    assert reason(found, "better") == reasons.UNMEASURED and reason(found, "top1") == sc.REAL
    assert reason(card(row("params", 6)), "params") == sc.OFF and reason(card(), "params") == reasons.UNMEASURED
    assert reason(card(*seeds(3)), "better") == reasons.FEW
    old = [each.model_copy(update={"barred": "shared test clips"}) for each in seeds(3)]
    assert reason(card(*old), "better") == reasons.OLD
    apart = [each.model_copy(update={"device": each.metric}) for each in seeds(5)]
    assert reason(card(*apart), "better") == reasons.APART
    assert reason(card(*seeds(5, a=4, b=2)), "better") == reasons.ROOM
    assert reason(card(*seeds(5)), "better") == reasons.UNVOUCHED  # the negative one is not measured
    quiet = [
        row(name, 50 + s / 10 + (name == "grid/c") * (s % 2) / 9, s) for name in ("grid/c", "grid/c2") for s in range(5)
    ]
    assert reason(card(*seeds(5), *quiet), "better") == reasons.NO_HALF
    half = [each.model_copy(update={"metric": each.metric.replace("grid", "grid.half")}) for each in seeds(5)]
    assert reason(card(*seeds(5), *quiet, *half), "better") == sc.DECIDED
    turned = [each.model_copy(update={"value": 100 - each.value}) for each in half]
    assert reason(card(*seeds(5), *quiet, *turned), "better") == reasons.HALF
    loud = [each.model_copy(update={"value": 90.0}) if each.metric == "grid/c" else each for each in quiet]
    assert reason(card(*seeds(5), *loud), "better") == reasons.CONTROL
    wide = [row(name, 50 + sign * 9 * (s % 2), s) for name, sign in (("grid/a", 1), ("grid/b", -1)) for s in range(5)]
    assert reason(card(*wide, *quiet), "better") in (reasons.MORE, reasons.CONTROL)


PRICE = {"id": "price", "source": "T3", "statement": "A is cheaper.", "kind": "ordering", "headline": True}
PRICE |= {"cost": True, "pairs": [{"better": "cost/a", "worse": "cost/b"}]}


def test_an_undecided_ratio_wants_more_rounds():
    rounds = [
        row(f"cost/{name}", 1 + k % 2 * (name == "b") - 0.3 * (name == "b"), k) for name in "ab" for k in range(10)
    ]
    found = card(*rounds, claims=[PRICE])
    assert found.verdicts[0].verdict == "undecided" and reason(found, "price") == reasons.MORE
    assert reason(card(*rounds[:3], *rounds[10:13], claims=[PRICE]), "price") == reasons.FEW
    assert reason(card(claims=[PRICE]), "price") == reasons.UNMEASURED
    apart = [each.model_copy(update={"device": each.metric}) for each in rounds]
    assert reason(card(*apart, claims=[PRICE]), "price") == reasons.APART


def test_long_rows_alone_leave_a_claim_on_short_ones_unmeasured():
    assert (
        reason(card(*(row(f"tuned/{name}", 50, k) for name in "ab" for k in range(5))), "better") == reasons.UNMEASURED
    )


def test_of_several_pairs_the_gravest_reason_counts_and_all_are_kept():
    pairs = [{"better": "grid/a", "worse": "grid/b"}, {"better": "grid/a", "worse": "grid/absent"}]
    claims = [TOY["claims"][2] | {"pairs": pairs}]
    found = card(*seeds(3), claims=claims)
    assert (
        found.verdicts[0].reasons == (reasons.FEW, reasons.UNMEASURED) and reason(found, "better") == reasons.UNMEASURED
    )
    assert json.loads(found.verdicts[0].json())["reasons"] == [reasons.FEW, reasons.UNMEASURED]
    assert reasons.gravest(()) == "" and reasons.ROOM not in reasons.MENDED


def test_every_verdict_of_today_has_a_reason_and_is_counted_once():
    found = sc.cards(RESULTS)
    assert [each.claims.paper for each in found] == papers()
    for each in found:
        assert sum(each.reasons().values()) == len(each.verdicts) == sum(each.counts.values())
        assert not each.reasons()["another reason"], each.claims.paper
    for table in (sc.by_verdict(found), sc.by_reason(found)):
        *lines, total = table.rows
        for column in range(1, len(table.header)):
            assert int(total[column] or 0) == sum(int(line[column] or 0) for line in lines)
    assert len(sc.headline_claims(found).rows) == sum(len(each.headlines) for each in found)


def test_decided_headlines_are_orderings_and_no_costs():
    count = TOY["claims"][0] | {"headline": True}
    both = card(row("params", 7), *seeds(3), claims=[count, *TOY["claims"][1:], PRICE])
    assert len(both.headlines) == 3
    text = headline.decided([both], "of this paper")
    assert text == ("Orderings among them, costs aside, of this paper: 0 of 1 are decided (0 %); the aim was 60 %.")
    settled = replace(both, verdicts=[replace(v, verdict="holds here") for v in both.verdicts])
    assert "1 of 1 are decided (100 %)" in headline.decided([settled], "here") and "0 of 0" in headline.decided(
        [], "here"
    )
    lines = headline.open_headlines([both], {"toy": {"better": 90.0, "params": 7.0}}).rows
    assert [line[1:] for line in lines] == [
        ("A beats B.", "cannot show it here", reasons.FEW, "2"),
        ("A is cheaper.", "not testable here", reasons.UNMEASURED, "a cost: not reckoned"),
    ]
    assert [line[-1] for line in headline.open_headlines([both], {}).rows] == [
        "none would decide it",
        "a cost: not reckoned",
    ]
    more = replace(both, verdicts=[replace(v, verdict="undecided", reasons=(reasons.MORE,)) for v in both.verdicts])
    assert headline.open_headlines([more], {}).rows[1][-2:] == (reasons.MORE, "none: not by the last look")


def test_the_gates_that_are_printed_are_those_that_judge():
    quiet = [row(name, 50 + s / 10, s) for name in ("grid/c", "grid/c2") for s in range(5)]
    half = [each.model_copy(update={"metric": f"grid.half/{each.metric[-1]}"}) for each in seeds(5, a=48)]
    room, positive = "holds: 42 and 62 % of the way from chance to oracle", "holds: +20.0 points [20.0, 20.0]"
    near, small = "fails: 4 and 6 % of the way from chance to oracle", "holds: +2.0 points [2.0, 2.0]"
    absent, nothing = "fails: not measured", "holds: +0.0 points [0.0, 0.0]"
    cases = (
        ([], ("no first look yet", "", "", "", "")),
        (seeds(3), ("no first look yet", "", "", "", "")),
        (seeds(5), ("holds here", room, positive, absent, absent)),
        ([*seeds(5), *quiet, *half], ("holds here", room, positive, nothing, "holds: +8.0 points, then +20.0")),
        ([*seeds(5, 4, 2), *quiet, *half], ("holds here", near, small, nothing, "fails: +8.0 points, then +2.0")),
    )
    for rows, gates in cases:
        assert headline.gates(card().claims, rows).rows == (("A beats B.", *gates),)
    turned = [each.model_copy(update={"value": 100 - each.value}) for each in half]
    assert reason(card(*seeds(5), *quiet, *turned), "better") == reasons.HALF
    loud = [each.model_copy(update={"value": 90.0}) if each.metric == "grid/c" else each for each in quiet]
    assert reason(card(*seeds(5), *loud), "better") == reasons.CONTROL
    wide = [row(name, 50 + sign * 9 * (s % 2), s) for name, sign in (("grid/a", 1), ("grid/b", -1)) for s in range(5)]
    assert headline.gates(card().claims, [*wide, *half]).rows[0][-1].startswith("not asked: +8.0 points, then +7.2")


def test_the_gates_of_today_give_the_verdicts_of_today():
    for each in sc.cards(RESULTS):
        claims = [claim for claim in each.claims.claims if claim.headline and claim.task]
        lines = iter(headline.gates(each.claims, each.rows).rows)
        verdicts = {verdict.id: verdict for verdict in each.verdicts}
        for claim in claims:
            pairs = [next(lines) for _ in claim.pairs]
            if len(pairs) == 1 and pairs[0][1] != "no first look yet":
                failed = any(gate.startswith("fails") for gate in pairs[0][2:])
                assert verdicts[claim.id].verdict == ("cannot show it here" if failed else pairs[0][1]), claim.id


def test_one_paper_two_papers_none():
    one, other = card(*seeds(5)), card(paper="other", title="", claims=[TOY["claims"][3]])
    assert [line[0] for line in sc.by_verdict([one]).rows] == ["Toy"]
    assert [line[0] for line in sc.by_reason([one, other]).rows] == ["Toy", "other", "all"]
    assert sc.by_verdict([]).rows == () and sc.settled_by_time([])[1] == ""


def test_what_time_settles_and_what_data(tmp_path):
    (tmp_path / "toy_charades.yaml").touch()
    table, command = sc.settled_by_time([card(*seeds(3))])
    assert table.rows == (("Toy", "1", "1", f"{reasons.FEW}: 1"),)
    assert command == "python -m minilib.study toy --device cuda --jobs 12"
    assert sc.settled_by_time([card(*seeds(5, a=4, b=2))])[0].rows == ()  # no time mends a task without room
    ((_, waiting, commands),) = sc.settled_by_data([card()], tmp_path).rows
    assert waiting == "1"
    assert commands == "python -m minilib.train notebooks/parameters/toy_charades.yaml --set data_root=DIR"


def test_a_run_that_left_several_rows_costs_once():
    both = [row("grid/a", 60), row("grid/a/map", 30), row("grid/a", 61, seed=1)]
    assert sc.seconds_by_device(card(*both)) == {"H200": 7200}
    assert sc.costs([card(*both)]).rows == (("Toy", "3", "2.00"), ("all", "3", "2.00"))
    cpu = row("grid/a", 60).model_copy(update={"device": "Xeon, 2 cores"})
    assert sc.costs([card(cpu, paper="other", title="Other"), card(*both)]).header[2:] == (
        "hours on Xeon, 2 cores",
        "hours on H200",
    )


def test_hours_of_rows_that_judge_stand_beside_all():
    rows = [row("grid/a", 60, seed) for seed in range(3)]
    rows += [each.model_copy(update={"device": f"Xeon, {each.seed + 1} cores", "commit": ""}) for each in rows]
    rows += [rows[-1].model_copy(update={"commit": "b" * 40, "seconds": 1800.0}), row("grid/b", 1, 3, barred="a clip")]
    assert sc.judging_hours([card(*rows), card()]) == (
        "Of 3.5 hours of processors and 4.0 hours of GPUs, 0.5 and 3.0 were spent on rows that judge: measured in a "
        "clean checkout, by the rules of today."
    )


def test_counts_that_cannot_be_right_stand_once_a_reason():
    twice = TOY["claims"][1] | {"id": "flops2", "source": "T9"}
    found = card(row("flops", 8), row("flops2", 8), claims=[*TOY["claims"], twice])
    assert sc.conflicts([found]).rows == (("Toy", "T1 and 1 more", "2", "the table adds up to 8"),)


# --- contradictions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", contradictions(), ids=lambda each: f"{each.paper}: {each.found[:40]}")
def test_each_contradiction_has_a_test_that_is_there(each):
    path, name = each.test.split("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert (ROOT / "minilib" / "papers" / each.paper).is_dir() or each.paper in papers()


def test_printed_numbers_contradict_the_text():
    dist, oca = load("dist").number, load("object_centric").number
    assert dist("t1a.temporal_only") - dist("t1a.spatial_only") == pytest.approx(8.2)
    assert dist("t1a.integration_only") - dist("t1a.spatial_only") == pytest.approx(10.9)
    assert dist("t1d.gamma8") < dist("t1d.gamma4")
    ratios = [oca(f"t9.hours.{rival}") / oca("t9.hours.oca") for rival in ("st_adapter", "aim", "evl")]
    assert [round(ratio, 1) for ratio in ratios] == [1.5, 1.6, 1.5]
    a_change = (oca("t8.all.gflops") - oca("t8.1.gflops")) / (oca("t8.all.changes") - oca("t8.1.changes"))
    assert 12 * a_change == pytest.approx(1.2) and oca("t12.ti.gflops") - oca("t12.none.gflops") == pytest.approx(1.9)


def test_the_conclusion_means_victr_where_it_says_langrepo():
    """ "Video-conditioned text embeddings" come out of VicTR; what Language Repository takes are captions."""
    assert {"frames", "names"} <= set(inspect.signature(VicTR.forward).parameters)
    given = inspect.signature(write).parameters
    assert next(iter(given)) == "captions" and not {"frames", "video", "pixels"} & set(given)
    assert load("victr").title.startswith("VicTR: video-conditioned text")


def trained(metric: str, score: float, seconds: float, seed: int = 0, **changes) -> list[Row]:
    fixed = dict(seed=seed, commit="0" * 12, seconds=seconds) | changes
    parts = {"": score, "/curve/area": 2 * score, "/curve/end": score / 2}
    return [Row(metric=f"{metric}{part}", value=value, **fixed) for part, value in parts.items()]


def test_a_lead_of_twice_the_compute_is_asked_with_half_the_steps():
    rows = [
        *trained("grid/a", 50.0, 20.0), *trained("grid/a", 54.0, 22.0, 1), *trained("grid/b", 40.0, 10.0),
        *trained("grid/b", 40.0, 10.0, 1), *trained("grid.half/a", 38.0, 10.0),
        *trained("grid.half/a", 99.0, 10.0, device="another"),
    ]  # fmt: skip
    (lead,) = compute.leads(card(*rows))
    assert (lead.ahead, lead.behind, lead.points, lead.at_half) == ("a", "b", 12.0, -2.0)
    assert lead.ratio == pytest.approx(2.1) and lead.curves == ("104.0, 26.0", "80.0, 20.0")
    text, table = compute.same_compute([card(*rows)])
    assert text == (
        "Of one trained pair behind headline claims, in one the side that is ahead takes at least 1.5 times as long "
        "for its steps. In one of these its half is measured: with half its steps it is still ahead in none."
    )
    assert table.rows[0][2:5] == ("+12.0", "2.1", "-2.0")


def test_the_side_that_is_ahead_is_found_and_what_is_not_trained_left_out():
    rows = [*trained("grid/a", 40.0, 10.0), *trained("grid/b", 50.0, 10.0)]
    (lead,) = compute.leads(card(*rows))
    assert (lead.ahead, lead.points, lead.at_half, lead.ratio) == ("b", 10.0, None, 1.0)
    assert not list(compute.leads(card(*(row for row in rows if "curve" not in row.metric))))
    assert not list(compute.leads(card(*rows[:3]))) and not list(compute.leads(card()))
    apart = [row.model_copy(update={"device": "another"}) if row.metric.startswith("grid/b") else row for row in rows]
    assert not list(compute.leads(card(*apart))), "two machines"


def test_number_formats_are_said_by_paper():
    half = Row(metric="grid/a", value=1.0, dtype="bfloat16")
    other = replace(card(Row(metric="grid/a", value=1.0)), claims=card(title="Other").claims)
    text = sc.formats([card(half), other])
    assert text.startswith("1 rows of Toy are of bfloat16. In float32 alone") and text.endswith(": Other.")

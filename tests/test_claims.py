"""Claims files, rows and verdicts."""

import json
import multiprocessing
import os

import numpy as np
import pytest

from minilib.claims import (
    Measurements,
    Row,
    append_rows,
    counts,
    environment,
    judge,
    latest,
    load,
    orderings,
    read_rows,
    settings_hash,
    table,
    tally,
)
from minilib.claims.__main__ import main
from minilib.claims.model import papers
from minilib.claims.rows import newest
from minilib.claims.verdicts import VERDICTS
from minilib.errors import BadInput

YAML = """
title: A paper on sums
experiment: 2
claims:
- {id: parameters, source: "Table 1, row 2", statement: It has 86 M., kind: count, paper_value: 86, unit: M, digit: 1}
- {id: flops, source: Table 1, statement: It costs 3.4 G., kind: count, paper_value: 3.4, digit: 0.1, measure: cost,
   conflict: The table adds wrongly.}
- {id: better, source: Table 2, statement: A beats B., kind: ordering, paper_value: 2.5, unit: "%",
   pairs: [{better: a, worse: b}], setting: shorter training}
- {id: both, source: Table 2, statement: A beats B and C., kind: ordering, paper_value: 2.5,
   pairs: [{better: a, worse: b}, {better: a, worse: c}]}
- {id: same, source: Table 3, statement: A equals C., kind: ordering, paper_value: 0,
   pairs: [{better: a, worse: c, within: 1}]}
- {id: faster, source: Table 4, statement: A takes less., kind: ordering, paper_value: 1, unit: s,
   lower_is_better: true, pairs: [{better: c, worse: a}]}
- {id: top1, source: Table 5, statement: 84.4 on Kinetics., kind: magnitude, paper_value: 84.4, unit: "%"}
- {id: other, source: Table 6, statement: On eight GPUs., kind: magnitude, paper_value: 3,
   different_setting: one core here}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "sums.yaml").write_text(YAML)
    return tmp_path / "claims"


def rows(measure, values, **more):
    return [Row(measure=measure, value=value, seed=seed, experiment=2, **more) for seed, value in enumerate(values)]


def verdicts(folder, *measured):
    claims = load("sums", folder)
    return {v.id: v for v in judge(claims, [row for part in measured for row in part])}


def test_every_shipped_claims_file_loads():
    for paper in papers():
        assert judge(load(paper), [])


def test_counts_follow_the_last_printed_digit(folder):
    for measured, verdict in (
        (86.0, "reproduced"),
        (86.99, "reproduced"),
        (87.0, "not reproduced"),
        (84, "not reproduced"),
    ):
        found = verdicts(folder, rows("parameters", [measured], scale="smoke"))["parameters"]
        assert (found.verdict, found.measured) == (verdict, measured)
    assert verdicts(folder, rows("cost", [3.3]))["flops"].verdict == "not reproduced"  # a tenth off is one digit off


def test_a_conflict_is_told_and_changes_no_verdict(folder):
    off, right = (verdicts(folder, rows("cost", [value]))["flops"] for value in (4.0, 3.41))
    assert off.verdict == "not reproduced" and right.verdict == "reproduced"
    assert off.why.startswith("The table adds wrongly: counted 4, the paper has 3.4")


def test_an_ordering_needs_three_paired_seeds_and_says_how_to_get_them(folder):
    found = verdicts(folder, rows("a", [3, 4, 5]), rows("b", [1, 1]))["better"]
    assert found.verdict == "not testable here" and found.measured is None
    assert "2 paired seeds" in found.why and "make reproduce ONLY=sums SEEDS=5" in found.why


def test_ordering_verdict_is_the_side_of_zero(folder):
    a, b, c = rows("a", [3.0, 4.0, 5.5, 4, 6]), rows("b", [1.0, 1.0, 1.5, 2, 1]), rows("c", [3.2, 3.9, 5.5, 4.1, 5.9])
    found = verdicts(folder, a, b, c)
    assert found["better"].verdict == "reproduced" and found["better"].measured == pytest.approx(3.2)
    assert found["better"].why.startswith("mean difference +3.2 points, 95 % interval [2.2, ")
    assert found["better"].why.endswith("5 of 5 seeds (here: shorter training)")
    assert found["both"].verdict == "partly" and "1 of 2 pairs hold" in found["both"].why
    assert found["same"].verdict == "reproduced" and "inside ±1" in found["same"].why
    assert verdicts(folder, b, rows("c", [1] * 5), rows("a", [1] * 5))["better"].verdict == "not reproduced"


def test_the_interval_matches_a_bootstrap_written_out(folder):
    a, b = [3.0, 4.0, 5.5, 4, 6], [1.0, 1.0, 1.5, 2, 1]
    differences = np.subtract(a, b)
    means = np.random.default_rng(1).choice(differences, (20_000, 5)).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    why = verdicts(folder, rows("a", a), rows("b", b))["better"].why
    found = [float(x) for x in why.split("[")[1].split("]")[0].split(", ")]
    assert found == pytest.approx([low, high], abs=0.11)


def test_lower_is_better_turns_the_difference(folder):
    found = verdicts(folder, rows("c", [1, 1.2, 1.1]), rows("a", [2, 2.5, 2]))["faster"]
    assert found.verdict == "reproduced" and found.measured > 0


def test_smoke_rows_and_stale_rows_decide_nothing(folder):
    smoke = [rows(name, [1, 2, 3], scale="smoke") for name in "ab"]
    stale = [[row.model_copy(update={"experiment": 1}) for row in rows(name, [1, 2, 3])] for name in "ab"]
    assert verdicts(folder, *smoke)["better"].verdict == "not testable here"
    assert verdicts(folder, *stale)["better"].verdict == "not testable here"


def test_magnitudes_are_the_papers_until_run_at_paper_scale(folder):
    found = verdicts(folder, rows("top1", [50.0]))
    assert (found["top1"].measured, found["top1"].verdict) == (None, "not testable here")
    assert (found["other"].verdict, found["other"].why) == ("different setting", "one core here")
    assert verdicts(folder, rows("top1", [84.0], scale="paper"))["top1"].verdict == "reproduced"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("digit: 1}", "digits: 1}"), "sums.yaml: claims.parameters"),
        (("kind: count, paper_value: 86", "kind: number, paper_value: 86"), "claims.parameters.kind"),
        (("id: flops", "id: parameters"), "id parameters is there twice"),
        (("pairs: [{better: c, worse: a}]", "digit: 1"), "digit does not belong to a ordering"),
        (("experiment: 2", "experiment: two"), "experiment"),
        (("experiment: 2", "experiment: [2"), "not YAML"),
    ],
)
def test_a_wrong_claims_file_is_one_clear_line(folder, change, named):
    (folder / "sums.yaml").write_text(YAML.replace(*change))
    with pytest.raises(BadInput) as error:
        load("sums", folder)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_json_contract(folder, tmp_path, capsys):
    append_rows(tmp_path / "results" / "rows" / "sums.jsonl", rows("parameters", [86.2]))
    append_rows(tmp_path / "out" / "rows" / "sums.jsonl", rows("parameters", [90]))
    common = ["--claims", str(folder), "--results", str(tmp_path / "results")]
    assert main(["--json", "sums", *common]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 8
    for line in lines:
        assert list(line) == ["id", "kind", "source", "paper_value", "measured", "verdict", "why"]
        assert line["verdict"] in VERDICTS and line["why"]
    assert lines[0]["measured"] == 86.2
    assert main(["sums", "--rows", str(tmp_path / "out"), *common]) == 0
    assert "90 M" in capsys.readouterr().out
    assert main(["nothing", *common]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == "paper 'nothing' has no claims; known are: sums\n"


def test_seeds_of_two_recipes_are_never_paired(tmp_path):
    """Two seeds of a newer recipe are two seeds, though the older one has three."""
    old = [Row(measure="a", value=1.0, seed=seed, settings="old") for seed in range(3)]
    new = [Row(measure="a", value=9.0, seed=seed, settings="new") for seed in range(2)]
    smoke = Row(measure="a", value=5.0, seed=7, settings="other", scale="smoke")
    assert newest([*old, *new, smoke]) == [*new, smoke]
    assert newest([*new, smoke, *old]) == [smoke, *old]
    append_rows(tmp_path / "rows" / "zeroi2v.jsonl", [*old, *new])
    kept = Measurements("zeroi2v", tmp_path, committed=tmp_path)
    assert kept.seeds_of()["a"] == {0: 9.0, 1: 9.0}


def test_the_last_of_two_rows_wins_and_a_torn_line_is_ignored(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0]))
    append_rows(path, rows("a", [2.0]))
    with path.open("a") as file:
        file.write('{"measure": "a", "val')
    with pytest.warns(UserWarning, match="cut off"):
        found = read_rows(path)
    assert [row.value for row in latest(found, 2)] == [2.0]
    again = [Row(measure="a", value=v, settings=s) for s, v in (("old", 1), ("new", 2), ("old", 3))]
    assert [(row.settings, row.value) for row in latest(again, 1)] == [("new", 2), ("old", 3)]
    append_rows(path, rows("b", [3.0]))  # cuts the torn line off
    assert [row.measure for row in read_rows(path)] == ["a", "a", "b"]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(BadInput, match=r"line 1"):
        read_rows(path)


def _append_many(path, measure):
    for seed in range(50):
        append_rows(path, [Row(measure=measure, value=k, seed=seed) for k in range(5)])


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    writers = [multiprocessing.get_context("fork").Process(target=_append_many, args=(path, name)) for name in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_rows(path)) == 3 * 50 * 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_room_is_one_clear_line(tmp_path):
    with pytest.raises(BadInput, match=r"cannot be written"):
        append_rows("/dev/full", rows("a", [1.0]))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written"):
        append_rows(tmp_path / "file" / "rows.jsonl", rows("a", [1.0]))


def test_measured_once(folder, tmp_path):
    calls = []

    def run():
        calls.append(1)
        return {"accuracy": 0.5, "loss": 1.25}

    def book(**options):
        return Measurements("sums", tmp_path / "out", committed=tmp_path / "results", claims_folder=folder, **options)

    first = book()
    assert first.measured_or_run("m", run, seed=1, settings={"lr": 1}) == {"accuracy": 0.5, "loss": 1.25}
    assert book().measured_or_run("m", run, seed=1, settings={"lr": 1}) == {"accuracy": 0.5, "loss": 1.25}
    assert len(calls) == 1 and book().find("m/loss", 1, {"lr": 1}) == 1.25
    book().measured_or_run("m", run, seed=2, settings={"lr": 1})
    book().measured_or_run("m", run, seed=1, settings={"lr": 2})
    book(scale="smoke").measured_or_run("m", run, seed=1, settings={"lr": 1})
    assert len(calls) == 4
    fresh = book(fresh=True)
    for _ in range(2):
        fresh.measured_or_run("m", run, seed=1, settings={"lr": 1})
    assert len(calls) == 5
    (folder / "sums.yaml").write_text(YAML.replace("experiment: 2", "experiment: 3"))
    book().measured_or_run("m", run, seed=1, settings={"lr": 1})
    assert len(calls) == 6
    with pytest.raises(BadInput, match=r"measure n: value"):
        book().measured_or_run("n", lambda: float("nan"))


def test_settings_hash_is_of_the_content():
    assert settings_hash({"a": 1, "b": 2}) == settings_hash({"b": 2, "a": 1}) != settings_hash({"a": 1, "b": 3})


def test_environment_fills_a_row():
    row = Row(measure="a", value=1, **environment())
    assert "python" in row.versions and row.threads >= 1 and row.device


def test_table_escapes_and_needs_no_colour(folder):
    claims = load("sums", folder)
    before = table(claims)
    assert "86 M" in str(before) and "verdict" not in before.header
    claims = claims.model_copy(update={"claims": (claims.claims[0].model_copy(update={"statement": "<b>x</b> & y"}),)})
    after = table(claims, judge(claims, rows("parameters", [86.2])))
    html = after._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt; &amp; y" in html and "✓ reproduced" in html


def test_tables_for_a_page(folder):
    claims = load("sums", folder)
    measured = rows("parameters", [86.2]) + rows("cost", [4.1])
    found = counts(claims, measured, "para", "fl").rows
    assert [row[3:] for row in found] == [("86.2", "same"), ("4.1", "The table adds wrongly.")]
    assert counts(claims, measured, "flops").rows == found[1:] and counts(claims, [], "para").rows[0][3] == ""
    assert len(orderings(claims).rows) == 4 and "+2.5 %" in str(orderings(claims))
    header, lines = tally(judge(claims, measured)).header, tally(judge(claims, measured)).rows
    by_kind = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert by_kind["count"]["reproduced"] == by_kind["count"]["not reproduced"] == "1"
    assert by_kind["ordering"]["not testable here"] == "4" and by_kind["magnitude"]["different setting"] == "1"


def test_values_by_seed_are_of_one_scale(tmp_path, folder):
    measurements = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder)
    for seed in (0, 1):
        measurements.record("a", 10 + seed, seed)
    append_rows(measurements.path, rows("a", [5.0], scale="smoke"))
    again = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder)
    assert again.seeds_of() == {"a": {0: 10, 1: 11}} and again.seeds_of("smoke") == {"a": {0: 5}}

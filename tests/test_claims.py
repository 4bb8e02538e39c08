"""Claims files: what they may say, what is derived from them, the lock, the tables and the command."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from minilib.claims import (
    Row,
    append_rows,
    count_line,
    counts,
    false_calls,
    headlines,
    judge,
    load,
    orderings,
    papers,
    table,
    tally,
)
from minilib.claims.__main__ import main
from minilib.claims.files import FOLDER, LOCK, differing
from minilib.claims.table import BADGES, Table, measured
from minilib.claims.verdicts import VERDICTS
from minilib.errors import BadInput

SUMS = Path(__file__).parent / "claims" / "sums.yaml"
YAML = SUMS.read_text()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "sums.yaml").write_text(YAML)
    return tmp_path / "claims"


def rows(metric, values, **more):
    more = {"commit": "0123456789ab", "experiment": 2} | more
    return [Row(metric=metric, value=value, seed=seed, **more) for seed, value in enumerate(values)]


def test_every_shipped_claims_file_loads():
    for paper in papers():
        assert judge(load(paper), [])


def test_the_papers_value_of_an_ordering_follows_from_two_printed_numbers(folder):
    claims = load("sums", folder)
    assert claims["better"].paper_value == 4.6 and claims["cheaper"].paper_value == 2.5
    assert claims["same"].paper_value == -0.3 and claims["top1"].paper_value == 84.4
    assert claims["over_parameters"].paper_value == 6  # one of the two is a count's id
    assert claims.number("t2.a") == 65.8 and claims.number("parameters") == 86 and claims.number("top1") == 84.4
    with pytest.raises(BadInput, match="t2.z"):
        claims.number("t2.z")


def test_the_paper_may_print_no_number_for_an_ordering(folder):
    (folder / "sums.yaml").write_text(YAML.replace("paper: [t2.a, t2.b], ", ""))
    claims = load("sums", folder)
    assert claims["better"].paper_value is None and claims["better"].margin == 1
    found = {verdict.id: verdict for verdict in judge(claims, [])}
    assert json.loads(found["better"].json())["paper_value"] is None
    assert "A beats B." in str(table(claims)) and "A beats B." in str(table(claims, list(found.values())))
    assert "A beats B." in str(orderings(claims))


def test_a_margin_is_half_of_the_effect_between_one_and_three_points(folder):
    claims = load("sums", folder)
    margins = {claim.id: claim.margin for claim in claims.claims if claim.kind == "ordering"}
    assert margins == {"better": 2.3, "both": 0.7, "same": 1.0, "gain": 3.0, "cheaper": 3.0, "over_parameters": 3.0}


def test_headline_claims_come_first(folder):
    claims = load("sums", folder)
    assert [claim.id for claim in claims.claims[:3]] == ["same", "cheaper", "parameters"]
    assert [verdict.id for verdict in judge(claims, [])][:2] == ["same", "cheaper"]
    assert [row[1] for row in headlines(claims).rows] == ["A equals C.", "A costs less."]
    assert headlines(claims, judge(claims, [])).header == ("claim", "verdict", "why")
    assert len(headlines(claims, judge(claims, [])).rows) == 2


def test_a_paper_has_at_most_five_headline_claims(folder):
    content = yaml.safe_load(YAML)
    for marked, claim in enumerate(content["claims"], 1):
        claim["headline"] = marked <= 5
    (folder / "sums.yaml").write_text(yaml.safe_dump(content))
    assert sum(claim.headline for claim in load("sums", folder).claims) == 5
    content["claims"][5]["headline"] = True
    (folder / "sums.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(BadInput, match="6 headline claims; a paper has at most 5"):
        load("sums", folder)


PAIR = "{better: tuned/a, worse: tuned/b, test: greater}"
ON_MOTION = "task: motion, pairs: [{better: tuned/a, worse: tuned/b"
WRONG = [
    ("digit: 1}", "digits: 1}", "sums.yaml: claims.parameters.digits"),
    ("kind: count, paper_value: 86", "kind: number, paper_value: 86", "claims.parameters.kind"),
    ("id: flops", "id: parameters", "id parameters is there twice"),
    ("kind: count, paper_value: 3.4", "kind: magnitude, paper_value: 3.4", "conflict does not belong to kind"),
    ("paper_value: 86,", "paper_value: 86.5,", "parameters: 86.5 has more digits than digit 1"),
    ("paper_value: 86,", "paper_value: 86, cut: perhaps,", "parameters.cut"),
    ("experiment: 2", "experiment: two", "experiment"),
    ("experiment: 2", "experiment: [2", "not YAML"),
    ("experiment: 2", "experiment: 2\nexperiment: 3", "key experiment is there twice"),
    ("experiment: 2", f"experiment: {'9' * 5000}", "sums.yaml"),
    ("paper_value: 86,", f"paper_value: {'9' * 5000},", "sums.yaml"),
    ("paper_value: 86,", "paper_value: .nan,", "claims.parameters.paper_value"),
    ("chance: 10,", "", "tasks.motion.chance: Field required"),
    ("chance: 10,", "chance: 60,", "chance and oracle are both 60"),
    (ON_MOTION, ON_MOTION.removeprefix("task: motion, "), "better: an ordering needs task"),
    (ON_MOTION, ON_MOTION.replace("motion", "flying"), "'flying' is not among the tasks (motion"),
    ("paper: [t2.a, t2.b]", "paper: [t2.a, t2.z]", "better: 't2.z' is no printed number"),
    ("paper: [t2.a, t2.b]", "paper_value: 1, paper: [t2.a, t2.b]", "better: needs either paper"),
    ("paper: t5.top1, ", "", "top1: needs either paper"),
    ("paper: t5.top1", "paper: [t5.top1, t2.a]", "only an ordering derives"),
    (PAIR, "{better: tuned/a, worse: tuned/a}", "tuned/a is compared with itself"),
    (PAIR, "{better: oracle, worse: chance}", "measures nothing"),
    (PAIR, "{better: tuned/a, worse: tuned/b, test: less}", "test"),
    (PAIR, f"{PAIR}, {{better: tuned/b, worse: tuned/a}}", "is there twice"),
    (PAIR, "{better: cost/a, worse: tuned/b}", "begin with cost/"),
    ("cost/time.a", "grid/time.a", "begin with cost/"),
    ("cost: true", "cost: true, task: motion", "a cost has no task"),
    ("grid/full: 0.5", "gain/motion: 0.5", "gain/motion is derived itself"),
    ("{grid/full: 1, grid/none: -1}", "grid/full - grid/none", "gain/motion: a derived metric is a weighted sum"),
    ("{grid/full: 1, grid/none: -1}", "{grid/full: all}", "gain/motion: a derived metric is a weighted sum"),
    ("{grid/full: 1, grid/none: -1}", "{}", "gain/motion: a derived metric is a weighted sum"),
    ("t2.a: 65.8", "better: 1, t2.a: 65.8", "better is a printed number and an id"),
    ("title: A paper on sums", "title: A paper on sums\ncolour: red", "colour: Extra inputs"),
    ("worse: grid/none}", "worse: grid/none, test: equal}", "tasks.motion.positive.test"),
    ("{better: grid/full, worse: grid/none}", "{better: oracle, worse: chance}", "motion: a control between"),
    ("paper: [t2.a, t2.c]", "paper: [t2.a, t2.zero]", "above 0"),
]


@pytest.mark.parametrize(("old", "new", "named"), WRONG)
def test_a_wrong_claims_file_is_one_clear_line(folder, old, new, named):
    assert old in YAML
    (folder / "sums.yaml").write_text(YAML.replace(old, new))
    with pytest.raises(BadInput) as error:
        load("sums", folder)
    assert named in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (YAML.encode("utf-16"), "not UTF-8"),
        (YAML.replace("A beats B", "A beats Bé").encode("latin-1"), "not UTF-8"),
        (b"- a list", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"[" * 3000, "not YAML"),
        (YAML[: len(YAML) // 2].encode() + b' "', "not YAML"),
        (b"experiment: 1\nclaims: []", "claims"),
        (b"experiment: 1\nclaims: [7]", "claims"),
        (b"experiment: 1\nderived: 3\nclaims: [7]", "derived"),
    ],
)
def test_a_torn_or_foreign_file_is_one_clear_line(folder, content, named):
    (folder / "sums.yaml").write_bytes(content)
    with pytest.raises(BadInput) as error:
        load("sums", folder)
    assert str(error.value).startswith("sums.yaml: ") and named in str(error.value) and "\n" not in str(error.value)


def test_further_mistakes_are_counted(folder):
    for mistakes, rest in ((1, ""), (2, " (and 1 more)")):
        (folder / "sums.yaml").write_text(YAML.replace("kind: magnitude", "kind: number", mistakes))
        with pytest.raises(BadInput) as error:
            load("sums", folder)
        assert str(error.value).endswith(f"'magnitude'{rest}")


def test_the_lock_holds_what_was_fixed(folder, capsys):
    assert main(["--lock", "--claims", str(folder)]) == 0 and str(folder / LOCK) in capsys.readouterr().out
    content = yaml.safe_load((folder / LOCK).read_text())
    assert content["sums"]["better"] == {
        "headline": False,
        "margin": 2.3,
        "task": "motion",
        "pairs": [{"better": "tuned/a", "worse": "tuned/b", "test": "greater"}],
    }
    assert list(content["sums"]) == sorted(content["sums"]) and "top1" not in content["sums"]
    assert differing(folder) == [] and papers(folder) == ["sums"]
    for old, new in (
        ("t2.b: 61.2", "t2.b: 62.2"),  # the margin
        ("worse: tuned/b, test: greater", "worse: tuned/b, test: not_worse"),
        (ON_MOTION, ON_MOTION.replace("motion", "still")),
        ("id: better,", "id: better, headline: true,"),
    ):
        (folder / "sums.yaml").write_text(YAML.replace(old, new))
        assert "sums.better" in differing(folder), new
    (folder / "sums.yaml").write_text(YAML.replace("id: better,", "id: best,"))
    assert differing(folder) == ["sums.best", "sums.better"]
    before = (folder / LOCK).read_text()
    (folder / "sums.yaml").write_text(YAML.replace("kind: count", "kind: number"))
    assert main(["--lock", "--claims", str(folder)]) == 2
    assert (folder / LOCK).read_text() == before
    with pytest.raises(SystemExit):
        main(["--lock", "sums"])
    assert capsys.readouterr().err.endswith("error: --lock is of all papers; name none\n")


@pytest.mark.skipif(not (FOLDER / LOCK).is_file(), reason="the lock is written once all claims files have the new form")
def test_claims_are_as_locked():
    assert differing() == []


def test_json_contract(folder, tmp_path, capsys):
    append_rows(tmp_path / "results" / "rows" / "sums.jsonl", rows("parameters", [86.2]))
    append_rows(tmp_path / "out" / "rows" / "sums.jsonl", rows("parameters", [90]))
    common = ["--claims", str(folder), "--results", str(tmp_path / "results")]
    assert main(["--json", "sums", *common]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(load("sums", folder).claims)
    for line in lines:
        assert list(line) == ["id", "kind", "source", "paper_value", "measured", "verdict", "why", "reasons"]
        assert line["verdict"] in VERDICTS and line["why"] and isinstance(line["paper_value"], float)
    assert next(line for line in lines if line["id"] == "parameters")["measured"] == 86.2
    assert main(["sums", "--rows", str(tmp_path / "out"), *common]) == 0
    said = capsys.readouterr().out
    assert said.startswith("A paper on sums\n\nsource") and "90 M" in said
    assert "Distinct pairs judged: 0. Were there no effect at all, 0.0 would be called one.\n" in said
    assert main(["nothing", *common]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == "paper 'nothing' has no claims; known are: sums\n"


def test_the_commands_options_say_what_they_do(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for option in ("--json one JSON object", "--rows OUT_DIR also use the rows", "--lock write what is fixed"):
        assert option in said
    assert "--claims" not in said and "paper one paper (default: all of them)" in said


def test_old_rows_are_one_clear_line_for_the_command(folder, tmp_path, capsys):
    path = tmp_path / "rows" / "sums.jsonl"
    path.parent.mkdir()
    path.write_text('{"measure": "parameters", "value": 86}\n')
    assert main(["sums", "--claims", str(folder), "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "line 1" in said and "migration of `measure` to `metric`" in said and said.count("\n") == 1


def test_duplicates_are_counted_once_among_false_calls(folder):
    claims = load("sums", folder)
    words = {"better": "holds here", "both": "undecided", "same": "cannot show it here", "cheaper": "opposite here"}
    words |= {"gain": "cannot show it here", "over_parameters": "not testable here"}
    verdicts = [verdict for verdict in judge(claims, []) if verdict.id in words]
    verdicts = [dataclasses.replace(verdict, verdict=words[verdict.id]) for verdict in verdicts]
    # tuned/a and tuned/b are compared in two of the judged claims, tuned/a and tuned/c in one, the costs in one
    assert false_calls(claims, verdicts) == (3, pytest.approx(0.15))


def test_table_escapes_and_needs_no_colour(folder):
    claims = load("sums", folder)
    before = table(claims)
    assert "86 M" in str(before) and "verdict" not in before.header
    changed = claims["parameters"].model_copy(update={"statement": "<b>x</b> & y"})
    claims = claims.model_copy(update={"claims": (changed,)})
    after = table(claims, judge(claims, rows("parameters", [86.2])))
    html = after._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt; &amp; y" in html and "✓ reproduced" in html


def test_a_table_in_a_terminal_has_columns_a_rule_and_wrapped_cells():
    text = Table(("paper", "claim"), (("1 M", "word " * 20), ("", "short")), "above")
    assert str(text).splitlines() == [
        "above",
        "",
        "paper  claim",
        "-----  " + "-" * 59,
        "1 M    " + " ".join(["word"] * 12),
        "       " + " ".join(["word"] * 8),
        "       short",
    ]
    assert str(Table(("why", "paper"), (("a " * 30, "b " * 30),))).splitlines()[2:4] == [
        " ".join("a" * 30) + "  " + " ".join("b" * 12),
        " " * 61 + " ".join("b" * 12),
    ]


def test_what_was_measured_has_its_unit(folder):
    claims = load("sums", folder)

    def cell(id, value):
        return measured(claims[id], dataclasses.replace(judge(claims, [])[0], id=id, measured=value))

    assert [cell("parameters", 86.25), cell("flops", 4.0), cell("top1", 84.456)] == ["86.25 M", "4", "84.46 %"]
    assert [cell("better", 2.0), cell("better", -2.0), cell("cheaper", 2.5)] == [
        "+2.0 points",
        "-2.0 points",
        "2.5 times",
    ]
    assert cell("better", None) == cell("parameters", None) == ""
    header = ("source", "claim", "paper", "measured", "verdict", "why")
    assert (
        table(claims, judge(claims, [])).header == header and headlines(claims, []).header == header[1:2] + header[4:]
    )
    assert table(claims).header == ("source", "claim", "kind", "paper")


def test_every_word_has_a_sign_and_no_two_look_alike():
    assert set(BADGES) == set(VERDICTS)
    small = [BADGES[word] for word in VERDICTS[2:]]
    assert len(set(small)) == len(small) and len({sign for sign, _ in small}) == len(small)


def test_tables_for_a_page(folder):
    claims = load("sums", folder)
    counted = rows("parameters", [86.2]) + rows("cost_of_it", [4.1])
    found = counts(claims, counted, "para", "fl")
    assert [row[3:] for row in found.rows] == [("86.2", "same"), ("4.1", "The table adds wrongly.")]
    assert found.caption == "1 of 2 to the digit; one with a reason" == count_line(claims, counted, "para", "fl")
    assert found.caption in found._repr_html_() and str(found).startswith(found.caption)
    assert counts(claims, counted, "flops").rows == found.rows[1:] and counts(claims, [], "para").rows[0][3] == ""
    assert count_line(claims, []) == "0 of 3 to the digit; three not counted yet"
    assert count_line(claims, rows("parameters", [87.0]) + counted[1:]) == (
        "0 of 3 to the digit; one with a reason; one off; one not counted yet"
    )
    assert len(orderings(claims).rows) == 6 and "4.6 points" in str(orderings(claims))
    header, lines = tally(judge(claims, counted)).header, tally(judge(claims, counted)).rows
    assert header == ("claims", "reproduced", "not reproduced", "not testable here")
    by_kind = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert by_kind["count"] == {"reproduced": "1", "not reproduced": "1", "not testable here": "1"}
    assert by_kind["ordering"]["not testable here"] == "6" and by_kind["magnitude"]["not testable here"] == "2"


def test_the_measured_metrics_behind_a_claim(folder):
    claims = load("sums", folder)
    assert claims["gain"].metrics == ("gain/motion", "gain/motion/nothing")
    assert claims.base_metrics(claims["gain"]) == ("grid/full", "grid/none", "gain/motion/nothing")
    assert claims.base_metrics(claims["parameters"]) == ("parameters",)
    assert claims.gate_metrics(claims["better"]) == ("grid/full", "grid/none", "grid/control/labels")
    assert claims.gate_metrics(claims["over_parameters"]) == ("still/lowest", "still/highest")
    assert claims.gate_metrics(claims["cheaper"]) == ()

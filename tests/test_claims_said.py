"""Sentences and tables about rows say what the rows say."""

from minilib.claims import Table, load
from minilib.claims.chosen import Seeds, pairs_of
from minilib.claims.said import beside_noise, difference, lacking, means, noise_floors, noise_line, ranking, same_order
from minilib.claims.table import RULE
from minilib.claims.verdicts import judge

TABLE = {"a": ("grid/a", 10.0), "b": ("grid/b", 12.0), "c": ("grid/c", 11.0), "none": ("grid/d", None)}
ROWS = {"grid/a": {0: 1.0, 1: 3.0}, "grid/b": {0: 4.0}, "grid/c": {0: 1.5}, "grid/d": {0: 9.0}}


def test_a_ranking_names_the_first_the_last_and_the_pairs_in_the_papers_order():
    text = ranking(TABLE, ROWS, " %")
    assert text.startswith("Ahead is “none” with 9.0 %, behind “a” with 1.0 % (one seed).")
    assert text.endswith("Of three pairs that the paper orders, three stand in its order here.")
    assert same_order(TABLE, {"a": 2.0, "b": 1.0, "c": 1.5}) == (0, 3)
    assert same_order({"a": ("x", 1.0), "b": ("y", 1.0)}, {"a": 1, "b": 2}) == (0, 0), "the paper has a tie"


def test_means_are_over_what_all_lines_share_so_that_equal_lines_are_level():
    rows = {"grid/a": {0: 1.0, 1: 3.0, 2: 20.0}, "grid/b": {0: 1.0, 1: 3.0}}
    assert means(TABLE, rows) == {"a": 2.0, "b": 2.0}
    assert ranking(TABLE, rows).startswith("All are level at 2.0 (two seeds).")
    apart = {"grid/a": {0: 1.0}, "grid/b": {1: 3.0, 2: 5.0}}
    assert means(TABLE, apart) == {"a": 1.0, "b": 4.0} and "each on seeds of its own" in ranking(TABLE, apart)


def test_of_lines_that_look_equal_none_is_ahead_of_the_other():
    rows = {"grid/a": {0: 5.0}, "grid/b": {0: 9.01}, "grid/c": {0: 9.04}}
    assert ranking(TABLE, rows).startswith("Ahead are “b” and “c” with 9.0, behind “a” with 5.0 (one seed).")


def test_where_less_is_better_the_least_is_ahead():
    text = ranking(TABLE, ROWS, " points", best=min)
    assert text.startswith("Ahead is “a” with 1.0 points, behind “none” with 9.0 points (one seed; less is better).")


def test_a_difference_is_one_of_methods_and_not_of_machines():
    here, there = ("cpu", "float32", 1), ("cpu", "float32", 2)

    def measured(**at):
        setups = {here: at.get("here", {}), there: at.get("there", {})}
        setups = {setup: values for setup, values in setups.items() if values}
        newest = {seed: value for values in setups.values() for seed, value in values.items()}
        return Seeds(newest, setups, {setup: place for place, setup in enumerate(setups)})

    table = {"a": ("m/a", None), "b": ("m/b", None)}
    one = measured(here={0: 5.0, 1: 6.0}, there={0: 50.0})
    rows = {"m/a": one, "m/b": measured(here={0: 4.0, 1: 5.0})}
    assert pairs_of(rows["m/a"], rows["m/b"]) == {0: (5.0, 4.0), 1: (6.0, 5.0)}
    assert "by 1.0 points" in difference(table, rows, "a", "b")
    apart = rows | {"m/b": measured(there={1: 5.0})}
    assert difference(table, apart, "a", "b") == "“a” and “b” are not measured on common seeds of one machine yet."


def test_an_order_is_counted_only_where_one_machine_measured_both():
    here, there = ("cpu", "float32", 1), ("cuda", "float32", 1)

    def of(setup, value):
        return Seeds({0: value}, {setup: {0: value}}, {setup: 0})

    rows = {"grid/a": of(here, 1.0), "grid/b": of(here, 4.0), "grid/c": of(there, 3.0)}
    text = ranking(TABLE, rows)
    assert "Of one pair that the paper orders, one stands in its order here. Two pairs more that it orders" in text
    assert "they were not measured with common seeds on one machine." in text
    apart = ranking(TABLE, {"grid/a": of(here, 1.0), "grid/b": of(there, 4.0)})
    assert (
        "stands in its order" not in apart and "One pair that the paper orders cannot be compared: it was not" in apart
    )


def test_what_is_not_measured_is_said():
    order = "The paper's order: b (12); c (11); a (10)."
    assert ranking(TABLE, {"grid/a": {0: 1.0}}) == f"Not measured here yet: only “a” is (1.0). {order}"
    assert ranking(TABLE, {}) == f"Not measured here yet. {order}"
    assert ranking({"x": ("grid/x", None)}, {}) == "Not measured here yet."
    text = ranking(TABLE, {name: ROWS[name] for name in ("grid/a", "grid/b", "grid/c")})
    assert text.endswith("One row is not measured yet.")


def test_lines_within_one_point_are_not_put_in_an_order():
    near = {"grid/a": {0: 95.2}, "grid/b": {0: 95.9}, "grid/c": {0: 95.0}}
    assert "All lie within one point" in ranking(TABLE, near, " %") and "pairs" not in ranking(TABLE, near, " %")
    own = {label: (metric, None) for label, (metric, _) in TABLE.items()}
    assert "within" not in ranking(own, near, " %"), "no order to compare with"
    assert ranking(own, {"grid/a": {0: 5.0}, "grid/b": {0: 5.0}}).startswith("All are level at 5.0 (one seed).")
    assert "pairs" in ranking(TABLE, {**near, "grid/b": {0: 96.1}}, " %")


def test_a_difference_is_a_result_only_where_its_interval_lies_clear_of_zero():
    table = {"a": ("m/a", None), "b": ("m/b", None), "c": ("m/c", None)}
    rows = {"m/a": {0: 10.0, 1: 11.0, 2: 12.0, 9: 99.0}, "m/b": {0: 4.0, 1: 5.1, 2: 5.9}, "m/c": {0: 9.0, 1: 20.0}}
    clear = difference(table, rows, "b", "a")
    assert clear == "“a” is ahead of “b” by 6.0 points (98 % interval +5.6 to +6.4, three seeds)."
    assert clear == difference(table, rows, "a", "b"), "the order asked for does not matter"
    assert difference(table, rows, "a", "c").endswith("holds 0, so these seeds do not tell them apart.")
    assert difference(table, {**rows, "m/c": {1: 1.0}}, "a", "c").endswith(
        "by 10.0 points with one seed, which is a look, not a result."
    )
    assert "not measured" in difference(table, {**rows, "m/c": {7: 1.0}}, "a", "c")
    assert difference(table, {**rows, "m/c": {1: 11.0}}, "a", "c") == "“a” and “c” are level (one seed)."


def test_noise_is_the_rms_of_what_a_moved_start_changes():
    rows = {"noise/x": {0: 3.0, 1: -4.0}, "grid/a": {0: 50.0}, "noise/none": {}, "noise/y": {0: 1.0}}
    floor = noise_floors(rows)["x"]
    assert (floor.name, floor.rms, floor.seeds) == ("x", 12.5**0.5, 2)
    assert noise_line(rows).endswith("(rms): x 3.5 (two seeds), y 1.0 (one seed).")
    assert "(rms): X3D 3.5 (two seeds), y" in noise_line(rows, {"x": "X3D"})
    assert noise_line({}) == "The noise floor is not measured yet."


def test_beside_a_headline_stands_the_noise_of_what_it_compares_and_of_nothing_else():
    claims = load("coarse_fine")
    rows = {"noise/x3d": {0: 3.0, 1: -3.0}, "noise/grid_eighth": {0: 40.0, 1: 40.0}}
    rows |= {metric: dict.fromkeys(range(4), 1.0) for metric in ("tuned/coarse_fine", "tuned/x3d")}
    table = beside_noise(claims, judge(claims, []), rows, {"x3d": "X3D"})
    assert "noise of what it compares (two seeds): one seed" in table.header
    found = {claim.id: line[2:] for claim, line in zip(claims.claims, table.rows, strict=False) if claim.headline}
    assert len(table.rows) == len(found) == sum(claim.headline for claim in claims.claims)
    assert found["t32.coarse_fine_over_x3d"] == ("X3D 3.0", "X3D 1.5")
    assert found["t33e.grid_over_stride"] == ("grid_eighth 40.0", "not measured")  # no seed of the claim is there yet
    assert found["t33a.multi_over_late"] == ("not measured", "not measured")
    deeper = beside_noise(claims, judge(claims, []), {"noise/x3d_": {0: 1.0}} | rows).rows[1]
    assert deeper[2] == "not measured", "x3d is not x3d_l, which the second headline compares"


def test_a_folded_table_is_shut_in_a_notebook():
    table = Table(("x",), (("1",),), folded="all <of> them")
    assert table._repr_html_().startswith(f"<details><summary>all &lt;of&gt; them</summary>{RULE}<table")
    assert "details" not in Table(("x",), (("1",),))._repr_html_()


def test_what_a_table_lacks_is_named_with_the_command_that_lists_it():
    table = {"stride": ("tuned/a", None), "max": ("tuned/b", 1.0), "it knows": ("tuned/c/d", None)}
    text = lacking(table, {"tuned/a": {0: 1.0}}, "coarse_fine")
    assert text.startswith("Not measured yet: “max”, “it knows”. `python -m minilib.study coarse_fine")
    assert text.endswith("--variants b c/d --plan` says what it takes.")
    assert lacking(table, {metric: {0: 1.0} for metric, _ in table.values()}, "dist") == "All its rows are measured."

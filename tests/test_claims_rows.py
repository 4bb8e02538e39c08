"""Measured rows: whole lines, found at once however many there are, shared by processes, never a wrong one."""

import dataclasses
import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilib.claims import Measurements, Row, append_rows, environment, latest, read_rows, settings_hash
from minilib.claims.chosen import newest, weighted
from minilib.claims.rows import RowFile
from minilib.errors import BadInput

SUMS = Path(__file__).parent / "claims" / "sums.yaml"
YAML = SUMS.read_text()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "sums.yaml").write_text(YAML)
    return tmp_path / "claims"


@pytest.fixture
def book(folder, tmp_path):
    def make(**options):
        options = {"committed": tmp_path / "results", "claims_folder": folder} | options
        return Measurements("sums", tmp_path / "out", **options)

    return make


def rows(metric, values, **more):
    more = {"experiment": 2} | more
    return [Row(metric=metric, value=value, seed=seed, **more) for seed, value in enumerate(values)]


@given(
    st.builds(
        Row,
        metric=st.text(min_size=1, max_size=300),
        value=st.floats(allow_nan=False, allow_infinity=False),
        seed=st.integers(0, 2**32 - 1),
        settings=st.text(max_size=20),
        scale=st.sampled_from(["smoke", "small", "paper"]),
        versions=st.dictionaries(st.text(), st.text(), max_size=3),
        commit=st.none() | st.text(),
        device=st.text(),
        seconds=st.floats(allow_nan=False, allow_infinity=False),
        peak_memory=st.none() | st.integers(0, 2**63 - 1),
        barred=st.text(),
    )
)
def test_a_row_is_read_as_it_was_written(tmp_path_factory, row):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    append_rows(path, [row, row])
    assert read_rows(path) == [row, row]


def test_what_judges():
    row = Row(metric="a", value=1, commit="0123456789ab")
    assert row.judges
    for change in ({"scale": "smoke"}, {"barred": "shared test clips"}, {"commit": None}, {"commit": ""}):
        assert not row.model_copy(update=change).judges, change
    assert not row.model_copy(update={"commit": "0123456789ab-dirty"}).judges
    assert row.model_copy(update={"scale": "paper"}).judges


def test_only_costs_are_of_a_device():
    cost, score = (Row(metric=metric, value=1, device="here") for metric in ("cost/time.a", "tuned/a"))
    elsewhere = {"device": "there"}
    assert cost.key != cost.model_copy(update=elsewhere).key and score.key == score.model_copy(update=elsewhere).key
    for change in ({"metric": "cost/time.b"}, {"seed": 1}, {"settings": "x"}, {"experiment": 3}, {"scale": "paper"}):
        assert cost.model_copy(update=change).key != cost.key
    for change in ({"value": 2.0}, {"commit": "x"}, {"threads": 2}, {"seconds": 1.0}, {"barred": "x"}):
        assert cost.model_copy(update=change).key == cost.key


def test_the_last_of_two_rows_wins_and_a_torn_line_is_ignored(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0]))
    append_rows(path, rows("a", [2.0]))
    with path.open("a") as file:
        file.write('{"metric": "a", "val')
    with pytest.warns(UserWarning, match="cut off"):
        found = read_rows(path)
    assert [row.value for row in latest(found, 2)] == [2.0]
    again = [Row(metric="a", value=v, settings=s) for s, v in (("old", 1), ("new", 2), ("old", 3))]
    assert [(row.settings, row.value) for row in latest(again, 1)] == [("new", 2), ("old", 3)]
    append_rows(path, rows("b", [3.0]))  # cuts the torn line off
    assert [row.metric for row in read_rows(path)] == ["a", "a", "b"]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(BadInput, match=r"line 1"):
        read_rows(path)


def test_a_row_that_does_not_judge_hides_none_that_does():
    clean, dirty = (Row(metric="a", value=v, commit=c) for v, c in ((1.0, "abc"), (2.0, "abc-dirty")))
    assert latest([clean, dirty], 1) == [clean, dirty]
    assert latest([clean, dirty, clean.model_copy(update={"value": 3.0})], 1)[0] == dirty


def test_a_whole_last_line_without_its_end_stays(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0, 2.0]))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    file = RowFile(path)
    assert len(file.new()) == 2
    append_rows(path, rows("b", [3.0]))
    assert [row.metric for row in file.new()] == ["b"] and len(read_rows(path)) == 3


@pytest.mark.parametrize("length", [1, 4095, 4096, 4097, 20_000])
def test_a_torn_end_of_any_length_is_cut(tmp_path, length):
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0]))
    with path.open("a") as file:
        file.write("#" * length)
    append_rows(path, rows("b", [2.0]))
    assert [row.metric for row in read_rows(path)] == ["a", "b"] and b"#" not in path.read_bytes()
    path.write_text("#" * length)
    append_rows(path, rows("b", [2.0]))
    assert [row.metric for row in read_rows(path)] == ["b"]


GOOD = '{"metric":"a","value":1}'


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"metric":"a","value":NaN}', "value"),
        ('{"metric":"a","value":Infinity}', "value"),
        ('{"metric":"a","value":1e999}', "value"),
        (f'{{"metric":"a","value":{"9" * 6000}}}', "line 2"),
        (f'{{"metric":"a","value":1,"seed":{"9" * 6000}}}', "line 2"),
        ('{"metric":"a","value":1,"seed":-1}', "seed"),
        ('{"metric":"a","value":1,"seed":4294967296}', "seed"),
        (f'{{"metric":"{"a" * 5000}","value":1}}', "metric"),
        ('{"metric":"a","value":1,"colour":"red"}', "colour"),
        ('{"metric":"a","value":1,"scale":"huge"}', "scale"),
        ('{"metric":"a","value":null}', "value"),
        ("nonsense", "line 2"),
        (f"{GOOD},{GOOD}", "not one row"),
        (f'{GOOD[:-1]}\n"seed":1}}', "line 2"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "line 2"),
        ('{"measure":"a","value":1}', "the old form, from before the migration of `measure` to `metric`"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_one_clear_line(tmp_path, line, named):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    with pytest.raises(BadInput) as error:
        read_rows(path)
    assert named in str(error.value) and "line 2" in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_nothing_is_appended_that_cannot_be_read_again(tmp_path):
    row = Row(metric="a", value=1).model_copy(update={"value": float("nan")})
    with pytest.raises(BadInput, match="value"):
        append_rows(tmp_path / "rows.jsonl", [row])
    assert not (tmp_path / "rows.jsonl").exists()


def _append_many(path, metric):
    for seed in range(50):
        append_rows(path, [Row(metric=metric, value=k, seed=seed) for k in range(5)])


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    writers = [multiprocessing.get_context("fork").Process(target=_append_many, args=(path, name)) for name in "xyz"]
    for writer in writers:
        writer.start()
    reader, seen = RowFile(path), []
    while any(writer.is_alive() for writer in writers):
        seen += reader.new()
        time.sleep(0.001)
    for writer in writers:
        writer.join()
    seen += reader.new()
    assert len(read_rows(path)) == 3 * 50 * 5 and seen == read_rows(path)


def test_a_writer_and_a_reader_wait_for_a_writer_at_work(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0]))
    with path.open() as held, ThreadPoolExecutor(2) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = [pool.submit(append_rows, path, rows("b", [2.0])), pool.submit(read_rows, path)]
        time.sleep(0.3)
        assert not any(each.done() for each in waiting)
        fcntl.flock(held, fcntl.LOCK_UN)
        assert waiting[0].result(20) is None and len(waiting[1].result(20)) in (1, 2)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_room_is_one_clear_line(tmp_path):
    with pytest.raises(BadInput, match=r"cannot be written"):
        append_rows("/dev/full", rows("a", [1.0]))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written"):
        append_rows(tmp_path / "file" / "rows.jsonl", rows("a", [1.0]))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(BadInput, match=r"cannot be read"):
        read_rows(tmp_path / "folder.jsonl")


def test_a_line_that_is_only_half_written_is_taken_back(tmp_path, monkeypatch):
    append_rows(tmp_path / "a.jsonl", rows("a", [1.0]))
    before, write = (tmp_path / "a.jsonl").read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:9]))
    with pytest.raises(BadInput, match=r"a\.jsonl: cannot be written \(the disk is full\)$"):
        append_rows(tmp_path / "a.jsonl", rows("a", [2.0]))
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_bytes_read_do_not_grow_with_the_file(folder, tmp_path, book, monkeypatch):
    """A look-up reads nothing, an append one byte, and another process's rows cost their own length."""
    path = tmp_path / "out" / "rows" / "sums.jsonl"
    append_rows(path, [Row(metric=f"grid/{k}", value=k, experiment=2) for k in range(20_000)])
    measurements = book()
    read = []
    original = os.pread
    monkeypatch.setattr(os, "pread", lambda *given: (read.append(given[1]), original(*given))[1])
    for k in range(100):
        assert measurements.find(f"grid/{k}") is None  # of other settings
        assert measurements.row(f"grid/{k}") is None
    assert read == []
    length = path.stat().st_size
    append_rows(path, rows("elsewhere", [7.0], settings=settings_hash(None)))
    assert sum(read) == 1
    added = path.stat().st_size - length
    read.clear()
    assert measurements.find("elsewhere") == 7.0
    assert sum(read) == added
    read.clear()
    measurements.record("here", 8.0)
    assert measurements.find("here") == 8.0 and sum(read) == 1 + path.stat().st_size - length - added
    # and what is found is found without a walk through the rows
    walked = []
    monkeypatch.setattr(Row, "key", property(lambda row: walked.append(1)))
    measurements.find("grid/17")
    assert walked == []


def test_a_hundred_thousand_rows_open_in_about_a_second(folder, tmp_path, book):
    where = environment()
    line = Row(metric="grid/a", value=1.5, experiment=2, **where).model_dump_json()
    path = tmp_path / "out" / "rows" / "sums.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(line.replace('"seed":0', f'"seed":{k}') + "\n" for k in range(100_000)))
    began = time.process_time()
    measurements = book()
    assert time.process_time() - began < 5  # 0.9 s on a quiet machine
    assert measurements.row("grid/a", 99_999) is None and len(measurements.rows()) == 100_000


def test_a_row_is_found_by_all_that_makes_it(folder, book):
    first = book()
    first.record("m", {"accuracy": 0.5, "loss": 1.25}, seed=1, settings={"lr": 1})
    for measurements in (first, book()):
        assert measurements.find("m", 1, {"lr": 1}) == {"accuracy": 0.5, "loss": 1.25}
        assert measurements.find("m/loss", 1, {"lr": 1}) == 1.25
    assert first.find("m", 2, {"lr": 1}) is None and first.find("m", 1, {"lr": 2}) is None
    assert book(scale="smoke").find("m", 1, {"lr": 1}) is None
    fresh = book(fresh=True)
    assert fresh.find("m", 1, {"lr": 1}) is None
    fresh.record("m", {"accuracy": 0.75}, seed=1, settings={"lr": 1})
    assert fresh.find("m", 1, {"lr": 1}) == {"accuracy": 0.75}
    (folder / "sums.yaml").write_text(YAML.replace("experiment: 2", "experiment: 3"))
    assert book().find("m", 1, {"lr": 1}) is None
    with pytest.raises(BadInput, match=r"metric n: value"):
        book().record("n", float("nan"))


def test_a_cost_is_measured_again_on_another_device(book, monkeypatch):
    here = book()
    here.record("cost/time.a", 3.0, 0)
    here.record("tuned/a", 3.0, 0)
    assert here.find("cost/time.a") == 3.0
    monkeypatch.setattr("minilib.claims.measurements.device_name", lambda device: "another")
    assert here.find("cost/time.a") is None and here.find("tuned/a") == 3.0


def test_one_object_sees_what_another_measured(book):
    one, other = book(), book()
    one.record("tuned/a", 1.0, seed=3)
    assert other.find("tuned/a", 3) == 1.0 and other.seeds_of()["tuned/a"] == {3: 1.0}
    assert book(fresh=True).find("tuned/a", 3) is None


def test_what_is_recorded_says_what_it_was_measured_with(book):
    measurements = book(dtype="bfloat16", scale="paper")
    measurements.record("a", 1.0, 2, {"rate": 1}, seconds=1.23456, peak_memory=7, barred="a trial")
    (row,) = measurements.rows()
    assert (row.seed, row.seconds, row.peak_memory, row.barred) == (2, 1.235, 7, "a trial")
    book().record("b", 1.0)
    assert book().rows()[1].dtype == "float32" and book().rows()[1].peak_memory is None
    assert (row.dtype, row.scale, row.experiment, row.settings) == ("bfloat16", "paper", 2, settings_hash({"rate": 1}))
    assert row.model_copy(update=environment()) == row


def test_of_two_rows_the_later_is_found_unless_only_the_earlier_judges(folder, tmp_path, book):
    same = {"settings": settings_hash(None)}
    path = tmp_path / "out" / "rows" / "sums.jsonl"
    append_rows(path, rows("a", [1.0], commit="abc", **same) + rows("a", [2.0], commit="abc-dirty", **same))
    append_rows(path, rows("b", [1.0], commit="abc-dirty", **same) + rows("b", [2.0], commit="abc-dirty", **same))
    measurements = book()
    assert measurements.row("a").judges and measurements.find("a") == 1.0
    assert not measurements.row("b").judges and measurements.find("b") == 2.0


def test_a_clean_checkout_measures_again_what_does_not_judge(folder, tmp_path, book):
    same = {"settings": settings_hash(None)}
    path = tmp_path / "out" / "rows" / "sums.jsonl"
    append_rows(path, rows("a", [1.0], commit="abc-dirty", **same) + rows("b", [2.0], commit="abc", barred="x", **same))
    append_rows(path, rows("c", [3.0], commit="abc", **same))
    assert [book().find(name) for name in "abc"] == [1.0, 2.0, 3.0]
    assert [book(judging=True).find(name) for name in "abc"] == [None, None, 3.0]


def test_a_file_that_was_replaced_is_read_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, rows("a", [1.0, 2.0]))
    file = RowFile(path)
    assert len(file.new()) == 2 and file.new() == []
    path.unlink()
    assert file.new() == []
    append_rows(path, rows("b", [1.0]))
    assert [row.metric for row in file.new()] == ["b"]


def test_seeds_of_two_recipes_are_never_paired(folder, tmp_path):
    """Two seeds of a newer recipe are two seeds, though the older one has three."""
    old = [Row(metric="a", value=1.0, seed=seed, settings="old", experiment=2) for seed in range(3)]
    new = [Row(metric="a", value=9.0, seed=seed, settings="new", experiment=2) for seed in range(2)]
    smoke = Row(metric="a", value=5.0, seed=7, settings="other", scale="smoke", experiment=2)
    assert newest([*old, *new, smoke]) == [*new, smoke]
    assert newest([*new, smoke, *old]) == [smoke, *old]
    append_rows(tmp_path / "rows" / "sums.jsonl", [*old, *new])
    kept = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder)
    assert kept.seeds_of()["a"] == {0: 9.0, 1: 9.0} and len(kept.rows()) == 5


def test_values_by_seed_are_of_one_scale(tmp_path, folder):
    measurements = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder)
    for seed in (0, 1):
        measurements.record("a", 10 + seed, seed)
    append_rows(measurements.path, rows("a", [5.0], scale="smoke"))
    again = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder)
    assert again.seeds_of() == {"a": {0: 10, 1: 11}} and again.seeds_of("smoke") == {"a": {0: 5}}


def test_derived_metrics_are_sums_over_shared_seeds(tmp_path, folder):
    append_rows(tmp_path / "rows" / "sums.jsonl", rows("grid/full", [30, 40, 50.0]) + rows("grid/none", [10, 10.0]))
    found = Measurements("sums", tmp_path, committed=tmp_path, claims_folder=folder).seeds_of()
    assert found["gain/motion"] == {0: 20, 1: 30} and found["halfway"] == {0: 20, 1: 25}


@given(st.dictionaries(st.sampled_from("abc"), st.floats(-3, 3).filter(bool), min_size=1), st.integers(1, 5))
def test_a_derived_metric_matches_the_sum_written_out(parts, n):
    values = {name: [ord(name) * 1.5 + seed**2 for seed in range(n)] for name in "abc"}
    found = {name: dict(enumerate(rows(name, values[name]))) for name in "abc"}
    got = weighted(parts, found)
    for seed in range(n):
        assert got[seed].value == pytest.approx(sum(parts[name] * values[name][seed] for name in parts))


def test_parts_of_a_derived_metric_share_their_setup():
    """Another device, dtype or number of threads is another measurement; one barred part bars the sum."""
    a = dict(enumerate(rows("a", [1.0] * 5, commit="abc")))
    changes = {1: {"device": "x"}, 2: {"dtype": "bfloat16"}, 3: {"threads": 2}, 4: {"barred": "why"}}
    b = {seed: row.model_copy(update=changes.get(seed, {})) for seed, row in a.items()}
    found = weighted({"a": 1, "b": 1}, {"a": a, "b": b})
    assert set(found) == {0, 4} and found[0].judges and found[4].barred == "why"
    assert weighted({"a": 1, "c": 1}, {"a": a}) == {}


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float = 0.1
    sizes: tuple = (1, 2)
    loss: object = None


def test_settings_hash_is_of_the_content():
    assert settings_hash({"a": 1, "b": 2}) == settings_hash({"b": 2, "a": 1}) != settings_hash({"a": 1, "b": 3})
    assert settings_hash(None) == "74234e98"  # as in the rows that are there
    found = {settings_hash(s) for s in (Settings(), Settings(0.2), Settings(sizes=(1, 3)), Settings(loss="x"))}
    assert len(found) == 4 and settings_hash(Settings()) == settings_hash({"rate": 0.1, "sizes": [1, 2], "loss": None})


@pytest.mark.parametrize(
    "value", [print, object(), {1: "a"}, {"a": {1, 2}}, float("nan"), b"x", Settings, Settings(loss=len), 1j]
)
def test_what_cannot_be_described_is_an_error(value):
    with pytest.raises(BadInput, match="cannot be described"):
        settings_hash(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
        max_leaves=10,
    )
)
def test_settings_that_json_holds_can_be_described(value):
    assert settings_hash(value) == settings_hash(json.loads(json.dumps(value)))


def test_environment_fills_a_row():
    row = Row(metric="a", value=1, **environment())
    assert "python" in row.versions and row.threads >= 1 and row.device

"""The command line of the grids: every arm with every seed, side by side, only what is missing."""

import pytest

from minilib.claims import Measurements
from minilib.grids import command_line

ARMS = ("one", "two")


def measure(name, seed, measurements):
    """A grid that needs no training."""
    return measurements.measured_or_run(f"grid/{name}", lambda: 10.0 * ARMS.index(name) + seed, seed, name)


def gains(measurements, seeds):
    for seed in seeds:
        measurements.record(
            "contrast/two", measure("two", seed, measurements) - measure("one", seed, measurements), seed
        )


def rows(folder):
    found = Measurements("zeroi2v", folder, committed=folder).rows()
    return {(row.metric, row.seed): row.value for row in found}


def test_a_grid_side_by_side_and_again(tmp_path, capsys):
    arguments = ["--seeds", "2", "--jobs", "2", "--out", str(tmp_path)]
    command_line("zeroi2v", ARMS, measure, gains, arguments)
    expected = {(f"grid/{a}", s): 10.0 * i + s for i, a in enumerate(ARMS) for s in range(2)}
    assert rows(tmp_path) == expected | {("contrast/two", s): 10.0 for s in range(2)}
    lines = (tmp_path / "rows" / "zeroi2v.jsonl").read_text().count("\n")
    command_line("zeroi2v", ARMS, measure, None, arguments)
    assert (tmp_path / "rows" / "zeroi2v.jsonl").read_text().count("\n") == lines
    assert "two seed 1: 11.0" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--arms", "three"], ["--seeds", "0"], ["--jobs", "0"]])
def test_wrong_arguments_are_one_line(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit):
        command_line("zeroi2v", ARMS, measure, None, ["--out", str(tmp_path), *wrong])
    assert not list(tmp_path.iterdir())
    assert len(capsys.readouterr().err.strip().splitlines()[-1]) < 150

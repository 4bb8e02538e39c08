"""Training on two processes: the numbers of one, files by the first, an end that all share, and going on with any
number of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from minilib.claims.rows import read_rows
from minilib.distributed import ALONE, Processes, processes, shared
from minilib.video import write_video
from minilib.world.export_charades import export_charades
from tests import two_processes

CLASSES = ("dark", "grey", "light")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Nine clips to train on, batches of 4, 4 and 1, one of them broken; five to test on, one of them broken."""
    root, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for k, name in enumerate(CLASSES):
            for n in range(count):
                path = root / split / name / f"{n}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, (rng.integers(0, 60, (6, 64, 64, 3)) + 80 * k).astype(np.uint8))
    for broken in ("train/dark/2.mp4", "val/dark/1.mp4"):
        (root / broken).write_bytes(b"not a video")
    export_charades(root / "charades", {"train": 3, "test": 3}, frames=24, size=32)
    return root


def launch(videos: Path, out: Path, *names: str, count: int = 2) -> subprocess.CompletedProcess:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = [*torchrun, "-m", "tests.two_processes", str(videos), str(out), *names]
    env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def close(one: dict, other: dict) -> None:
    for part in ("loss", "head"):
        np.testing.assert_allclose(one[part], other[part], rtol=2e-4, atol=2e-6)
    for part in ("outcome",) if "outcome" in one else ():
        keep = [{k: v for k, v in each[part].items() if k != "seconds"} for each in (one, other)]
        assert keep[0] == pytest.approx(keep[1])


def test_two_processes_train_and_test_as_one_does(videos, tmp_path):
    names = ["whole", "mixed", "refused", "plain", "windows", "resumed"]
    alone, both = tmp_path / "alone", tmp_path / "both"
    with pytest.raises(KeyboardInterrupt):
        two_processes.scenario("stopped", videos, both / "stopped")
    one = {name: two_processes.scenario(name, videos, alone / name) for name in names[:3]}
    one |= {"plain": two_processes.plain(alone / "plain"), "resumed": one["whole"]}
    one |= {"windows": two_processes.windows(videos, alone / "windows")}
    done = launch(videos, both, *names)
    assert done.returncode == 0, done.stderr[:4000]
    for name in names:
        first, second = (json.loads((both / f"{name}.{rank}.json").read_text()) for rank in range(2))
        if name == "refused":  # the broken video is in one process, both say so
            assert "1 of 9 videos cannot be read" in first["refused"] and "1 of 9" in second["refused"]
            continue
        for found in (first, second):
            close(found, one[name])
    assert one["whole"]["outcome"]["unreadable"] == 2 and len(one["whole"]["loss"]) == 9
    rows = read_rows(both / "whole" / "rows" / "zeroi2v.jsonl")
    assert sorted(row.metric for row in rows) == [f"real/folder/small/2/{m}" for m in ("top1", "top5", "unreadable")]
    assert len(list((both / "whole").glob("*.pt"))) == 1


def test_a_killed_process_ends_all_and_one_process_goes_on(videos, tmp_path):
    done = launch(videos, tmp_path, "killed")
    assert done.returncode != 0 and not list(tmp_path.glob("*.json"))
    (checkpoint,) = (tmp_path / "killed").glob("*.pt")
    assert torch.load(checkpoint, weights_only=True)["step"] == 6
    assert len(list((tmp_path / "killed").iterdir())) == 1  # nothing half-written
    rest = two_processes.scenario("resumed", videos, tmp_path / "killed")
    close(rest, two_processes.scenario("whole", videos, tmp_path / "whole"))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shares_are_the_batch_and_mixed_pairs_stay_together(size):
    for n in range(12):
        batch = list(range(100, 100 + n))
        parts = [shared(batch, rank, size) for rank in range(size)]
        assert sorted(place for part in parts for place in part) == batch
        assert max(map(len, parts)) - min(map(len, parts)) <= 2
        for part in parts:
            for place in part:
                if place - 100 != n - 1 - (place - 100):
                    assert part[len(part) - 1 - part.index(place)] == 100 + n - 1 - (place - 100)


def test_one_process_is_the_plain_program(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes() is ALONE and processes("cuda") is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert processes() is ALONE
    loss = torch.nn.Linear(1, 1)
    assert ALONE.averaged(loss, torch.device("cpu")) is loss and ALONE.sums(2, 3) == (2, 3)
    assert ALONE.gathered((1, 2)) == [1, 2] and ALONE.from_first(lambda: 4) == 4 and ALONE.first
    torch.manual_seed(1)
    before = torch.get_rng_state()
    ALONE.reseed(0, 5)
    assert torch.equal(torch.get_rng_state(), before)
    drawn = []
    for rank, step in ((1, 5), (1, 5), (2, 5), (1, 6)):
        Processes(rank, 3).reseed(0, step)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3

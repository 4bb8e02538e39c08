"""Jobs through submitit: the same results as at home, preempted and gone on, failures in one line."""

import os
import signal
import time
from types import SimpleNamespace

import psutil
import pytest
import submitit

from minilib import cluster
from minilib.batch.reproduce import main, read_status
from minilib.errors import BadInput
from minilib.study import __main__ as study_command
from minilib.study import work
from tests.cluster_jobs import Counting, count
from tests.test_reproduce import write_notebook


@pytest.fixture
def local(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    return cluster.executor("local", tmp_path / "jobs", ["timeout_min=2"])


def test_jobs_come_back_with_their_results_and_failures_are_one_line(local, tmp_path):
    (tmp_path / "a").mkdir()
    jobs = [Counting(str(tmp_path / "a")), Counting("", bad=True)]
    found = dict(cluster.each_done(local, count, jobs))
    assert found[jobs[0]] == 10
    assert str(found[jobs[1]]).startswith("as a bad job; log: ") and "\n" not in str(found[jobs[1]])
    dead = submitit.core.utils.UncompletedJobError("Job 7 has no result.\nOutput:\n - /a/log.out")
    assert cluster._line(dead, SimpleNamespace(paths=SimpleNamespace(stderr="x"))) == "Job 7 has no result.; log: x"


def test_a_preempted_job_goes_on_from_what_is_there(local, tmp_path):
    (tmp_path / "b").mkdir()
    with local.batch():
        job = local.submit(cluster.Resumable(count), Counting(str(tmp_path / "b"), 0.3))
    end = time.monotonic() + 60
    while not (tmp_path / "b" / "2").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    (task,) = psutil.Process(int(job.job_id)).children()
    task.send_signal(signal.SIGUSR2)  # what Slurm sends before it takes a node away
    assert 1 <= job.result() < 8  # as many as were missing
    assert len(list((tmp_path / "b").iterdir())) == 10


def test_whoever_stops_listening_cancels_the_rest(local, tmp_path):
    jobs = []
    for name, pause in (("c", 0.0), ("d", 60.0)):
        (tmp_path / name).mkdir()
        jobs.append(Counting(str(tmp_path / name), pause))
    listening = cluster.each_done(local, count, jobs)
    assert next(listening) == (jobs[0], 10)
    listening.close()
    time.sleep(2)
    assert len(list((tmp_path / "d").iterdir())) <= 1


def test_notebooks_run_as_jobs_of_a_cluster(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    write_notebook(tmp_path, "01_good", "import os\nassert os.environ['OMP_NUM_THREADS'] == '3'")
    write_notebook(tmp_path, "02_bad", "1 / 0")
    folders = ["--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out"), "--scale", "smoke"]
    assert main([*folders, "--cluster", "local", "--ask", "cpus_per_task=3"]) == 1
    said = capsys.readouterr().out
    assert "2 notebooks at scale smoke, as jobs of local, 3 threads each" in said and "ZeroDivisionError" in said
    assert [row.state for row in read_status(tmp_path / "out")] == ["ok", "failed"]
    assert (tmp_path / "out" / "report.html").is_file()
    write_notebook(tmp_path, "02_bad", "1 / 1")
    assert main([*folders, "--cluster", "debug", "--ask", "cpus_per_task=3"]) == 0  # in this process
    assert [row.state for row in read_status(tmp_path / "out")] == ["skipped", "ok"]


def test_a_study_is_measured_by_the_same_function_its_sweeps_first(tmp_path, monkeypatch):
    tries = ("tuned.rate1/a", "tuned.rate3/a")
    jobs = [work.Job("toy", "tuned/a", seed, str(tmp_path), tries=tries) for seed in range(2)]
    jobs += [work.Job("toy", name, 1000, str(tmp_path)) for name in tries] + [work.Job("toy", "grid/b", 0, "")]
    monkeypatch.setattr(work, "do", lambda job: work.Done(job, 10.0 + job.seed, 0.5))
    there = cluster.executor("debug", tmp_path / "jobs")
    found = list(work.measure_on(there, jobs))
    assert [done.job for done in found] == [*jobs[2:4], *jobs[:2], jobs[4]]
    assert [done.value for done in found] == [1010.0, 1010.0, 10.0, 11.0, 10.0]

    def failing(there, run, jobs):
        return [(job, cluster.Failed("no room; log: x") if "rate3" in job.metric else run(job)) for job in jobs]

    monkeypatch.setattr(cluster, "each_done", failing)
    found = {done.job: done for done in work.measure_on(there, jobs)}
    assert found[jobs[3]].error == "no room; log: x" and found[jobs[2]].value == 1010.0
    assert found[jobs[0]].error == found[jobs[1]].error == "left out, for a try of its rate failed"
    assert found[jobs[4]].value == 10.0


def test_a_measuring_command_submits_what_is_missing(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(work, "do", None)
    monkeypatch.setattr(
        study_command,
        "measure_on",
        lambda there, jobs: asked.append((there, jobs)) or [work.Done(j, 1.0) for j in jobs],
    )
    command = ["dist", "--variants", "grid/timing/dist", "--seeds", "2", "--out", str(tmp_path), "--scale", "smoke"]
    assert study_command.main([*command, "--cluster", "debug", "--ask", "cpus_per_task=2"]) == 0
    ((there, jobs),) = asked
    assert there.cluster == "debug" and {(j.metric, j.seed, j.threads) for j in jobs} == {
        ("grid/timing/dist", 0, 2), ("grid/timing/dist", 1, 2)
    }  # fmt: skip
    assert "grid/timing/dist seed 1: 1.0" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        study_command.main([*command, "--cluster", "debug", "--minutes", "3"])
    assert "--ask timeout_min=MINUTES" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        ("slurm", [], "--cluster slurm: Could not detect"),
        ("local", ["hours=3"], "--cluster local: .*hours"),
        ("local", ["timeout_min=long"], "--cluster local: Parameter .timeout_min. expected type"),
        ("local", ["timeout_min"], "--ask timeout_min: write it as name=value"),
    ],
)
def test_what_a_cluster_does_not_know_is_one_line(tmp_path, kind, asked, said):
    with pytest.raises(BadInput, match=said) as error:
        cluster.executor(kind, tmp_path / "jobs", asked)
    assert "\n" not in str(error.value)


def test_slurm_gets_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 1))
    monkeypatch.setattr("submitit.slurm.slurm.shutil.which", lambda name: f"/usr/bin/{name}")
    asked = ["timeout_min=90", "cpus_per_task=8", "gpus_per_node=1", "slurm_partition=gpu", "slurm_array_parallelism=4"]
    there = cluster.executor("slurm", tmp_path / "jobs", asked, "zeroi2v")
    assert {
        "time": 90,
        "cpus_per_task": 8,
        "partition": "gpu",
        "job_name": "zeroi2v",
    }.items() <= there.parameters.items()
    text = there._executor._make_submission_file_text("command", "uid")
    for line in ("--time=90", "--cpus-per-task=8", "--gpus-per-node=1", "--partition=gpu", "--job-name=zeroi2v"):
        assert f"#SBATCH {line}\n" in text
    assert there._executor.max_num_timeout == cluster.TIMEOUTS

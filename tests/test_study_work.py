"""The studies' command line and the work behind it: what is asked for reaches the runs, each row is measured once."""

import contextlib
import io
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minilib import environment
from minilib.claims import Measurements
from minilib.errors import BadInput
from minilib.files import ROOT
from minilib.resume import History
from minilib.study import Study, Tuned, work
from minilib.study import __main__ as command
from minilib.study.counting import record_counts
from minilib.study.plan import Wanted
from minilib.study.study import Outcome
from minilib.study.work import Done, Job, Queue, do, measure_all, rows_of, threads_of
from minilib.training import TrainSettings

RECIPE = TrainSettings(steps=4, batch=4, warmup=1)
CLAIMS = """
experiment: 1
tasks: {motion: {chance: 0, oracle: 100, positive: {better: grid/a, worse: chance}}}
claims:
- {id: ab, headline: true, source: Table 1, statement: a beats b., kind: ordering, task: motion,
   pairs: [{better: grid/a, worse: grid/b}]}
"""
ORDER = ["grid/a", "grid.half/a", "grid/b", "grid.half/b", "core/a", "tuned/a"]


@dataclass(frozen=True)
class Constant:
    """Trains nothing and scores its level plus the seed."""

    level: float

    def run(self, recipe, trial):
        return Outcome(nn.Identity(), History([], 0.0), {"": self.level + trial.seed})

    def smoke(self):
        return replace(self, level=-self.level)


STUDY = Study(
    "toy",
    {"a": Constant(10.0), "b": Constant(20.0)},
    recipes={"core": RECIPE, "grid": RECIPE, "tuned": Tuned(RECIPE, rates=(1.0,))},
    grids={"core": ("a",), "grid": ("a", "b"), "tuned": ("a",)},
)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The command line with a toy study, its rows in a folder of their own, its processes threads of this one."""
    (tmp_path / "toy.yaml").write_text(CLAIMS)

    class Rows(Measurements):
        def __init__(self, *given, **more):
            super().__init__(*given, **more, committed=tmp_path / "none", claims_folder=tmp_path)

    monkeypatch.setattr(work, "Measurements", Rows)
    monkeypatch.setattr(work, "load_study", lambda paper: {"toy": STUDY}[paper])
    monkeypatch.setattr(command, "load_study", lambda paper: {"toy": STUDY}[paper])
    monkeypatch.setattr(command, "load", lambda paper: work_load(paper, tmp_path))
    monkeypatch.setattr(
        work.multiprocessing,
        "get_context",
        lambda kind: SimpleNamespace(Pool=lambda processes, *initial: ThreadPool(processes)),
    )
    threads = torch.get_num_threads()
    yield tmp_path / "out"
    torch.set_num_threads(threads)


def work_load(paper, folder):
    from minilib.claims import load

    return load(paper, folder)


def lines(capsys, *arguments):
    code = command.main(["toy", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_the_names_of_what_can_be_measured_are_listed(toy, capsys):
    assert lines(capsys, "--list") == (0, ["core/a", "grid/a", "grid/b", "tuned/a"], "")
    assert lines(capsys, "--list", "--recipe", "grid") == (0, ["grid/a", "grid/b"], "")


def test_the_plan_has_a_line_a_metric_and_measures_nothing(toy, capsys):
    code, out, _ = lines(capsys, "--plan", "--out", toy, "--seeds", 2)
    assert not code and [line.partition(":")[0] for line in out[:-1]] == ORDER
    assert out[0] == "grid/a: seeds 0, 1; 1 s; headline ab, not testable here"
    assert out[-1] == "12 runs, 0.0 hours of one core" and not (toy / "rows").exists()
    assert len(lines(capsys, "--plan", "--out", toy)[1][0].split(",")) == 6  # five seeds
    code, out, _ = lines(capsys, "--plan", "--out", toy, "--recipe", "grid", "--variants", "a", "core/a")
    assert [line.partition(":")[0] for line in out[:-1]] == ["grid/a", "grid.half/a"]


def test_what_is_asked_for_is_measured_once_and_said(toy, capsys):
    code, out, _ = lines(capsys, "--out", toy, "--seeds", 2, "--variants", "a")
    assert not code and len(out) == 8 and out[:2] == ["grid/a seed 0: 10.0 (0 s)", "grid/a seed 1: 11.0 (0 s)"]
    assert lines(capsys, "--out", toy, "--seeds", 2, "--variants", "a") == (0, [], "")
    rows = rows_of("toy", str(toy), "small", "cpu")
    assert rows.seeds_of()["grid/a"] == {0: 10.0, 1: 11.0}
    lines(capsys, "--out", toy, "--seeds", 1, "--variants", "core/a", "--scale", "smoke", "--jobs", 2)
    assert rows_of("toy", str(toy), "smoke", "cpu").seeds_of("smoke") == {"core/a": {0: -10.0}}


def test_here_measures_again_what_was_measured_elsewhere(toy, capsys, monkeypatch):
    def run(*more):
        return lines(capsys, "--out", toy, "--seeds", 1, "--variants", "grid/a", "--recipe", "grid", *more)[1]

    assert len(run()) == 1 and run("--here") == []
    monkeypatch.setattr(environment, "cpu", lambda: "another processor")
    assert run() == [] and run("--here") == ["grid/a seed 0: 10.0 (0 s)"]
    assert run("--here") == []
    monkeypatch.setattr(command, "threads_of", lambda processes, device: 7)
    assert len(run("--here")) == 1 and run("--here", "--plan") == ["0 runs, 0.0 hours of one core"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--seeds", "0"], "count from 1"),
        (["--here", "--cluster", "debug"], "--here is for this machine"),
        (["--jobs", "0"], "count from 1"),
        (["--minutes", "0"], "count from 1"),
        (["--variants", "a", "c"], "--variants 'c': not of toy; --list names what is there"),
        (["--costs"], "toy has no costs that are timed"),
        (["--costs", "--plan"], "--costs times what a paper compares"),
        (["--costs", "--variants", "a"], "--costs times what a paper compares"),
        (["--scale", "paper"], "invalid choice"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(toy, capsys, arguments, reason):
    try:
        code = command.main(["toy", "--out", str(toy), *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2 and reason in capsys.readouterr().err


def test_times_are_taken_alone_with_the_rows_of_the_device(toy, capsys, monkeypatch):
    seen = []
    timed = replace(STUDY, costs=lambda rows: seen.append((rows.paper, rows.scale, rows.device, rows.path)))
    monkeypatch.setattr(command, "load_study", lambda paper: timed)
    assert lines(capsys, "--costs", "--out", toy, "--device", "cuda:1") == (0, [], "")
    assert seen == [("toy", "small", "cuda:1", toy / "rows" / "toy.jsonl")]


def test_every_option_says_what_it_does_and_has_the_default_that_it_names():
    options = {action.dest: action for action in command.parser()._actions}
    assert all(action.help for action in options.values()) and "measures what papers' studies lack" in (
        command.parser().format_help()
    )
    given = vars(command.parser().parse_args(["toy", "other"]))
    assert given == {
        "papers": ["toy", "other"], "variants": [], "recipe": "", "seeds": None, "jobs": 1, "minutes": None,
        "device": "cpu", "scale": "small", "out": "results", "plan": False, "list": False, "costs": False,
        "cluster": None, "ask": [], "here": False,
    }  # fmt: skip
    for name in ("jobs", "device"):
        assert f"(default: {given[name]})" in options[name].help
    assert "(default: the first look, 5 or 64 clips, and a later one that would decide)" in options["seeds"].help


def test_a_line_is_shown_as_soon_as_its_run_is_done(toy, monkeypatch):
    class Watched(io.StringIO):
        def flush(self):
            shown.append(self.getvalue().count("\n"))

    shown = []
    monkeypatch.setattr(sys, "stdout", Watched())
    command.main(["toy", "--out", str(toy), "--seeds", "1", "--recipe", "grid"])
    assert shown[:4] == [1, 2, 3, 4]


def test_a_job_says_what_it_found_and_how_long_it_took(toy):
    job = Job("toy", "grid/b", 3, str(toy), threads=1)
    found, value, seconds, error = do(job)
    assert found is job and value == 23.0 and 0 < seconds < 60 and not error and torch.get_num_threads() == 1
    assert list((toy / "locks").iterdir()) == [toy / "locks" / "toy.grid.b.3"]
    with work.alone(toy / "locks" / "toy.grid.b.4"):
        assert do(replace(job, seed=4)) == (replace(job, seed=4), None, 0.0, "")
    assert command.said(Done(job, None)) == "another process is at it" and command.said(Done(job, 1.25)) == "1.2"
    smoke = do(replace(job, scale="smoke", threads=2))
    assert smoke[1] == -17.0 and torch.get_num_threads() == 2


def queue(*jobs):
    return Queue([Job("toy", metric, seed, "out", tries=tuple(tries)) for metric, seed, *tries in jobs])


def test_a_row_waits_for_its_sweep_and_other_work_goes_first():
    jobs = queue(("t.1/a", 9), ("t.2/a", 9), ("t/a", 0, "t.1/a", "t.2/a"), ("g/b", 0), ("t/c", 0, "t.3/c"))
    taken = [jobs.next(0.0) for _ in range(4)]
    assert [job.metric for job in taken] == ["t.1/a", "t.2/a", "g/b", "t/c"], "the tries of t/c were there before"
    assert jobs.next(0.0) is None and [job.metric for job in jobs.waiting] == ["t/a"]
    assert jobs.took(Done(taken[0], 1.0), 0.0) == [Done(taken[0], 1.0)] and jobs.next(0.0) is None
    assert jobs.took(Done(taken[2], None), 0.0) == [Done(taken[2], None)], "no row waits for it"
    jobs.took(Done(taken[1], 1.0), 0.0)
    assert jobs.next(0.0).metric == "t/a" and not jobs.waiting


def test_the_sweep_of_another_paper_says_nothing():
    here, there = Job("toy", "t.1/a", 9, "out"), Job("other", "t/a", 0, "out", tries=("t.1/a",))
    assert [Queue([here, there]).next(0.0), *Queue([there]).waiting] == [here, there]
    jobs = Queue([here, there])
    jobs.next(0.0)
    assert jobs.next(0.0) == there


def test_a_try_that_another_process_is_at_is_looked_at_again_later():
    jobs = queue(("t.1/a", 9), ("t/a", 0, "t.1/a"))
    first = jobs.next(0.0)
    assert jobs.took(Done(first, None), 10.0) == [] and jobs.next(10.0 + work.AGAIN / 2) is None
    assert jobs.next(10.0 + work.AGAIN) == first
    jobs.took(Done(first, 1.0), 20.0)
    assert jobs.next(20.0).metric == "t/a"


def test_without_a_try_its_rows_are_left_out_and_said():
    jobs = queue(("t.1/a", 9), ("t/a", 0, "t.1/a"), ("t/a", 1, "t.1/a"), ("g/b", 0))
    failed = Done(jobs.next(0.0), None, 3.0, "BadInput: no")
    said = jobs.took(failed, 0.0)
    assert said[0] == failed and [(each.job.seed, each.error) for each in said[1:]] == [
        (0, "left out, for t.1/a failed"), (1, "left out, for t.1/a failed")
    ]  # fmt: skip
    assert [job.metric for job in jobs.waiting] == ["g/b"]
    jobs = Queue(
        [Job("toy", "t.1/a", 9, "out"), *(Job(on, "t/a", 0, "out", tries=("t.1/a",)) for on in ("toy", "other"))]
    )
    jobs.took(Done(jobs.next(0.0), None, error="no"), 0.0)
    assert [job.paper for job in jobs.waiting] == ["other"], "whose sweep is there"


def test_a_sweep_is_measured_before_its_rows_and_counted_in_the_plan(toy, capsys, monkeypatch):
    swept = replace(STUDY, recipes=STUDY.recipes | {"tuned": Tuned(replace(RECIPE, steps=3000))})
    for module in (work, command):
        monkeypatch.setattr(module, "load_study", lambda paper: swept)
    code, out, _ = lines(capsys, "--plan", "--out", toy, "--recipe", "tuned", "--seeds", 2)
    assert [line.partition(";")[0] for line in out] == [
        "tuned.rate0.33/a: seeds 1000", "tuned.rate1/a: seeds 1000", "tuned.rate3/a: seeds 1000", "tuned/a: seeds 0, 1",
        "5 runs, 0.3 hours of one core"
    ]  # fmt: skip
    code, out, _ = lines(capsys, "--out", toy, "--recipe", "tuned", "--seeds", 2, "--jobs", 3)
    assert not code and sorted(out[:3])[0] == "tuned.rate0.33/a seed 1000: 1010.0 (0 s)"
    assert sorted(out[3:]) == ["tuned/a seed 0: 10.0 (0 s)", "tuned/a seed 1: 11.0 (0 s)"]
    assert lines(capsys, "--plan", "--out", toy, "--recipe", "tuned", "--seeds", 2)[1] == [
        "0 runs, 0.0 hours of one core"
    ]


@dataclass(frozen=True)
class Failing(Constant):
    """Fails, by an error of ours or another one."""

    error: type = BadInput

    def run(self, recipe, trial):
        raise self.error("no\nway")


@pytest.mark.parametrize("error", [BadInput, RuntimeError])
def test_a_run_that_fails_is_said_and_stops_no_other(toy, capsys, monkeypatch, error):
    failing = replace(STUDY, variants=STUDY.variants | {"a": Failing(1.0, error)})
    monkeypatch.setattr(work, "load_study", lambda paper: failing)
    code, out, err = lines(capsys, "--out", toy, "--recipe", "grid", "--seeds", 1)
    assert code == 1 and f"grid/a seed 0: {error.__name__}: no way (0 s)" in out and "grid/b seed 0: 20.0 (0 s)" in out
    assert ("Traceback" in err) == (error is RuntimeError)


@dataclass(frozen=True)
class Timed(Constant):
    """Scores what depends on the machine."""

    timed = True


def test_what_is_timed_is_not_measured_beside_other_runs(toy, capsys, monkeypatch):
    study = replace(STUDY, variants=STUDY.variants | {"b": Timed(3.0)})
    for module in (work, command):
        monkeypatch.setattr(module, "load_study", lambda paper: study)
    ask = ("--out", toy, "--recipe", "grid", "--seeds", 1)
    _, out, _ = lines(capsys, *ask, "--jobs", 2)
    assert out[0] == "left out, for they are timed: 2 runs; measure them with --jobs 1" and len(out) == 3
    assert lines(capsys, *ask)[1] == ["grid/b seed 0: 3.0 (0 s)", "grid.half/b seed 0: 3.0 (0 s)"]


def test_several_papers_are_measured_in_one_call_most_wanted_first(toy, capsys, monkeypatch):
    other = replace(STUDY, paper="other", grids={"grid": ("b",)})
    (toy.parent / "other.yaml").write_text(CLAIMS.replace("grid/a, worse: grid/b", "grid/b, worse: chance"))
    for module in (work, command):
        monkeypatch.setattr(module, "load_study", lambda paper: {"toy": STUDY, "other": other}[paper])
    assert lines(capsys, "other", "--list", "--recipe", "grid")[1] == ["grid/a", "grid/b", "grid/b"]
    code, out, _ = lines(capsys, "other", "--plan", "--out", toy)
    names = [line.partition(":")[0] for line in out[:-1]]
    assert names == ["other grid/b", "other grid.half/b"] + [f"toy {name}" for name in ORDER]
    code, out, _ = lines(capsys, "other", "--out", toy, "--recipe", "grid", "--seeds", 1)
    assert not code and out[0] == "other grid/b seed 0: 20.0 (0 s)" and out[2] == "toy grid/a seed 0: 10.0 (0 s)"
    assert rows_of("other", str(toy), "small", "cpu").seeds_of()["grid/b"] == {0: 20.0}


def test_without_a_name_the_plan_is_of_all_papers(toy, capsys, monkeypatch):
    monkeypatch.setattr(command, "papers", lambda: ["toy"])
    named = lines(capsys, "--plan", "--out", toy)[1]
    assert command.main(["--plan", "--out", str(toy)]) == 0
    assert capsys.readouterr().out.splitlines() == named


def test_no_job_begins_after_so_many_minutes(toy, monkeypatch):
    clock = [0.0]

    class Pool(contextlib.nullcontext):
        def __init__(self, count):
            super().__init__(self)

        def apply_async(self, call, given):
            return SimpleNamespace(ready=lambda: True, get=lambda: call(*given))

    def slow(job):
        clock[0] += 40.0
        return Done(job, 1.0, 40.0)

    asked = []
    monkeypatch.setattr(work, "do", slow)
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: None))
    monkeypatch.setattr(
        work.multiprocessing,
        "get_context",
        lambda kind: SimpleNamespace(Pool=lambda count, *initial: asked.append((kind, count)) or Pool(count)),
    )
    jobs = [Job("toy", "grid/a", seed, str(toy)) for seed in range(5)]
    assert [job.seed for job, *_ in measure_all(jobs, 1, minutes=1)] == [0, 1]
    assert [job.seed for job, *_ in measure_all(jobs, 2)] == [0, 1, 2, 3, 4]
    assert asked == [("spawn", 1), ("spawn", 2)]


def test_a_process_that_is_killed_ends_the_work_in_a_line(toy, monkeypatch):
    job = Job("toy", "grid/a", 0, str(toy), "small", "cpu", 1)
    dead = SimpleNamespace(exitcode=-9)
    monkeypatch.setattr(work.multiprocessing, "active_children", lambda: [SimpleNamespace(exitcode=None), dead])
    with pytest.raises(BadInput, match="was killed, perhaps for memory"):
        list(measure_all([job], 1))


def test_a_run_goes_on_only_under_the_code_and_on_the_machine_where_it_began(toy, monkeypatch):
    begun: list[str] = []
    run = Constant.run
    monkeypatch.setattr(Constant, "run", lambda *given: begun.append(given[2].checkpoint.name) or run(*given))
    changes = (
        ("commit", lambda: "another"),
        ("cpu", lambda: "another processor"),
        ("threads", lambda: 7),
    )
    for name, other in (("commit", environment.commit), *changes):
        with monkeypatch.context() as patched:
            patched.setattr(environment, name, other)
            STUDY.measure("grid/a", len(begun), rows_of("toy", str(toy), "small", "cpu"))
            begun[-1] = begun[-1].replace(f".{len(begun) - 1}.", ".0.")
    assert len(set(begun)) == 4, begun


def test_rows_say_the_precision_of_their_recipe(toy):
    half = replace(STUDY, recipes=STUDY.recipes | {"grid": replace(RECIPE, precision="bf16")})
    for study, name in ((STUDY, "core/a"), (half, "grid/a")):
        study.measure(name, 0, rows_of("toy", str(toy), "small", "cpu"))
    kept = {row.metric: row.dtype for row in rows_of("toy", str(toy), "small", "cpu").rows()}
    assert kept["core/a"] == "float32" and kept["grid/a"] == "bfloat16"


def test_what_is_there_but_makes_no_pairs_is_wanted_here(toy, capsys, monkeypatch):
    ask = ("--out", toy, "--variants", "grid/a", "grid/b", "grid.half/a", "grid.half/b", "--recipe", "grid")
    for module in (environment, work):
        monkeypatch.setattr(module, "commit", lambda: "0123456789ab")  # else no row judges, and no look is taken
    lines(capsys, *ask, "--seeds", 5)
    monkeypatch.setattr(environment, "cpu", lambda: "another processor")
    assert lines(capsys, *ask, "--plan")[1][-1].startswith("0 runs"), "all is there, in pairs"
    for seed in (3, 4):  # measured again elsewhere, and the first time forgotten
        path = toy / "rows" / "toy.jsonl"
        path.write_text("".join(
            line for line in path.read_text().splitlines(True)
            if not ('"grid/b"' in line and f'"seed":{seed},' in line)
        ))  # fmt: skip
        STUDY.measure("grid/b", seed, rows_of("toy", str(toy), "small", "cpu"))
    wanted = [line.partition(";")[0] for line in lines(capsys, *ask, "--plan")[1][:-1]]
    assert any(line.startswith("grid/a: seeds") for line in wanted), wanted


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(work, "cores", lambda: 8)
    assert [threads_of(n) for n in (1, 2, 3, 8, 9)] == [8, 4, 2, 1, 1]
    assert threads_of(1, "cuda:0") == 1


def test_the_plan_adds_up():
    missing = [
        Wanted("toy", "grid/a", 0, 1800.0, why="why a"),
        Wanted("toy", "grid/b", 0, 900.0, why="why b"),
        Wanted("toy", "grid/a", 2, 1800.0, why="x"),
    ]
    assert command.plan(missing).splitlines() == [
        "grid/a: seeds 0, 2; 3,600 s; why a", "grid/b: seeds 0; 900 s; why b", "3 runs, 1.2 hours of one core"
    ]  # fmt: skip
    assert command.plan(missing, several=True).splitlines()[0] == "toy grid/a: seeds 0, 2; 3,600 s; why a"
    assert command.known("grid/a", ["grid/a"]) and command.known("a", ["grid/a"]) and command.known("a/b", ["grid/a/b"])
    assert not command.known("grid", ["grid/a"]) and not command.known("grid.quarter/a", ["grid/a"])
    assert command.known("grid.half/a", ["grid/a"]) and not command.known("grid.half/b", ["grid/a"])


def test_a_whole_grid_is_measured_with_every_seed(toy):
    rows = rows_of("toy", str(toy), "small", "cpu")
    STUDY.measure_grid(rows, [0, 2])
    assert rows.seeds_of() == {"grid/a": {0: 10.0, 2: 12.0}, "grid/b": {0: 20.0, 2: 22.0}}
    STUDY.measure_grid(rows, [1], "core")
    assert rows.seeds_of()["core/a"] == {1: 11.0}
    with pytest.raises(BadInput, match=r"its recipes are core, grid, tuned; `python -m minilib.study toy --list`"):
        STUDY.measure("wide/a", 0, rows)


def test_a_count_is_written_once_and_again_only_where_it_comes_out_anew(toy):
    rows = rows_of("toy", str(toy), "small", "cpu")
    for value in (3.0, 3.0, 4.0):
        record_counts(rows, {"params": value})
    assert len((toy / "rows" / "toy.jsonl").read_text().splitlines()) == 2
    assert rows.seeds_of()["params"] == {0: 4.0}


def test_rows_may_differ_from_a_clean_checkout_and_code_may_not(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    for name in ("minilib/a.py", "results/rows/toy.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    clean = environment.commit.__wrapped__()
    assert environment.is_clean(clean) and len(clean) == 12
    (tmp_path / "results/rows/toy.jsonl").write_text("2")
    assert environment.commit.__wrapped__() == clean
    (tmp_path / "minilib/a.py").write_text("2")
    assert environment.commit.__wrapped__() == f"{clean}-dirty"
    monkeypatch.setattr(environment, "ROOT", tmp_path / "nowhere")
    assert environment.commit.__wrapped__() is None


def test_a_killed_measurement_leaves_no_worker(tmp_path):
    """The one that measures is killed as soon as its worker is there; the worker follows."""
    code = """
import os, sys, time
from multiprocessing import get_context
from minilib.processes import die_with
if __name__ == "__main__":
    with get_context("spawn").Pool(1, die_with, (os.getpid(),)) as pool:
        print(pool.apply(os.getpid), flush=True)
        pool.apply(time.sleep, (60,))
"""
    (tmp_path / "parent.py").write_text(code)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and alive(worker):
        time.sleep(0.1)
    assert not alive(worker)


def alive(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False

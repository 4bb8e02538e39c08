"""The unit of batch work: one pure function from a job (notebook, parameters, out_dir) to a status row.

The same function runs in this process, in a pool, or under a cluster's scheduler. It never raises for what a notebook
does; a notebook that fails, hangs or loses its kernel is a status.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillException, PapermillExecutionError

from minilib.batch.executed import code_version, read_notebook
from minilib.changes import folder_key
from minilib.errors import BadInput
from minilib.files import RESULTS, write_whole
from minilib.notebook import JOB
from minilib.progress import QUIET

OK, SKIPPED, FAILED, TIMEOUT, DEAD = "ok", "skipped", "failed", "timeout", "dead kernel"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A notebook to run. `parameters` are those that differ from its own; `timeout` is seconds a cell."""

    notebook: Path
    out_dir: Path
    parameters: Mapping[str, object] = field(default_factory=dict)
    threads: int = 1
    timeout: float | None = None
    again: bool = False  # run even where a finished run is there

    @property
    def name(self) -> str:
        return Path(self.notebook).stem

    @property
    def output(self) -> Path:
        return Path(self.out_dir) / f"{self.name}.ipynb"

    @property
    def failed(self) -> Path:
        return Path(self.out_dir) / f"{self.name}.failed.ipynb"

    @property
    def part(self) -> Path:
        return Path(self.out_dir) / f".{self.name}.part.ipynb"

    @property
    def record(self) -> Path:
        return Path(self.out_dir) / f"{self.name}.done.json"


@dataclass(frozen=True)
class Status:
    """One row of `status.jsonl`."""

    name: str
    state: str  # ok | skipped | failed | timeout | dead kernel
    seconds: float
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.state in (OK, SKIPPED)

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def defaults(notebook: Path | str) -> dict[str, object]:
    """The notebook's parameters with their defaults; a default that is no literal counts as None."""
    values: dict[str, object] = {}
    for cell in read_notebook(notebook).cells:
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        for line in ast.parse(cell.source).body:
            target = line.target if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [None])[0]
            if isinstance(target, ast.Name):
                values[target.id] = _literal(line.value)
    return values


def _literal(node: ast.expr | None) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None


def check_job(job: Job) -> None:
    """`BadInput` for a parameter that the notebook does not have, or of another type than its default."""
    known = defaults(job.notebook)
    for name, value in job.parameters.items():
        if name not in known:
            raise BadInput(f"{job.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}")
        default = known[name]
        allowed = (int, float) if type(default) is float else type(default)
        if default is not None and (
            not isinstance(value, allowed) or isinstance(value, bool) != isinstance(default, bool)
        ):
            wanted, given = type(default).__name__, type(value).__name__
            raise BadInput(
                f"{job.name}: {name}={value!r} is {given}, the notebook expects {wanted} as in {name}={default!r}"
            )


def job_key(job: Job, notebook: nbformat.NotebookNode) -> str:
    """What a finished run must match to count: the code it ran, the committed rows, its parameters and the files that
    they name, not where it wrote."""
    plain = {k: v for k, v in sorted(job.parameters.items()) if k not in ("out_dir", "fresh")}
    rows = [(path.name, path.stat().st_size) for path in sorted((RESULTS / "rows").glob("*.jsonl"))]
    text = json.dumps([code_version(notebook), rows, plain, *files_key(job)], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def files_key(job: Job) -> list[str]:
    """Names, sizes and times of the videos and the weights that a job names; of a folder of data sets, those of its
    own."""
    asked = {**defaults(job.notebook), **job.parameters}
    root, weights = (str(asked.get(name) or "") for name in ("data_root", "weights"))
    own = Path(root).expanduser() / str(asked.get("dataset") or "")
    paths = [own if own.is_dir() else Path(root).expanduser()] if root else []
    paths += [Path(weights).expanduser()] if weights not in ("", "random") else []
    return [folder_key(path) for path in paths]


def finished(job: Job, key: str) -> dict | None:
    """The completion record of a whole run of this very job, else None."""
    try:
        record = json.loads(job.record.read_text())
        executed = read_notebook(job.output)
    except (OSError, ValueError):
        return None
    whole = record.get("job") == key and executed.metadata.get("minilib", {}).get("job") == key
    return record if whole else None


def run_job(job: Job) -> Status:
    """Runs the notebook through papermill, unless a finished run of it is there.

    Leaves `<name>.ipynb` and `<name>.done.json` in out_dir, or `<name>.failed.ipynb` with everything up to the failure.
    """
    began = time.monotonic()
    status = lambda state, reason="": Status(job.name, state, round(time.monotonic() - began, 1), _line(reason))  # noqa: E731
    try:
        source = read_notebook(job.notebook)
        check_job(job)
        key, code = job_key(job, source), code_version(source)  # before the run: code may change under it
        if not job.again and (record := finished(job, key)):
            return Status(
                job.name,
                SKIPPED,
                float(record.get("seconds", 0)),
                "finished before with this code and these parameters",
            )
        Path(job.out_dir).mkdir(parents=True, exist_ok=True)
        for old in (job.record, job.part, job.failed):
            old.unlink(missing_ok=True)
        with kernel_environment(job.threads, key):
            executed = papermill.execute_notebook(
                str(job.notebook),
                str(job.part),
                parameters=dict(job.parameters),
                language="python",  # of a notebook that does not say, too
                kernel_name="python3",  # the environment that runs this, whatever the author's kernel was called
                progress_bar=False,
                extra_arguments=["--log-level=ERROR"],
                execution_timeout=job.timeout,
            )
        if not job.record.is_file() or json.loads(job.record.read_text()).get("job") != key:
            _keep_part(job)
            return status(FAILED, f"stopped before its last cell: there is no completion record {job.record.name}")
        executed.metadata["minilib"] = {
            **executed.metadata.get("minilib", {}),
            "code": code,
            "job": key,
        }
        write_whole(job.output, nbformat.writes(executed) + "\n")
        job.part.unlink(missing_ok=True)
        return status(OK)
    except PapermillExecutionError as error:
        _keep_part(job)
        return status(FAILED, f"cell {error.exec_count}: {error.ename}: {error.evalue}")
    except CellTimeoutError:
        _keep_part(job)
        return status(TIMEOUT, f"a cell took more than {job.timeout:g} s")
    except DeadKernelError:
        _keep_part(job)
        return status(DEAD, "the kernel died; out of memory is the usual cause")
    except NoSuchKernel:
        return status(FAILED, "there is no kernel 'python3'; `make setup` installs it")
    except (BadInput, PapermillException, OSError, RuntimeError, ValueError) as error:
        _keep_part(job)
        return status(FAILED, f"{type(error).__name__}: {error}" if not isinstance(error, BadInput) else str(error))


def _keep_part(job: Job) -> None:
    """What was executed up to a failure stays, under a name that says so."""
    if job.part.is_file():
        job.part.replace(job.failed)


def _line(text: object) -> str:
    """The first line that says something, without terminal colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(text)).strip().splitlines()
    return lines[0][:300] if lines else ""


@contextmanager
def kernel_environment(threads: int, key: str) -> Iterator[None]:
    """What a kernel inherits: its share of the cores, waiting without spinning, figures kept, no progress bars."""
    before = dict(os.environ)
    os.environ.update({name: str(threads) for name in THREAD_VARIABLES})
    os.environ.update({"OMP_WAIT_POLICY": "passive", JOB: key, QUIET: "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    os.environ.pop("MPLBACKEND", None)  # set to Agg it would remove every figure from the executed notebook
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

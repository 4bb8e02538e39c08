"""What every notebook shares: checked parameters, the library's code on the page, progress, the completion record."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import textwrap
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.style import Style
from pygments.token import Comment, Keyword, Name, Number, String

from minilib.environment import environment
from minilib.errors import BadInput
from minilib.files import ROOT, RUNS, writable_folder, write_whole
from minilib.settings import MOST_SEEDS

SCALES = ("smoke", "small", "paper")
GRIDS = ("core", "full")
DEVICES = ("auto", "cpu", "cuda")
JOB = "MINILIB_JOB"  # the runner's name for what it asked; the completion record carries it back


@dataclass(frozen=True)
class Parameters:
    """A notebook's parameters after `check_parameters`: every value usable, device and out_dir resolved."""

    scale: str
    seed: int
    seeds: int
    grid: str
    fresh: bool
    device: str
    weights: str
    data_root: str
    out_dir: Path

    @property
    def seed_list(self) -> list[int]:
        """The seeds to run: seed, seed + 1, ..."""
        return list(range(self.seed, self.seed + self.seeds))


def check_parameters(
    scale: str = "small",
    seed: int = 0,
    seeds: int = 1,
    grid: str = "core",
    fresh: bool = False,
    device: str = "auto",
    weights: str = "",
    data_root: str = "",
    out_dir: str = "",
    needs_data: bool = True,
) -> Parameters:
    """Types, ranges and folders. The first thing wrong is `BadInput` naming the parameter, before anything starts.

    `out_dir` is made and tried; empty means `runs/<scale>` in the checkout, without one in the current folder.
    `needs_data=False` is said by a page that reads no data set: its paper scale needs no `data_root`. `device="auto"`
    takes a GPU where it can.
    """
    _one_of("scale", scale, SCALES)
    _whole_number("seed", seed, 0, 2**32 - 1)  # what numpy and torch take
    _whole_number("seeds", seeds, 1, MOST_SEEDS)
    _one_of("grid", grid, GRIDS)
    if not isinstance(fresh, bool):
        raise BadInput(f"fresh={fresh!r}: must be True or False")
    _one_of("device", device, DEVICES)
    for name, value in (("weights", weights), ("data_root", data_root), ("out_dir", out_dir)):
        if not isinstance(value, str | os.PathLike):
            raise BadInput(f"{name}={value!r}: must be a path as text, empty for none")
    weights, data_root = map(_as_path, (weights, data_root))
    if data_root and not Path(data_root).is_dir():
        raise BadInput(f"data_root={data_root!r}: no such folder")
    if scale == "paper" and needs_data and not data_root:
        raise BadInput("scale='paper' needs data_root, the folder that holds the real data sets")
    folder = writable_folder(out_dir or RUNS / scale)
    return Parameters(scale, seed, seeds, grid, fresh, _device(device), weights, data_root, folder)


def _as_path(text: str | os.PathLike) -> str:
    """With the home folder in place of ~; an address, which a path would rob of a slash, as it is."""
    text = str(text)
    return str(Path(text).expanduser()) if text and "://" not in text else text


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{name}={value!r}: must be one of {', '.join(allowed)}")


def _whole_number(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{name}={value!r}: must be a whole number, {least} or more")
    if value > most:
        raise BadInput(f"{name}={value:,}: must be at most {most:,}")


def _device(device: str) -> str:
    if device == "cpu":
        return device
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise BadInput("device='cuda': no usable GPU here; device='cpu' works everywhere")
    return "cuda" if available else "cpu"


class _Ink(Style):
    """Few colours, all dark enough on white; fewer spans keep notebooks small."""

    background_color = "#f7f7f7"
    styles = {
        Comment: "#5a5a5a",
        String: "#00664a",
        Keyword: "bold #00517f",
        Name.Function: "bold",
        Name.Class: "bold",
        Name.Decorator: "#7a5200",
        Number: "#9c3f00",
    }


class Source:
    """The code of a library object, coloured for notebooks, plain for `str()`."""

    def __init__(self, text: str, file: str):
        self.text, self.file = text, file

    def _repr_html_(self) -> str:
        code = highlight(self.text, PythonLexer(), HtmlFormatter(style=_Ink, noclasses=True, nowrap=True))
        box = "background:#f7f7f7;color:#1a1a1a;padding:8px 12px;line-height:1.35;overflow-x:auto;border-left:3px solid"
        box += " #00517f;font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
        return f'<div><code>{escape(self.file)}</code><pre style="{box}">{code.rstrip()}</pre></div>'

    def __str__(self) -> str:
        return f"# {self.file}\n{self.text}"

    def __repr__(self) -> str:
        return f"source in {self.file}; print it to read it here"  # notebooks store this beside the HTML


def show_source(thing: object) -> Source:
    """The source of a class, function, method or module, with its file's name inside the package. Raises BadInput
    for what has none in Python."""
    thing = inspect.unwrap(thing.func if isinstance(thing, partial) else thing)
    try:
        text, path = inspect.getsource(thing), Path(inspect.getsourcefile(thing)).resolve()
    except (TypeError, OSError) as error:
        raise BadInput(f"show_source({thing!r}): no Python source to show") from error
    file = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT / "minilib") else path.name
    return Source(textwrap.dedent(text).rstrip(), file)


def finish(params: Parameters, name: str, started: float, **notes: object) -> Path:
    """The notebook's last act: `<out_dir>/<name>.done.json`, written whole.

    `started` is `time.time()` at the top of the notebook; `notes` are anything JSON can hold. That this file is there
    and carries the runner's job is the only proof that a notebook reached its end. Raises BadInput for other notes.
    """
    record = {
        "name": name,
        "parameters": {k: v if not isinstance(v, Path) else str(v) for k, v in dataclasses.asdict(params).items()},
        "seconds": round(time.time() - started, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(params.device),
        "job": os.environ.get(JOB),
        **({"notes": notes} if notes else {}),
    }
    try:
        text = json.dumps(record, indent=1)
    except TypeError as error:
        raise BadInput(f"finish({name!r}): a note is not plain data ({error})") from error
    return write_whole(params.out_dir / f"{name}.done.json", text + "\n")

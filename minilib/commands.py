"""What every command line shares: one line for bad input, quiet ends of pipes, terminals that take ASCII alone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import yaml

from minilib.errors import BadInput


def answer(body: Callable[[], int]) -> int:
    """Runs a command. 2 and one line for `BadInput`; 0 where whoever read the output stopped reading (`| head`). What
    the terminal cannot show is written in escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = body()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still unwritten goes nowhere
        return 0
    except BadInput as error:
        print(_short(str(error)), file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(_short(f"{error.filename}: the name is too long"), file=sys.stderr)
        return 2


def _short(line: str, most: int = 600) -> str:
    """A line of which an absurdly long part is left out."""
    return line if len(line) <= most else f"{line[: most // 2]} [...] {line[-most // 2 :]}"


def setting(text: str, option: str = "--set") -> tuple[str, object]:
    """Name and value of "name=value": YAML where that is a number, a truth, a list or quoted, else the words as they
    stand. `option`: what it was given by."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise BadInput(f"{option} {text}: write it as name=value")
    try:
        parsed = yaml.safe_load(value) if value else ""
    except (yaml.YAMLError, ValueError):  # ValueError: a number of too many digits, the 40th of a month
        return name, value
    quoted = value[:1] in ("'", '"') and value[-1:] == value[:1]
    return name, value if "#" in value or (isinstance(parsed, str) and not quoted) else parsed


def device_of(name: str) -> str:
    """What --device says. Raises BadInput for another name, and for a GPU that is not there."""
    if name not in ("cpu", "cuda"):
        raise BadInput(f"--device {name}: must be cpu or cuda")
    if name == "cpu":
        return name
    import torch

    if not torch.cuda.is_available():
        raise BadInput("--device cuda: no usable GPU here; cpu works everywhere")
    return name

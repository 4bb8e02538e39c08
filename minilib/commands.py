"""What every command line shares: one line for bad input, quiet ends of pipes, terminals that take ASCII alone."""

from __future__ import annotations

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
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still unwritten goes nowhere
        return 0


def setting(text: str, option: str = "--set") -> tuple[str, object]:
    """Name and value of "name=value": YAML where that is a number, a truth, a list or quoted, else the words as they
    stand. `option`: what it was given by."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise BadInput(f"{option} {text}: write it as name=value")
    try:
        parsed = yaml.safe_load(value) if value else ""
    except yaml.YAMLError:
        return name, value
    quoted = value[:1] in ("'", '"') and value[-1:] == value[:1]
    return name, value if "#" in value or (isinstance(parsed, str) and not quoted) else parsed

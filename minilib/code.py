"""Which files of the library a piece of code depends on, read off its import statements."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from minilib.files import ROOT

NAMED = re.compile(r"minilib(\.\w+)+:\w+")


def modules(sources: Iterable[str]) -> set[Path]:
    """The files of every module of minilib that these sources import, or name as "module:function"; and so on."""
    found: set[Path] = set()
    waiting = [name for source in sources for name in imports(source)]
    while waiting:
        for path in files(waiting.pop()) - found:
            found.add(path)
            waiting += imports(path.read_text(encoding="utf-8"))
    return found


def imports(source: str) -> list[str]:
    """Names below minilib in import statements. Lines for IPython (%, !) are no Python and are left out."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    try:
        tree = ast.parse(plain)
    except SyntaxError:
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.fullmatch(node.value):
            names.append(node.value.partition(":")[0])
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == "minilib"]


def files(name: str) -> set[Path]:
    """minilib.a.b is minilib/__init__.py, minilib/a/__init__.py and minilib/a/b.py, those that exist."""
    found, parts = set(), name.split(".")
    for k in range(1, len(parts) + 1):
        base = ROOT.joinpath(*parts[:k])
        found |= {path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()}
    return found

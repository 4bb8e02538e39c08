"""Executed notebooks: which code they ran, whether that is still the code, and what is stripped before a commit."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import sysconfig
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minilib.claims.files import CONTRADICTIONS, papers
from minilib.claims.files import FOLDER as CLAIMS
from minilib.code import modules
from minilib.errors import BadInput
from minilib.files import ROOT

PACKAGE = ROOT / "minilib"
INJECTED = "injected-parameters"
VOLATILE = [
    "metadata.papermill",
    "metadata.widgets",
    "metadata.signature",
    "cell.metadata.papermill",
    "cell.metadata.execution",
    "cell.metadata.ExecuteTime",
    "cell.metadata.scrolled",
]


def read_notebook(path: Path | str) -> NotebookNode:
    """The notebook, or `BadInput` naming the file."""
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise BadInput(f"notebook {path}: cannot be read ({error.strerror or error})") from error
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError) as error:
        raise BadInput(f"notebook {path}: not a notebook (is it cut off?)") from error


def code_cells(notebook: NotebookNode) -> list[str]:
    """The sources of the author's own code cells."""
    return [c.source for c in notebook.cells if c.cell_type == "code" and INJECTED not in c.metadata.get("tags", [])]


def code_version(notebook: NotebookNode) -> str:
    """Sixteen hex digits of all code that the notebook's results depend on.

    That is its own code cells, the modules of minilib that they import, directly or through others, and the claims
    files whose names they mention, or all of them where the scorecard is among those modules. A change in a module that
    it never imports leaves a notebook current.
    """
    sources = code_cells(notebook)
    digest = hashlib.sha256("\0".join(sources).encode())
    used = modules(sources)
    for path in sorted(used):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    judges_all = PACKAGE / "claims" / "scorecard.py" in used
    for path in (CLAIMS / f"{paper}.yaml" for paper in papers(CLAIMS)):
        if judges_all or any(re.search(rf"\b{path.stem}\b", source) for source in sources):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    if judges_all:
        digest.update((CLAIMS / CONTRADICTIONS).read_bytes())
    return digest.hexdigest()[:16]


def is_current(notebook: Path | str | NotebookNode) -> bool:
    """Whether the outputs in this notebook were made by the code as it is now."""
    if not isinstance(notebook, NotebookNode):
        notebook = read_notebook(notebook)
    return notebook.metadata.get("minilib", {}).get("code") == code_version(notebook)


def strip(notebook: NotebookNode, *folders: Path | str) -> NotebookNode:
    """A copy fit to be committed: outputs stay; run times, injected parameters and this machine's paths go.

    `folders` are further paths to shorten, such as the run's own folder.
    """
    from nbstripout import strip_output

    patterns = _machine_paths(folders)
    copy = nbformat.from_dict(json.loads(nbformat.writes(notebook)))
    copy.cells = [cell for cell in copy.cells if INJECTED not in cell.metadata.get("tags", [])]
    copy = strip_output(copy, keep_output=True, keep_count=True, keep_id=False, extra_keys=VOLATILE)
    count = 0
    for cell in copy.cells:
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
            cell.outputs = nbformat.from_dict(_shorten(cell.outputs, patterns))
    copy.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    copy.metadata["language_info"] = {"name": "python"}
    return copy


def _machine_paths(folders: tuple[Path | str, ...]) -> list[tuple[re.Pattern, str]]:
    """Patterns, longest path first: what lies in the checkout becomes relative, the rest loses what is local."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib")}
    paths |= {str(ROOT), str(Path.cwd()), str(Path.home()), sys.prefix, sys.base_prefix}
    paths |= {str(Path(folder).absolute()) for folder in folders}
    word = r"[^\s\"'(<>=]"  # only where a word begins: a picture within HTML is one word of 100,000 letters
    patterns = [(re.compile(rf"(?<!{word}){word}*/ipykernel_\d+/\d+\.py"), "cell")]
    for path in sorted(paths - {"/", ""}, key=len, reverse=True):
        patterns.append((re.compile(rf"(?<![\w.-]){re.escape(path)}(/|(?![\w.-]))"), ""))
    return patterns


def _shorten(value: object, patterns: list[tuple[re.Pattern, str]]) -> object:
    """The same outputs with every machine path in their texts replaced; pictures are left as they are."""
    if isinstance(value, dict):
        return {
            k: v if k.startswith("image/") and k != "image/svg+xml" else _shorten(v, patterns) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_shorten(item, patterns) for item in value]
    if isinstance(value, str):
        for pattern, short in patterns:
            value = pattern.sub(short, value)
    return value

"""Progress bars of every long job: plain text, with a time estimate, silent when nobody watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm

WATCHED = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")  # an interactive front end sets one
QUIET = "MINILIB_QUIET"


def watched() -> bool:
    """Whether somebody sees a progress bar: a terminal or an interactive notebook, not a batch or a test run."""
    if os.environ.get(QUIET) or os.environ.get("PYTEST_VERSION") or os.environ.get("RANK", "0") != "0":
        return False  # of several processes the first one speaks
    if "ipykernel" in sys.modules:
        return any(name in os.environ for name in WATCHED)
    return sys.stderr is not None and sys.stderr.isatty()


def progress(iterable: Iterable | None = None, desc: str | None = None, total: int | None = None, **options) -> tqdm:
    """A plain text bar with a time estimate; nothing at all when nobody watches, so that outputs stay clean."""
    options = {"disable": not watched(), "leave": False, "dynamic_ncols": True, **options}
    return tqdm(iterable, desc=desc, total=total, **options)

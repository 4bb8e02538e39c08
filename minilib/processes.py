"""Worker processes that do not outlive the one that started them, and what only one of them does at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there each process does what it needs itself
    fcntl = None


def die_with(parent: int) -> None:
    """Run first in a worker: it leaves Ctrl-C to its parent and dies with it, be the parent gone before it began. What
    the worker started (a notebook's kernel) notices and follows within a second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Waits until no other process or thread is within this on `path`. The lock goes with the process that dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

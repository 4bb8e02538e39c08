"""Worker processes that do not outlive the one that started them."""

from __future__ import annotations

import os
import signal
import threading
import time


def die_with(parent: int) -> None:
    """Run first in a worker: it leaves Ctrl-C to its parent and dies with it, be the parent gone before it began. What
    the worker started (a notebook's kernel) notices and follows within a second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
